"""`discover data`: what is in the logs of a machine."""
