"""A found law with what its user needs: where it comes from, its controls, its interface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Evidence, Name
from discover.judgement.verdict import Verdict
from discover.laws import Law, RigidBodyLaw
from discover.laws.export.header import words_of
from discover.laws.provenance import Provenance

_ERRORS = (Name.BEST_ERROR_INSIDE, Name.LAW_ERROR_INSIDE)


def with_origin(
    law: Law | None,
    session: QuerySession,
    verdict: Verdict,
    evidence: Sequence[Evidence],
    *,
    model: Any,
    name: str,
) -> Law | None:
    """The law with its provenance, with the controls that the model was asked with, and with the
    interface of a model over observations for `as_model`."""
    if not isinstance(law, RigidBodyLaw):
        return law
    found = {e.name: e.value for e in evidence}
    return replace(
        law,
        robot=law.robot.replace(actuation=session.blackbox.actuation),
        provenance=Provenance(
            model=name,
            verdict=f"{verdict.answer} (confidence {verdict.confidence:.2f})",
            error=next((found[key] for key in _ERRORS if key in found), None),
            region=words_of(session.support.region),
            date=time.strftime("%Y-%m-%d"),
            version=metadata.version("worldlaw"),
        ),
        interface=model if hasattr(model, "states") and hasattr(model, "controls") else None,
    )
