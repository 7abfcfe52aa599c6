"""Part `nothing` of the bench: negative controls, models without an alternative law.

Tables, trained networks, rigid bodies under noise. A search always fits something; counted is what
is *accepted*, the verdict "alternative law", and apart from it laws with additional terms that come
with another verdict.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import kinematics
from discover.blackbox.region import Region
from discover.calibration.planted import physics, tables
from discover.calibration.planted.contract import Setting
from kinematics import Robot
from tests.bench.laws.planting import with_noise
from tests.bench.laws.scoring import told
from tests.bench.trials import Part, Record, Trial, alternate

REGION = Region(q=1.0, v=2.0, tau=5.0)
NOISES = (1e-3, 1e-2, 5e-2)
TITLES = {"table": "tables", "network": "trained networks", "bodies": "rigid bodies, noisy"}
WIDTHS, ACTIVATIONS, SAMPLES = (32, 64), ("tanh", "relu"), (500, 1500, 3000)
BODIES = ("double_pendulum", "planar_3r", "chain 2", "chain 3")
_TABLES, _NETWORKS, _BODIES = 36, 30, 34  # a hundred


def robot_of(name: str, seed: int = 0) -> Robot:
    """A bundled robot, or a random chain of so many hinges."""
    if name.startswith("chain"):
        size = int(name.split()[1])
        return kinematics.random_tree(size, branching=0.0, seed=seed, kinds=("revolute",))
    return kinematics.load(name)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """A hundred for every seed; tables, networks and bodies alternate."""
    groups = []
    for seed in seeds:
        for what, count in (("table", _TABLES), ("network", _NETWORKS), ("bodies", _BODIES)):
            groups.append(
                [
                    {"id": f"{what}_{k:02d}_{seed}", "what": what, "number": k, "seed": seed}
                    for k in range(count)
                ]
            )
    return alternate(groups)


def build(trial: Trial) -> tuple[str, Callable, Robot]:
    """(description, model, robot) of a trial."""
    k, seed = trial["number"], 100 * trial["seed"] + trial["number"]
    robot = robot_of(BODIES[k % len(BODIES)], seed)
    setting = Setting(robot=robot, region=REGION.resolve(robot.nv), seed=seed)
    if trial["what"] == "table":
        kinds = tables.planted_models(setting)
        planted = kinds[(k // len(BODIES)) % len(kinds)]
        return planted.name, planted.model, robot
    if trial["what"] == "network":
        return (*_network(k, seed, setting), robot)
    noise = NOISES[k % len(NOISES)]
    furnished = physics.with_joint_terms(setting) if k % 2 else physics.perturbed(setting, 0.3)
    model = with_noise(physics.simulator(furnished), furnished, REGION, noise, seed)
    words = "with joint terms" if k % 2 else "with other parameters"
    return f"rigid bodies {words}, noise {noise:g}", model, robot


def _network(k: int, seed: int, setting: Setting) -> tuple[str, Callable]:
    """A perceptron of one of several widths, activations and sample counts, trained briefly."""
    width, activation = WIDTHS[k % len(WIDTHS)], ACTIVATIONS[k // 2 % len(ACTIVATIONS)]
    samples = SAMPLES[k // 3 % len(SAMPLES)]
    perceptron = MLPRegressor(
        hidden_layer_sizes=(width, width),
        activation=activation,
        learning_rate_init=3e-3,
        max_iter=120,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # short on purpose
        model = tables.Interpolant(perceptron, setting, samples)
    return f"network, {activation}, width {width}, {samples} samples", model


def run(trial: Trial) -> Record:
    """Examine the model; "accepted" is a false positive."""
    import discover

    what, model, robot = build(trial)
    began = time.perf_counter()
    exam = discover.examine(model, robot, REGION, seed=trial["seed"])
    extra = getattr(exam.law, "extra", ())
    return {
        "name": what,
        "robot": robot.name,
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "accepted": exam.verdict == "alternative law",
        "found": [told(t) for t in extra],
        "seconds": time.perf_counter() - began,
        "queries": exam.queries,
    }


def report(records: list[Record], figures: Path) -> list[str]:
    """How many were accepted, by kind of model, and each of them by name."""
    lines = [
        "*Accepted*: called an alternative law. A law with additional terms that comes with "
        "another verdict, as the best description inside the region, is counted apart.",
        f"{len(records)} of {_TABLES + _NETWORKS + _BODIES} trials a seed are stored.",
        "",
        "| model | trials | accepted | law with other verdict | verdicts | median s |",
        "|---|---|---|---|---|---|",
    ]
    for what in ("table", "network", "bodies"):
        rows = [r for r in records if r["what"] == what]
        if not rows:
            continue
        verdicts = Counter(r["verdict"] for r in rows)
        told_verdicts = ", ".join(f"{n} {v}" for v, n in verdicts.most_common())
        offered = sum(bool(r["found"]) and not r["accepted"] for r in rows)
        seconds = np.median([r["seconds"] for r in rows])
        lines.append(
            f"| {TITLES[what]} | {len(rows)} | {sum(r['accepted'] for r in rows)} | {offered} "
            f"| {told_verdicts} | {seconds:.1f} |"
        )
    wrong = [r for r in records if r["accepted"]]
    if wrong:
        lines += ["", "False positives:", ""]
    for r in wrong:
        instead = "; ".join(f"`{t}`" for t in r["found"]) or "no term"
        lines.append(f"- {r['name']} ({r['robot']}), confidence {r['confidence']:.2f}: {instead}")
    return lines


PARTS = [Part(name="nothing", title="Negative controls", trials=trials, run=run, report=report)]
