"""Reach: how far out, along each axis, a law goes on describing the model.

An error-against-distance curve from thin shells, and the distance at which it crosses a tolerance.
The law is frozen before; only the model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.session import AXES, QuerySession
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.fit import Fit
from discover.probes.noise import NoiseFloor
from discover.records import Stored

EDGES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)  # outer edges [half-widths]; the first is the region
FARTHEST = EDGES[-1]
_TOLERANCE = threshold("probes.reach_tolerance")
_RESAMPLES = 200
_RAYS = 12
_FEW_ROWS = 4
_RESOLVED = 1 / 64  # half-widths, between which an edge lies


@dataclass(frozen=True, kw_only=True)
class ErrorCurve(Stored):
    """Relative error of one `Dynamics` about another against distance along one axis.

    axis      "joint" (q, v and tau together), "q", "v" or "tau"
    subject   what is compared with what, such as "law against model"
    distance  outer edges of the shells [half-widths]; 1.0 stands for the region itself
    error     relative root-mean-square error in each, with a 95 % bootstrap band (low, high);
              infinite where an answer was not finite
    """

    axis: str
    subject: str
    distance: list[float]
    error: list[float]
    low: list[float]
    high: list[float]


class Predicts(Protocol):
    """A law, fitted or kept."""

    def predict(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Accelerations (n, nv)."""


def curves(session: QuerySession, law: Predicts, inside: Answers) -> dict[str, ErrorCurve]:
    """The law's error on the model, relative to the model's own spread in each shell."""
    result = {}
    for axis in AXES:
        errors = [_banded(law, inside, session.seed)]
        for lo, hi in pairwise(EDGES):
            far = session.shell(axis, lo, hi, session.budget.shell)
            errors.append(_banded(law, far, session.seed))
        value, low, high = (list(x) for x in zip(*errors, strict=True))
        result[axis] = ErrorCurve(
            axis=axis,
            subject="law against model",
            distance=list(EDGES),
            error=value,
            low=low,
            high=high,
        )
    return result


def tolerance(floor: NoiseFloor) -> float:
    """The relative error at which a law is said to have reached its end."""
    return _TOLERANCE + 3 * floor.random


def reach(curve: ErrorCurve, tolerance: float) -> tuple[float, bool]:
    """(distance in half-widths where the error crosses the tolerance, whether it never does).

    Interpolated on a logarithmic scale between shell centres; 0 if the law fails inside already.
    """
    if not curve.error[0] <= tolerance:
        return 0.0, False
    centres = [1.0] + [0.5 * (a + b) for a, b in pairwise(curve.distance)]
    for i in range(1, len(centres)):
        if not curve.error[i] <= tolerance:
            below, above = max(curve.error[i - 1], 1e-15), curve.error[i]
            if not np.isfinite(above):
                return centres[i - 1], False
            share = np.log(tolerance / below) / np.log(above / below)
            return float(centres[i - 1] + share * (centres[i] - centres[i - 1])), False
    return FARTHEST, True


def refined(curve: ErrorCurve, tolerance: float, edge: float | None) -> tuple[float, bool]:
    """`reach`, no further than a departure that rays located.

    edge  where the first answers leave the law (see `edge`): the mean that a curve draws crosses
          the tolerance later, where a few directions alone do
    """
    crossing, whole = reach(curve, tolerance)
    if edge is None:
        return crossing, whole
    return min(edge, crossing), whole and edge >= FARTHEST


def edge(
    session: QuerySession, law: Fit, axis: str, tolerance: float, onset: float | None = None
) -> float | None:
    """The distance at which the model leaves a law that holds inside; None if it never does.

    Bisects along rays: from the centre through answers that are off by more than `tolerance`
    (standardised), and along single joints, both ways. The nearest crossing counts: of `tolerance`,
    or, where the law is exact inside, of the smaller departure `onset`. What ends in a kink, as a
    speed that does not grow any more, sets in there and crosses the tolerance later.
    """
    onset = tolerance if onset is None else onset
    robot, region = session.robot, session.support.region
    far = Answers.concat([session.shell(axis, lo, hi, _FEW_ROWS) for lo, hi in pairwise(EDGES)])
    distance = getattr(sampling.distance(region, robot, _states(far)), axis)
    order = torch.argsort(distance)
    off = [i for i in order.tolist() if _off(session, law, far[[i]], tolerance)]
    rays = [_states(far[off[:_RAYS]])] if off else []
    if axis != "joint":
        rays.append(_single_joint_rays(session, axis))
    if not rays:
        return None
    ends = sampling.Batch(*(torch.cat(x) for x in zip(*rays, strict=True)))
    rows = getattr(sampling.distance(region, robot, ends), axis)
    # The law holds up to the edge of the region. Recorded states fill only a part of the box that
    # they span, so a state beyond them can lie inside the box: there the centre is the start.
    low = torch.where(rows > 1, 1 / rows, torch.zeros_like(rows))
    bad = _off(session, law, _ask_at(session, ends, axis, torch.ones_like(rows)), tolerance)
    if not bool(bad.any()):
        return None
    ends = sampling.Batch(*(x[bad] for x in ends))
    return _nearest(session, law, axis, ends, rows[bad], low[bad], onset)


def _nearest(
    session: QuerySession,
    law: Fit,
    axis: str,
    ends: sampling.Batch,
    rows: Tensor,
    low: Tensor,
    onset: float,
) -> float:
    """The smallest distance at which any of these rays leaves the law by more than `onset`.

    ends  of the rays, off the law; rows (n,) their distances; low (n,) the shares of the way out to
          which the law holds

    One ray is bisected; of the others only those need be followed that are off already where it is
    still the law's: of n rays in any order about log n.
    """
    high = torch.ones_like(rows)
    nearest = 0.0
    while len(rows):
        first = int((high * rows).argmin())
        ray = sampling.Batch(*(x[[first]] for x in ends))
        row, inner, outer = float(rows[first]), low[[first]], high[[first]]
        while float(outer - inner) * row > _RESOLVED:
            middle = 0.5 * (inner + outer)
            left = bool(_off(session, law, _ask_at(session, ray, axis, middle), onset))
            inner, outer = (inner, middle) if left else (middle, outer)
        nearest = 0.5 * float(inner + outer) * row
        reached = float(inner) * row / rows
        others = low < reached
        others[first] = False
        ends = sampling.Batch(*(x[others] for x in ends))
        rows, low, high = rows[others], low[others], reached[others]
        if len(rows):
            wrong = _off(session, law, _ask_at(session, ends, axis, high), onset)
            ends = sampling.Batch(*(x[wrong] for x in ends))
            rows, low, high = rows[wrong], low[wrong], high[wrong]
    return nearest


def _states(answers: Answers) -> sampling.Batch:
    return sampling.Batch(answers.q, answers.v, answers.commands)


def _off(session: QuerySession, law: Fit, answers: Answers, tolerance: float) -> Tensor:
    """Which answers are not the law's (n,); those of another regime say nothing."""
    size = law.residual(answers).square().mean(-1).sqrt()
    return ~(size <= tolerance) & ~session.entered(answers)


def _single_joint_rays(session: QuerySession, axis: str) -> sampling.Batch:
    """Ends of rays along each joint alone, both ways, from random states of the region."""
    n = len(session.half_widths(axis))
    start = session.draw("rays", 2 * n)
    unit = torch.cat([torch.eye(n), -torch.eye(n)]).to(torch.float64)
    neutral = session.robot.neutral().to(torch.float64).expand(2 * n, -1)
    moved = {"q": kinematics.difference(session.robot, neutral, start.q)}
    moved |= {"v": start.v, "tau": start.tau}
    side = getattr(session.support.region, axis)
    inside = ((moved[axis] - side.centre) / side.half_width).clamp(-1.0, 1.0)
    offset = torch.where(unit != 0, FARTHEST * unit, inside / FARTHEST)
    moved[axis] = side.centre + side.half_width * offset
    q = kinematics.integrate(session.robot, neutral, moved["q"], 1.0)
    return session.permitted(sampling.Batch(q, moved["v"], moved["tau"]))


def single_joints(session: QuerySession, axis: str) -> Answers:
    """Answers with one joint alone far out along an axis ("q", "v", "tau"), both ways."""
    ends = _single_joint_rays(session, axis)
    answers = session.ask(ends.q, ends.v, ends.tau)
    lawful = ~session.entered(answers)
    return answers[lawful] if bool(lawful.any()) else answers


def _ask_at(session: QuerySession, ends: sampling.Batch, axis: str, share: Tensor) -> Answers:
    """Answers at a share (n,) of the way from the centre to the ends, in the axis' group."""
    robot, region = session.robot, session.support.region
    neutral = robot.neutral().to(torch.float64).expand(len(share), -1)
    moved = {"q": kinematics.difference(robot, neutral, ends.q), "v": ends.v, "tau": ends.tau}
    for group in ("q", "v", "tau") if axis == "joint" else (axis,):
        centre = getattr(region, group).centre
        moved[group] = centre + share[:, None] * (moved[group] - centre)
    q = kinematics.integrate(robot, neutral, moved["q"], 1.0)
    return session.ask(q, moved["v"], moved["tau"])


def error_rows(law: Predicts, answers: Answers) -> Tensor:
    """Squared error of each answer, each joint over its mean square in this set, averaged: (n,)."""
    predicted = law.predict(answers.q, answers.v, answers.tau)
    ok = torch.isfinite(answers.a).all(-1)
    size = answers.a[ok].square().mean(0) if bool(ok.any()) else torch.ones(answers.a.shape[-1])
    size = torch.where(size > 0, size, torch.ones_like(size))
    rows = ((answers.a - predicted).square() / size).mean(-1)
    return torch.nan_to_num(rows, nan=float("inf"), posinf=float("inf"))


def relative(law: Predicts, answers: Answers) -> float:
    """The relative error of the law on these answers (`blackbox.contract.relative_error`)."""
    return float(error_rows(law, answers).mean().sqrt())


def _banded(law: Predicts, answers: Answers, seed: int) -> tuple[float, float, float]:
    rows = error_rows(law, answers).numpy()
    value = float(np.sqrt(rows.mean()))
    if not np.isfinite(value):
        return value, value, value
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(rows), (_RESAMPLES, len(rows)))
    low, high = np.quantile(np.sqrt(rows[picks].mean(1)), [0.025, 0.975])
    return value, float(low), float(high)
