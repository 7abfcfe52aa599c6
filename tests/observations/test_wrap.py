"""`discover.wrap`: normalisers, actions, targets, TOML, the command line, wrong declarations."""

import types

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.cli import main
from discover.data.transitions import read_transitions
from discover.errors import ModelError
from discover.observations.action import ActionLayout
from discover.observations.normaliser import read_normaliser
from tests.observations.robots import CART, apart, cart, network, states, step

CHANNELS = ["q(slider)", "cos", "sin", "v"]
DT = 0.01
MEAN = {"obs": torch.linspace(-1, 1, 8), "act": torch.tensor([0.5, -1.0, 0.0])}
STD = {"obs": torch.linspace(0.5, 2, 8), "act": torch.tensor([2.0, 3.0, 0.1])}


def normalised(net, target="next"):
    """The network on normalised inputs, with a normalised answer."""

    def inner(observation, action):
        y = net(observation * STD["obs"] + MEAN["obs"], action * STD["act"] + MEAN["act"])
        return (y - 0.1) / 0.3

    return inner


def forms(tmp_path):
    def pair(key):
        return (MEAN[key], STD[key])

    yield {"observation": pair("obs"), "action": pair("act"), "target": (0.1, 0.3)}
    yield {
        "obs": {"mean": MEAN["obs"], "var": STD["obs"] ** 2},
        "act": types.SimpleNamespace(mean_=MEAN["act"].numpy(), scale_=STD["act"].numpy()),
        "delta": {"mean": [0.1] * 8, "std": [0.3] * 8},
    }
    joint = [torch.cat((x["obs"], x["act"])) for x in (MEAN, STD)]
    yield {
        "input": types.SimpleNamespace(mean=joint[0][None], std=joint[1][None]),
        "output": (0.1, 0.3),
    }
    arrays = {f"{k}_mean": MEAN[s] for k, s in (("observation", "obs"), ("action", "act"))}
    arrays |= {f"{k}_std": STD[s] for k, s in (("observation", "obs"), ("action", "act"))}
    np.savez(tmp_path / "n.npz", target_mean=0.1, target_std=0.3, **arrays)
    yield tmp_path / "n.npz"
    lines = ["[target]\nmean = 0.1\nstd = 0.3"]
    for key in ("obs", "act"):
        lines.append(f"[{key}]\nmean = {MEAN[key].tolist()}\nstd = {STD[key].tolist()}")
    (tmp_path / "n.toml").write_text("\n".join(lines))
    yield str(tmp_path / "n.toml")


@pytest.mark.parametrize("target", ["next", "difference"])
def test_normalisers_in_every_form(tmp_path, target):
    robot = cart()
    stepped = step(robot)
    layout = discover.ObservationLayout(robot, CHANNELS)
    net = normalised(network(layout, stepped, target))
    q, v = states(robot)
    u = torch.randn(len(q), 3).double()
    for form in forms(tmp_path):
        model = discover.wrap(
            net, robot, layout, dt=DT, target=target, normaliser=form, sanity=False
        )
        assert apart(robot, model(q, v, u), stepped(q, v, u)) < 1e-5


def test_running_statistics_of_a_library_are_read():
    library = types.SimpleNamespace(
        obs_rms=types.SimpleNamespace(mean=np.ones(3), var=np.full(3, 4.0), count=7),
        clip_obs=2.0,
        epsilon=1e-8,
    )
    found = read_normaliser(library, {"observation": 3, "action": 1, "target": 3})
    assert list(found) == ["observation"]
    x = torch.tensor([1.0, 5.0, 99.0]).double()
    assert torch.allclose(found["observation"].inward(x), torch.tensor([0.0, 2.0, 2.0]).double())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"observation": (0.0, [1.0, 0.0, 1.0])}, "std above zero, found 0 at number 1"),
        ({"observation": ([0.0] * 4, 1.0)}, "expected a number or 3 of them"),
        ({"reward": (0.0, 1.0)}, "expected observation, action, input, target, found 'reward'"),
        ({"observation": {"mean": 0.0}}, "expected mean and std"),
        ({"observation": (np.nan, 1.0)}, "expected finite numbers"),
        ("nowhere.npz", "expected a file at nowhere.npz"),
        (3.0, "expected mean and std"),
    ],
)
def test_a_wrong_normaliser_is_one_line(given, said):
    with pytest.raises(ModelError) as caught:
        read_normaliser(given, {"observation": 3, "action": 1, "target": 3})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_actions_go_there_and_back():
    names = ("hip", "knee", "ankle")
    u = torch.randn(5, 3).double()
    for given in (
        None,
        ["ankle", "hip", "knee"],
        {"scale": [1.0, -2.0, 0.5], "offset": 0.3},
        {"order": ["knee", "ankle", "hip"], "range": ([-2, -3, -1], [2.0, 1.0, 4.0])},
    ):
        layout = ActionLayout(names, given)
        assert torch.allclose(layout.controls(layout.of(u)), u, atol=1e-14)
    ranged = ActionLayout(("a",), {"range": (-3.0, 5.0), "clip": 1.0})
    assert torch.equal(
        ranged.of(torch.tensor([[-3.0], [5.0], [9.0]])), torch.tensor([[-1.0], [1.0], [1.0]])
    )
    part = ActionLayout(names, "knee")
    assert part.of(u).shape == (5, 1)
    assert torch.equal(part.controls(u[:, :1])[:, 0], torch.zeros(5).double())
    for wrong, said in (
        (["toe"], "expected controls among hip, knee, ankle"),
        (["hip", "hip"], "expected each control once"),
        ({"range": (1, 1)}, "expected low < high"),
        ({"gear": 3}, "expected order, scale"),
        ({"scale": 0}, "expected no zero"),
    ):
        with pytest.raises(ModelError, match=said):
            ActionLayout(names, wrong)


def test_a_robot_with_fewer_actions_than_joints():
    robot = cart()
    stepped = step(robot)
    layout = discover.ObservationLayout(robot, CHANNELS)

    def driven(q, v, u):
        tau = torch.zeros_like(v)
        tau[:, 0] = u[:, 0]
        return stepped(q, v, tau)

    model = discover.wrap(network(layout, driven), robot, layout, dt=DT, action=["slider"])
    q, v = states(robot)
    u = torch.randn(len(q), 1).double()
    assert apart(robot, model(q, v, u), driven(q, v, u)) < 1e-12
    assert model.actuation.nu == 1
    assert torch.equal(model.actuation(q, v, u)[:, 0], u[:, 0])


def test_what_is_answered_may_be_another_layout():
    """As where a network reads cosines and gives the change of raw angles."""
    robot = cart()
    stepped = step(robot)
    seen = discover.ObservationLayout(robot, CHANNELS)

    def net(observation, action):
        q, v = seen.state(observation)
        q_next, v_next = stepped(q, v, action)
        return torch.cat((q_next - q, v_next - v), -1)

    model = discover.wrap(net, robot, CHANNELS, predicts=["q", "v"], target="difference", dt=DT)
    q, v = states(robot)
    u = torch.randn(len(q), 3).double()
    turns = torch.tensor([0, 1, -3]).double()
    following = model(q + 2 * torch.pi * turns, v, u)
    assert apart(robot, following, stepped(q, v, u)) < 1e-12


def test_beyond_its_limits_a_network_is_asked_as_if_they_were_none():
    """Clipped as in use, every fast state would look like the slowest of them."""
    robot = cart()
    seen = []

    def net(observation, action):
        seen.append(observation)
        return 0 * observation

    channels = ["q", {"v": "all", "clip": 2.0}]
    q, v = states(robot, 3, speed=9.0)
    u = torch.zeros(3, 3).double()
    model = discover.wrap(net, robot, channels, dt=DT, target="difference", sanity=False)
    assert torch.allclose(model(q, v, u)[1], v, atol=1e-14)
    clipped = discover.wrap(
        net, robot, channels, dt=DT, target="difference", sanity=False, clip=True
    )
    assert torch.allclose(clipped(q, v, u)[1], v.clamp(-2, 2), atol=1e-14)
    assert float(seen[0][:, 3:].abs().max()) > 2.0 >= float(seen[1][:, 3:].abs().max())
    assert any("are clipped" in note for note in model.notes)


def test_records_and_laws_pass_through_the_interface():
    robot = cart()
    stepped = step(robot)
    layout = discover.ObservationLayout(robot, CHANNELS)
    net = network(layout, stepped)
    model = discover.wrap(net, robot, layout, dt=DT, action={"scale": 2.0})
    q, v = states(robot)
    u = torch.randn(len(q), 3).double()
    observation, action = layout.observe(q, v), 2 * u
    assert apart(robot, model.states(observation), (q, v)) < 1e-13
    assert torch.allclose(model.controls(action), u)
    law = model.interface(stepped)
    assert torch.allclose(law(observation, action), net(observation, u), atol=1e-12)


LAYOUT = """
observation = ["q(slider)", {cos = "all"}, {sin = ["first", "second"]}, "v"]
target = "difference"
dt = 0.01
normaliser = "numbers.toml"
action = {order = ["second", "slider", "first"]}
"""


def test_a_declaration_in_toml(tmp_path):
    robot = cart()
    stepped = step(robot)
    layout = discover.ObservationLayout(robot, CHANNELS)
    (tmp_path / "layout.toml").write_text(LAYOUT)
    (tmp_path / "numbers.toml").write_text("[target]\nmean = 0.0\nstd = 0.5\n")

    def net(observation, action):
        u = action[:, [1, 2, 0]]
        return 2 * network(layout, stepped, "difference")(observation, u)

    q, v = states(robot)
    u = torch.randn(len(q), 3).double()
    model = discover.wrap(net, robot, tmp_path / "layout.toml")
    # the controls are those of the action, in its order
    assert model.action.names == ("second", "slider", "first")
    assert apart(robot, model(q, v, u[:, [2, 0, 1]]), stepped(q, v, u)) < 1e-12
    assert discover.wrap(net, robot, str(tmp_path / "layout.toml"), dt=0.012).dt == 0.012
    (tmp_path / "layout.toml").write_text("observations = ['q']")
    with pytest.raises(ModelError, match=r"no key 'observations'; did you mean 'observation'"):
        discover.wrap(net, robot, tmp_path / "layout.toml")
    (tmp_path / "layout.toml").write_text("observation = [")
    with pytest.raises(ModelError, match="is not TOML"):
        discover.wrap(net, robot, tmp_path / "layout.toml")
    with pytest.raises(ModelError, match=r"cannot read .*other\.toml"):
        discover.wrap(net, robot, tmp_path / "other.toml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dt": None}, "dt: expected the step of the network in seconds"),
        ({"dt": -1.0}, "dt: expected the step"),
        ({"dt": 0.2}, "displacements are .* the step looks like"),
        ({"target": "delta"}, "target: expected 'next' or 'difference'"),
        ({"target": "difference"}, "they look like next ones; declare target='next'"),
        ({"observation": ["q", "cos"]}, r"does not show v\(slider\), v\(first\), v\(second\)"),
        ({"observation": None}, "expected an observation, such as"),
        ({"substeps": 0}, "expected substeps from 1 to 240, found 0"),
        ({"substeps": 1000}, "expected substeps from 1 to 240, found 1000"),
        ({"integrator": "leapfrog"}, "expected an integrator of .* found 'leapfrog'"),
        ({"sanity": "no"}, "sanity: expected true or false, found 'no'"),
        ({"clip": 3.0}, "clip: expected true or false, found 3.0"),
        ({"actoin": 1}, "no keyword 'actoin'; did you mean 'action'"),
        ({"action": ["hip"]}, "expected joints of cart, found 'hip'"),
        ({"normaliser": {"target": (100.0, 1e-6)}}, "do not follow the observation"),
        ({"samples": 0}, "samples: expected a whole number"),
        ({"sequence": "both"}, "sequence: expected 'batch first'"),
        ({"dtype": "int8"}, "dtype: expected float32 or"),
    ],
)
def test_a_wrong_declaration_is_one_line(change, said):
    robot = cart()
    layout = discover.ObservationLayout(robot, CHANNELS)
    declared = {"observation": layout, "dt": DT, **change}
    with pytest.raises(ModelError, match=said) as caught:
        discover.wrap(network(layout, step(robot)), robot, **declared)
    assert "\n" not in str(caught.value)


def test_differences_taken_for_next_observations_are_seen():
    robot = cart()
    layout = discover.ObservationLayout(robot, CHANNELS)
    with pytest.raises(ModelError, match="do not follow the observation"):
        discover.wrap(network(layout, step(robot), "difference"), robot, layout, dt=DT)


def test_a_file_may_leave_out_the_check_of_answers(tmp_path):
    robot = cart()
    layout = discover.ObservationLayout(robot, CHANNELS)
    untrained = network(layout, step(robot), "difference")
    declared = 'observation = ["q(slider)", "cos", "sin", "v"]\ndt = 0.01\n'
    (tmp_path / "layout.toml").write_text(declared + "sanity = false\n")
    model = discover.wrap(untrained, robot, tmp_path / "layout.toml")
    assert model.target == "next"
    with pytest.raises(ModelError, match="do not follow the observation"):
        discover.wrap(untrained, robot, tmp_path / "layout.toml", sanity=True)


def test_recorded_angles_go_on_over_the_half_turn():
    """Sines and cosines do not say how often a joint has turned: the state before does."""
    robot = cart()
    stepped = step(robot)
    arms = ("first", "first + second")
    layout = ["q(slider)", *(f"{f}({a})" for f in ("cos", "sin") for a in arms), "v"]
    model = discover.wrap(lambda o, a: o, robot, layout, dt=DT, sanity=False)
    q, v = states(robot, 400, speed=20.0)
    u = torch.zeros(len(q), 3).double()
    q_next, v_next = stepped(q, v, u)
    seen = model.observation.observe
    recorded = {"obs": seen(q, v), "action": u, "next_obs": seen(q_next, v_next)}
    read = read_transitions(recorded, robot, model)
    alone = model.states(recorded["next_obs"])[0] - model.states(recorded["obs"])[0]
    assert float(alone.abs().max()) > 6  # angles in one turn jump
    assert torch.allclose(read.q_next - read.q, q_next - q, atol=1e-9)
    assert torch.allclose(read.v_next, v_next, atol=1e-9)


def test_recorded_positions_that_nothing_shows_are_anywhere():
    """Else data of a walker, whose way is not observed, would span no box."""
    robot = cart()
    stepped = step(robot)
    known = {"dt": DT, "substeps": 1, "integrator": "semi_implicit_euler"}
    net = network(discover.ObservationLayout(robot, CHANNELS[1:]), stepped)
    model = discover.wrap(net, robot, CHANNELS[1:], **known)
    q, v = states(robot, 200)
    u = 2 * torch.rand(len(q), 3).double() - 1
    seen = model.observation.observe
    recorded = {"obs": seen(q, v), "action": u, "next_obs": seen(*stepped(q, v, u))}
    read = read_transitions(recorded, robot, model)
    assert 0.9 < float(read.q[:, 0].abs().max()) <= 1.0
    moved = read.q_next - read.q
    assert torch.allclose(moved, stepped(q, v, u)[0] - q, atol=1e-9)
    exam = discover.examine(model, robot, data=recorded, within="data", budget="quick")
    assert exam.verdict == "physics", exam.notes
    assert exam.region.q.half_width[0] == pytest.approx(1.0, abs=0.05)


def test_notes_tell_of_samples_training_and_half_precision():
    robot = cart()
    layout = discover.ObservationLayout(robot, CHANNELS)
    net = network(layout, step(robot))

    def noisy(observation, action):
        return net(observation, action) + 1e-3 * torch.randn(len(observation), 8)

    notes = discover.wrap(noisy, robot, layout, dt=DT).notes
    assert any("answered differently each time" in note for note in notes)

    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(0.3)
            self.one = torch.nn.Parameter(torch.ones(1).half())

        def forward(self, obs, action):
            return net(obs, action) + 0 * self.drop(self.one)

    notes = discover.wrap(Dropping().train(), robot, layout, dt=DT).notes
    assert any("left in training mode" in note for note in notes)
    assert any("half precision" in note for note in notes)
    unseen = discover.wrap(
        lambda obs, action: discover_next(robot, obs, action), robot, CHANNELS[1:], dt=DT
    )
    assert any("does not determine q(slider)" in note for note in unseen.notes)


def discover_next(robot, observation, action):
    layout = discover.ObservationLayout(robot, CHANNELS[1:])
    return network(layout, step(robot))(observation, action)


def test_answers_that_depend_on_the_batch_are_refused():
    robot = cart()
    layout = discover.ObservationLayout(robot, CHANNELS)
    net = network(layout, step(robot))
    with pytest.raises(ModelError, match="depends on the other states in the batch"):
        discover.wrap(
            lambda obs, action: net(obs, action) + 0.1 * obs.mean(0), robot, layout, dt=DT
        )


def test_the_command_line_reads_a_layout(tmp_path, capsys):
    class Drift(torch.nn.Module):
        """A pendulum without gravity, observed by its angle's cosine and sine: exact physics."""

        def forward(self, obs, act):
            v = obs[:, 2:] + 0.01 * act / 0.5
            angle = torch.atan2(obs[:, 1:2], obs[:, :1]) + 0.01 * v
            return torch.cat((torch.cos(angle), torch.sin(angle), v), -1)

    example = (torch.zeros(2, 3).double(), torch.zeros(2, 1).double())
    torch.jit.trace(Drift(), example).save(str(tmp_path / "net.pt"))
    (tmp_path / "pendulum.xml").write_text(
        '<mujoco><option gravity="0 0 0"/><worldbody><body name="p"><joint name="hinge" '
        'axis="0 1 0"/><inertial pos="0 0 0" mass="1" diaginertia=".5 .5 .5"/></body>'
        "</worldbody></mujoco>"
    )
    (tmp_path / "layout.toml").write_text('observation = ["cos", "sin", "v"]\ndt = 0.01\n')
    (tmp_path / "region.toml").write_text("q = 2.0\nv = 2.0\ntau = 2.0\n")
    command = ["examine", "--model", str(tmp_path / "net.pt"), "--budget", "quick"]
    command += ["--region", str(tmp_path / "region.toml"), "--out", str(tmp_path / "out")]
    layout = ["--observation", str(tmp_path / "layout.toml")]
    assert main([*command, "--robot", str(tmp_path / "pendulum.xml"), *layout]) == 0
    assert "physics" in capsys.readouterr().out
    assert main([*command[:-1], str(tmp_path / "other"), *layout]) == 2
    assert "expected a robot for a network over observations" in capsys.readouterr().err


def test_a_robot_may_be_a_path(tmp_path):
    (tmp_path / "cart.xml").write_text(CART)
    robot = kinematics.load(tmp_path / "cart.xml")
    layout = discover.ObservationLayout(robot, CHANNELS)
    model = discover.wrap(network(layout, step(robot)), tmp_path / "cart.xml", CHANNELS, dt=DT)
    assert model.robot.name == robot.name
