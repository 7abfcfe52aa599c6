"""From an outcome to what is reported: law, reach, parts, parameters, and sentences about them.

A law with terms is checked once more: is it equivalent to a rigid body, and has it a Lagrangian?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import sympy
import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.limits import limits_of
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, distance, sample
from discover.blackbox.session import AXES, QuerySession
from discover.examination.opening.regimes import share_of_regimes
from discover.examination.opening.screen import Screen
from discover.examination.outcome import Description, Outcome
from discover.examination.result import Resolution
from discover.judgement.evidence import Evidence, Name, Values
from discover.judgement.thresholds import bound, threshold
from discover.judgement.verdict import Verdict, evidence_of
from discover.laws import ConstantLaw, Domain, RigidBodyLaw
from discover.laws.extensions.terms import REST
from discover.laws.near_ties import front_laws, near_ties_of
from discover.laws.pareto import Candidate
from discover.laws.parts import front_of_fits, part_evidence, plain_rigid_body
from discover.laws.rigid_body import lagrangian as helmholtz
from discover.laws.rigid_body.consistency import Completion, complete
from discover.laws.rigid_body.equivalence import to_rigid_body
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.sparsity import with_zeros
from discover.laws.samples import sample_law
from discover.laws.search.selection import impossible_signs, possible
from discover.laws.search.variables import has_points
from discover.probes import identities, mass_matrix_fourier, residual_force
from discover.probes.noise import NoiseFloor
from discover.probes.reach import EDGES, ErrorCurve, refined, tolerance
from kinematics import Robot

_FRESH = threshold("examination.fit_range")
_CHEAP = threshold("examination.bodies_cheap")
_DESCRIBES = threshold("examination.law_kept")
_ROUNDING = 1e-9  # standardised: the residual of a law to the last digit


def describe(
    session: QuerySession, screen: Screen, outcome: Outcome, *, described: bool
) -> Description:
    """The law with its reach, curves, parameters and parts, and all evidence.

    described  whether the robot was described by the caller: then parameters stand beside the
               description's
    """
    if isinstance(outcome.law, ConstantLaw):
        return _constant(outcome.law, screen, outcome)
    if outcome.covered is not None:
        return _covered(screen, outcome)
    noise, fit, drawn = screen.noise, outcome.law, outcome.curves
    completion, notes = outcome.completion, list(outcome.notes)
    assert completion is not None
    if screen.step is not None:
        notes.insert(0, screen.step.sentence)
    if noise.labels:
        notes.append(
            f"Its training labels carry noise of {noise.labels:.2g} of the spread of a: smaller "
            "departures are not counted."
        )
    inside, far = drawn["joint"].error[0], max(c.error[-1] for c in drawn.values())
    ends, sentence = _ends_of_questions(session)
    if sentence:
        notes.append(sentence)
    edges = {
        axis: min(x[axis] for x in (ends, outcome.edges) if axis in x)
        for axis in (*ends, *outcome.edges)
    }
    domain = _domain(drawn, tolerance(noise), edges)
    # A surface may cut the region: the law is then that of its side.
    keeps = inside <= max(_DESCRIBES, 3 * noise.random) or outcome.places is not None
    slim, completion, dropped = _with_zeros(fit, completion, session)
    possible = completion.exact or completion.cost <= _CHEAP * fit.error
    pi = completion.pi if possible and completion.armature is None else None
    law = _with_parts(slim, pi, session, outcome).within(domain) if keeps else None
    if law is not None and dropped:
        law = replace(law, size=law.size - dropped)
        notes.append(
            f"{dropped} of {len(slim.theta)} parameters are zero within their uncertainty, and so "
            "in the law."
        )
    if keeps and not possible:
        notes.append(
            "No physically possible bodies have exactly these base parameters; moving to the "
            f"nearest possible ones costs {completion.cost:.2g} of the spread of a"
            + ("." if session.geometry_known else ", in a geometry some of which is a guess.")
        )
    if keeps:
        notes += [
            f"{term.name}: {value:.2g} ± {error:.1g}, below zero beyond its error. No joint has "
            "that: the answers want it, and something else than this part may be behind it."
            for term, value, error in impossible_signs(fit)
        ]
    # A law that ends at limits of its accelerations is no rigid body.
    if law is not None and not limits_of(session.limits, "a"):
        law, sentences = post_checked(law, outcome.session)
        notes += sentences
    direct = not outcome.session.controlled  # joint forces can be asked for one by one
    circles = mass_matrix_fourier.describe(outcome.session) if direct else []
    force: list[Evidence] = []
    if law is not None and direct and _leaves_a_force(law, outcome.values):
        force, sentence = _residual_force(law, outcome.session, noise)
        notes.append(sentence)
    local = identities.describe(outcome.session) if direct else []
    intervals = {Name.LAW_ERROR_INSIDE: (drawn["joint"].low[0], drawn["joint"].high[0])}
    rows = parameter_table(fit, session.robot) if keeps else []
    return Description(
        evidence=[*evidence_of(outcome.values, intervals), *local, *circles, *force],
        law=law,
        reach=domain.reach,
        resolution=outcome.resolution
        or Resolution(max(inside, noise.level), max(far, noise.level)),
        curves=list(drawn.values()),
        parameters=rows if described else [{**row, "description": None} for row in rows],
        structure={e.name.removeprefix("structure: ").replace(" ", "_"): e.value for e in local},
        notes=notes,
        law_from=outcome.law_from,
    )


def query_counts(for_verdict: int, queries: int) -> list[str]:
    """How many queries were spent on what, where some were spent on the mechanism."""
    if queries == for_verdict:
        return []
    more = queries - for_verdict
    return [
        f"{for_verdict:,} queries led to the verdict, {more:,} to tree, geometry and recursion."
    ]


def what_settles(verdict: Verdict, description: Description) -> list[str]:
    """What the verdict leaves open: where physics was looked at, or what held back each case."""
    if verdict.answer == "physics":
        reached = ", ".join(f"{axis} {r:.3g}×" for axis, r in description.reach.items())
        visible = description.resolution
        return [
            f"Physics: no departure above {visible.region:.2g} of the spread of a in the region "
            f"and {visible.far:.2g} outside was seen, within the reach {reached}."
        ]
    if verdict.answer != "undetermined":
        return []
    return [
        f"*{case[0].upper() + case[1:]}* is held back most by: {what}."
        for case, what in verdict.weakest.items()
    ]


def _constant(law: ConstantLaw, screen: Screen, outcome: Outcome) -> Description:
    end = tolerance(screen.noise)
    domain = _domain(outcome.curves, end, {})
    assert outcome.resolution is not None
    return Description(
        evidence=evidence_of(outcome.values),
        law=law.within(domain),
        reach=domain.reach,
        resolution=outcome.resolution,
        curves=list(outcome.curves.values()),
        parameters=[],
        structure={},
        notes=outcome.notes,
        law_from=outcome.law_from,
    )


def _covered(screen: Screen, outcome: Outcome) -> Description:
    """Of a region that other regimes cover: no law of it is told."""
    assert outcome.resolution is not None
    assert outcome.covered is not None
    domain = _domain(outcome.curves, tolerance(screen.noise), {})
    return Description(
        evidence=[*evidence_of(outcome.values), share_of_regimes(outcome.covered)],
        law=None,
        reach=domain.reach,
        resolution=outcome.resolution,
        curves=list(outcome.curves.values()),
        parameters=[],
        structure={},
        notes=outcome.notes,
        law_from=outcome.law_from,
    )


def _ends_of_questions(session: QuerySession) -> tuple[dict[str, float], str]:
    """How far out questions could be put along each axis, where regimes or limits keep them from
    the farthest shell [half-widths], and what is said of it."""
    if not session.regimes and not session.limits:
        return {}, ""
    region, robot, ends = session.support.region, session.robot, {}
    low, high = list(pairwise(EDGES))[-1]
    for axis in AXES:
        x = session.shell(axis, low, high, 1)
        far = getattr(distance(region, robot, Batch(x.q, x.v, x.commands)), axis)
        if float(far.max()) < low:
            ends[axis] = max(1.0, float(far.max()))
    if not ends:
        return {}, ""
    where = ", ".join(f"{end:.2f} half-widths ({axis})" for axis, end in ends.items())
    return ends, f"Limits and other regimes leave no question further out than {where}."


def _domain(curves: dict[str, ErrorCurve], end: float, edges: dict[str, float]) -> Domain:
    """How far the law describes the model: where its error crosses `end`, at a known edge if there
    is one."""
    reached = {axis: refined(curve, end, edges.get(axis)) for axis, curve in curves.items()}
    return Domain(
        reach={axis: r for axis, (r, _) in reached.items()},
        tolerance=end,
        at_least=tuple(axis for axis, (_, whole) in reached.items() if whole),
    )


def _with_zeros(
    law: Fit, completion: Completion, session: QuerySession
) -> tuple[Fit, Completion, int]:
    """The law with insignificant parameters set to zero, unless possible bodies then cost more."""
    slim, dropped = with_zeros(law) if law.error > _ROUNDING else (law, 0)
    if not dropped:
        return law, completion, 0
    answers = session.answers.get("inside", session.answers["screen"])
    fitting = complete(*slim.bare(answers), session.robot.pi)
    if completion.exact and not fitting.exact:
        return law, completion, 0
    return slim, fitting, dropped


def _leaves_a_force(law: RigidBodyLaw, values: Values) -> bool:
    """Whether there is a residual force beside the bodies whose structure can be measured: none
    where no law holds far out."""
    plain = law.integrator is None and has_points(law.robot) and not law.nonlinearities
    plain = plain and law.trigonometry is None
    lawful = values[Name.BEST_ERROR_FAR] < bound("lookup table", Name.BEST_ERROR_FAR)
    predictable = values[Name.PREDICTABILITY] > bound("physics", Name.PREDICTABILITY)
    return plain and lawful and (bool(law.extra) or predictable)


def _residual_force(
    law: RigidBodyLaw, session: QuerySession, noise: NoiseFloor
) -> tuple[list[Evidence], str]:
    if noise.random > 0 and residual_force.hidden_by_noise(law, session, noise.sigma):
        return [], "The residual force beside the bodies is too close to noise to be described."
    force = residual_force.measure(law, session)
    return force.describe(), force.sentence


def _with_parts(
    law: Fit, pi: Tensor | None, session: QuerySession, outcome: Outcome
) -> RigidBodyLaw:
    """The law with the evidence for its parts and the Pareto front of all that were tried."""
    tried: Sequence[Fit] = outcome.tried
    near: Sequence[Candidate] = outcome.near_ties
    inside = session.answers.get("inside", session.answers["screen"])
    held_out = session.answers.get("held out", inside)
    shells = [f"joint {lo:g}-{hi:g}" for lo, hi in pairwise(EDGES) if lo >= _FRESH]
    far = [session.answers[k] for k in shells if k in session.answers]
    fresh = Answers.concat(far) if far else held_out[:0]
    fresh = fresh[torch.isfinite(fresh.a).all(-1)]
    others = [f for f in tried if f.step == law.step]
    if law.family.terms or law.family.non_additive:
        others.append(plain_rigid_body(law, inside))
    front = front_of_fits([law, *others], held_out, fresh)
    shown = (("in the region", held_out), (f"beyond {_FRESH:g} half-widths", fresh))
    return replace(
        RigidBodyLaw.from_fit(law, pi),
        parts=part_evidence(law, inside, held_out, fresh),
        pareto_front=front_laws(front, RigidBodyLaw.from_fit),
        near_ties=near_ties_of(near, RigidBodyLaw.from_fit),
        samples=tuple(sample_law(law, x, where) for where, x in shown if len(x)),
    )


_COMPARED_STATES = 240
_COMPARED_DISTANCE = 3.0  # half-widths over which laws are compared
_DERIVATIVES = threshold("examination.helmholtz_derivatives")


def post_checked(law: RigidBodyLaw, session: QuerySession) -> tuple[RigidBodyLaw, list[str]]:
    """The law, or the rigid body to which it is equivalent; and sentences on both checks."""
    if law.family == "rigid body" or law.integrator is not None:
        return law, []
    n, seed = _COMPARED_STATES, session.seed + 7
    inner = session.forced(session.draw("standing", n))
    outer = session.forced(session.support.shell("joint", 1.0, _COMPARED_DISTANCE, n, seed))
    outside = f"out to {_COMPARED_DISTANCE:g} half-widths"
    misfits, driven = [], ""
    for batch, where in ((outer, outside), (inner, "in the region")):
        closest = to_rigid_body(law, session.robot, batch)
        if closest.rigid and possible(closest.closest):
            rigid_body = replace(
                RigidBodyLaw.from_fit(closest.closest),
                domain=law.domain,
                pareto_front=law.pareto_front,
                parts=law.parts,
                recursion=law.recursion,
            )
            sentence = "Its terms are a rigid body in another form; the law is given as that body."
            return rigid_body, [sentence]
        if closest.rigid:
            driven = ", ".join(t.name for t, *_ in impossible_signs(closest.closest))
        elif math.isfinite(closest.misfit):
            misfits.append(f"{closest.misfit:.2g} {where}")
    sentences = []
    if driven:
        sentences.append(
            f"Bodies with joint terms follow it only with {driven} below zero, which no joint has."
        )
    elif misfits:
        differs = " and ".join(misfits)
        sentences.append(
            f"The closest rigid body differs from the law by {differs} (of the spread of a)."
        )
    if _has_conditions(law):
        conditions = helmholtz.conditions(law, *helmholtz.motions(law.robot.nv))
        sentences.append(f"Helmholtz's conditions on the law: {conditions}.")
        if conditions.exists:
            law, sentence = _with_lagrangian(law)
            sentences.append(sentence)
    return law, sentences


def _with_lagrangian(law: RigidBodyLaw) -> tuple[RigidBodyLaw, str]:
    """The law with the Lagrangian of its terms, where one is found, and a sentence."""
    lagrangian = helmholtz.fit_lagrangian(law)
    if lagrangian is None:
        return law, "A Lagrangian exists, but none was found in closed form."
    formula = sympy.sstr(lagrangian.expression.evalf(4))
    return replace(law, terms_lagrangian=lagrangian.expression), (
        f"Fitted Lagrangian: that of the bodies and `{formula}`; its equations give the terms' "
        f"forces to {lagrangian.misfit:.1g} of their size."
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


_ALIKE = 1e-9  # relative misfit below which rotors are moved as bodies are
_ROTOR_STATES = 40


def parameter_table(fitted: Fit, described: Robot) -> list[dict[str, Any]]:
    """One row a base parameter, then one a term: name, value, standard_error, description, and
    `impossible` where no joint can have it."""
    family = fitted.family
    base = kinematics.base_parameters(family.robot)
    matrix = torch.as_tensor(base.matrix, dtype=torch.float64)
    V, k = family.basis, family.basis.shape[1]
    value = matrix @ (V @ fitted.theta[:k])
    spread = matrix @ V
    error = torch.einsum("ik,kl,il->i", spread, fitted.covariance[:k, :k], spread).clamp_min(0)
    bodies, stated = _as_the_family_states_it(fitted, described)
    known = matrix @ bodies
    rows = [
        {
            "name": name,
            "value": float(value[i]),
            "standard_error": float(error[i].sqrt()),
            "description": float(known[i]),
        }
        for i, name in enumerate(base.names)
    ]
    impossible = {term.name for term, *_ in impossible_signs(fitted)}
    for i, term in enumerate(family.terms):
        row = {
            "name": term.name,
            "value": float(fitted.theta[k + i]),
            "standard_error": float(fitted.covariance[k + i, k + i].clamp_min(0).sqrt()),
            "description": stated[i],
        }
        rows.append(row | {"impossible": "negative"} if term.name in impossible else row)
    return rows


def _as_the_family_states_it(fitted: Fit, described: Robot) -> tuple[Tensor, list[float | None]]:
    """The description's bodies (10 nb,) and its value for each term of the family.

    A rotor that turns with its joint's first body (any rotor at the base of a tree) moves the robot
    as this body's own inertia would; a family has no term for it then, and it is counted with the
    bodies."""
    family = fitted.family
    bodies = described.pi.to(torch.float64).flatten()
    stated = [
        None
        if t.joint_term is None
        else 0.0  # the family's springs are at rest where the description's are
        if t.joint_term == REST
        else float(getattr(described, t.joint_term)[t.joint])
        for t in family.terms
    ]
    rotors = {t.joint: i for i, t in enumerate(family.terms) if t.joint_term == "armature"}
    others = [j for j in described.armature.nonzero().flatten().tolist() if j not in rotors]
    if not others:
        return bodies, stated
    batch = sample(Region(q=1.0, v=1.0, tau=1.0), described, _ROTOR_STATES, 0)
    a = batch.tau  # any accelerations will do
    turning = torch.diag_embed(a)
    Y = kinematics.regressor(family.robot, batch.q, batch.v, a) @ family.basis
    columns = torch.cat([Y, turning[..., list(rotors)]], -1).flatten(0, 1)
    torques = turning[..., others].flatten(0, 1)
    shares = torch.linalg.lstsq(columns, torques, driver="gelsd").solution
    alike = (columns @ shares - torques).norm(dim=0) < _ALIKE * torques.norm(dim=0)
    armature = described.armature[others].to(torch.float64) * alike
    rank = family.basis.shape[1]
    bodies = bodies + family.basis @ shares[:rank] @ armature
    for i, share in zip(rotors.values(), shares[rank:] @ armature, strict=True):
        stated[i] = (stated[i] or 0.0) + float(share)
    return bodies, stated
