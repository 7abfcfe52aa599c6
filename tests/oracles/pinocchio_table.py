"""Print the errors of every function against Pinocchio, for every URDF of example-robot-data.

    python tests/oracles/pinocchio_table.py [--states 5]

Robots go down, functions across; each figure is the largest error over the largest entry, at
angles up to ±100 rad and velocities up to ±50 rad/s, float64. Forward dynamics loses digits to the
condition of the mass matrix, so it stands in three columns: ``aba`` against Pinocchio's answer,
``loop`` our aba(rnea(a)) against a, and ``theirs`` the same of Pinocchio: its own rounding.
Exit status 1 if a figure exceeds 1e-10 and Pinocchio's own rounding does not explain it.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from pinocchio_oracle import example_urdfs, oracle, relative

import kinematics

COLUMNS = ("rnea", "crba", "aba", "regressor", "kinetic", "potential", "loop", "theirs")
EXACT = COLUMNS[:2] + COLUMNS[3:6]


def errors(path: Path, *, free: bool, states: int, seed: int = 0) -> dict[str, float]:
    """The error of each function on random states of one description."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        robot = kinematics.load(path, root="free" if free else None)
    reference = oracle(robot, path, free=free)
    q, v, a = kinematics.random_state(robot, states, seed=seed, q=100.0, v=50.0, a=50.0)
    ours = {
        "rnea": kinematics.rnea(robot, q, v, a),
        "crba": kinematics.crba(robot, q),
        "regressor": kinematics.regressor(robot, q, v, a),
        "kinetic": kinematics.kinetic_energy(robot, q, v),
        "potential": kinematics.potential_energy(robot, q),
    }
    tau = ours["rnea"]
    ours["aba"] = kinematics.aba(robot, q, v, tau)
    out = dict.fromkeys(COLUMNS, 0.0)
    for i in range(states):
        qi, vi, ai, taui = (x[i].numpy() for x in (q, v, a, tau))
        kinetic, potential = reference.energies(qi, vi)
        expected = {
            "rnea": reference.rnea(qi, vi, ai),
            "crba": reference.crba(qi),
            "aba": reference.aba(qi, vi, taui),
            "regressor": reference.regressor(qi, vi, ai),
            "kinetic": np.array([kinetic]),
            "potential": np.array([potential]),
        }
        out["loop"] = max(out["loop"], relative(ours["aba"][i].numpy(), ai))
        out["theirs"] = max(out["theirs"], relative(expected["aba"], ai))
        for name in expected:
            found = ours[name][i].numpy().reshape(expected[name].shape)
            out[name] = max(out[name], relative(found, expected[name]))
    return out


def main() -> int:
    """Print the table; 0 if every figure is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=5)
    count = parser.parse_args().states
    print(f"{'robot':44}{'root':6}{'nv':>4} " + "".join(f"{c:>11}" for c in COLUMNS))
    failures: list[str] = []
    for path in example_urdfs():
        for free in (False, True):
            label = f"{path.stem[:43]:44}{'free' if free else 'fixed':6}"
            try:
                row = errors(path, free=free, states=count)
                nv = kinematics.load(path, root="free" if free else None).nv
            except kinematics.RobotError as error:
                print(f"{label} refused: {error}")
                continue
            allowed = max(1e-10, 10 * row["theirs"])
            if not row["aba"] < allowed or not row["loop"] < allowed:
                failures.append(label)
            failures += [label for name in EXACT if not row[name] < 1e-10]
            print(f"{label}{nv:>4} " + "".join(f"{row[c]:11.1e}" for c in COLUMNS), flush=True)
    print(f"beyond 1e-10: {failures or 'none'}")
    return 1 if failures else 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
