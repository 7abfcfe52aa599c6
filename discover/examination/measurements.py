"""All that a verdict rests on, measured on the laws that compete."""

from __future__ import annotations

import math
from dataclasses import dataclass

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.examination import resolution as power
from discover.examination.hypotheses import Laws, apart, left_over
from discover.examination.metrics import (
    cost_of_bodies,
    excess,
    gain_by_axis,
    growth,
    relative_noise,
    worst,
)
from discover.examination.result import Resolution
from discover.judgement.catalogue import evidence_from
from discover.judgement.verdict import judge, threshold_of
from discover.laws.rigid_body.consistency import Completion, complete
from discover.laws.rigid_body.fit import Fit
from discover.probes import noise, residual
from discover.probes import roughness as grain
from discover.probes import table_evidence as lookup
from discover.probes.leave_one_joint_out import law_of_the_others
from discover.probes.reach import relative

NOWHERE = 0.25  # relative error far out at which no law holds there
SAME = 1e-7  # relative error, inside and far out, below which a law speaks for its model
_SURE = 0.85  # confidence at which no more is asked
_TABLES = 0.1  # relative error far out above which a table is a possibility
_GAINS = 1.5  # times a smaller error far out, from which another law is a possibility
_COARSE = 0.1  # share of a residual that no smooth departure has as grain
_SETTLED = 60.0  # growth of the misfit of an inertia that is looked up


@dataclass(frozen=True, kw_only=True)
class Weighed:
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


def weigh(
    session: QuerySession,
    laws: Laws,
    floor: noise.Floor,
    gate: float,
    known: dict[str, float] | None = None,
) -> Weighed:
    """All that the verdict rests on, measured on the laws; `known`: what was measured before."""
    held, far_sets = laws.sets.inside, laws.sets.far
    fresh = Answers.concat(far_sets)
    noise_far = relative_noise(floor, fresh)
    blur = max(gate, noise_far * (8.0 / (len(far_sets[0]) * session.robot.nv)) ** 0.25)
    if gain_by_axis(laws.physics, laws.extended, far_sets, floor, blur) > _GAINS:
        laws = apart(session, laws)
    physics, extended, local, inside = laws.physics, laws.extended, laws.local, laws.inside
    far_physics, far_extended, drift = (
        worst(law, far_sets, floor) for law in (physics, extended, local)
    )
    far_both = math.inf if laws.beyond is None else worst(laws.beyond, far_sets, floor)
    inside_error = relative(physics, held)
    predictable, where = residual.low_dimensional_predictability(physics, inside)
    completion = complete(physics, inside, session.robot.pi)
    seen = resolution(session, physics, laws, floor, blur)
    values = {
        "law error in the region": excess(inside_error, relative_noise(floor, held)),
        "refit error far out": far_physics,
        "self-extrapolation error": drift,
        "residual growth": growth(physics, held, fresh, floor),
        "low-dimensional predictability": predictable if inside_error > 10 * gate else 0.0,
        "gain of extra terms": gain_by_axis(physics, extended, far_sets, floor, blur),
        "cost of possible parameters": cost_of_bodies(
            session, physics, completion, held, max(physics.standardised_error(held), 1e-6)
        ),
        # A law that holds inside and far out, and not between, is none.
        "extended law error far out": max(far_extended, worst(extended, laws.between, floor)),
        "best law error far out": min(far_physics, far_extended, drift, far_both),
        "best law error in the region": min(relative(f, held) for f in (local, physics, extended)),
        "resolution": seen.region,
        "repeatability": floor.random,
    }
    notes = []
    if values["extended law error far out"] < NOWHERE and values["gain of extra terms"] > _GAINS:
        coarse = grain.share(session, extended, floor, held)
        values["grain of what is left over"] = coarse
        if coarse > _COARSE:
            notes.append(
                f"{coarse:.0%} of what the best law leaves over changes from place to place, as "
                "answers between remembered samples do, and is no noise: it may be a table's."
            )
    if laws.onset is not None and laws.beyond is not None:
        around = "; ".join(x.description for x in laws.beyond.family.non_additive)
        notes.append(laws.onset.sentence + (f" All of them follow {around}." if around else ""))
    if predictable > 0.5:
        notes.append(
            f"What the rigid-body law leaves over can be predicted from little ({where}, "
            f"R² = {predictable:.2f}): there may be a law in it."
        )
    if laws.short:
        notes.append(
            f"The search for terms that no library lists was cut short: of {session.robot.nv} "
            "coordinates it tries fewer, and a law that it missed may be in what is left over."
        )
    if noise_far > 0.01:
        notes.append(f"Answers repeat to {floor.random:.1%} only; errors are given beyond that.")
    if values["best law error far out"] > _TABLES:
        before = {k: x for k, x in (known or {}).items() if k in lookup.SIGNS}
        values |= before or lookup.signs(session, local, held, floor)
        if floor.random == 0.0 and values.get("frozen steps", 0.0) <= lookup.FROZEN:
            others = law_of_the_others(local, inside, held)
            if others is not None and others.error < SAME:
                values["best law error in the region"] = others.error
                notes.append(others.sentence)
    return Weighed(
        laws=laws, values=values, completion=completion, seen=seen, blur=blur, notes=notes
    )


def resolution(
    session: QuerySession, law: Fit, laws: Laws, floor: noise.Floor, blur: float
) -> Resolution:
    believed = threshold_of("gain of extra terms") or 2.5
    region, seed = session.support.region, session.seed
    return power.resolution(law, laws.sets, region, floor, gain=believed, blur=blur, seed=seed)
