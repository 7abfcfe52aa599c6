"""Columns of the regressor after the filter: what a filter over the whole motion makes of them."""

import dataclasses

import numpy as np
import pytest
import torch

import kinematics
from discover.identification.design import Bodies, assemble
from discover.identification.drive_terms import drive_terms
from discover.identification.samples import Samples
from discover.laws.extensions.terms import forces

WINDOW, ORDER, DENSE = 0.3, 5, 4001


@pytest.fixture(scope="module")
def states():
    """States of constant acceleration: some far from a reversal, some with one in the window."""
    generator = np.random.default_rng(0)
    q, v, a = (generator.normal(size=(60, 2)) for _ in range(3))
    v[::2] *= 0.05
    ones = np.ones(60, dtype=int)
    return Samples(
        names=("log",), time=np.arange(60.0), log=0 * ones, block=0 * ones, fold=0 * ones,
        moving=np.ones((60, 2), dtype=bool), window=WINDOW, order=ORDER,
        **{k: torch.tensor(x) for k, x in {"q": q, "v": v, "a": a, "tau": v}.items()},
    )  # fmt: skip


def test_each_column_is_the_polynomial_through_its_window(states):
    bodies = Bodies.of(kinematics.load("double_pendulum").replace(friction_speed=0.01))
    drives = [x for x in drive_terms(bodies.robot, np.ones(2)) if not x.loaded]
    design = assemble(states, bodies, drives, bodies.robot)
    terms = [t for drive in drives for t in drive.terms]
    x = np.linspace(-0.5, 0.5, DENSE)
    middle = np.linalg.pinv(x[:, None] ** np.arange(ORDER + 1))[0]
    for n in range(len(states)):
        q, v, a = (getattr(states, k)[n] for k in ("q", "v", "a"))
        t = torch.tensor(x * WINDOW)[:, None]
        moved = (q + v * t + a * t**2 / 2, v + a * t, a.expand(DENSE, 2))
        dense = forces(terms, *moved, moved[1], bodies.robot).numpy()
        expected = np.einsum("t,tjk->jk", middle, dense)
        w = moved[1]
        each = torch.stack([w[:, 0], w[:, 1], w.sum(1), w[:, 0] - w[:, 1]])
        crosses = bool(((each.min(1).values < 0) & (each.max(1).values > 0)).any())
        close = 0.03 if crosses else 3e-3  # a step between two nodes: up to half of one's weight
        assert design.X[n, :, design.bodies :] == pytest.approx(expected, abs=close)


def test_without_a_filter_columns_are_as_they_are(states):
    bodies = Bodies.of(kinematics.load("double_pendulum"))
    drives = [x for x in drive_terms(bodies.robot, np.ones(2)) if not x.loaded]
    design = assemble(
        dataclasses.replace(states, window=0.0, columns={}), bodies, drives, bodies.robot
    )
    terms = [t for drive in drives for t in drive.terms]
    expected = forces(terms, states.q, states.v, states.a, states.tau, bodies.robot).numpy()
    assert design.X[:, :, design.bodies :] == pytest.approx(expected, abs=1e-12)
