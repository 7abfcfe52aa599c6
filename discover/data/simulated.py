"""Simulated data sets: states by a design, labelled by the reference simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.region import Region
from discover.blackbox.sampling import rollouts, sample
from discover.data.dataset import SPLITS, Dataset, describe
from discover.data.settings import Data
from kinematics import Robot, aba, difference, integrate, simulate

_AT_A_TIME = 8192


def generate(data: Data, region: Region, robot: Robot, seed: int, **more: Any) -> Dataset:
    """A data set by its settings; `more` goes into the metadata.

    Accelerations are exact (forward dynamics), next states come from one RK4 step of data.dt with
    the joint force held. Independent samples are split at random, rollouts by trajectory. Noise is
    added to the labels of training and validation; the test labels stay exact.
    """
    box = region.resolve(robot.nv)
    steps = data.outputs == "next_state"
    if data.design == "trajectories":
        drawn = rollouts(box, robot, data.samples, seed, data.dt)
        columns = {**drawn.batch._asdict(), "trajectory": drawn.trajectory, "t": drawn.t}
        answers = {"q_next": drawn.q_next, "v_next": drawn.v_next} if steps else {"a": drawn.a}
    else:
        batch = sample(box, robot, data.samples, seed, data.design, hole=data.hole)
        columns = {
            **batch._asdict(),
            "trajectory": torch.arange(data.samples),
            "t": torch.zeros(data.samples, dtype=torch.float64),
        }
        answers = _answers(robot, columns, data.dt if steps else None)
    # The seeds of split and noise are derived, or their draws would repeat those of the states.
    splits, noises = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    split = _split(columns["trajectory"], data, splits)
    if data.noise:
        answers = _noisy(robot, columns, answers, split, data.noise, noises)
    metadata = describe(
        robot,
        outputs=data.outputs,
        dt=data.dt if steps or data.design == "trajectories" else None,
        source="simulator",
        seed=seed,
        design=data.design,
        noise=data.noise,
        region=region.to_dict(),
        **more,
    )
    return Dataset(split=split, metadata=metadata, **columns, **answers)


def _answers(robot: Robot, columns: dict[str, Tensor], dt: float | None) -> dict[str, Tensor]:
    """Accelerations, or the states after dt where it is given, in pieces to save memory."""
    pieces: list[dict[str, Tensor]] = []
    for rows in torch.arange(len(columns["t"])).split(_AT_A_TIME):
        q, v, tau = (columns[name][rows] for name in ("q", "v", "tau"))
        if dt is None:
            pieces.append({"a": aba(robot, q, v, tau)})
        else:
            path = simulate(robot, q, v, tau, dt, 1)
            pieces.append({"q_next": path.q[1], "v_next": path.v[1]})
    return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}


def _split(trajectory: Tensor, data: Data, rng: np.random.Generator) -> Tensor:
    """Whole trajectories into test, validation and train, until each has its share of samples."""
    lengths = torch.bincount(trajectory)
    order = torch.from_numpy(rng.permutation(len(lengths)))
    before = (lengths[order].cumsum(0) - lengths[order]) / len(trajectory)
    of_trajectory = torch.full((len(lengths),), SPLITS.index("train"))
    of_trajectory[order[before < data.test + data.validation]] = SPLITS.index("validation")
    of_trajectory[order[before < data.test]] = SPLITS.index("test")
    return of_trajectory[trajectory]


def _noisy(
    robot: Robot,
    columns: dict[str, Tensor],
    answers: dict[str, Tensor],
    split: Tensor,
    noise: float,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """The labels with noise: a fraction of the root mean square of a, or of the step's change."""
    noisy = (split != SPLITS.index("test")).double()[:, None]

    def draw(change: Tensor) -> Tensor:
        spread = noise * change.square().mean(0).sqrt()
        return noisy * spread * torch.from_numpy(rng.standard_normal(tuple(change.shape)))

    if "a" in answers:
        return {"a": answers["a"] + draw(answers["a"])}
    moved = difference(robot, columns["q"], answers["q_next"])
    return {
        "q_next": integrate(robot, answers["q_next"], draw(moved), 1.0),
        "v_next": answers["v_next"] + draw(answers["v_next"] - columns["v"]),
    }
