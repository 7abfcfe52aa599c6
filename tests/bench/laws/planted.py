"""Planted laws for `discover bench laws`: which came out, in which form, and what came out instead.

Suites are a file of laws on a robot; the fifteen fresh laws and the seventeen of strangers are told
apart from the forty, for those were looked at while the search was built.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kinematics
from discover.blackbox.region import Region
from kinematics import Robot
from tests.bench.laws.planting import laws_of, plant, with_noise
from tests.bench.laws.scoring import score
from tests.bench.trials import Part, Record, Trial, trigonometry

SMALL = Region(q=1.0, v=2.0, tau=5.0)
ARM_POSE = (0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.8)
ARM = Region(
    q=([x - 1.0 for x in ARM_POSE], [x + 1.0 for x in ARM_POSE]),
    v=2.0,
    tau=[60.0, 60.0, 40.0, 40.0, 8.0, 8.0, 4.0],
)


@dataclass(frozen=True)
class Suite:
    """title; the file of laws; the robot's name, or the seed of a spatial chain; noise levels."""

    title: str
    laws: str
    robot: str | int
    noises: tuple[float, ...] = (1e-3, 1e-2)
    region: Region = SMALL


SUITES = {
    "double pendulum": Suite("Double pendulum", "planted_laws", "double_pendulum"),
    "planar 3R": Suite("Planar chain of three", "planted_laws", "planar_3r", (1e-3,)),
    "spatial 3R": Suite("Spatial chain of three", "planted_laws", 5, (1e-3,)),
    "fresh 2R": Suite("Fresh laws, double pendulum", "fresh_laws", "double_pendulum"),
    "fresh 3R": Suite("Fresh laws, planar chain of three", "fresh_laws", "planar_3r", (1e-3,)),
    "strangers 2R": Suite("Strangers' laws, double pendulum", "stranger_laws", "double_pendulum"),
    "strangers 3R": Suite("Strangers' laws, planar chain", "stranger_laws", "planar_3r", (1e-3,)),
    "arm": Suite("Panda, single laws", "arm_laws", "panda", (1e-3,), ARM),
}


def robot_of(suite: Suite) -> Robot:
    """The suite's robot."""
    if isinstance(suite.robot, str):
        return kinematics.load(suite.robot)
    return kinematics.random_tree(3, branching=0.0, seed=suite.robot, kinds=("revolute",))


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Every law of every suite at every noise level."""
    groups = []
    for key, suite in SUITES.items():
        names = [law.name for law in laws_of(suite.laws)(robot_of(suite))]
        for noise in suite.noises:
            groups.append(
                [
                    {
                        "id": f"{key} {noise:g} {k:02d} {seed}".replace(" ", "_"),
                        "suite": key,
                        "law": name,
                        "noise": noise,
                        "seed": seed,
                    }
                    for seed in seeds
                    for k, name in enumerate(names)
                ]
            )
    return trigonometry(groups)


def run(trial: Trial) -> Record:
    """Examine the planted simulator and score the law that comes out."""
    import discover

    suite = SUITES[trial["suite"]]
    robot = robot_of(suite)
    law = next(x for x in laws_of(suite.laws)(robot) if x.name == trial["law"])
    truth = plant(robot, law, suite.region)
    model = with_noise(truth, robot, suite.region, trial["noise"], 1000 + trial["seed"])
    began = time.perf_counter()
    exam = discover.examine(model, robot, suite.region, seed=trial["seed"])
    seconds = time.perf_counter() - began
    return {
        **score(exam.law, truth, robot, suite.region).record(),
        "kind": law.kind,
        "outside": law.outside,
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "seconds": seconds,
        "queries": exam.queries,
    }


def report(records: list[Record], figures: Path) -> list[str]:
    """A table of suites, and every miss with what was found instead."""
    lines = [
        "*Structure*: the found carriers and features can make up the planted force and the law "
        "predicts inside. *Closed form*: no tabulated function, error below 0.002 at 2.5 to 3 "
        "half-widths. *Predicts far*: there, less than a fifth of the best rigid body's error.",
        f"{len(records)} of {len(trials([0]))} trials a seed are kept, in turns over the rows.",
        "",
        "| laws | noise | structure | closed form | predicts far | called alternative "
        "| median s | most s | queries |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = [(k, n) for k, s in SUITES.items() for n in s.noises]
    for key, noise in groups:
        own = [r for r in records if r["suite"] == key and r["noise"] == noise]
        if own:
            lines.append(_row(f"{SUITES[key].title} ({len(own)})", noise, own))
    lines += ["", "What came out where the structure was missed:", ""]
    for key, noise in groups:
        own = [r for r in records if r["suite"] == key and r["noise"] == noise]
        for r in own:
            if not r["structure"]:
                lines.append(f"- {_missed(r, SUITES[key].title)}")
    return lines


def _row(title: str, noise: float, own: list[Record]) -> str:
    cells: list[Any] = [title, f"{noise:g}"]
    for key in ("structure", "closed", "predictive"):
        good = sum(bool(r[key]) for r in own)
        cells.append(f"{good} ({good / len(own):.0%})".replace("%", " %"))
    cells.append(sum(r["verdict"] == "alternative law" for r in own))
    seconds = [r["seconds"] for r in own]
    cells += [f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"]
    cells.append(int(np.median([r["queries"] for r in own])))
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _missed(r: Record, title: str) -> str:
    instead = "; ".join(f"`{text}`" for text in r["found"]) or "no term"
    return (
        f"{title}, {r['noise']:g}, **{r['law']}** (called {r['verdict']}): {instead}. Error inside "
        f"{r['inside']:.2g} (rigid body {r['bodies_inside']:.2g}), far {r['far']:.2g}; the found "
        f"structure could make up {r['spanned']:.0%} of the force".replace("%", " %")
        + "."
    )


PARTS = [
    Part(name="planted", title="Laws that nobody listed", trials=trials, run=run, report=report)
]
