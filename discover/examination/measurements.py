"""Measurements: all numbers of the verdict, on the laws that compete."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.examination.fits import Laws
from discover.examination.metrics import (
    cost_of_bodies,
    excess,
    gain_by_axis,
    relative_noise,
    residual_growth,
    worst_error,
)
from discover.examination.opening.screen import Screen
from discover.examination.places.record import JointApart
from discover.examination.places.two_laws import TwoLaws
from discover.examination.resolution import resolution
from discover.examination.result import Resolution
from discover.judgement.evidence import Name
from discover.judgement.thresholds import bound, threshold
from discover.judgement.verdict import Verdict, positive_evidence
from discover.laws.rigid_body.consistency import Completion, complete
from discover.laws.rigid_body.fit import Fit
from discover.probes import ROUGHNESS, TABLE_EVIDENCE, Subject, measured, regime_switch, residual
from discover.probes.leave_one_joint_out import LawOfOthers, law_of_the_others
from discover.probes.noise import NoiseFloor
from discover.probes.reach import relative

SAME = threshold("examination.same")
_CONFIDENT = threshold("examination.confident")
_ROUNDING_RATIO = threshold("examination.rounding_ratio")
_LITTLE = threshold("examination.nothing_but_noise")
_NOISE_TOLD = threshold("examination.noise_told")
_LEAST_COST_LEVEL = 1e-6  # standardised: bodies are not priced in units of rounding
_TABLE_NAMES = tuple(name for probe in TABLE_EVIDENCE for name in probe.measures)


def no_law_far_out() -> float:
    """The relative error at 2–3 half-widths from which no law holds there: the verdict's own."""
    return bound("lookup table", Name.BEST_ERROR_FAR)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """The laws that compete, and what was measured on them.

    values      the numbers of the verdict, by name
    completion  physically possible bodies closest to the rigid-body law
    resolution  the smallest departure from the rigid-body law that would have shown
    blur        the uncertainty of a far error that noise and rounding leave (relative)
    notes       sentences for the reader
    two         two laws, each on its side of a surface, where there are two
    apart       the joint that alone follows no law, where there is one
    """

    laws: Laws
    values: dict[Name, float]
    completion: Completion
    resolution: Resolution
    blur: float
    notes: list[str]
    two: TwoLaws | None = None
    apart: JointApart | None = None

    @property
    def raw_table(self) -> bool:
        """Whether tiny steps change no answer."""
        frozen = self.values.get(Name.FROZEN_STEPS, 0.0)
        return frozen > bound("lookup table", Name.FROZEN_STEPS)

    @property
    def law_far_out(self) -> bool:
        """Whether any law describes the model far out."""
        return self.values[Name.BEST_ERROR_FAR] <= no_law_far_out()


def settled(measurements: Measurements, verdict: Verdict, level: float) -> bool:
    """Whether more answers, or laws that no library lists, would hardly change the verdict.

    level  the noise, standardised: what the laws leave above it may be another law
    """
    if verdict.confidence < _CONFIDENT or verdict.answer == "undetermined":
        return False
    if measurements.laws.searched:
        return True
    if verdict.answer == "lookup table":
        return positive_evidence("lookup table", measurements.values)
    return not measurements.laws.unexplained(level)


def measure(
    session: QuerySession, screen: Screen, laws: Laws, earlier: Measurements | None = None
) -> Measurements:
    """All numbers of the verdict on these laws.

    earlier  measurements on other laws for the same model: its positive evidence of a table does
             not depend on the laws and is not measured twice
    """
    noise = screen.noise
    held_out, far_sets = laws.sets.inside, laws.sets.far
    far = Answers.concat(far_sets)
    noise_far = relative_noise(noise, far)
    rows = len(far_sets[0]) * session.robot.nv
    blur = max(screen.gate, _ROUNDING_RATIO, noise_far * (8.0 / rows) ** 0.25)
    if gain_by_axis(laws.physics, laws.extended, far_sets, noise, blur) > _gain_bound():
        laws = regime_switch_apart(session, laws)
    physics, extended, local = laws.physics, laws.extended, laws.local
    far_physics, far_extended, far_local = (
        worst_error(law, far_sets, noise) for law in (physics, extended, local)
    )
    far_both = math.inf if laws.beyond is None else worst_error(laws.beyond, far_sets, noise)
    inside_error = relative(physics, held_out)
    predictable, source = residual.low_dimensional_predictability(physics, laws.inside)
    completion = complete(physics, laws.inside, session.robot.pi)
    visible = resolution_of(session, screen, physics, laws, blur)
    level = max(physics.standardised_error(held_out), _LEAST_COST_LEVEL)
    values = {
        Name.LAW_ERROR_INSIDE: excess(inside_error, relative_noise(noise, held_out)),
        Name.REFIT_ERROR_FAR: far_physics,
        Name.SELF_EXTRAPOLATION: far_local,
        Name.RESIDUAL_GROWTH: residual_growth(physics, held_out, far, noise),
        Name.PREDICTABILITY: predictable if inside_error > 10 * screen.gate else 0.0,
        Name.GAIN: gain_by_axis(physics, extended, far_sets, noise, blur),
        Name.COST_OF_BODIES: cost_of_bodies(session, physics, completion, held_out, level),
        # A law that holds inside and far out but not between is none.
        Name.EXTENDED_ERROR_FAR: max(far_extended, worst_error(extended, laws.between, noise)),
        Name.BEST_ERROR_FAR: min(far_physics, far_extended, far_local, far_both),
        Name.BEST_ERROR_INSIDE: min(relative(f, held_out) for f in (local, physics, extended)),
        Name.RESOLUTION: visible.region,
        Name.REPEATABILITY: noise.random,
    }
    notes: list[str] = []
    apart: JointApart | None = None
    if values[Name.EXTENDED_ERROR_FAR] < no_law_far_out() and values[Name.GAIN] > _gain_bound():
        subject = Subject(session=session, noise=noise, law=extended, held_out=held_out)
        values |= measured(ROUGHNESS, subject)
        rough = values[Name.ROUGHNESS]
        if rough > bound("alternative law", Name.ROUGHNESS):
            notes.append(
                f"{rough:.0%} of the best law's residual changes from place to place, as answers "
                "between remembered samples do, and is no noise: it may be a table's."
            )
    if laws.switch is not None and laws.beyond is not None:
        around = "; ".join(x.description for x in laws.beyond.family.non_additive)
        notes.append(laws.switch.sentence + (f" All of them follow {around}." if around else ""))
    if predictable > bound("physics", Name.PREDICTABILITY):
        notes.append(
            f"The residual of the rigid-body law can be predicted from few variables ({source}, "
            f"R² = {predictable:.2f}): there may be a law in it."
        )
    if laws.cut_short:
        notes.append(
            "The search for terms that no library lists ended at its budget: of "
            f"{session.robot.nv} coordinates it tries fewer candidates, and a law that it missed "
            "may be in the residual."
        )
    if noise_far > _NOISE_TOLD:
        notes.append(
            f"Answers repeat to {noise.random:.1%} only; errors are given beyond that. Where the "
            "model has dropout, model.eval() leaves it out."
        )
    if values[Name.BEST_ERROR_FAR] > no_law_far_out():
        subject = Subject(session=session, noise=noise, law=local, held_out=held_out)
        known = (
            {n: earlier.values[n] for n in _TABLE_NAMES if n in earlier.values} if earlier else {}
        )
        values |= known or measured(TABLE_EVIDENCE, subject, decisive="lookup table")
        frozen = values.get(Name.FROZEN_STEPS, 0.0) > bound("lookup table", Name.FROZEN_STEPS)
        others = None if frozen else law_of_the_others(local, laws.inside, held_out)
        if others is not None and others.error < max(SAME, _LITTLE * noise.level):
            apart = _joint_apart(others, far_sets, noise)
            further = apart.error_far <= bound("lookup table", Name.LAWS_OF_PARTS)
            if others.error < SAME:
                values[Name.BEST_ERROR_INSIDE] = others.error
            if further:
                values[Name.LAWS_OF_PARTS] = apart.error_far
            # Within noise, what holds in the region alone may be a table's.
            apart = apart if further or others.error < SAME else None
            notes += [] if apart is None else [str(apart)]
    return Measurements(
        laws=laws,
        values=values,
        completion=completion,
        resolution=visible,
        blur=blur,
        notes=notes,
        apart=apart,
    )


def _joint_apart(others: LawOfOthers, far: list[Answers], noise: NoiseFloor) -> JointApart:
    """The law of all joints but one, tested far out on those joints."""
    plain = not others.law.family.non_additive
    return JointApart(
        joint=others.joint,
        others="physics" if plain else "a law",
        error=others.error,
        error_far=max(excess(others.relative(x), relative_noise(noise, x)) for x in far),
    )


def resolution_of(
    session: QuerySession, screen: Screen, law: Fit, laws: Laws, blur: float
) -> Resolution:
    """The smallest departure from `law` that these tests would have shown."""
    believed = bound("physics", Name.GAIN)  # the gain at which physics is given up
    region = session.support.region
    return resolution(
        law, laws.sets, region, screen.noise, gain=believed, blur=blur, seed=session.seed
    )


def regime_switch_apart(session: QuerySession, laws: Laws) -> Laws:
    """The laws, with an extended law that begins outside the region taken for two laws."""
    if laws.extended is laws.physics or laws.extended.step is not None:
        return laws
    switch = regime_switch.measure(session, laws.extended, laws.local, laws.sets.inside)
    if switch is None:
        return laws
    return replace(laws, extended=laws.physics, switch=switch, beyond=laws.extended, near_ties=())


def _gain_bound() -> float:
    """The gain from which another law is believed: the verdict's own."""
    return bound("alternative law", Name.GAIN)
