"""Damping, Coulomb friction and springs for simulators that have none, or other ones, of their own.

Pinocchio's forward dynamics knows no joint terms but armature, and no other simulator smooths
Coulomb friction or stretches the springs of ball joints as `kinematics` does. So these forces,
which depend on q and v alone, are computed here and taken out of the joint forces beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

import kinematics
from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender
from kinematics import Robot

NOTE = "damping, friction and springs in τ, untimed"


def has_passive_forces(robot: Robot) -> bool:
    """Whether the robot has joint terms besides armature."""
    return bool(robot.active_terms - {"armature"})


def with_passive_forces(robot: Robot, batch: Batch) -> Batch:
    """The states (B, n) with tau minus the robot's damping, friction and spring forces."""
    if not has_passive_forces(robot):
        return batch
    massless = robot.replace(armature=torch.zeros_like(robot.armature))
    forces = kinematics.joint_forces(massless, batch.q, batch.v, torch.zeros_like(batch.v))
    return batch._replace(tau=batch.tau - torch.as_tensor(forces))


def with_joint_terms(robot: Robot, contender: Contender) -> Contender:
    """A contender of rigid bodies and armature as one of the whole robot."""
    if not has_passive_forces(robot):
        return contender

    def prepare(batch: Batch) -> Callable[[], Any]:
        return contender.prepare(with_passive_forces(robot, batch))

    note = f"{contender.note}; {NOTE}" if contender.note else NOTE
    return replace(contender, prepare=prepare, note=note)
