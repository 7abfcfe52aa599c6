"""Motions that show a robot's parameters, before logs are recorded or after what they lacked."""
