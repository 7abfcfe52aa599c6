"""Laws kept with a law: those on the Pareto front of its search, and its near ties.

Each can be called, read and exported like the law itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sympy

from discover.laws.pareto import Candidate
from discover.laws.rigid_body.fit import Fit
from discover.records import number_from_json, number_to_json


class KeptLaw(Protocol):
    """What is asked of a law that is kept with another one."""

    def __call__(self, q: Any, v: Any, tau: Any) -> Any: ...

    @property
    def formula(self) -> str: ...

    @property
    def additive_forces(self) -> sympy.Matrix: ...

    def to_dict(self) -> dict: ...


@dataclass(frozen=True, kw_only=True)
class NearTie:
    """A law whose description is about as long as that of the one that was chosen.

    law         the law itself
    bits        by how much its description of held-out answers is longer (shorter: negative)
    query       the state and joint forces at which it differs most from the chosen law, of those
                that were compared: {"q": …, "v": …, "tau": …}, empty where none were
    difference  by how much it differs there, the largest over the joints, in units of the spread
    """

    law: KeptLaw
    bits: float
    query: dict[str, list[float]]
    difference: float

    @property
    def formula(self) -> str:
        """The law in one line."""
        return self.law.formula

    def __str__(self) -> str:
        text = f"{self.formula}, {self.bits:+.1f} bits"
        if not self.query:
            return text
        at = "; ".join(
            f"{g} = ({', '.join(f'{x:.3g}' for x in row)})" for g, row in self.query.items()
        )
        return f"{text}, differs by {self.difference:.2g} of the spread at {at}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "law": self.law.to_dict(),
            "bits": number_to_json(self.bits),
            "question": self.query,
            "difference": number_to_json(self.difference),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any], build: Callable[[dict], KeptLaw]) -> NearTie:
        """The inverse of `to_dict`; `build` makes a law of its record."""
        return cls(
            law=build(record["law"]),
            bits=number_from_json(record["bits"]),
            query=record["question"],
            difference=number_from_json(record["difference"]),
        )


def near_ties_of(
    candidates: Sequence[Candidate], build: Callable[[Fit], KeptLaw]
) -> tuple[NearTie, ...]:
    """All candidates but the first, which was chosen; `build` makes a law of a fit."""
    ties = []
    for c in candidates[1:]:
        query = {} if c.query is None else {
            name: row[0].tolist() for name, row in zip(("q", "v", "tau"), c.query, strict=True)
        }  # fmt: skip
        bits = (c.length - candidates[0].length) / math.log(2)
        ties.append(NearTie(law=build(c.fit), bits=bits, query=query, difference=c.difference))
    return tuple(ties)


@dataclass(frozen=True, kw_only=True)
class FrontLaw:
    """One law of a Pareto front.

    law          the law itself
    size         symbols and numbers beside the bodies; 0 for bodies alone
    error_inside relative error on answers in the region (and out to twice it, where laws competed)
    error_far    the same on answers further out, not used in any fit; NaN where there are none
    tabulated    whether a function in it has no formula
    """

    law: KeptLaw
    size: int
    error_inside: float
    error_far: float
    tabulated: bool = False

    @property
    def expression(self) -> sympy.Matrix:
        """All forces beside the bodies' on the left side, one row a joint [N·m | N].

        Joint terms of the robot's description (armature, damping, friction, springs) included.
        """
        return self.law.additive_forces

    @property
    def formula(self) -> str:
        """The law in one line."""
        return self.law.formula

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "law": self.law.to_dict(),
            "size": self.size,
            "error_inside": number_to_json(self.error_inside),
            "error_far": number_to_json(self.error_far),
            "tabulated": self.tabulated,
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any], build: Callable[[dict], KeptLaw]) -> FrontLaw:
        """The inverse of `to_dict`; `build` makes a law of its record."""
        return cls(
            law=build(record["law"]),
            size=record["size"],
            error_inside=number_from_json(record["error_inside"]),
            error_far=number_from_json(record["error_far"]),
            tabulated=record["tabulated"],
        )


def front_laws(
    candidates: Sequence[Candidate], build: Callable[[Fit], KeptLaw]
) -> tuple[FrontLaw, ...]:
    """The candidates of a front as laws; `build` makes a law of a fit."""
    return tuple(
        FrontLaw(
            law=build(c.fit),
            size=c.size,
            error_inside=c.inside,
            error_far=c.far,
            tabulated=c.tabulated,
        )
        for c in candidates
    )
