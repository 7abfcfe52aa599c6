"""Families of laws compete for a model's answers.

They are fitted to answers inside and out to twice the region, are frozen, and are tested on fresh
answers further out, together and along each axis; what they leave over is looked at. Few answers
come first, and laws that somebody listed; where these make the verdict safe no more is asked.
"""

from __future__ import annotations

from dataclasses import replace

from discover.blackbox.session import Budget, QuerySession
from discover.examination.description import Finding, conclude, spoken_by
from discover.examination.hypotheses import (
    MANY,
    MAX_TERMS,
    WIDE,
    answers_inside,
    behind_channels,
    fitted,
    joined,
    searched,
)
from discover.examination.measurements import NOWHERE, SAME, Weighed, resolution, weigh
from discover.examination.metrics import ends, goes_on, goes_on_beyond_noise, remembered, worst
from discover.laws.extensions.terms import library
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.residual_search import law_within_region
from discover.laws.search.selection import refit, select
from discover.probes import noise
from discover.probes import table_evidence as lookup
from discover.probes.far_constancy import standstill
from discover.probes.reach import curves, relative

_FIRST = 0.5  # share of the answers that are asked for at first
_NOISY = 3  # how many times as many questions answers are worth that do not repeat themselves
_DESCRIBED = 0.1  # relative error inside below which a law describes the model there
_HELD = 0.3  # above which robots of many coordinates are asked for no law inside either
_PAST = 1.25  # half-widths, from which a law ends past the edge of the region


def compete(
    session: QuerySession, first: Fit, floor: noise.Floor, training_data: tuple | None
) -> Finding:
    """Families of laws compete for the answers inside and out to twice the region."""
    gate, whole = max(floor.rounding, 1e-10), session.budget
    full = whole.times(_NOISY) if floor.random > 0 else whole
    session.budget = whole.times(_FIRST)
    weighed = weigh(session, fitted(session, first, floor, gate), floor, gate)
    if not weighed.safe(max(gate, floor.random)):
        session.budget = full
        weighed = _weighed_in_full(session, first, floor, gate, weighed)
    elif weighed.answer == "lookup table" and not weighed.raw:
        weighed = _weighed_behind_channels(session, first, floor, gate, weighed, full)
    inner = weighed.laws.local
    if weighed.values["best law error far out"] > NOWHERE:
        most = max(whole.inside, session.budget.inside)
        session.budget = replace(session.budget, inside=most)
        inner = _inner(session, weighed, floor, gate)
        if worst(inner, weighed.laws.sets.far, floor) < NOWHERE:
            # What looked like a table far out is a law, and perhaps one that flattens there.
            if not weighed.laws.searched:
                session.budget = full
                weighed = _weighed_in_full(session, first, floor, gate, weighed)
            laws = joined(weighed.laws, inner)
            if laws is not weighed.laws:
                weighed = weigh(session, laws, floor, gate, weighed.values)
        held = weighed.laws.sets.inside
        best = min(weighed.values["best law error in the region"], relative(inner, held))
        weighed.values["best law error in the region"] = best
        weighed.values.update(_goes_on(session, weighed, inner, floor))
    weighed.values.update(
        remembered(session, weighed.laws.local, training_data, weighed.laws.sets.inside, floor)
    )
    return _told(session, weighed, inner, floor)


def _weighed_in_full(
    session: QuerySession, first: Fit, floor: noise.Floor, gate: float, before: Weighed
) -> Weighed:
    """With all answers of the budget, and laws that nobody listed."""
    laws = searched(session, fitted(session, first, floor, gate), max(gate, floor.random))
    return weigh(session, laws, floor, gate, {} if floor.random > 0 else before.values)


def _weighed_behind_channels(
    session: QuerySession,
    first: Fit,
    floor: noise.Floor,
    gate: float,
    before: Weighed,
    full: Budget,
) -> Weighed:
    """Answers that are limited are flat far out, as a table's are: where bodies behind channels
    go on describing the model there, all is weighed again with all answers of the budget."""
    level = max(gate, floor.random)
    laws = behind_channels(before.laws, level)
    if laws is before.laws or worst(laws.extended, laws.sets.far, floor) > NOWHERE:
        return before
    session.budget = full
    laws = behind_channels(fitted(session, first, floor, gate), level)
    weighed = weigh(session, replace(laws, searched=True), floor, gate)
    if weighed.safe(level):
        return weighed
    return _weighed_in_full(session, first, floor, gate, weighed)


def _inner(session: QuerySession, weighed: Weighed, floor: noise.Floor, gate: float) -> Fit:
    """The law that a model follows in the region only: of networks and switches there is one."""
    lawless = relative(weighed.laws.local, weighed.laws.sets.inside) > _HELD + 2 * floor.random
    if weighed.raw or (lawless and session.robot.nv > MANY):
        return weighed.laws.local
    inside, held = answers_inside(session)
    start = weighed.laws.local
    local = refit(start, inside, start.family.terms)
    listed = select(
        local,
        inside,
        held,
        library(session.robot),
        floor=gate,
        limit=MAX_TERMS,
        noise=floor.random,
    ).fit
    least = max(gate, floor.random)
    return law_within_region(local, listed, inside, held, floor=least, limit=MAX_TERMS)


def _goes_on(
    session: QuerySession, weighed: Weighed, inner: Fit, floor: noise.Floor
) -> dict[str, float]:
    """How far the law of the region goes on past its edge, of a model whose flat answers may have
    another reason than a table's: it stands still far out, or is a law up to noise inside."""
    held = answers_inside(session)[1]
    if weighed.raw:
        return {}
    if standstill(session, inner.scale, floor.level):
        return {"end of the law inside": goes_on(session, inner, held, floor)}
    if floor.random > 0:
        laws = (inner, weighed.laws.local)
        past = goes_on_beyond_noise(session, laws, held, floor)
        if past is not None:
            return {"end of the law up to noise": past}
    return {}


def _told(session: QuerySession, weighed: Weighed, inner: Fit, floor: noise.Floor) -> Finding:
    """The finding, with the law of whatever won."""
    laws, wins, notes = weighed.laws, weighed.answer, weighed.notes
    held = laws.sets.inside
    law = {"physics": laws.physics, "alternative law": laws.extended}.get(wins, inner)
    origin = f"{len(session.answers['inside'])} answers inside the region"
    if law is not inner:
        origin = f"{len(laws.inside)} answers inside the region"
        origin += f" and {len(laws.near)} out to {WIDE:g} half-widths"
    completion, seen = weighed.completion, weighed.seen
    if law is not laws.physics:
        completion = complete(*law.bare(laws.inside), session.robot.pi)
        seen = resolution(session, law, laws, floor, weighed.blur)
    flat = weighed.values.get("far curvature", 1.0) < lookup.FLAT
    end = weighed.values.get("end of the law inside", 0.0)
    if wins == "undetermined" and flat and end > _PAST:
        notes = [
            *notes,
            "Far out all answers are one, but that is no sign of a table: along q, v and tau, each "
            f"by itself, the law of the region goes on past the region's edge, to {end:.2f} "
            "half-widths at least.",
        ]
    past = weighed.values.get("end of the law up to noise", 0.0)
    if wins == "undetermined" and past > _PAST:
        notes = [
            *notes,
            "Inside the region a law leaves nothing over but noise, and along q, v and tau, each "
            f"by itself, it goes on to {past:.2f} half-widths at least: what comes after it is no "
            "sign of a table.",
        ]
    drawn = curves(session, law, held)
    edges: dict[str, float] = {}
    if wins == "undetermined" and relative(law, held) < _DESCRIBED + 2 * floor.random:
        edges = ends(session, law, held, laws.sets.far, floor)
        if edges:
            where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
            notes = [*notes, f"One law inside; something else outside, from {where} on."]
    asked = session
    if max(relative(law, x) for x in (held, *laws.sets.far)) < SAME and law.integrator is None:
        asked = replace(session, blackbox=spoken_by(law, session.blackbox))
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
