"""Energy task: the error in energy of forecasts of the free double pendulum.

Cranmer et al. (2020), "Lagrangian Neural Networks".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover import models
from discover.blackbox.contract import Dynamics, relative_error
from discover.data.dataset import SPLITS, Dataset, describe
from discover.evaluation import forecast
from discover.evaluation.measure import compiled
from discover.training.loop import TrainingConfig
from discover.training.train import choose_device, device_name, train
from kinematics import Robot

PUBLISHED = {"lnn": 0.0043, "mlp": 0.0736}
READING = (
    "Our reading: two point masses of 1 kg on rods of 1 m, g = 9.8 m/s², no joint forces. 40 "
    "starts at rest, both angles uniform on the full circle; each is rolled out for 100 s with "
    "Runge–Kutta steps of 10 ms. The error is |energy of the forecast − energy of the truth|, "
    "weighed by the true masses, averaged over time and starts, over the largest potential energy "
    "seen from the pivot, 3 m g l = 29.4 J. Models learn accelerations at states of other motions "
    "from rest. Published: 0.0043 for the Lagrangian network, 0.0736 for a plain one."
)
G, MOST = 9.8, 3 * 9.8
MOTIONS, LASTING, EVERY = 500, 20.0, 20  # training motions, their length [s], steps apart
STARTS, SECONDS, DT = 40, 100.0, 0.01
TRAIN_S, EPOCHS = 110.0, 2000  # of training: seconds and epochs, at most
# name -> (family, its options, learning rate, chosen on held-out training motions)
CONTENDERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "DeLaN": ("delan", {"trig": True}, 3e-3),
    "MLP": ("mlp", {"trig": True}, 3e-3),
    "Lagrangian network": ("lnn", {"trig": True, "width": 64}, 1e-2),
}


def pendulum() -> Robot:
    """The bundled double pendulum under the paper's gravity."""
    robot = kinematics.load("double_pendulum")
    return robot.replace(gravity=torch.tensor([0.0, 0.0, -G], dtype=torch.float64))


def measure(name: str, *, device: str = "cpu", train_s: float = TRAIN_S) -> dict[str, Any]:
    """The energy error of one of the `CONTENDERS` beside the simulator's own, JSON-able."""
    kind, options, lr = CONTENDERS[name]
    robot = pendulum()
    data = motions(robot, MOTIONS, seed=0)
    test = motions(robot, 20, seed=1)
    start = starts(STARTS, seed=2)
    steps = round(SECONDS / DT)
    truth = compiled(kinematics.compile(robot, "aba"))
    built = models.build(
        kind, 2, 2, options, kinds=robot.independent_kinds, parents=robot.independent_parents
    )
    config = TrainingConfig(epochs=EPOCHS, batch=512, lr=lr, patience=0)
    place = choose_device(device)
    result = train(built, data, device=str(place), budget_s=train_s, config=config)

    def energy_off(dynamics: Dynamics) -> float:
        still = torch.zeros_like(start)
        return energy_error(forecast.forecast(dynamics, robot, start, still, dt=DT, steps=steps))

    assert test.a is not None
    with torch.no_grad():
        said = result.model(test.q, test.v, test.tau)
    return {
        "kind": kind,
        "energy_error": energy_off(result.model),
        "own": energy_off(truth),
        "samples": len(data),
        "acceleration_error": relative_error(said, test.a),
        "parameters": result.model.parameter_count(),
        "train_s": result.metrics["seconds"],
        "epochs": len(result.history),
        "trained_on": device_name(place),
    }


def settings() -> dict[str, Any]:
    """The settings that a stored measurement depends on, besides contender and budget."""
    return {
        "motions": [MOTIONS, LASTING, EVERY],
        "forecast": [STARTS, SECONDS, DT],
        "contenders": CONTENDERS,
        "epochs": EPOCHS,
    }


def starts(n: int, seed: int) -> Tensor:
    """Angles (n, 2), uniform on the full circle."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(-math.pi, math.pi, (n, 2)))


def motions(robot: Robot, n: int, seed: int) -> Dataset:
    """States along n free motions from rest, with their accelerations; angles in one turn."""
    q0 = starts(n, 100 + seed)
    truth = compiled(kinematics.compile(robot, "aba"))
    path = forecast.forecast(
        truth, robot, q0, torch.zeros_like(q0), dt=DT, steps=round(LASTING / DT)
    )
    q = torch.remainder(path.q[::EVERY] + math.pi, 2 * math.pi) - math.pi
    v = path.v[::EVERY]
    rows, runs = q.shape[:2]
    flat_q, flat_v = q.reshape(-1, 2), v.reshape(-1, 2)
    run = torch.arange(runs).repeat(rows)
    split = torch.where(run % 20 == 0, SPLITS.index("validation"), SPLITS.index("train"))
    zero = torch.zeros_like(flat_v)
    return Dataset(
        q=flat_q,
        v=flat_v,
        tau=zero,
        a=truth(flat_q, flat_v, zero),
        trajectory=run,
        t=(DT * EVERY * torch.arange(rows, dtype=torch.float64)).repeat_interleave(runs),
        split=split,
        metadata=describe(robot, seed=seed, source="simulator"),
    )


def energy_error(path: forecast.Forecast) -> float:
    """Mean over time and starts of the departure from the first energy, over the largest
    potential energy; a forecast that is no longer finite counts as wholly wrong from there."""
    away = ((path.energy - path.energy[0]).abs() / MOST).nan_to_num(nan=1.0, posinf=1.0)
    return float(away.mean())
