"""`python -m tests.bench.laws.counterfactual`: altered laws of physics, without a robot."""
