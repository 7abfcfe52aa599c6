"""Benchmarks that users run on their own machine: speed of dynamics, cost of a verdict."""
