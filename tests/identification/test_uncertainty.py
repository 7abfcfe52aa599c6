"""Standard errors that carry what holding on to a wrong description leaves."""

from dataclasses import replace

import numpy as np
import pytest

import kinematics
from discover.data.motions import Motion
from discover.identification.design import Bodies
from discover.identification.drive_terms import drive_terms, standard
from discover.identification.estimate import estimate
from discover.identification.samples import gather
from discover.identification.uncertainty import (
    _variance_between,
    errors_of_hold,
    standard_errors,
)
from tests.identification.conftest import periodic


def fitted(described, true, hold):
    """A fit that holds on to the description's bodies, its samples, and the true base parameters
    as departures from the description."""
    import torch

    generator = np.random.default_rng(4)
    motions = []
    for k in range(3):
        time = np.arange(0, 20, 0.02)
        q, v, a = periodic(generator, 2, time)
        tau = kinematics.rnea(true, *map(torch.tensor, (q, v, a))).numpy()
        tau = tau + 0.05 * tau.std(axis=0) * generator.normal(size=tau.shape)
        motions.append(Motion(time=time, q=q, v=v, a=a, tau=tau, name=f"log {k}"))
    samples = gather(motions, np.full(2, 0.02))
    robot = described.replace(friction_speed=0.005)
    bodies = Bodies.of(robot)
    fit = estimate(samples, bodies, standard(drive_terms(robot, np.ones(2))), select=False)
    moments = fit.moments.with_prior(hold, fit.design.body_columns)
    held = replace(fit, moments=moments, theta=moments.solve(list(fit.columns)), prior=hold)
    return held, samples, bodies.matrix @ true.pi.flatten().numpy() - bodies.described


def test_a_hold_on_a_wrong_description_is_in_the_errors(pendulum):
    fit, samples, truth = fitted(*pendulum, 1e6)
    off = np.abs(fit.theta[: len(truth)] - truth)
    pieces, hold = (x[: len(truth)] for x in (standard_errors(fit, samples),
                                              errors_of_hold(fit, samples)))  # fmt: skip
    assert (off > 5 * pieces).any()  # pieces of time do not show it
    assert (off < 3 * np.hypot(pieces, hold)).all()


def test_a_weak_hold_adds_nothing(pendulum):
    fit, samples, _ = fitted(*pendulum, 1.0)
    assert (errors_of_hold(fit, samples) < 0.1 * standard_errors(fit, samples)).all()


def test_a_right_description_adds_little(pendulum):
    described, true = pendulum
    right, samples, _ = fitted(true, true, 1e6)
    wrong, others, _ = fitted(described, true, 1e6)
    k = right.bodies.size
    assert errors_of_hold(right, samples)[:k].max() < 0.2 * errors_of_hold(wrong, others)[:k].max()


def test_the_variance_between_is_what_errors_do_not_explain():
    generator = np.random.default_rng(0)
    spread, variance = generator.uniform(1, 2, 4000), generator.uniform(0.1, 3, 4000)
    departure = generator.normal(size=4000) * np.sqrt(0.5 * spread + variance)
    assert _variance_between(departure, variance, spread) == pytest.approx(0.5, rel=0.15)
    assert _variance_between(0.9 * np.sqrt(variance), variance, spread) == 0.0
    assert _variance_between(np.zeros(0), np.zeros(0), np.zeros(0)) == 0.0
