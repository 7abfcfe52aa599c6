"""Recorded transitions that the model was not trained on, beside its predictions."""
