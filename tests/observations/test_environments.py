"""Environments say themselves what they observe, how they act and step; held against their own
answers."""

import warnings

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.errors import ModelError
from discover.observations.environment import Asker, random_states
from tests.observations.robots import dm_suite

pytest.importorskip("mujoco")
gymnasium = pytest.importorskip("gymnasium")

GYMNASIUM = {
    "Ant-v5": (("the position of root (xy)",), 0.05, 5, "rk4"),
    "HalfCheetah-v5": (("q(rootx)",), 0.05, 5, "implicit_damping"),
    "Hopper-v5": (("q(rootx)",), 0.008, 4, "rk4"),
    "InvertedDoublePendulum-v5": ((), 0.05, 5, "rk4"),
    "InvertedPendulum-v5": ((), 0.04, 2, "rk4"),
    "Pusher-v5": ((), 0.05, 5, "implicit_damping"),
    "Reacher-v5": ((), 0.02, 2, "rk4"),
    "Swimmer-v5": (("q(slider1)", "q(slider2)"), 0.04, 4, "rk4"),
    "Walker2d-v5": (("q(rootx)",), 0.008, 4, "rk4"),
}
SUITE = {
    "acrobot/swingup": (),
    "cartpole/three_poles": (),
    "pendulum/swingup": (),
    "reacher/easy": (),
    "walker/walk": ("q(rootx)",),
    "finger/spin": (),
    "manipulator/bring_ball": (),
    "cheetah/run": ("q(rootx)",),
    "humanoid/walk": ("the heading of root", "the position of root (xy)"),
}


def made(name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MuJoCo and gymnasium tell of what is out of date
        return gymnasium.make(name, **options)


def held_against_itself(read, speed=3.0, exact=1e-12):
    """The layout, and states from observations, at states of the environment's own."""
    assert read.error < exact
    q, v = random_states(read.robot, 20, np.random.default_rng(7), speed)
    own = Asker(read.world, read.coordinates)(q, v)
    assert np.allclose(read.observation.observe(q, v), own, atol=exact, rtol=0)
    before = (kinematics.integrate(read.robot, q, v, -1e-3), v)
    again = read.observation.state(torch.from_numpy(own), before, dt=1e-3)
    assert float(kinematics.difference(read.robot, q, again[0]).abs().max()) < 1e-5
    seen = read.observation.observe(*again).numpy()
    fixed = [not label.startswith(("filled", "point")) for label in read.observation.labels]
    assert np.allclose(seen[:, fixed], own[:, fixed], atol=100 * exact, rtol=0)


@pytest.mark.parametrize("name", GYMNASIUM)
def test_gymnasium(name):
    undetermined, dt, substeps, integrator = GYMNASIUM[name]
    env = made(name)
    read = discover.from_gymnasium(env)
    held_against_itself(read)
    assert read.observation.undetermined == undetermined
    assert (read.substeps, read.integrator) == (substeps, integrator)
    assert np.isclose(read.dt, dt)
    assert not any("filled" in label for label in read.observation.labels)
    assert read.action.size == env.action_space.shape[0]


@pytest.mark.parametrize(
    "task",
    [pytest.param(t, marks=pytest.mark.slow if "humanoid" in t else ()) for t in SUITE],
)
def test_dm_control(task):
    domain, name = task.split("/")
    env = dm_suite().load(domain, name, task_kwargs={"random": 0})
    read = discover.from_dm_control(env)
    held_against_itself(read)
    assert read.observation.undetermined == SUITE[task]
    assert np.isclose(read.dt, env.control_timestep())
    assert read.action.size == env.action_spec().shape[0]


def test_what_an_acrobot_observes():
    read = discover.from_dm_control(dm_suite().load("acrobot", "swingup"))
    assert read.observation.declaration() == [
        {"sin": ["shoulder", "shoulder + elbow"]},
        {"cos": ["shoulder", "shoulder + elbow"]},
        {"v": ["shoulder", "elbow"]},
    ]


def test_what_never_moves_is_no_joint():
    read = discover.from_gymnasium(made("Reacher-v5"))
    assert read.robot.joint_names == ("joint0", "joint1")
    assert any("target_x, target_y do not move" in note for note in read.notes)


def test_what_changes_with_the_episode_is_told():
    read = discover.from_dm_control(dm_suite().load("reacher", "easy"))
    assert any("2 of 6 observed numbers are those of an episode" in n for n in read.notes)
    still = discover.from_dm_control(dm_suite().load("acrobot", "swingup"))
    assert not any("episode" in note for note in still.notes)


def test_what_no_channel_says_is_filled_by_the_environment():
    read = discover.from_gymnasium(made("Humanoid-v5"))
    held_against_itself(read)
    assert any("filled" in label for label in read.observation.labels)
    assert any("depend on the last controls" in note for note in read.notes)


def test_clipping_is_seen():
    read = discover.from_gymnasium(made("Hopper-v5"))
    assert {"clip": [-10.0, 10.0]}.items() <= read.observation.declaration()[-1].items()
    q, v = random_states(read.robot, 20, np.random.default_rng(0), 50.0)
    assert float(read.observation.observe(q, v).max()) == 10.0
    assert any("are clipped" in note for note in read.observation.notes)


def test_wrappers_are_followed():
    from gymnasium.wrappers import NormalizeObservation, RescaleAction, TransformObservation

    env = RescaleAction(NormalizeObservation(made("InvertedPendulum-v5")), -2.0, 0.5)
    env = TransformObservation(env, lambda x: np.concatenate((x[::-1], [1.0])), None)
    read = discover.from_gymnasium(env)
    held_against_itself(read, exact=1e-5)  # the statistics are kept in single precision
    assert read.observation.size == 5
    low, high = env.unwrapped.action_space.low, env.unwrapped.action_space.high
    for action, control in ((-2.0, low), (0.5, high)):
        assert np.allclose(read.action.controls(torch.tensor([action])), control, atol=1e-4)


def test_observations_in_single_precision():
    from gymnasium.wrappers import TransformObservation

    env = TransformObservation(made("InvertedDoublePendulum-v5"), lambda x: x.astype("f4"), None)
    read = discover.from_gymnasium(env)
    assert read.observation.undetermined == ()
    assert not any("filled" in label for label in read.observation.labels)
    assert read.error < 1e-6


@pytest.mark.parametrize("name", ["Reacher-v5", "InvertedDoublePendulum-v5", "HalfCheetah-v5"])
@pytest.mark.parametrize("target", ["next", "difference"])
def test_a_perfect_network_is_the_simulator(name, target):
    """A network that steps the environment itself, behind its own observation and action."""
    read = discover.from_gymnasium(made(name))
    simulator = read.simulator()

    def net(observation, action):
        state = read.observation.state(observation)
        following = read.observation.observe(*simulator(*state, read.action.controls(action)))
        return following - observation if target == "difference" else following

    model = discover.wrap(net, read, target=target)
    q, v = random_states(read.robot, 10, np.random.default_rng(5), 1.0)
    u = torch.rand(10, len(read.action.names)).double()
    own, true = model(q, v, u), simulator(q, v, u)
    seen = torch.as_tensor(read.observation.determination.q_seen_of_v)
    assert torch.allclose(own[1], true[1], atol=1e-12)
    assert torch.allclose(own[0][:, seen], true[0][:, seen], atol=1e-12)
    # what is not observed goes on by its velocity: right to second order in dt
    assert float((own[0] - true[0]).abs().max()) < 0.05
    assert (model.dt, model.substeps, model.integrator) == (read.dt, read.substeps, read.integrator)


def test_an_environment_is_a_robot_and_its_report_speaks_of_controls(tmp_path):
    read = discover.from_gymnasium(made("InvertedPendulum-v5"))
    region = discover.Region(q=0.5, v=1.0, u=1.0)
    exam = discover.examine(read.simulator(), read, region, budget="quick")
    assert exam.verdict == "physics"
    assert exam.robot is read.robot
    exam.save(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "velocities v and controls u that was examined" in page
    assert "u 1 in their own units" in page
    assert "| controls u |" in page
    assert "joint force τ" not in page


def test_simulator_steps_as_the_environment_does():
    env = made("HalfCheetah-v5")
    read = discover.from_gymnasium(env)
    env.reset(seed=3)
    data, action = env.unwrapped.data, env.action_space.sample()
    q, v = read.coordinates.from_mujoco(np.array([data.qpos]), np.array([data.qvel]))
    own = read.simulator(contacts=True)(q, v, torch.from_numpy(action)[None])
    env.step(action)
    assert np.allclose(own[0], data.qpos, atol=1e-6)
    assert np.allclose(own[1], data.qvel, atol=1e-4)


def test_what_cannot_be_read_is_one_line():
    with pytest.raises(ModelError, match=r"on MuJoCo .* found CartPoleEnv; wrap\(net"):
        discover.from_gymnasium(made("CartPole-v1"))
    with pytest.raises(ModelError, match=r"dm_control's suite .* found int"):
        discover.from_dm_control(3)
    with pytest.raises(ModelError, match="found NoneType"):
        discover.from_gymnasium(None)
