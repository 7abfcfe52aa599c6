"""Gradients: where a model's derivatives can be used for optimisation, and where they mislead."""
