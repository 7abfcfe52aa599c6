"""Gradients of models whose right answer is known in closed form."""

import re

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.cli import main
from discover.errors import WorldlawError
from discover.gradient_quality.records import EXACT, FIRST_ORDER, MODEL
from discover.gradient_quality.result import load

SLIDER = """<robot name='slider'><link name='w'/>
<link name='b'><inertial><mass value='1'/>
<inertia ixx='1' iyy='1' izz='1' ixy='0' ixz='0' iyz='0'/></inertial></link>
<joint name='j' type='prismatic'><parent link='w'/><child link='b'/><axis xyz='1 0 0'/>
<limit effort='1' velocity='1'/></joint></robot>"""
REGION = discover.Region(q=1.0, v=1.0, tau=1.0)
RADII = (0.03, 0.1, 0.3)


@pytest.fixture(scope="module")
def slider():
    return kinematics.load(SLIDER)


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


def jump(q, v, tau):
    """Falls with slope -1 along q, and jumps up by 2 at q = 0."""
    return -q + 2.0 * (q > 0)


def flat(q, v, tau):
    """Two levels: its derivative is 0 wherever it has one."""
    return (q > 0).to(q) + 0 * q


def at_the_jump():
    """States within 0.01 of q = 0."""
    q = torch.linspace(-0.01, 0.01, 8, dtype=torch.float64)[:, None]
    return q, torch.zeros_like(q), torch.zeros_like(q)


def test_a_simulator_is_its_own_best_gradient(pendulum):
    def aba(q, v, tau):
        return kinematics.aba(pendulum, q, v, tau)

    report = discover.gradients(aba, None, REGION, RADII, robot=pendulum)
    assert min(report.cosine.values()) > 0.97
    assert report.useful_radius == {MODEL: 0.3, EXACT: 0.3}
    assert set(report.by_direction.values()) == {0.3}
    assert max(report.dead_share.values()) == 0
    assert report.norm[0.03] == pytest.approx(1, abs=0.1)
    assert "Follow its gradients" in report.sentence


def test_a_reversed_model_is_not_to_be_followed(pendulum):
    def reversed_(q, v, tau):
        return -kinematics.aba(pendulum, q, v, tau)

    report = discover.gradients(reversed_, None, REGION, RADII, robot=pendulum)
    assert max(report.cosine.values()) < -0.97
    assert report.useful_radius[MODEL] == 0
    assert report.useful_radius[EXACT] == 0.3
    assert report.sentence.startswith("Do not follow")


def test_a_mean_of_exact_gradients_is_biased_at_a_jump_and_values_are_not(slider):
    report = discover.gradients(
        jump, jump, REGION, (0.1,), robot=slider, starts=at_the_jump(), pairs=2000
    )
    # d/dq E f(q + σw) = -1 + 2 φ(q/σ)/σ, with σ = 0.1: about +7; all derivatives of f are -1.
    by = {a.contender: a for a in report.agreements}
    assert by[EXACT].cosine < -0.95
    assert by[FIRST_ORDER].cosine < -0.95
    assert by[MODEL].norm == pytest.approx(1 / (2 / (0.1 * np.sqrt(2 * np.pi)) - 1), rel=0.1)
    assert report.ceiling[0.1] > 0.95


def test_dead_gradients_are_counted_and_smoothing_wakes_them(slider):
    def ramp(q, v, tau):
        return torch.special.erf(q / 0.1 / 2**0.5) / 2 + 0.5

    report = discover.gradients(
        ramp,
        flat,
        REGION,
        (0.1,),
        robot=slider,
        starts=at_the_jump(),
        pairs=2000,
        beside={"itself": flat},
    )
    by = {a.contender: a for a in report.agreements}
    assert by[EXACT].dead == by["itself"].dead == 1
    assert by[EXACT].cosine == 0
    assert by[MODEL].dead == 0
    assert by[MODEL].norm == pytest.approx(1, rel=0.1)
    assert by[MODEL].cosine > 0.95
    assert report.useful_radius[EXACT] == 0
    assert report.useful_radius[MODEL] == 0.1


def test_models_without_gradients_are_differenced_and_agree(pendulum):
    def aba(q, v, tau):
        return kinematics.aba(pendulum, q, v, tau)

    def by_numpy(q, v, tau):
        return np.asarray(aba(*(torch.from_numpy(x.numpy()) for x in (q, v, tau))))

    own, foreign = (
        discover.gradients(m, None, REGION, (0.1,), robot=pendulum) for m in (aba, by_numpy)
    )
    assert own.differenced == ()
    assert foreign.differenced == (MODEL,)
    assert foreign.cosine[0.1] == pytest.approx(own.cosine[0.1], abs=1e-6)
    assert foreign.queries[MODEL] > own.queries[MODEL]


def test_roll_outs_are_differentiated_by_their_controls(slider):
    def goal(q, v, u):
        return (q[:, -1, 0] - 1).square()

    def step(q, v, tau):
        v = v + 0.1 * tau
        return q + 0.1 * v, v

    options = {"robot": slider, "outputs": "next_state", "dt": 0.1, "cost": goal, "horizon": 5}
    report = discover.gradients(step, step, REGION, (0.1,), **options)
    assert report.cosine[0.1] > 0.97
    assert set(report.by_direction) == {"+tau[0]", "−tau[0]"}
    # The same as accelerations, which are stepped alike.
    other = discover.gradients(
        lambda q, v, tau: tau, lambda q, v, tau: tau, REGION, (0.1,), **options | {"outputs": None}
    )
    assert other.cosine[0.1] == pytest.approx(report.cosine[0.1], abs=1e-12)


def test_a_model_is_right_in_one_direction_only(slider):
    """A wall at q = 0 that the model does not know: moves away from it are right, into it not."""

    def walled(q, v, tau):
        return q.clamp(min=0)

    starts = tuple(torch.full((6, 1), x, dtype=torch.float64) for x in (0.001, 0.0, 0.0))
    report = discover.gradients(
        lambda q, v, tau: 1.0 * q + 0 * v, walled, REGION, (0.01, 1.0), robot=slider, starts=starts
    )
    assert report.by_direction["+q[0]"] == 1.0
    assert report.by_direction["−q[0]"] < 1.0


def test_kept_and_loaded_the_same(pendulum, tmp_path):
    report = discover.gradients(
        lambda q, v, tau: torch.sin(q), None, REGION, RADII, robot=pendulum, pairs=64, name="sine"
    )
    page = report.save(tmp_path)
    assert load(tmp_path) == report
    text = page.read_text()
    assert report.sentence in text
    for name in re.findall(r"\((\w+\.png)\)", text):
        assert (tmp_path / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"radii": (0.1, -1)}, "numbers above zero"),
        ({"radii": ()}, "numbers above zero"),
        ({"outputs": "next_state"}, "dt > 0"),
        ({"outputs": "torque"}, "acceleration or next_state"),
        ({"starts": 1}, "starts >= 2"),
        ({"starts": (torch.zeros(4, 2), torch.zeros(4, 2), torch.zeros(3, 2))}, "controls"),
        ({"model": lambda q, v, tau: q[:, :1]}, "expected accelerations of shape"),
        ({"model": lambda q, v, tau: q @ v}, "the model raised RuntimeError"),
        ({"model": 3}, "callable"),
        ({"truth": lambda q, v, tau: "a"}, "the simulator: expected accelerations"),
        ({"cost": lambda q, v, u: q, "dt": 0.1, "horizon": 2}, "cost"),
        ({"truth": lambda q, v, tau: 0 * q}, "answers of the simulator that change"),
        ({"region": discover.Region(q=1.0, v=1.0, u=1.0)}, "its simulator as truth"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(pendulum, changed, said):
    given = {"model": lambda q, v, tau: q, "truth": None, "region": REGION, "radii": (0.1,)}
    given |= {"robot": pendulum, "pairs": 8} | changed
    with pytest.raises(WorldlawError, match=re.escape(said)) as error:
        discover.gradients(**given)
    assert "\n" not in str(error.value)


def test_the_command_measures_and_refuses(tmp_path, capsys):
    (tmp_path / "region.toml").write_text("q = 1.0\nv = 1.0\ntau = 1.0\n")
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def model():\n    return lambda q, v, tau: tau - torch.sin(q)\n"
        "def truth():\n    return lambda q, v, tau: tau - torch.sin(q) - v\n"
    )
    out = tmp_path / "out"
    command = ["gradients", "--model", f"{tmp_path}/mine.py:model", "--robot", "double_pendulum"]
    command += ["--region", f"{tmp_path}/region.toml", "--out", str(out), "--pairs", "64"]
    assert main([*command, "--truth", f"{tmp_path}/mine.py:truth"]) == 0
    report = load(out)
    assert report.differenced == ()
    assert 0.5 < report.cosine[0.1] < 0.99  # it lacks the damping
    assert main([*command, "--radii", "0.1,none"]) == 2
    assert "--radii" in capsys.readouterr().err
    assert main([*command, "--cost", "mine"]) == 2
    assert main([*command[:-4], "--out", str(tmp_path)]) == 2
    assert "expected an empty folder" in capsys.readouterr().err


def test_where_the_smoothed_objective_is_flat_nothing_is_said(slider):
    def far(q, v, tau):
        return (q > 0.5).to(q)

    starts = tuple(torch.zeros(6, 1, dtype=torch.float64) for _ in range(3))
    report = discover.gradients(
        lambda q, v, tau: q, far, REGION, (0.01, 0.5), robot=slider, starts=starts
    )
    assert np.isnan(report.cosine[0.01])
    assert report.cosine[0.5] > 0.9
    assert "flat at every start" in report.notes[0]
    assert "–" in report.page()
