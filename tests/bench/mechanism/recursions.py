"""Part `recursions` of the bench: recursions inferred from black boxes.

Truths keep a robot's H and gravity; their velocity terms are a mixture of the simulator's two, or
blocks drawn from the whole grammar. A program is right if it predicts further exact answers to
1e-8, or, from noisy answers, if its blocks, no more than the truth has, fit the exact answers to
1e-8 with coefficients within 0.03: blocks that are identically equal cannot be distinguished.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.recursion.degree_split import split_by_degree
from discover.mechanism.recursion.grammar import (
    Block,
    Samples,
    carried,
    joint,
    product,
    velocity_blocks,
)
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.refit import refit
from discover.mechanism.recursion.search import Recursion, search
from discover.mechanism.tree.floating import FloatingBaseSampler
from kinematics import Robot
from tests.bench.mechanism.black_boxes import altered, black_box, network, sampler, table
from tests.bench.mechanism.trees import described
from tests.bench.trials import Part, Record, Trial, alternate, share

_TWIST = carried(joint("v"), 1)
GYROSCOPIC = Block("rate", (_TWIST, _TWIST), 1)
CORIOLIS = Block("inertia", (carried(product(_TWIST, joint("v")), 1),), 1)
_ALTERED = 30
_NEAR = 0.03
_EXACT = 1e-8


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Sixty truths a seed, exact; a third of them under noise on torques and on accelerations (of
    these, those of up to four joints)."""
    truths: list[Trial] = [
        {"truth": kind, "number": 100 * s + k, "joints": 3 + k % 3}
        for s in seeds
        for k in range(_ALTERED)
        for kind in ("altered", "random")
    ]
    groups: list[list[Trial]] = []
    for noise in (None, "tau", "a"):
        chosen_truths = truths if noise is None else truths[::3] if noise == "tau" else truths
        if noise == "a":
            chosen_truths = [t for t in chosen_truths if t["joints"] < 5][::2]
        groups.append(
            [
                {"id": f"{t['truth']}_{t['number']}_{noise}", "noise": noise, **t}
                for t in chosen_truths
            ]
        )
    named = ["chain of 3", "branched tree of 4", "tree of 6", "panda", "solo12, free base"]
    groups.append([{"id": f"named_{n}".replace(" ", "_"), "named": n} for n in named])
    groups.append([{"id": f"held_{n}".replace(" ", "_"), "held": n} for n in ("table", "network")])
    return alternate(groups)


def run(trial: Trial) -> Record:
    """Search one recursion."""
    if "named" in trial:
        return _named(trial["named"])
    if "held" in trial:
        return _held(trial["held"])
    robot, terms = truth(trial)
    questions = sampler(altered(robot, terms, trial["noise"]), robot.nv)
    began = time.perf_counter()
    found = search(questions, *screw_tree(robot, np.zeros(robot.nv)))
    seconds = time.perf_counter() - began
    if trial["noise"] is None:
        right = found.equivalent and found.held_out < _EXACT
    else:
        right = same_function(found, robot, terms)
    return {
        "right": bool(right),
        "equivalent": bool(found.equivalent),
        "held_out": found.held_out,
        "literally": set(found.velocity) == set(terms),
        "seconds": seconds,
        "queries": found.queries,
    }


def truth(trial: Trial) -> tuple[Robot, dict[Block, float]]:
    """The robot and velocity terms of a trial."""
    number = trial["number"]
    robot = kinematics.random_tree(
        trial["joints"], branching=0.4, seed=number + 50, kinds=("revolute",)
    )
    rng = np.random.default_rng([number, trial["truth"] == "random"])
    if trial["truth"] == "altered":
        mix = rng.choice([0.0, 0.5, 0.8, 1.0, -1.0], 2)
        return robot, {b: float(c) for b, c in zip((GYROSCOPIC, CORIOLIS), mix, strict=True) if c}
    blocks = velocity_blocks()
    chosen = rng.choice(len(blocks), rng.integers(1, 3), replace=False)
    sizes = rng.choice([0.5, 0.8, 1.0, -1.0, 1.5], len(chosen))
    return robot, {blocks[int(k)]: float(c) for k, c in zip(chosen, sizes, strict=True)}


def same_function(found: Recursion, robot: Robot, terms: dict[Block, float]) -> bool:
    """Whether the found blocks, with coefficients near the found ones, are the truth exactly."""
    if len(found.velocity) > len(terms):
        return False
    clean = split_by_degree(sampler(altered(robot, terms), robot.nv), 24)
    samples = Samples(found.tree, found.screws, clean.q, clean.v)
    values = [samples.block(b)[:, :, 0] for b in found.velocity]
    again = refit(samples, clean, found.inertia, found.root, values, found.root_vector)
    near = np.abs(again.coefficients - found.coefficients).max(initial=0.0) < _NEAR
    return bool(again.error < _EXACT and near)


def named_robot(name: str) -> Robot:
    """A robot of the table of simulators."""
    if name == "solo12, free base":
        return kinematics.load(described("solo12"), root="free")
    if name == "chain of 3":
        return kinematics.random_tree(3, branching=0.0, seed=3)
    if name == "branched tree of 4":
        return kinematics.random_tree(4, branching=0.5, seed=3)
    if name == "tree of 6":
        return kinematics.random_tree(6, branching=0.4, seed=3)
    return kinematics.load(name)


def _named(name: str) -> Record:
    robot = named_robot(name)
    if robot.nq != robot.nv:
        return _free(robot)
    questions = sampler(black_box(robot), robot.nv)
    began = time.perf_counter()
    found = search(questions, *screw_tree(robot, np.zeros(robot.nv)))
    return {**_told(found), "seconds": time.perf_counter() - began}


def _free(robot: Robot) -> Record:
    """A free base from the black box alone: tree, screws, then the recursion over them."""
    began = time.perf_counter()
    region = Region(q=0.8, v=1.5, tau=5.0).resolve(robot.nv)

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(robot, q, v, tau)

    blackbox = BlackBox(model, robot.nq, robot.nv)
    inferred = infer_free_base(blackbox, region)
    record = {}
    if inferred.geometry.good:
        sampler = FloatingBaseSampler(blackbox=blackbox, region=region)
        record = _told(search(sampler, inferred.geometry.tree, inferred.geometry.screws))
    record["tree"] = [p + 1 for p in inferred.tree.parents] == list(robot.parents[1:])
    return {**record, "seconds": time.perf_counter() - began}


def _held(what: str) -> Record:
    """What a table and a network hold to: the best program, and how loosely."""
    robot = kinematics.load("double_pendulum")
    model = table(robot) if what == "table" else network(robot)
    questions = sampler(model, robot.nv)
    return _told(search(questions, *screw_tree(robot, np.zeros(robot.nv))))


def _told(found: Recursion) -> Record:
    return {
        "equivalent": bool(found.equivalent),
        "newton_euler": set(found.velocity) == {GYROSCOPIC, CORIOLIS}
        and bool(np.abs(found.coefficients - 1).max() < 1e-6),
        "inside": found.error,
        "held_out": found.held_out,
        "by_degree": found.by_degree,
        "departure": found.departure,
        "coefficients": found.coefficients.tolist(),
        "programs": found.programs,
        "text": pretty_print(found),
        "seconds": found.seconds,
        "queries": found.queries,
    }


def report(records: list[Record], folder: Path) -> list[str]:
    """Counts of the truths, the simulators one by one, and what impostors hold to."""
    lines = [
        "A truth has a robot's own H and gravity and other velocity terms: the simulator's two "
        "with other coefficients (altered), or one or two blocks drawn from the language (random). "
        "*Came out*: exact answers predicted to 1e-8 in the shell to three half-widths; under "
        "noise, the blocks found are the truth up to identities and coefficients agree to 0.03.",
        "",
        "| truths | noise | joints | came out | word for word | seconds, median (most) |",
        "|---|---|---|--:|--:|--:|",
    ]
    for kind in ("altered", "random"):
        for noise in (None, "tau", "a"):
            rows = [r for r in records if r.get("truth") == kind and r["noise"] == noise]
            if rows:
                seconds = [r["seconds"] for r in rows]
                lines.append(
                    f"| {kind} | {noise or 'none'} | {'3 to 4' if noise == 'a' else '3 to 5'} | "
                    f"{share(rows, 'right')} | {share(rows, 'literally')} | "
                    f"{np.median(seconds):.1f} ({max(seconds):.1f}) |"
                )
    missed = [r["id"] for r in records if "truth" in r and not r["right"]]
    if missed:
        lines += ["", f"Missed: {', '.join(missed)}."]
    named = [r for r in records if "named" in r]
    if named:
        lines += [
            "",
            "| simulator | Newton-Euler came out | programs | misfit to 3 half-widths | seconds |",
            "|---|---|--:|--:|--:|",
        ]
        for r in named:
            lines.append(
                f"| {r['named']} | {'yes' if r['newton_euler'] and r['equivalent'] else 'no'} | "
                f"{r['programs']:.1e} | {r['held_out']:.1e} | {r['seconds']:.1f} |"
            )
    held = [r for r in records if "held" in r]
    if held:
        lines += [
            "",
            "What is no recursion (double pendulum), and the program it comes nearest to:",
            "",
            "| model | accepted | misfit inside (in deviations of a = A tau + c) | "
            "to 3 half-widths (relative) | not of its degree (relative) |",
            "|---|---|--:|--:|--:|",
        ]
        for r in held:
            lines.append(
                f"| {r['held']} | {'yes' if r['equivalent'] else 'no'} | {r['inside']:.2g} | "
                f"{r['held_out']:.2g} | {max(r['departure'].values()):.2g} |"
            )
        for r in held:
            lines += ["", f"The {r['held']}:", "", "```", r["text"], "```"]
    return lines


PARTS = [
    Part(name="recursions", title="Recursions", trials=trials, run=run, report=report),
]
