"""A robot made ready to be written to a file: plain numbers, bodies that a file can state, and
remarks on what it cannot.

What changes the tree (a joint or a body that a format has no words for) is refused. Forces that a
format has no words for are left out, which the file says in a comment and the caller in a warning.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Comment, Element, SubElement

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.formats import xml_safety
from kinematics.formats.builder import UNLIMITED
from kinematics.robot import inertial_parameters, joints
from kinematics.robot.tree import Robot, check_robot

_ROUNDING = 1e-13  # of a body's largest parameter
_LOST = 1e-10  # of a body's parameters: what a file may lose of them
_TERMS = ("armature", "damping", "friction", "stiffness")


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body as files state it: mass [kg], centre (3,) [m] and inertia (3, 3) about it [kg·m²]."""

    mass: float
    centre: np.ndarray
    inertia: np.ndarray

    @property
    def empty(self) -> bool:
        return self.mass == 0 and not self.inertia.any()


@dataclass
class Written:
    """A robot on its way into a file of one format.

    ``order`` are its joints depth first, the only order that a nested file has; ``left_out`` are
    the forces that the file cannot state, ``remarks`` sentences for its reader.
    """

    robot: Robot
    form: str
    order: list[int]
    bodies: list[Body]
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, robot: Any, form: str) -> Written:
        """RobotError, in one line, unless ``robot`` is one robot of numbers."""
        check_robot(robot)
        pi = robot.pi
        if not isinstance(pi, Tensor) or pi.ndim != 2:
            found = "expressions" if not isinstance(pi, Tensor) else f"pi {tuple(pi.shape)}"
            raise RobotError(
                f"expected one robot of numbers for {form}, found {found} in {robot.name}; "
                "write one set of parameters at a time"
            )
        held = robot.to(dtype=torch.float64, device="cpu")
        return cls(
            robot=held,
            form=form,
            order=_depth_first(held.parents),
            bodies=[_body(held, i, form) for i in range(held.nb)],
        )

    def mimic(self, joint: int) -> joints.Mimic | None:
        """What the joint follows, if anything."""
        name = self.robot.joint_names[joint]
        return next((m for m in self.robot.mimic if m.joint == name), None)

    def terms(self, joint: int) -> dict[str, list[float]]:
        """The joint terms of a joint that has its own coordinates, one number a velocity; those
        that are zero are absent."""
        if self.mimic(joint) is not None:
            return {}
        at = self.robot.v_slices[joint]
        found = {name: getattr(self.robot, name)[at].tolist() for name in _TERMS}
        return {name: values for name, values in found.items() if any(values)}

    def limits(self, joint: int) -> tuple[float, float, float, float]:
        """Lower and upper end, largest speed and largest force of a joint of one velocity; those
        of a mimic joint follow from the joint that drives it."""
        robot = self.robot
        q, v = robot.q_slices[joint].start, robot.v_slices[joint].start
        low, high = float(robot.lower[q]), float(robot.upper[q])
        speed, force = float(robot.velocity_limit[v]), float(robot.effort_limit[v])
        m = self.mimic(joint)
        if m is None:
            return low, high, speed, force
        ends = [_scaled(m.multiplier, x) + m.offset for x in (low, high)]
        return min(ends), max(ends), _scaled(abs(m.multiplier), speed), math.inf

    def omit(self, joint: int, *names: str) -> None:
        """Leave a joint's forces out of the file."""
        if names:
            self.left_out.append(f"{' and '.join(names)} of {self.robot.joint_names[joint]}")

    def text(self, root: Element, remarks: Iterable[str]) -> str:
        """The document, with its comment first; a warning where forces are left out."""
        robot = self.robot
        if list(self.order) != list(range(robot.nb)):
            names = ", ".join(robot.joint_names[i] for i in self.order)
            self.remarks.append(f"joints, depth first, stand in another order here: {names}")
            warnings.warn(f"{robot.name}: {self.remarks[-1]}", stacklevel=4)
        if self.left_out:
            left_out = f"not stated in this {self.form}: {'; '.join(self.left_out)}"
            self.remarks.append(left_out)
            warnings.warn(f"{robot.name}: {left_out}", stacklevel=4)
        for k, line in enumerate((*remarks, *self.remarks)):
            spaced = re.sub("-(?=-)", "- ", " ".join(line.split()))  # two hyphens end a comment
            root.insert(k, Comment(f" {spaced} "))
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode") + "\n"
        try:
            xml_safety.parse(text.encode(), f"the {self.form} of {robot.name}")
        except (RobotError, UnicodeEncodeError) as error:
            raise RobotError(
                f"expected a robot that XML can hold, found {robot.name!r}, of which it cannot "
                f"({' '.join(str(error).split())[:120]}); rename what has odd characters"
            ) from error
        return text


def element(parent: Element, tag: str, /, **attributes: Any) -> Element:
    """A child with attributes: words as they are, numbers to the last digit."""
    return SubElement(parent, tag, {key: words(value) for key, value in attributes.items()})


def words(value: Any) -> str:
    """A word, a number or a list of numbers as text that reads back exactly."""
    if isinstance(value, str):
        return value
    return " ".join(_number(float(x)) for x in np.ravel(np.asarray(value)))


def _number(x: float) -> str:
    if math.isnan(x):
        raise RobotError("expected numbers in a robot's description, found nan; mend the robot")
    return repr(max(-UNLIMITED, min(UNLIMITED, x)) + 0.0)


def _scaled(multiplier: float, x: float) -> float:
    return 0.0 if multiplier == 0 else multiplier * x


def _depth_first(parents: Sequence[int]) -> list[int]:
    """Joints, each before what hangs on it and that before its siblings."""
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)
    order: list[int] = []
    stack = children.get(-1, [])[::-1]
    while stack:
        order.append(stack.pop())
        stack += children.get(order[-1], [])[::-1]
    return order


def _body(robot: Robot, joint: int, form: str) -> Body:
    """RobotError, in one line, for parameters that mass, centre and inertia cannot state."""
    pi = robot.pi[joint].detach().numpy()
    mass, centre, inertia = inertial_parameters.about_centre(pi)
    scale = np.abs(pi).max(initial=0.0)
    lost = np.abs(inertial_parameters.about_origin(mass, centre, inertia) - pi).max()
    if not np.isfinite(pi).all() or mass < 0 or not lost <= _LOST * scale:
        first = float(np.linalg.norm(pi[1:4]))
        raise RobotError(
            f"expected bodies with a mass and a centre for {form}, found {mass:.3g} kg with a "
            f"first moment of {first:.3g} kg·m at {robot.body_names[joint]!r} of {robot.name}; "
            "give parameters that a body can have"
        )
    # a point's inertia about itself is a difference that leaves rounding, of either sign
    inertia = np.zeros((3, 3)) if np.abs(inertia).max() <= _ROUNDING * scale else inertia
    return Body(mass=mass, centre=centre, inertia=inertia)
