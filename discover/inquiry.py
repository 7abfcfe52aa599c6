"""`examine`: ask a model what it has learned.

The order of things: noise and precision first, then a small screening fit. A model that is a rigid
body to the last digit is looked at outside and done with. For all others families of laws compete
on answers inside and out to twice the region, are frozen, and are tested on fresh answers further
out, together and along each axis; what they leave over is looked at; and the verdict weighs it all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from itertools import pairwise
from typing import Any

import numpy as np
import torch

import kinematics
from discover.dynamics import Answers, Respondent
from discover.errors import ModelError, RegionError
from discover.evidence import Evidence
from discover.examination import Examination, Resolution
from discover.findings import descriptions, evidence_from
from discover.interview import AXES, BUDGETS, Interview
from discover.laws import Domain, RigidBodyLaw, unlisted
from discover.laws.consistency import Completion, complete
from discover.laws.family import Family
from discover.laws.fit import Fit, fit, fit_step_map, spread
from discover.laws.selection import possible, rank, refit, select
from discover.laws.terms import forces, joint_terms, library
from discover.parameters import parameter_table
from discover.probes import curvature, inertia, memory, noise, residual, structure
from discover.probes.reach import EDGES, Curve, curves, edge, reach, relative
from discover.region import Region
from discover.structure.account import MOST_JOINTS, account
from discover.structure.inference import Structure, coordinates_of, infer
from discover.structure.renumbering import renumbered
from discover.support import Box, Recorded, Support
from discover.verdict import judge
from kinematics import Robot

_EXACT = 1e-7  # a standardised residual that only an exact law leaves, beside rounding
_FEW = 4  # answers a shell, when the law is exact anyway
_NOISY = 3  # how many times as many questions answers are worth that do not repeat themselves
_WIDE = 2.0  # half-widths out to which laws are fitted when they compete; tested beyond
_MAX_TERMS = 3
_TOLERANCE = 0.05  # the relative error at which a law is said to have reached its end
_CHEAP = 0.1  # possible bodies that add less than this share of the law's error are the law's
_BREAK = 1e-3  # a departure (standardised) at which a law that is exact inside has ended
_NOWHERE = 0.25  # relative error far out at which no law holds there
_IDLE = 1e-8  # a term's share of the joint forces below which it is rounding
_SMALL = 4  # coordinates up to which pairs of unlisted terms are looked for among few answers
_KEEP = 0.3  # a law whose relative error inside is above this describes nothing


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

    Raises ModelError (wrong shapes, NaN in the region, a model that raises or changes its inputs)
    and RegionError, each with one line.
    """
    if budget not in BUDGETS:
        raise ModelError(f"expected a budget of {sorted(BUDGETS)}, found {budget!r}")
    started = time.perf_counter()
    name = name or getattr(model, "name", None) or type(model).__name__
    inferred: Structure | None = None
    if robot is None:
        nv = coordinates_of(region)
        inferred = infer(Respondent(model, nv, nv, outputs=outputs, dt=dt), region, seed)
        robot = inferred.robot
        model, region, training_data = renumbered(model, region, training_data, inferred.order)
    elif isinstance(robot, str):
        robot = kinematics.load(robot)
    respondent = Respondent(model, robot.nq, robot.nv, outputs=outputs, dt=dt)
    interview = Interview(
        respondent=respondent,
        robot=robot,
        support=_support(within, robot, region, training_data),
        budget=BUDGETS[budget],
        seed=seed,
        label_noise=_noise_of_labels(label_noise, robot.nv),
    )
    finding = _investigate(interview, training_data)
    if inferred is not None and inferred.geometry.good and robot.nv <= MOST_JOINTS:
        told = account(respondent, robot, interview.support.region, seed)
        law = finding.law
        if law is not None and told.recursion.equivalent:
            law = replace(law, searched=told.program)
        finding = replace(
            finding,
            law=law,
            evidence=[*finding.evidence, *told.evidence],
            notes=[*told.notes, *finding.notes],
        )
    verdict = judge(finding.evidence)
    return Examination(
        verdict=verdict.answer,
        confidence=verdict.confidence,
        probabilities=verdict.probabilities,
        reach=finding.reach,
        resolution=finding.resolution,
        law=finding.law,
        evidence=finding.evidence,
        queries=respondent.queries + (inferred.queries if inferred else 0),
        seconds=time.perf_counter() - started,
        seed=seed,
        budget=budget,
        region=interview.support.region,
        robot=robot,
        model=name,
        outputs=outputs,
        dt=dt,
        versions=_versions(),
        curves=finding.curves,
        parameters=finding.parameters,
        structure=finding.structure,
        law_from=finding.law_from,
        notes=[
            *(inferred.notes if inferred else ()),
            *finding.notes,
            *_explain(verdict.answer, verdict.weakest, finding),
        ],
    )


@dataclass(frozen=True, kw_only=True)
class _Finding:
    evidence: list[Evidence]
    law: RigidBodyLaw | None
    reach: dict[str, float]
    resolution: Resolution
    curves: list[Curve]
    parameters: list[dict[str, Any]]
    structure: dict[str, float]
    notes: list[str]
    law_from: str


def _investigate(interview: Interview, training_data: tuple | None) -> _Finding:
    plain = Family.of(interview.robot)
    terms = joint_terms(interview.robot)
    rows_needed = 3 * (plain.size + len(terms)) // interview.robot.nv
    screen = interview.inside("screen", max(interview.budget.screen, rows_needed))
    cut = len(screen) * 4 // 5
    scale = spread(screen)
    floor = noise.measure(interview, screen, scale)
    if floor.random > 0:
        interview.budget = interview.budget.times(_NOISY)
    first = _fit(interview, plain, screen[:cut], scale)
    exact = max(_EXACT, 10 * floor.rounding)
    if floor.random == 0.0:
        found, rival = _exact_on(screen[:cut], screen[cut:], first, interview.robot, exact)
        if found is not None:
            return _exact_law(interview, found, screen, floor, rival, training_data)
    return _compete(interview, first, floor, training_data)


def _exact_on(
    answers: Answers, held: Answers, plain: Fit, robot: Robot, exact: float
) -> tuple[Fit | None, Fit | None]:
    """(the law that is exact on few answers, the best rigid body where the law is none).

    Bodies alone, then with joint terms, then with terms that no description lists. Three terms
    out of hundreds can fit a few answers well, never to seven digits.
    """
    if plain.standardised_error(held) <= exact:
        return plain, None
    # Joint terms all at once: one by one, the last of many would have to wait for all others.
    several = refit(plain, answers, rank(plain, answers, joint_terms(robot)))
    sizes = several.theta[plain.family.size :].abs() * _term_sizes(several, answers)
    needed = [t for t, x in zip(several.family.terms, sizes.tolist(), strict=True) if x > _IDLE]
    rigid = refit(plain, answers, needed)
    if rigid.standardised_error(held) <= exact:
        return (rigid, None) if possible(rigid) else (None, None)
    rigid = several if several.error < plain.error and possible(several) else plain
    most = _MAX_TERMS if robot.nv <= _SMALL else 1
    extended = select(rigid, answers, held, library(robot), floor=exact, limit=most).fit
    if extended.standardised_error(held) <= exact:
        return extended, rigid
    return None, None


def _term_sizes(fitted: Fit, answers: Answers) -> torch.Tensor:
    """The root mean square of each term's column over that of the joint forces."""
    x = answers
    columns = forces(fitted.family.terms, x.q, x.v, x.a, x.tau, fitted.family.bodies)
    return columns.square().mean((0, 1)).sqrt() / x.tau.square().mean().sqrt()


def _exact_law(
    interview: Interview,
    law: Fit,
    screen: Answers,
    floor: noise.Floor,
    rival: Fit | None,
    training_data: tuple | None,
) -> _Finding:
    """A law to the last digit, inside: does it stay one outside?

    `rival` is the best rigid body, where the law has terms that no description lists.
    """
    small = Interview(
        respondent=interview.respondent,
        robot=interview.robot,
        support=interview.support,
        budget=type(interview.budget)(
            screen=0, inside=0, shell=max(_FEW, interview.budget.shell // 10), local=1
        ),
        seed=interview.seed,
        answers=interview.answers,
    )
    drawn = curves(small, law, screen)
    far = max(e for c in drawn.values() for e in c.error[1:])
    body = law if rival is None else rival
    completion = complete(body, screen, interview.robot.pi)
    level = max(floor.level, body.standardised_error(screen), 1e-15)
    inside_error, rounding = drawn["joint"].error[0], exact_floor(floor)
    far_body, body_error = far, inside_error
    if rival is not None:
        far_body = max(relative(rival, Answers.concat(_asked(small, axis))) for axis in AXES)
        body_error = relative(rival, screen)
    values = {
        "law error in the region": body_error,
        "refit error far out": far_body,
        "self-extrapolation error": far_body,
        "residual growth": max(1.0, far_body / max(body_error, rounding)),
        "low-dimensional predictability": 0.0,
        "gain of extra terms": _gain(far_body, far, rounding),
        "cost of possible parameters": 1.0 + completion.cost / max(level, 10 * _EXACT),
        "extended law error far out": far,
        "best law error far out": far,
        "best law error in the region": inside_error,
        "resolution": max(inside_error, floor.level),
        "repeatability": floor.random,
    }
    values |= _remembered(interview, law, training_data, screen, floor)
    notes: list[str] = []
    edges: dict[str, float] = {}
    if far > 1e3 * exact_floor(floor):
        # Exact inside and something else outside: no verdict of physics, whatever it is out there.
        bend = curvature.measure(interview, floor.level, law.scale, 12)
        if bend.least is not None:
            values["far curvature"] = bend.least
        notes, edges = _breaks(small, law, floor)
    origin = f"{len(screen) * 4 // 5} answers inside the region"
    return _conclude(
        small, law, completion, drawn, values, floor, notes, law_from=origin, edges=edges
    )


def _breaks(
    interview: Interview, law: Fit, floor: noise.Floor
) -> tuple[list[str], dict[str, float]]:
    """Where a law that is exact inside stops being the model: sentences, and the edge by axis."""
    tolerance = max(_BREAK, 100 * exact_floor(floor))
    found = {axis: edge(interview, law, axis, tolerance) for axis in AXES}
    edges = {axis: at for axis, at in found.items() if at is not None}
    where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
    return [f"A law to the last digit inside; something else outside, from {where} on."], edges


def _remembered(
    interview: Interview,
    law: Fit,
    training_data: tuple | None,
    fresh: Answers,
    floor: noise.Floor,
) -> dict[str, float]:
    """What the model remembers of its training data, where they are given."""
    if training_data is None:
        return {}
    found = memory.measure(
        interview, law, _training(training_data, interview.robot), fresh, floor.own
    )
    return {
        "kept label noise": found.kept_noise,
        "train/fresh gap": found.gap,
        "error against distance to training data": found.distance_link,
    }


def _asked(interview: Interview, axis: str) -> list[Answers]:
    """The outer shells of an axis, as asked."""
    edges = [e for e in pairwise(EDGES) if e[0] >= _WIDE]
    return [interview.shell(axis, lo, hi, interview.budget.shell) for lo, hi in edges]


def exact_floor(floor: noise.Floor) -> float:
    """The relative error below which growth is rounding."""
    return max(1e-9, 10 * floor.rounding)


def _compete(
    interview: Interview, first: Fit, floor: noise.Floor, training_data: tuple | None
) -> _Finding:
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
        _fit(interview, local.family, wide_set, scale, start=local.theta),
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
    noise_far = _relative_noise(floor, fresh)
    blur = noise_far * (8.0 / (len(far_sets[0]) * interview.robot.nv)) ** 0.25
    far_physics = _worst(physics, far_sets, floor)
    far_extended = _worst(extended, far_sets, floor)
    drift = _worst(local, far_sets, floor)
    inside_error = relative(physics, held)
    predictable, where = residual.low_dimensional_predictability(physics, inside)
    completion = complete(physics, inside, interview.robot.pi)
    bend = curvature.measure(interview, floor.level, scale, max(20, budget.shell // 3))
    values = {
        "law error in the region": _excess(inside_error, _relative_noise(floor, held)),
        "refit error far out": far_physics,
        "self-extrapolation error": drift,
        "residual growth": _growth(physics, held, fresh, floor),
        "low-dimensional predictability": predictable if inside_error > 10 * gate else 0.0,
        "gain of extra terms": _gain(far_physics, far_extended, max(gate, blur)),
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
    values |= _remembered(interview, local, training_data, held, floor)
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
    return _conclude(interview, law, completion, drawn, values, floor, notes, law_from=origin)


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


def _fit(interview: Interview, family: Family, answers: Answers, scale, start=None) -> Fit:
    if interview.respondent.outputs == "next_state":
        assert interview.respondent.dt is not None
        return fit_step_map(family, answers, interview.respondent.dt, scale=scale, start=start)
    return fit(family, answers, scale=scale, start=start)


def _worst(law: Fit, sets: list[Answers], floor: noise.Floor) -> float:
    """The largest relative error over the sets, beyond the model's own noise."""
    return max(_excess(relative(law, s), _relative_noise(floor, s)) for s in sets)


def _gain(before: float, after: float, blur: float) -> float:
    """How many times smaller an error became, both blurred by what noise leaves uncertain."""
    if not np.isfinite(before) or not np.isfinite(after):
        return 1.0 if before == after else before / max(after, blur)
    return float(np.hypot(before, blur) / np.hypot(after, blur))


def _excess(error: float, noise_level: float) -> float:
    return float(np.sqrt(max(error**2 - noise_level**2, 0.0))) if np.isfinite(error) else error


def _relative_noise(floor: noise.Floor, answers: Answers) -> float:
    ok = answers.a[torch.isfinite(answers.a).all(-1)]
    if not len(ok):
        return 0.0
    return float((floor.sigma.square() / ok.square().mean(0).clamp_min(1e-300)).mean().sqrt())


def _growth(law: Fit, inside: Answers, outside: Answers, floor: noise.Floor) -> float:
    """Residual outside over inside, in absolute terms, never below the noise floor."""
    level = max(floor.level, 1e-9)
    inner = max(law.standardised_error(inside), level)
    rows = law.residual(outside).square().mean(-1).sqrt()
    outer = float(rows.median()) if bool(torch.isfinite(rows).all()) else float("inf")
    return max(outer, level) / inner


def _support(within: str, robot: Robot, region: Region, training_data: tuple | None) -> Support:
    if within == "region":
        return Box(robot=robot, region=region.resolve(robot.nv))
    if within != "data":
        raise RegionError(f"expected within='region' or 'data', found {within!r}")
    if training_data is None:
        raise RegionError("within='data' needs training_data=(q, v, tau, a), found none")
    answers = _training(training_data, robot)
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


def _training(data: tuple, robot: Robot) -> Answers:
    if len(data) != 4:
        raise ModelError(f"expected training_data as (q, v, tau, a), found {len(data)} arrays")
    q, v, tau, a = (torch.as_tensor(x, dtype=torch.float64) for x in data)
    nq, nv = robot.nq, robot.nv
    if q.shape[-1] != nq or any(x.shape != (len(q), nv) for x in (v, tau, a)):
        raise ModelError(
            f"expected training_data of shapes (n, {nq}), (n, {nv}), (n, {nv}), (n, {nv}), found "
            f"{', '.join(str(tuple(x.shape)) for x in (q, v, tau, a))}"
        )
    return Answers(q=q, v=v, tau=tau, a=a)


def _conclude(
    interview: Interview,
    law: Fit,
    completion: Completion,
    drawn: dict[str, Curve],
    values: dict[str, float],
    floor: noise.Floor,
    notes: list[str],
    *,
    law_from: str,
    edges: dict[str, float] | None = None,
) -> _Finding:
    if floor.labels:
        told = f"Its training labels carry noise of {floor.labels:.2g} of the spread of a"
        notes = [*notes, f"{told}: smaller departures are not held against it."]
    inside_error = drawn["joint"].error[0]
    tolerance = _TOLERANCE + 3 * floor.random
    reached = {axis: reach(c, tolerance) for axis, c in drawn.items()}
    for axis, at in (edges or {}).items():
        reached[axis] = (min(at, EDGES[-1]), False)
    domain = Domain(
        reach={axis: r for axis, (r, _) in reached.items()},
        tolerance=tolerance,
        at_least=tuple(axis for axis, (_, whole) in reached.items() if whole),
    )
    far = max(c.error[-1] for c in drawn.values())
    bands = {
        "law error in the region": (drawn["joint"].low[0], drawn["joint"].high[0]),
    }
    kept = inside_error <= max(_KEEP, 3 * floor.random)
    bodied = completion.exact or completion.cost <= _CHEAP * law.error
    pi = completion.pi if bodied and completion.armature is None else None
    result = RigidBodyLaw.from_fit(law, pi).within(domain) if kept else None
    if kept and not bodied:
        notes = [
            *notes,
            "No physically possible bodies have exactly these base parameters; moving to the "
            f"nearest possible ones costs {completion.cost:.2g} of the spread of a.",
        ]
    identities = {k: v for k, v in asdict(structure.measure(interview)).items() if v is not None}
    return _Finding(
        evidence=evidence_from(values, bands) + descriptions(identities),
        law=result,
        reach=domain.reach,
        resolution=Resolution(max(inside_error, floor.level), max(far, floor.level)),
        curves=list(drawn.values()),
        parameters=parameter_table(law, interview.robot) if kept else [],
        structure=identities,
        notes=notes,
        law_from=law_from,
    )


def _explain(answer: str, weakest: dict[str, str], finding: _Finding) -> list[str]:
    """What the answer does not say: where physics was not looked at, or what held cases back."""
    if answer == "physics":
        reached = ", ".join(f"{axis} {r:.3g}×" for axis, r in finding.reach.items())
        return [
            f"Physics: no departure above {finding.resolution.region:.2g} of the spread of a in "
            f"the region and {finding.resolution.far:.2g} outside was seen, within the reach "
            f"{reached}."
        ]
    if answer != "undetermined":
        return []
    return [
        f"*{case[0].upper() + case[1:]}* is held back most by: {what}."
        for case, what in weakest.items()
    ]


def _versions() -> dict[str, str]:
    names = ("worldlaw", "torch", "numpy", "sympy")
    return {n: metadata.version(n) for n in names}
