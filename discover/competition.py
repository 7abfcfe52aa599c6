"""Families of laws compete for a model's answers.

They are fitted to answers inside and out to twice the region, are frozen, and are tested on fresh
answers further out, together and along each axis; what they leave over is looked at.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from discover.conclusion import Finding, conclude
from discover.departures import excess, fit_answers, gain, growth, relative_noise, remembered, worst
from discover.dynamics import Answers
from discover.findings import evidence_from
from discover.interview import AXES, Interview
from discover.laws import unlisted
from discover.laws.consistency import complete
from discover.laws.fit import Fit
from discover.laws.selection import refit, select
from discover.laws.terms import joint_terms, library
from discover.probes import curvature, inertia, memory, noise, residual
from discover.probes.reach import EDGES, curves, relative
from discover.verdict import judge

_WIDE = 2.0  # half-widths out to which laws are fitted when they compete; tested beyond
_MAX_TERMS = 3
_NOWHERE = 0.25  # relative error far out at which no law holds there


def compete(
    interview: Interview, first: Fit, floor: noise.Floor, training_data: tuple | None
) -> Finding:
    """Families of laws compete for the answers inside and out to twice the region."""
    budget, scale = interview.budget, first.scale
    inside = interview.inside("inside", budget.inside)
    held = interview.inside("held out", budget.inside // 2)
    gate = max(floor.rounding, 1e-10)

    start = refit(first, inside, ())
    local = select(
        start, inside, held, joint_terms(interview.robot), floor=gate, limit=4 * interview.robot.nv
    ).fit

    near, near_held, far_sets = _outside(interview)
    wide_set, wide_held = Answers.concat([inside, near]), Answers.concat([held, near_held])
    physics = select(
        fit_answers(interview, local.family, wide_set, scale, start=local.theta),
        wide_set,
        wide_held,
        joint_terms(interview.robot),
        floor=gate,
        limit=4 * interview.robot.nv,
    ).fit
    extended = select(
        physics,
        wide_set,
        wide_held,
        library(interview.robot),
        floor=gate,
        limit=_MAX_TERMS,
    ).fit
    search = unlisted.beside(
        physics, extended, wide_set, wide_held, floor=max(gate, floor.random), limit=_MAX_TERMS
    )
    extended = search.best.fit

    fresh = Answers.concat(far_sets)
    noise_far = relative_noise(floor, fresh)
    blur = noise_far * (8.0 / (len(far_sets[0]) * interview.robot.nv)) ** 0.25
    far_physics = worst(physics, far_sets, floor)
    far_extended = worst(extended, far_sets, floor)
    drift = worst(local, far_sets, floor)
    inside_error = relative(physics, held)
    predictable, where = residual.low_dimensional_predictability(physics, inside)
    completion = complete(physics, inside, interview.robot.pi)
    bend = curvature.measure(interview, floor.level, scale, max(20, budget.shell // 3))
    values = {
        "law error in the region": excess(inside_error, relative_noise(floor, held)),
        "refit error far out": far_physics,
        "self-extrapolation error": drift,
        "residual growth": growth(physics, held, fresh, floor),
        "low-dimensional predictability": predictable if inside_error > 10 * gate else 0.0,
        "gain of extra terms": gain(far_physics, far_extended, max(gate, blur)),
        "cost of possible parameters": 1.0
        + completion.cost / max(physics.standardised_error(held), 1e-6),
        "extended law error far out": far_extended,
        "best law error far out": min(far_physics, far_extended, drift),
        "best law error in the region": min(relative(f, held) for f in (local, physics, extended)),
        "resolution": max(inside_error, floor.level),
        "repeatability": floor.random,
        "frozen steps": memory.frozen_fraction(interview, held, scale),
    }
    notes = []
    if bend.least is not None:
        values["far curvature"] = bend.least
    values["growth of the inertia's misfit"] = inertia.growth(
        interview, local, max(floor.level, 1e-9)
    )
    if predictable > 0.5:
        notes.append(
            f"What the rigid-body law leaves over can be predicted from little ({where}, "
            f"R² = {predictable:.2f}): there may be a law in it."
        )
    values |= remembered(interview, local, training_data, held, floor)
    inner = local
    if values["best law error far out"] > _NOWHERE:
        inner = select(
            local, inside, held, library(interview.robot), floor=gate, limit=_MAX_TERMS
        ).fit
        values["best law error in the region"] = min(
            values["best law error in the region"], relative(inner, held)
        )
    wins = judge(evidence_from(values, {})).answer
    law = {"physics": physics, "alternative law": extended}.get(wins, inner)
    origin = f"{len(inside)} answers inside the region"
    if law is not inner:
        origin += f" and {len(near)} out to {_WIDE:g} half-widths"
    if law is not physics:
        completion = complete(law, inside, interview.robot.pi)
    drawn = curves(interview, law, held)
    if noise_far > 0.01:
        notes.append(f"Answers repeat to {floor.random:.1%} only; errors are given beyond that.")
    return conclude(interview, law, completion, drawn, values, floor, notes, law_from=origin)


def _outside(interview: Interview) -> tuple[Answers, Answers, list[Answers]]:
    """Answers from the edge to _WIDE (for fitting, and held out), and fresh ones beyond."""
    near, held, far = [], [], []
    n = interview.budget.shell
    for axis in AXES:
        parts = []
        for lo, hi in pairwise(EDGES):
            answers = interview.shell(axis, lo, hi, n)
            finite = answers[torch.isfinite(answers.a).all(-1)]
            if hi <= _WIDE:
                half = len(finite) // 2
                near.append(finite[:half])
                held.append(finite[half:])
            else:
                parts.append(answers)
        far.append(Answers.concat(parts))
    return Answers.concat(near), Answers.concat(held), far
