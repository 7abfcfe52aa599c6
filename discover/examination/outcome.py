"""What the stages of an examination hand on: the law that a stage ends with, and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from discover.blackbox.session import QuerySession
from discover.examination.places.record import JointApart, Places
from discover.examination.result import Resolution
from discover.judgement.evidence import Evidence, Name
from discover.laws import Law
from discover.laws.constant import ConstantLaw
from discover.laws.pareto import Candidate
from discover.laws.rigid_body.consistency import Completion
from discover.laws.rigid_body.fit import Fit
from discover.probes.reach import ErrorCurve


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of the search for a law.

    session     the session to describe the law with: that of the law itself, where it agrees with
                the model to the last digit
    law         the law that describes the model best where it was trained
    values      what the verdict depends on, by name
    curves      error of the law against distance, by axis
    law_from    which answers the law was fitted to, in words
    resolution  the smallest departure from the law that would have shown; None: the law's error
    completion  physically possible bodies with the law's base parameters
    edges       where the model leaves a law that holds inside, by axis [half-widths]
    tried       the laws that it was compared with; `near_ties` are about as good
    covered     the share of the region that other regimes cover, where that is so much that nothing
                is left to judge: the law is then the description's, and is not the region's
    places      two laws, each on its side of a surface, where there are two
    apart       the joint that alone follows no law, where there is one
    notes       sentences for the reader
    """

    session: QuerySession
    law: Fit | ConstantLaw
    values: dict[Name, float]
    curves: dict[str, ErrorCurve]
    law_from: str
    resolution: Resolution | None = None
    completion: Completion | None = None
    edges: dict[str, float] = field(default_factory=dict)
    tried: Sequence[Fit] = ()
    near_ties: Sequence[Candidate] = ()
    covered: float | None = None
    places: Places | None = None
    apart: JointApart | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Description:
    """The outcome as it is reported; the fields are those of `Examination`."""

    evidence: list[Evidence]
    law: Law | None
    reach: dict[str, float]
    resolution: Resolution
    curves: list[ErrorCurve]
    parameters: list[dict[str, Any]]
    structure: dict[str, float]
    notes: list[str]
    law_from: str
