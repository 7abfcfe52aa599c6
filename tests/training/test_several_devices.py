"""Several devices at once: the same steps as one device takes, or one line that says what is
missing."""

from __future__ import annotations

import sys

import pytest
import torch

from discover import models
from discover.errors import ModelError
from discover.training.loop import TrainingConfig
from discover.training.train import train
from tests.models.small_systems import dataset, pendulum


def mlp():
    return models.build("mlp", 1, 1, {"width": 32, "depth": 1})


def test_the_missing_package_is_named_with_its_mend(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ModelError, match="pip install 'worldlaw\\[devices\\]'"):
        train(mlp(), dataset(pendulum, 1, 64), device="cpu", devices=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "lnn"])
def test_two_processes_take_the_steps_of_one(kind, tmp_path):
    pytest.importorskip("lightning_fabric", reason="pip install 'worldlaw[devices]'")
    data = dataset(pendulum, 1, 512)
    config = TrainingConfig(epochs=4, batch=64, patience=0)
    found = []
    for devices in (1, 2):
        model = models.build(kind, 1, 1, {"width": 32, "depth": 1})
        result = train(
            model, data, device="cpu", devices=devices, config=config, out=tmp_path / str(devices)
        )
        assert len(result.history) == 4
        found.append(torch.cat([x.detach().flatten() for x in model.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelError, match="divides the batch of 64"):
        train(mlp(), data, device="cpu", devices=3, config=config)
