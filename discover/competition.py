"""Families of laws compete for a model's answers.

They are fitted to answers inside and out to twice the region, are frozen, and are tested on fresh
answers further out, together and along each axis; what they leave over is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

from discover import power
from discover.conclusion import Finding, conclude
from discover.departures import (
    cost_of_bodies,
    excess,
    fit_answers,
    gain_by_axis,
    growth,
    relative_noise,
    remembered,
    worst,
)
from discover.dynamics import Answers
from discover.examination import Resolution
from discover.findings import evidence_from
from discover.interview import AXES, Interview
from discover.laws import unlisted
from discover.laws.consistency import complete
from discover.laws.fit import Fit
from discover.laws.selection import description_length, possible, refit, select
from discover.laws.terms import Term, joint_terms, library
from discover.probes import curvature, inertia, memory, noise, residual
from discover.probes.reach import EDGES, curves, edge, relative
from discover.sampling import Batch
from discover.verdict import judge, threshold_of

_WIDE = 2.0  # half-widths out to which laws are fitted when they compete; tested beyond
_MAX_TERMS = 3
_TABLES = 0.1  # relative error far out above which a table is a possibility
_POOL = 100  # states from which deciding questions are taken
_MANY = 7  # coordinates beyond which joint terms are not tried one by one
_ENOUGH = 100  # answers inside that fit robots of many coordinates
_CERTAIN = 3.0  # standard errors that a joint term must be worth
_DESCRIBED = 0.1  # relative error inside below which a law describes the model there
_LEFT = 5.0  # times the residual inside: a model that is off by as much has left the law
_NOWHERE = 0.25  # relative error far out at which no law holds there


@dataclass(frozen=True, kw_only=True)
class _Laws:
    """What was fitted: to the region alone, and out to twice it; `sets` are what they answered,
    `between` those of the answers that lie outside the region and no further than twice it."""

    local: Fit
    physics: Fit
    extended: Fit
    inside: Answers
    near: Answers
    between: list[Answers]
    tried: tuple[Fit, ...]
    sets: power.Sets


def compete(
    interview: Interview, first: Fit, floor: noise.Floor, training_data: tuple | None
) -> Finding:
    """Families of laws compete for the answers inside and out to twice the region."""
    gate = max(floor.rounding, 1e-10)
    laws = _fitted(interview, first, floor, gate)
    physics, extended, local, inside = laws.physics, laws.extended, laws.local, laws.inside
    held, far_sets = laws.sets.inside, laws.sets.far

    fresh = Answers.concat(far_sets)
    noise_far = relative_noise(floor, fresh)
    blur = max(gate, noise_far * (8.0 / (len(far_sets[0]) * interview.robot.nv)) ** 0.25)
    far_physics, far_extended, drift = (
        worst(law, far_sets, floor) for law in (physics, extended, local)
    )
    inside_error = relative(physics, held)
    predictable, where = residual.low_dimensional_predictability(physics, inside)
    completion = complete(physics, inside, interview.robot.pi)
    seen = _resolution(interview, physics, laws, floor, blur)
    values = {
        "law error in the region": excess(inside_error, relative_noise(floor, held)),
        "refit error far out": far_physics,
        "self-extrapolation error": drift,
        "residual growth": growth(physics, held, fresh, floor),
        "low-dimensional predictability": predictable if inside_error > 10 * gate else 0.0,
        "gain of extra terms": gain_by_axis(physics, extended, far_sets, floor, blur),
        "cost of possible parameters": cost_of_bodies(
            physics, completion, held, max(physics.standardised_error(held), 1e-6)
        ),
        # A law that holds inside and far out, and not between, is none.
        "extended law error far out": max(far_extended, worst(extended, laws.between, floor)),
        "best law error far out": min(far_physics, far_extended, drift),
        "best law error in the region": min(relative(f, held) for f in (local, physics, extended)),
        "resolution": seen.region,
        "repeatability": floor.random,
    }
    notes = []
    if predictable > 0.5:
        notes.append(
            f"What the rigid-body law leaves over can be predicted from little ({where}, "
            f"R² = {predictable:.2f}): there may be a law in it."
        )
    values |= remembered(interview, local, training_data, held, floor)
    inner = local
    if values["best law error far out"] > _TABLES:
        values |= _like_a_table(interview, local, held, floor)
    if values["best law error far out"] > _NOWHERE:
        inner = select(
            local, inside, held, library(interview.robot), floor=gate, limit=_MAX_TERMS
        ).fit
        values["best law error in the region"] = min(
            values["best law error in the region"], relative(inner, held)
        )
        inner = unlisted.within(
            local, inner, inside, held, floor=max(gate, floor.random), limit=_MAX_TERMS
        )
    wins = judge(evidence_from(values, {})).answer
    law = {"physics": physics, "alternative law": extended}.get(wins, inner)
    origin = f"{len(inside)} answers inside the region"
    if law is not inner:
        origin += f" and {len(laws.near)} out to {_WIDE:g} half-widths"
    if law is not physics:
        completion = complete(law, inside, interview.robot.pi)
        seen = _resolution(interview, law, laws, floor, blur)
    drawn = curves(interview, law, held)
    edges: dict[str, float] = {}
    if wins == "undetermined" and relative(law, held) < _DESCRIBED + 2 * floor.random:
        edges = _ends(interview, law, laws.sets, floor)
        if edges:
            where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
            notes.append(f"One law inside; something else outside, from {where} on.")
    if noise_far > 0.01:
        notes.append(f"Answers repeat to {floor.random:.1%} only; errors are given beyond that.")
    return conclude(
        interview,
        law,
        completion,
        drawn,
        values,
        floor,
        notes,
        law_from=origin,
        seen=seen,
        edges=edges,
        tried=laws.tried,
    )


def _ends(interview: Interview, law: Fit, sets: power.Sets, floor: noise.Floor) -> dict[str, float]:
    """Along each axis, where the model leaves a law that describes it inside."""
    level = max(law.standardised_error(sets.inside), floor.own)
    found = {}
    for axis, far in zip(AXES, sets.far, strict=True):
        rows = law.residual(far).square().mean(-1).sqrt()
        if bool((rows.median() > _LEFT * level) | ~torch.isfinite(rows).all()):
            found[axis] = edge(interview, law, axis, _LEFT * level)
    return {axis: at for axis, at in found.items() if at is not None}


def _fitted(interview: Interview, first: Fit, floor: noise.Floor, gate: float) -> _Laws:
    """Laws in the order of their freedom: bodies, joint terms, listed terms, unlisted terms."""
    budget, scale, robot = interview.budget, first.scale, interview.robot
    enough = budget.inside if robot.nv <= _MANY else max(_ENOUGH, budget.inside * _MANY // robot.nv)
    inside = interview.inside("inside", enough)
    held = interview.inside("held out", enough // 2)
    joints = joint_terms(robot)
    start = refit(first, inside, ())
    local = _with_joint_terms(start, inside, held, joints, gate)

    near, near_held, between, far = _outside(interview)
    wide, tested = Answers.concat([inside, near]), Answers.concat([held, near_held])
    start = fit_answers(interview, local.family, wide, scale, start=local.theta)
    physics = _with_joint_terms(start, wide, tested, joints, gate)
    listed = select(physics, wide, tested, library(robot), floor=gate, limit=_MAX_TERMS).fit
    search = unlisted.beside(
        physics,
        listed,
        wide,
        tested,
        floor=max(gate, floor.random),
        limit=_MAX_TERMS,
        pool=_unasked(interview),
        ask=lambda batch: interview.respondent.ask(*batch, strict=False),
    )
    return _Laws(
        local=local,
        physics=physics,
        extended=search.best.fit,
        inside=inside,
        near=near,
        between=between,
        tried=(physics, listed, *(c.fit for c in search.front)),
        sets=power.Sets(inside=held, tested=tested, far=far),
    )


def _with_joint_terms(
    start: Fit, answers: Answers, held: Answers, joints: list[Term], gate: float
) -> Fit:
    """The rigid body with the joint terms that pay: one by one, or for many joints all at once,
    those that are nothing beside their uncertainty left out."""
    if len(answers.v[0]) <= _MANY:
        return select(start, answers, held, joints, floor=gate, limit=len(joints)).fit
    whole, k = refit(start, answers, joints), start.family.basis.shape[1]
    certain = whole.covariance.diagonal()[k:].clamp_min(0).sqrt()
    kept = [t for t, c, e in zip(joints, whole.theta[k:], certain, strict=True) if c > _CERTAIN * e]
    fewer = refit(start, answers, kept)
    choices = len(joints)
    lengths = {
        id(f): description_length(f, held, gate, choices) for f in (start, fewer) if possible(f)
    }
    return fewer if lengths.get(id(fewer), math.inf) < lengths.get(id(start), math.inf) else start


def _unasked(interview: Interview) -> Batch:
    """States in the region and out to twice it, from which the questions are taken that laws of
    about the same length would answer most differently."""
    inside = interview.draw("disputed", _POOL)
    outside = interview.support.shell("joint", 1.0, _WIDE, _POOL, interview.seed + 83)
    return Batch(*(torch.cat(pair) for pair in zip(inside, outside, strict=True)))


def _resolution(
    interview: Interview, law: Fit, laws: _Laws, floor: noise.Floor, blur: float
) -> Resolution:
    believed = threshold_of("gain of extra terms") or 2.5
    region, seed = interview.support.region, interview.seed
    return power.resolution(law, laws.sets, region, floor, gain=believed, blur=blur, seed=seed)


def _like_a_table(
    interview: Interview, local: Fit, held: Answers, floor: noise.Floor
) -> dict[str, float]:
    """Positive evidence of a lookup table, asked for where no law holds far out."""
    chords = max(10, interview.budget.shell // 3)
    bend = curvature.measure(interview, floor.level, local.scale, chords)
    found = {} if bend.least is None else {"far curvature": bend.least}
    return found | {
        "growth of the inertia's misfit": inertia.growth(interview, local, max(floor.level, 1e-9)),
        "frozen steps": memory.frozen_fraction(interview, held, local.scale),
    }


def _outside(
    interview: Interview,
) -> tuple[Answers, Answers, list[Answers], list[Answers]]:
    """Answers from the edge to _WIDE (for fitting, held out, and these by axis), and fresh ones
    beyond, by axis."""
    near, held, far = [], [], []
    n = interview.budget.shell
    for axis in AXES:
        beyond, tested = [], []
        for lo, hi in pairwise(EDGES):
            answers = interview.shell(axis, lo, hi, n)
            finite = answers[torch.isfinite(answers.a).all(-1)]
            if hi <= _WIDE:
                half = len(finite) // 2
                near.append(finite[:half])
                tested.append(finite[half:])
            else:
                beyond.append(answers)
        held.append(Answers.concat(tested))
        far.append(Answers.concat(beyond))
    return Answers.concat(near), Answers.concat(held), [h for h in held if len(h)], far
