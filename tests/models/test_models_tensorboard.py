"""Learning curves for TensorBoard, by choice."""

import sys
from types import ModuleType

import pytest
from small_systems import dataset, pendulum

from discover import models
from discover.errors import ModelError
from discover.training.loop import TrainingConfig
from discover.training.train import train

SMALL = TrainingConfig(epochs=3, batch=128)


def test_every_epoch_is_written_where_the_package_is_there(monkeypatch, tmp_path):
    written, places = [], []

    class SummaryWriter:
        def __init__(self, folder):
            places.append(folder)

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    model = models.build("mlp", 1, 1, {"width": 8, "depth": 1})
    result = train(model, dataset(pendulum, 1, 256), config=SMALL, tensorboard=tmp_path / "events")
    assert places == [str(tmp_path / "events")]
    assert written[-1] == "closed"
    curve = [(value, step) for name, value, step in written[:-1] if name == "validation"]
    assert curve == [(row["validation"], row["epoch"]) for row in result.history]


def test_a_missing_package_is_said_before_training(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    model = models.build("mlp", 1, 1, {"width": 8, "depth": 1})
    with pytest.raises(ModelError, match=r"worldlaw\[tensorboard\]"):
        train(model, dataset(pendulum, 1, 256), config=SMALL, tensorboard=tmp_path)
