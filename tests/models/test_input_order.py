"""Inputs of foreign models: fed by clear names, as declared, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from discover import models
from discover.errors import ModelError
from discover.models.external.declaration import Declaration
from discover.models.external.input_order import input_order

ROWS = 6


def truth(q, v, tau):
    return (tau - 4.9 * torch.sin(q) - 0.2 * v) / 0.3


class TorqueFirst(torch.nn.Module):
    def forward(self, tau, q, v):
        return truth(q, v, tau)


class Frictionless(torch.nn.Module):
    def forward(self, a, b, c):
        return truth(a, 0.0, c)


class Observing(torch.nn.Module):
    def forward(self, obs, act):
        q, v = obs.split(2, -1)
        return truth(q, v, act)


def onnx(path: Path, module: torch.nn.Module, widths: tuple[int, ...], names: list[str]) -> Path:
    states = tuple(torch.zeros(3, width) for width in widths)
    axes = {name: {0: "batch"} for name in names}
    more = {"dynamic_axes": axes, "dynamo": False, "output_names": ["a"]}
    torch.onnx.export(module, states, path, input_names=names, **more)
    return path


def states():
    draw = torch.Generator().manual_seed(2)
    return tuple(torch.randn(ROWS, 2, generator=draw) for _ in range(3))


def assert_is_the_truth(model, *, friction=True):
    q, v, tau = states()
    expected = truth(q, v if friction else 0 * v, tau)
    torch.testing.assert_close(model(q, v, tau), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "names",
    [
        ["torque", "qpos", "qvel"],
        ["u", "joint_pos", "joint_vel"],
        ["joint_torques", "theta", "thetaDot"],
        ["input.tau_1", "input.q_1", "input.qd_1"],
    ],
)
def test_clear_names_are_fed_by_name(tmp_path: Path, names: list[str]) -> None:
    assert_is_the_truth(
        models.load(onnx(tmp_path / "m.onnx", TorqueFirst(), (2, 2, 2), names), nv=2)
    )


@pytest.mark.parametrize(
    "names",
    [
        ["x", "y", "z"],
        ["input", "onnx::Sub_1", "onnx::Mul_2"],
        ["tau", "q", "q_next"],
        ["tau", "q", "qdd"],
        ["torque", "u", "q"],
        ["tau", "pos", "angle"],
    ],
)
def test_names_that_leave_it_open_are_refused_until_declared(
    tmp_path: Path, names: list[str]
) -> None:
    path = onnx(tmp_path / "m.onnx", TorqueFirst(), (2, 2, 2), names)
    with pytest.raises(ModelError, match="declare their order") as caught:
        models.load(path, nv=2)
    assert "\n" not in str(caught.value)
    assert names[2] in str(caught.value)
    assert_is_the_truth(models.load(path, nv=2, order=("tau", "q", "v")))


def test_torchscript_goes_by_the_names_of_its_arguments(tmp_path: Path) -> None:
    class Unclear(torch.nn.Module):
        def forward(self, x, y, z):
            return x - torch.sin(y) - 0.2 * z

    torch.jit.script(TorqueFirst()).save(tmp_path / "clear.pt")
    assert_is_the_truth(models.load(tmp_path / "clear.pt", nv=2))
    torch.jit.script(Unclear()).save(tmp_path / "unclear.pt")
    with pytest.raises(ModelError, match=r"3 inputs \(x, y, z\), which does not say"):
        models.load(tmp_path / "unclear.pt", nv=2)


def test_an_input_that_the_exporter_dropped_is_not_fed(tmp_path: Path) -> None:
    path = onnx(tmp_path / "m.onnx", Frictionless(), (2, 2, 2), ["q", "v", "tau"])
    assert_is_the_truth(models.load(path, nv=2), friction=False)
    unclear = onnx(tmp_path / "n.onnx", Frictionless(), (2, 2, 2), ["x", "y", "z"])
    with pytest.raises(ModelError, match=r"2 inputs \(x, z\)"):
        models.load(unclear, nv=2)
    assert_is_the_truth(models.load(unclear, nv=2, order=("q", "tau")), friction=False)


def test_an_observation_and_an_action_are_declared(tmp_path: Path) -> None:
    path = onnx(tmp_path / "m.onnx", Observing(), (4, 2), ["obs", "act"])
    with pytest.raises(ModelError, match=r'such as order = \[\["q", "v"\], "tau"\]'):
        models.load(path, nv=2)
    with pytest.raises(ModelError, match="takes 2 inputs, declared is one joined input"):
        models.load(path, nv=2, joined=True)
    (tmp_path / "m.toml").write_text('order = [["q", "v"], "tau"]')
    assert_is_the_truth(models.load(path, nv=2))


@pytest.mark.parametrize(
    ("order", "names", "words"),
    [
        (("q", "q", "tau"), ("a", "b", "c"), "at most once each"),
        (("q", "speed"), ("a", "b"), "at most once each"),
        ((), ("a", "b"), "at most once each"),
        (("q", "v"), ("a", "b", "c"), "declared is an order of 2"),
        ((("q", "v"), "tau"), ("q", "v", "tau"), "declared is an order of 2"),
        (("v", "q"), ("q", "v"), "leave the order out"),
    ],
)
def test_an_order_that_does_not_fit_is_one_line(order, names, words) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        input_order("m.onnx", names, Declaration(order=order))
    assert "\n" not in str(caught.value)


def test_one_tensor_holds_what_is_declared() -> None:
    joined = Declaration(joined=True, order=("tau", ("q", "v")))
    assert input_order("m", ("x",), joined) == (("tau", "q", "v"),)
    assert input_order("m", None, Declaration(joined=True)) == (("q", "v", "tau"),)
    with pytest.raises(ModelError, match="joined = true"):
        input_order("m", ("x",), Declaration())
