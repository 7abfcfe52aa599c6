"""Two laws, each on its side of a surface: found with the surface, and never of a table."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from scipy.interpolate import RBFInterpolator
from sklearn.neural_network import MLPRegressor

import discover
import kinematics
from discover.blackbox.sampling import AXES, Batch, distance
from discover.calibration.planted import hybrids, tables
from discover.calibration.planted.contract import Noisy, Setting
from discover.examination.fits import answers_inside
from discover.examination.opening.screen import screening
from discover.examination.places.two_laws import two_laws
from discover.examination.result import load
from discover.judgement.evidence import Name
from discover.judgement.verdict import judge
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.probes.reach import EDGES
from tests.examination import query_sessions

ROBOT = kinematics.load("double_pendulum")
Q, V, TAU = 1.0, 3.0, torch.tensor([20.0, 8.0], dtype=torch.float64)
REGION = discover.Region(q=Q, v=V, tau=TAU).resolve(2)
SETTING = Setting(robot=ROBOT, region=REGION)
SIZE = torch.tensor([6.0, 12.0], dtype=torch.float64)


def aba(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


def energy(q, v, tau):
    return 0.5 * torch.einsum("ni,nij,nj->n", v, kinematics.crba(ROBOT, q), v)


def largest(q, v, tau):
    return distance(REGION, ROBOT, Batch(q, v, tau)).joint


def linear(q, v, tau):
    return SIZE * (2 * tau / TAU - v / V)


def heavy(q, v, tau):
    weight = torch.tensor([1.6, 0.7], dtype=torch.float64)[:, None]
    return kinematics.aba(ROBOT.replace(pi=ROBOT.pi * weight), q, v, tau)


def passing(quantity, level, width, outer, noise=0.0):
    """Physics before a level of a quantity, another law beyond it."""

    def model(q, v, tau):
        share = torch.sigmoid((quantity(q, v, tau) - level) / width)[:, None]
        return (1 - share) * aba(q, v, tau) + share * outer(q, v, tau)

    return Noisy.in_setting(model, SETTING, noise) if noise else model


def found(model):
    """(the two laws of a model, or None; how many states were asked for them)"""
    session, screen = screening(query_sessions.session(model, ROBOT, REGION))
    inside, _ = answers_inside(session)
    for axis in AXES:
        for lo, hi in pairwise(EDGES):
            session.shell(axis, lo, hi, 16)
    law = fit(Family.of(ROBOT, joint_terms(ROBOT)), inside)
    before = session.blackbox.queries
    return two_laws(session, screen, (law,)), session.blackbox.queries - before


@pytest.mark.parametrize(
    ("quantity", "level", "width", "outer", "name", "groups"),
    [
        (largest, 1.3, 0.05, linear, "largest of q, v and tau", ["q", "v", "tau"]),
        pytest.param(
            lambda q, v, tau: q[:, 0] / Q, 0.4, 0.05, linear, "q[0]", ["q"], marks=pytest.mark.slow
        ),
        (lambda q, v, tau: v[:, 1].abs() / V, 1.2, 0.03, heavy, "|v[1]", ["v"]),
        (energy, 12.0, 0.5, linear, "kinetic energy", ["q", "v"]),
    ],
)
def test_both_laws_and_their_surface_are_found(quantity, level, width, outer, name, groups):
    two, asked = found(passing(quantity, level, width, outer))
    assert two is not None
    assert asked <= 400
    assert two.places.quantity.startswith(name)
    assert two.places.groups == groups
    assert two.places.level == pytest.approx(level, rel=1e-3)
    assert two.places.width == pytest.approx(width, rel=0.05)
    assert two.places.side == "above"
    assert two.places.inside == "physics"
    assert two.error < 1e-5
    assert two.blended < 1e-5


def test_a_sharp_surface_and_the_same_law_turned_round():
    def model(q, v, tau):
        return torch.where((largest(q, v, tau) > 1.3)[:, None], -aba(q, v, tau), aba(q, v, tau))

    two, _ = found(model)
    assert two is not None
    assert two.places.level == pytest.approx(1.3, abs=0.03)
    assert two.places.outside.startswith("-1 times")
    assert two.places.width == 0.0


@pytest.mark.slow
def test_behind_noise():
    two, _ = found(passing(largest, 1.35, 0.05, linear, noise=0.01))
    assert two is not None
    assert two.places.quantity == "largest of q, v and tau"
    assert two.places.level == pytest.approx(1.35, abs=0.05)
    assert two.error < 0.01


class LinearTail:
    """An interpolant that is exactly linear, or nearly so, beyond its samples."""

    def __init__(self, kernel, **options):
        self.kernel, self.options = kernel, options

    def fit(self, x, y):
        self.inner = RBFInterpolator(x, y, kernel=self.kernel, degree=1, **self.options)
        return self

    def predict(self, x):
        return self.inner(x)


@pytest.mark.parametrize(
    ("regressor", "samples"),
    [
        (LinearTail("gaussian", epsilon=0.4, smoothing=1e-6), 800),
        (LinearTail("thin_plate_spline"), 800),
        pytest.param(
            MLPRegressor(hidden_layer_sizes=(16,), activation="relu", max_iter=200, random_state=0),
            1000,
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_table_that_goes_on_linearly_has_no_two_laws(regressor, samples):
    assert found(tables.Interpolant(regressor, SETTING, samples))[0] is None


def test_what_is_silent_outside_has_no_second_law():
    def silent(q, v, tau):
        return torch.zeros_like(v)

    assert found(hybrids.switched(SETTING, aba, silent, 1.4, "joint"))[0] is None


def test_one_law_is_not_two():
    assert found(aba) == (None, 0)


def test_two_laws_are_no_table_in_the_verdict():
    table = {
        Name.BEST_ERROR_FAR: 0.9,
        Name.BEST_ERROR_INSIDE: 1e-3,
        Name.FAR_CURVATURE: 0.0,
        Name.REFIT_ERROR_FAR: 0.9,
    }
    assert judge(table).answer == "lookup table"
    assert judge(table | {Name.LAWS_OF_PARTS: 1e-3}).answer == "undetermined"
    assert judge(table | {Name.LAWS_OF_PARTS: 0.5}).answer == "lookup table"


@pytest.mark.slow
def test_an_examination_tells_the_place_and_keeps_it(tmp_path):
    exam = discover.examine(passing(largest, 1.3, 0.05, linear), ROBOT, REGION, name="two")
    assert exam.verdict == "undetermined"
    assert exam.places is not None
    assert "physics inside, another law where largest of q, v and tau > 1.3" in str(exam)
    assert any("Two laws, and no table" in n for n in exam.notes)
    assert exam.by_axis["v"]["inside"] == "physics"
    assert "linear" in exam.by_axis["v"]["outside"]
    again = load(exam.save(tmp_path / "exam", report=False))
    assert again.places == exam.places
    # The law is that of the bodies, without what the answers have of the other one.
    q, v, tau = SETTING.samples(50)
    assert torch.allclose(exam.law(q, v, tau), aba(q, v, tau), rtol=1e-6, atol=1e-6)
