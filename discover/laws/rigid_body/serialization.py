"""A rigid-body law as plain lists and words that JSON keeps exactly, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sympy

from discover.laws.contract import Domain
from discover.laws.expressions import parse_expression
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.memory import MemoryLaw
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.terms import Term
from discover.laws.near_ties import Near, member_from_dict
from discover.laws.parts import Part
from discover.laws.samples import Sample
from discover.laws.search.variables import vocabulary
from kinematics import Robot

if TYPE_CHECKING:
    from discover.laws.rigid_body.law import RigidBodyLaw


def describe(law: RigidBodyLaw) -> dict[str, Any]:
    """The fields of the law as lists, words and numbers; the keys are those of stored laws."""
    return {
        "kind": "rigid body",
        "robot": law.robot.to_dict(),
        "extra": [t.to_dict() for t in law.extra],
        "channels": [c.to_dict() for c in law.nonlinearities],
        "turns": None if law.trigonometry is None else law.trigonometry.to_dict(),
        "size": law.size,
        "domain": None if law.domain is None else law.domain.to_dict(),
        "integrator": law.integrator,
        "dt": law.dt,
        "searched": law.searched,
        "front": [m.to_dict() for m in law.front],
        "account": [p.to_dict() for p in law.account],
        "near": [n.to_dict() for n in law.near],
        "samples": [x.to_dict() for x in law.samples],
        "beside": None if law.beside is None else sympy.sstr(law.beside, full_prec=True),
        "memory": None if law.memory is None else law.memory.to_dict(),
    }


def fields_of(record: dict, read: Callable[[dict], Any]) -> dict[str, Any]:
    """The fields that `describe` wrote down; `read` reads the laws among them."""
    domain = record["domain"]
    return {
        "robot": Robot.from_dict(record["robot"]),
        "extra": tuple(Term.from_dict(t) for t in record["extra"]),
        "nonlinearities": tuple(
            StaticNonlinearity.from_dict(c) for c in record.get("channels", ())
        ),
        "trigonometry": (
            SurrogateTrigonometry.from_dict(record["turns"]) if record.get("turns") else None
        ),
        "size": record["size"],
        "domain": None if domain is None else Domain.from_dict(domain),
        "integrator": record["integrator"],
        "dt": record["dt"],
        "searched": record.get("searched"),
        "front": tuple(member_from_dict(m, read) for m in record.get("front", ())),
        "account": tuple(Part.from_dict(p) for p in record.get("account", ())),
        "near": tuple(Near.from_dict(n, read) for n in record.get("near", ())),
        "samples": tuple(Sample.from_dict(x) for x in record.get("samples", ())),
        "beside": _expression(record),
        "memory": MemoryLaw.from_dict(record["memory"]) if record.get("memory") else None,
    }


def _expression(record: dict) -> sympy.Expr | None:
    """The stored Lagrangian of the terms, in the law's words; parsed, never executed."""
    text = record.get("beside")
    if text is None:
        return None
    robot = Robot.from_dict(record["robot"])
    most = max((len(t.get("points", ())) for t in record["extra"]), default=0)
    return parse_expression(text, vocabulary(robot.nv, most))
