"""Models as they come: that differentiate inside, look at their batch, or end the program; and
answers that no search can fit."""

from __future__ import annotations

import contextlib
import gc
import sys

import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import BlackBox
from discover.errors import ModelError, WorldlawError
from discover.examination.opening.screen import screening
from tests.examination import query_sessions

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0).resolve(2)
X = torch.randn(12, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def physics(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


# ---- models that differentiate ------------------------------------------------------------------


def by_autograd(q, v, tau):
    p = v.detach().requires_grad_(True)
    energy = (0.7 * p.square() + 0.1 * p.pow(4)).sum()
    return tau - torch.autograd.grad(energy, p, create_graph=True)[0]


def by_backward(q, v, tau):
    p = v.clone().requires_grad_(True)
    (0.7 * p.square() + 0.1 * p.pow(4)).sum().backward()
    return tau - p.grad


def by_function_transform(q, v, tau):
    def energy(p):
        return (0.7 * p.square() + 0.1 * p.pow(4)).sum()

    return tau - torch.func.grad(energy)(v)


@pytest.mark.parametrize("model", [by_autograd, by_backward, by_function_transform])
@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_model_may_differentiate_inside(model, outside):
    with outside():
        answers = BlackBox(model, 2, 2).ask(X, X, X)
    torch.testing.assert_close(answers.a, X - (1.4 * X + 0.4 * X**3))
    assert not answers.a.requires_grad


def test_no_graph_is_kept_and_plain_networks_build_none():
    kept = BlackBox(by_autograd, 2, 2).ask(X, X, X)
    assert kept.a.grad_fn is None
    net = torch.nn.Linear(6, 2).double()
    seen = []

    def plain(q, v, tau):
        a = net(torch.cat([q, v, tau], -1))
        seen.append(a.requires_grad)
        return a

    BlackBox(plain, 2, 2).ask(X, X, X)
    gc.collect()
    assert seen == [False]


def test_a_file_model_may_differentiate_and_lets_its_caller_do_so(tmp_path):
    from discover import models

    (tmp_path / "energy.py").write_text(
        "import torch\n"
        "def build():\n"
        "    def model(q, v, tau):\n"
        "        x = q.clone().requires_grad_(True) if not q.requires_grad else q\n"
        "        (g,) = torch.autograd.grad(torch.cos(x).sum(), x, create_graph=True)\n"
        "        return tau + 9.0 * g - 0.1 * v\n"
        "    return model\n"
    )
    model = models.load(f"{tmp_path / 'energy.py'}:build", nv=2)
    with torch.inference_mode():
        inside = model(X, X, X)
    torch.testing.assert_close(inside, X - 9.0 * X.sin() - 0.1 * X)
    q = X.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(model(q, X, X).sum(), q)
    torch.testing.assert_close(slope, -9.0 * X.cos())


def test_other_errors_of_a_model_are_told_as_they_are():
    def broken(q, v, tau):
        raise RuntimeError("weights are missing")

    with pytest.raises(
        ModelError, match="RuntimeError on a batch of 12 states: weights are missing"
    ):
        BlackBox(broken, 2, 2).ask(X, X, X)


# ---- models that look at their batch ------------------------------------------------------------


def standardised(q, v, tau):
    return physics(q, v, (tau - tau.mean(0)) / tau.std(0))


def of_the_largest(q, v, tau):
    return physics(q, v, tau) * (1 + 0.01 * v / v.abs().amax(0))


def batch_norm():
    torch.manual_seed(0)
    layers = (torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    return torch.nn.Sequential(*layers).double()


def of(net):
    return lambda q, v, tau: net(torch.cat([q, v, tau], -1))


def opened(model):
    return screening(query_sessions.session(model, ROBOT, REGION))[1]


@pytest.mark.parametrize("model", [standardised, of_the_largest, of(batch_norm().train())])
def test_answers_that_depend_on_their_batch_are_refused_in_one_line(model):
    with pytest.raises(ModelError, match=r"other states of its batch .*model\.eval\(\)") as caught:
        opened(model)
    assert "\n" not in str(caught.value)


def test_what_is_no_dependence_on_the_batch_passes():
    for model in (physics, of(batch_norm().eval()), lambda *x: physics(*x).half()):
        assert opened(model).noise.by_batch == 0.0


def test_one_draw_for_a_whole_call_is_noise():
    """A member of an ensemble that each call draws repeats within it, but not from call to call."""
    draw = torch.Generator().manual_seed(0)

    def one_of_many(q, v, tau):
        return physics(q, v, tau) * (1 + 0.1 * torch.randn(1, generator=draw, dtype=q.dtype))

    noise = opened(one_of_many).noise
    assert noise.by_batch == 0.0
    assert 0.02 < noise.random < 0.5


# ---- models that misbehave ----------------------------------------------------------------------


def test_a_model_that_ends_the_program_does_not_end_ours():
    with pytest.raises(ModelError, match="SystemExit"):
        BlackBox(lambda *_: sys.exit(2), 2, 2).ask(X, X, X)
    far = BlackBox(lambda *_: sys.exit(2), 2, 2).ask(X, X, X, strict=False)
    assert bool(far.a.isnan().all())


def test_an_interruption_stays_one():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BlackBox(interrupted, 2, 2).ask(X, X, X, strict=False)


def everywhere(value, where):
    """Physics in the region; elsewhere a value."""
    return lambda q, v, tau: torch.where(where(q, v, tau), value, physics(q, v, tau))


def net(seed, act, gain, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    a, b = (gain * torch.randn(n, m, generator=g).double() for n, m in ((6, 16), (16, 2)))
    return lambda q, v, tau: act(torch.cat([q, v, tau], -1) @ a + shift) @ b


ODD = {
    "not finite beyond the region": everywhere(
        torch.nan, lambda q, v, t: v.abs().amax(-1, True) > 2
    ),
    "infinite beyond forces": everywhere(torch.inf, lambda q, v, t: t.abs().amax(-1, True) > 5.5),
    "kinks of 1e7": lambda q, v, tau: 1e7 * torch.relu(v[:, :1] - 0.3) * torch.ones_like(q) + tau,
    "a dead channel": lambda q, v, tau: physics(q, v, tau) * torch.tensor([0.0, 1.0]).double(),
}
ODD_AT_LENGTH = {
    "one direction only": lambda q, v, tau: (tau - q).sum(-1, keepdim=True).expand_as(q) ** 2,
    "exploding channel": lambda q, v, tau: torch.stack([tau[:, 1], torch.exp(35 * q[:, 0])], -1),
    "rectified network": net(1, torch.relu, 8.0),
    "jumps": lambda q, v, tau: 1e4 * torch.sign(q - 0.2 * v) + tau,
    "scales 1e8 apart": lambda q, v, tau: physics(q, v, tau) * torch.tensor([1e-8, 1.0]).double(),
    "large": lambda q, v, tau: 1e9 * physics(q, v, tau) + 1e8 * torch.relu(q),
    "small": lambda q, v, tau: 1e-9 * net(2, torch.tanh, 1.0)(q, v, tau),
    "whole numbers": lambda q, v, tau: (3 * net(3, torch.tanh, 1.0)(q, v, tau)).round(),
    "pole": lambda q, v, tau: tau / (v - 0.7),
    "beyond floating point": lambda q, v, tau: 1e160 * net(4, torch.relu, 1.0)(q, v, tau),
}


def some_verdict_or_an_error_of_ours(model):
    with contextlib.suppress(WorldlawError):
        exam = discover.examine(model, ROBOT, REGION, budget="quick")
        assert exam.verdict in ("physics", "lookup table", "alternative law", "undetermined")


@pytest.mark.parametrize("name", ["not finite beyond the region", "infinite beyond forces"])
def test_whatever_a_model_answers_no_foreign_error_comes_out(name):
    some_verdict_or_an_error_of_ours(ODD[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ODD, *ODD_AT_LENGTH])
def test_whatever_a_model_answers_no_foreign_error_comes_out_at_length(name):
    some_verdict_or_an_error_of_ours((ODD | ODD_AT_LENGTH)[name])
