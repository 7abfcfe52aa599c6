"""Families of laws compete for a model's answers.

They are fitted to answers inside and out to twice the region, are frozen, and are tested on fresh
answers further out, together and along each axis; what they leave over is looked at. Few answers
come first, and laws that somebody listed; where these make the verdict safe no more is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from discover import power
from discover.conclusion import Finding, conclude, spoken_by
from discover.departures import (
    cost_of_bodies,
    ends,
    excess,
    gain_by_axis,
    growth,
    relative_noise,
    remembered,
    worst,
)
from discover.dynamics import Answers
from discover.examination import Resolution
from discover.findings import evidence_from
from discover.fitted import (
    MANY,
    MAX_TERMS,
    WIDE,
    Laws,
    answers_inside,
    apart,
    behind_channels,
    fitted,
    joined,
    left_over,
    searched,
)
from discover.interview import Budget, Interview
from discover.laws import unlisted
from discover.laws.consistency import Completion, complete
from discover.laws.fit import Fit
from discover.laws.selection import refit, select
from discover.laws.terms import library
from discover.probes import grain, lookup, noise, residual
from discover.probes.reach import curves, reach, relative, tolerance
from discover.probes.single_joints import law_of_the_others
from discover.probes.standstill import standstill
from discover.verdict import judge, threshold_of

_FIRST = 0.5  # share of the answers that are asked for at first
_NOISY = 3  # how many times as many questions answers are worth that do not repeat themselves
_SURE = 0.85  # confidence at which no more is asked
_TABLES = 0.1  # relative error far out above which a table is a possibility
_DESCRIBED = 0.1  # relative error inside below which a law describes the model there
_HELD = 0.3  # above which robots of many coordinates are asked for no law inside either
_NOWHERE = 0.25  # relative error far out at which no law holds there
_GAINS = 1.5  # times a smaller error far out, from which another law is a possibility
_COARSE = 0.1  # share of a residual that no smooth departure has as grain
_SAME = 1e-7  # relative error, inside and far out, below which a law speaks for its model
_PAST = 1.25  # half-widths, from which a law ends past the edge of the region
_SETTLED = 60.0  # growth of the misfit of an inertia that is looked up


@dataclass(frozen=True, kw_only=True)
class _Weighed:
    """Laws and what was measured on them."""

    laws: Laws
    values: dict[str, float]
    completion: Completion
    seen: Resolution
    blur: float
    notes: list[str]

    @property
    def answer(self) -> str:
        return judge(evidence_from(self.values, {})).answer

    @property
    def raw(self) -> bool:
        """Whether tiny steps change nothing: a raw table."""
        return self.values.get("frozen steps", 0.0) > lookup.FROZEN

    def safe(self, floor: float) -> bool:
        """Whether more answers, or laws that nobody listed, would hardly change the verdict."""
        verdict = judge(evidence_from(self.values, {}))
        if verdict.confidence < _SURE or verdict.answer == "undetermined":
            return False
        if self.laws.searched:
            return True
        if verdict.answer == "lookup table":
            flat = self.values.get("far curvature", 1.0) < lookup.FLAT
            looked_up = self.values.get("growth of the inertia's misfit", 1.0) > _SETTLED
            return self.raw or flat or looked_up
        # What physics leaves over may be a small law, however sure physics is without it.
        return not left_over(self.laws, floor)


def compete(
    interview: Interview, first: Fit, floor: noise.Floor, training_data: tuple | None
) -> Finding:
    """Families of laws compete for the answers inside and out to twice the region."""
    gate, whole = max(floor.rounding, 1e-10), interview.budget
    full = whole.times(_NOISY) if floor.random > 0 else whole
    interview.budget = whole.times(_FIRST)
    weighed = _weigh(interview, fitted(interview, first, floor, gate), floor, gate)
    if not weighed.safe(max(gate, floor.random)):
        interview.budget = full
        weighed = _weighed_in_full(interview, first, floor, gate, weighed)
    elif weighed.answer == "lookup table" and not weighed.raw:
        weighed = _weighed_behind_channels(interview, first, floor, gate, weighed, full)
    inner = weighed.laws.local
    if weighed.values["best law error far out"] > _NOWHERE:
        most = max(whole.inside, interview.budget.inside)
        interview.budget = replace(interview.budget, inside=most)
        inner = _inner(interview, weighed, floor, gate)
        if worst(inner, weighed.laws.sets.far, floor) < _NOWHERE:
            # What looked like a table far out is a law, and perhaps one that flattens there.
            if not weighed.laws.searched:
                interview.budget = full
                weighed = _weighed_in_full(interview, first, floor, gate, weighed)
            laws = joined(weighed.laws, inner)
            if laws is not weighed.laws:
                weighed = _weigh(interview, laws, floor, gate, weighed.values)
        held = weighed.laws.sets.inside
        best = min(weighed.values["best law error in the region"], relative(inner, held))
        weighed.values["best law error in the region"] = best
        if not weighed.raw and standstill(interview, inner.scale, floor.level):
            weighed.values["end of the law inside"] = _end(interview, inner, floor)
    weighed.values.update(
        remembered(interview, weighed.laws.local, training_data, weighed.laws.sets.inside, floor)
    )
    return _told(interview, weighed, inner, floor)


def _weighed_in_full(
    interview: Interview, first: Fit, floor: noise.Floor, gate: float, before: _Weighed
) -> _Weighed:
    """With all answers of the budget, and laws that nobody listed."""
    laws = searched(interview, fitted(interview, first, floor, gate), max(gate, floor.random))
    return _weigh(interview, laws, floor, gate, {} if floor.random > 0 else before.values)


def _weighed_behind_channels(
    interview: Interview,
    first: Fit,
    floor: noise.Floor,
    gate: float,
    before: _Weighed,
    full: Budget,
) -> _Weighed:
    """Answers that are limited are flat far out, as a table's are: where bodies behind channels
    go on describing the model there, all is weighed again with all answers of the budget."""
    level = max(gate, floor.random)
    laws = behind_channels(before.laws, level)
    if laws is before.laws or worst(laws.extended, laws.sets.far, floor) > _NOWHERE:
        return before
    interview.budget = full
    laws = behind_channels(fitted(interview, first, floor, gate), level)
    weighed = _weigh(interview, replace(laws, searched=True), floor, gate)
    if weighed.safe(level):
        return weighed
    return _weighed_in_full(interview, first, floor, gate, weighed)


def _weigh(
    interview: Interview,
    laws: Laws,
    floor: noise.Floor,
    gate: float,
    known: dict[str, float] | None = None,
) -> _Weighed:
    """All that the verdict rests on, measured on the laws; `known`: what was measured before."""
    held, far_sets = laws.sets.inside, laws.sets.far
    fresh = Answers.concat(far_sets)
    noise_far = relative_noise(floor, fresh)
    blur = max(gate, noise_far * (8.0 / (len(far_sets[0]) * interview.robot.nv)) ** 0.25)
    if gain_by_axis(laws.physics, laws.extended, far_sets, floor, blur) > _GAINS:
        laws = apart(interview, laws)
    physics, extended, local, inside = laws.physics, laws.extended, laws.local, laws.inside
    far_physics, far_extended, drift = (
        worst(law, far_sets, floor) for law in (physics, extended, local)
    )
    far_both = math.inf if laws.beyond is None else worst(laws.beyond, far_sets, floor)
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
            interview, physics, completion, held, max(physics.standardised_error(held), 1e-6)
        ),
        # A law that holds inside and far out, and not between, is none.
        "extended law error far out": max(far_extended, worst(extended, laws.between, floor)),
        "best law error far out": min(far_physics, far_extended, drift, far_both),
        "best law error in the region": min(relative(f, held) for f in (local, physics, extended)),
        "resolution": seen.region,
        "repeatability": floor.random,
    }
    notes = []
    if values["extended law error far out"] < _NOWHERE and values["gain of extra terms"] > _GAINS:
        coarse = grain.share(interview, extended, floor, held)
        values["grain of what is left over"] = coarse
        if coarse > _COARSE:
            notes.append(
                f"{coarse:.0%} of what the best law leaves over changes from place to place, as "
                "answers between remembered samples do, and is no noise: it may be a table's."
            )
    if laws.onset is not None and laws.beyond is not None:
        around = "; ".join(c.in_words for c in laws.beyond.family.around)
        notes.append(laws.onset.sentence + (f" All of them follow {around}." if around else ""))
    if predictable > 0.5:
        notes.append(
            f"What the rigid-body law leaves over can be predicted from little ({where}, "
            f"R² = {predictable:.2f}): there may be a law in it."
        )
    if laws.short:
        notes.append(
            f"The search for terms that no library lists was cut short: of {interview.robot.nv} "
            "coordinates it tries fewer, and a law that it missed may be in what is left over."
        )
    if noise_far > 0.01:
        notes.append(f"Answers repeat to {floor.random:.1%} only; errors are given beyond that.")
    if values["best law error far out"] > _TABLES:
        before = {k: x for k, x in (known or {}).items() if k in lookup.SIGNS}
        values |= before or lookup.signs(interview, local, held, floor)
        if floor.random == 0.0 and values.get("frozen steps", 0.0) <= lookup.FROZEN:
            others = law_of_the_others(local, inside, held)
            if others is not None and others.error < _SAME:
                values["best law error in the region"] = others.error
                notes.append(others.sentence)
    return _Weighed(
        laws=laws, values=values, completion=completion, seen=seen, blur=blur, notes=notes
    )


def _inner(interview: Interview, weighed: _Weighed, floor: noise.Floor, gate: float) -> Fit:
    """The law that a model follows in the region only: of networks and switches there is one."""
    lawless = relative(weighed.laws.local, weighed.laws.sets.inside) > _HELD + 2 * floor.random
    if weighed.raw or (lawless and interview.robot.nv > MANY):
        return weighed.laws.local
    inside, held = answers_inside(interview)
    start = weighed.laws.local
    local = refit(start, inside, start.family.terms)
    listed = select(
        local,
        inside,
        held,
        library(interview.robot),
        floor=gate,
        limit=MAX_TERMS,
        noise=floor.random,
    ).fit
    least = max(gate, floor.random)
    return unlisted.within(local, listed, inside, held, floor=least, limit=MAX_TERMS)


def _end(interview: Interview, inner: Fit, floor: noise.Floor) -> float:
    """How far the law of the region goes on, along the axis that it ends on first [half-widths];
    0 where there is none.

    What was interpolated between samples ends where they do, on some axis by itself. With all axes
    at once there are corners, where surfaces that have nothing to do with the region come nearer.
    """
    drawn = curves(interview, inner, answers_inside(interview)[1])
    return min(reach(c, tolerance(floor))[0] for axis, c in drawn.items() if axis != "joint")


def _told(interview: Interview, weighed: _Weighed, inner: Fit, floor: noise.Floor) -> Finding:
    """The finding, with the law of whatever won."""
    laws, wins, notes = weighed.laws, weighed.answer, weighed.notes
    held = laws.sets.inside
    law = {"physics": laws.physics, "alternative law": laws.extended}.get(wins, inner)
    origin = f"{len(interview.answers['inside'])} answers inside the region"
    if law is not inner:
        origin = f"{len(laws.inside)} answers inside the region"
        origin += f" and {len(laws.near)} out to {WIDE:g} half-widths"
    completion, seen = weighed.completion, weighed.seen
    if law is not laws.physics:
        completion = complete(*law.bare(laws.inside), interview.robot.pi)
        seen = _resolution(interview, law, laws, floor, weighed.blur)
    flat = weighed.values.get("far curvature", 1.0) < lookup.FLAT
    end = weighed.values.get("end of the law inside", 0.0)
    if wins == "undetermined" and flat and end > _PAST:
        notes = [
            *notes,
            "Far out all answers are one, but that is no sign of a table: along q, v and tau, each "
            f"by itself, the law of the region goes on past the region's edge, to {end:.2f} "
            "half-widths at least.",
        ]
    drawn = curves(interview, law, held)
    edges: dict[str, float] = {}
    if wins == "undetermined" and relative(law, held) < _DESCRIBED + 2 * floor.random:
        edges = ends(interview, law, held, laws.sets.far, floor)
        if edges:
            where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
            notes = [*notes, f"One law inside; something else outside, from {where} on."]
    asked = interview
    if max(relative(law, x) for x in (held, *laws.sets.far)) < _SAME and law.integrator is None:
        asked = replace(interview, respondent=spoken_by(law, interview.respondent))
    return conclude(
        asked,
        law,
        completion,
        drawn,
        weighed.values,
        floor,
        notes,
        law_from=origin,
        seen=seen,
        edges=edges,
        tried=laws.tried,
        near=laws.near_laws if law is laws.extended else (),
    )


def _resolution(
    interview: Interview, law: Fit, laws: Laws, floor: noise.Floor, blur: float
) -> Resolution:
    believed = threshold_of("gain of extra terms") or 2.5
    region, seed = interview.support.region, interview.seed
    return power.resolution(law, laws.sets, region, floor, gain=believed, blur=blur, seed=seed)
