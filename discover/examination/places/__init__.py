"""Places: one law on one side of a surface, another one on the other."""
