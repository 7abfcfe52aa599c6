"""Training: it learns, it stores whole models, and a killed run resumes to the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from discover import models
from discover.errors import CheckpointError, DatasetError, ModelError
from discover.training import loop
from discover.training.loop import TrainingConfig
from discover.training.train import train
from tests.models.small_systems import dataset, double_pendulum, pendulum

SMALL = TrainingConfig(epochs=12, batch=256, lr=3e-3)


def pendulum_mlp(**options):
    return models.build("mlp", 1, 1, {"width": 32, "depth": 1, **options})


def test_mlp_learns_and_comes_back_in_its_own_dtype():
    model = pendulum_mlp()
    result = train(model, dataset(pendulum, 1, 2048), config=SMALL)
    first, last = result.history[0]["validation"], result.history[-1]["validation"]
    assert last < 0.2 * first
    assert result.metrics["validation_error"] == pytest.approx(
        min(row["validation"] for row in result.history), rel=1e-3
    )
    assert model.target_scale.dtype == torch.float64
    assert model(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3, 1)).dtype == torch.float32


def test_same_seed_same_weights_and_another_seed_others():
    data = dataset(pendulum, 1, 1024)
    weights = []
    for seed in (0, 0, 1):
        model = pendulum_mlp()
        train(model, data, seed=seed, epochs=3, config=SMALL)
        weights.append(model.net.last.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


LONG = TrainingConfig(epochs=50, batch=64, checkpoint_s=0.0, patience=0)
CHILD = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
import test_training as here
here.train_long({out!r})
"""


def train_long(out):
    train(pendulum_mlp(), dataset(pendulum, 1, 512), out=out, config=LONG, resume=True)


def test_a_run_that_is_cut_resumes_to_the_same_weights(tmp_path, monkeypatch):
    """As a killed one does (below), but cut within the process, in the third of four epochs."""
    data = dataset(pendulum, 1, 256)
    short = replace(LONG, epochs=4)
    whole = train(pendulum_mlp(), data, out=tmp_path / "whole", config=short).model
    epoch, begun = loop._epoch, []

    def cut(*given, **options):
        begun.append(len(begun))
        if len(begun) == 3:
            raise KeyboardInterrupt
        return epoch(*given, **options)

    monkeypatch.setattr(loop, "_epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        train(pendulum_mlp(), data, out=tmp_path / "cut", config=short)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    again = train(pendulum_mlp(), data, out=tmp_path / "cut", config=short, resume=True).model
    assert len(begun) == 5  # two epochs before, the one that was cut, two after
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(tmp_path):
    script = textwrap.dedent(CHILD).format(
        root=str(Path(__file__).parents[2]),
        here=str(Path(__file__).parent),
        out=str(tmp_path / "cut"),
    )
    train_long(tmp_path / "whole")
    cut = subprocess.Popen([sys.executable, "-c", script])
    state = tmp_path / "cut" / "training.safetensors"
    deadline = time.monotonic() + 60
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(cut.pid, signal.SIGKILL)
    assert cut.wait() == -signal.SIGKILL
    assert state.exists(), "the run was killed before it stored a state"
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    train_long(tmp_path / "cut")
    a, b = (models.load(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert len(b.card["history"]) == 50
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, b.state_dict()[name]), name


def test_finished_run_is_not_trained_again(tmp_path):
    data = dataset(pendulum, 1, 512)
    once = train(pendulum_mlp(), data, out=tmp_path, epochs=2, config=SMALL)
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns
    model = pendulum_mlp()
    again = train(model, data, out=tmp_path, epochs=2, config=SMALL, resume=True)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == stamp
    assert again.metrics["validation_error"] == once.metrics["validation_error"]
    assert torch.equal(model.net.last.weight, once.model.net.last.weight)


def test_budget_shortens_the_schedule():
    result = train(pendulum_mlp(), dataset(pendulum, 1, 4096), epochs=10**6, budget_s=1.0)
    assert result.history[-1]["seconds"] < 2.0
    assert any("shortened" in note for note in result.notes)
    assert result.history[-1]["lr"] < 0.2 * max(row["lr"] for row in result.history)


def test_early_stopping_restores_the_best_weights():
    config = TrainingConfig(epochs=300, batch=32, lr=0.02, patience=5, final_lr=1.0)
    result = train(pendulum_mlp(), dataset(pendulum, 1, 64), config=config)
    assert len(result.history) < 300
    best = min(row["validation"] for row in result.history)
    assert result.metrics["validation_error"] == pytest.approx(best, rel=1e-3)


def test_bad_data_and_devices_are_named():
    data = dataset(pendulum, 1, 64)
    data.parts["train"].a[3] = float("nan")
    with pytest.raises(DatasetError, match="NaN"):
        train(pendulum_mlp(), data)
    with pytest.raises(ModelError, match="device"):
        train(pendulum_mlp(), dataset(pendulum, 1, 64), device="warp")
    stepper = models.build("mlp", 1, 1, outputs="next_state", dt=0.01)
    with pytest.raises(DatasetError, match="next states"):
        train(stepper, dataset(pendulum, 1, 64))


def test_truncated_and_foreign_checkpoints(tmp_path):
    path = tmp_path / "model.safetensors"
    models.save(pendulum_mlp(), path)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as caught:
            models.load(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"PK\x03\x04 nothing of ours")
    with pytest.raises(CheckpointError):
        models.load(path)


@pytest.mark.slow
def test_delan_learns_the_double_pendulum():
    model = models.build("delan", 2, 2)
    result = train(model, dataset(double_pendulum, 2, 4096), epochs=40)
    assert result.metrics["validation_error"] < 0.25
    assert result.history[0]["validation"] > 3 * result.metrics["validation_error"]
