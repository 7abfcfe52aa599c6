"""Rigid-body dynamics of kinematic trees, batched and differentiable, in torch.

robot = kinematics.load("panda")
a = kinematics.aba(robot, q, v, tau)
"""

from __future__ import annotations

from typing import Any

from kinematics.base_parameters import BaseParameters, base_parameters
from kinematics.coupling import Mimic
from kinematics.crba import crba
from kinematics.energy import (
    centre_of_mass,
    kinetic_energy,
    momentum,
    potential_energy,
    total_mass,
)
from kinematics.errors import RobotError, WorldlawError
from kinematics.families import family, random_tree
from kinematics.forward import aba
from kinematics.hamiltonian import joint_momentum, momentum_rate
from kinematics.load import bundled, load
from kinematics.log_cholesky import from_log_cholesky, to_log_cholesky
from kinematics.manifold import difference, integrate
from kinematics.regressor import regressor
from kinematics.rnea import bias, rnea
from kinematics.simulate import Trajectory, simulate
from kinematics.states import random_state
from kinematics.symbolic_base import SymbolicBaseParameters, symbolic_base_parameters
from kinematics.terms import joint_forces
from kinematics.tree import Robot

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
