"""`discover.gradients`: can a model's gradients be used for optimisation, and how far?"""

from __future__ import annotations

import math
import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.evaluation.simulators.reference import simulator
from discover.gradient_quality import estimators as est
from discover.gradient_quality.objectives import (
    Asked,
    Cost,
    Objective,
    OneAnswer,
    RollOut,
    Starts,
    starts_of,
)
from discover.gradient_quality.records import EXACT, FIRST_ORDER, MODEL, Agreement, Trust
from discover.gradient_quality.result import GradientReport
from discover.judgement.thresholds import threshold, whole
from discover.progress import Show, reported, stage
from kinematics import Robot

RADII = (0.01, 0.03, 0.1, 0.3, 1.0)
Model = Callable[..., Any]


@reported("gradients", "measure again: the same seed gives the same answers")
def gradients(
    model: Model,
    truth: Model | None,
    region: Region,
    radii: Sequence[float] = RADII,
    *,
    robot: Robot | str | os.PathLike[str],
    outputs: str | None = None,
    dt: float | None = None,
    cost: Cost | None = None,
    horizon: int = 20,
    starts: int | tuple[Any, Any, Any] = 24,
    controls: Any = None,
    pairs: int = 512,
    beside: Mapping[str, Model] | None = None,
    seed: int = 0,
    name: str | None = None,
    progress: Show = None,
) -> GradientReport:
    """How far a model's gradients are those of the smoothed simulator, and how far a step along
    them keeps its promise.

    model, truth   callables (q, v, tau) -> a, or -> (q_next, v_next) with outputs="next_state" and
                   dt [s]; batched. truth None: the robot's own dynamics, without contact
    region         its half-widths are the unit of every length; starts are drawn in it
    radii          standard deviations of the smoothing, and lengths of steps [half-widths]
    cost, horizon  cost(q (B, K+1, nq), v (B, K+1, nv), u (B, K, nu)) -> (B,) of roll-outs of
                   `horizon` steps, differentiated by their controls. Without it: by state and
                   controls, a linear function of one answer, drawn anew for each start
    starts         how many, or states and controls (q, v, u) of your data: a box holds bodies
                   inside floors
    controls       (S, K, nu) of roll-outs [uniform in the region]
    pairs          antithetic pairs of each smoothed gradient
    beside         other models to judge in the same table, such as a simulator with softer contact

    The simulator needs no gradients: the smoothed one comes from values, and its sampling error is
    told as a ceiling. Its exact and first-order gradients stand beside where it gives them. The
    trust ratio is judged on the smoothed cost, since a raw one pins every method to a jump. Raises
    ModelError, RegionError and RobotError.
    """
    started = time.process_time()
    body = robot if isinstance(robot, Robot) else kinematics.load(robot)
    lengths = _lengths(radii)
    outputs = outputs or getattr(model, "outputs", None) or "acceleration"
    dt = dt if dt is not None else getattr(model, "dt", None)
    _check(outputs, dt, cost, horizon, starts, pairs)
    box = region.resolve(body.nv, region.nu if region.u is not None else None)
    asked = Asked(model, body, outputs, dt, "the model")
    true = _truth(truth, body, outputs, dt, "tau" if box.u is None else "u")
    others = {n: Asked(m, body, outputs, dt, n) for n, m in (beside or {}).items()}
    stage("starts")
    at = starts_of(body, box, starts, seed)
    generator = torch.Generator().manual_seed(seed)
    objective = _objective(body, at, true, cost, horizon, controls, lengths[-1], generator)
    noise = torch.randn(
        len(at), pairs + pairs % 2, objective.dim, dtype=torch.float64, generator=generator
    )

    stage("gradients of the models")
    home = torch.zeros(len(at), 1, objective.dim, dtype=torch.float64)
    roads = {MODEL: asked, EXACT: true, **others}
    fixed, differenced = {}, []
    for label, one in roads.items():
        gradient, own = est.pathwise(objective, one, home)
        fixed[label] = gradient[:, 0]
        if not own:
            differenced.append(label)
    few = noise[:, : whole("gradients.first_order")]
    agreements: list[Agreement] = []
    for sigma in lengths:
        stage(f"smoothed gradients, σ = {sigma:g}")
        smooth = est.zeroth_order(objective, true, noise, sigma)
        if sigma == lengths[-1] and not bool((smooth.gradient.norm(dim=-1) > 0).any()):
            raise ModelError(
                f"expected answers of the simulator that change within σ = {sigma:g} half-widths "
                "of the starts, found none or NaN; give longer radii or other starts"
            )
        shown = dict(fixed)
        if EXACT not in differenced:
            shown[FIRST_ORDER] = est.first_order(objective, true, few, sigma)
        agreements += [_agreement(n, sigma, g, smooth) for n, g in shown.items()]
    equivalent = {
        n: _equivalent(n, agreements) for n in dict.fromkeys(a.contender for a in agreements)
    }

    stage("steps along the gradients")
    trusts = [
        _trust(n, objective, roads[n], true, g, r, min(r, equivalent[n]), noise)
        for n, g in fixed.items()
        for r in lengths
    ]
    stage("steps along the coordinates")
    along = _along(objective, asked, true, lengths, equivalent[MODEL], noise)
    radius = {n: _useful([t for t in trusts if t.contender == n]) for n in fixed}
    return GradientReport(
        model=name or getattr(model, "name", None) or "model",
        robot=body.name,
        region=box.to_dict(),
        objective=_words(cost, horizon, outputs, dt),
        starts=len(at),
        pairs=noise.shape[1],
        sigmas=lengths,
        radii=lengths,
        agreements=tuple(agreements),
        trusts=tuple(trusts),
        useful_radius=radius,
        by_direction=along,
        equivalent_sigma=equivalent,
        differenced=tuple(differenced),
        notes=_notes(agreements),
        queries={MODEL: asked.queries, "simulator": true.queries}
        | {n: o.queries for n, o in others.items()},
        seconds=time.process_time() - started,
        seed=seed,
    )


def _agreement(name: str, sigma: float, gradient: Tensor, smooth: est.Smoothed) -> Agreement:
    """Median cosine, norm and dead share of gradients (S, dim) against the smoothed ones.

    A gradient that is zero points nowhere: its cosine counts as 0. Starts where the smoothed
    gradient itself is zero, as where nothing touches, tell nothing and are left out.
    """
    size, own = smooth.gradient.norm(dim=-1), gradient.norm(dim=-1)
    # Beside one another, not beside zero: the costs of starts may differ by orders of magnitude.
    alive = size > threshold("gradients.dead") * size[size > 0].median()
    cos = torch.nan_to_num(est.cosine(gradient, smooth.gradient), nan=0.0)[alive]
    ratio = (own / size)[alive]
    dead = ~(ratio > threshold("gradients.dead"))  # NaN is no gradient either
    top = est.ceiling(smooth)[alive]
    return Agreement(
        contender=name,
        sigma=sigma,
        cosine=_quantile(cos, 0.5),
        cosine_p10=_quantile(cos, 0.1),
        ceiling=_quantile(top, 0.5),
        norm=_quantile(torch.nan_to_num(ratio, nan=math.inf), 0.5),
        dead=float(dead.double().mean()) if len(dead) else math.nan,
    )


def _quantile(x: Tensor, share: float) -> float:
    return float(np.quantile(x.numpy(), share)) if len(x) else math.nan


def _equivalent(name: str, agreements: Sequence[Agreement]) -> float:
    """The σ whose smoothed gradient a contender resembles most."""
    own = [a for a in agreements if a.contender == name]
    return max(own, key=lambda a: -math.inf if math.isnan(a.cosine) else a.cosine).sigma


def _trust(
    name: str,
    objective: Objective,
    asked: Asked,
    true: Asked,
    gradient: Tensor,
    radius: float,
    sigma: float,
    noise: Tensor,
) -> Trust:
    """Steps of one length against a contender's gradient: the fall of the smoothed cost over the
    fall that the contender promises at the end of the step."""
    size = gradient.norm(dim=-1, keepdim=True)
    step = (-radius * gradient / size.clamp(min=torch.finfo(size.dtype).tiny))[:, None]
    promised = _fall(objective, asked, step)
    told = _smoothed_fall(objective, true, step, sigma, noise)
    # Who sees no slope, or no way down, promises nothing and cannot be followed.
    promises = torch.isfinite(promised) & (promised > 0) & (size[:, 0] > 0)
    ratio = torch.where(promises, told / promised, torch.nan)
    kept = promises & (ratio >= threshold("gradients.trust"))
    some = ratio[promises]
    return Trust(
        contender=name,
        radius=radius,
        share=float(kept.double().mean()),
        ratio=_quantile(some, 0.5) if len(some) else None,
    )


def _fall(objective: Objective, asked: Asked, step: Tensor) -> Tensor:
    """(S,) how much an objective falls from the start to a displacement (S, 1, dim)."""
    value = est.values(objective, asked, torch.cat((torch.zeros_like(step), step), 1))
    return value[:, 0] - value[:, 1]


def _smoothed_fall(
    objective: Objective, true: Asked, step: Tensor, sigma: float, noise: Tensor
) -> Tensor:
    """The same of the smoothed simulator; both ends share their noise."""
    some = sigma * noise[:, : whole("gradients.trust_pairs")]
    cloud = torch.cat((some, -some), 1)
    n = cloud.shape[1]
    value = est.values(objective, true, torch.cat((cloud, cloud + step), 1))
    return value[:, :n].mean(1) - value[:, n:].mean(1)


def _useful(trusts: Sequence[Trust]) -> float:
    """The longest step that is trusted at enough starts, shorter ones being trusted too."""
    longest = 0.0
    for t in trusts:
        if t.share < threshold("gradients.share"):
            break
        longest = t.radius
    return longest


def _along(
    objective: Objective,
    asked: Asked,
    true: Asked,
    lengths: tuple[float, ...],
    sigma: float,
    noise: Tensor,
) -> dict[str, float]:
    """How far the model's change along each signed coordinate is the smoothed simulator's, up to
    the trust ratio either way, at enough starts; a contact may allow one sign and not the other."""
    low = threshold("gradients.trust")
    found = {}
    for name, direction in objective.directions.items():
        for sign, word in ((1, "+"), (-1, "−")):
            longest = 0.0
            for radius in lengths:
                step = (sign * radius * direction).expand(len(noise), 1, -1)
                promised = _fall(objective, asked, step)
                told = _smoothed_fall(objective, true, step, min(radius, sigma), noise)
                # A change that is small beside the others' may have any ratio.
                size = torch.maximum(told.abs(), promised.abs())
                counts = size > threshold("gradients.dead") * size.max()
                ratio = (told / promised)[counts]
                right = (ratio >= low) & (ratio <= 1 / low)
                if len(ratio) and float(right.double().mean()) < threshold("gradients.share"):
                    break
                longest = radius
            found[word + name] = longest
    return found


def _objective(
    robot: Robot,
    at: Starts,
    true: Asked,
    cost: Cost | None,
    horizon: int,
    controls: Any,
    widest: float,
    generator: torch.Generator,
) -> Objective:
    """A linear function of one answer for each start, or the cost of roll-outs."""
    if cost is not None:
        shape = (len(at), horizon, at.u.shape[1])
        if controls is None:
            uniform = 2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1
            commands = at.u.mean(0) + uniform * at.half[2]
        else:
            commands = torch.as_tensor(controls, dtype=torch.float64)
        if tuple(commands.shape) != shape:
            raise ModelError(f"controls: expected {shape}, found {tuple(commands.shape)}")
        return RollOut(robot=robot, starts=at, controls=commands, cost=cost)
    plain = OneAnswer(robot=robot, starts=at, weights=torch.ones(1, 1, dtype=torch.float64))
    shape = (len(at), whole("gradients.spread"), plain.dim)
    cloud = widest * torch.randn(shape, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        spread = plain.changes(true, cloud).flatten(0, 1).std(0)
    weights = torch.randn(len(at), len(spread), dtype=torch.float64, generator=generator)
    # A coordinate that never changes has no unit to be weighed in.
    scaled = torch.where(spread > 0, weights / spread, torch.zeros_like(weights))
    return replace(plain, weights=scaled)


def _truth(
    truth: Model | None, robot: Robot, outputs: str, dt: float | None, commanded: str
) -> Asked:
    """The simulator; by default the robot's own motion, without contact. Raises ModelError."""
    if truth is None:
        if commanded != "tau":
            raise ModelError("a model of controls: expected its simulator as truth, found none")
        truth = simulator(robot, outputs=outputs, dt=dt)
    return Asked(truth, robot, outputs, dt, "the simulator")


def _lengths(radii: Sequence[float]) -> tuple[float, ...]:
    numbers_ = [r for r in radii if isinstance(r, numbers.Real) and math.isfinite(r) and r > 0]
    if not len(radii) or len(numbers_) < len(radii):
        raise ModelError(f"radii: expected numbers above zero [half-widths], found {radii!r}")
    return tuple(sorted({float(r) for r in numbers_}))


def _check(
    outputs: str,
    dt: float | None,
    cost: Cost | None,
    horizon: int,
    starts: Any,
    pairs: int,
) -> None:
    if outputs not in ("acceleration", "next_state"):
        raise ModelError(f"expected outputs acceleration or next_state, found {outputs!r}")
    needs = outputs == "next_state" or cost is not None
    if needs and not (isinstance(dt, numbers.Real) and math.isfinite(dt) and dt > 0):
        raise ModelError(f"steps and roll-outs need dt > 0 [s], found {dt!r}")
    few = isinstance(starts, int) and starts < 2
    if few or pairs < 2 or horizon < 1:
        raise ModelError(
            f"expected starts >= 2, pairs >= 2 and horizon >= 1, found {starts!r}, {pairs}, "
            f"{horizon}"
        )


def _words(cost: Cost | None, horizon: int, outputs: str, dt: float | None) -> str:
    if cost is not None:
        return f"the cost of {horizon} steps of {dt:g} s, by their controls"
    answer = "an acceleration" if outputs == "acceleration" else f"a step of {dt:g} s"
    return f"random linear functions of {answer}, by state and controls"


def _notes(agreements: Sequence[Agreement]) -> tuple[str, ...]:
    """What the reader must know of single σ."""
    own = [a for a in agreements if a.contender == MODEL]
    flat = ", ".join(f"{a.sigma:g}" for a in own if math.isnan(a.ceiling))
    few = ", ".join(f"{a.sigma:g}" for a in own if a.ceiling < 0.9)
    notes = []
    if flat:
        notes.append(f"at σ = {flat} the simulator's smoothed objective is flat at every start")
    if few:
        notes.append(f"at σ = {few} the sample is too small for a cosine of 0.9: take more pairs")
    return tuple(notes)
