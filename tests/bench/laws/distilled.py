"""Part `taught` of the bench: is a planted law identified from a network trained on its simulator?

A network has an error of its own, and outside the region it follows no law. Scored is the law that
its answers *inside* the region follow, within that error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import kinematics
from discover import models
from discover.blackbox import sampling
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.region import Region
from discover.training.loop import TrainingConfig
from discover.training.train import train
from kinematics import Robot
from tests.bench.laws.planting import laws_of, plant
from tests.bench.laws.scoring import score
from tests.bench.trials import Part, Record, Trial

REGION = Region(q=1.0, v=2.0, tau=5.0)
ROBOT = "double_pendulum"
LAWS = "distilled"
SAMPLES, EPOCHS, BATCH = 8000, 120, 256


@dataclass(frozen=True)
class TrainingSet:
    """Answers of the planted simulator, in the form that `train` expects."""

    train: Answers
    validation: Answers

    def part(self, split: str) -> Rows:
        """ "train" or "validation"."""
        return Rows(self.train if split == "train" else self.validation)


class Rows:
    """States that belong to no trajectory."""

    def __init__(self, answers: Answers):
        self.q, self.v, self.tau = answers.q, answers.v, answers.tau
        self.a: Tensor | None = answers.a
        self.q_next = self.v_next = None
        self.trajectory = torch.arange(len(answers))
        self.t = torch.zeros(len(answers), dtype=torch.float64)


def distil(truth: Callable, robot: Robot, seed: int, epochs: int = EPOCHS) -> Callable:
    """A perceptron trained on the simulator's answers in the region; `epochs` at most."""
    box = REGION.resolve(robot.nv)

    def answers(n: int, k: int) -> Answers:
        q, v, tau = sampling.sample(box, robot, n, 1000 * seed + k, "sobol")
        return Answers(q=q, v=v, tau=tau, a=truth(q, v, tau))

    built = models.build(
        "mlp", robot.nq, robot.nv, {"trig": True, "width": 96}, kinds=robot.independent_kinds,
        parents=robot.independent_parents, outputs="acceleration", dt=None, robot=None, seed=seed,
    )  # fmt: skip
    config = TrainingConfig(epochs=epochs, batch=BATCH, patience=0)
    data = TrainingSet(answers(SAMPLES, 1), answers(1024, 2))
    return train(built, data, seed=seed, device="cpu", config=config, progress=False).model


def trials(seeds: Sequence[int]) -> list[Trial]:
    """A network for every law and seed."""
    names = [law.name for law in laws_of(LAWS)(kinematics.load(ROBOT))]
    return [
        {"id": f"{k:02d}_{seed}", "law": name, "seed": seed}
        for seed in seeds
        for k, name in enumerate(names)
    ]


def run(trial: Trial) -> Record:
    """Train a network, examine it, score its law against the simulator."""
    import discover

    robot = kinematics.load(ROBOT)
    law = next(x for x in laws_of(LAWS)(robot) if x.name == trial["law"])
    truth = plant(robot, law, REGION)
    began = time.perf_counter()
    model = distil(truth, robot, trial["seed"])
    trained = time.perf_counter() - began
    states = sampling.sample(REGION.resolve(robot.nv), robot, 600, 77)
    exam = discover.examine(model, robot, REGION, seed=trial["seed"])
    with torch.no_grad():
        answered = model(*(x.float() for x in states)).double()
    return {
        **score(exam.law, truth, robot, REGION).record(),
        "network_error": relative_error(answered, truth(*states)),
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "train_s": trained,
        "seconds": exam.seconds,
    }


def report(records: list[Record], figures: Path) -> list[str]:
    """A row a network."""
    lines = [
        f"Perceptrons trained on {SAMPLES} answers of a planted simulator inside the region. "
        "Errors are relative to that simulator; outside, neither network nor law was fitted to it.",
        "",
        "| planted | the network's own error | identified law | structure | its error inside "
        "| far out | best rigid body inside, far out | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        found = "; ".join(f"`{t}`" for t in r["found"]) or "no term"
        right = "right" if r["structure"] else "missed"
        lines.append(
            f"| {r['law']} | {r['network_error']:.2g} | {found.replace('|', chr(92) + '|')} "
            f"| {right} | {r['inside']:.2g} | {r['far']:.2g} "
            f"| {r['bodies_inside']:.2g}, {r['bodies_far']:.2g} | {r['verdict']} |"
        )
    return lines


PARTS = [
    Part(
        name="taught",
        title="Networks trained on a planted simulator",
        trials=trials,
        run=run,
        report=report,
    )
]
