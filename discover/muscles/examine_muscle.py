"""`discover.examine_muscle`: what a model of a muscle's force has learned.

1. Is it repeatable, and how noisy is it (asking.py)?
2. Is it affine in activation, is the rest a product, what does the free form leave (structure.py)?
3. The families side by side (fitting.py); how far out the closest one goes on describing the model.
4. The questions of 2 again in twice the region: a form that holds there, where nobody trained the
   model, is its own; one that holds in the region alone is that of its data.
5. The verdict, from these numbers alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.errors import ModelError
from discover.muscles.asking import Floor, Muscle, MuscleRegion, floor
from discover.muscles.fitting import FamilyFit, Samples, fit_families
from discover.muscles.muscle_findings import Curve
from discover.muscles.result import MuscleExamination
from discover.muscles.structure import Structure, structure
from discover.report.numbers import listing, number, relative

Array = NDArray[Any]
_TO_FIT = 512
_TO_SPLINE = 1500
_SHELLS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_A_SHELL = 96
_FAR = 2.0  # half-widths at which a form is asked for again
# Bounds of the verdict, in shares of the force; set on planted laws and networks (tests), by hand
_NAMED = 0.02  # residual of a family that may be named
_HELD = 0.015  # residual of a form that holds
_BROKEN = 0.04  # and of one that does not
_NOISY = 0.1  # noise beyond which nothing is said
_REACH = 1.75  # half-widths a family must reach to be the model's law
_PLATEAUS = 0.5  # share of neighbouring questions with one answer that makes a table
_APART = 1.5  # how much more the next family leaves where one is named


def examine_muscle(model: Any, region: Any, *, muscle: int = 0, seed: int = 0) -> MuscleExamination:
    """Examine a model of one muscle's force.

    model    (length [m], rate [m/s], activation) -> tension [N], batches (n,) of double precision;
             or a law of force of several muscles, of which ``muscle`` is asked
    region   `MuscleRegion(length=(low, high), rate=…, activation=(low, high))`, or a mapping: where
             the model was trained. Models are asked up to three half-widths out, within activations
             of [0, 1]
    seed     of the questions

    Raises RegionError and ModelError, in one line.
    """
    began = time.process_time()
    counted = _Counted(Muscle.of(model, muscle))
    asked = Muscle(counted)
    region = MuscleRegion.of(region)
    trust = floor(asked, region, seed)
    if trust.scale == 0:
        raise ModelError(
            "expected a muscle that pulls somewhere in the region, found force 0 everywhere; "
            "move the region's lengths"
        )
    inside, splines = structure(asked, region, trust, _TO_SPLINE, seed + 7)
    far, _ = structure(asked, region.scaled(_FAR), trust, _TO_SPLINE, seed + 11)
    samples = Samples.ask(asked, region, trust, _TO_FIT, seed + 1)
    fits = fit_families(samples)
    reach = _reach(asked, fits[0], region, trust)
    verdict, family, reason, notes = _judge(fits, inside, far, trust, reach)
    law = fits[0].law if family else splines
    return MuscleExamination(
        verdict=verdict,
        reason=reason,
        family=family,
        region=region,
        floor=trust,
        fits=tuple(fits),
        structure=inside,
        far=far,
        splines=splines,
        reach=reach,
        limit=_SHELLS[-1],
        curves=_sheet(asked, law, region),
        notes=tuple(notes),
        questions=counted.questions,
        seconds=time.process_time() - began,
    )


class _Counted:
    """The model, counting what it is asked."""

    def __init__(self, muscle: Muscle) -> None:
        self.muscle, self.questions = muscle, 0

    def __call__(self, *given: Any) -> Any:
        self.questions += len(given[0])
        return self.muscle.model(*given)


def _reach(muscle: Muscle, fit: FamilyFit, region: MuscleRegion, trust: Floor) -> dict[str, float]:
    """Half-widths along length and rate up to which the closest family holds.

    It holds where it misses by three times what it misses inside (of a family that may be named),
    or by three times the noise or 1 % of the force, whatever is most; the force is that of the
    region, or the law's own there.
    """
    allowed = max(3 * min(fit.residual, _NAMED), 3 * trust.noise, 0.01)
    out = {}
    rng = np.random.default_rng(3)
    for axis, name in enumerate(("length", "rate")):
        held = 0.0
        low, high = region.sides[axis]
        middle, half = (low + high) / 2, (high - low) / 2
        for shell in _SHELLS:
            points = region.points(_A_SHELL, 20 + axis)
            points[:, axis] = middle + shell * half * rng.choice([-1.0, 1.0], _A_SHELL)
            points = points[points[:, 0] > 0.02 * region.length[1]]
            law = fit.law.at(points)
            miss = muscle(points) - law
            size = max(trust.scale, float(np.sqrt((law**2).mean())))
            if float(np.sqrt((miss**2).mean())) > allowed * size:
                break
            held = shell
        out[name] = held
    return out


def _judge(
    fits: list[FamilyFit], inside: Structure, far: Structure, trust: Floor, reach: dict[str, float]
) -> tuple[str, str | None, str, list[str]]:
    """Verdict, family, reason and notes."""
    best, noise = fits[0], trust.noise
    allowed = max(_NAMED, 1.3 * noise)
    close = [f for f in fits if f.residual <= max(_APART * best.residual, 1e-9)]
    named = best.residual <= allowed
    reaches = min(reach.values()) >= _REACH
    notes = _notes(best, inside, trust, close if named else [])
    if trust.flat > _PLATEAUS:
        share = relative(trust.flat)
        return "lookup table", None, f"{share} of neighbouring questions have one answer", notes
    if noise > _NOISY:
        reason = f"answers scatter by {relative(noise)} of the force; ask a less noisy model"
        return "undetermined", None, reason, notes
    if named and reaches:
        curves = "adapted curves" if best.adapted else "standard curves"
        reason = (
            f"a Hill-type law of {best.family}, {curves}, leaves {relative(best.residual)} inside "
            f"and holds up to {number(min(reach.values()), 2)} half-widths"
        )
        return "physics", best.family, reason, notes
    bound = max(_HELD, 1.3 * noise)
    if inside.free <= bound and far.free <= bound:
        affine = inside.not_affine <= max(0.005, 2 * noise)
        form = "a·A(L)·V(v) + P(L)" if affine else "g(a)·A(L)·V(v) + P(L), g not straight,"
        reason = (
            f"{form} holds inside and twice as far out (misses {relative(inside.free)} and "
            f"{relative(far.free)}), and no family has its curves (closest: {best.family}, "
            f"{relative(best.residual)})"
        )
        return "alternative law", None, reason, notes
    if far.free > max(_BROKEN, 3 * noise):
        like = f", although inside it is near {best.family}'s" if named else ""
        reason = (
            f"no form of a muscle's force holds twice as far out (the freest misses "
            f"{relative(far.free)}; inside {relative(inside.free)}){like}"
        )
        return "lookup table", None, reason, notes
    reason = (
        f"the free form misses {relative(inside.free)} inside and {relative(far.free)} twice as "
        f"far out: neither a law nor none; closest family {best.family}, "
        f"{relative(best.residual)}, up to {number(min(reach.values()), 2)} half-widths"
    )
    return "undetermined", None, reason, notes


def _notes(best: FamilyFit, inside: Structure, trust: Floor, close: list[FamilyFit]) -> list[str]:
    notes = []
    if len(close) > 1:
        names = listing([f.family for f in close])
        notes.append(f"{names} are not told apart in this region")
    if inside.not_affine > max(0.005, 2 * trust.noise):
        notes.append(f"not affine in activation: {relative(inside.not_affine)} of the force")
    if trust.unrepeatable > 1e-12 and trust.noise == 0:
        notes.append(f"answers depend on their batch, by up to {relative(trust.unrepeatable)}")
    unknown = [e.name for e in best.estimates if not e.identified]
    if unknown and close:
        notes.append(f"not identified in this region: {', '.join(unknown)}")
    notes += [f"unseen: {words}" for words in best.unseen if close]
    notes.append(
        "lengths and forces are given in m and N; known through joints only, a muscle has a length "
        "scale of its own, and F0·l_opt and v_max alone remain"
    )
    return notes


def _sheet(muscle: Muscle, law: Any, region: MuscleRegion) -> tuple[Curve, ...]:
    """Force over length at rest, and over rate at the middle length, at three activations."""
    out = []
    low, high = region.sides.T
    for axis, name in ((0, "length"), (1, "rate")):
        x = np.linspace(low[axis], high[axis], 61)
        for a in np.linspace(low[2], high[2], 3):
            points = np.tile((low + high) / 2, (len(x), 1))
            points[:, 1] = min(max(0.0, low[1]), high[1])
            points[:, axis], points[:, 2] = x, a
            out.append(
                Curve(axis=name, at=float(a), x=x, measured=muscle(points), fitted=law.at(points))
            )
    return tuple(out)
