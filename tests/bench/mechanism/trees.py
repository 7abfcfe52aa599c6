"""Part `trees` of the bench: kinematic trees inferred from black boxes.

Robots are random and machine-like in turn, their coordinates renumbered. A tree counts as right
if it is the robot's, or if with the robot's own screws it answers the same to rounding (counted
apart). The method was built on the first hundred; those of a seed were drawn afterwards, and those
of seed 0 have been in the report since. Last looked at: 2026-11-30.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import kinematics
from discover.calibration.planted.catalogue import folder_of_descriptions
from discover.mechanism.geometry.least_squares import misfit
from discover.mechanism.tree.topology import infer_tree
from kinematics import Robot
from tests.bench.mechanism.black_boxes import REGION, black_box, parents_in, sampler, screws_in
from tests.bench.robots import machine_like, trial_tree
from tests.bench.trials import Part, Record, Trial, alternate, share

DESCRIPTIONS = {  # robots of example-robot-data, in the report since the method was built
    "solo12": "solo_description/robots/solo12.urdf",
    "allegro hand": "allegro_hand_description/urdf/allegro_left_hand.urdf",
    "hyq": "hyq_description/robots/hyq_no_sensors.urdf",
    "tiago": "tiago_description/robots/tiago_no_hand.urdf",
    "anymal": "anymal_b_simple_description/robots/anymal.urdf",
    "g1": "g1_description/urdf/g1_29dof_rev_1_0.urdf",
}
NAMED = ("panda", "planar_branched", "machine of 12 joints", *DESCRIPTIONS)
_NOISES = (None, "tau", "a")
_BUILT_ON = 100  # trees that the method was built on
_SEEDED = 1000  # number of the first tree of seed 0
_STORED_AS = {"built on": "known", "seeded": "fresh"}  # in ids, and in records before 2026-11-30


def robot_of(trial: Trial) -> Robot:
    """The robot of a trial: by name, or a trial tree."""
    name = trial["robot"]
    if isinstance(name, int):
        return trial_tree(name)
    if name == "machine of 12 joints":
        return machine_like(12, 4242)
    return kinematics.load(described(name) if name in DESCRIPTIONS else name)


def described(name: str) -> str:
    """Path of a description. Raises RobotError without example-robot-data."""
    return str(folder_of_descriptions("installed") / DESCRIPTIONS[name])


def trials(seeds: Sequence[int]) -> list[Trial]:
    """The hundred trees that the method was built on (half of them under noise as well), as many
    of each seed, and named robots."""
    groups = []
    for noise in _NOISES:
        built_on = list(range(_BUILT_ON if noise is None else _BUILT_ON // 2))
        seeded = [_SEEDED * (1 + s) + k for s in seeds for k in built_on]
        for kind, numbers in (("built on", built_on), ("seeded", seeded)):
            prefix = _STORED_AS[kind]
            groups.append(
                [
                    {"id": f"{prefix}_{noise}_{k}", "set": kind, "noise": noise, "robot": k}
                    for k in numbers
                ]
            )
        groups.append(
            [
                {"id": f"named_{noise}_{n}".replace(" ", "_"), "set": n, "noise": noise, "robot": n}
                for n in NAMED
            ]
        )
    return alternate(groups)


def run(trial: Trial) -> Record:
    """Infer one tree."""
    robot = robot_of(trial)
    number = trial["robot"] if isinstance(trial["robot"], int) else 1
    order = np.random.default_rng(number).permutation(robot.nv).tolist()
    questions = sampler(black_box(robot, order, trial["noise"]), robot.nv)
    began = time.perf_counter()
    tree = infer_tree(questions)
    seconds = time.perf_counter() - began
    true = [robot.kinds[i] for i in order]
    same = tree.parents == parents_in(robot, order)
    return {
        "name": robot.name,
        "joints": robot.nv,
        "same": same,
        "right": same or answers_alike(robot, order, tree.parents),
        "kinds": all(
            f in ("either", "revolute" if t == "continuous" else t)
            for f, t in zip(tree.kinds, true, strict=True)
        ),
        "seconds": seconds,
        "queries": questions.blackbox.queries,
    }


def answers_alike(robot: Robot, order: list[int], parents: tuple[int, ...]) -> bool:
    """Whether a tree with the robot's own screws answers as the robot does, to rounding."""
    questions = sampler(black_box(robot, order), robot.nv, REGION)
    tree, screws = screws_in(robot, order, questions.draw(1)[0])
    fitted = questions.at(questions.draw(8 * robot.nv))
    held = questions.at(questions.draw(20))
    return misfit(replace(tree, parents=parents), screws, fitted, held) < 1e-8


def report(records: list[Record], folder: Path) -> list[str]:
    """Counts by set and noise; the named robots one by one."""
    sets = {old: new for new, old in _STORED_AS.items()}
    records = [{**r, "set": sets.get(r["set"], r["set"])} for r in records]
    lines = [
        "Trees of 2 to 12 joints, random and machine-like in turn (turning and sliding joints, "
        "coaxial and parallel axes, several roots), coordinates renumbered at random. *The robot's "
        "or its equal* also counts trees that, with the robot's own screws, answer the same to "
        "1e-8. *Built on*: the method was built on these; *seeded*: drawn by seed afterwards, and "
        "reported since. Noise is 1 % of the root mean square, on torques or accelerations.",
        "",
        "| trees | noise | the robot's or its equal | the robot's own numbering | kinds | "
        "seconds, median (most) | queries, median |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for kind in _STORED_AS:
        for noise in _NOISES:
            rows = [r for r in records if r["set"] == kind and r["noise"] == noise]
            if rows:
                seconds = [r["seconds"] for r in rows]
                lines.append(
                    f"| {kind} | {noise or 'none'} | {share(rows, 'right')} | "
                    f"{share(rows, 'same')} | {share(rows, 'kinds')} | "
                    f"{np.median(seconds):.2f} ({max(seconds):.1f}) | "
                    f"{int(np.median([r['queries'] for r in rows])):,} |"
                )
    lines += ["", f"![Seconds by joints]({_figure(records, folder)})"]
    missed = [r for r in records if not r["right"] and r["set"] in _STORED_AS]
    if missed:
        names = ", ".join(f"{r['name']} ({r['noise'] or 'no noise'})" for r in missed)
        lines += ["", f"Missed: {names}."]
    named = [r for r in records if r["set"] not in _STORED_AS]
    if named:
        lines += ["", "| robot | joints | noise | tree | seconds |", "|---|--:|---|---|--:|"]
        for r in sorted(named, key=lambda r: (r["joints"], r["name"], str(r["noise"]))):
            lines.append(
                f"| {r['set']} | {r['joints']} | {r['noise'] or 'none'} | "
                f"{'right' if r['right'] else 'wrong'} | {r['seconds']:.1f} |"
            )
    return lines


def _figure(records: list[Record], folder: Path) -> str:
    """Seconds by number of joints, missed trees crossed."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for noise, colour in zip(_NOISES, ("#1f4e79", "#d08a1e", "#3a8a5f"), strict=True):
        rows = [r for r in records if r["noise"] == noise]
        side = 0.22 * (_NOISES.index(noise) - 1)
        for right, mark in ((True, "o"), (False, "x")):
            group = [r for r in rows if r["right"] == right]
            axes.plot(
                [r["joints"] + side for r in group],
                [r["seconds"] for r in group],
                mark,
                color=colour if right else "#b02020",
                markersize=3.5 if right else 8,
                alpha=0.6 if right else 1.0,
                label=f"noise on {noise or 'nothing'}" if right else None,
            )
    axes.plot([], [], "x", color="#b02020", label="missed")
    axes.set(xlabel="joints", ylabel="seconds a tree", yscale="log")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "figures" / "trees.png", dpi=150)
    return "figures/trees.png"


PARTS = [
    Part(name="trees", title="Trees", trials=trials, run=run, report=report),
]
