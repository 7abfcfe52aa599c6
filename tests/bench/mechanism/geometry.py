"""Part `geometry` of the bench: joint axes inferred from black boxes.

Tree and kinds are given, screws and inertial parameters are not. Exact models: the misfit of H and
of the forces on other configurations in the region and in the shell to twice its width. Under noise
the prediction at other configurations is compared with the exact one in the covariance that screws
and parameters together give it: the mean square over its independent combinations should be one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import kinematics
from discover.mechanism.geometry.gauge import laid_on
from discover.mechanism.geometry.identification import Geometry, infer_geometry
from discover.mechanism.geometry.least_squares import relative
from discover.mechanism.geometry.projection import Problem
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.local_dynamics import DynamicsSampler
from kinematics import Robot
from tests.bench.mechanism.black_boxes import black_box, sampler
from tests.bench.robots import trial_tree
from tests.bench.trials import Part, Record, Trial, alternate, share

_COUNT = 40
_SEEDED = 1000  # number of the first tree of seed 0
_EXACT = 1e-8
_SHOWN = 1e-9  # of the largest variance: combinations that the covariance knows
_SPREAD = (0.5, 2.0)  # mean squares within which predictions are called within their deviations


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Forty trees a seed, a quarter of them under noise as well, and the Panda."""
    numbers = [_SEEDED * (1 + s) + k for s in seeds for k in range(_COUNT)]
    exact = [{"id": f"tree_{k}", "robot": k, "noise": None} for k in numbers]
    noisy = [{"id": f"tree_{k}_tau", "robot": k, "noise": "tau"} for k in numbers[:: _COUNT // 10]]
    return alternate([exact, noisy, [{"id": "panda", "robot": "panda", "noise": None}]])


def run(trial: Trial) -> Record:
    """Infer one geometry."""
    name = trial["robot"]
    robot = kinematics.load(name) if isinstance(name, str) else trial_tree(name, least=3, most=10)
    questions = sampler(black_box(robot, noise=trial["noise"]), robot.nv)
    tree, true = screw_tree(robot, questions.draw(1, 0.7)[0])
    began = time.perf_counter()
    found = infer_geometry(questions, tree)
    seconds = time.perf_counter() - began
    exact = sampler(black_box(robot), robot.nv, seed=1)
    record: Record = {"name": robot.name, "joints": robot.nv, "seconds": seconds}
    record["queries"] = questions.blackbox.queries
    if trial["noise"] is None:
        held = {
            f"{width:g}×": relative(
                found.tree, found.screws, found.pi, exact.at(exact.draw(20, width))
            )
            for width in (1.0, 2.0)
        }
        record |= {"held_out": held, "right": max(held.values()) < _EXACT}
    else:
        spread, alone = spread_of(found, robot, exact)
        record |= {"misfit": found.held_out, "good": bool(found.good)}
        record |= {"spread": spread, "spread_alone": alone}
        record["right"] = bool(found.good and _SPREAD[0] ** 2 < spread < _SPREAD[1] ** 2)
    if trial["robot"] == "panda":
        record["screws"] = float(np.abs(laid_on(true, found.screws) - found.screws).max())
    return record


def spread_of(found: Geometry, robot: Robot, exact: DynamicsSampler) -> tuple[float, float]:
    """Mean squares of (predicted - exact) at fresh configurations in propagated deviations: over
    all independent combinations that the covariance knows, and entry by entry."""
    truth = exact.at(exact.draw(12))
    problem = Problem.of(found.tree, truth, whitened=False)
    parameters = found.pi.ravel()
    slopes = problem.slopes(found.screws, parameters)
    missed = problem.design(found.screws) @ parameters - problem.y
    covariance = slopes @ found.joint @ slopes.T
    variance, directions = np.linalg.eigh(covariance)
    shown = variance > _SHOWN * variance[-1]
    together = (directions[:, shown].T @ missed) ** 2 / variance[shown]
    alone = np.diag(covariance)
    clear = alone > _SHOWN * np.median(alone)
    return float(together.mean()), float((missed[clear] ** 2 / alone[clear]).mean())


def report(records: list[Record], folder: Path) -> list[str]:
    """Counts, what was missed, the Panda's screws."""
    exact = [r for r in records if r["noise"] is None and r["robot"] != "panda"]
    noisy = [r for r in records if r["noise"] is not None]
    lines = [
        "Trees of 3 to 10 joints drawn by seed, random and machine-like in turn; parents and kinds "
        "given.",
        "",
    ]
    if exact:
        seconds = [r["seconds"] for r in exact]
        lines.append(
            f"- Exact answers: H and forces predicted to 1e-8, in the region and to twice its "
            f"width: {share(exact, 'right')}; seconds {np.median(seconds):.1f} (median), "
            f"{max(seconds):.1f} (most)."
        )
        for r in exact:
            if not r["right"]:
                lines.append(
                    f"  - missed: {r['name']} ({r['joints']} joints), "
                    f"{max(r['held_out'].values()):.1e}"
                )
    if noisy:
        together, alone = (
            ", ".join(f"{np.sqrt(s):.2f}" for s in sorted(r[key] for r in noisy if r["good"]))
            for key in ("spread", "spread_alone")
        )
        lines += [
            f"- 1 % noise on torques: fitted down to the noise, and predictions at other states "
            f"within half to twice their propagated covariance (root mean square over its "
            f"independent combinations): {share(noisy, 'right')}.",
            f"  Tree by tree: {together}; entry by entry, where one combination can rule many "
            f"entries: {alone}.",
        ]
    for r in records:
        if r["robot"] == "panda":
            lines.append(
                f"- Panda, from a generic pose: screws to {r['screws']:.1e} (rad, m), held out "
                f"{max(r['held_out'].values()):.1e}, {r['seconds']:.1f} s."
            )
    return lines


PARTS = [
    Part(name="geometry", title="Geometry", trials=trials, run=run, report=report),
]
