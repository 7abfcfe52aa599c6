"""Members of a law's front: laws that were tried, each better than all shorter ones.

`law.front` is a tuple of them, from short to long, chosen from by index; each can be asked, read
and exported like the law itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from discover.evidence import number_from_json, number_to_json
from discover.laws.front import Candidate

if TYPE_CHECKING:
    from discover.laws.rigid_body import RigidBodyLaw


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
        beside = [row for row in self.expression if row != 0]
        words = " ; ".join(sympy.sstr(row.evalf(4)) for row in beside)
        return "bodies" + (f" + [{words}]" if beside else "")

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
