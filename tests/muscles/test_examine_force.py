"""Examinations of muscle force: planted laws are named, offenders are caught."""

import numpy as np
import pytest
import torch

import discover
from discover.errors import ModelError, RegionError
from discover.muscles.asking import Muscle, floor
from discover.muscles.families import FAMILIES
from discover.muscles.fitting import Problem, Samples
from discover.muscles.structure import structure
from tests.muscles import planted_muscles as planted

REGION = planted.REGION
TOLD = ("F0", "l_opt", "l_slack", "v_max")


@pytest.fixture(scope="module")
def exam():
    """Thelen's muscle, which is not affine in activation, with noise of 1 %."""
    return discover.examine_muscle(planted.noisy(planted.law("Thelen", 1), 0.01), REGION)


def test_a_law_is_named_with_intervals_and_can_be_run(exam) -> None:
    assert (exam.verdict, exam.family) == ("physics", "Thelen")
    true = planted.law("Thelen", 1)
    for name in TOLD:
        e = exam.parameter(name)
        assert e.low < e.value < e.high
        assert e.value == pytest.approx(true.values[name], rel=0.03), name
    points = REGION.points(64, 5)
    size = np.abs(true.at(points)).max()
    assert np.abs(exam.law.at(points) - true.at(points)).max() < 0.01 * size
    assert min(exam.reach.values()) >= 2
    assert 0.005 < exam.floor.noise < 0.015


def test_it_is_shown_saved_and_loaded(exam, tmp_path) -> None:
    assert "Thelen" in repr(exam)
    page = exam.save(tmp_path).read_text()
    assert "Families side by side" in page
    again = discover.load_muscle(tmp_path)
    x = torch.tensor([0.3], dtype=torch.float64)
    assert torch.equal(again.law(x, 0 * x, 0 * x + 0.5), exam.law(x, 0 * x, 0 * x + 0.5))
    assert repr(again) == repr(exam)


def test_structure_tells_offenders_from_laws() -> None:
    found = {}
    for name, model in (
        ("law", planted.law("MuJoCo", 2)),
        ("altered", planted.altered()),
        ("bent", planted.bent_activation()),
        ("table", planted.force_table(1000)),
    ):
        muscle = Muscle.of(model)
        trust = floor(muscle, REGION)
        found[name] = (structure(muscle, REGION, trust, 1000)[0], trust)
    for name in ("law", "altered"):
        assert found[name][0].not_affine < 1e-12, name
        assert found[name][0].free < 0.015, name
    assert found["law"][0].not_a_product < 1e-9
    assert found["bent"][0].not_affine > 0.05
    assert found["bent"][0].free < 0.015  # a product all the same
    assert found["table"][1].flat > 0.9
    assert found["table"][0].free > 0.03


def test_what_cannot_be_known_is_said_so() -> None:
    # at rest nothing tells how fast the muscle is; short fibres hide the passive force
    muscle = Muscle.of(planted.law("De Groote–Fregly", 8))
    slow = discover.MuscleRegion(length=(0.27, 0.3), rate=1e-9)
    from discover.muscles.fitting import _told

    samples = Samples.ask(muscle, slow, floor(muscle, slow), 128)
    problem = Problem.of("De Groote–Fregly", samples)
    true = planted.law("De Groote–Fregly", 8).values
    x = np.array([p.inside(true[p.name]) for p in problem.parameters])
    fit = _told(problem, problem.free, x, False)
    known = {e.name: e.identified for e in fit.estimates}
    assert not known["v_max"]
    assert not known["β"]
    assert known["F0·l_opt"]


def test_bad_input_is_one_line() -> None:
    with pytest.raises(RegionError, match="lengths > 0 m"):
        discover.MuscleRegion(length=(-0.1, 0.3), rate=1)
    with pytest.raises(RegionError, match="low < high"):
        discover.MuscleRegion(length=(0.3, 0.2), rate=1)
    with pytest.raises(RegionError, match="expected length, rate and activation"):
        discover.examine_muscle(lambda *x: x[0], {"length": (0.1, 0.2)})
    with pytest.raises(ModelError, match="NaN or infinity at length"):
        discover.examine_muscle(lambda L, v, a: L * torch.nan, REGION)
    with pytest.raises(ModelError, match="one force a question"):
        discover.examine_muscle(lambda L, v, a: torch.ones(3, 4), REGION)
    with pytest.raises(ModelError, match="found ValueError: what"):
        discover.examine_muscle(_raises, REGION)
    with pytest.raises(ModelError, match="force 0 everywhere"):
        discover.examine_muscle(lambda L, v, a: 0 * L, REGION)


def _raises(*given):
    raise ValueError("what")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("seed", "noise"), [(11, 0.0), (12, 0.01), (13, 0.01)])
def test_planted_families_are_named(family, seed, noise) -> None:
    true = planted.law(family, seed)
    exam = discover.examine_muscle(planted.noisy(true, noise) if noise else true, REGION)
    assert (exam.verdict, exam.family) == ("physics", family)
    for e in exam.parameters:
        if e.name in true.values and e.identified:
            assert e.value == pytest.approx(true.values[e.name], rel=0.05, abs=0.02), e.name


@pytest.mark.slow
def test_adapted_curves_are_found() -> None:
    true = planted.law("MuJoCo", 21, adapted=True)
    exam = discover.examine_muscle(true, REGION)
    assert (exam.verdict, exam.family) == ("physics", "MuJoCo")
    assert exam.best.adapted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (planted.altered, "alternative law"),
        (planted.bent_activation, "alternative law"),
        (planted.force_table, "lookup table"),
        (planted.force_network, "lookup table"),
    ],
)
def test_offenders_are_caught(model, verdict) -> None:
    exam = discover.examine_muscle(model(), REGION)
    assert exam.verdict == verdict, exam
    assert exam.family is None


@pytest.mark.slow
def test_mujocos_own_muscle_is_of_its_family() -> None:
    mujoco = pytest.importorskip("mujoco")
    gain = np.array([0.75, 1.05, 640.0, 200, 0.5, 1.6, 5, 1.3, 1.2])
    span = np.array([0.25, 0.29])

    def force(length, rate, activation):
        both = [
            mujoco.mju_muscleGain(x, v, span, 1.0, gain) * a
            + mujoco.mju_muscleBias(x, span, 1.0, gain)
            for x, v, a in zip(length.tolist(), rate.tolist(), activation.tolist(), strict=True)
        ]
        return -torch.tensor(both)

    region = discover.MuscleRegion(length=(0.22, 0.36), rate=0.5)
    exam = discover.examine_muscle(force, region)
    assert (exam.verdict, exam.family) == ("physics", "MuJoCo")
    assert exam.parameter("F0").value == pytest.approx(640, rel=1e-4)
    assert exam.parameter("l_opt").value == pytest.approx(0.04 / 0.3, rel=1e-4)
