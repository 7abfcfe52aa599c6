"""How wrong and how fast a model is, beside the simulator, its law and other simulators."""
