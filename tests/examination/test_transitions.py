"""Held-out transitions: every way to give them, the box that they fill, errors on them."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.regimes import unrelated
from discover.data.transitions import read_transitions
from discover.errors import DatasetError, ModelError
from discover.examination.transitions.held_out import share_filled
from tests.examination.query_sessions import session

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
GENERATOR = torch.Generator().manual_seed(3)


def states(n: int):
    unit = 2 * torch.rand(n, 6, generator=GENERATOR, dtype=torch.float64) - 1
    return unit[:, :2], 2 * unit[:, 2:4], 5 * unit[:, 4:]


def exact(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


def step(q, v, tau, dt=0.01):
    v_next = v + dt * exact(q, v, tau)
    return q + dt * v_next, v_next


Q, V, TAU = states(300)
RECORDED = {"q": Q, "v": V, "tau": TAU, "a": exact(Q, V, TAU)}


def test_arrays_and_files_say_the_same(tmp_path):
    arrays = {k: x.numpy() for k, x in RECORDED.items()}
    np.savez(tmp_path / "x.npz", **arrays)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, x in arrays.items():
            file[name] = x
    pd.DataFrame({k: list(x) for k, x in arrays.items()}).to_parquet(tmp_path / "lists.parquet")
    columns = {f"{k}[{j}]": x[:, j] for k, x in arrays.items() for j in range(2)}
    pd.DataFrame(columns).to_parquet(tmp_path / "columns.parquet")
    shutil.copy(tmp_path / "x.h5", tmp_path / "x.hdf")
    shutil.copy(tmp_path / "lists.parquet", tmp_path / "lists.pq")
    names = ("x.npz", "x.h5", "x.hdf", "lists.parquet", "lists.pq", "columns.parquet")
    files = [tmp_path / x for x in names]
    for given in (RECORDED, tuple(RECORDED.values()), *files):
        read = read_transitions(given, ROBOT)
        assert not read.controls
        for a, b in zip((read.q, read.v, read.commands, read.a), RECORDED.values(), strict=True):
            assert torch.equal(a, b)


class Observing:
    """A network's observations are (sin q, cos q, v); its actions a tenth of the joint forces."""

    actuation = None

    def states(self, observation, before=None):
        return torch.atan2(observation[:, :2], observation[:, 2:4]), observation[:, 4:]

    def controls(self, action):
        return 10 * action


def test_observations_are_read_by_the_model_that_takes_them():
    def seen(q, v):
        return torch.cat([q.sin(), q.cos(), v], -1)

    q_next, v_next = step(Q, V, TAU)
    given = {
        "observations": seen(Q, V),
        "actions": TAU / 10,
        "next_observations": seen(q_next, v_next),
    }
    read = read_transitions(given, ROBOT, Observing())
    assert torch.allclose(read.q_next, q_next)
    assert torch.allclose(read.commands, TAU)
    with pytest.raises(DatasetError, match=r"wrap it with discover\.wrap"):
        read_transitions(given, ROBOT, exact)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "expected a mapping"),
        ({"q": Q}, "expected q, v, u or tau"),
        (RECORDED | {"v": V[:9]}, r"expected v of shape \(300, 2\)"),
        (RECORDED | {"a": V / 0}, "expected finite numbers"),
        (RECORDED | {"u": TAU}, "found both"),
        (RECORDED | {"q": "text"}, "expected q as an array"),
        ("/nowhere/x.npz", "found none"),
        ("x.csv", "expected a file of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(given, said):
    with pytest.raises(DatasetError, match=said) as caught:
        read_transitions(given, ROBOT)
    assert "\n" not in str(caught.value)


def test_damaged_files_and_missing_robots_are_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DatasetError, match="not readable"):
        read_transitions(tmp_path / "x.npz", ROBOT)
    with pytest.raises(ModelError, match="robot with data"):
        discover.examine(exact, None, REGION, data=RECORDED)
    with pytest.raises(DatasetError, match="q_next and v_next"):
        discover.examine(step, ROBOT, REGION, data=RECORDED, outputs="next_state", dt=0.01)


def test_the_filled_share_is_near_one_of_even_states_and_near_zero_of_a_line():
    asked = session(exact, ROBOT, REGION.resolve(2))
    q, v, tau = states(3000)
    even = Answers(q=q, v=v, tau=tau, a=v)
    assert share_filled(asked, even) == pytest.approx(0.93, abs=0.05)
    half = Answers(q=q[q[:, 0] > 0], v=v[q[:, 0] > 0], tau=tau[q[:, 0] > 0], a=v[q[:, 0] > 0])
    assert 0.4 < share_filled(asked, half) < 0.75
    along = torch.linspace(-1, 1, 3000, dtype=torch.float64)[:, None].expand(-1, 2)
    line = Answers(q=along, v=2 * along, tau=5 * along, a=along)
    assert share_filled(asked, line) < 0.01


def test_few_transitions_do_not_say_how_much_they_fill(tmp_path):
    """Two states are as near to each other as any point of the box is to them."""
    asked = session(exact, ROBOT, REGION.resolve(2))
    few = Answers(q=Q[:2], v=V[:2], tau=TAU[:2], a=V[:2])
    assert share_filled(asked, few) is None
    exam = discover.examine(
        exact,
        ROBOT,
        REGION,
        data={k: x[:2] for k, x in RECORDED.items()},
        budget="quick",
        mechanism=False,
    )
    assert exam.held_out.filled is None
    assert any("2 held-out transitions are too few to say" in note for note in exam.notes)
    exam.save(tmp_path)
    assert discover.load(tmp_path).held_out == exam.held_out
    assert "too few to say how much of the box" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_errors_are_those_of_model_law_and_description(tmp_path):
    """A model that is 10 % too strong throughout is the law of bodies that are lighter."""
    exam = discover.examine(
        lambda q, v, tau: 1.1 * exact(q, v, tau), ROBOT, data=RECORDED, mechanism=False
    )
    held = exam.held_out
    for row in held.errors:
        assert row.model == pytest.approx(0.1, abs=1e-9)
        assert row.simulator == pytest.approx(0.0, abs=1e-9)
        assert row.law is not None
    assert exam.region.q.high.tolist() == pytest.approx(Q.quantile(0.995, dim=0).tolist())
    exam.save(tmp_path)
    assert discover.load(tmp_path).held_out == held
    assert "On held-out transitions" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("within", ["region", "data"])
def test_resets_in_recorded_steps_are_told_and_left_out(within):
    q_next, v_next = (x.clone() for x in step(Q, V, TAU))
    q_next[::20], v_next[::20] = states(15)[:2]
    exam = discover.examine(
        step,
        ROBOT,
        data={"q": Q, "v": V, "tau": TAU, "q_next": q_next, "v_next": v_next},
        within=within,
        outputs="next_state",
        dt=0.01,
        mechanism=False,
    )
    assert exam.verdict == "physics"
    assert exam.held_out.resets == pytest.approx(0.05, abs=0.004)
    assert max(e.model for e in exam.held_out.errors) < 1e-9


def test_labels_without_noise_keep_none():
    """A table of a simulator's own answers departs from every law as its labels do, and yet there
    is no noise in them to be kept."""
    from sklearn.neighbors import KNeighborsRegressor

    q, v, tau = states(800)
    table = KNeighborsRegressor(1).fit(torch.cat([q, v, tau], -1).numpy(), exact(q, v, tau).numpy())

    def model(q, v, tau):
        return torch.from_numpy(table.predict(torch.cat([q, v, tau], -1).numpy()))

    exam = discover.examine(
        model,
        ROBOT,
        REGION,
        (q, v, tau, exact(q, v, tau)),
        mechanism=False,
        budget="quick",
    )
    assert {e.name: e.value for e in exam.evidence}["kept label noise"] == 0.0


def steps_of(robot, n, dt, bounce):
    """Steps of a robot from random states; `bounce` (q, v, q_next, v_next) -> (q_next, v_next)."""
    q, v, tau = states(n)
    v_next = v + dt * kinematics.aba(robot, q, v, tau)
    q_next, v_next = bounce(q, v, q + dt * v_next, v_next)
    return Answers(q=q, v=v, tau=tau, a=(v_next - v) / dt, q_next=q_next, v_next=v_next)


def resets_of(x: Answers, dt: float) -> torch.Tensor:
    everything = torch.ones(len(x), dtype=torch.bool)
    return unrelated(ROBOT, x, dt, everything)


def test_a_joint_that_a_stop_throws_back_is_no_reset():
    """Its end is far from where its speed led, but nearer than ends that have nothing to do."""

    def bounce(q, v, q_next, v_next):
        over = q_next > 0.7
        return torch.where(over, 1.4 - q_next, q_next), torch.where(over, -0.9 * v, v_next)

    x = steps_of(ROBOT, 1500, 0.03, bounce)
    x = x[(x.q < 0.7).all(-1)]
    assert int((x.v * x.v_next < -0.5).any(-1).sum()) > 10
    assert int(resets_of(x, 0.03).sum()) == 0


@pytest.mark.parametrize("width", [1.0, 0.05])
def test_states_that_are_drawn_anew_are_resets(width):
    """To anywhere, or all to one place that other states come by as well."""
    drawn = torch.rand(1000, generator=torch.Generator().manual_seed(4)) < 0.1

    def restart(q, v, q_next, v_next):
        start, speed, _ = states(1000)
        return torch.where(drawn[:, None], width * start, q_next), torch.where(
            drawn[:, None], 0.1 * speed, v_next
        )

    x = steps_of(ROBOT, 1000, 0.01, restart)
    found = resets_of(x, 0.01)
    assert float(found[drawn].double().mean()) > 0.9
    assert not bool(found[~drawn].any())
