"""What a probe is: one measurement on a model, with a declared name and no side effects.

To add one: a module with a subclass of `Probe`, a `Name` and a meaning in judgement/evidence.py, a
line in the registry of `discover.probes`, and, if the verdict shall depend on it, a requirement in
judgement/thresholds.toml. A test shows the probe an offender that it must catch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Name
from discover.judgement.verdict import positive_evidence
from discover.laws.rigid_body.fit import Fit
from discover.probes.noise import NoiseFloor


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a probe may use.

    session   queries to the model, and its training data where they are known
    noise     what the model itself does not repeat
    law       a law fitted to answers in the region, frozen
    held_out  answers in the region that no law was fitted to
    """

    session: QuerySession
    noise: NoiseFloor
    law: Fit
    held_out: Answers


class Probe(ABC):
    """One measurement.

    measures  the names of the evidence that it may return; a number that cannot be measured on
              this model is left out
    """

    measures: ClassVar[tuple[Name, ...]]

    @abstractmethod
    def measure(self, subject: Subject) -> dict[Name, float]:
        """The measured numbers, by name."""


def measured(probes: Iterable[Probe], subject: Subject, decisive: str = "") -> dict[Name, float]:
    """What the probes measure, in their order, until one supports the answer `decisive`."""
    values: dict[Name, float] = {}
    for probe in probes:
        values |= probe.measure(subject)
        if decisive and positive_evidence(decisive, values):
            break
    return values
