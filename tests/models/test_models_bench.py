"""The tables of families: every family on fixed and free bases, resumed where it was cut; the tasks
of published figures are what they say they are."""

from __future__ import annotations

import pytest
import torch

import discover
import kinematics
from discover.artifacts import read_json, write_json
from tests.bench import models as tables
from tests.bench.models import families, handwriting, pendulum_energy, published

ROBOTS = {
    "fixed": kinematics.load("double_pendulum"),
    "free": kinematics.random_tree(1, seed=3, kinds=("revolute",), root="free"),
}
# The others are run by `make test-all`.
QUICK = {
    ("table", "fixed"),
    ("table", "free"),
}


@pytest.fixture
def small(monkeypatch):
    """Everything as it is, only little of it."""
    monkeypatch.setattr(families, "SAMPLES", 400)
    monkeypatch.setattr(families, "ALONG", 400)
    monkeypatch.setattr(families, "QUESTIONS", 16)
    monkeypatch.setattr(families, "STARTS", 2)
    monkeypatch.setattr(families, "ROLLOUT_S", 0.1)
    options = {"forest": {"trees": 2}, "gaussian_process": {"samples": 50, "scale_samples": 30}}
    for name, (kind, told) in families.FAMILIES.items():
        monkeypatch.setitem(families.FAMILIES, name, (kind, {**told, **options.get(kind, {})}))


def arena(base: str, **changes) -> families.Arena:
    region = discover.Region(q=0.5, v=1.0, tau=2.0)
    told = {"name": base, "title": base, "robot": ROBOTS[base], "region": region, "dt": 0.001}
    return families.Arena(**{**told, **changes})


@pytest.mark.parametrize(
    ("family", "base"),
    [
        pytest.param(f, base, marks=() if (f, base) in QUICK else pytest.mark.slow)
        for f in families.FAMILIES
        for base in ROBOTS
    ],
)
def test_every_family_trains_and_is_examined_on_either_base(small, base, family):
    found = families.measure(arena(base), family, train_s=0.2)
    assert "refused" not in found, found
    assert found["verdict"] in ("lookup table", "physics", "alternative law", "undetermined")
    assert set(found["errors"]) == {"joint", "q", "v", "tau"}
    assert all(len(curve["error"]) == 6 for curve in found["errors"].values())
    assert 0 <= found["valid_time"] <= found["horizon_s"]
    if family == "white box":
        assert found["errors"]["joint"]["error"][0] < 0.5


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_where_it_stood(small, monkeypatch, tmp_path):
    for name in list(families.FAMILIES):
        if name not in ("table", "MLP", "DeLaN"):
            monkeypatch.delitem(families.FAMILIES, name)
    chosen = [arena("fixed", examined=False), arena("free", examined=False)]
    monkeypatch.setattr(families, "arenas", lambda: chosen)

    records = tmp_path / "records" / "measured.json"

    def held() -> dict[str, float]:
        return {k: r["seconds"] for k, r in read_json(records).items()} if records.exists() else {}

    def run() -> list[str]:
        """The records that are new."""
        before = held()
        tables.main(out=tmp_path, say=lambda line: None, device="cpu", budget=0.2)
        return sorted(k for k, seconds in held().items() if before.get(k) != seconds)

    assert len(run()) == 6
    report = (tmp_path / "report.md").read_text()
    assert "| table |" in report
    assert report.count("| DeLaN |") == 2
    assert (tmp_path / "free.png").read_bytes()[:4] == b"\x89PNG"
    write_json(records, {k: r for k, r in read_json(records).items() if k != "fixed.mlp"})
    assert run() == ["fixed.mlp"]
    monkeypatch.setattr(families, "SAMPLES", 300)  # another measurement, not the same one kept
    assert len(run()) == 6


def test_strokes_obey_their_own_derivatives_and_the_parts_make_the_torque():
    robot = ROBOTS["fixed"]
    data = handwriting.strokes(robot, seed=1)
    middle = torch.arange(1, 600)
    assert data.a is not None
    for slow, fast in ((data.q, data.v), (data.v, data.a)):
        slope = (slow[middle + 1] - slow[middle - 1]) * handwriting.RATE / 2
        assert float((slope - fast[middle]).abs().max()) < 0.01 * float(fast.abs().max())
    parts = handwriting.parts_of(robot, data.q, data.v, data.a)
    torch.testing.assert_close(
        parts["inertial"] + parts["Coriolis"] + parts["gravity"], data.tau, rtol=0, atol=1e-10
    )
    mass = torch.einsum("bij,bj->bi", kinematics.crba(robot, data.q), data.a)
    torch.testing.assert_close(parts["inertial"], mass, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_the_published_tasks_are_measured_and_told(monkeypatch, tmp_path):
    monkeypatch.setattr(pendulum_energy, "MOTIONS", 20)
    monkeypatch.setattr(pendulum_energy, "LASTING", 1.0)
    monkeypatch.setattr(pendulum_energy, "SECONDS", 0.3)
    published.main(out=tmp_path, say=lambda line: None, budget=0.3)
    kept = read_json(tmp_path / "records" / "measured.json")
    record = kept["swinging.mlp"]
    assert record["own"] < 1e-6
    assert record["energy_error"] > record["own"]
    assert kept["characters.delan"]["budget"] == 0.3
    report = (tmp_path / "report.md").read_text()
    assert "0.0736" in report
    assert "Coriolis" in report


@pytest.mark.slow
def test_the_energy_error_is_that_of_the_truth():
    robot = pendulum_energy.pendulum()
    start = pendulum_energy.starts(3, seed=0)
    zero = torch.zeros_like(start)

    def falling_up(q, v, tau):  # the same forces with a tenth more gravity
        heavy = robot.replace(gravity=1.1 * robot.gravity)
        return kinematics.aba(heavy, q, v, tau)

    from discover.evaluation import forecast

    path = forecast.forecast(falling_up, robot, start, zero, dt=0.01, steps=100)
    truth = forecast.forecast(
        lambda q, v, tau: kinematics.aba(robot, q, v, tau), robot, start, zero, dt=0.01, steps=100
    )
    assert pendulum_energy.energy_error(truth) < 1e-5
    assert pendulum_energy.energy_error(path) > 1e-2
