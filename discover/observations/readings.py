"""What one number of an observation says about the state (q, v): an angle's cosine, a rate, a
component of a quaternion, a place in the world."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.observations.frames import Bodies, rotation_of
from kinematics import Robot

TURN = 2 * math.pi
Function = Callable[[Tensor, Tensor], Any]


class View:
    """A batch of states q (…, nq), v (…, nv), and what several numbers share."""

    def __init__(self, robot: Robot, q: Tensor, v: Tensor) -> None:
        self.robot, self.q, self.v = robot, q, v
        self.bodies = Bodies(robot, q)
        self._answers: dict[int, Tensor] = {}

    def turn_of(self, joint: int) -> Tensor:
        """The rotation (…, 3, 3) from a freely turning joint's body to its parent."""
        return rotation_of(self.q[..., self.robot.q_slices[joint]][..., -4:])

    def filled(self, function: Function, count: int) -> Tensor:
        """function(q, v) as (…, count), asked once. Raises ModelError."""
        key = id(function)
        if key not in self._answers:
            answer = torch.as_tensor(function(self.q, self.v)).to(self.q)
            if answer.shape != (*self.q.shape[:-1], count):
                raise ModelError(
                    f"observation: a filling function answers {tuple(answer.shape)}, expected "
                    f"{(*self.q.shape[:-1], count)}; mend it or its size"
                )
            self._answers[key] = answer
        return self._answers[key]


@dataclass(frozen=True, eq=False)
class Line:
    """row · q + offset: an angle or a length, as it is."""

    label: str
    row: np.ndarray
    offset: float = 0.0

    @staticmethod
    def values(rows: Sequence[Line], view: View) -> Tensor:
        return _product(rows, view.q)


@dataclass(frozen=True, eq=False)
class Wave:
    """cos(row · q + offset); the sine is the cosine a quarter turn later."""

    label: str
    row: np.ndarray
    offset: float = 0.0

    @staticmethod
    def values(rows: Sequence[Wave], view: View) -> Tensor:
        return torch.cos(_product(rows, view.q))


@dataclass(frozen=True, eq=False)
class Wrapped:
    """row · q + offset, brought into [start, start + 2π)."""

    label: str
    row: np.ndarray
    offset: float = 0.0
    start: float = -math.pi

    @staticmethod
    def values(rows: Sequence[Wrapped], view: View) -> Tensor:
        start = view.q.new_tensor([r.start for r in rows])
        return torch.remainder(_product(rows, view.q) - start, TURN) + start


@dataclass(frozen=True, eq=False)
class Rate:
    """row · v + offset: a joint's velocity, or a freely moving body's along its own axes."""

    label: str
    row: np.ndarray
    offset: float = 0.0

    @staticmethod
    def values(rows: Sequence[Rate], view: View) -> Tensor:
        return _product(rows, view.v)


@dataclass(frozen=True, eq=False)
class Part:
    """A component of a vector. `value(view)` (…)."""

    label: str

    @staticmethod
    def values(rows: Sequence[Part], view: View) -> Tensor:
        return torch.stack([row.value(view) for row in rows], dim=-1)

    def value(self, view: View) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class QuaternionPart(Part):
    """Component 0–3 of w, x, y, z of a joint; `positive`: of the one with w >= 0."""

    joint: int
    component: int
    positive: bool = False

    def value(self, view: View) -> Tensor:
        quaternion = view.q[..., view.robot.q_slices[self.joint]][..., -4:]
        sign = torch.where(quaternion[..., 0] < 0, -1.0, 1.0) if self.positive else 1.0
        return quaternion[..., self.component] * sign


@dataclass(frozen=True, eq=False)
class PlacePart(Part):
    """Component of a free body's position, seen along the body's own axes [m]."""

    joint: int
    component: int

    def value(self, view: View) -> Tensor:
        place = view.q[..., view.robot.q_slices[self.joint]][..., :3]
        return (view.turn_of(self.joint)[..., :, self.component] * place).sum(-1)


@dataclass(frozen=True, eq=False)
class TwistPart(Part):
    """Component, along the parent's axes, of a freely moving body's angular (0) or linear (3)
    velocity [rad/s | m/s]."""

    joint: int
    component: int
    start: int

    def value(self, view: View) -> Tensor:
        own = view.v[..., view.robot.v_slices[self.joint]][..., self.start : self.start + 3]
        return (view.turn_of(self.joint)[..., self.component, :] * own).sum(-1)


@dataclass(frozen=True, eq=False)
class GravityPart(Part):
    """Component, along a body's own axes, of the unit vector that points down."""

    body: int
    component: int

    def value(self, view: View) -> Tensor:
        return -view.bodies.turn(self.body)[..., 2, self.component]


@dataclass(frozen=True, eq=False)
class TurnPart(Part):
    """Entry (row, column) of a body's rotation matrix, body to world."""

    body: int
    row: int
    column: int

    def value(self, view: View) -> Tensor:
        return view.bodies.turn(self.body)[..., self.row, self.column]


@dataclass(frozen=True, eq=False)
class PointPart(Part):
    """World coordinate [m] of a point fixed to a body, less that of a second point, if given."""

    body: int
    at: tuple[float, float, float]
    component: int
    less: tuple[int, tuple[float, float, float]] | None = None

    def value(self, view: View) -> Tensor:
        value = self._coordinate(view, self.body, self.at)
        return value if self.less is None else value - self._coordinate(view, *self.less)

    def _coordinate(self, view: View, body: int, at: tuple[float, float, float]) -> Tensor:
        if body < 0:  # the world itself
            return view.q.new_full(view.q.shape[:-1], at[self.component])
        turn, place = view.bodies.turn(body), view.bodies.place(body)
        return place[..., self.component] + turn[..., self.component, :] @ view.q.new_tensor(at)


@dataclass(frozen=True, eq=False)
class Constant(Part):
    """A number that never changes."""

    number: float

    def value(self, view: View) -> Tensor:
        return view.q.new_full(view.q.shape[:-1], self.number)


@dataclass(frozen=True, eq=False)
class Filled(Part):
    """Number `index` of function(q, v), which gives (…, count)."""

    function: Function
    index: int
    count: int

    def value(self, view: View) -> Tensor:
        return view.filled(self.function, self.count)[..., self.index]


Reading = Line | Wave | Wrapped | Rate | Part


def _product(rows: Sequence[Any], x: Tensor) -> Tensor:
    matrix = torch.as_tensor(np.stack([r.row for r in rows])).to(x)
    offset = x.new_tensor([r.offset for r in rows])
    return x @ matrix.T + offset
