"""What strings pass by: points that move or come and go, and surfaces that are no circles."""
