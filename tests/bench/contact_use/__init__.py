"""Is a learned model worth having for optimisation through contact? Six tasks, measured."""
