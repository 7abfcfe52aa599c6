"""Part `planted` of the bench: lists of planted laws on robots, with noise; which are identified.

A suite is a list of laws on one robot. Every list has been looked at while the search was built, as
each says (`tests.bench.laws.lists`); none is held out.
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
from tests.bench.trials import Part, Record, Trial, alternate

SMALL = Region(q=1.0, v=2.0, tau=5.0)
ARM_POSE = (0.0, -0.5, 0.0, -2.0, 0.0, 1.6, 0.8)
ARM = Region(
    q=([x - 1.0 for x in ARM_POSE], [x + 1.0 for x in ARM_POSE]),
    v=2.0,
    tau=[60.0, 60.0, 40.0, 40.0, 8.0, 8.0, 4.0],
)


@dataclass(frozen=True)
class Suite:
    """A list of laws on a robot, at some noise levels.

    robot      name of a bundled robot, or the seed of a spatial chain of three hinges
    stored_as  name of the suite in records from before 2026-11-30, where that was another
    """

    title: str
    laws: str
    robot: str | int
    noises: tuple[float, ...] = (1e-3, 1e-2)
    region: Region = SMALL
    stored_as: str = ""


SUITES = {
    "double pendulum": Suite("First list, double pendulum", "first", "double_pendulum"),
    "planar 3R": Suite("First list, planar chain of three", "first", "planar_3r", (1e-3,)),
    "spatial 3R": Suite("First list, spatial chain of three", "first", 5, (1e-3,)),
    "second 2R": Suite(
        "Second list, double pendulum", "second", "double_pendulum", stored_as="fresh 2R"
    ),
    "second 3R": Suite(
        "Second list, planar chain of three", "second", "planar_3r", (1e-3,), stored_as="fresh 3R"
    ),
    "third 2R": Suite(
        "Third list, double pendulum", "third", "double_pendulum", stored_as="strangers 2R"
    ),
    "third 3R": Suite(
        "Third list, planar chain of three", "third", "planar_3r", (1e-3,), stored_as="strangers 3R"
    ),
    "fourth 2R": Suite("Fourth list, double pendulum", "fourth", "double_pendulum", (1e-3,)),
    "arm": Suite("Arm list, Panda", "arm", "panda", (1e-3,), ARM),
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
        prefix = suite.stored_as or key
        for noise in suite.noises:
            groups.append(
                [
                    {
                        "id": f"{prefix} {noise:g} {k:02d} {seed}".replace(" ", "_"),
                        "suite": key,
                        "law": name,
                        "noise": noise,
                        "seed": seed,
                    }
                    for seed in seeds
                    for k, name in enumerate(names)
                ]
            )
    return alternate(groups)


def run(trial: Trial) -> Record:
    """Examine the simulator with the planted law and score the law that is identified."""
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
    """A table of suites, and every miss with the law that was identified instead."""
    lines = [
        "*Structure*: the force directions and features of the law span the planted force, and the "
        "law predicts inside. *Closed form*: no tabulated function, error below 0.002 at 2.5 to 3 "
        "half-widths. *Predicts far*: there, less than a fifth of the best rigid body's error.",
        f"{len(records)} of {len(trials([0]))} trials a seed are stored, in turns over the rows. "
        "Every list was looked at while the search was built, last on 2026-11-30: no row is a "
        "held-out score.",
        "",
        "| laws | noise | structure | closed form | predicts far | called alternative "
        "| median s | most s | queries |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = [
        (s.title, n, [r for r in records if r["suite"] in (key, s.stored_as) and r["noise"] == n])
        for key, s in SUITES.items()
        for n in s.noises
    ]
    for title, noise, rows in groups:
        if rows:
            lines.append(_row(f"{title} ({len(rows)})", noise, rows))
    lines += ["", "What was identified where the structure was missed:", ""]
    lines += [
        f"- {_missed(r, title)}" for title, _, rows in groups for r in rows if not r["structure"]
    ]
    return lines


def _row(title: str, noise: float, rows: list[Record]) -> str:
    cells: list[Any] = [title, f"{noise:g}"]
    for key in ("structure", "closed", "predictive"):
        good = sum(bool(r[key]) for r in rows)
        cells.append(f"{good} ({good / len(rows):.0%})".replace("%", " %"))
    cells.append(sum(r["verdict"] == "alternative law" for r in rows))
    seconds = [r["seconds"] for r in rows]
    cells += [f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"]
    cells.append(int(np.median([r["queries"] for r in rows])))
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _missed(r: Record, title: str) -> str:
    instead = "; ".join(f"`{text}`" for text in r["found"]) or "no term"
    return (
        f"{title}, {r['noise']:g}, **{r['law']}** (called {r['verdict']}): {instead}. Error inside "
        f"{r['inside']:.2g} (rigid body {r['bodies_inside']:.2g}), far {r['far']:.2g}; the "
        f"identified structure spans {r['spanned']:.0%} of the force".replace("%", " %")
        + "."
    )


PARTS = [
    Part(name="planted", title="Laws that nobody listed", trials=trials, run=run, report=report)
]
