"""The rigid-body family: fit, physical consistency, equivalence, the law class."""
