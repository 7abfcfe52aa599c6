"""Designed motions: limits are kept, more is shown than by chance, and what is expected happens."""

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.errors import DatasetError
from discover.identification.design import Bodies
from discover.identification.exciting.fourier import Basis
from discover.identification.exciting.information import Yardstick
from discover.identification.exciting.limits import motion_limits

ARM = """<robot name="arm"><link name="base"/>
{links}
</robot>"""
LINK = """<link name="l{n}"><inertial><origin xyz="0.05 0.02 -0.2"/><mass value="{m}"/>
<inertia ixx="0.03" iyy="0.025" izz="0.01" ixy="0.001" ixz="0" iyz="0"/></inertial></link>
<joint name="j{n}" type="revolute"><parent link="{parent}"/><child link="l{n}"/>
<origin xyz="0 0.1 -0.4"/><axis xyz="{axis}"/>
<limit lower="{low}" upper="{high}" velocity="{speed}" effort="{effort}"/></joint>"""


def arm(*limits, speed=1.5, effort=60.0):
    """Three hinges; `limits` (low, high) of each."""
    ends = [*limits, *[(-1.0, 2.0)] * (3 - len(limits))]
    links = [
        LINK.format(
            n=n, m=3 - n * 0.7, parent="base" if n == 0 else f"l{n - 1}",
            axis=("0 0 1", "0 1 0", "1 0 0")[n], low=low, high=high, speed=speed, effort=effort,
        )
        for n, (low, high) in enumerate(ends)
    ]  # fmt: skip
    return kinematics.load(ARM.format(links="\n".join(links)))


@pytest.fixture(scope="module")
def designed():
    return discover.design_motion(arm(), harmonics=4, budget_s=6.0, starts=2, acceleration=4.0)


def fine(motion, count=4001):
    return motion.motion.at(np.linspace(0, motion.motion.period, count))


def test_the_robots_limits_are_kept_with_room_to_spare(designed):
    robot = arm()
    q, v, a = fine(designed)
    tau = kinematics.rnea(robot, *(torch.from_numpy(x) for x in (q, v, a))).numpy()
    assert (q > robot.lower.numpy()).all()
    assert (q < robot.upper.numpy()).all()
    assert (np.abs(v) < robot.velocity_limit.numpy()).all()
    assert (np.abs(a) < 4.0).all()
    assert (np.abs(tau) < robot.effort_limit.numpy()).all()
    assert designed.limits.excess(q, v, a, tau) < 1.001
    assert np.abs(v).max() > 0.5 * robot.velocity_limit.min()


def test_it_begins_and_ends_at_rest_in_one_pose(designed):
    q, v, a = fine(designed)
    for k in (0, -1):
        assert q[k] == pytest.approx(designed.motion.start, abs=1e-9)
        assert v[k] == pytest.approx(np.zeros(3), abs=1e-9)
        assert a[k] == pytest.approx(np.zeros(3), abs=1e-9)


def test_velocities_and_accelerations_are_derivatives(designed):
    h = 1e-5
    at = np.linspace(0.3, 9.0, 40)
    before, here, after = (designed.motion.at(at + x) for x in (-h, 0, h))
    assert (after[0] - before[0]) / (2 * h) == pytest.approx(here[1], abs=1e-7)
    assert (after[1] - before[1]) / (2 * h) == pytest.approx(here[2], abs=1e-6)


def test_it_shows_more_than_every_random_motion(designed):
    """Held against motions that the search has not begun from."""
    robot, limits = arm(), designed.limits
    slow = 0.02 * limits.velocity
    yardstick = Yardstick.of(Bodies.of(robot), designed.noise, designed.rate, slow)
    generator, basis = np.random.default_rng(77), Basis.of(10.0, 4)
    time = np.linspace(0, 10, 201)[:-1]
    gains = []
    while len(gains) < 12:
        motion = basis.motion((limits.low + limits.high) / 2, generator.normal(size=(3, 6)))
        q, v, a = motion.at(time)
        factor = 1 / np.max(
            [np.abs(q - motion.start).max(0) / ((limits.high - limits.low) / 2),
             np.abs(v).max(0) / limits.velocity, np.abs(a).max(0) / limits.acceleration], axis=0
        )  # fmt: skip
        q, v, a = motion.start + factor * (q - motion.start), factor * v, factor * a
        gains.append(yardstick.showing(q, v, a, 10.0).gain)
    own = yardstick.showing(*designed.motion.at(time), 10.0)
    assert own.gain > max(gains) + 2
    assert own.gain == pytest.approx(designed.designed.gain, rel=0.02)
    assert designed.designed.gain > designed.random.gain + 2
    assert np.median(designed.designed.errors / designed.random.errors) < 0.8


def test_expected_errors_are_those_of_least_squares_on_noise():
    """Drawn noise, fitted with friction, offset and rotor: the scatter is what was expected."""
    robot = arm()
    bodies = Bodies.of(robot)
    noise = np.array([0.5, 0.3, 0.2])
    motion = Basis.of(10.0, 3).motion(np.full(3, 0.2), np.random.default_rng(1).normal(size=(3, 4)))
    time = np.arange(200) * 0.05
    q, v, a = motion.at(time)
    slow = np.full(3, 0.05)
    yardstick = Yardstick.of(bodies, noise, 20.0, slow)
    expected = yardstick.showing(q, v, a, 10.0).errors
    states = [torch.from_numpy(x) for x in (q, v, a)]
    base = yardstick.regressor(*states)[1].numpy()
    drives = np.zeros((200, 3, 12))
    for j in range(3):
        columns = (v[:, j], np.tanh(v[:, j] / slow[j]), np.ones(200), a[:, j])
        drives[:, j, 4 * j : 4 * j + 4] = np.stack(columns, -1)
        if not yardstick.own_rotor[j]:  # the bodies have that force
            drives[:, j, 4 * j + 3] = 0.0
    X = (np.concatenate([base, drives], 2) / noise[:, None]).reshape(-1, base.shape[2] + 12)
    draws = np.random.default_rng(2).normal(size=(len(X), 400))
    prior = np.zeros((X.shape[1],) * 2)
    prior[: bodies.size, : bodies.size] = yardstick.prior
    prior[bodies.size :, bodies.size :] = 1e-9 * np.eye(12)
    root = np.linalg.cholesky(bodies.spread + 1e-12 * np.eye(bodies.size))
    truths = root @ np.random.default_rng(3).normal(size=(bodies.size, 400))
    data = X[:, : bodies.size] @ truths + draws
    fitted = np.linalg.solve(X.T @ X + prior, X.T @ data)[: bodies.size]
    scatter = np.sqrt(np.mean((fitted - truths) ** 2, axis=1))
    assert scatter / expected == pytest.approx(np.ones(bodies.size), abs=0.15)


def test_a_joint_that_cannot_move_is_told_and_held():
    found = discover.design_motion(arm((0.3, 0.3)), harmonics=3, budget_s=3.0, starts=1)
    q, v, _ = fine(found)
    assert any("j0 cannot move" in note for note in found.notes)
    assert q[:, 0] == pytest.approx(np.full(len(q), 0.3))
    assert np.abs(v[:, 0]).max() == 0
    assert np.abs(v[:, 1]).max() > 0.1


def test_a_robot_without_limits_gets_ranges_and_is_told():
    limits = motion_limits(kinematics.load("double_pendulum"))
    assert np.isfinite(limits.low).all()
    assert np.isfinite(limits.velocity).all()
    assert [("no range" in n, "no velocity" in n) for n in limits.notes] == [
        (True, False),
        (False, True),
    ]
    assert motion_limits(arm()).notes == ()


def test_it_begins_at_a_given_pose():
    pose = [0.1, -0.6, 1.2]
    found = discover.design_motion(arm(), harmonics=3, budget_s=2.0, starts=1, start=pose)
    assert fine(found)[0][0] == pytest.approx(pose)
    assert found.limits.excess(*fine(found)) < 1.001


def test_efforts_are_kept_where_they_are_scarce():
    weak, strong = (
        discover.design_motion(
            arm(speed=4.0, effort=e), harmonics=3, budget_s=2.0, starts=1, period=5.0
        )
        for e in (9.0, 1000.0)
    )
    robot = arm()
    sizes = [
        float(kinematics.rnea(robot, *(torch.from_numpy(x) for x in fine(m))).abs().max())
        for m in (weak, strong)
    ]
    assert sizes[0] < 9.0 < sizes[1]


@pytest.mark.slow
def test_after_logs_it_shows_most_of_what_they_showed_least(pendulum, record):
    """Logs in which the first joint hardly moves: what only its motion shows gains most."""
    from discover.data.logs import Log

    generator = np.random.default_rng(0)
    whole = record(pendulum[1], generator, "whole")
    q = whole.q * [0.02, 1.0]
    time = whole.time
    v = np.gradient(q, time, axis=0)
    a = np.gradient(v, time, axis=0)
    tau = kinematics.rnea(pendulum[1], *(torch.from_numpy(x) for x in (q, v, a))).numpy()
    tau += 0.3 * generator.normal(size=tau.shape)
    log = Log(name="one joint", sha256="", time=time, q=q, v=None, tau=tau)
    known = discover.identify(log, pendulum[0], select=False, delay=0.0)
    found = discover.design_motion(known, budget_s=3.0, starts=1)
    assert found.after_logs == ("one joint",)
    assert (found.designed.errors <= found.before * (1 + 1e-9)).all()
    alone = discover.design_motion(known.robot, budget_s=3.0, starts=1)
    assert (found.before <= alone.before * (1 + 1e-6)).all()
    known_by = found.before / alone.before
    kept = found.designed.errors / found.before
    assert kept[np.argmax(known_by)] < min(0.85, kept[np.argmin(known_by)])


def test_it_is_saved_whole_and_read_back(designed, tmp_path):
    designed.save(tmp_path)
    again = discover.ExcitingMotion.load(tmp_path)
    assert again.to_dict() == designed.to_dict()
    table = np.genfromtxt(tmp_path / "motion.csv", delimiter=",", names=True)
    assert table.dtype.names[:3] == ("time", "q_j0", "q_j1")
    assert len(table) == 1001
    assert table["v_j2"] == pytest.approx(designed.motion.at(table["time"])[1][:, 2], abs=1e-7)
    page = (tmp_path / "motion.md").read_text()
    assert "random motion" in page
    assert "not checked" in page
    assert (tmp_path / "figures" / "motion.png").stat().st_size > 1000


class TestRefusals:
    def test_limits_that_cross(self):
        with pytest.raises(DatasetError, match="below the upper"):
            discover.design_motion(arm(), position=([1, 0, 0], [0, 1, 1]))

    def test_a_start_outside(self):
        with pytest.raises(DatasetError, match="j1"):
            discover.design_motion(arm(), start=[0, 3.0, 0])

    def test_efforts_that_hold_no_pose(self):
        with pytest.raises(DatasetError, match="efforts that hold"):
            discover.design_motion(arm(effort=0.01), budget_s=2.0, start=[0.0, 1.2, 0.4])

    def test_no_joint_moves(self):
        with pytest.raises(DatasetError, match="can move"):
            discover.design_motion(arm(speed=0.0))

    def test_a_free_base(self):
        free = kinematics.load(kinematics.to_urdf(arm()), root="free")
        with pytest.raises(DatasetError, match="one coordinate each"):
            discover.design_motion(free)
