"""Examination of models that met contact: the hybrid law of free motion, surfaces and touch."""
