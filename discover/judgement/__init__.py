"""Evidence, thresholds and verdict: numbers only."""
