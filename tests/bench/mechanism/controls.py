"""Part `controls` of the bench: mechanisms that must not be accepted.

Each control takes a robot and returns how it was judged. The model is the robot itself under a
wrong description (another tree, shuffled parents, screws off by a centimetre), or no such robot (a
full matrix added to H, other velocity terms than the textbook's).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import kinematics
from discover.mechanism.factorisation import sparsity
from discover.mechanism.geometry.least_squares import misfit
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.search import search
from discover.mechanism.tree.candidates import neighbours
from kinematics import Robot
from tests.bench.mechanism.black_boxes import altered, black_box, dense, sampler
from tests.bench.mechanism.recursions import CORIOLIS, GYROSCOPIC
from tests.bench.trials import Part, Record, Trial, alternate, share

_ROBOTS = 6
_CENTIMETRE = 0.01


def wrong_tree(robot: Robot) -> Record:
    """The neighbouring tree that fits worst, with the robot's own screws."""
    questions, tree, screws = _own(robot)
    fitted = questions.at(questions.draw(8 * robot.nv))
    held = questions.at(questions.draw(20))
    rivals = [replace(tree, parents=p) for p in neighbours(tree.parents)]
    worst = max(rivals, key=lambda t: misfit(t, screws, fitted, held))
    return _search(questions, worst, screws)


def shuffled_parents(robot: Robot) -> Record:
    """A random tree over the same joints."""
    questions, tree, screws = _own(robot)
    rng = np.random.default_rng(robot.nv)
    while True:
        order = rng.permutation(robot.nv).tolist()
        parents = [-1] * robot.nv
        for k, j in enumerate(order[1:], 1):
            parents[j] = order[int(rng.integers(0, k))]
        if tuple(parents) != tree.parents:
            return _search(questions, replace(tree, parents=tuple(parents)), screws)


def screws_off(robot: Robot) -> Record:
    """Turning axes a centimetre from where they are, to random sides."""
    questions, tree, screws = _own(robot)
    rng = np.random.default_rng(robot.nv)
    shift = rng.normal(size=(robot.nv, 3))
    shift *= _CENTIMETRE / np.linalg.norm(shift, axis=1, keepdims=True)
    moved = screws.copy()
    moved[:, 3:] += np.cross(shift, screws[:, :3])
    return _search(questions, tree, moved)


def dense_matrix(robot: Robot) -> Record:
    """A full constant matrix added to H."""
    _, tree, screws = _own(robot)
    questions = sampler(dense(robot), robot.nv)
    record = _search(questions, tree, screws)
    record["zeros"] = sparsity(questions.at(questions.draw(12)), robot.parents).violation
    return record


def altered_recursion(robot: Robot) -> Record:
    """Coriolis terms of four fifths: the textbook's program must not be what comes out."""
    _, tree, screws = _own(robot)
    questions = sampler(altered(robot, {GYROSCOPIC: 1.0, CORIOLIS: 0.8}), robot.nv)
    found = search(questions, tree, screws)
    coefficients = dict(zip(found.velocity, found.coefficients.tolist(), strict=True))
    textbook = (
        abs(coefficients.get(CORIOLIS, 0.0) - 1) < 1e-3
        and abs(coefficients.get(GYROSCOPIC, 0.0) - 1) < 1e-3
    )
    return {"caught": bool(found.equivalent and not textbook), "far": found.held_out}


CONTROLS: dict[str, Callable[[Robot], Record]] = {
    "wrong tree": wrong_tree,
    "shuffled parents": shuffled_parents,
    "axes off by 1 cm": screws_off,
    "dense mass matrix": dense_matrix,
    "altered recursion": altered_recursion,
}


def control_robot(number: int) -> Robot:
    """Trees of three to five turning joints."""
    return kinematics.random_tree(
        3 + number % 3, branching=0.4, seed=number + 200, kinds=("revolute",)
    )


def _own(robot: Robot) -> tuple[DynamicsSampler, ScrewTree, Array]:
    tree, screws = screw_tree(robot, np.zeros(robot.nv))
    return sampler(black_box(robot), robot.nv), tree, screws


def _search(questions: DynamicsSampler, tree: ScrewTree, screws: Array) -> Record:
    found = search(questions, tree, screws)
    return {
        "caught": not found.equivalent,
        "inside": found.error,
        "far": found.held_out,
        "coefficients": found.coefficients.tolist(),
    }


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Each control on a few robots."""
    return alternate(
        [
            [
                {"id": f"{name}_{k}".replace(" ", "_"), "control": name, "robot": k}
                for k in range(_ROBOTS)
            ]
            for name in CONTROLS
        ]
    )


def run(trial: Trial) -> Record:
    """One control on one robot."""
    return CONTROLS[trial["control"]](control_robot(trial["robot"]))


def report(records: list[Record], folder: Path) -> list[str]:
    """How many were caught, and how far off they are."""
    lines = [
        "What must not be accepted. An altered recursion counts as caught when it comes out as "
        "itself and not as the textbook's.",
        "",
        "| control | caught | misfit inside, least to most | to 3 half-widths, least to most |",
        "|---|--:|--:|--:|",
    ]
    for name in CONTROLS:
        rows = [r for r in records if r["control"] == name]
        if rows:
            spans = [
                [r[key] for r in rows if key in r and name != "altered recursion"]
                for key in ("inside", "far")
            ]
            ranges = [f"{min(s):.2g} to {max(s):.2g}" if s else "–" for s in spans]
            lines.append(f"| {name} | {share(rows, 'caught')} | {ranges[0]} | {ranges[1]} |")
    return lines


PARTS = [
    Part(name="controls", title="Controls", trials=trials, run=run, report=report),
]
