"""The competition of laws: efforts, each with more queries or more hypotheses than the one before.

`examine` calls them in turn until the verdict is settled. An effort returns the session it worked
in and its measurements, or None where it has nothing to add.
"""

from __future__ import annotations

from dataclasses import replace

from discover.blackbox.session import Budget, QuerySession
from discover.examination.fits import (
    FIT_RANGE,
    MAX_TERMS,
    Laws,
    answers_inside,
    fit_listed,
    with_inner_law,
)
from discover.examination.hypotheses import AROUND_BODIES, HYPOTHESES, extended
from discover.examination.measurements import (
    SAME,
    Measurements,
    measure,
    no_law_far_out,
    resolution_of,
    settled,
)
from discover.examination.metrics import (
    inner_law_end,
    inner_law_end_in_noise,
    law_ends,
    worst_error,
)
from discover.examination.opening.screen import Screen
from discover.examination.outcome import Outcome
from discover.examination.places.two_laws import two_laws
from discover.judgement.evidence import Name
from discover.judgement.thresholds import bound, threshold
from discover.judgement.verdict import Verdict
from discover.laws.extensions.terms import library
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.residual_search import law_within_region
from discover.laws.search.selection import refit, select, with_possible_signs
from discover.probes import TRAINING_MEMORY, Subject, measured
from discover.probes.far_curvature import constant_far_out
from discover.probes.reach import curves, relative

_FIRST_SHARE = threshold("examination.first_share")
_NOISY = threshold("examination.noisy_factor")
_DESCRIBED = threshold("examination.described")
_GOES_ON = threshold("examination.goes_on")

Effort = tuple[QuerySession, Measurements]


def full_budget(session: QuerySession, screen: Screen) -> Budget:
    """The whole budget, several times as much for a model that does not repeat its answers."""
    return session.budget.times(_NOISY) if screen.noise.random > 0 else session.budget


def listed_laws(session: QuerySession, screen: Screen) -> Effort:
    """Laws that a library lists, on a share of the budget."""
    session = session.with_budget(session.budget.times(_FIRST_SHARE))
    return session, measure(session, screen, fit_listed(session, screen))


def limited_outputs(
    session: QuerySession, screen: Screen, before: Measurements, verdict: Verdict
) -> Effort | None:
    """Bodies behind static functions, of what looks like a smooth table.

    Limited outputs are constant far out, as a table's are: where bodies behind a function go on
    describing the model there, they are fitted again on the full budget.
    """
    if verdict.answer != "lookup table" or before.raw_table:
        return None
    if not settled(before, verdict, screen.level):
        return None
    laws = extended(AROUND_BODIES, session, before.laws, screen.level)
    far = laws.sets.far
    if laws is before.laws or worst_error(laws.extended, far, screen.noise) > no_law_far_out():
        return None
    session = session.with_budget(full_budget(session, screen))
    laws = extended(AROUND_BODIES, session, fit_listed(session, screen), screen.level)
    return session, measure(session, screen, replace(laws, searched=True))


def every_hypothesis(
    session: QuerySession, screen: Screen, before: Measurements, verdict: Verdict
) -> Effort | None:
    """Every hypothesis, on the full budget."""
    if settled(before, verdict, screen.level):
        return None
    return _with_every_hypothesis(session, screen, before)


def _with_every_hypothesis(session: QuerySession, screen: Screen, before: Measurements) -> Effort:
    session = session.with_budget(full_budget(session, screen))
    laws = extended(HYPOTHESES, session, fit_listed(session, screen), screen.level)
    # What noise hid in few answers may show in many: then everything is measured anew.
    earlier = None if screen.noise.random > 0 else before
    return session, measure(session, screen, laws, earlier)


# in this order, each with its name
EFFORTS = {
    "bodies behind limited outputs": limited_outputs,
    "every hypothesis": every_hypothesis,
}


def inner_law(session: QuerySession, screen: Screen, measurements: Measurements) -> Fit:
    """The law that the model follows in the region only: of networks and switches there is one."""
    local, noise = measurements.laws.local, screen.noise
    if measurements.raw_table:
        return local
    inside, held_out = answers_inside(session)
    start = refit(local, inside, local.family.terms)
    listed = select(
        start,
        inside,
        held_out,
        library(session.robot),
        floor=screen.gate,
        limit=MAX_TERMS,
        noise=noise.random,
    ).fit
    return law_within_region(start, listed, inside, held_out, floor=screen.level, limit=MAX_TERMS)


def reconsidered(
    whole: QuerySession,
    session: QuerySession,
    screen: Screen,
    measurements: Measurements,
    inner: Fit,
) -> Effort:
    """The measurements, where the law of the region holds far out after all: what looked like a
    table is a law, perhaps one that becomes constant there, and competes with the extended law.

    whole    the session with the whole budget
    session  the one that the measurements were made in
    """
    far = measurements.laws.sets.far
    if worst_error(inner, far, screen.noise) >= no_law_far_out():
        return session, measurements
    if not measurements.laws.searched:
        session, measurements = _with_every_hypothesis(whole, screen, measurements)
    laws = with_inner_law(measurements.laws, inner)
    if laws is not measurements.laws:
        measurements = measure(session, screen, laws, measurements)
    return session, measurements


def beyond_the_region(
    session: QuerySession, screen: Screen, measurements: Measurements, inner: Fit
) -> dict[Name, float]:
    """The error of the law of the region, and how far it holds past the region's edge, of a model
    that is constant far out for another reason than a table's: it is so everywhere, or it is a law
    up to noise inside."""
    noise, held_out = screen.noise, measurements.laws.sets.inside
    best = min(measurements.values[Name.BEST_ERROR_INSIDE], relative(inner, held_out))
    values = {Name.BEST_ERROR_INSIDE: best}
    if measurements.raw_table:
        return values
    held_out = answers_inside(session)[1]
    if constant_far_out(session, inner.scale, noise.level):
        values[Name.INNER_LAW_END] = inner_law_end(session, inner, held_out, noise)
    elif noise.random > 0:
        laws = (inner, measurements.laws.local)
        end = inner_law_end_in_noise(session, laws, held_out, noise)
        if end is not None:
            values[Name.INNER_LAW_END_IN_NOISE] = end
    return values


def with_two_laws(
    session: QuerySession, screen: Screen, measurements: Measurements, inner: Fit
) -> Measurements:
    """The measurements, with two laws where no law holds far out but each of two does on its side
    of a surface."""
    parted = measurements.apart is not None
    if measurements.raw_table or measurements.law_far_out or parted:
        return measurements
    two = two_laws(session, screen, (measurements.laws.local, inner))
    if two is None:
        return measurements
    values = measurements.values | {Name.LAWS_OF_PARTS: two.error}
    if two.error > bound("lookup table", Name.LAWS_OF_PARTS):
        return replace(measurements, values=values)
    # What is nothing but two laws, to rounding, has no samples.
    values[Name.BEST_ERROR_INSIDE] = min(values[Name.BEST_ERROR_INSIDE], two.blended)
    notes = [str(two.places), *measurements.notes]
    return replace(measurements, values=values, notes=notes, two=two)


def training_memory(
    session: QuerySession, screen: Screen, measurements: Measurements
) -> dict[Name, float]:
    """What the model returns of its training data, where they are known."""
    laws = measurements.laws
    subject = Subject(
        session=session, noise=screen.noise, law=laws.local, held_out=laws.sets.inside
    )
    return measured(TRAINING_MEMORY, subject)


def outcome(
    session: QuerySession,
    screen: Screen,
    measurements: Measurements,
    inner: Fit,
    verdict: Verdict,
) -> Outcome:
    """The law that the verdict speaks of, where it ends, and what is said of it."""
    laws, answer, noise = measurements.laws, verdict.answer, screen.noise
    held_out, two = laws.sets.inside, measurements.two
    law = {"physics": laws.physics, "alternative law": laws.extended}.get(answer, inner)
    if two is not None and law is inner:
        law = inner = two.inner
    else:
        law = with_possible_signs(law, session.answers["inside"] if law is inner else laws.wide)
    completion, visible = measurements.completion, measurements.resolution
    if law is not laws.physics:
        completion = complete(*law.bare(laws.inside), session.robot.pi)
        visible = resolution_of(session, screen, law, laws, measurements.blur)
    notes = list(measurements.notes)
    edges: dict[str, float] = {}
    if answer == "undetermined":
        notes += _laws_that_go_on(measurements)
        if relative(law, held_out) < _DESCRIBED + 2 * noise.random:
            edges = law_ends(session, law, held_out, laws.sets.far, noise)
        if edges and two is None:
            where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
            notes.append(f"One law inside; something else outside, from {where} on.")
    drawn = curves(session, law, held_out)
    same = max(relative(law, x) for x in (held_out, *laws.sets.far)) < SAME
    return Outcome(
        session=session.of_law(law.predict) if same and law.step is None else session,
        law=law,
        values=measurements.values,
        curves=drawn,
        law_from=_origin(session, laws, law is inner) if two is None else two.law_from,
        resolution=visible,
        completion=completion,
        edges=edges,
        tried=laws.tried,
        near_ties=laws.near_ties if law is laws.extended else (),
        places=None if two is None else two.places,
        apart=measurements.apart,
        notes=notes,
    )


def _origin(session: QuerySession, laws: Laws, of_region: bool) -> str:
    """Which answers the law was fitted to."""
    if of_region:
        return f"{len(session.answers['inside'])} answers inside the region"
    inside, near = len(laws.inside), len(laws.near)
    return f"{inside} answers inside the region and {near} out to {FIT_RANGE:g} half-widths"


def _laws_that_go_on(measurements: Measurements) -> list[str]:
    """Why answers that are constant far out are no sign of a table here."""
    values, notes = measurements.values, []
    flat = values.get(Name.FAR_CURVATURE, 1.0) < bound("lookup table", Name.FAR_CURVATURE)
    end = values.get(Name.INNER_LAW_END, 0.0)
    if flat and end > _GOES_ON:
        notes.append(
            "Far out the answer is the same to every query, but that is no sign of a table: along "
            "q, v and tau, each by itself, the law of the region holds past the region's edge, to "
            f"{end:.2f} half-widths at least."
        )
    end = values.get(Name.INNER_LAW_END_IN_NOISE, 0.0)
    if end > _GOES_ON:
        notes.append(
            "Inside the region a law leaves nothing but noise, and along q, v and tau, each by "
            f"itself, it holds to {end:.2f} half-widths at least: what comes after it is no sign "
            "of a table."
        )
    return notes
