"""Contact: what a step costs, real tosses of a cube, and what learned models are worth there."""
