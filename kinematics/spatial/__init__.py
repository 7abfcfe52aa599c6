"""Spatial vector algebra, rotations, and the transforms across a joint."""
