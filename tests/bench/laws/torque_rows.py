"""Parts `torques` and `mass` of the bench: whole rows of inverse dynamics, whole mass matrices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinematics
from discover.laws.regression.mass_matrix import (
    identified_bodies,
    mass_matrix_from_full_circles,
    mass_matrix_program,
)
from discover.laws.regression.torque_rows import fit_rows
from discover.laws.rigid_body.family import identifiable_basis
from tests.bench.robots import arm
from tests.bench.trials import Part, Record, Trial, share

ROWS, MATRICES = 12, 8  # arms a shape and seed
SAMPLES = 700
OPERATIONS = 366
NOISES = (0.0, 1e-3, 1e-2)


def torque_trials(seeds: Sequence[int]) -> list[Trial]:
    """All rows of planar and spatial arms of three hinges."""
    return [
        {
            "id": f"{seed}-{shape}-{k:02d}", "seed": seed, "number": k, "shape": shape,
            "noise": NOISES[k % 3],
        }
        for seed in seeds for k in range(ROWS) for shape in ("planar", "spatial")
    ]  # fmt: skip


def run_torques(trial: Trial) -> Record:
    """The rows of one arm, flat where there is no noise and by its tree, on twice the region."""
    rng = np.random.default_rng([trial["seed"], trial["number"], 23])
    robot = arm(trial["shape"], 3, int(rng.integers(2**31)))
    half = np.array([2.0, 2.0, 5.0])
    x = [h * rng.uniform(-1, 1, (SAMPLES, 3)) for h in half]
    far = [2 * h * rng.uniform(-1, 1, (SAMPLES, 3)) for h in half]
    torques = kinematics.rnea(robot, *map(torch.from_numpy, x)).numpy()
    true = kinematics.rnea(robot, *map(torch.from_numpy, far)).numpy()
    noisy = torques + trial["noise"] * torques.std(0) * rng.normal(size=torques.shape)
    limit = 1e-9 if trial["noise"] == 0 else max(1e-4, trial["noise"] / 2)

    def judged(found: np.ndarray, seconds: float, terms: list[int]) -> dict[str, Any]:
        error = np.sqrt(np.mean((found - true) ** 2, 0) / np.mean(true**2, 0)).max()
        return {
            "right": bool(error < limit), "error far": float(error), "seconds": seconds,
            "terms": terms,
        }  # fmt: skip

    began = time.process_time()
    basis = identifiable_basis(robot)
    weight = torch.from_numpy(1 / noisy.std(0))
    regressor = kinematics.regressor(robot, *map(torch.from_numpy, x)) @ basis
    rows = (weight[:, None] * regressor).flatten(0, 1)
    flat = (weight * torch.from_numpy(noisy)).reshape(-1, 1)
    beta = torch.linalg.lstsq(rows, flat, driver="gelsd").solution
    seconds = time.process_time() - began
    found = robot.replace(pi=(basis @ beta).reshape(-1, 10))
    record: Record = {
        "tree known": judged(
            kinematics.rnea(found, *map(torch.from_numpy, far)).numpy(), seconds, [len(beta)]
        )
    }
    if trial["noise"] == 0:
        began = time.process_time()
        sums = fit_rows(x[0], x[1], x[2], noisy)
        seconds = time.process_time() - began
        record["nothing known"] = judged(
            np.stack([row(*far) for row in sums], 1), seconds, [len(row.terms) for row in sums]
        )
    return record


def report_torques(records: list[Record], folder: Path) -> list[str]:
    """Counts and times by shape and noise."""
    lines = [
        f"All three rows of tau(q, v, a) of arms of three hinges from {SAMPLES} samples. Right: "
        "every row's error over twice the region below 1e-9 without noise, max(1e-4, noise/2) "
        "with. Seconds of the processor, one thread.",
        "",
        "| | right | terms a row or parameters (median) | seconds for three rows (median, worst) |",
        "|---|---|--:|--:|",
    ]
    for way in ("nothing known", "tree known"):
        for shape in ("planar", "spatial"):
            for noise in NOISES:
                group = [
                    r[way]
                    for r in records
                    if way in r and r["shape"] == shape and r["noise"] == noise
                ]
                if group:
                    terms = np.median([t for r in group for t in r["terms"]])
                    lines.append(
                        f"| {way}: {shape}, noise {noise:g} | {share(group, 'right')} | "
                        f"{terms:.0f} | {_seconds(group)} |"
                    )
    return lines


def mass_trials(seeds: Sequence[int]) -> list[Trial]:
    """Arms of six hinges, as industry builds them and with axes at random."""
    return [
        {"id": f"{seed}-{shape}-{k:02d}", "seed": seed, "number": k, "shape": shape}
        for seed in seeds for k in range(MATRICES) for shape in ("right-angled", "spatial")
    ]  # fmt: skip


def run_mass(trial: Trial) -> Record:
    """From the arm's answers to the whole mass matrix: by transform, then by its tree."""
    rng = np.random.default_rng([trial["seed"], trial["number"], 37])
    robot = arm(trial["shape"], 6, int(rng.integers(2**31)))
    tree = robot.replace(pi=torch.ones_like(robot.pi))
    q = torch.from_numpy(rng.uniform(-np.pi, np.pi, (300, 6)))
    H = kinematics.crba(robot, q).numpy()
    began = time.process_time()
    found = mass_matrix_from_full_circles(lambda *state: kinematics.aba(robot, *state), 6)
    middle = time.process_time()
    identified, _ = identified_bodies(found, tree)
    program = mass_matrix_program(identified)
    end = time.process_time()
    errors = {
        "transform": float(np.abs(found(q.numpy()) - H).max() / np.abs(H).max()),
        "recursion": float(np.abs(program.numpy()(q.numpy()) - H).max() / np.abs(H).max()),
    }
    count = len(np.triu_indices(6)[0])
    operations = program.operations
    return {
        "errors": errors, "seconds": end - began, "transform seconds": middle - began,
        "queries": found.queries, "operations": operations,
        "arithmetic": program.arithmetic + operations["trig"],
        "few": program.arithmetic + operations["trig"] <= OPERATIONS,
        "right": max(errors.values()) < 1e-9,
        "flat terms": sum(found.waves.entry(k).count for k in range(count)),
    }  # fmt: skip


def report_mass(records: list[Record], folder: Path) -> list[str]:
    """Errors, operations and times by kind of arm."""
    lines = [
        "All 21 entries of the mass matrix of arms of six hinges, from the model's answers alone "
        "(five angles on a grid of 5⁵ configurations, seven forces at each), by fast Fourier "
        "transform; then, for the tree, its bodies and the recursion that is shortest for them. "
        "Operations are multiplications, additions and sines of the whole matrix, shared ones "
        "counted once.",
        "",
        f"| arms | error < 1e-9 | worst error | terms of the flat sums | operations (most) | "
        f"≤ {OPERATIONS} | processor's seconds, asking included (median, worst) |",
        "|---|---|--:|--:|--:|---|--:|",
    ]
    for shape, words in (
        ("right-angled", "axes parallel or at right angles"),
        ("spatial", "axes at random"),
    ):
        group = [r for r in records if r["shape"] == shape]
        if group:
            worst = max(max(r["errors"].values()) for r in group)
            lines.append(
                f"| {words} | {share(group, 'right')} | {worst:.0e} | "
                f"{np.median([r['flat terms'] for r in group]):.0f} | "
                f"{max(r['arithmetic'] for r in group)} | {share(group, 'few')} | "
                f"{_seconds(group)} |"
            )
    if any(r["shape"] == "spatial" for r in records):
        lines += [
            "",
            "With axes at random the recursion stays above that number: beside the joint's own "
            "angle every link has a constant twist that is no right angle, and each such turn of "
            "an inertia and of the forces beyond it costs as much as a joint's. Frames along the "
            "common normals and all three forms of moving inertia to the parent are tried for "
            "every arm; choosing the form body by body saved nothing.",
        ]
    return lines


def _seconds(records: Sequence[Record]) -> str:
    seconds = [r["seconds"] for r in records]
    return f"{np.median(seconds):.2f}, {max(seconds):.2f}"


PARTS = [
    Part(
        name="torques",
        title="Rows of inverse dynamics",
        trials=torque_trials,
        run=run_torques,
        report=report_torques,
    ),
    Part(
        name="mass",
        title="The mass matrix of an arm of six hinges",
        trials=mass_trials,
        run=run_mass,
        report=report_mass,
    ),
]
