"""Planted hybrids: one thing inside and another outside, or a law with something on top.

The honest answer is *undetermined*, with what is known per region and per axis.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

import kinematics
from discover.blackbox.sampling import Batch, distance
from discover.calibration.planted.alternatives import with_strong_force
from discover.calibration.planted.contract import Planted, Setting
from discover.calibration.planted.physics import perturbed, simulator
from discover.calibration.planted.tables import Interpolant


def switched(setting: Setting, inner: Callable, outer: Callable, edge: float, axis: str):
    """`inner` up to `edge` half-widths along an axis ("joint", "q", "v", "tau"), `outer` beyond."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        far = getattr(distance(setting.region, setting.robot, Batch(q, v, tau)), axis) > edge
        return torch.where(far[:, None], outer(q, v, tau), inner(q, v, tau))

    return model


def clamped(setting: Setting, group: str, edge: float, joints: list[int] | None = None):
    """The simulator of a state whose q, v or tau stops at `edge` half-widths, on some joints."""
    robot = setting.robot
    limit = torch.full((robot.nv,), float("inf"), dtype=torch.float64)
    chosen = setting.scalar_joints() if joints is None else joints
    limit[chosen] = edge * setting.half_width(group)[chosen]

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        if group == "q":
            q = q.clone()
            for j in chosen:
                at = setting.entry(j)
                q[..., at] = q[..., at].clamp(-limit[j], limit[j])
        else:
            x = v if group == "v" else tau
            x = torch.maximum(torch.minimum(x, limit), -limit)
            v, tau = (x, tau) if group == "v" else (v, x)
        return kinematics.aba(robot, q, v, tau)

    return model


def on_one_joint(inner: Callable, outer: Callable, group: str, at: int, edge: float):
    """`inner` while one entry of q, v or tau is no further than `edge` from zero, else `outer`."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        far = {"q": q, "v": v, "tau": tau}[group][..., at].abs() > edge
        return torch.where(far[..., None], outer(q, v, tau), inner(q, v, tau))

    return model


def one_joint_from(inner: Callable, table: Callable, joint: int):
    """`inner`, but for one joint's acceleration, which `table` answers."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        a = inner(q, v, tau).clone()
        a[..., joint] = table(q, v, tau)[..., joint]
        return a

    return model


def memorised_residual(setting: Setting, size: float):
    """The simulator and, on top, random corrections remembered at 2000 points of the region."""
    generator = setting.generator()
    exact = simulator(setting.robot)

    def scatter(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return torch.randn(v.shape, generator=generator, dtype=torch.float64)

    remembered = Interpolant(KNeighborsRegressor(2), setting, 2000, teacher=scatter)
    scale = exact(*setting.samples(256)).square().mean(0).sqrt()

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return exact(q, v, tau) + size * scale * remembered(q, v, tau)

    return model


def planted_models(setting: Setting) -> list[Planted]:
    """All planted hybrids of one setting."""
    exact = simulator(setting.robot)
    last = setting.scalar_joints()[-1]

    def one(kind: str, build: Callable[[], Callable], **edges: float) -> Planted:
        return Planted(kind=kind, truth="undetermined", build=build, edges=edges)

    def limited(kind: str, build: Callable[[], Callable]) -> Planted:
        # Joint forces clipped at one value are an actuator's limits: found, told, and in the law.
        return Planted(kind=kind, truth="physics", build=build)

    def nothing(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return torch.zeros_like(v)

    def heavy() -> Callable:
        return simulator(perturbed(setting, 0.9))

    def lawful(kind: str = "cubic spring") -> Callable:
        return with_strong_force(setting, kind)

    def table() -> Callable:
        return Interpolant(KNeighborsRegressor(5, weights="distance"), setting)

    everywhere = ("joint", "q", "v", "tau")  # what ends at one distance ends there along each axis
    listed = [
        one(
            "silent outside",
            lambda: switched(setting, exact, nothing, 1.4, "joint"),
            **dict.fromkeys(everywhere, 1.4),
        ),
        one(
            "other bodies outside in q", lambda: switched(setting, exact, heavy(), 1.3, "q"), q=1.3
        ),
        one(
            "table outside",
            lambda: switched(setting, exact, table(), 1.2, "joint"),
            **dict.fromkeys(everywhere, 1.2),
        ),
        one("law outside in v", lambda: switched(setting, exact, lawful(), 1.6, "v"), v=1.6),
        one("speeds stop", lambda: clamped(setting, "v", 1.5), v=1.5),
        one("angles stop", lambda: clamped(setting, "q", 1.3), q=1.3),
        limited("forces stop", lambda: clamped(setting, "tau", 1.7)),
        one("one joint's angle stops", lambda: clamped(setting, "q", 1.4, [last]), q=1.4),
        one("physics and memorised residuals", lambda: memorised_residual(setting, 0.1)),
        one(
            "alternative law, silent outside",
            lambda: switched(setting, lawful(), nothing, 1.4, "joint"),
            **dict.fromkeys(everywhere, 1.4),
        ),
    ]
    half, angle = (float(setting.half_width(g)[last]) for g in ("v", "q"))
    if setting.nv > 1:
        listed += [
            one(
                "law outside in one joint's speed",
                lambda: on_one_joint(exact, lawful("drag of power 2"), "v", last, 1.5 * half),
                v=1.5,
            ),
            limited(
                "one joint's force stops",
                lambda: clamped(setting, "tau", 2.1, [setting.scalar_joints()[0]]),
            ),
            one(
                "other bodies outside in one joint's angle",
                lambda: on_one_joint(exact, heavy(), "q", setting.entry(last), 1.8 * angle),
                q=1.8,
            ),
            one("table of one joint", lambda: one_joint_from(exact, table(), last)),
        ]
    stops = [p for p in listed if p.kind in ("angles stop", "other bodies outside in q")]
    listed += [p.with_noise(setting, "1 % bias and noise") for p in stops]
    if setting.nv == 1:
        # One joint's speed makes no force: where it stops nobody can tell.
        listed = [p for p in listed if p.kind != "speeds stop"]
    return listed
