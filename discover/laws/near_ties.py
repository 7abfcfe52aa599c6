"""Members of a law's front, each better than all shorter ones; and the laws about as good as it.

`law.front` is a tuple of them, from short to long, chosen from by index; each can be asked, read
and exported like the law itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from discover.judgement.evidence import number_from_json, number_to_json
from discover.laws.pareto import Candidate

if TYPE_CHECKING:
    from discover.laws.rigid_body.law import RigidBodyLaw


@dataclass(frozen=True, kw_only=True)
class Near:
    """A law whose description is about as long as that of the one that was chosen.

    law         the law itself
    bits        by how much its description of held-out answers is longer (shorter: negative)
    question    the state and joint forces at which it differs most from the chosen law, of those
                that were looked at: {"q": …, "v": …, "tau": …}, empty where none were
    difference  by how much it differs there, the largest over the joints, in units of the spread
    """

    law: RigidBodyLaw
    bits: float
    question: dict[str, list[float]]
    difference: float

    @property
    def formula(self) -> str:
        """In one line: the bodies and what stands beside them."""
        return in_one_line(self.law)

    def __str__(self) -> str:
        told = f"{self.formula}, {self.bits:+.1f} bits"
        if not self.question:
            return told
        at = "; ".join(
            f"{g} = ({', '.join(f'{x:.3g}' for x in row)})" for g, row in self.question.items()
        )
        return f"{told}, differs by {self.difference:.2g} of the spread at {at}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "law": self.law.to_dict(),
            "bits": number_to_json(self.bits),
            "question": self.question,
            "difference": number_to_json(self.difference),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any], build: Any) -> Near:
        """The inverse of `to_dict`; `build` makes a law of its record."""
        return cls(
            law=build(record["law"]),
            bits=number_from_json(record["bits"]),
            question=record["question"],
            difference=number_from_json(record["difference"]),
        )


def nearby(candidates: Sequence[Candidate], build: Any) -> tuple[Near, ...]:
    """All but the first, which was chosen; `build` makes a law of a fit."""
    out = []
    for c in candidates[1:]:
        asked = c.question
        question = {} if asked is None else {
            name: row[0].tolist() for name, row in zip(("q", "v", "tau"), asked, strict=True)
        }  # fmt: skip
        bits = (c.length - candidates[0].length) / math.log(2)
        out.append(
            Near(law=build(c.fit), bits=bits, question=question, difference=c.difference)
        )  # fmt: skip
    return tuple(out)


def in_one_line(law: RigidBodyLaw) -> str:
    """The bodies and what stands beside them, numbers rounded."""
    beside = [row for row in law.forces_beside_bodies if row != 0]
    words = " ; ".join(sympy.sstr(row.evalf(4)) for row in beside)
    told = "bodies" + (f" + [{words}]" if beside else "")
    return "; ".join([told, *(x.in_words for x in law.around)])


@dataclass(frozen=True, kw_only=True)
class Member:
    """One law of a front.

    law          the law itself
    size         symbols and numbers beside the bodies; 0 for bodies alone
    error_inside relative error on answers in the region (and out to twice it, where laws competed)
    error_far    the same on fresh answers further out; NaN where none were asked
    tabulated    whether a function in it has no formula
    """

    law: RigidBodyLaw
    size: int
    error_inside: float
    error_far: float
    tabulated: bool = False

    @property
    def expression(self) -> sympy.Matrix:
        """All forces beside the bodies' on the left side, one row a joint [N·m | N].

        Joint terms of the robot's description (armature, damping, friction, springs) included.
        """
        return self.law.forces_beside_bodies

    @property
    def formula(self) -> str:
        """In one line: the bodies and what stands beside them."""
        return in_one_line(self.law)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "law": self.law.to_dict(),
            "size": self.size,
            "error_inside": number_to_json(self.error_inside),
            "error_far": number_to_json(self.error_far),
            "tabulated": self.tabulated,
        }


def member_from_dict(record: dict[str, Any], build: Any) -> Member:
    """The inverse of `Member.to_dict`; `build` makes a law of its record."""
    return Member(
        law=build(record["law"]),
        size=record["size"],
        error_inside=number_from_json(record["error_inside"]),
        error_far=number_from_json(record["error_far"]),
        tabulated=record["tabulated"],
    )


def members(candidates: Sequence[Candidate], build: Any) -> tuple[Member, ...]:
    """Candidates as members; `build` makes a law of a fit."""
    return tuple(
        Member(
            law=build(c.fit),
            size=c.size,
            error_inside=c.inside,
            error_far=c.far,
            tabulated=c.tabulated,
        )
        for c in candidates
    )
