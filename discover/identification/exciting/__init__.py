"""Motions that show a robot's parameters: designed before logs are recorded, or from what they lack."""
