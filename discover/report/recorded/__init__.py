"""Pages about recordings of real machines."""
