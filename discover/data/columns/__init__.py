"""What the columns of a log mean: formulas, clocks, units, motors, joints, and guesses by name."""
