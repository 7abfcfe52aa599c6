"""One training loop for every family of world models."""
