"""Data sets: simulated by recipe, or read from logs of real machines."""
