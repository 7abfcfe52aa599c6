"""The mechanism behind the answers: tree, geometry, factors and recursion, beside the law."""

from __future__ import annotations

from dataclasses import dataclass, replace

from discover.blackbox.contract import BlackBox
from discover.blackbox.session import QuerySession
from discover.examination.outcome import Description
from discover.judgement.evidence import Evidence
from discover.judgement.thresholds import threshold
from discover.laws import ConstantLaw, Law, RigidBodyLaw
from discover.mechanism.description import (
    MechanismDescription,
    describe_mechanism,
    is_quick,
    obstacle,
)
from discover.mechanism.inference import InferredRobot, infer_robot

_SAME = threshold("examination.law_is_model")


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """The law, with its recursion where that was found; evidence that describes; the account of
    the mechanism, None where none was sought; and why not, where one was wanted."""

    law: Law | None
    evidence: list[Evidence]
    account: MechanismDescription | None
    notes: tuple[str, ...] = ()


def find_mechanism(
    session: QuerySession,
    description: Description,
    inferred: InferredRobot | None,
    *,
    wanted: bool | None,
    budget: str,
    within: str,
) -> Mechanism:
    """Search the recursion on the inferred mechanism; beside a description, infer that first.

    inferred  the mechanism, where no robot was given; wanted: `mechanism` of `discover.examine`
    """
    law, region = description.law, session.support.region
    model: BlackBox | None = session.blackbox
    structure = inferred
    notes: tuple[str, ...] = ()
    if inferred is None:
        model = _queried(session.blackbox, description, wanted, budget)
        if model is not None:
            reason = obstacle(session.robot, law, budget, within)
            if session.controlled:
                reason = "it needs joint forces, and the model is driven by controls"
            if reason is None:
                structure = infer_robot(model, region, session.seed, brief=True)
            elif wanted:
                notes = (f"The mechanism was not inferred, though that was wanted: {reason}.",)
    if structure is None or model is None:
        return Mechanism(law=law, evidence=[], account=None, notes=notes)
    described = session.robot if inferred is None else None
    found = describe_mechanism(model, structure, region, session.seed, described)
    if (
        isinstance(law, RigidBodyLaw)
        and found.description.equals
        and found.description.forward is not None
    ):
        law = replace(law, recursion=found.description.pretty)
    return Mechanism(law=law, evidence=found.evidence, account=found.description)


def _queried(
    model: BlackBox, description: Description, wanted: bool | None, budget: str
) -> BlackBox | None:
    """What is queried about tree and geometry: the model, its law, or nothing."""
    law = description.law
    if isinstance(law, ConstantLaw):
        return None
    exact = law is not None and description.resolution.region < _SAME
    if wanted or (wanted is None and budget == "thorough" and not exact):
        return model
    if wanted is None and law is not None and exact and is_quick(model.nv):
        return BlackBox(law, model.nq, model.nv)
    return None
