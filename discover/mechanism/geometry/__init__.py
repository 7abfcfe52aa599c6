"""Joint screws, bodies and their uncertainty, from answers alone."""
