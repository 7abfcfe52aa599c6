"""Bodies for programs: parameters that a fit found to be zero, up to its rounding, are zero.

A fit returns some bodies of the many that move alike, and what its data say is zero comes out as
1e-17. A program multiplies by such numbers all the same. Here the base parameters (Gautier 1991)
that contribute nothing are dropped, and the rest are carried by as few numbers as there can be;
where all contribute, the bodies stay as they are.
"""

from __future__ import annotations

import torch

import kinematics
from kinematics import Robot

NOTHING = 1e-13  # of the joint forces: about what least squares leave of a zero
STATES = 40


def lean_bodies(robot: Robot) -> Robot:
    """A robot that moves as ``robot`` does, with exact zeros for what contributes nothing."""
    base = kinematics.base_parameters(robot)
    columns = list(base.independent)
    states = kinematics.random_state(robot, STATES, seed=1)
    contribution = kinematics.regressor(robot, *states).flatten(0, -2)[:, columns]
    value = base.matrix @ robot.pi.flatten()
    size = contribution.norm(dim=0) * value.abs()
    kept = size > NOTHING * (contribution @ value).norm()
    if bool(kept.all()):
        return robot
    pi = torch.zeros_like(robot.pi).flatten()
    pi[columns] = torch.where(kept, value, 0.0)
    return robot.replace(pi=pi.reshape(-1, 10))
