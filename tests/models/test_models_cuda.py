"""Models on a graphics card: trained there, asked there, examined there. Skipped without one."""

from __future__ import annotations

import copy
import math
import shutil
from dataclasses import replace

import pytest
import torch
from small_models import GRADIENT, ask_double_pendulum, small
from small_systems import dataset, double_pendulum, rows, trajectories
from torch import nn

import discover
import kinematics
from discover import models
from discover.training.loop import TrainingConfig
from discover.training.train import STATE_FILE, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
SHORT = TrainingConfig(epochs=15, batch=128, lr=5e-3)


def data_for(kind: str, model: models.WorldModel):
    system = ask_double_pendulum(kind)
    if model.history > 1:
        return trajectories(system, 2, 60, 20, dt=model.dt)
    return dataset(system, 2, 1024, dt=model.dt)


def flat(answer) -> torch.Tensor:
    """Accelerations, or both parts of a next state side by side."""
    return answer if isinstance(answer, torch.Tensor) else torch.cat(answer, -1)


@pytest.mark.parametrize("kind", GRADIENT)
def test_learns_there_and_comes_home(kind, tmp_path):
    model = small(kind, 2)
    data = data_for(kind, model)
    result = train(model, data, config=SHORT, out=tmp_path, device=DEVICE)
    assert result.metrics["validation_error"] < 0.5 * result.history[0]["validation"]
    assert {x.device.type for x in model.state_dict().values()} == {"cpu"}
    back = models.load(tmp_path / "model.safetensors")
    part = data.part("validation")
    states = (part.q, part.v, part.tau)
    assert torch.equal(flat(model(*states)), flat(back(*states)))


@pytest.mark.parametrize("kind", sorted(models.FAMILIES))
def test_answers_there_as_here(kind):
    """And where the question lies elsewhere than the model, the answer lies with the question."""
    model = small(kind, 2)
    train(model, data_for(kind, model), config=replace(SHORT, epochs=1), device="cpu")
    away = copy.deepcopy(model).to(DEVICE)
    part = rows(double_pendulum, 2, 300, 5)
    here = (part.q, part.v, part.tau)
    there = tuple(x.to(DEVICE) for x in here)
    expected = flat(model(*here))
    for own, asked in ((away, there), (away, here), (model, there)):
        found = flat(own(*asked))
        assert found.device.type == asked[0].device.type
        assert (found.cpu() - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"compile": True}, {"rollout": 3}])
def test_ways_of_training(change):
    if "compile" in change and not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("torch.compile needs a C compiler to launch its kernels")
    if "rollout" in change:
        model = small("mlp", 2, outputs="next_state", dt=0.05)
        data = trajectories(double_pendulum, 2, 60, 20, dt=0.05)
    else:
        model, data = small("mlp", 2), dataset(double_pendulum, 2, 1024)
    result = train(model, data, config=replace(SHORT, **change), device=DEVICE)
    assert result.metrics["validation_error"] < 0.5 * result.history[0]["validation"]


def stopped_after(model: models.WorldModel, batches: float) -> list[int]:
    """Has a model's training cut after so many batches; the list counts those it came to."""
    loss_of, asked = model.rollout_loss, [0]

    def counted(held):
        if asked[0] >= batches:
            raise Cut
        asked[0] += 1
        return loss_of(held)

    model.rollout_loss = counted  # type: ignore[method-assign]
    return asked


class Cut(Exception):
    """What stops a training in the middle."""


def test_a_killed_training_goes_on_there(tmp_path):
    """Cut after some epochs and resumed, it does what was left, and ends near where it would have
    ended uncut."""
    data = dataset(double_pendulum, 2, 1024)
    config = replace(SHORT, checkpoint_s=0.0)
    uncut, cut, again = (small("mlp", 2) for _ in range(3))
    batches = stopped_after(uncut, math.inf)
    whole = train(uncut, data, config=config, device=DEVICE)
    each = batches[0] // len(whole.history)
    stopped_after(cut, 7 * each)
    with pytest.raises(Cut):
        train(cut, data, config=config, device=DEVICE, out=tmp_path)
    assert (tmp_path / STATE_FILE).exists()
    left = stopped_after(again, math.inf)
    resumed = train(again, data, config=config, device=DEVICE, out=tmp_path, resume=True)
    assert left[0] == batches[0] - 7 * each
    assert len(resumed.history) == len(whole.history)
    ended = [r.metrics["validation_error"] for r in (whole, resumed)]
    assert ended[1] == pytest.approx(ended[0], rel=1e-2)


class OnTheCard(nn.Module):
    """The simulator as somebody's module, whose parameters lie on the card."""

    def __init__(self, robot: kinematics.Robot) -> None:
        super().__init__()
        self.robot = robot.to(device=DEVICE)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64, device=DEVICE))

    def forward(self, q, v, tau):
        assert q.device.type == self.scale.device.type
        return self.scale * kinematics.aba(self.robot, q, v, tau)


def test_a_model_that_lives_there_is_examined():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=2.0, tau=5.0)
    exam = discover.examine(OnTheCard(robot), robot, region, budget="quick")
    assert exam.verdict == "physics"
    q, v, tau = kinematics.random_state(robot, 500, seed=1)
    expected = kinematics.aba(robot, q, v, tau)
    there = [x.to(DEVICE) for x in (q, v, tau)]
    for law in (exam.law, exam.law.compile()):
        found = law(*there)
        assert found.device.type == torch.device(DEVICE).type
        assert (found.cpu() - expected).norm() < 1e-5 * expected.norm()
