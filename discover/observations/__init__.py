"""Observations: what a network sees of a robot's state, declared or read from an environment."""
