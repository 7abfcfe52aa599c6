"""Inertial parameters of an inferred mechanism, in canonical frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import Term, forces, joint_terms
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.mechanism.coordinates import configuration_order
from discover.mechanism.geometry.identification import Geometry
from discover.mechanism.geometry.robots import canonical_robot
from discover.mechanism.local_dynamics import DynamicsSampler
from kinematics import Robot

_EXACT_ROOM = (1e-5, 1e-7, 1e-9)  # what counts as a right angle or as nothing, tried in turn
_NOISY_ROOM = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-7)
_ROUNDING = 1e-9  # of the largest force that a joint has of its own
_HELPS = 0.5  # times the misfit without
_BALL = 0.1  # radius of stand-in bodies [m]


def answers(
    sampler: DynamicsSampler, robot: Robot, order: tuple[int, ...]
) -> tuple[Answers, Answers]:
    """Answers in the region, to fit bodies to and to hold them against, in the robot's order."""
    size = Family.of(robot, joint_terms(robot)).size
    n = max(40, 6 * size // robot.nv) * (8 if sampler.noisy else 1)
    states = [sampler.draw(n), sampler.draw_velocities(n), sampler.draw_forces(n)]
    told = sampler.blackbox.ask(*(torch.from_numpy(x) for x in states))
    keep, q_keep = list(order), configuration_order(order, robot.nq)
    told = Answers(q=told.q[:, q_keep], v=told.v[:, keep], tau=told.tau[:, keep], a=told.a[:, keep])
    return told[: 4 * n // 5], told[4 * n // 5 :]


def with_canonical_frames(
    robot: Robot,
    geometry: Geometry,
    noisy: bool,
    training: Answers,
    validation: Answers,
    terms: Sequence[Term],
) -> Robot:
    """The robot with frames in which constants vanish, and with angles and offsets that are special
    within the largest tolerance that costs nothing on answers that were not fitted."""
    own = fit(Family.of(robot, terms), training).standardised_error(validation)
    for tolerance in _NOISY_ROOM if noisy else _EXACT_ROOM:
        tidy = canonical_robot(
            geometry.tree,
            geometry.screws,
            geometry.pi,
            tolerance,
            gravity=robot.gravity.tolist(),
        )
        error = fit(Family.of(tidy, terms), training).standardised_error(validation)
        if error <= max(1.01 * own, own + 1e-10):
            return tidy
    return robot


def shown_joint_terms(robot: Robot, training: Answers, validation: Answers) -> list[Term]:
    """What joints have beside the bodies (rotors, friction, springs), where the answers show it: a
    misfit that is theirs would hide that of the geometry."""
    terms = joint_terms(robot)
    bare, full = (
        fit(Family.of(robot, own), training).standardised_error(validation) for own in ([], terms)
    )
    return terms if full < _HELPS * bare else []


def with_possible_bodies(
    robot: Robot, answers: Answers, terms: Sequence[Term] = ()
) -> tuple[Robot, Robot]:
    """The robot with bodies that can exist and have the base parameters that the answers show, and
    with the fitted ones of least norm and what its joints have beside them.

    Among all such bodies those nearest to balls of equal mass about the joints. Where none have
    quite these base parameters, the nearest possible ones.
    """
    fitted = fit(Family.of(robot, terms), answers)
    mass = max(1e-6, float(robot.pi[:, 0].abs().max()))
    ball = torch.zeros(robot.nb, 10, dtype=torch.float64)
    ball[:, 0] = mass
    ball[:, [4, 6, 9]] = 0.4 * mass * _BALL**2
    completion = complete(fitted, answers, ball)
    possible = robot.replace(pi=completion.pi) if np.isfinite(completion.cost) else robot
    return possible, _as_fitted(fitted, answers)


def _as_fitted(fitted: Fit, answers: Answers) -> Robot:
    """The member of the family that was fitted, with rotors, friction and springs that are more
    than rounding and three standard errors."""
    family, k = fitted.family, fitted.family.basis.shape[1]
    robot = family.member(fitted.theta)
    if not family.terms:
        return robot
    shapes = forces(family.terms, answers.q, answers.v, answers.a, answers.tau, robot)
    made = shapes.flatten(0, 1).norm(dim=0) * fitted.theta[k:].abs()
    deviation = torch.diagonal(fitted.covariance)[k:].clamp_min(0).sqrt()
    there = (made > _ROUNDING * made.max()) & (fitted.theta[k:].abs() > 3.0 * deviation)
    for i, term in enumerate(family.terms):
        if term.joint_term is not None and there[i]:
            values = getattr(robot, term.joint_term).clone()
            values[term.joint] = fitted.theta[k + i]
            robot = robot.replace(**{term.joint_term: values})
    return robot
