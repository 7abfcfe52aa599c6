"""The structured program behind a model: its tree, its geometry, its factors, its recursion."""
