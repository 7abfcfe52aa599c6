"""Timings: simulators, compiled programs, models and laws side by side."""
