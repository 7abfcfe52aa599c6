"""The step of a model that answers with next states: integrator, sub-steps, coordinates.

A step map turns a law of accelerations into a law of steps. Explicit Runge–Kutta schemes are given
by their tableaux (Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, II.1);
quaternions are integrated in a chart about the start of the step (Munthe-Kaas 1999). MuJoCo's
implicit Euler is its documentation's "Numerical integration": (H + h D) a = forces at the start,
with D the joint damping ("implicit_damping") or the derivative of all forces in v
("implicit_velocity").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.errors import ModelError
from kinematics import Robot
from kinematics.algorithms.simulate import chart_rate
from kinematics.spatial import rotations

Acceleration = Callable[[Tensor, Tensor, Tensor], Tensor]

# rows of A below the diagonal, then the weights b
_TABLEAUX: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]] = {
    "explicit_euler": ((), (1.0,)),
    "midpoint": (((0.5,),), (0.0, 1.0)),
    "heun": (((1.0,),), (0.5, 0.5)),
    "rk3": (((0.5,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6)),
    "rk4": (((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}
IMPLICIT = ("implicit_damping", "implicit_velocity")
SCHEMES = ("semi_implicit_euler", *IMPLICIT, "verlet", *_TABLEAUX)
ORDER = dict.fromkeys(SCHEMES, 1) | {"midpoint": 2, "heun": 2, "rk3": 3, "rk4": 4}
_SINGLE = ("semi_implicit_euler", "explicit_euler", *IMPLICIT)  # one evaluation a sub-step
_WORDS = {
    "semi_implicit_euler": "semi-implicit Euler",
    "implicit_damping": "Euler with implicit joint damping",
    "implicit_velocity": "Euler implicit in velocity",
    "verlet": "velocity Verlet",
    "explicit_euler": "explicit Euler",
    "midpoint": "explicit midpoint",
    "heun": "Heun",
    "rk3": "Runge–Kutta 3",
    "rk4": "Runge–Kutta 4",
}
_OTHER_NAMES = {"euler": "semi_implicit_euler", "implicitfast": "implicit_damping",
                "implicit": "implicit_velocity"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StepMap:
    """How a model's step follows from accelerations.

    scheme    one of SCHEMES
    dt        [s] of the whole step
    substeps  equal parts that it is made of; forces are held over all of them
    frame     in which a free joint's velocity is integrated: "body", its twist (ours); or "world",
              the velocity of its origin in world axes, positions and rotations apart (MuJoCo's,
              measured with its version 4.0)
    turns     (k, start) of each angle q[k] that a step answers within [start, start + 2π), as the
              model did; other angles go on over whole turns
    """

    scheme: str
    dt: float
    substeps: int = 1
    frame: str = "body"
    turns: tuple[tuple[int, float], ...] = ()

    def within_turns(self, q: Any) -> Any:
        """Configurations (…, nq), tensor or array, with the angles of `turns` in their interval."""
        if not self.turns:
            return q
        out = q.copy() if isinstance(q, np.ndarray) else q.clone()
        for k, start in self.turns:
            out[..., k] = (q[..., k] - start) % (2 * math.pi) + start
        return out

    @property
    def h(self) -> float:
        """One sub-step [s]."""
        return self.dt / self.substeps

    @property
    def direct(self) -> bool:
        """Whether (v' - v) / dt is the acceleration at the start."""
        return self.scheme in _SINGLE and self.substeps == 1 and self.frame == "body"

    @property
    def starts(self) -> bool:
        """Whether the step's mean acceleration is that of its start, but for the frame."""
        return self.scheme in _SINGLE and self.substeps == 1

    @property
    def evaluations(self) -> int:
        """How often the law's acceleration is asked in one step."""
        stages = len(_TABLEAUX[self.scheme][1]) if self.scheme in _TABLEAUX else 1
        return self.substeps * (2 if self.scheme == "verlet" else stages)

    def __str__(self) -> str:
        """In words."""
        words = _WORDS[self.scheme]
        if self.substeps > 1:
            words += f", {self.substeps} sub-steps of {1e3 * self.h:.4g} ms"
        else:
            words += f", one step of {1e3 * self.dt:.4g} ms"
        return words + (", in MuJoCo's coordinates of free and ball joints"
                        if self.frame == "world" else "")  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain words and numbers."""
        return asdict(self)


def scheme_named(name: str | None) -> str | None:
    """The scheme of a name, MuJoCo's names ("euler", "implicit", "implicitfast") included.

    Raises ModelError.
    """
    if name is None:
        return None
    known = {n.lower().replace("-", "_"): n for n in SCHEMES} | _OTHER_NAMES
    found = known.get(str(name).strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise ModelError(f"expected an integrator of {', '.join(SCHEMES)}, found {name!r}")
    return found


def advance(
    step: StepMap, robot: Robot, acceleration: Acceleration, q: Tensor, v: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor]:
    """(q', (v' - v) / dt): one step from q (n, nq), v (n, nv) under the joint forces tau.

    acceleration: the law, with what its scheme treats implicitly in it (`Family.stepping`).
    """
    flow = _WorldFlow(robot, acceleration, tau) if step.frame == "world" else _Flow(
        robot, acceleration, tau
    )  # fmt: skip
    w = flow.enter(q, v)
    at = q
    mean = torch.zeros_like(v)
    for _ in range(step.substeps):
        at, rate = substep(step, flow, at, w)
        w = w + step.h * rate
        mean = rate
    if step.frame == "body" and step.substeps == 1:
        return at, mean
    return at, (flow.leave(at, w) - v) / step.dt


class Flow(Protocol):
    """What a scheme needs of a motion: over tensors, or over the nodes of a program."""

    def rate(self, q: Any, w: Any) -> Any: ...
    def move(self, q: Any, x: Any) -> Any: ...
    def chart(self, x: Any, w: Any) -> Any: ...


def substep(step: StepMap, flow: Flow, q: Any, w: Any) -> tuple[Any, Any]:
    """(q', mean rate of w) of one sub-step."""
    h = step.h
    if step.scheme == "verlet":
        half = w + 0.5 * h * flow.rate(q, w)
        at = flow.move(q, h * half)
        return at, (half + 0.5 * h * flow.rate(at, half) - w) / h
    if step.scheme not in _TABLEAUX:
        rate = flow.rate(q, w)
        return flow.move(q, h * (w + h * rate)), rate
    rows, weights = _TABLEAUX[step.scheme]
    moves, rates = [w], [flow.rate(q, w)]
    for row in rows:
        x = h * _sum(row, moves)
        there = w + h * _sum(row, rates)
        moves.append(flow.chart(x, there))
        rates.append(flow.rate(flow.move(q, x), there))
    return flow.move(q, h * _sum(weights, moves)), _sum(weights, rates)


def _sum(weights: tuple[float, ...], parts: list[Any]) -> Any:
    total = None
    for weight, part in zip(weights, parts, strict=True):
        if weight:
            total = weight * part if total is None else total + weight * part
    assert total is not None
    return total


class _Flow:
    """Motion in the robot's own velocities."""

    def __init__(self, robot: Robot, acceleration: Acceleration, tau: Tensor):
        self.robot, self.acceleration, self.tau = robot, acceleration, tau

    def enter(self, q: Tensor, v: Tensor) -> Tensor:
        """The velocities that are integrated."""
        return v

    def leave(self, q: Tensor, w: Tensor) -> Tensor:
        """The robot's velocities."""
        return w

    def rate(self, q: Tensor, w: Tensor) -> Tensor:
        """Their rate of change."""
        return self.acceleration(q, w, self.tau)

    def move(self, q: Tensor, x: Tensor) -> Tensor:
        """q moved by x."""
        return kinematics.integrate(self.robot, q, x, 1.0)

    def chart(self, x: Tensor, w: Tensor) -> Tensor:
        """The rate of x, where velocities are w."""
        return chart_rate(self.robot, x, w)


class _WorldFlow(_Flow):
    """Motion in MuJoCo's velocities: of free joints the origin's, in the axes of the parent."""

    def _free(self) -> list[tuple[slice, slice]]:
        """(angular, linear) velocities, by free joint; quaternions follow from the joint."""
        robot = self.robot
        at = [robot.v_slices[j] for j in robot.independent_joints if robot.kinds[j] == "free"]
        return [(slice(s.start, s.start + 3), slice(s.start + 3, s.stop)) for s in at]

    def _quaternions(self, q: Tensor) -> list[Tensor]:
        robot = self.robot
        at = [robot.q_slices[j] for j in robot.independent_joints if robot.kinds[j] == "free"]
        return [q[..., s.stop - 4 : s.stop] for s in at]

    def enter(self, q: Tensor, v: Tensor) -> Tensor:
        w = v.clone()
        for (_, linear), turn in zip(self._free(), self._quaternions(q), strict=True):
            w[..., linear] = rotations.rotate_by_quaternion(turn, v[..., linear])
        return w

    def leave(self, q: Tensor, w: Tensor) -> Tensor:
        v = w.clone()
        for (_, linear), turn in zip(self._free(), self._quaternions(q), strict=True):
            back = rotations.quaternion_conjugate(turn)
            v[..., linear] = rotations.rotate_by_quaternion(back, w[..., linear])
        return v

    def rate(self, q: Tensor, w: Tensor) -> Tensor:
        v = self.leave(q, w)
        a = self.acceleration(q, v, self.tau)
        out = a.clone()
        for (angular, linear), turn in zip(self._free(), self._quaternions(q), strict=True):
            spatial = a[..., linear] + torch.linalg.cross(v[..., angular], v[..., linear])
            out[..., linear] = rotations.rotate_by_quaternion(turn, spatial)
        return out

    def move(self, q: Tensor, x: Tensor) -> Tensor:
        turned = x.clone()
        for _, linear in self._free():
            turned[..., linear] = 0.0
        moved = kinematics.integrate(self.robot, q, turned, 1.0).clone()
        robot = self.robot
        frees = [j for j in robot.independent_joints if robot.kinds[j] == "free"]
        for joint, (_, linear) in zip(frees, self._free(), strict=True):
            start = robot.q_slices[joint].start
            moved[..., start : start + 3] = q[..., start : start + 3] + x[..., linear]
        return moved

    def chart(self, x: Tensor, w: Tensor) -> Tensor:
        out = w.clone()
        for joint in self.robot.independent_joints:
            at = self.robot.v_slices[joint]
            if self.robot.kinds[joint] in ("free", "spherical"):
                turning = slice(at.start, at.start + 3)
                out[..., turning] = rotations.left_jacobian_inverse(
                    -x[..., turning], w[..., turning]
                )
        return out
