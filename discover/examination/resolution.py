"""Resolution: the smallest departure from a law that the tests would have shown.

Other laws are added to the fitted one, at the measured noise and residual: terms of the library and
shapes that it does not list. Each is made larger until the rules of the examination would have
noticed it - the selection by description length, and the gain far out. The resolution is what nine
of ten of these laws needed: smaller ones could have been hidden. Nothing larger than the residual
can hide in it, so the residual is the resolution at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover import numerics
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.examination.metrics import excess, relative_noise
from discover.examination.result import Resolution
from discover.judgement.thresholds import threshold, whole
from discover.laws.contract import ALPHABET_SIZE, EFFECTIVE_SAMPLES
from discover.laws.extensions.terms import Term, forces, library, symbols
from discover.laws.rigid_body.family import evaluation_point
from discover.laws.rigid_body.fit import Fit, design_of
from discover.laws.search.selection import effective_samples
from discover.probes.noise import NoiseFloor
from discover.probes.reach import relative
from kinematics import Robot

_LISTED = whole("examination.planted_listed")
_UNLISTED = threshold("examination.search_leaves")
_SHOWN = threshold("examination.planted_shown")
_ABSORBED = 1e-6  # a law that bodies imitate to this share is none


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The answers that the tests looked at: in the region, out to where laws are fitted, and the
    fresh ones far out, one set an axis."""

    inside: Answers
    tested: Answers
    far: list[Answers]


@dataclass(frozen=True)
class _Planted:
    """A law's effect on standardised accelerations, beyond what the bodies absorb, by set."""

    inside: float
    tested: float
    far: list[float]
    listed: bool
    price: float


def resolution(
    law: Fit, sets: Sets, region: Region, noise: NoiseFloor, *, gain: float, blur: float, seed: int
) -> Resolution:
    """The departure in the region, and far out, that nine of ten planted laws would have shown.

    gain   factor by which the far error must shrink before another law is believed
    blur   what noise leaves uncertain of a far error (relative)
    """
    level = max(law.standardised_error(sets.tested), noise.rounding, 1e-15)
    implicit = any(t.nonlinear_in_acceleration for t in law.family.terms)
    if implicit or law.family.non_additive or not math.isfinite(level):
        return Resolution(level, max(relative(law, s) for s in sets.far))
    start = [math.hypot(excess(relative(law, s), relative_noise(noise, s)), blur) for s in sets.far]
    needed = math.sqrt(gain**2 - 1)
    samples = effective_samples(level, noise.random, sets.tested)
    inside, outside = [], []
    for planted in _plant(law, sets, region, seed):
        if planted.listed:
            size = level * math.sqrt(math.expm1(2 * planted.price / samples))
        else:
            size = level * math.sqrt(1 / _UNLISTED**2 - 1)
        shown = [s * needed / f for s, f in zip(start, planted.far, strict=True) if f > 0]
        if not shown:
            continue
        factor = max(size / planted.tested, min(shown))
        inside.append(factor * planted.inside)
        outside.append(factor * max(planted.far))
    if not inside:
        return Resolution(level, max(start))
    least = noise.level if noise.random == 0 else noise.labels
    whole = relative(law, sets.inside), max(relative(law, s) for s in sets.far)
    return Resolution(
        *(max(min(_quantile(x), w), least) for x, w in zip((inside, outside), whole, strict=True))
    )


def _quantile(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(int(_SHOWN * len(ordered)), len(ordered) - 1)]


def _plant(law: Fit, sets: Sets, region: Region, seed: int) -> list[_Planted]:
    robot = law.family.bodies
    listed = [t for t in library(robot) if t.name not in {x.name for x in law.family.terms}]
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(seed + 71))
    known = [listed[i] for i in order[:_LISTED].tolist()]
    terms = known + _unlisted(robot, region)
    if not terms:  # a lone free body has no joint to plant anything on
        return []
    columns, new = _effect(law, sets.tested, terms)
    absorbed = numerics.least_squares(columns, new, 1e-10)
    beyond = new - columns @ absorbed
    size, whole = beyond.square().mean(0).sqrt(), new.square().mean(0).sqrt()
    inside = _rest(law, sets.inside, terms, absorbed).square().mean(0).sqrt()
    far = []
    for answers in sets.far:
        nv = answers.v.shape[-1]
        rest = _rest(law, answers, terms, absorbed).reshape(-1, nv, len(terms))
        spread = (answers.a / law.scale).square()
        spread = torch.nan_to_num(spread, nan=0.0, posinf=0.0).mean(0).clamp_min(1e-300)
        far.append((rest.square().mean(0) / spread[:, None]).mean(0).sqrt())
    found = []
    for k, term in enumerate(terms):
        if not bool(size[k] > _ABSORBED * whole[k]) or not float(inside[k]) > 0:
            continue
        found.append(
            _Planted(
                inside=float(inside[k]),
                tested=float(size[k]),
                far=[float(x[k]) for x in far],
                listed=k < len(known),
                price=_price(term, len(listed)),
            )
        )
    return found


def _price(term: Term, choices: int) -> float:
    """What writing a term down costs in the selection [nats]."""
    numbers = 1 + term.number_count
    return (
        math.log(max(2, choices))
        + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)
        + term.symbol_count * math.log(ALPHABET_SIZE)
    )


def _unlisted(robot: Robot, region: Region) -> list[Term]:
    """Laws that no library has, on the first and the last joint."""
    s = symbols(robot.nv)
    slices = [robot.v_slice(name) for name in robot.independent_names]
    joints = [x.start for x in slices if x.stop - x.start == 1]
    terms: list[Term] = []
    for j in dict.fromkeys((joints[0], joints[-1])) if joints else ():
        q, v, a = s["q"][j], s["v"][j], s["a"][j]
        width = {g: sympy.Float(float(getattr(region, g).half_width[j])) for g in ("q", "v")}
        for name, shape in (
            ("periodic force", sympy.sin(3 * q / width["q"])),
            ("saturating drag", sympy.tanh(2 * v / width["v"])),
            ("drag with the coordinate", v * q**2),
            ("inertia with the coordinate", a * sympy.cos(3 * q / width["q"])),
        ):
            rows = tuple(shape if i == j else sympy.Integer(0) for i in range(robot.nv))
            terms.append(Term(name=f"{name}, joint {j + 1}", shape=rows))
    return terms


def _effect(law: Fit, answers: Answers, terms: Sequence[Term]) -> tuple[Tensor, Tensor]:
    """(slopes of the law's own parameters, effects of the terms), rows (n·nv), standardised."""
    family = law.family
    q, v = evaluation_point(answers, family.robot, law.step)
    design = design_of(family, answers, law.step)
    r = torch.nan_to_num(law.residual(answers), nan=0.0, posinf=0.0, neginf=0.0)
    a = torch.nan_to_num(answers.a - r * law.scale, nan=0.0, posinf=0.0, neginf=0.0)
    extra = forces(terms, q, v, a, answers.tau, family.bodies)
    both = torch.cat([design.columns(a), extra], -1)
    rows, info = torch.linalg.solve_ex(design.inertia(law.theta), both)
    rows = torch.where((info != 0)[:, None, None], 0.0, rows) / law.scale[:, None]
    rows = torch.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0).flatten(0, 1)
    return rows[:, : family.size], rows[:, family.size :]


def _rest(law: Fit, answers: Answers, terms: Sequence[Term], absorbed: Tensor) -> Tensor:
    columns, new = _effect(law, answers, terms)
    return new - columns @ absorbed
