"""Other people's models: every format answers as the module; wrong words and code do not pass."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from discover import models
from discover.blackbox.contract import unchanged
from discover.errors import CheckpointError, ModelError

EXPORTER = '''
"""Plain PyTorch: knows nothing of the project that will examine the model."""
import sys, torch
out = sys.argv[1]
torch.manual_seed(0)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)
        self.net = torch.nn.Sequential(*layers)
    def forward(self, q, v, tau):
        return self.net(torch.cat((q, v, tau), -1))

class Step(Net):
    def forward(self, q, v, tau):
        a = self.net(torch.cat((q, v, tau), -1))
        return q + 0.02 * v + 0.0002 * a, v + 0.02 * a

net, step = Net().eval(), Step().eval()
x = tuple(torch.zeros(4, 2) for _ in range(3))
batch = torch.export.Dim("batch")
shapes = {name: {0: batch} for name in ("q", "v", "tau")}
for name, module in (("net", net), ("step", step)):
    torch.export.save(torch.export.export(module, x, dynamic_shapes=shapes), f"{out}/{name}.pt2")
    torch.jit.script(module).save(f"{out}/{name}.pt")
torch.export.save(torch.export.export(net, x), f"{out}/fixed.pt2")
outputs = {"net": ["a"], "step": ["q_next", "v_next"]}
for name, module in (("net", net), ("step", step)):
    torch.onnx.export(module, x, f"{out}/{name}.onnx", input_names=["q", "v", "tau"],
                      output_names=outputs[name], dynamic_shapes=shapes, dynamo=True, verbose=False)
torch.save(net, f"{out}/pickled.pt")
torch.save(net.state_dict(), f"{out}/weights.pth")
torch.manual_seed(1)
q, v, tau = (torch.randn(7, 2) for _ in range(3))
with torch.no_grad():
    answers = {"q": q, "v": v, "tau": tau, "net": net(q, v, tau)}
    answers["step_q"], answers["step_v"] = step(q, v, tau)
import json
json.dump({k: x.tolist() for k, x in answers.items()}, open(f"{out}/answers.json", "w"))
assert not any(name.split(".")[0] in ("discover", "kinematics") for name in sys.modules)
'''


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A folder of models exported by a script that does not import this project."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "export.py").write_text(EXPORTER)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, str(folder / "export.py"), str(folder)]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=240)
    return folder


@pytest.fixture(scope="module")
def expected(exported) -> dict[str, torch.Tensor]:
    answers = json.loads((exported / "answers.json").read_text())
    return {name: torch.tensor(x) for name, x in answers.items()}


@pytest.mark.parametrize("name", ["net.pt2", "net.pt", "net.onnx", "fixed.pt2"])
def test_every_format_answers_as_the_module(exported, expected, name):
    model = models.load(exported / name, nv=2)
    answer = model(expected["q"], expected["v"], expected["tau"])
    torch.testing.assert_close(answer, expected["net"], rtol=1e-5, atol=1e-6)
    double = model(*(expected[k].double() for k in ("q", "v", "tau")))
    assert double.dtype == torch.float64
    assert model(*(expected[k].reshape(7, 1, 2) for k in ("q", "v", "tau"))).shape == (7, 1, 2)


@pytest.mark.parametrize("name", ["step.pt2", "step.pt", "step.onnx"])
def test_next_states_of_every_format(exported, expected, name):
    model = models.load(exported / name, nv=2, outputs="next_state", dt=0.02)
    q_next, v_next = model(expected["q"], expected["v"], expected["tau"])
    torch.testing.assert_close(q_next, expected["step_q"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(v_next, expected["step_v"], rtol=1e-5, atol=1e-6)
    assert model.outputs == "next_state"


def test_wrong_declarations_are_caught(exported, tmp_path):
    cases = {
        "declare outputs and dt": ("step.pt2", {}),
        "dt > 0": ("step.pt2", {"outputs": "next_state"}),
        "step looks like 0.02 s": ("step.pt2", {"outputs": "next_state", "dt": 0.1}),
        "look like next states": ("step.pt2", {"outputs": "increment", "dt": 0.02}),
        "columns": ("net.pt2", {"outputs": "next_state", "dt": 0.02}),
        "not declared; give nv": ("net.pt2", {"nv": None}),
        "give the model's own robot": ("net.pt2", {"nv": 3}),
        "names its inputs q, v, tau": ("net.onnx", {"order": ("tau", "q", "v")}),
        "declared is one joined": ("net.onnx", {"joined": True}),
        "did you mean 'outputs'": ("net.pt2", {"output": "acceleration"}),
        "expected a key among": ("net.pt2", {"input_scale": {"a": 1.0}}),
        "no zero": ("net.pt2", {"input_scale": {"q": [1.0, 0.0]}}),
    }
    for message, (name, options) in cases.items():
        with pytest.raises(ModelError) as caught:
            models.load(exported / name, **{"nv": 2, **options})
        assert message in str(caught.value), str(caught.value)
        assert "\n" not in str(caught.value)


def factory(folder: Path, body: str) -> str:
    path = folder / "theirs.py"
    path.write_text(f"import torch\n{body}\n")
    return f"{path}:build"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def build():\n    raise OSError('no weights')", "raised OSError: no weights"),
        ("def built():\n    pass", "no 'build'"),
        ("def build():\n    return 3", "gave int"),
        ("def build():\n    return lambda q, v, tau: torch.rand_like(v)", "differently each time"),
        ("def build():\n    return lambda q, v, tau: v - v.mean(0)", "other states in the batch"),
        ("def build():\n    return lambda q, v, tau: 0 * v", "every state alike"),
        ("def build():\n    return lambda q, v, tau: v / 0", "NaN or infinity"),
        ("def build():\n    return lambda q, v, tau: v + 0.01 * (tau - q)", "next velocities"),
        ("def build():\n    return lambda q, v, tau: 'none'", "expected tensors"),
        ("def build():\n    return lambda x, y: y", "declare their order"),
        ("def build():\n    return lambda *given: given[3]", "declare order"),
    ],
)
def test_sanity_pass_names_what_is_wrong(tmp_path, body, message):
    with pytest.raises(ModelError) as caught:
        models.load(factory(tmp_path, body), nv=2)
    assert message in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_order_scaling_and_degrees_are_undone(tmp_path):
    body = """
def build():
    def theirs(x):  # (tau, q in degrees, v in degrees) standardised, one tensor
        tau, q, v = x.split(2, -1)
        q, v = torch.deg2rad(q * 20 + 5), torch.deg2rad(v * 30)
        return torch.rad2deg(tau * 4 - 9.81 * torch.sin(q) - 0.1 * v) / 50
    return theirs
"""
    path = Path(factory(tmp_path, body).removesuffix(":build"))
    path.with_suffix(".toml").write_text(
        """
        nv = 2
        joined = true
        order = ["tau", "q", "v"]
        angles = "deg"
        dtype = "float64"
        input_shift = { q = 5.0 }
        input_scale = { q = 20.0, v = [30.0, 30.0], tau = 4.0 }
        output_scale = { a = 50.0 }
        """
    )
    model = models.load(f"{path}:build")
    draw = torch.Generator().manual_seed(0)
    q, v, tau = (torch.randn(9, 2, generator=draw, dtype=torch.float64) for _ in range(3))
    truth = tau - 9.81 * torch.sin(q) - 0.1 * v
    torch.testing.assert_close(model(q, v, tau), truth, rtol=1e-12, atol=1e-12)


def test_quaternions_and_increments(tmp_path):
    body = """
def build():
    return lambda q, v, tau: (0.01 * v, 0.01 * tau)
"""
    options = {"outputs": "increment", "dt": 0.01, "dtype": "float64"}
    model = models.load(factory(tmp_path, body), kinds=("free", "revolute"), **options)
    q = torch.tensor([[0.0, 0, 0, 1, 0, 0, 0, 0.3]], dtype=torch.float64)
    v = torch.tensor([[0.0, 0, 1, 2, 0, 0, 5]], dtype=torch.float64)
    q_next, v_next = model(q, v, torch.ones_like(v))
    half = torch.tensor(0.005, dtype=torch.float64)
    turned = torch.stack((half.cos(), 0 * half, 0 * half, half.sin()))
    torch.testing.assert_close(q_next[0, 3:7], turned)
    torch.testing.assert_close(q_next[0, :3], torch.tensor([0.02, 0, 0], dtype=torch.float64))
    assert float(q_next[0, 7]) == pytest.approx(0.35)
    torch.testing.assert_close(v_next, v + 0.01)


class Evil:
    """Writes a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_pickles_are_refused_unread(exported, tmp_path):
    mark = tmp_path / "executed"
    bad = tmp_path / "model.pt"
    torch.save(Evil(mark), bad)
    raw = tmp_path / "raw.pt"
    raw.write_bytes(pickle.dumps(Evil(mark)))
    for path in (exported / "pickled.pt", exported / "weights.pth", bad, raw):
        with pytest.raises(ModelError, match=r"pickle.*export the model"):
            models.load(path, nv=2)
    assert not mark.exists()


def repack(source: Path, target: Path, change) -> Path:
    """A copy of a zip archive, each member passed through change(name, content)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_code_hidden_in_an_exported_program_is_refused(exported, tmp_path):
    mark = tmp_path / "executed"
    pickled = io.BytesIO()
    torch.save(Evil(mark), pickled)
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def attachment(name: str, content: bytes) -> bytes:
        return pickled.getvalue() if name.endswith(".pt") else content

    def size(name: str, content: bytes) -> bytes:
        if not name.endswith("models/net.json") and "/models/" not in name:
            return content
        text = content.decode().replace("Symbol('s", f"{code} or Symbol('s".replace('"', "'"), 1)
        return text.encode()

    def target(name: str, content: bytes) -> bytes:
        return content.replace(b"torch.ops.aten.cat.default", b"torch.serialization.load")

    def weights(name: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    for number, change in enumerate((attachment, size, target, weights)):
        bad = repack(exported / "net.pt2", tmp_path / f"bad{number}.pt2", change)
        assert bad.read_bytes() != (exported / "net.pt2").read_bytes()
        with pytest.raises(ModelError, match="refused"):
            models.load(bad, nv=2)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["net.pt2", "net.pt", "net.onnx"])
def test_truncated_files(exported, tmp_path, name):
    bad = tmp_path / name
    whole = (exported / name).read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError) as caught:
        models.load(bad, nv=2)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such file"):
        models.load(tmp_path / f"missing-{name}", nv=2)


def test_foreign_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="without its model card"):
        models.load(tmp_path / "foreign.safetensors")


def test_own_checkpoints_declare_themselves(tmp_path):
    model = models.build("mlp", 1, 1, {"width": 8}, outputs="increment", dt=0.1)
    models.save(model, tmp_path / "m.safetensors")
    assert models.load(tmp_path / "m.safetensors").outputs == "increment"
    stepper = models.load(tmp_path / "m.safetensors", outputs="next_state", nv=1)
    x = torch.ones(3, 1, dtype=torch.float64)
    assert torch.equal(stepper(x, x, x)[0], x + model(x, x, x)[0])
    with pytest.raises(ModelError, match="own declaration"):
        models.load(tmp_path / "m.safetensors", dt=0.2)


QUITS = {
    "required argument": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', required=True)\n"
        "p.parse_args()\ndef build():\n    return lambda q, v, tau: tau - q\n",
        "arguments are required: --data",
    ),
    "message": (
        "import sys\ndef build():\n    sys.exit('no checkpoint\\nin weights/')\n",
        "(no checkpoint in weights/)",
    ),
    "silent": ("raise SystemExit", "(status None)"),
}


@pytest.mark.parametrize("name", QUITS)
def test_a_factory_that_exits_is_one_line(tmp_path, capsys, name: str) -> None:
    body, reason = QUITS[name]
    with pytest.raises(ModelError) as caught:
        models.load(factory(tmp_path, body), nv=2)
    assert reason in str(caught.value)
    assert "__main__" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""


def test_a_factory_does_not_read_the_arguments_of_the_program(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """And what it logs goes where it would have gone, while loading and later."""
    monkeypatch.setattr(sys, "argv", ["discover", "examine", "--model", "x"])
    body = """
import argparse, logging, sys
p = argparse.ArgumentParser()
p.add_argument("--model", default="small")
assert p.parse_args().model == "small"
log = logging.getLogger("of a factory")
log.addHandler(logging.StreamHandler(sys.stderr))
log.error("loading")
def build():
    def model(q, v, tau):
        log.error("asked")
        return tau - q
    return model
"""
    model = models.load(factory(tmp_path, body), nv=2, sanity=False)
    assert sys.argv[0] == "discover"
    model(*torch.zeros(3, 1, 2))
    assert capsys.readouterr().err == "loading\nasked\n"


def test_a_factory_that_changes_its_inputs_is_caught(tmp_path: Path) -> None:
    (tmp_path / "thief.py").write_text(
        "def factory():\n"
        "    def model(q, v, tau):\n"
        "        tau *= 2\n"
        "        return tau - q\n"
        "    return model\n"
    )
    with pytest.raises(ModelError, match="in place"):
        models.load(f"{tmp_path / 'thief.py'}:factory", nv=2)


def test_a_question_that_is_not_a_number_is_no_change_of_the_inputs(tmp_path: Path) -> None:
    """Forecasts that leave all bounds ask with NaN, which is not equal to itself."""
    (tmp_path / "plain.py").write_text("def factory():\n    return lambda q, v, tau: tau - q\n")
    model = models.load(f"{tmp_path / 'plain.py'}:factory", nv=2)
    x = torch.full((3, 2), torch.nan, dtype=torch.float64)
    assert bool(model(x, x, x).isnan().all())
    assert unchanged(x, x.clone())
    assert not unchanged(x, x.nan_to_num(0.0))
    assert not unchanged(x, x[:2])
