"""The robot: its tree, joints and inertial parameters; random robots and states."""
