"""Networks that learned from a planted simulator: is what comes out of them the planted law?

A network is only as good as its training, and outside the region it is no law at all: what is asked
for is the law that its answers *inside* follow, with the network's own error on top.
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
class Lesson:
    """Answers of the planted simulator, as training wants them."""

    train: Answers
    validation: Answers

    def part(self, split: str) -> Rows:
        """ "train" or "validation"."""
        return Rows(self.train if split == "train" else self.validation)


class Rows:
    """States that are no trajectories: each its own."""

    def __init__(self, answers: Answers):
        self.q, self.v, self.tau = answers.q, answers.v, answers.tau
        self.a: Tensor | None = answers.a
        self.q_next = self.v_next = None
        self.trajectory = torch.arange(len(answers))
        self.t = torch.zeros(len(answers), dtype=torch.float64)


def teach(truth: Callable, robot: Robot, seed: int, epochs: int = EPOCHS) -> Callable:
    """A perceptron trained on the simulator's answers in the region."""
    box = REGION.resolve(robot.nv)

    def lesson(n: int, k: int) -> Answers:
        q, v, tau = sampling.sample(box, robot, n, 1000 * seed + k, "sobol")
        return Answers(q=q, v=v, tau=tau, a=truth(q, v, tau))

    built = models.build(
        "mlp", robot.nq, robot.nv, {"trig": True, "width": 96}, kinds=robot.kinds,
        parents=robot.parents, outputs="acceleration", dt=None, robot=None, seed=seed,
    )  # fmt: skip
    config = TrainingConfig(epochs=epochs, batch=BATCH, patience=0)
    taught = Lesson(lesson(SAMPLES, 1), lesson(1024, 2))
    return train(built, taught, seed=seed, device="cpu", config=config, progress=False).model


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Every law, a network for each seed."""
    names = [law.name for law in laws_of(LAWS)(kinematics.load(ROBOT))]
    return [
        {"id": f"{k:02d}_{seed}", "law": name, "seed": seed}
        for seed in seeds
        for k, name in enumerate(names)
    ]


def run(trial: Trial) -> Record:
    """Teach a network, examine it, score its law against the simulator."""
    import discover

    robot = kinematics.load(ROBOT)
    law = next(x for x in laws_of(LAWS)(robot) if x.name == trial["law"])
    truth = plant(robot, law, REGION)
    began = time.perf_counter()
    model = teach(truth, robot, trial["seed"])
    trained = time.perf_counter() - began
    fresh = sampling.sample(REGION.resolve(robot.nv), robot, 600, 77)
    exam = discover.examine(model, robot, REGION, seed=trial["seed"])
    with torch.no_grad():
        own = model(*(x.float() for x in fresh)).double()
    return {
        **score(exam.law, truth, robot, REGION).record(),
        "network_error": relative_error(own, truth(*fresh)),
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "train_s": trained,
        "seconds": exam.seconds,
    }


def report(records: list[Record], figures: Path) -> list[str]:
    """A row a network."""
    lines = [
        f"Perceptrons taught by {SAMPLES} answers of a planted simulator inside the region. Errors "
        "are against that simulator, which neither the network nor the law has seen outside.",
        "",
        "| planted | the network's own error | law found | structure | its error inside | far out "
        "| best rigid body inside, far out | verdict |",
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
        title="Networks taught by a planted simulator",
        trials=trials,
        run=run,
        report=report,
    )
]
