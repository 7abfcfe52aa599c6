"""Examinations of muscle geometry: planted paths are found, offenders are caught."""

import numpy as np
import pytest
import torch

import discover
from discover.errors import ModelError
from discover.muscles.path_laws import fit_block
from kinematics.muscles.geometry import moment_arms, muscle_lengths
from tests.muscles import planted_muscles as planted

HALF = 0.8


def seeded(n):
    return torch.Generator().manual_seed(n)


@pytest.fixture(scope="module")
def robot():
    return planted.muscular_arm("straight", "biarticular", "via")


@pytest.fixture(scope="module")
def exam(robot):
    return discover.examine_geometry(lambda q: muscle_lengths(robot, q), robot, HALF)


def test_paths_are_found_exactly(robot, exam) -> None:
    assert exam.verdict == "physics"
    assert exam.muscle("straight").crosses == (0,)
    assert exam.muscle("biarticular").crosses == (0, 1)
    assert [b.joints for b in exam.muscle("biarticular").blocks] == [(0, 1)]
    assert [b.joints for b in exam.muscle("via").blocks] == [(0,), (1,)]  # its points part it
    q = torch.rand(50, 3, generator=seeded(3), dtype=torch.float64) * 2 * HALF - HALF
    # beyond the region, too
    torch.testing.assert_close(exam.law(q), muscle_lengths(robot, q), rtol=0, atol=1e-10)
    torch.testing.assert_close(exam.law(2 * q), muscle_lengths(robot, 2 * q), rtol=0, atol=1e-9)
    q.requires_grad_()
    (slope,) = torch.autograd.grad(exam.law(q)[:, 1].sum(), q)
    torch.testing.assert_close(-slope, moment_arms(robot, q)[:, 1], rtol=0, atol=1e-8)


def test_it_is_shown_saved_and_loaded(exam, tmp_path) -> None:
    page = exam.save(tmp_path).read_text()
    assert "| biarticular | physics | straight over joints 0, 1 |" in page
    again = discover.load_geometry(tmp_path)
    assert repr(again) == repr(exam)
    q = torch.full((2, 3), 0.3, dtype=torch.float64)
    assert torch.equal(again.law(q), exam.law(q))


def test_moment_arms_of_their_own_head_are_not_integrable(robot) -> None:
    def model(q):
        return muscle_lengths(robot, q), moment_arms(robot, q) * (1 + 0.05 * torch.sin(q[:, :1]))[
            ..., None
        ]

    exam = discover.examine_geometry(model, robot, HALF)
    assert set(exam.verdicts.values()) == {"alternative law"}
    assert exam.integrability.broken(exam.noise).all()
    assert exam.integrability.loops[1] > 1e-3
    honest = discover.examine_geometry(
        lambda q: (muscle_lengths(robot, q), moment_arms(robot, q)), robot, HALF
    )
    assert honest.verdict == "physics"
    assert honest.integrability.loops.max() < 1e-9


def test_tables_and_polynomials_are_told(robot) -> None:
    grid = torch.rand(2000, 3, generator=seeded(1), dtype=torch.float64) * 2 * HALF - HALF
    known = muscle_lengths(robot, grid)
    table = discover.examine_geometry(
        lambda q: known[torch.cdist(q, grid).argmin(1)], robot, HALF, names="abc"
    )
    assert set(table.verdicts.values()) == {"lookup table"}
    assert table.integrability.jumps.min() > 0
    cubic = discover.examine_geometry(
        lambda q: (0.3 + 0.05 * q[:, :1] * q[:, 1:2] ** 2).expand(-1, 1), planted.arm(), HALF
    )
    assert cubic.verdict == "alternative law"
    assert cubic.muscles[0].words.startswith("polynomial of degree 3")


def test_a_dependence_on_joints_that_are_not_crossed_is_caught(robot) -> None:
    def model(q):
        return muscle_lengths(robot, q) + 2e-4 * torch.sin(q[:, 2:])

    exam = discover.examine_geometry(model, robot, HALF)
    assert set(exam.verdicts.values()) == {"lookup table"}
    assert all(row[2] == "slight" for row in exam.crossing)


def test_branches_are_found_by_consensus() -> None:
    q = np.linspace(-1, 1, 120)[:, None]
    straight = np.sqrt(0.05 + 0.02 * np.cos(q[:, 0]) + 0.03 * np.sin(q[:, 0]))
    y = np.where(q[:, 0] > 0.1, straight, straight[66] + 0.02 * q[:, 0])
    block = fit_block((0,), (True,), q, y - y[60], 1e-9)
    assert block.explained == 1
    assert sorted(p.kind for p in block.pieces) == ["linear", "straight"]
    linear = next(p for p in block.pieces if p.kind == "linear")
    assert linear.numbers[1] == pytest.approx(0.02)


def test_bad_input_is_one_line(robot) -> None:
    with pytest.raises(ModelError, match="expected lengths"):
        discover.examine_geometry(lambda q: q[:, 0], robot, HALF)
    with pytest.raises(ModelError, match="found NaN or infinity at q"):
        discover.examine_geometry(lambda q: q * torch.nan, robot, HALF)
    with pytest.raises(ModelError, match="expected 3 names"):
        discover.examine_geometry(lambda q: muscle_lengths(robot, q), robot, HALF, names=["a"])


@pytest.mark.slow
def test_wraps_are_found_by_branch() -> None:
    robot = planted.muscular_arm("lever", "flip")
    exam = discover.examine_geometry(lambda q: muscle_lengths(robot, q), robot, HALF)
    assert exam.verdict == "physics"
    wrap = next(p for p in exam.muscle("lever").blocks[0].pieces if p.kind == "wrap")
    # lengths tell the radius worse than themselves: its numbers trade along a valley
    assert wrap.numbers[4] == pytest.approx(0.02, rel=0.02)


@pytest.mark.slow
def test_a_network_of_lengths_is_a_table(robot) -> None:
    q = torch.rand(4000, 3, generator=seeded(2), dtype=torch.float64) * 2 - 1
    lengths = muscle_lengths(robot, HALF * q)
    mean, size = lengths.mean(0), lengths.std(0)
    net = planted.network(3, 3, q, (lengths - mean) / size)
    exam = discover.examine_geometry(lambda q: mean + size * net(q / HALF), robot, HALF)
    assert set(exam.verdicts.values()) == {"lookup table"}
    assert all("slight" in row for row in exam.crossing)
