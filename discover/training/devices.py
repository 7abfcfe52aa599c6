"""Data-parallel training on several devices of one machine, by Lightning Fabric.

Every device holds the whole model and takes its share of each batch; gradients are averaged, so
that the steps are those of one device (to the order of sums). Processes, communication and devices
are Fabric's (`pip install 'worldlaw[devices]'`), imported only here and only when asked for.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import Samples, WorldModel
from discover.training.loop import Process, TrainingConfig, descend
from discover.training.state import StateStore


class _Loss(nn.Module):
    """A model's loss as a module of plain tensors, which is what Fabric wraps."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **samples: Tensor) -> Tensor:
        return self.model.rollout_loss(Samples(**samples))


class DataParallelProcess(Process):
    """One process of several that share each batch."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.first = fabric.global_rank == 0
        self.rank, self.world = fabric.global_rank, fabric.world_size

    def set_up(self, model: WorldModel, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        module, wrapped = self.fabric.setup(_Loss(model), optimizer)

        def loss_of(samples: Samples) -> Tensor:
            return module(**{k: x for k, x in vars(samples).items() if x is not None})

        return loss_of, wrapped

    def rows(self, rows: Tensor) -> Tensor:
        return rows[self.rank :: self.world]

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def agree(self, number: float) -> float:
        return float(self.fabric.broadcast(number))

    def mean(self, x: Tensor) -> Tensor:
        return self.fabric.all_reduce(x, reduce_op="mean")


def descend_together(
    model: WorldModel,
    train: Samples,
    validation: Samples,
    *,
    config: TrainingConfig,
    seed: int,
    device: torch.device,
    devices: int,
    budget_s: float | None,
    store: StateStore | None,
    resume: bool,
    progress: bool | None,
) -> tuple[list[dict[str, float]], list[str]]:
    """As `training.loop.descend`, on `devices` devices of the kind of `device` at once.

    Raises ModelError where Fabric or the devices are missing, or a batch cannot be shared evenly.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        raise ModelError(
            "train.devices above 1 needs the package lightning-fabric, which is not installed: "
            "pip install 'worldlaw[devices]', or leave it out"
        ) from error
    if device.type == "cuda" and torch.cuda.device_count() < devices:
        raise ModelError(
            f"train.devices: expected at most {torch.cuda.device_count()}, which are here, found "
            f"{devices}"
        )
    batch = min(config.batch, len(train))
    if batch % devices:
        raise ModelError(
            f"train.devices: expected a number that divides the batch of {batch}, found {devices}"
        )
    # a scalar network's last bias, for one, plays no part in any acceleration
    strategy = DDPStrategy(start_method="spawn", find_unused_parameters=True)
    fabric = Fabric(accelerator=device.type, devices=devices, strategy=strategy)
    task = partial(
        _take_part,
        model=model,
        train=train,
        validation=validation,
        config=config,
        seed=seed,
        budget_s=budget_s,
        store=store,
        resume=resume,
        progress=progress,
    )
    history, notes, best = fabric.launch(task)
    like = model.state_dict()
    model.load_state_dict({name: torch.from_numpy(x).to(like[name]) for name, x in best.items()})
    model.eval()
    return history, notes


def _take_part(
    fabric: Any, **asked: Any
) -> tuple[list[dict[str, float]], list[str], dict[str, np.ndarray]]:
    """Run in each process; the first one's result is returned, in arrays that outlive it."""
    history, notes = descend(device=fabric.device, process=DataParallelProcess(fabric), **asked)
    return history, notes, _arrays(asked["model"])


def _arrays(model: WorldModel) -> dict[str, np.ndarray]:
    return {name: x.cpu().numpy() for name, x in model.state_dict().items()}
