"""Planted alternative laws: compact dynamics that rigid bodies of no parameters have.

A law is a shape, of the order of 1 at the region's edge, and a builder that puts a multiple of it
into the dynamics; the multiple is chosen so that accelerations in the region change by a given
fraction. A new law is one line in `forces` or `inertias`, or one builder.

`DEFINE_RESOLUTION` names the laws that `discover.examination.resolution` itself plants on a fitted
law to measure what could have been detected. The score of the stated resolution leaves them out;
`tests/calibration/test_disjoint_families.py` compares the shapes of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.calibration.planted.contract import NOISES, Planted, Setting, size_for
from kinematics import Robot
from kinematics.programs import trace

Force = Callable[[Tensor, Tensor], Tensor]
STRENGTHS = {"strong": 0.3, "hidden": 0.015}
DEFINE_RESOLUTION = frozenset(
    {
        "drag of power 2",
        "drag of power 3/2",
        "cubic spring",
        "periodic potential",
        "saturated drag",
        "drag growing with angle",
        "non-reciprocal coupling",
        "product of speeds",
        "inertia growing with speed",
        "inertia with unlisted angle",
    }
)


def with_force(robot: Robot, force: Force):
    """Rigid bodies and a generalised force that resists: H a + bias + force(q, v) = tau."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(robot, q, v, tau - force(q, v))

    return model


def with_inertia(robot: Robot, inertia: Force):
    """Rigid bodies and an added diagonal inertia that depends on the state."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        H = kinematics.crba(robot, q) + torch.diag_embed(inertia(q, v))
        rest = tau - kinematics.bias(robot, q, v)
        return torch.linalg.solve(H, rest.unsqueeze(-1)).squeeze(-1)

    return model


def with_gravity(robot: Robot, factor: float):
    """Bodies whose weight is not that of their inertia: gravity times 1 + factor, masses as before.

    For a single joint these are other possible bodies; for two or more they are none.
    """

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        weight = kinematics.bias(robot, q, torch.zeros_like(v))
        return kinematics.aba(robot, q, v, tau - factor * weight)

    return model


def with_weak_coupling(robot: Robot, factor: float):
    """Inertia whose off-diagonal part is (1 + factor) times that of bodies, forces as before."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        H = kinematics.crba(robot, q)
        diagonal = torch.diag_embed(H.diagonal(dim1=-2, dim2=-1))
        rest = tau - kinematics.bias(robot, q, v)
        H = diagonal + (H - diagonal) / (1 + factor)
        return torch.linalg.solve(H, rest.unsqueeze(-1)).squeeze(-1)

    return model


def without_speed_products(robot: Robot, factor: float):
    """Coriolis and centrifugal forces times 1 - factor: what a bad derivation would give."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        whole = kinematics.bias(robot, q, v)
        extra = whole - kinematics.bias(robot, q, torch.zeros_like(v))
        return kinematics.aba(robot, q, v, tau + factor * extra)

    return model


def with_saturated_actuators(setting: Setting, factor: float):
    """Joint forces that flatten: T tanh(tau / T), T = half-width over factor."""
    limit = setting.half_width("tau") / factor

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(setting.robot, q, v, limit * torch.tanh(tau / limit))

    return model


def first_order(setting: Setting):
    """Motion as Aristotle had it: speeds relax to (tau - gravity) / D, inertia plays no part."""
    robot = setting.robot
    q, _, _ = setting.samples(64)
    rate = 1.0 / kinematics.crba(robot, q).diagonal(dim1=-2, dim2=-1).mean(0)
    drag = setting.half_width("tau") / setting.half_width("v")

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        gravity = kinematics.bias(robot, q, torch.zeros_like(v))
        return rate * (tau - gravity - drag * v)

    return model


def with_truncated_trigonometry(
    robot: Robot, order: int
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The dynamics of `robot` with sin and cos cut after the power `order`: a = H⁻¹ (tau - bias).

    Every sine and cosine of the traced recursions is replaced, so H and bias are those of bodies
    that a person derived with small angles. Hinges only.
    """
    import sympy

    functions = {"sin": lambda x: _sine(x, order), "cos": lambda x: _cosine(x, order)}
    parts = []
    for what in ("crba", "bias"):
        form = trace(robot, what).sympy()
        names = [f"{g}{j + 1}" for g in ("q", "v") for j in range(robot.nv)]
        inputs = [form.symbols.get(n, sympy.Symbol(n)) for n in names]
        outputs = list(form.substituted())
        parts.append(sympy.lambdify(inputs, outputs, modules=[functions, "numpy"], cse=True))

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        columns = [*q.numpy().T, *v.numpy().T]
        n, nv = v.shape
        flat = [
            torch.from_numpy(np.stack([np.broadcast_to(x, n) for x in part(*columns)], -1).copy())
            for part in parts
        ]
        H, bias = flat[0].reshape(n, nv, nv), flat[1]
        return torch.linalg.solve(H, (tau - bias).unsqueeze(-1)).squeeze(-1)

    return model


def _sine(x, order: int):
    return sum(
        (-1) ** k * x ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range((order + 1) // 2)
    )


def _cosine(x, order: int):
    return sum((-1) ** k * x ** (2 * k) / math.factorial(2 * k) for k in range(order // 2 + 1)) + (
        0 * x
    )


def forces(setting: Setting) -> dict[str, Force]:
    """Shapes of unlisted forces, each of the order of 1 at the region's edge."""
    nv = setting.nv
    half = {g: setting.half_width(g) for g in ("q", "v", "tau")}
    joints = setting.scalar_joints()
    first, last = joints[0], joints[-1]
    entry = {j: setting.entry(j) for j in joints}

    def on(j: int, values: Tensor) -> Tensor:
        out = values.new_zeros(*values.shape, nv)
        out[..., j] = values
        return out

    def speed(v: Tensor, j: int) -> Tensor:
        return v[..., j] / half["v"][j]

    def place(q: Tensor, j: int) -> Tensor:
        return q[..., entry[j]] / half["q"][j]

    laws: dict[str, Force] = {
        "drag of power 2": lambda q, v: on(last, speed(v, last) * speed(v, last).abs()),
        "drag of power 3/2": lambda q, v: on(
            first, speed(v, first).sign() * speed(v, first).abs() ** 1.5
        ),
        "cubic spring": lambda q, v: on(last, place(q, last) ** 3),
        "periodic potential": lambda q, v: on(last, torch.sin(3 * q[..., entry[last]])),
        "saturated drag": lambda q, v: on(first, torch.tanh(3 * speed(v, first))),
        "drag growing with angle": lambda q, v: on(last, speed(v, last) * place(q, last) ** 2),
    }
    if len(joints) > 1:
        laws |= {
            "non-reciprocal coupling": lambda q, v: on(last, speed(v, first)),
            "curl force": lambda q, v: on(first, place(q, last)) - on(last, place(q, first)),
            "product of speeds": lambda q, v: on(first, speed(v, first) * speed(v, last)),
            "coupled potential": lambda q, v: (
                on(first, torch.sin(q[..., entry[first]] - q[..., entry[last]]))
                - on(last, torch.sin(q[..., entry[first]] - q[..., entry[last]]))
            ),
        }
    return laws


def with_strong_force(setting: Setting, kind: str) -> Callable:
    """The robot with the force `forces`[kind], which changes accelerations inside by 30 %."""
    shape, states = forces(setting)[kind], setting.samples(256)
    size = size_for(
        lambda size: with_force(setting.robot, lambda q, v: size * shape(q, v)),
        states,
        kinematics.aba(setting.robot, *states),
        STRENGTHS["strong"],
    )
    size = 1.0 if size is None else size
    return with_force(setting.robot, lambda q, v: size * shape(q, v))


def inertias(setting: Setting) -> dict[str, Force]:
    """Shapes of inertia that no bodies have, each of the order of 1 at the region's edge."""
    nv = setting.nv
    first = setting.scalar_joints()[0]
    at, speed = setting.entry(first), setting.half_width("v")

    def on_first(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values[..., None], (first, nv - 1 - first))

    return {
        "inertia growing with speed": lambda q, v: on_first((v[..., first] / speed[first]) ** 2),
        "inertia with unlisted angle": lambda q, v: on_first(1 + torch.cos(3 * q[..., at])),
    }


def _builders(setting: Setting) -> dict[str, Callable[[float], Callable]]:
    """Mechanism -> (size -> model), for all that can be made strong or hidden."""
    robot = setting.robot

    def scaled(builder, shape: Force) -> Callable[[float], Callable]:
        return lambda size: builder(robot, lambda q, v: size * shape(q, v))

    made = {kind: scaled(with_force, shape) for kind, shape in forces(setting).items()}
    made |= {kind: scaled(with_inertia, shape) for kind, shape in inertias(setting).items()}
    made["saturated actuators"] = lambda size: with_saturated_actuators(setting, size)
    if setting.nv > 1:
        made["weak coupling of inertia"] = lambda size: with_weak_coupling(robot, size)
        made["altered speed products"] = lambda size: without_speed_products(robot, size)
        made["weight unlike inertia"] = lambda size: with_gravity(robot, size)
    return made


def planted_models(setting: Setting, noises: tuple[str, ...] = tuple(NOISES)) -> list[Planted]:
    """All planted alternatives of one setting, strong (30 % inside) and hidden (1.5 %)."""
    states = setting.samples(256 if setting.nv <= 3 else 64)
    plain = kinematics.aba(setting.robot, *states)
    planted: list[Planted] = []

    def one(kind: str, build: Callable[[], Callable], strength: str) -> None:
        clean = Planted(kind=kind, truth="alternative law", build=build, strength=strength)
        planted.extend(clean if n == "clean" else clean.with_noise(setting, n) for n in noises)

    for kind, builder in _builders(setting).items():
        for strength, fraction in STRENGTHS.items():
            size = size_for(builder, states, plain, fraction)
            if size is not None:
                one(kind, partial(builder, size), strength)
    weight = kinematics.bias(setting.robot, states[0], torch.zeros_like(states[1]))
    # For a single joint, relaxing speeds are a damped pendulum: physics.
    if setting.nv > 1 and bool(weight.abs().amax() > 1e-3 * setting.half_width("tau").mean()):
        one("first-order motion", lambda: first_order(setting), "strong")
    if setting.nv <= 3 and set(setting.robot.kinds) <= {"revolute", "continuous"}:
        for order, strength in ((1, "strong"), (3, "hidden")):
            one(
                "truncated trigonometry",
                partial(with_truncated_trigonometry, setting.robot, order),
                strength,
            )
    return planted
