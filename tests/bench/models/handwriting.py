"""Handwriting task: torques of a two-joint arm, and their inertial, Coriolis and gravity parts.

Lutter, Ritter, Peters (2019), "Deep Lagrangian Networks".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover import models
from discover.data.dataset import SPLITS, Dataset, describe
from discover.models.families.delan import DeLaN
from discover.training.loop import TrainingConfig
from discover.training.train import choose_device, device_name, train
from kinematics import Robot

PUBLISHED = {"torque": 4.3e-4, "inertial": 7.3e-4, "Coriolis": 2.2e-4, "gravity": 7.3e-4}
READING = (
    "Our reading: a two-joint arm in a vertical plane (point masses of 1 kg on rods of 1 m; the "
    "paper does not say its masses, so the size of the torques is given beside the errors) draws "
    "20 strokes in about a third of its reach: smooth random curves of the pen that start and end "
    "at rest, as written characters do. 17 are for training, 3 are kept for the test. A deep "
    "Lagrangian network learns from q, v, a and τ; its torque H a + c + g and its three parts are "
    "compared with the simulator's on the test strokes."
)
STROKES, TEST = 20, 3
LASTING, RATE = 3.0, 200  # s a stroke, samples a second
CENTRE, SIZE = (0.9, -0.6), 0.35  # m: where the pen writes, and how large
TRAIN_S = 75.0


def measure(*, device: str = "cpu", train_s: float = TRAIN_S) -> dict[str, Any]:
    """Mean squared errors of torque and of its parts on the test strokes, JSON-able."""
    robot = kinematics.load("double_pendulum")
    data = strokes(robot, seed=0)
    model = models.build(
        "delan",
        2,
        2,
        {"trig": True},
        kinds=robot.independent_kinds,
        parents=robot.independent_parents,
    )
    assert isinstance(model, DeLaN)
    config = TrainingConfig(epochs=1500, batch=512, lr=3e-3, final_lr=1e-4, patience=0)
    place = choose_device(device)
    result = train(model, data, device=str(place), budget_s=train_s, config=config)
    rows = data.part("test")
    assert rows.a is not None
    true = parts_of(robot, rows.q, rows.v, rows.a)
    said = parts_by(model, rows.q, rows.v, rows.a)
    found = {
        name: {
            "mse": float((said[name] - true[name]).square().mean()),
            "meansquare": float(true[name].square().mean()),
        }
        for name in PUBLISHED
    }
    return {
        "parts": found,
        "train": len(data.part("train")),
        "test": len(rows),
        "parameters": model.parameter_count(),
        "train_s": result.metrics["seconds"],
        "epochs": len(result.history),
        "validation_error": result.metrics["validation_error"],
        "trained_on": device_name(place),
    }


def parts_of(robot: Robot, q: Tensor, v: Tensor, a: Tensor) -> dict[str, Tensor]:
    """The simulator's torque and its parts, each (n, nv)."""
    zero = torch.zeros_like(v)
    gravity = kinematics.rnea(robot, q, zero, zero)
    coriolis = kinematics.rnea(robot, q, v, zero) - gravity
    torque = kinematics.rnea(robot, q, v, a)
    return {
        "torque": torque,
        "inertial": torque - coriolis - gravity,
        "Coriolis": coriolis,
        "gravity": gravity,
    }


@torch.no_grad()
def parts_by(model: DeLaN, q: Tensor, v: Tensor, a: Tensor) -> dict[str, Tensor]:
    """The same from the network's mass matrix and potential."""
    H, gravity = model.mass_matrix(q), model.gravity(q)
    free = model(q, v, torch.zeros_like(v))  # -H⁻¹ (c + g)
    inertial = torch.einsum("bij,bj->bi", H, a)
    bias = -torch.einsum("bij,bj->bi", H, free)
    return {
        "torque": inertial + bias,
        "inertial": inertial,
        "Coriolis": bias - gravity,
        "gravity": gravity,
    }


def strokes(robot: Robot, seed: int) -> Dataset:
    """Joint motions (elbow to one side) behind random strokes of the pen, one trajectory each."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Tensor]] = {k: [] for k in ("q", "v", "a")}
    for _ in range(STROKES):
        for name, x in zip(columns, _joint_motion(*_pen(rng)), strict=True):
            columns[name].append(x)
    q, v, a = (torch.cat(columns[name]) for name in ("q", "v", "a"))
    n = len(columns["q"][0])
    run = torch.arange(STROKES).repeat_interleave(n)
    split = torch.full_like(run, SPLITS.index("train"))
    split[run >= STROKES - TEST] = SPLITS.index("test")
    held = (torch.arange(len(run)) % 50 >= 45) & (run < STROKES - TEST)
    split[held] = SPLITS.index("validation")  # short pieces of the training strokes
    return Dataset(
        q=q,
        v=v,
        tau=kinematics.rnea(robot, q, v, a),
        a=a,
        trajectory=run,
        t=torch.arange(n, dtype=torch.float64).repeat(STROKES) / RATE,
        split=split,
        metadata=describe(robot, dt=1 / RATE, seed=seed, source="simulator"),
    )


def _pen(rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Position, velocity and acceleration of the pen (n, 2): waves of the stroke's own progress,
    which leaves rest and comes to rest smoothly."""
    share = torch.linspace(0, 1, round(LASTING * RATE) + 1, dtype=torch.float64)
    progress = share**3 * (10 - 15 * share + 6 * share**2)
    rate = 30 * share**2 * (1 - share) ** 2 / LASTING
    bend = 60 * share * (1 - share) * (1 - 2 * share) / LASTING**2
    waves = torch.arange(1, 5, dtype=torch.float64) * torch.pi
    size = torch.from_numpy(rng.normal(size=(2, 4))) / torch.arange(1, 5) ** 0.5
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, (2, 4)))
    angle = waves * progress[:, None, None] + phase
    x = (size * torch.sin(angle)).sum(-1)
    slope = (size * waves * torch.cos(angle)).sum(-1)
    curve = -(size * waves**2 * torch.sin(angle)).sum(-1)
    middle, reach = (x.amax(0) + x.amin(0)) / 2, (x - x.mean(0)).abs().amax()
    scale = SIZE / reach
    at = torch.tensor(CENTRE, dtype=torch.float64) + scale * (x - middle)
    speed = scale * slope * rate[:, None]
    pull = scale * (curve * rate[:, None] ** 2 + slope * bend[:, None])
    return at, speed, pull


def _joint_motion(x: Tensor, dx: Tensor, ddx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse kinematics of two rods of 1 m hanging at q = 0, and its derivatives.

    The pen is at (-sin q1 - sin(q1 + q2), -cos q1 - cos(q1 + q2)) for the axis (0, 1, 0).
    """
    c2 = (x.square().sum(-1) - 2) / 2
    q2 = torch.arccos(c2.clamp(-1, 1))
    away = torch.atan2(-x[:, 0], -x[:, 1])
    q1 = away - torch.atan2(torch.sin(q2), 1 + torch.cos(q2))
    q12 = q1 + q2
    s1, c1, s12, c12 = torch.sin(q1), torch.cos(q1), torch.sin(q12), torch.cos(q12)
    jacobian = torch.stack((-c1 - c12, -c12, s1 + s12, s12), -1).unflatten(-1, (2, 2))
    v = torch.linalg.solve(jacobian, dx.unsqueeze(-1)).squeeze(-1)
    v12 = v.sum(-1)
    centripetal = torch.stack(
        (s1 * v[:, 0] ** 2 + s12 * v12**2, c1 * v[:, 0] ** 2 + c12 * v12**2), -1
    )
    a = torch.linalg.solve(jacobian, (ddx - centripetal).unsqueeze(-1)).squeeze(-1)
    return torch.stack((q1, q2), -1), v, a
