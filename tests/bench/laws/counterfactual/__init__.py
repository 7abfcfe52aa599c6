"""`python -m tests.bench.laws.counterfactual`: altered laws of physics for the robot-free engine."""
