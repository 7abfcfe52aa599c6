"""`examine`: what has a model learned?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from discover.blackbox.region import Region
from discover.blackbox.session import QuerySession
from discover.examination import competition
from discover.examination.constant_model import constant_model
from discover.examination.description import describe, query_counts, what_settles
from discover.examination.exact_law import exact_law
from discover.examination.history_dependence import with_history
from discover.examination.mechanism import find_mechanism
from discover.examination.opening.as_answered import (
    with_friction_as_answered,
    with_limits_as_answered,
)
from discover.examination.opening.covered import covered_outcome, covered_region
from discover.examination.opening.described_limits import without_described_limits
from discover.examination.opening.limits import with_limits
from discover.examination.opening.regimes import (
    evidence_of_regimes,
    law_of_a_part,
    with_surrounding_regimes,
    without_recorded_regimes,
    without_regimes,
)
from discover.examination.opening.regimes_and_standstill import with_regimes_and_standstill
from discover.examination.opening.screen import Screen, open_session, screening
from discover.examination.opening.standstill import with_standstill
from discover.examination.opening.stepping import check_step, with_step
from discover.examination.outcome import Outcome
from discover.examination.result import Examination, with_origin
from discover.examination.transitions.held_out import held_out
from discover.judgement.evidence import Name
from discover.judgement.verdict import judge
from discover.laws.rigid_body.fit import Fit
from discover.observations.environment import Environment
from discover.progress import Show, reported, stage
from discover.threads import one_thread
from kinematics import Actuation, Robot


@reported(
    "examination",
    "it is kept when it is whole: begin again (the same seed asks the same queries), or with the "
    "budget 'quick', which asks fewer",
)
@one_thread()
def examine(
    model: Callable,
    robot: Robot | Environment | str | os.PathLike[str] | None,
    region: Region | None = None,
    training_data: tuple | Mapping | None = None,
    *,
    data: Any | None = None,
    outputs: str | None = None,
    dt: float | None = None,
    actuation: Actuation | None = None,
    integrator: str | None = None,
    substeps: int | None = None,
    budget: str = "standard",
    seed: int = 0,
    within: str = "region",
    label_noise: Any | None = None,
    mechanism: bool | None = None,
    root: str | None = None,
    name: str | None = None,
    progress: Show = None,
) -> Examination:
    """What has `model` learned: a lookup table, the physics of `robot`, or another law?

    model          callable (q, v, tau) -> a on batched tensors, or -> (q_next, v_next) with
                   outputs="next_state" and its step dt [s]; it is only ever called. What it says
                   of itself in attributes of the names outputs, dt, actuation, integrator and
                   substeps holds where the caller says nothing
    robot          the tree that the model is compared with, or the path or name of its
                   description, or an environment that was read, which has one; its parameters are
                   not trusted. With None, nv is read from the
                   region's vectors, and tree, joint kinds and geometry are inferred
    region         where the model was trained: half-widths [rad | m, their rates, N·m | N]; with
                   u in the place of tau the model is asked with controls (n, nu). With `data`
                   it may be left out: then it is the box that 99 % of each coordinate span
    data           held-out transitions: (q, v, u, a) or (q, v, u, q_next, v_next) in this order or
                   by name (tau in the place of u for joint forces), or a file of them (.npz, .h5,
                   .parquet); of a wrapped network also obs, action, next_obs. Errors of model, law
                   and described simulator on them, and the share of the box that they fill, stand
                   in `exam.held_out`
    actuation      what the controls do to the joints; by default what the robot's description says
    integrator, substeps   of a model of next states, where they are known (names as in
                   `discover.laws.rigid_body.step_map`, or MuJoCo's); else they are found
    training_data  (q, v, tau, a) of the training samples, in this order or by name, where known:
                   enables memory probes
    budget         "quick", "standard" or "thorough"
    seed           same seed, same model: the same queries and the same law
    within         "region" (uniform states of the box), or "data": states near those of `data`, or
                   else of training_data, for models of recorded trajectories, which fill a thin
                   part of the box; the region is then the box that they span
    label_noise    (nv,) standard deviation of the noise in the accelerations of the training data
                   [rad/s² | m/s²], where an estimate is known, as of recordings: smaller departures
                   are not counted against the model
    root           "free" puts a description that is loaded here on a free joint; without a robot,
                   the first six velocities (seven numbers of q) are then a free base's
    mechanism      whether tree and geometry are inferred beside a description and the recursion is
                   searched. True asks the model thousands of queries for it. By default that is
                   done with the budget "thorough", and where the law equals the model to the last
                   digit and is quickly analysed: then the law is queried in its place
    progress       a line with the stage and the queries so far: by default on a terminal only; a
                   function is called with (stage, queries) instead

    Raises ModelError (wrong shapes, NaN in the region, a model that raises or changes its inputs),
    RegionError and DatasetError, each with one line.
    """
    started = time.perf_counter()
    outputs = getattr(model, "outputs", "acceleration") if outputs is None else outputs
    dt = getattr(model, "dt", None) if dt is None else dt
    if outputs == "next_state":
        integrator = integrator or getattr(model, "integrator", None)
        substeps = getattr(model, "substeps", None) if substeps is None else substeps
    check_step(outputs, integrator, substeps)
    session, inferred, transitions = open_session(
        model,
        robot,
        region,
        training_data,
        data=data,
        outputs=outputs,
        dt=dt,
        budget=budget,
        seed=seed,
        within=within,
        label_noise=label_noise,
        root=root,
        mechanism=mechanism,
        actuation=actuation,
    )
    # Noise, repeatability, history dependence.
    stage("noise and repeatability")
    session, screen = screening(session)
    stage("laws to rounding error")
    # The same answer everywhere? A law to rounding error? If neither, families of laws compete.
    outcome = constant_model(session, screen)
    unlimited: list[str] = []
    if outcome is None:
        session, screen, unlimited = with_limits_as_answered(session, screen)
        session, screen = with_step(session, screen, integrator, substeps)
        # Joint limits, contacts, resets: where another force acts, nothing more is asked.
        session, screen = without_regimes(session, screen, integrator, substeps)
        session, screen = without_recorded_regimes(
            session, screen, transitions, integrator, substeps
        )
        session, screen = with_friction_as_answered(session, screen)
        session, screen, outcome = _exact(session, screen, integrator, substeps)
        if outcome is None:
            session, screen = without_described_limits(session, screen, integrator, substeps)
            covered = covered_region(session, screen, integrator, substeps)
            outcome = (
                _compete(session, screen)
                if covered is None
                else covered_outcome(session, screen, covered)
            )
    stage("the law's reach and parameters")
    # The law with its reach, curves and parameters, and evidence that only describes.
    description = describe(session, screen, outcome, described=inferred is None)
    if screen.history.kind is not None:
        description = with_history(description, session, screen.history)
    judged_by = session.blackbox.queries
    stage("held-out transitions")
    on_data = (
        None
        if transitions is None
        else held_out(
            session,
            transitions,
            outcome.law if outcome.covered is None else None,
            described=inferred is None,
        )
    )
    told = session.blackbox.queries
    stage("tree, geometry and recursion")
    # Tree, geometry, factors and recursion, as far as the answers show them.
    found = find_mechanism(
        session, description, inferred, wanted=mechanism, budget=budget, within=within
    )
    evidence = [*description.evidence, *evidence_of_regimes(session), *found.evidence]
    verdict = judge(evidence)
    called = name or getattr(model, "name", None) or type(model).__name__
    law = with_origin(found.law, session, verdict, evidence, model=model, name=called)
    before = 0 if inferred is None else inferred.queries
    queries = before + session.blackbox.queries
    return Examination(
        verdict=verdict.answer,
        confidence=verdict.confidence,
        probabilities=verdict.probabilities,
        reach=description.reach,
        resolution=description.resolution,
        law=law,
        evidence=evidence,
        queries=queries,
        seconds=time.perf_counter() - started,
        seed=seed,
        budget=budget,
        region=session.support.region,
        robot=session.robot,
        model=called,
        outputs=outputs,
        dt=dt,
        versions={n: metadata.version(n) for n in ("worldlaw", "torch", "numpy", "sympy")},
        curves=description.curves,
        parameters=description.parameters,
        structure=description.structure,
        account=found.account,
        law_from=description.law_from,
        regimes=[x.summary for x in (*session.regimes, *session.limits)],
        held_out=on_data,
        places=outcome.places,
        apart=outcome.apart,
        notes=[
            *(str(x.summary) for x in (*session.regimes, *session.limits)),
            *getattr(model, "notes", ()),
            *unlimited,
            *(inferred.notes if inferred else ()),
            *(on_data.sentences if on_data else ()),
            *query_counts(before + judged_by, queries - (told - judged_by)),
            *description.notes,
            *what_settles(verdict, description),
            *found.notes,
        ],
    )


def _exact(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen, Outcome | None]:
    """The outcome for a model that is a law to rounding error, where answers or controls are not
    clipped, dry friction holds no joint, and outside the regimes that such a law shows around the
    region; None without one."""
    outcome = exact_law(session, screen)
    for _ in range(_LOOKS):
        # Configurations that are clipped alone leave a law of velocities exact.
        followed = screen.step is None or screen.step.followed
        if outcome is not None and not outcome.edges and followed:
            break
        lawful = outcome is not None
        seen = with_limits(session, screen, integrator, substeps, lawful=lawful)
        if seen is None and outcome is not None and isinstance(outcome.law, Fit):
            seen = with_surrounding_regimes(session, screen, outcome.law, integrator, substeps)
        if seen is None and outcome is None:
            seen = with_standstill(session, screen, integrator, substeps)
        if seen is None and outcome is None:
            seen = with_regimes_and_standstill(session, screen, integrator, substeps)
        if seen is None:
            break
        session, screen = seen
        outcome = exact_law(session, screen)
    return session, screen, outcome


_LOOKS = 3  # for limits and regimes, each with what the one before has found


def _compete(session: QuerySession, screen: Screen) -> Outcome:
    """The outcome of a competition of laws: queries and hypotheses are added until the verdict is
    settled, then the law of the region is looked at where none holds far out."""
    whole = session.budget
    stage("listed laws")
    effort, measurements = competition.listed_laws(session, screen)
    verdict = judge(measurements.values)
    for words, add in competition.EFFORTS.items():
        stage(words)
        more = add(session, screen, measurements, verdict)
        if more is not None:
            effort, measurements = more
            verdict = judge(measurements.values)
    inner = measurements.laws.local
    if not measurements.law_far_out:
        stage("the law of the region")
        inside = max(whole.inside, effort.budget.inside)
        effort = effort.with_budget(replace(effort.budget, inside=inside))
        inner = competition.inner_law(effort, screen, measurements)
        effort, measurements = competition.reconsidered(
            session, effort, screen, measurements, inner
        )
        values = competition.beyond_the_region(effort, screen, measurements, inner)
        measurements = replace(measurements, values=measurements.values | values)
        stage("another law outside")
        measurements = competition.with_two_laws(effort, screen, measurements, inner)
    stage("memory of the training data")
    memory = competition.training_memory(effort, screen, measurements)
    measurements = replace(measurements, values=measurements.values | memory)
    part = law_of_a_part(session, screen)
    if part is not None:
        # What is a law to rounding in a part of the region is no table, whatever it is elsewhere.
        told = {Name.BEST_ERROR_INSIDE: part.level}
        measurements = replace(
            measurements,
            values=measurements.values | told,
            notes=[*measurements.notes, str(part)],
        )
    verdict = judge(measurements.values)
    return competition.outcome(effort, screen, measurements, inner, verdict)
