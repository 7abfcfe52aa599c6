"""A free-base quadruped: a trunk and four legs of three hinges, 18 velocity coordinates.

Made up here, of the size of a large dog; no description of somebody's robot.
"""

from __future__ import annotations

import kinematics
from kinematics import Robot

_LEGS = {"fl": (0.25, 0.12), "fr": (0.25, -0.12), "rl": (-0.25, 0.12), "rr": (-0.25, -0.12)}  # m


def quadruped() -> Robot:
    """The robot, its trunk on a free joint."""
    parts = [_link("trunk", 9.0, (0.01, 0.0, 0.02), (0.09, 0.28, 0.33))]
    for leg, (x, y) in _LEGS.items():
        side = 1 if y > 0 else -1
        parts += [
            _joint(f"{leg}_abduction", "trunk", f"{leg}_hip", (x, y, 0.0), "1 0 0"),
            _link(f"{leg}_hip", 1.1, (0.0, 0.02 * side, 0.0), (0.002, 0.0016, 0.0021)),
            _joint(f"{leg}_swing", f"{leg}_hip", f"{leg}_thigh", (0.0, 0.08 * side, 0.0), "0 1 0"),
            _link(f"{leg}_thigh", 1.4, (-0.01, 0.0, -0.08), (0.013, 0.012, 0.0018)),
            _joint(f"{leg}_knee", f"{leg}_thigh", f"{leg}_shank", (0.0, 0.0, -0.25), "0 1 0"),
            _link(f"{leg}_shank", 0.3, (0.005, 0.0, -0.11), (0.0021, 0.0021, 0.0001)),
        ]
    text = "".join(parts)
    return kinematics.load(f'<robot name="quadruped">{text}</robot>', root="free")


def _link(
    name: str, mass: float, at: tuple[float, float, float], moments: tuple[float, float, float]
) -> str:
    """mass [kg], centre of mass [m], principal moments about it [kg·m²]."""
    x, y, z = moments
    return (
        f'<link name="{name}"><inertial><origin xyz="{at[0]} {at[1]} {at[2]}"/>'
        f'<mass value="{mass}"/><inertia ixx="{x}" iyy="{y}" izz="{z}" ixy="0" ixz="0" iyz="0"/>'
        "</inertial></link>"
    )


def _joint(name: str, parent: str, child: str, at: tuple[float, float, float], axis: str) -> str:
    return (
        f'<joint name="{name}" type="continuous"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{at[0]} {at[1]} {at[2]}"/><axis xyz="{axis}"/></joint>'
    )
