"""Files as training code and exporters leave them: wrapped weights, mixed inputs, pointers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from discover import models
from discover.data.logs import read_log
from discover.data.settings import Columns, Recording
from discover.errors import WorldlawError


class Net(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(3, 8), nn.Tanh())
        self.head = nn.Linear(8, 1)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.head(self.trunk(torch.cat([q, v, tau], dim=-1)))


def renamed(state, before, after):
    return {name.replace(before, after): x for name, x in state.items()}


STATE = Net().state_dict()
SAVED = {
    "a compiled part": renamed(STATE, "trunk.", "trunk._orig_mod."),
    "a part on several devices": renamed(STATE, "head.", "head.module."),
    "both, in a trainer's file": {
        "epoch": 7,
        "state_dict": {
            f"net.module.{name}": x for name, x in renamed(STATE, "0.", "_orig_mod.0.").items()
        },
    },
    "averaged": {"n_averaged": torch.tensor(9)} | {f"module.{k}": x for k, x in STATE.items()},
    "beside an optimiser's": {
        "weights": dict(STATE),
        "optimiser": {"state": {}, "param_groups": []},
        "obs_rms": {"mean": torch.zeros(3), "var": torch.ones(3)},
    },
}


@pytest.mark.parametrize("name", SAVED)
def test_weights_are_found_in_what_training_code_saves(tmp_path: Path, name: str) -> None:
    torch.save(SAVED[name], tmp_path / "w.pt")
    loaded = models.load(tmp_path / "w.pt", module=Net(seed=1), nv=1)
    x = torch.ones(4, 1)
    torch.testing.assert_close(loaded(x, x, x), Net()(x, x, x).detach())


def test_two_sets_of_weights_are_not_chosen_from(tmp_path: Path) -> None:
    torch.save({"online": dict(STATE), "target": dict(STATE)}, tmp_path / "w.pt")
    with pytest.raises(WorldlawError, match="found 2 \\(online, target\\)"):
        models.load(tmp_path / "w.pt", module=Net(), nv=1)


def test_names_that_the_module_has_itself_stay(tmp_path: Path) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = Net()

        def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
            return self.module(q, v, tau)

    torch.save(Holder().state_dict(), tmp_path / "w.pt")
    assert models.load(tmp_path / "w.pt", module=Holder(), nv=1) is not None


def onnx_file(path: Path, types: tuple[int, ...], ir: int = 9) -> Path:
    names = ("q", "v", "tau")
    nodes = [helper.make_node("Cast", [n], [f"{n}_"], to=TensorProto.FLOAT) for n in names]
    nodes.append(helper.make_node("Concat", [f"{n}_" for n in names], ["x"], axis=1))
    nodes.append(helper.make_node("MatMul", ["x", "W"], ["a"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(n, t, ["B", 1]) for n, t in zip(names, types, strict=True)],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["B", 1])],
        [numpy_helper.from_array(np.array([[2.0], [-1.0], [3.0]], dtype=np.float32), "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = ir
    onnx.save(model, path)
    return path


def test_every_input_is_fed_in_its_own_precision(tmp_path: Path) -> None:
    types = (TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.FLOAT16)
    loaded = models.load(onnx_file(tmp_path / "net.onnx", types), nv=1)
    answer = loaded(torch.full((3, 1), 0.5), torch.ones(3, 1), torch.ones(3, 1))
    torch.testing.assert_close(answer, torch.full((3, 1), 3.0))


def test_what_cannot_be_fed_or_read_is_named(tmp_path: Path) -> None:
    types = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32)
    with pytest.raises(WorldlawError, match=r"found tensor\(int32\) as 'tau'"):
        models.load(onnx_file(tmp_path / "whole.onnx", types), nv=1)
    newer = onnx_file(tmp_path / "newer.onnx", (TensorProto.FLOAT,) * 3, ir=1_000)
    with pytest.raises(WorldlawError, match="IR version: 1000, max supported"):
        models.load(newer, nv=1)


@pytest.mark.parametrize("name", ["net.onnx", "net.pt", "net.pt2", "net.safetensors"])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(WorldlawError, match="git lfs pull"):
        models.load(path, nv=1)
    with pytest.raises(WorldlawError, match="git lfs pull"):
        models.load(path, module=Net(), nv=1)
    recording = Recording(
        folder=str(tmp_path), train=(name,), columns=Columns(time="t", q=("q",), tau=("u",))
    )
    with pytest.raises(WorldlawError, match="git lfs pull"):
        read_log(name, recording)


def test_a_factory_may_take_its_arguments_by_name_only(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "def make():\n    return lambda *, torque, qvel, qpos: torque - qvel - 9 * qpos\n"
    )
    loaded = models.load(f"{path}:make", nv=1)
    one = torch.ones(2, 1)
    torch.testing.assert_close(loaded(one, 2 * one, 3 * one), -8 * one)
