"""Which joint carries which, from answers alone."""
