"""Muscles: paths over bodies, laws of force, activation, and what they do to a robot."""
