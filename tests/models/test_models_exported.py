"""A model exported by plain PyTorch, asked through the command line, is judged as in Python."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

import discover
import kinematics
from discover import cli

SCRIPT = '''
"""Plain PyTorch: knows nothing of the project that will examine the models."""
import sys, torch

class Mechanics(torch.nn.Module):
    """A double pendulum in closed form (point masses of 1.3 and 0.8 kg), in double precision."""
    def __init__(self):
        super().__init__()
        # Plain numbers would be rounded to single precision by the ONNX exporter of PyTorch.
        self.register_buffer("constants", torch.tensor([1.3, 0.8, 9.81], dtype=torch.float64))
    def forward(self, q, v, tau):
        m1, m2, g = self.constants.unbind()
        q1, q2 = q[:, 0], q[:, 1]
        c, s = torch.cos(q2), torch.sin(q2)
        h11, h12, h22 = m1 + 2 * m2 * (1 + c), m2 * (1 + c), m2 + 0 * c
        low = m2 * g * torch.sin(q1 + q2)
        f1 = tau[:, 0] + m2 * s * v[:, 1] * (2 * v[:, 0] + v[:, 1])
        f1 = f1 - (m1 + m2) * g * torch.sin(q1) - low
        f2 = tau[:, 1] - m2 * s * v[:, 0] ** 2 - low
        d = h11 * h22 - h12 * h12
        return torch.stack(((h22 * f1 - h12 * f2) / d, (h11 * f2 - h12 * f1) / d), -1)

class Net(torch.nn.Module):
    """A perceptron trained on the pendulum's answers for a few seconds, in single precision."""
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        tanh = torch.nn.Tanh
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 48), tanh(), torch.nn.Linear(48, 48),
                                       tanh(), torch.nn.Linear(48, 2))
    def forward(self, q, v, tau):
        return 10.0 * self.net(torch.cat((q, v / 2, tau / 5), -1))

def trained():
    net, truth = Net(), Mechanics()
    descent = torch.optim.Adam(net.parameters(), 5e-3)
    box = torch.tensor([1.0, 1, 2, 2, 5, 5])
    for _ in range(400):
        x = box * (2 * torch.rand(256, 6) - 1)
        q, v, tau = x.split(2, -1)
        loss = (net(q, v, tau) - truth(q, v, tau)).square().mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
    return net.eval()

if __name__ == "__main__":
    out = sys.argv[1]
    torch.set_num_threads(1)
    net = trained()
    torch.save(net.state_dict(), f"{out}/weights.pth")
    shapes = {name: {0: torch.export.Dim("batch")} for name in ("q", "v", "tau")}
    for name, module, dtype in (("net", net, torch.float32),
                                ("mechanics", Mechanics(), torch.float64)):
        x = tuple(torch.ones(4, 2, dtype=dtype) for _ in range(3))
        exported = torch.export.export(module, x, dynamic_shapes=shapes)
        torch.export.save(exported, f"{out}/{name}.pt2")
        torch.onnx.export(module, x, f"{out}/{name}.onnx", input_names=["q", "v", "tau"],
                          output_names=["a"], dynamic_shapes=shapes, dynamo=True, verbose=False)
    assert not any(m.split(".")[0] in ("discover", "kinematics") for m in sys.modules)
'''
REGION = "q = 1.0\nv = 2.0\ntau = 5.0\n"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    (folder / "theirs.py").write_text(SCRIPT)
    (folder / "region.toml").write_text(REGION)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, str(folder / "theirs.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def theirs(exported) -> ModuleType:
    spec = importlib.util.spec_from_file_location("theirs", exported / "theirs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def in_python(exported, theirs) -> Callable[[str], discover.Examination]:
    """The same modules, called in Python."""
    net = theirs.Net()
    net.load_state_dict(torch.load(exported / "weights.pth", weights_only=True))
    robot = kinematics.load("double_pendulum")
    region = discover.Region.from_toml(exported / "region.toml")
    modules = {"net": net.eval(), "mechanics": theirs.Mechanics()}
    return functools.cache(lambda k: discover.examine(modules[k], robot, region, budget="quick"))


@pytest.mark.parametrize("name", [pytest.param("net", marks=pytest.mark.slow), "mechanics"])
@pytest.mark.parametrize("suffix", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_an_exported_model_gets_the_verdict_and_the_law_of_its_module(
    exported, in_python, tmp_path, name, suffix
):
    path = exported / f"{name}.{suffix}"
    said = {"model": path, "robot": "double_pendulum", "budget": "quick"}
    said |= {"region": exported / "region.toml", "out": tmp_path / "exam"}
    status = cli.main(["examine", *(f"--{key}={value}" for key, value in said.items())])
    assert status == 0
    record = json.loads((tmp_path / "exam" / "verdict.json").read_text())
    own = in_python(name)
    assert record["verdict"] == own.verdict
    assert record["confidence"] == pytest.approx(own.confidence, abs=0.02)
    if (suffix, name) != ("onnx", "net"):  # there the other runtime's rounding may ask one more
        assert record["queries"] == own.queries
    law = discover.load(tmp_path / "exam").law
    assert (law is None) == (own.law is None)
    if name == "mechanics":
        assert record["verdict"] == "physics"
    if own.law is not None:
        draw = torch.Generator().manual_seed(3)
        q, v, tau = (torch.randn(50, 2, generator=draw, dtype=torch.float64) for _ in range(3))
        size = own.law(q, v, tau).square().mean().sqrt()
        # single precision is summed in another order by the other runtime
        tolerance = 1e-9 if name == "mechanics" else 1e-3
        assert float((law(q, v, tau) - own.law(q, v, tau)).abs().max() / size) < tolerance


@pytest.mark.slow
def test_the_two_modules_are_told_apart(in_python):
    assert in_python("net").verdict != in_python("mechanics").verdict
    assert in_python("net").law is not None
