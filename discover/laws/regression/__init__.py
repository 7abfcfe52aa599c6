"""Symbolic regression that knows no robot."""
