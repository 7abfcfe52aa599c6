"""Planted alternative laws: compact programs that are not the rigid bodies of any parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import kinematics
from discover.zoo.planted import Planted, Setting
from kinematics import Robot

Force = Callable[[Tensor, Tensor], Tensor]


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


def forces(setting: Setting) -> dict[str, Force]:
    """Shapes of unlisted forces, each of the order of 1 at the region's edge."""
    nv = setting.nv
    half = {g: getattr(setting.region, g).half_width.expand(nv) for g in ("q", "v", "tau")}
    last = nv - 1

    def on(j: int, values: Tensor) -> Tensor:
        out = values.new_zeros(*values.shape, nv)
        out[..., j] = values
        return out

    def speed(v: Tensor, j: int) -> Tensor:
        return v[..., j] / half["v"][j]

    def place(q: Tensor, j: int) -> Tensor:
        return q[..., j] / half["q"][j]

    laws: dict[str, Force] = {
        "drag of power 2": lambda q, v: on(last, speed(v, last) * speed(v, last).abs()),
        "drag of power 3/2": lambda q, v: on(0, speed(v, 0).sign() * speed(v, 0).abs() ** 1.5),
        "cubic spring": lambda q, v: on(last, place(q, last) ** 3),
        "periodic potential": lambda q, v: on(last, torch.sin(3 * q[..., last])),
        "saturated drag": lambda q, v: on(0, torch.tanh(3 * speed(v, 0))),
    }
    if nv > 1:
        laws |= {
            "non-reciprocal coupling": lambda q, v: on(last, speed(v, 0)),
            "curl force": lambda q, v: on(0, place(q, last)) - on(last, place(q, 0)),
            "product of speeds": lambda q, v: on(0, speed(v, 0) * speed(v, last)),
        }
    return laws


def inertias(setting: Setting) -> dict[str, Force]:
    """Shapes of inertia that no bodies have, each of the order of 1 at the region's edge."""
    nv = setting.nv
    speed = setting.region.v.half_width.expand(nv)

    def on_first(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values[..., None], (0, nv - 1))

    return {
        "inertia growing with speed": lambda q, v: on_first((v[..., 0] / speed[0]) ** 2),
        "inertia with unlisted angle": lambda q, v: on_first(1 + torch.cos(3 * q[..., 0])),
    }


def zoo(setting: Setting) -> list[Planted]:
    """All planted alternatives of one setting, strong (30 % inside) and hidden (1.5 %)."""
    robot = setting.robot
    q, v, tau = setting.samples(256)
    plain = kinematics.aba(robot, q, v, tau)
    planted = []
    for strength, hidden in ((0.3, False), (0.015, True)):
        for builder, shapes in ((with_force, forces(setting)), (with_inertia, inertias(setting))):
            for kind, shape in shapes.items():
                size = _size_for(builder, robot, shape, (q, v, tau), plain, strength)

                def scaled(q: Tensor, v: Tensor, shape=shape, size=size) -> Tensor:
                    return size * shape(q, v)

                planted.append(
                    Planted(
                        kind=kind + (", hidden" if hidden else ""),
                        family="alternative: " + kind,
                        truth="alternative law",
                        model=builder(robot, scaled),
                        hidden=hidden,
                    )
                )
    return planted


def _size_for(builder, robot: Robot, shape: Force, states, plain: Tensor, strength: float) -> float:
    """The factor at which the alteration changes the accelerations inside by `strength`."""
    low, high = 1e-6, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5

        def scaled(q: Tensor, v: Tensor, middle=middle) -> Tensor:
            return middle * shape(q, v)

        changed = builder(robot, scaled)(*states)
        effect = ((changed - plain).square().mean(0) / plain.square().mean(0)).mean().sqrt()
        low, high = (middle, high) if effect < strength else (low, middle)
    return (low * high) ** 0.5
