"""Models whose mechanism is known, to test and calibrate the instrument on."""
