"""Other people's simulators as contenders of the time ledger.

Each takes part where its package is installed and it can hold the robot. All are built from the
same tree and the same inertias as ours, so that they answer the same question.

To add one, write a module here with `contenders(robot) -> list[Contender]`, of its bodies and
armature, empty where the robot cannot be expressed, and name it in `SIMULATORS`. Damping, friction
and springs are added here, the same for all.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from discover.evaluation.contender import Contender
from discover.evaluation.simulators.passive_forces import with_joint_terms
from kinematics import Robot

SIMULATORS = {  # the package that must be installed: our module about it
    "pinocchio": "pinocchio",
    "mujoco": "mujoco",
    "pydrake": "drake",
    "opensim": "opensim",
}


def installed(robot: Robot) -> list[Contender]:
    """The contenders of every simulator found here that can hold ``robot``."""
    if robot.mimic:
        return []  # no other simulator here has coupled joints as ours has them
    found: list[Contender] = []
    for package, module in SIMULATORS.items():
        if find_spec(package) is not None:
            found += import_module(f"{__package__}.{module}").contenders(robot)
    return [with_joint_terms(robot, contender) for contender in found]
