"""Laws of touch that compete: hard with restitution, a spring and damper, MuJoCo's soft law.

hard      u_n' = e |u_n| + κ |u_t'|, or a gap that just closes; κ = μ where friction is convex
          (dissipation over the whole contact velocity, which lifts what slides), 0 for Coulomb's
penalty   f = k δ - c u_n, or (k + c' u_n) δ (Hunt and Crossley 1975), δ ** 1.5; whatever moves
         freely
soft      a_n = -b u_n - k d(δ) gap - R(δ) f: force by depth, speed and what motion would be without
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from discover import numerics
from discover.contacts.touching import Touches, regression
from kinematics.contact.law import impedance

_SLIDES = 1e-6  # of the typical speed: what moves after a touch
_SPREAD = 1e-9


@dataclass(frozen=True, kw_only=True)
class TouchLaw:
    """A law of touch.

    kind        "hard", "penalty" or "soft"
    error       what it leaves of the quantity it was fitted to, relative
    restitution, friction (mu), family ("coulomb", "convex", "none"; "at least": nothing slid)
    dilatancy   [1] normal speed per sliding speed after the touch
    closes      whether a hard impact just closes the gap (restitution 0)
    stiffness [N/m^power], damping, power, crossed: of a penalty; damping times depth where crossed
    solref, solimp   of a soft law, for the inverse weight 1/kg that is `weight`
    """

    kind: str
    error: float
    friction: float = 0.0
    friction_spread: float = 0.0
    family: str = "none"
    restitution: float = 0.0
    dilatancy: float = 0.0
    closes: bool = False
    stiffness: float = 0.0
    damping: float = 0.0
    power: float = 1.0
    crossed: bool = False
    solref: tuple[float, float] = (0.02, 1.0)
    solimp: tuple[float, float, float, float, float] = (0.9, 0.95, 0.001, 0.5, 2.0)

    def __str__(self) -> str:
        mu = f"friction {self.friction:.4g} ({self.family})"
        if self.kind == "hard":
            return f"hard, restitution {self.restitution:.4g}, {mu}"
        if self.kind == "penalty":
            depth = "depth" if self.power == 1 else f"depth^{self.power:g}"
            damping = "·depth" if self.crossed else ""
            return f"spring {self.stiffness:.5g}·{depth}, damper {self.damping:.4g}{damping}, {mu}"
        solref = ", ".join(f"{x:.4g}" for x in self.solref)
        solimp = ", ".join(f"{x:.4g}" for x in self.solimp)
        return f"soft, solref ({solref}), solimp ({solimp}), {mu}"


def hard(impacts: Touches) -> TouchLaw:
    """The hard law closest to impacts from just outside."""
    came = -impacts.before[:, 0]
    after, slip = impacts.after[:, 0], impacts.slip
    mu, spread, family = friction(impacts)
    with_slip = bool((slip > 1e-3 * came.median()).any())
    columns = [slip] if with_slip else []
    bouncing, _ = regression([came, *columns], after)
    closing, _ = regression([-impacts.gap / impacts.dt, *columns], after)
    unit = float(came.square().mean().sqrt())
    errors = []
    for found, first in ((bouncing, came), (closing, -impacts.gap / impacts.dt)):
        guess = first * found[0] + (slip * found[1] if with_slip else 0.0)
        errors.append(float((guess - after).abs().median()) / unit)
    closes = errors[1] < errors[0] or float(bouncing[0].abs()) < 1e-3
    chosen = closing if closes and errors[1] < 0.02 else bouncing
    kappa = float(chosen[1]) if with_slip else 0.0
    if family == "coulomb" and abs(kappa) > 0.5 * mu:
        family = "convex"
    e = 0.0 if chosen is closing else float(bouncing[0])
    return TouchLaw(
        kind="hard", error=min(errors), friction=mu, friction_spread=spread, family=family,
        restitution=min(max(e, 0.0), 1.0), dilatancy=kappa, closes=chosen is closing,
    )  # fmt: skip


def friction(touches: Touches) -> tuple[float, float, str]:
    """(coefficient, its relative spread, family) from tangential over normal impulse where
    something slides; where nothing does, the largest ratio, which the coefficient is at least."""
    ratio = touches.friction / touches.normal.clamp_min(1e-300)
    # a joint limit has no tangents
    pushed = touches.normal > 1e-3 * touches.normal.median()
    pushed &= touches.delassus.diagonal(dim1=1, dim2=2)[:, 1:].sum(-1) > 0
    typical = float(touches.before.norm(dim=-1).median()) + 1e-300
    # 1e-2 of the speed: where a law is soft, what sticks creeps
    sliding = pushed & (touches.slip > 1e-2 * typical)
    if not bool(pushed.any()):
        return 0.0, 0.0, "none"
    # what slides in a soft law still slows towards rest where it sticks: there the cone's edge
    # shows
    # as many ratios at the largest one
    top = float(ratio[pushed].quantile(0.98))
    edge = pushed & ((ratio - top).abs() < 1e-3 * top)
    if top > 1e-6 and int(edge.sum()) >= 6:
        mu = float(ratio[edge].median())
        return mu, float((ratio[edge] - mu).abs().median()) / mu, "coulomb"
    if int(sliding.sum()) < 6:
        largest = float(ratio[pushed].max())
        return largest, 0.0, "at least" if largest > 1e-6 else "none"
    values = ratio[sliding]
    fast = touches.slip[sliding] >= touches.slip[sliding].median()
    mu = float(values[fast].median())
    spread = float((values[fast] - mu).abs().median()) / max(mu, 1e-300)
    if mu < 1e-7:
        return 0.0, 0.0, "none"
    if spread > 0.1:  # what moves is still slowed by as much as it asks for
        return float(ratio[pushed].max()), spread, "at least"
    return mu, spread, "coulomb"


def penalty(inside: Touches) -> TouchLaw:
    """The spring and damper closest to touches inside."""
    depth, coming = -inside.gap, -inside.before[:, 0]
    force = inside.normal / inside.dt
    rows = depth > 0
    best = None
    for power in (1.0, 1.5, 2.0):
        spring = depth.clamp_min(0.0) ** power
        for crossed in (False, True):
            damper = coming * (spring if crossed else 1.0)
            found, error = regression([spring[rows], damper[rows]], force[rows])
            if best is None or error < 0.5 * best[0]:
                best = (error, found, power, crossed)
    assert best is not None
    error, found, power, crossed = best
    mu, spread, family = friction(inside)
    return TouchLaw(
        kind="penalty", error=error, friction=mu, friction_spread=spread, family=family,
        stiffness=float(found[0]), damping=float(found[1]), power=power, crossed=crossed,
    )  # fmt: skip


def soft(inside: Touches, weight: Tensor) -> TouchLaw:
    """MuJoCo's soft law closest to touches inside; weight (n,) [1/kg], the inverse weight of each.

    Rows that stick (what slides in an elliptic cone gives way along it) show a_n, u_n, gap and f,
    which a spring, a damper and an impedance must explain; mind that midpoint and power of the
    impedance are taken as MuJoCo's defaults.
    """
    mu, spread, family = friction(inside)
    ratio = inside.friction / inside.normal.clamp_min(1e-300)
    held = (inside.normal > 0) & (inside.gap < 0) & (ratio < 0.9 * mu + 1e-9)
    rows = held if int(held.sum()) >= 16 else (inside.normal > 0) & (inside.gap < 0)
    u, depth = inside.before[rows, 0], inside.gap[rows]
    a = (inside.after[rows, 0] - u) / inside.dt
    R = inside.normal[rows] / inside.dt * weight[rows]  # times (1 - d) / d: what it gives way
    unit = float(a.square().mean().sqrt()) + 1e-300

    def solimp(x: Tensor) -> Tensor:
        low, high = torch.sigmoid(x[2]), torch.sigmoid(x[3])
        return torch.stack((low, high, x[4].exp(), x.new_tensor(0.5), x.new_tensor(2.0)))

    def residual(x: Tensor) -> Tensor:
        d = impedance(solimp(x), depth)
        k, b = x[0].exp(), x[1].exp()
        return (a + b * u + k * d * depth + (1 - d) / d * R) / unit

    best: tuple[float, Tensor] | None = None
    for constant, low, high in (
        (0.02, 2.2, 2.94),
        (0.02, 0.0, 2.94),
        (0.005, 2.2, 2.94),
        (0.1, 2.2, 4.6),
    ):
        b0, k0 = 2 / constant, 1 / constant**2
        x = torch.tensor([math.log(k0), math.log(b0), low, high, math.log(1e-3)], dtype=a.dtype)
        x = _minimised(residual, x)
        cost = float(residual(x).abs().median())
        if best is None or cost < best[0]:
            best = (cost, x)
    assert best is not None
    cost, x = best
    found = solimp(x)
    k, b, most = float(x[0].exp()), float(x[1].exp()), float(found[1].clamp(1e-4, 1 - 1e-4))
    constant = 2 / (most * b)
    ratio_ = 1 / (most * constant * k**0.5)
    error = float(residual(x).abs().median()) / 0.6745
    return TouchLaw(
        kind="soft", error=error, friction=mu, friction_spread=spread, family=family,
        solref=(constant, ratio_), solimp=tuple(found.tolist()),
    )  # fmt: skip


def _minimised(residual, x: Tensor) -> Tensor:
    """A Levenberg–Marquardt minimum of a robust sum, slopes by torch."""
    damping = 1e-2
    now = numerics.robust_cost(residual(x))
    for _ in range(60):
        J = torch.func.jacfwd(residual)(x)
        r = residual(x)
        w = numerics.huber_weights(r)
        A = J.T @ (w[:, None] * J)
        g = J.T @ (w * r)
        step = torch.linalg.lstsq(
            A + damping * torch.diag(A.diagonal() + 1e-12), -g[:, None]
        ).solution[:, 0]
        trial = x + step.clamp(-1.5, 1.5)
        cost = numerics.robust_cost(residual(trial))
        if cost < now:
            done = now - cost < 1e-14 * now and float(step.abs().max()) < 1e-9
            x, now, damping = trial, cost, max(damping / 5, 1e-12)
            if done:
                break
        else:
            damping *= 6
            if damping > 1e8:
                break
    return x
