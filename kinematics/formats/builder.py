"""A robot assembled while a format is read: joint by joint, with bodies, coordinates and terms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinematics.errors import RobotError
from kinematics.robot import inertial_parameters, joints
from kinematics.robot.joints import Mimic
from kinematics.robot.tree import Robot, build

TERMS = ("armature", "damping", "friction", "stiffness", "spring_reference")
UNLIMITED = 1e308  # as a limit: none, for formats and readers that have no word for infinity


@dataclass
class RobotBuilder:
    """The joints, bodies and joint terms added so far; parents come before their children.

    ``taken_joints`` and ``taken_bodies`` begin as the names of the description, so that names that
    are made up do not meet one that comes later.
    """

    taken_joints: set[str] = field(default_factory=set)
    taken_bodies: set[str] = field(default_factory=set)
    kinds: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    joint_names: list[str] = field(default_factory=list)
    body_names: list[str] = field(default_factory=list)
    rotations: list[np.ndarray] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    axes: list[np.ndarray] = field(default_factory=list)
    pi: list[np.ndarray] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    velocity_limit: list[float] = field(default_factory=list)
    effort_limit: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TERMS})

    def joint(
        self, name: str, body: str, kind: str, parent: int,
        rotation: np.ndarray, offset: np.ndarray, axis: np.ndarray,
    ) -> int:  # fmt: skip
        """Add a joint and the body it moves, which has no mass yet; its number."""
        self.joint_names.append(name)
        self.body_names.append(body)
        self.taken_joints.add(name)
        self.taken_bodies.add(body)
        self.kinds.append(kind)
        self.parents.append(parent)
        self.rotations.append(rotation)
        self.offsets.append(offset)
        self.axes.append(axis)
        self.pi.append(np.zeros(10))
        return len(self.kinds) - 1

    def free_root(self, body: str) -> int:
        """Put the root on a free joint; its number. Its coordinates are still to be added."""
        name = self.new_joint_name("root_joint")
        return self.joint(name, body, "free", -1, np.eye(3), np.zeros(3), np.eye(3)[2])

    def new_joint_name(self, wish: str) -> str:
        """A name for a joint that has none: this one, with a number if it is taken."""
        return untaken(wish, self.taken_joints)

    def new_body_name(self, wish: str) -> str:
        """A name for a body that has none: this one, with a number if it is taken."""
        return untaken(wish, self.taken_bodies)

    def mass(self, body: int, pi: np.ndarray, rotation: np.ndarray, offset: np.ndarray) -> None:
        """Merge ten parameters into a body, in whose frame theirs stands at (rotation, offset)."""
        self.pi[body] = self.pi[body] + inertial_parameters.moved(pi, rotation, offset)

    def coordinates(
        self,
        kind: str,
        *,
        lower: float = -math.inf,
        upper: float = math.inf,
        velocity: float = math.inf,
        effort: float = math.inf,
        **terms: float | list[float],
    ) -> None:
        """Add the limits and terms of the next independent joint: one value, or one a velocity."""
        nq, nv = joints.NQ[kind], joints.NV[kind]
        self.lower += [_limit(lower)] * nq
        self.upper += [_limit(upper)] * nq
        self.velocity_limit += [_limit(velocity)] * nv
        self.effort_limit += [_limit(effort)] * nv
        for name, values in self.terms.items():
            own = terms.get(name, 0.0)
            values += own if isinstance(own, list) else [own] * nv

    def follow(
        self,
        row: int,
        mimic: Mimic,
        *,
        armature: float = 0.0,
        damping: float = 0.0,
        friction: float = 0.0,
        stiffness: float = 0.0,
        spring_reference: float = 0.0,
    ) -> None:
        """Add the terms of a mimic joint to those of its driver, whose velocity is number ``row``.

        The two springs are one: the sum of both energies is that of a spring about another point.
        """
        scale, terms = mimic.multiplier, self.terms
        terms["armature"][row] += scale**2 * armature
        terms["damping"][row] += scale**2 * damping
        terms["friction"][row] += abs(scale) * friction
        own, rest = terms["stiffness"][row], terms["spring_reference"][row]
        total = own + scale**2 * stiffness
        if stiffness and total:
            pull = own * rest + scale * stiffness * (spring_reference - mimic.offset)
            terms["stiffness"][row], terms["spring_reference"][row] = total, pull / total

    def robot(self, label: str, *, joint_terms: bool, **optional: Any) -> Robot:
        """The robot, with or without the joint terms; RobotError if a number is not finite."""
        for name, *numbers in zip(
            self.joint_names, self.rotations, self.offsets, self.axes, self.pi, strict=True
        ):
            if not all(np.isfinite(x).all() for x in numbers):
                raise RobotError(
                    f"expected finite placements, axes and inertias, found others at joint "
                    f"{name!r} of {label}; mend the description"
                )
        return build(
            label,
            kinds=self.kinds,
            parents=self.parents,
            joint_names=self.joint_names,
            body_names=self.body_names,
            tree_rotation=np.array(self.rotations).reshape(-1, 3, 3),
            tree_offset=np.array(self.offsets).reshape(-1, 3),
            axes=np.array(self.axes).reshape(-1, 3),
            pi=np.array(self.pi).reshape(-1, 10),
            lower=self.lower,
            upper=self.upper,
            velocity_limit=self.velocity_limit,
            effort_limit=self.effort_limit,
            **(self.terms if joint_terms else {}),
            **optional,
        )


def _limit(x: float) -> float:
    return x if abs(x) < UNLIMITED else math.copysign(math.inf, x)


def untaken(wish: str, taken: set[str]) -> str:
    """This name, with a number if it is taken."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    return name
