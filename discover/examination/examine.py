"""`examine`: ask a model what it has learned.

The order of things: noise and precision first, then a small screening fit. A model that is a rigid
body to the last digit is looked at outside and done with. For all others families of laws compete
on answers inside and out to twice the region, are frozen, and are tested on fresh answers further
out, together and along each axis; what they leave over is looked at; and the verdict weighs it all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from typing import Any

import torch

import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box, Recorded, Support
from discover.errors import ModelError, RegionError
from discover.examination.description import Finding, explain
from discover.examination.exact_law import investigate
from discover.examination.metrics import training_answers
from discover.examination.result import Examination
from discover.judgement.verdict import judge
from discover.laws import ConstantLaw, RigidBodyLaw
from discover.mechanism.coordinates import renumbered
from discover.mechanism.description import (
    MechanismDescription,
    describe_mechanism,
    is_affordable,
    is_quick,
)
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.inference import (
    InferredRobot,
    coordinates_of,
    infer_robot,
    infer_robot_from_steps,
)
from discover.threads import one_thread
from kinematics import Robot

_SAME = 1e-8  # relative departure in the region below which a law answers for its model


@one_thread()
def examine(
    model: Callable,
    robot: Robot | None,
    region: Region,
    training_data: tuple | None = None,
    *,
    outputs: str = "acceleration",
    dt: float | None = None,
    budget: str = "standard",
    seed: int = 0,
    within: str = "region",
    label_noise: Any | None = None,
    mechanism: bool | None = None,
    root: str | None = None,
    name: str | None = None,
) -> Examination:
    """What has `model` learned: a lookup table, the physics of `robot`, or another law?

    model          callable (q, v, tau) -> a on batched tensors, or -> (q_next, v_next) with
                   outputs="next_state" and its step dt [s]; it is only ever called
    robot          the tree that the model is held against; its parameters are not trusted. With
                   None, nv is read from the region's vectors and tree, joint kinds and geometry
                   are inferred from the answers
    region         where the model was trained
    training_data  (q, v, tau, a) of the training samples, where known: enables memory probes
    budget         "quick", "standard" or "thorough"
    seed           same seed, same model: the same questions and the same law
    within         "region" (uniform questions in the box), or "data": questions among the states
                   of training_data, for models of recorded trajectories, which fill a thin part of
                   the box; the region is then the box that they span
    label_noise    (nv,) standard deviation of the noise in the accelerations of the training data
                   [rad/s² | m/s²], where an estimate is known, as of recordings: a floor under what
                   can be told, for a model cannot be held to less than its teacher knew
    root           without a robot: "free" where the first six velocities (seven numbers of q) are
                   a free base's; by default all coordinates are joints'
    mechanism      whether tree and geometry are inferred beside a description and the recursion is
                   searched. True asks the model thousands of questions for it. By default that is
                   done with the budget "thorough", and for few joints where the law is the model
                   to the last digit: then the law is asked, and the model is not troubled

    Raises ModelError (wrong shapes, NaN in the region, a model that raises or changes its inputs)
    and RegionError, each with one line.
    """
    if budget not in BUDGETS:
        raise ModelError(f"expected a budget of {sorted(BUDGETS)}, found {budget!r}")
    started = time.perf_counter()
    name = name or getattr(model, "name", None) or type(model).__name__
    inferred: InferredRobot | None = None
    described = kinematics.load(robot) if isinstance(robot, str) else robot
    if root not in (None, "free") or (root and described is not None):
        raise ModelError(
            f"expected root='free' or none, and only without a robot, found {root!r}: a robot's "
            "description says what its root is"
        )
    if described is None:
        nv = coordinates_of(region)
        box = region.resolve(nv)
        bare = BlackBox(model, nv + (root == "free"), nv, outputs=outputs, dt=dt)
        steps = infer_robot_from_steps if outputs == "next_state" else infer_robot
        inferred = (infer_free_base if root == "free" else steps)(bare, box, seed)
        body = inferred.robot
        model, region, training_data = renumbered(model, region, training_data, inferred.order)
    else:
        body = described
    blackbox = BlackBox(model, body.nq, body.nv, outputs=outputs, dt=dt)
    session = QuerySession(
        blackbox=blackbox,
        robot=body,
        support=_support(within, body, region, training_data),
        budget=BUDGETS[budget],
        seed=seed,
        label_noise=_noise_of_labels(label_noise, body.nv),
        geometry_known=inferred is None or inferred.geometry.known,
    )
    finding = investigate(session, training_data)
    judged_by = blackbox.queries + (inferred.queries if inferred else 0)
    seen = inferred
    asked: BlackBox | None = blackbox
    if inferred is None:
        bodied = not isinstance(finding.law, ConstantLaw)
        asked = _asked_for_mechanism(mechanism, blackbox, finding, budget) if bodied else None
        if asked is not None and is_affordable(body, finding.law, budget, within):
            seen = infer_robot(asked, session.support.region, seed, brief=True)
    told: MechanismDescription | None = None
    if seen is not None and asked is not None:
        found = describe_mechanism(asked, seen, session.support.region, seed, described)
        told, law = found.description, finding.law
        if isinstance(law, RigidBodyLaw) and told.equals and told.forward is not None:
            law = replace(law, searched=told.pretty)
        finding = replace(
            finding,
            law=law,
            evidence=[*finding.evidence, *found.evidence],
        )
    verdict = judge(finding.evidence)
    queries = blackbox.queries + (inferred.queries if inferred else 0)
    counted = []
    if queries > judged_by:
        told_of = "tree, geometry and recursion"
        counted = [
            f"{judged_by:,} questions led to the verdict, {queries - judged_by:,} to {told_of}."
        ]
    return Examination(
        verdict=verdict.answer,
        confidence=verdict.confidence,
        probabilities=verdict.probabilities,
        reach=finding.reach,
        resolution=finding.resolution,
        law=finding.law,
        evidence=finding.evidence,
        queries=queries,
        seconds=time.perf_counter() - started,
        seed=seed,
        budget=budget,
        region=session.support.region,
        robot=body,
        model=name,
        outputs=outputs,
        dt=dt,
        versions=_versions(),
        curves=finding.curves,
        parameters=finding.parameters
        if described is not None
        else [{**row, "description": None} for row in finding.parameters],
        structure=finding.structure,
        account=told,
        law_from=finding.law_from,
        notes=[
            *(inferred.notes if inferred else ()),
            *counted,
            *finding.notes,
            *explain(verdict.answer, verdict.weakest, finding),
        ],
    )


def _asked_for_mechanism(
    wanted: bool | None, model: BlackBox, finding: Finding, budget: str
) -> BlackBox | None:
    """Who answers the questions about tree and geometry: the model, its law, or nobody."""
    exact = finding.law is not None and finding.resolution.region < _SAME
    if wanted or (wanted is None and budget == "thorough" and not exact):
        return model
    if wanted is None and exact and is_quick(model.nv):
        assert finding.law is not None
        return BlackBox(finding.law, model.nq, model.nv)
    return None


def _support(within: str, robot: Robot, region: Region, training_data: tuple | None) -> Support:
    if within == "region":
        return Box(robot=robot, region=region.resolve(robot.nv))
    if within != "data":
        raise RegionError(f"expected within='region' or 'data', found {within!r}")
    if training_data is None:
        raise RegionError("within='data' needs training_data=(q, v, tau, a), found none")
    answers = training_answers(training_data, robot)
    return Recorded.of(robot, answers.q, answers.v, answers.tau)


def _noise_of_labels(given: Any | None, nv: int) -> torch.Tensor | None:
    if given is None:
        return None
    noise = torch.as_tensor(given, dtype=torch.float64)
    if noise.shape != (nv,) or not bool((noise >= 0).all()) or not bool(noise.isfinite().all()):
        raise ModelError(
            f"expected label_noise of shape ({nv},), finite and not negative, found "
            f"{tuple(noise.shape)}: give one standard deviation a joint coordinate"
        )
    return noise


def _versions() -> dict[str, str]:
    names = ("worldlaw", "torch", "numpy", "sympy")
    return {n: metadata.version(n) for n in names}
