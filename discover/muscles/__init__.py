"""Muscle models as black boxes: their force law and their geometry, each by part."""
