"""Metrics between a model and a law: errors beyond noise, growth, gain, where a law ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.session import AXES, QuerySession
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import without_joint_terms
from discover.laws.rigid_body.consistency import Completion
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.probes.noise import NoiseFloor
from discover.probes.reach import EDGES, curves, edge, reach, relative, tolerance

_BODILESS = threshold("examination.bodiless")
_SOME = 32
_LEFT = threshold("examination.law_left")
_LITTLE = threshold("examination.nothing_but_noise")
_BEYOND = threshold("examination.inner_law_ended")
_ROUNDING_RATIO = threshold("examination.rounding_ratio")
_NO_WORSE = threshold("examination.no_axis_worse")


def fit_answers(session: QuerySession, family: Family, answers: Answers, scale, start=None) -> Fit:
    """The member of a family closest to the answers: through the step of a model of next states."""
    return fit(family, answers, scale=scale, start=start, step=session.step)


def worst_error(law: Fit, sets: list[Answers], noise: NoiseFloor) -> float:
    """The largest relative error over the sets, beyond the model's own noise; infinite without
    sets, as where no answer was finite."""
    errors = (excess(relative(law, s), relative_noise(noise, s)) for s in sets)
    return max(errors, default=float("inf"))


def gain_by_axis(
    before: Fit, after: Fit, sets: list[Answers], noise: NoiseFloor, blur: float
) -> float:
    """How many times smaller the far error became: along the axis that shows it best, unless
    another axis became worse; then the worst axis of each counts."""
    errors = [
        tuple(excess(relative(law, s), relative_noise(noise, s)) for law in (before, after))
        for s in sets
    ]
    ratios = [gain(b, a, blur) for b, a in errors]
    if min(ratios) >= _NO_WORSE:
        return max(ratios)
    return gain(max(b for b, _ in errors), max(a for _, a in errors), blur)


def gain(before: float, after: float, blur: float) -> float:
    """How many times smaller an error became, both blurred by what noise and rounding leave
    uncertain."""
    blur = max(blur, _ROUNDING_RATIO)
    if not np.isfinite(before) or not np.isfinite(after):
        return 1.0 if before == after else before / max(after, blur)
    return float(np.hypot(before, blur) / np.hypot(after, blur))


def excess(error: float, noise_level: float) -> float:
    """What of an error is not noise; both relative."""
    return float(np.sqrt(max(error**2 - noise_level**2, 0.0))) if np.isfinite(error) else error


def relative_noise(noise: NoiseFloor, answers: Answers) -> float:
    ok = answers.a[torch.isfinite(answers.a).all(-1)]
    if not len(ok):
        return 0.0
    return float((noise.sigma.square() / ok.square().mean(0).clamp_min(1e-300)).mean().sqrt())


def cost_of_bodies(
    session: QuerySession, law: Fit, completion: Completion, answers: Answers, level: float
) -> float:
    """1 + what physically possible bodies cost, over `level` (standardised); 1 where this cannot be
    said, since some of the geometry is a guess.

    A joint that moves no inertia but that of its own rotor, where the description has bodies, is
    possible on paper only: such a law is one of joints, not of bodies in a tree.
    """
    if not session.geometry_known:
        return 1.0
    cost = 1.0 + completion.cost / level
    if not any(t.joint_term == "armature" for t in law.family.terms):
        return cost
    some = answers[:_SOME]
    H, _ = law.family.inertia_and_bias(law.theta, some.q, some.v, some.tau)
    bodies = kinematics.crba(law.family.member(law.theta), some.q)
    described = kinematics.crba(without_joint_terms(session.robot), some.q)
    expected = _own_share(described, kinematics.crba(session.robot, some.q)).clamp(1e-300, 1.0)
    share = (_own_share(bodies, H) / expected).min()
    return max(cost, _BODILESS / max(float(share), 1e-12) * cost)


def _own_share(bodies: torch.Tensor, H: torch.Tensor) -> torch.Tensor:
    """What of the inertia that each joint moves (nv,) is its bodies', the median over states."""
    return (bodies / H).diagonal(dim1=-2, dim2=-1).median(0).values


def residual_growth(law: Fit, inside: Answers, outside: Answers, noise: NoiseFloor) -> float:
    """Residual outside over inside, in absolute terms, never below the noise floor."""
    level = max(noise.level, _ROUNDING_RATIO)
    inner = max(law.standardised_error(inside), level)
    rows = law.residual(outside).square().mean(-1).sqrt()
    outer = float(rows.median()) if bool(torch.isfinite(rows).all()) else float("inf")
    return max(outer, level) / inner


def law_ends(
    session: QuerySession, law: Fit, inside: Answers, far: list[Answers], noise: NoiseFloor
) -> dict[str, float]:
    """Along each axis, where the model leaves a law that describes it inside [half-widths]."""
    level = max(law.standardised_error(inside), noise.own)
    found = {}
    for axis, answers in zip(AXES, far, strict=True):
        rows = law.residual(answers).square().mean(-1).sqrt()
        if bool((rows.median() > _LEFT * level) | ~torch.isfinite(rows).all()):
            found[axis] = edge(session, law, axis, max(_LEFT * level, tolerance(noise)))
    return {axis: at for axis, at in found.items() if at is not None}


def inner_law_end(session: QuerySession, law: Fit, inside: Answers, noise: NoiseFloor) -> float:
    """How far the law of the region goes on, along the axis that it ends on first [half-widths];
    0 where there is none.

    What was interpolated between samples ends where they do, on some axis by itself. With all axes
    at once there are corners, where surfaces that have nothing to do with the region come nearer.
    """
    drawn = curves(session, law, inside)
    return min(reach(c, tolerance(noise))[0] for axis, c in drawn.items() if axis != "joint")


def inner_law_end_in_noise(
    session: QuerySession, laws: Sequence[Fit], inside: Answers, noise: NoiseFloor
) -> float | None:
    """The same of laws that leave nothing but noise over in the region, with their errors beyond
    noise: of the law that goes on furthest. None where none of them leaves so little.
    """
    level = relative_noise(noise, inside)
    little = [law for law in laws if excess(relative(law, inside), level) < _LITTLE * level]
    if not little:
        return None
    return max(min(_past_the_edge(session, law, inside, noise)) for law in little)


def _past_the_edge(
    session: QuerySession, law: Fit, inside: Answers, noise: NoiseFloor
) -> Iterator[float]:
    """Along each axis by itself, how far the law goes on [half-widths]."""
    for axis, curve in curves(session, law, inside).items():
        if axis == "joint":
            continue
        asked = [session.shell(axis, lo, hi, 1) for lo, hi in pairwise(EDGES)]
        levels = [relative_noise(noise, x) for x in (inside, *asked)]
        beyond = [excess(e, level) for e, level in zip(curve.error, levels, strict=True)]
        yield reach(replace(curve, error=beyond), _BEYOND)[0]


def exact_floor(noise: NoiseFloor) -> float:
    """The relative error below which growth is rounding."""
    return max(_ROUNDING_RATIO, 10 * noise.rounding)
