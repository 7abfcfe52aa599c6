"""Networks of every kind behind an observation: each answers as the plain network it is made of."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import discover
from discover.errors import CheckpointError, ModelError
from tests.observations.robots import apart, cart, network, states, step

CHANNELS = ["q(slider)", "cos", "sin", "v"]
N, M, DT = 8, 3, 0.01


class Plain(nn.Module):
    """A perceptron whose answers follow the observation."""

    def __init__(self, seed=0, size=N):
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Sequential(nn.Linear(N + M, 16), nn.Tanh(), nn.Linear(16, size))

    def forward(self, obs, action):
        y = 0.01 * self.inner(torch.cat((obs, action), dim=-1))
        return torch.cat((obs + y[..., :N], y[..., N:]), dim=-1)


@pytest.fixture(scope="module")
def asked():
    robot = cart()
    q, v = states(robot, 12)
    return robot, q, v, torch.rand(12, M, generator=torch.Generator().manual_seed(1)).double()


def wrapped(net, **more):
    return discover.wrap(net, cart(), CHANNELS, dt=DT, **{"sanity": False, **more})


def same(model, net, asked, atol=1e-6):
    robot, q, v, u = asked
    return apart(robot, model(q, v, u), wrapped(net)(q, v, u)) < atol


def test_one_joined_input_and_two(asked):
    net = Plain()
    joined = nn.Sequential(nn.Identity(), _Joined(net))
    assert same(wrapped(joined), net, asked)
    assert same(wrapped(lambda action, obs: net(obs, action)), net, asked)
    assert same(wrapped(lambda x, y: net(x, y)), net, asked)
    swapped = wrapped(lambda *given: net(given[1], given[0]), inputs=["action", "observation"])
    assert same(swapped, net, asked)
    with pytest.raises(ModelError, match="does not say what it takes"):
        wrapped(lambda *given: given)


class _Joined(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x[..., :N], x[..., N:])


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda y: (y, torch.zeros(len(y), 1)), ["mean", "reward"]),
        (lambda y: (y, torch.zeros_like(y)), ["mean", "log_variance"]),
        (lambda y: torch.cat((y, torch.zeros_like(y)), -1), ["mean", "log_std"]),
        (lambda y: torch.cat((torch.zeros_like(y[:, :1]), y), -1), ["reward", "mean"]),
        (lambda y: {"next_obs": y, "r": 1}, {"mean": "next_obs"}),
        (lambda y: torch.distributions.Normal(y, torch.ones_like(y)), None),
        (lambda y: (torch.distributions.Normal(y, torch.ones_like(y)), 0), ["mean", "ignored"]),
        (lambda y: [y], None),
        (lambda y: y.numpy(), None),
    ],
)
def test_heads(asked, change, answer):
    net = Plain()
    assert same(
        wrapped(lambda obs, action: change(net(obs, action).detach()), answer=answer), net, asked
    )


def test_what_a_head_holds_is_never_assumed(asked):
    _, q, v, u = asked
    net = Plain(size=2 * N)
    with pytest.raises(ModelError, match=r"answers 16 numbers, expected 8.*log_variance"):
        wrapped(net)(q, v, u)
    with pytest.raises(ModelError, match="answers 2 things; declare"):
        wrapped(lambda obs, action: (obs, action))(q, v, u)
    with pytest.raises(ModelError, match="dictionary of a, b"):
        wrapped(lambda obs, action: {"a": obs, "b": obs})(q, v, u)
    with pytest.raises(ModelError, match="expected parts among"):
        wrapped(net, answer=["mean", "entropy"])
    with pytest.raises(ModelError, match="answers str"):
        wrapped(lambda obs, action: "next")(q, v, u)


def test_an_ensemble_answers_with_its_mean_and_spread(asked):
    robot, q, v, u = asked
    nets = [Plain(seed) for seed in range(4)]
    model = wrapped(nets)
    each = torch.stack([wrapped(net)(q, v, u)[1] for net in nets])
    assert torch.allclose(model(q, v, u)[1], each.mean(0), atol=1e-12)
    assert torch.allclose(model.spread(q, v, u), each.std(0) / DT, atol=1e-9)
    assert len(model.members) == 4
    assert torch.equal(model.members[2](q, v, u)[1], each[2])
    # the same as one network with an axis of members
    stacked = wrapped(lambda obs, action: torch.stack([net(obs, action) for net in nets]))
    assert apart(robot, stacked(q, v, u), model(q, v, u)) < 1e-12
    assert torch.allclose(stacked.spread(q, v, u), model.spread(q, v, u))
    assert torch.allclose(stacked.members[1](q, v, u)[1], each[1])
    with pytest.raises(ModelError, match="no spread to compare"):
        wrapped(nets[0]).spread(q, v, u)


def test_the_spread_of_a_variance_head_is_that_of_the_velocities(asked):
    _, q, v, u = asked
    net = Plain()
    deviation = torch.arange(1.0, N + 1) * 1e-3

    def head(obs, action):
        y = net(obs, action)
        return y, 2 * deviation.log().expand_as(y)

    model = wrapped(head, answer=["mean", "log_variance"])
    expected = deviation[-3:].double() / DT  # the last three numbers are the velocities
    assert torch.allclose(model.spread(q, v, u), expected.expand(len(q), -1), rtol=1e-5)
    # a normalised target scales it
    scaled = wrapped(head, answer=["mean", "log_variance"], normaliser={"target": (0.0, 3.0)})
    assert torch.allclose(scaled.spread(q, v, u), 3 * model.spread(q, v, u), rtol=1e-5)


def test_sampled_answers_are_averaged_and_reproducible(asked):
    _, q, v, u = asked
    net = Plain()

    def sampled(obs, action):
        y = net(obs, action)
        return y + 0.1 * torch.randn_like(y)

    one = wrapped(sampled)
    assert not torch.equal(one(q, v, u)[1], one(q, v, u)[1])  # noise that repeated asking shows
    assert torch.equal(wrapped(sampled)(q, v, u)[1], wrapped(sampled)(q, v, u)[1])
    assert not torch.equal(wrapped(sampled, seed=1)(q, v, u)[1], wrapped(sampled)(q, v, u)[1])
    few, many = (
        float((wrapped(sampled, samples=n)(q, v, u)[1] - wrapped(net)(q, v, u)[1]).std())
        for n in (1, 400)
    )
    assert 10 < few / many < 40  # the square root of 400 is 20
    state = torch.random.get_rng_state()
    one(q, v, u)
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's draws are its own


def test_a_network_left_in_training_is_asked_in_evaluation(asked):
    _, q, v, u = asked
    net = nn.Sequential(_Joined(Plain()), nn.Dropout(0.5), nn.BatchNorm1d(N)).train()
    net[1].eval()
    model = wrapped(net)
    again = wrapped(lambda obs, action: net(torch.cat((obs, action), -1)))
    for each in (model, again):
        assert torch.equal(each(q, v, u)[1], each(q, v, u)[1])
        assert torch.allclose(each(q, v, u)[1][:3], each(q[:3], v[:3], u[:3])[1], atol=1e-6)
    assert (net.training, net[1].training, net[2].training) == (True, False, True)
    assert float(net[2].running_mean.abs().max()) == 0.0
    told = discover.wrap(net, cart(), CHANNELS, dt=DT, target="difference", sanity=False)
    assert told.network.left_training
    method = wrapped(functools.partial(_Holder(net).ask, scale=1.0))
    assert method.network.left_training


class _Holder:
    def __init__(self, net):
        self.net = net

    def ask(self, obs, action, scale):
        return scale * self.net(torch.cat((obs, action), -1))


class Recurrent(nn.Module):
    """An LSTM or GRU over (observation, action), with its state in and out."""

    def __init__(self, cell, first=True):
        super().__init__()
        torch.manual_seed(3)
        self.memory = getattr(nn, cell)(N + M, 6, batch_first=first)
        self.head = nn.Linear(6, N)

    def forward(self, obs, action, hidden):
        y, hidden = self.memory(torch.cat((obs, action), -1), hidden)
        return obs + self.head(y), hidden


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
@pytest.mark.parametrize("first", [True, False])
def test_recurrent_networks_start_from_what_is_declared(asked, cell, first):
    robot, q, v, u = asked
    net = Recurrent(cell, first)
    shapes = [(1, None, 6)] * (2 if cell == "LSTM" else 1)
    order = "batch first" if first else "time first"
    model = wrapped(net, hidden=shapes, sequence=order)
    obs = model.observation.observe(q, v).float()
    axis = 1 if first else 0
    zero = torch.zeros(1, len(q), 6)
    start = (zero, zero) if cell == "LSTM" else zero
    y, _ = net(obs.unsqueeze(axis), u.float().unsqueeze(axis), start)
    direct = model.predicts.state(y.squeeze(axis).detach(), (q, v), DT)
    assert apart(robot, model(q, v, u), direct) < 1e-6
    given = wrapped(net, hidden=lambda n: start, sequence=order)
    assert apart(robot, given(q, v, u), direct) < 1e-6
    one = [torch.full((1, 1, 6), 0.3)] * len(shapes)
    other = wrapped(net, hidden=one, sequence=order)
    assert apart(robot, other(q, v, u), direct) > 1e-4
    # showing the past changes what is carried, and is the past that leads here
    warm = wrapped(net, hidden=shapes, sequence=order, warm_up=3)
    hidden = start
    for back in (3, 2, 1, 0):
        past = model.observation.observe(q - back * DT * v, v).float().unsqueeze(axis)
        y, hidden = net(past, u.float().unsqueeze(axis), hidden)
    direct = model.predicts.state(y.squeeze(axis).detach(), (q, v), DT)
    assert apart(robot, warm(q, v, u), direct) < 1e-6


class Cell(nn.Module):
    """A recurrent cell whose state has a default, beside another option."""

    def __init__(self, cell):
        super().__init__()
        torch.manual_seed(3)
        self.memory = getattr(nn, cell)(N + M, 6)
        self.head = nn.Linear(6, N)

    def forward(self, obs, action, carried=None, exact: bool = True):
        carried = self.memory(torch.cat((obs, action), -1), carried)
        first = carried[0] if isinstance(carried, tuple) else carried
        return obs + self.head(first) * (1.0 if exact else 0.0), carried


@pytest.mark.parametrize(("cell", "states"), [("GRUCell", 1), ("LSTMCell", 2)])
@pytest.mark.parametrize("declared", [{}, {"inputs": ["observation", "action"]}])
def test_a_hidden_state_may_have_a_default(asked, cell, states, declared):
    net = Cell(cell)
    model = wrapped(net, hidden=[("batch", 6)] * states, **declared)
    assert same(model, lambda obs, action: net(obs, action)[0], asked)
    with pytest.raises(ModelError, match=r"answers 2 things.*hidden = \["):
        discover.wrap(net, cart(), CHANNELS, dt=DT)


def test_weights_and_objects_without_a_call_say_what_to_give():
    with pytest.raises(ModelError, match="OrderedDict of weights without it; load them"):
        wrapped(Plain().state_dict())

    class Estimator:
        def predict(self, x):
            return x[:, :N]

    with pytest.raises(ModelError, match=r"found Estimator; give its method: Estimator\.predict"):
        wrapped(Estimator())


def test_compiled_networks_are_called_as_what_they_were_compiled_from(asked):
    net = Plain()
    assert same(wrapped(torch.compile(net, backend="eager")), net, asked)
    assert same(wrapped(nn.DataParallel(net)), net, asked)


def test_a_hidden_state_that_is_not_declared_is_asked_for(asked):
    with pytest.raises(ModelError, match=r"takes 3 inputs \(obs, action, hidden\).*hidden = \["):
        wrapped(Recurrent("GRU"))
    with pytest.raises(ModelError, match="warm_up: expected a network with a hidden state"):
        wrapped(Plain(), warm_up=2)


def test_a_frozen_batch_is_filled_up(asked):
    _, q, v, u = asked
    net = Plain()
    calls = []

    def frozen(obs, action):
        assert len(obs) == 5
        calls.append(1)
        return net(obs, action)

    assert same(wrapped(frozen, batch=5), net, asked)
    assert len(calls) == 3
    with pytest.raises(ModelError, match="raised AssertionError on inputs"):
        wrapped(frozen)(q, v, u)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_the_networks_own(asked, dtype):
    net = Plain().to(dtype)
    model = wrapped(net)
    robot, q, v, u = asked
    assert model(q, v, u)[0].dtype == torch.float64
    assert model.network.dtypes == {dtype}
    assert model.network.half == (dtype != torch.float64)
    assert apart(robot, model(q, v, u), wrapped(Plain().double())(q, v, u)) < 0.1


# ---- files --------------------------------------------------------------------------------------


def exported(net, path, names, batch=True):
    axes = {name: {0: "batch"} for name in names} if batch else None
    size = 2 if batch else 4
    example = (torch.zeros(size, N), torch.zeros(size, M))
    torch.onnx.export(
        net, example, str(path), input_names=names, output_names=["y"], dynamo=False,
        dynamic_axes=axes,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("names", [["obs", "action"], ["state", "u"], ["a0", "b1"]])
@pytest.mark.parametrize("batch", [True, False])
def test_onnx_with_two_inputs(asked, tmp_path, names, batch):
    pytest.importorskip("onnxruntime")
    path = exported(Plain(), tmp_path / "net.onnx", names, batch)
    assert same(wrapped(str(path)), Plain(), asked, 1e-5)  # widths tell a0 from b1


def test_onnx_with_an_input_that_was_dropped(asked, tmp_path):
    pytest.importorskip("onnxruntime")

    class Blind(nn.Module):
        def forward(self, obs, action):
            return obs * 1.01

    path = exported(Blind(), tmp_path / "blind.onnx", ["obs", "action"])
    assert same(wrapped(path), Blind(), asked, 1e-5)


def test_torchscript_and_half_onnx(asked, tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.trace(Plain(), (torch.zeros(2, N), torch.zeros(2, M))).save(str(path))
    assert same(wrapped(path), Plain(), asked, 1e-6)
    pytest.importorskip("onnxruntime")

    class Half(nn.Module):
        def forward(self, obs, action):
            return obs + 0.125 * action.sum(-1, keepdim=True)

    example = (torch.zeros(2, N).half(), torch.zeros(2, M).half())
    half = tmp_path / "half.onnx"
    torch.onnx.export(
        Half(), example, str(half), input_names=["obs", "action"], dynamo=False,
        dynamic_axes={"obs": {0: "b"}, "action": {0: "b"}},
    )  # fmt: skip
    model = wrapped(half)
    assert model.network.half
    assert same(model, lambda obs, action: Half()(obs, action), asked, 2e-2)


def test_weights_without_a_pickle(asked, tmp_path):
    from safetensors.torch import save_file

    net = Plain(seed=5)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    assert same(wrapped(tmp_path / "w.safetensors", module=Plain(seed=1)), net, asked)
    torch.save(
        {"state_dict": {f"module.{k}": x for k, x in net.state_dict().items()}}, tmp_path / "w.pt"
    )
    assert same(wrapped(tmp_path / "w.pt", module=Plain(seed=1)), net, asked)
    with pytest.raises(ModelError, match=r"weights without their network; give the module"):
        wrapped(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"inner\.0\.weight has shape"):
        wrapped(tmp_path / "w.safetensors", module=_Wider())
    with pytest.raises(CheckpointError, match=r"lacks bias, weight and has 0\.bias, 0"):
        wrapped(tmp_path / "w.safetensors", module=nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match="found the class Plain; write"):
        wrapped(tmp_path / "w.safetensors", module=Plain)
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match="could run code on loading: refused"):
        wrapped(tmp_path / "whole.pt", module=Plain())


class _Wider(Plain):
    def __init__(self):
        super().__init__()
        self.inner[0] = nn.Linear(N + M, 17)
        self.inner[2] = nn.Linear(17, N)


def test_weights_of_a_module_are_loaded_without_observations_too(tmp_path):
    from safetensors.torch import save_file

    from discover import models

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(6, 2)

        def forward(self, q, v, tau):
            return self.line(torch.cat((q, v, tau), -1))

    net = Net().double()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    loaded = models.load(tmp_path / "net.safetensors", module=Net(), nv=2)
    x = torch.rand(5, 2).double()
    assert torch.equal(loaded(x, x, x), net(x, x, x))


def test_a_perfect_network_is_told_by_its_simulator(asked):
    """The whole road: state → observation → network → observation → state is the step itself."""
    robot, q, v, u = asked
    stepped = step(robot)
    for target in ("next", "difference"):
        layout = discover.ObservationLayout(robot, [*CHANNELS[1:], "q(slider)"])
        model = discover.wrap(
            network(layout, stepped, target), robot, layout, dt=DT, target=target, dtype="float64"
        )
        assert apart(robot, model(q, v, u), stepped(q, v, u)) < 1e-12
    assert np.isclose(model.dt, DT)
