"""From what was measured to a finding: law, reach, resolution, curves, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.session import QuerySession
from discover.examination.parameters import parameter_table
from discover.examination.post_checks import stand
from discover.examination.result import Resolution
from discover.judgement.catalogue import described, descriptions, evidence_from
from discover.judgement.evidence import Evidence
from discover.laws import ConstantLaw, Domain, RigidBodyLaw
from discover.laws import parts as accounts
from discover.laws.near_ties import members, nearby
from discover.laws.pareto import Candidate
from discover.laws.rigid_body.consistency import Completion, complete
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.sparsity import with_zeros
from discover.laws.samples import sample
from discover.laws.search.variables import has_points
from discover.probes import full_circles, noise
from discover.probes import identities as structure
from discover.probes import residual_force as leftover_force
from discover.probes.reach import EDGES, ErrorCurve, reach, tolerance

_FRESH = 2.0  # half-widths beyond which no law was fitted
_CHEAP = 0.1  # possible bodies that add less than this share of the law's error are the law's
_PREDICTABLE = 0.5  # R² of what the bodies leave over, from little, that is worth a look
_LAWFUL = 0.25  # relative error far out below which a law holds there
_ROUNDING = 1e-9  # standardised: what a law to the last digit leaves over
_KEEP = 0.3  # a law whose relative error inside is above this describes nothing


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What an inquiry ends with; the fields are those of `Examination`."""

    evidence: list[Evidence]
    law: RigidBodyLaw | ConstantLaw | None
    reach: dict[str, float]
    resolution: Resolution
    curves: list[ErrorCurve]
    parameters: list[dict[str, Any]]
    structure: dict[str, float]
    notes: list[str]
    law_from: str


def conclude(
    session: QuerySession,
    law: Fit,
    completion: Completion,
    drawn: dict[str, ErrorCurve],
    values: dict[str, float],
    floor: noise.Floor,
    notes: list[str],
    *,
    law_from: str,
    edges: dict[str, float] | None = None,
    seen: Resolution | None = None,
    tried: Sequence[Fit] = (),
    near: Sequence[Candidate] = (),
) -> Finding:
    """Put the numbers, the law, its curves and its reach together.

    `seen` is what could have been seen; without it, what the law leaves over. `tried` are the
    laws that the one that won was held against; `near`, those about as good as the first of them.
    """
    if floor.labels:
        told = f"Its training labels carry noise of {floor.labels:.2g} of the spread of a"
        notes = [*notes, f"{told}: smaller departures are not held against it."]
    inside_error = drawn["joint"].error[0]
    end = tolerance(floor)
    reached = {axis: reach(c, end) for axis, c in drawn.items()}
    for axis, at in (edges or {}).items():
        reached[axis] = (min(at, EDGES[-1]), False)
    domain = Domain(
        reach={axis: r for axis, (r, _) in reached.items()},
        tolerance=end,
        at_least=tuple(axis for axis, (_, whole) in reached.items() if whole),
    )
    far = max(c.error[-1] for c in drawn.values())
    bands = {
        "law error in the region": (drawn["joint"].low[0], drawn["joint"].high[0]),
    }
    kept = inside_error <= max(_KEEP, 3 * floor.random)
    slim, completion, dropped = _slimmed(law, completion, session)
    bodied = completion.exact or completion.cost <= _CHEAP * law.error
    pi = completion.pi if bodied and completion.armature is None else None
    result = _accounted(slim, pi, session, tried, near).within(domain) if kept else None
    if result is not None and dropped:
        result = replace(result, size=result.size - dropped)
        notes = [
            *notes,
            f"{dropped} of {len(slim.theta)} parameters are zero within their uncertainty, and so "
            "in the law.",
        ]
    if kept and not bodied:
        notes = [
            *notes,
            "No physically possible bodies have exactly these base parameters; moving to the "
            f"nearest possible ones costs {completion.cost:.2g} of the spread of a"
            + ("." if session.geometry_known else ", in a geometry some of which is a guess."),
        ]
    if result is not None:
        result, sentences = stand(result, session)
        notes = [*notes, *sentences]
    measured = full_circles.measure(session)
    if result is not None and _leaves_a_force(result, values):
        if floor.random > 0 and leftover_force.drowned(result, session, floor.sigma):
            notes = [*notes, "What its bodies leave over is too close to noise to be described."]
        else:
            seen_force = leftover_force.measure(result, session)
            measured |= seen_force.values()
            notes = [*notes, seen_force.sentence]
    identities = {k: v for k, v in asdict(structure.measure(session)).items() if v is not None}
    return Finding(
        evidence=evidence_from(values, bands) + descriptions(identities) + described(measured),
        law=result,
        reach=domain.reach,
        resolution=seen or Resolution(max(inside_error, floor.level), max(far, floor.level)),
        curves=list(drawn.values()),
        parameters=parameter_table(law, session.robot) if kept else [],
        structure=identities,
        notes=notes,
        law_from=law_from,
    )


def _slimmed(
    law: Fit, completion: Completion, session: QuerySession
) -> tuple[Fit, Completion, int]:
    """The law with zeros where it may have them, unless possible bodies then cost something."""
    slim, dropped = with_zeros(law) if law.error > _ROUNDING else (law, 0)
    if not dropped:
        return law, completion, 0
    answers = session.answers.get("inside", session.answers["screen"])
    fitting = complete(*slim.bare(answers), session.robot.pi)
    if completion.exact and not fitting.exact:
        return law, completion, 0
    return slim, fitting, dropped


def spoken_by(law: Fit, model: BlackBox) -> BlackBox:
    """The law in place of a model that it is to the last digit: it tells more for nothing."""
    return BlackBox(law.predict, model.nq, model.nv)


def _leaves_a_force(law: RigidBodyLaw, values: dict[str, float]) -> bool:
    """Whether there is a force beside the bodies whose structure can be asked for: where no law
    holds far out there is none."""
    plain = law.integrator is None and has_points(law.robot) and not law.nonlinearities
    plain = plain and law.trigonometry is None
    lawful = values["best law error far out"] < _LAWFUL
    predictable = values["low-dimensional predictability"] > _PREDICTABLE
    return plain and lawful and (bool(law.extra) or predictable)


def _accounted(
    law: Fit,
    pi: Tensor | None,
    session: QuerySession,
    tried: Sequence[Fit],
    near: Sequence[Candidate],
) -> RigidBodyLaw:
    """The law with the evidence for its parts and the front of all that were tried."""
    asked = session.answers
    inside = asked["inside"] if "inside" in asked else asked["screen"]
    held = asked.get("held out", inside)
    outer = [f"joint {lo:g}-{hi:g}" for lo, hi in pairwise(EDGES) if lo >= _FRESH]
    far = [asked[k] for k in outer if k in asked]
    fresh = Answers.concat(far) if far else held[:0]
    fresh = fresh[torch.isfinite(fresh.a).all(-1)]
    others = [f for f in tried if f.integrator == law.integrator]
    if law.family.terms or law.family.around:
        others.append(accounts.plainly(law, inside))
    front = accounts.tried([law, *others], held, fresh)
    shown = (("in the region", held), (f"beyond {_FRESH:g} half-widths", fresh))
    return replace(
        RigidBodyLaw.from_fit(law, pi),
        account=accounts.parts(law, inside, held, fresh),
        front=members(front, RigidBodyLaw.from_fit),
        near=nearby(near, RigidBodyLaw.from_fit),
        samples=tuple(sample(law, x, where) for where, x in shown if len(x)),
    )


def explain(answer: str, weakest: dict[str, str], finding: Finding) -> list[str]:
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
