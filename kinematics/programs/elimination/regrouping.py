"""Inertia that a joint cannot tell from its parent's, moved to the parent (base parameters)."""

from __future__ import annotations

import numpy as np

from kinematics.programs.elimination.mechanism import Body, Mechanism
from kinematics.programs.elimination.steps import about, turn_matrix
from kinematics.robot.joints import TURNING


def regrouped(model: Mechanism, rule: dict[int, str] | str = "second moment") -> list[np.ndarray]:
    """Second moments (4, 4) of each body after moving to parents what joints cannot tell apart.

    For a revolute joint one more choice is free, ``rule``: which entry vanishes, the "second
    moment" along the axis, "Ixx" or "Iyy". Bodies on the fixed base lose the rest.
    """
    moments = [b.moments.copy() for b in model.bodies]
    sizes = [np.abs(m) for m in moments]  # what was added up: the measure of rounding
    for body in reversed(model.bodies):
        own, size = moments[body.index], sizes[body.index]
        own[np.abs(own) < 8 * np.finfo(float).eps * size] = 0.0  # cancelled up to rounding
        moved = np.zeros((4, 4))
        if body.kind in TURNING:
            choice = rule if isinstance(rule, str) else rule.get(body.index, "second moment")
            amount = {
                "second moment": own[2, 2],
                "Ixx": own[2, 2] + own[1, 1],
                "Iyy": own[2, 2] + own[0, 0],
            }[choice]
            moved[2, 2] = amount
            moved[2, 3] = moved[3, 2] = own[2, 3]
            moved[3, 3] = own[3, 3]
            own = own - moved
            own[2, 3] = own[3, 2] = own[3, 3] = 0.0
            own[2, 2] = {"second moment": 0.0, "Ixx": -own[1, 1], "Iyy": -own[0, 0]}[choice]
        elif body.kind == "prismatic":
            moved[:3, :3] = own[:3, :3]
            own = own.copy()
            own[:3, :3] = 0.0
        elif body.kind == "spherical":
            moved[3, 3] = own[3, 3]
            own = own.copy()
            own[3, 3] = 0.0
        moments[body.index] = own
        if body.parent >= 0:
            move = placement(body)
            moments[body.parent] = moments[body.parent] + move @ moved @ move.T
            far = np.abs(move)
            sizes[body.parent] = sizes[body.parent] + far @ np.abs(moved) @ far.T
    return moments


def placement(body: Body) -> np.ndarray:
    """The constant part (joint at zero) of a body's placement in its parent, 4 x 4."""
    out = np.eye(4)
    for step in body.steps:
        move = np.eye(4)
        if step.kind == "turn":
            move[:3, :3] = turn_matrix(step.axis, step.cosine, step.sine)
        elif step.kind == "joint" and step.offset:
            move[:3, :3] = about(2, step.offset)
        elif step.kind == "permute":
            for k in range(3):
                move[k, :3] = 0.0
                move[k, step.order[k]] = step.signs[k]
        elif step.kind == "shift":
            move[step.axis, 3] = step.amount
        out = move @ out
    return out
