"""Planted networks for `discover.look_inside`, and the calibration of its claims."""
