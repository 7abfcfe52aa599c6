"""Rigid bodies behind static functions, or turned by other functions than sine."""
