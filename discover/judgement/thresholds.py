"""Every number on which an answer or a branch of the search depends, read from thresholds.toml.

Control flow and verdict take the same values from here: a fixed number is `threshold("room.name")`,
with unit, reason and origin in the file; the bound of a requirement of the verdict, fitted by
`discover calibrate`, is `bound(answer, evidence)`.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from discover.judgement.evidence import Name

FILE = Path(__file__).parent / "thresholds.toml"


@lru_cache(maxsize=1)
def stored() -> dict[str, Any]:
    """The versioned file of thresholds."""
    return tomllib.loads(FILE.read_text())


def threshold(name: str) -> float:
    """The fixed number "room.name" of thresholds.toml. Raises KeyError for an unknown name."""
    room, key = name.split(".")
    return float(stored()["numbers"][room][key]["value"])


def whole(name: str) -> int:
    """The same, of a number that counts something."""
    value = threshold(name)
    if value != int(value):
        raise ValueError(f"expected a whole number for {name} in {FILE.name}, found {value}")
    return int(value)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One requirement of a case.

    case, evidence  the answer that requires it, and the `Name` of the evidence
    bound           the hand-set bound that calibration starts from
    side            +1 where the evidence must be below the bound, -1 where above
    width           how far from the bound support is no longer in doubt, on the rule's scale
    log             whether the scale is decades
    any             one of a group of which one suffices
    optional        no objection to the case where it was not measured
    """

    case: str
    evidence: Name
    bound: float
    side: int
    width: float
    log: bool
    any: bool
    optional: bool = False

    @property
    def name(self) -> str:
        """Case and evidence: the key under which a fitted bound is stored."""
        return f"{self.case}: {self.evidence}"

    def coordinate(self, value: float) -> float:
        """A value on the scale of the rule: decades, or as it stands."""
        return math.log10(max(value, 1e-300)) if self.log else value


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All requirements of all cases, in the order of the file."""
    listed = [
        (case["answer"], requirement, one_of)
        for case in stored()["case"]
        for one_of, group in ((False, "requires"), (True, "any"))
        for requirement in case.get(group, [])
    ]
    return tuple(
        Rule(
            case=answer,
            evidence=Name(requirement["evidence"]),
            bound=requirement["below"] if "below" in requirement else requirement["above"],
            side=1 if "below" in requirement else -1,
            width=requirement["width"],
            log=requirement["scale"] == "log",
            any=one_of,
            optional=requirement.get("optional", False),
        )
        for answer, requirement, one_of in listed
    )


def fitted_bounds() -> dict[str, float]:
    """The bounds that `discover calibrate` fitted, by the name of their rule."""
    return stored()["calibration"].get("bounds", {})


def bound(answer: str, evidence: Name) -> float:
    """The bound that the verdict sets on a piece of evidence for an answer."""
    rule = next(r for r in rules() if (r.case, r.evidence) == (answer, evidence))
    return fitted_bounds().get(rule.name, rule.bound)


def forget() -> None:
    """Read the file again on next use, as after a calibration was adopted."""
    stored.cache_clear()
    rules.cache_clear()
