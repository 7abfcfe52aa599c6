"""Rigid-body dynamics of kinematic trees, batched and differentiable, in torch.

robot = kinematics.load("panda")
a = kinematics.aba(robot, q, v, tau)
"""

from __future__ import annotations

from typing import Any

from kinematics.algorithms.base_parameters import BaseParameters, base_parameters
from kinematics.algorithms.crba import crba
from kinematics.algorithms.energy import (
    centre_of_mass,
    kinetic_energy,
    momentum,
    potential_energy,
    total_mass,
)
from kinematics.algorithms.forward import aba
from kinematics.algorithms.hamiltonian import joint_momentum, momentum_rate
from kinematics.algorithms.manifold import difference, integrate
from kinematics.algorithms.regressor import regressor
from kinematics.algorithms.rnea import bias, rnea
from kinematics.algorithms.simulate import Trajectory, simulate
from kinematics.algorithms.symbolic_base import SymbolicBaseParameters, symbolic_base_parameters
from kinematics.algorithms.terms import joint_forces
from kinematics.errors import RobotError, WorldlawError
from kinematics.loading import bundled, load
from kinematics.robot.coupling import Mimic
from kinematics.robot.families import family, random_tree
from kinematics.robot.log_cholesky import from_log_cholesky, to_log_cholesky
from kinematics.robot.states import random_state
from kinematics.robot.tree import Robot

__all__ = [
    "BaseParameters",
    "Mimic",
    "Robot",
    "RobotError",
    "SymbolicBaseParameters",
    "Trajectory",
    "WorldlawError",
    "aba",
    "base_parameters",
    "bias",
    "bundled",
    "centre_of_mass",
    "compile",
    "crba",
    "difference",
    "family",
    "from_log_cholesky",
    "integrate",
    "joint_forces",
    "joint_momentum",
    "kinetic_energy",
    "load",
    "momentum",
    "momentum_rate",
    "potential_energy",
    "random_state",
    "random_tree",
    "regressor",
    "rnea",
    "simulate",
    "symbolic_base_parameters",
    "to_log_cholesky",
    "total_mass",
]


def compile(robot: Robot, what: str, dtype: str = "float64", **options: Any) -> Any:
    """A compiled program of ``what`` ("aba", "rnea", "crba"), numpy in and numpy out."""
    from kinematics import programs

    return programs.compile(robot, what, dtype=dtype, **options)
