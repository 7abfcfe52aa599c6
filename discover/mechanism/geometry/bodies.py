"""Inertial parameters and joint terms of an inferred mechanism, in canonical frames.

The geometry's own inertial parameters are fitted to H and static forces. Here the bodies are fitted
again to accelerations at any velocity and force, with what joints have beside them, and completed
to bodies that can exist (positive masses and pseudo-inertias).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import Term, forces, joint_terms, stated
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.mechanism.coordinates import configuration_order
from discover.mechanism.geometry.identification import Geometry
from discover.mechanism.geometry.robots import canonical_robot
from discover.mechanism.local_dynamics import DynamicsSampler
from kinematics import Robot

# Tolerances [rad, or share of the reach] within which angles and offsets are made special, tried in
# turn, the widest first: a ladder, of which held-out answers choose the step.
_TOLERANCES = (1e-5, 1e-7, 1e-9)
_NOISY_TOLERANCES = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-7)
_COST = threshold("mechanism.canonical_cost")
_GAIN = threshold("mechanism.joint_terms_gain")
_CLEAR = threshold("mechanism.clear_joint_term")
_ROUNDING = 1e-9  # of the largest force of a joint term: less is rounding
_BALL = 0.1  # radius of the balls that possible bodies are kept close to [m]


def identify_bodies(
    sampler: DynamicsSampler, robot: Robot, geometry: Geometry, order: tuple[int, ...], noisy: bool
) -> tuple[Robot, Robot]:
    """The robot of a good geometry in canonical frames: (with possible bodies, as fitted).

    sampler   of the model
    robot     the geometry as a Robot, in any frames
    order     the model's coordinate behind each of the robot's
    noisy     whether angles and offsets are known only up to noise

    The second has the base parameters that were fitted, rotors, friction and springs included; its
    bodies need not be possible.
    """
    training, validation = training_answers(sampler, robot, order)
    terms = _joint_terms(robot, training, validation)
    robot = _in_canonical_frames(robot, geometry, noisy, training, validation, terms)
    return _with_possible_bodies(robot, training, terms)


def training_answers(
    sampler: DynamicsSampler, robot: Robot, order: tuple[int, ...]
) -> tuple[Answers, Answers]:
    """Answers in the region, in the robot's order: (four fifths to fit to, one fifth held out)."""
    size = Family.of(robot, joint_terms(robot)).size
    n = max(40, 6 * size // robot.nv) * (8 if sampler.noisy else 1)
    states = [sampler.draw(n), sampler.draw_velocities(n), sampler.draw_forces(n)]
    raw = sampler.blackbox.ask(*(torch.from_numpy(x) for x in states))
    keep, q_keep = list(order), configuration_order(order, robot.nq)
    answers = Answers(q=raw.q[:, q_keep], v=raw.v[:, keep], tau=raw.tau[:, keep], a=raw.a[:, keep])
    return answers[: 4 * n // 5], answers[4 * n // 5 :]


def _error(robot: Robot, terms: Sequence[Term], training: Answers, validation: Answers) -> float:
    return fit(Family.of(robot, terms), training).standardised_error(validation)


def _joint_terms(robot: Robot, training: Answers, validation: Answers) -> list[Term]:
    """Rotors, friction and springs of all joints if they reduce the held-out error, else none.
    Their misfit would hide that of the frames."""
    terms = joint_terms(robot)
    bare, full = (_error(robot, listed, training, validation) for listed in ([], terms))
    return terms if full < _GAIN * bare else []


def _in_canonical_frames(
    robot: Robot,
    geometry: Geometry,
    noisy: bool,
    training: Answers,
    validation: Answers,
    terms: Sequence[Term],
) -> Robot:
    """The robot in canonical frames, with angles and offsets special within the largest tolerance
    that costs nothing on held-out answers."""
    free = _error(robot, terms, training, validation)
    for tolerance in _NOISY_TOLERANCES if noisy else _TOLERANCES:
        canonical = canonical_robot(
            geometry.tree,
            geometry.screws,
            geometry.pi,
            tolerance,
            gravity=robot.gravity.tolist(),
        )
        error = _error(canonical, terms, training, validation)
        if error <= max(_COST * free, free + 1e-10):
            return canonical
    return robot


def _with_possible_bodies(
    robot: Robot, answers: Answers, terms: Sequence[Term]
) -> tuple[Robot, Robot]:
    """The robot with possible bodies of the fitted base parameters, and as fitted.

    Among all possible bodies with these base parameters, those nearest to balls of equal mass about
    the joints; where there are none, the possible ones whose base parameters are nearest.
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
    """The fitted member of the family, with those rotors, friction and springs that exceed rounding
    and a few standard errors."""
    family, k = fitted.family, fitted.family.basis.shape[1]
    robot = family.member(fitted.theta)
    if not family.terms:
        return robot
    shapes = forces(family.terms, answers.q, answers.v, answers.a, answers.tau, robot)
    size = shapes.flatten(0, 1).norm(dim=0) * fitted.theta[k:].abs()
    deviation = torch.diagonal(fitted.covariance)[k:].clamp_min(0).sqrt()
    kept = (size > _ROUNDING * size.max()) & (fitted.theta[k:].abs() > _CLEAR * deviation)
    clear = [i for i in range(len(family.terms)) if kept[i]]
    return stated(robot, [family.terms[i] for i in clear], [fitted.theta[k + i] for i in clear])
