"""The sealed list is what it says: finite answers, stated departures, laws that are no bodies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
import sympy
import torch

import kinematics
from tests.bench import sealed_mechanisms, sealed_report
from tests.bench.sealed_laws import HIDDEN, MECHANISMS, NOISE, PLAIN, Mechanism
from tests.bench.sealed_models import BlackBox
from tests.bench.sealed_places import places, point

FAST = [m for m in MECHANISMS if m.name != "network of samples"]  # that one trains for 10 s
ALTERED = [m for m in MECHANISMS if m.share is not None]
DISGUISED = [m for m in MECHANISMS if m.kind == "disguise"]


def named(mechanisms: list[Mechanism]) -> list:
    return [pytest.param(m, id=m.name) for m in mechanisms]


def rigid_gap(mechanism: Mechanism) -> float:
    """What no rigid bodies with joint terms of this tree explain, in spreads."""
    at, box = mechanism.at(), BlackBox(mechanism)
    q, v, tau = at.states(1000, 31)
    a = box.truth(q, v, tau)
    each = torch.eye(at.robot.nv, dtype=torch.float64)
    rubbing = torch.tanh(v / at.robot.friction_speed)
    joints = [x[:, :, None] * each for x in (a, v, rubbing, q, torch.ones_like(q))]
    columns = torch.cat([kinematics.regressor(at.robot, q, v, a), *joints], -1)
    weight = torch.linalg.inv(kinematics.crba(at.robot, q)) / at.spread[:, None]
    rows = (weight @ columns).reshape(-1, columns.shape[-1])
    wanted = (weight @ tau[..., None]).reshape(-1, 1)
    found = torch.linalg.lstsq(rows, wanted, driver="gelsd").solution
    return float((wanted - rows @ found).square().mean().sqrt())


def test_forty_with_different_names_and_controls() -> None:
    assert len({m.name for m in MECHANISMS}) == len(MECHANISMS) == 40
    kinds = Counter(m.kind for m in MECHANISMS)
    assert kinds["disguise"] == 6
    assert kinds["table"] == 4
    assert sum(m.hidden for m in MECHANISMS) == 8
    assert sum(m.noisy for m in MECHANISMS) == 6


@pytest.mark.parametrize("mechanism", named(FAST))
@pytest.mark.slow
def test_answers_are_finite_near_and_far(mechanism: Mechanism) -> None:
    box = BlackBox(mechanism)
    far = mechanism.at().states(200, 3, inner=1.0, outer=2.0)
    assert bool(box(*far).isfinite().all())
    assert box(*(x[0] for x in far)).shape == far[0][0].shape
    noise = (box(*far) - box.truth(*far)) / mechanism.at().spread
    assert float(noise.std()) == pytest.approx(NOISE if mechanism.noisy else 0.0, rel=0.15)


@pytest.mark.parametrize("mechanism", named(ALTERED))
@pytest.mark.slow
def test_departs_by_the_stated_share_and_is_no_rigid_body(mechanism: Mechanism) -> None:
    assert mechanism.share in (PLAIN, HIDDEN)
    assert mechanism.departure(mechanism.strength()) == pytest.approx(mechanism.share, rel=1e-3)
    assert rigid_gap(mechanism) > 0.1 * mechanism.share


@pytest.mark.parametrize("mechanism", named(DISGUISED))
def test_what_is_disguised_is_rigid_bodies(mechanism: Mechanism) -> None:
    assert rigid_gap(mechanism) < 1e-6


@pytest.mark.parametrize("place", ["double", "planar", "spatial", "six"])
def test_points_and_jacobians_are_those_of_the_robot(place: str) -> None:
    at = places()[place]
    q, v, _ = at.states(20, 4)
    last = at.robot.nb - 1
    own = point(at.robot, q, last, at.tip)
    later = point(at.robot, q + 1e-6 * v, last, at.tip).position
    earlier = point(at.robot, q - 1e-6 * v, last, at.tip).position
    assert torch.allclose((later - earlier) / 2e-6, own.velocity(v), atol=1e-7)
    energy = torch.zeros(len(q), dtype=torch.float64)
    for body, pi in enumerate(at.robot.pi):
        centre = point(at.robot, q, body, pi[1:4] / pi[0]).position
        energy = energy - pi[0] * centre @ at.robot.gravity
    difference = energy - kinematics.potential_energy(at.robot, q)
    assert float(difference.std()) < 1e-10


def test_scores_and_shares_by_hand() -> None:
    truth = torch.tensor([[0.0], [2.0], [4.0]], dtype=torch.float64)  # spread 2
    median, rms = sealed_mechanisms.scores(truth + torch.tensor([[0.0], [0.2], [0.4]]), truth)
    assert median == pytest.approx(0.1)
    assert rms == pytest.approx((0.05 / 3) ** 0.5)
    assert sealed_mechanisms.scores(torch.full_like(truth, torch.nan), truth) == (None, None)
    assert sealed_report.wilson(0, 10)[0] == 0
    assert sealed_report.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_a_report_has_both_columns_and_counts_what_is_wrong(tmp_path: Path) -> None:
    common = {
        "kind": "drive", "robot": "double", "wanted": ["alternative law"], "hidden": False,
        "noisy": False, "budget": "quick", "date": "d", "code": "c", "list": "l", "seconds": 1.0,
    }  # fmt: skip
    wrong = {"verdict": "physics", "confidence": 0.9, "acceptable": False, "queries": 3}
    right = {"verdict": "alternative law", "confidence": 0.9, "acceptable": True, "median": 1e-3}
    for side, found in (("before", wrong), ("after", right | {"closed": True, "queries": 3})):
        folder = tmp_path / side / "records"
        folder.mkdir(parents=True)
        record = {"name": "stribeck", **common, **found}
        (folder / "stribeck.json").write_text(json.dumps(record))
    text = sealed_report.write(tmp_path / "after").read_text()
    assert "| verdict acceptable | 0 of 1 (0–79 %) | 1 of 1 (21–100 %) |" in text
    assert "confidence of 0.85 or more | 1 of 1 (21–100 %) | 0 of 1 (0–79 %) |" in text


def test_closed_forms_are_told_from_tables() -> None:
    class Law:
        terms: ClassVar = [sympy.Symbol("v1") ** 3]
        written = "# region: [1, 2, 3, 4, 5, 6, 7, 8]\na = (tau - v**3) / 2"

        def export(self, target: str) -> str:
            return self.written

    class Table(Law):
        written = "y = numpy.interp(v, [1, 2.5, -3e-1, 4, 5, 6, 7, 8], y)"

    class Unknown(Law):
        terms: ClassVar = [sympy.Function("f")(sympy.Symbol("v1"))]

    class Bodies(Law):
        terms: ClassVar = []

    drive = MECHANISMS[0]
    assert sealed_mechanisms.closed_form(Law(), drive)
    assert not sealed_mechanisms.closed_form(Table(), drive)
    assert not sealed_mechanisms.closed_form(Unknown(), drive)
    assert not sealed_mechanisms.closed_form(Bodies(), drive)
    assert sealed_mechanisms.closed_form(Bodies(), DISGUISED[0])
