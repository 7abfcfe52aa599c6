"""Post-checks on a law with terms: is it equivalent to a rigid body, and has it a Lagrangian?"""

from __future__ import annotations

from dataclasses import replace

import sympy

from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold
from discover.laws import RigidBodyLaw
from discover.laws.rigid_body import lagrangian as helmholtz
from discover.laws.rigid_body import lagrangian as lagrangians
from discover.laws.rigid_body.equivalence import to_rigid_body

_STATES = 240
_DISTANCE = 3.0  # half-widths over which laws are compared
_DERIVATIVES = threshold("examination.helmholtz_derivatives")


def post_checked(law: RigidBodyLaw, session: QuerySession) -> tuple[RigidBodyLaw, list[str]]:
    """The law, or the rigid body to which it is equivalent; and sentences on both checks."""
    if law.family == "rigid body" or law.integrator is not None:
        return law, []
    inner = session.draw("standing", _STATES)
    outer = session.support.shell("joint", 1.0, _DISTANCE, _STATES, session.seed + 7)
    notes = []
    for batch, where in ((outer, f"out to {_DISTANCE:g} half-widths"), (inner, "in the region")):
        found = to_rigid_body(law, session.robot, batch)
        if found.rigid:
            same = replace(
                RigidBodyLaw.from_fit(found.closest),
                domain=law.domain, pareto_front=law.pareto_front, parts=law.parts,
                recursion=law.recursion,
            )  # fmt: skip
            return same, [
                "Its terms are a rigid body in another form; the law is given as that body."
            ]
        if found.misfit == found.misfit and found.misfit < float("inf"):
            notes.append(f"{found.misfit:.2g} {where}")
    told = "The closest rigid body differs from the law by " + " and ".join(notes)
    sentences = [f"{told} (of the spread of a)."] if notes else []
    if _has_conditions(law):
        conditions = helmholtz.conditions(law, *helmholtz.motions(law.robot.nv))
        sentences.append(f"Helmholtz's conditions on the law: {conditions}.")
        if conditions.exists:
            law, told = _with_lagrangian(law)
            sentences.append(told)
    return law, sentences


def _with_lagrangian(law: RigidBodyLaw) -> tuple[RigidBodyLaw, str]:
    """The law with the Lagrangian of its terms, where one was found, and a sentence."""
    found = lagrangians.fit_lagrangian(law)
    if found is None:
        return law, "A Lagrangian exists, but none was found in closed form."
    told = sympy.sstr(found.expression.evalf(4))
    return replace(law, terms_lagrangian=found.expression), (
        f"Fitted Lagrangian: that of the bodies and `{told}`; its equations give the terms' forces "
        f"to {found.misfit:.1g} of their size."
    )


def _has_conditions(law: RigidBodyLaw) -> bool:
    """Whether the forces that the law demands for an acceleration can be read off its answers."""
    plain = law.robot.nq == law.robot.nv and law.robot.nv**2 <= _DERIVATIVES
    return (
        plain
        and not law.nonlinearities
        and law.trigonometry is None
        and not any(
            t.nonlinear_in_acceleration or any(n.startswith("tau") for n in t.names)
            for t in law.extra
        )
    )
