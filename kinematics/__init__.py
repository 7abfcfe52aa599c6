"""Rigid-body dynamics of kinematic trees, batched and differentiable, in torch.

robot = kinematics.load("panda")
a = kinematics.aba(robot, q, v, tau)
"""

from __future__ import annotations

from typing import Any

from kinematics import contact
from kinematics.algorithms.base_parameters import (
    BaseParameters,
    SymbolicBaseParameters,
    base_parameters,
    symbolic_base_parameters,
)
from kinematics.algorithms.crba import crba
from kinematics.algorithms.energy import (
    centre_of_mass,
    joint_momentum,
    kinetic_energy,
    momentum,
    momentum_rate,
    potential_energy,
    total_mass,
)
from kinematics.algorithms.forward import aba
from kinematics.algorithms.joint_terms import joint_forces
from kinematics.algorithms.manifold import difference, integrate
from kinematics.algorithms.regressor import regressor
from kinematics.algorithms.rnea import bias, rnea
from kinematics.algorithms.simulate import Trajectory, simulate
from kinematics.contact.step import step
from kinematics.errors import RobotError, WorldlawError
from kinematics.formats.mjcf_writer import to_mjcf
from kinematics.formats.urdf_writer import to_urdf
from kinematics.loading import bundled, load
from kinematics.muscles.drive import muscle_tensions
from kinematics.muscles.forward import (
    MuscleTrajectory,
    forward,
    simulate_muscles,
)
from kinematics.muscles.geometry import (
    moment_arms,
    muscle_joint_forces,
    muscle_lengths,
    muscle_rates,
)
from kinematics.muscles.muscles import Muscles
from kinematics.programs.compile import compile_robot
from kinematics.robot.actuation import Actuation, Stepping
from kinematics.robot.inertial_parameters import from_log_cholesky, to_log_cholesky
from kinematics.robot.joints import Mimic
from kinematics.robot.locking import lock
from kinematics.robot.random import family, random_state, random_tree
from kinematics.robot.tree import Robot

__all__ = [
    "Actuation",
    "BaseParameters",
    "Mimic",
    "MuscleTrajectory",
    "Muscles",
    "Robot",
    "RobotError",
    "Stepping",
    "SymbolicBaseParameters",
    "Trajectory",
    "WorldlawError",
    "aba",
    "base_parameters",
    "bias",
    "bundled",
    "centre_of_mass",
    "compile",
    "contact",
    "crba",
    "difference",
    "family",
    "forward",
    "from_log_cholesky",
    "integrate",
    "joint_forces",
    "joint_momentum",
    "kinetic_energy",
    "load",
    "lock",
    "moment_arms",
    "momentum",
    "momentum_rate",
    "muscle_joint_forces",
    "muscle_lengths",
    "muscle_rates",
    "muscle_tensions",
    "potential_energy",
    "random_state",
    "random_tree",
    "regressor",
    "rnea",
    "simulate",
    "simulate_muscles",
    "step",
    "symbolic_base_parameters",
    "to_log_cholesky",
    "to_mjcf",
    "to_urdf",
    "total_mass",
]


def compile(robot: Robot, what: str, dtype: str = "float64", **options: Any) -> Any:
    """A compiled program of ``what`` ("aba", "rnea", "crba", "forward"), numpy in and out."""
    return compile_robot(robot, what, dtype=dtype, **options)
