"""What many networks have learned: trained, examined, kept one by one, told with intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from tests.bench.models import networks, networks_report


@pytest.mark.slow
def test_networks_are_examined_and_kept(monkeypatch, tmp_path):
    few = (("MLP",), ("narrow box",), (400,), 1, 1.0)
    monkeypatch.setattr(networks.families, "QUESTIONS", 16)
    monkeypatch.setattr(networks, "STUDIES", {"double_pendulum": few})
    examine, exams = networks.discover.examine, []
    monkeypatch.setattr(
        networks.discover, "examine", lambda *a, **k: exams.append(examine(*a, **k)) or exams[-1]
    )
    networks.main(out=tmp_path, say=lambda line: None, budget=0.3)
    path = tmp_path / "records" / "networks.json"
    (told,) = json.loads(path.read_text()).values()
    again = networks_report.judged(told)
    assert again["verdict"] == exams[0].verdict
    assert again["confidence"] == pytest.approx(exams[0].confidence, rel=1e-2)  # of four digits
    assert set(told["reach"]) == {"joint", "q", "v", "tau"}
    report = (tmp_path / "report.md").read_text()
    assert "1 of 1 networks" in report
    assert "| MLP | narrow box | 400 |" in report
    assert (tmp_path / "double_pendulum_verdicts.png").read_bytes()[:4] == b"\x89PNG"
    stamp = path.stat().st_mtime_ns
    networks.main(out=tmp_path, say=lambda line: None, budget=0.3, seeds=range(5))
    assert path.stat().st_mtime_ns == stamp


def test_trained_and_examined_in_the_same_box():
    robot, whole = networks._setting("double_pendulum")
    halves = {
        name: networks.region_of(robot, whole, name).q.half_width.tolist()
        for name in networks.COVERAGE
    }
    assert halves["narrow box"] == [0.5, 0.5]
    assert halves["wide box"] == halves["hole in the middle"] == [1.0, 1.0]
    assert halves["full circle"] == pytest.approx([np.pi, np.pi])


def row(family: str, samples: int, seed: int, verdict: str) -> dict:
    return {
        "robot": "double_pendulum",
        "family": family,
        "coverage": "wide box",
        "samples": samples,
        "seed": seed,
        "verdict": verdict,
    }


def test_the_report_says_who_crosses_to_physics_and_when():
    rows = [row("A", 1000, s, "lookup table") for s in range(4)]
    rows += [row("A", 10_000, s, "physics") for s in range(4)]
    rows += [row("B", n, s, "lookup table") for n in (1000, 10_000) for s in range(4)]
    (said,) = networks_report._crossing(rows)
    assert "A on wide box (from 10,000 samples)" in said
    assert "Never, at any coverage or count: B." in said
    (said,) = networks_report._crossing(rows[:4])
    assert "No network crosses" in said


@pytest.mark.parametrize("n", [6, 10, 25])
@pytest.mark.slow
def test_the_interval_holds_the_median_as_often_as_it_says(n):
    rng = np.random.default_rng(n)
    met = 0
    for _ in range(2000):
        low, middle, high = networks_report.median(list(rng.exponential(size=n)))
        assert low <= middle <= high
        met += low <= np.log(2) <= high
    assert met / 2000 > 0.94
    low, _, high = networks_report.median(list(range(n)))
    assert binom.cdf(low, n, 0.5) <= 0.025  # index low is the order statistic low + 1
    assert high == n - 1 - low
