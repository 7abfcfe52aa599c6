"""Other people's simulators, and the reference simulator as a black box."""
