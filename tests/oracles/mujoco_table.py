"""Print the errors of every function against MuJoCo, for the MJCF files in the given folders.

    python tests/oracles/mujoco_table.py [FOLDER ...] [--states 3]

Without folders: the suites of dm_control and gymnasium, where they are installed. Folders are
searched with all below them; files that are no model of their own are named as refused. Loops,
springy tendons, fluids and the like are left out on both sides, and such files are marked;
contacts, limits and friction loss are off in MuJoCo. Exit status 1 if a figure exceeds 1e-10.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from pathlib import Path

import mujoco
import numpy as np
from mujoco_oracle import MujocoOracle
from pinocchio_oracle import relative

import kinematics

COLUMNS = ("rnea", "crba", "aba", "regressor")


def suites() -> list[Path]:
    """MJCF folders of installed packages."""
    found = []
    for package, inside in (("dm_control", "suite"), ("gymnasium", "envs/mujoco/assets")):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            found.append(Path(spec.submodule_search_locations[0]) / inside)
    return found


def errors(path: Path, states: int, seed: int = 0) -> tuple[dict[str, float], kinematics.Robot]:
    """The error of each function on random states of one description."""
    robot = kinematics.load(path, tree_only=True).replace()
    rigid = robot.replace(friction=np.zeros(robot.nv))
    oracle = MujocoOracle(rigid, mujoco.MjModel.from_xml_path(str(path)))
    q, v, a = kinematics.random_state(rigid, states, seed=seed, q=100.0, v=50.0, a=50.0)
    tau, H = kinematics.rnea(rigid, q, v, a), kinematics.crba(rigid, q)
    back = kinematics.aba(rigid, q, v, tau)
    linear = kinematics.regressor(rigid, q, v, a) @ rigid.pi.flatten()
    linear = linear + kinematics.joint_forces(rigid, q, v, a)
    out = dict.fromkeys(COLUMNS, 0.0)
    for i in range(states):
        expected = oracle.rnea(q[i].numpy(), v[i].numpy(), a[i].numpy())
        out["rnea"] = max(out["rnea"], relative(tau[i].numpy(), expected))
        out["crba"] = max(out["crba"], relative(H[i].numpy(), oracle.crba(q[i].numpy())))
        out["aba"] = max(out["aba"], relative(back[i].numpy(), a[i].numpy()))
        out["regressor"] = max(out["regressor"], relative(linear[i].numpy(), expected))
    return out, robot


def main() -> int:
    """Print the table; 0 if every figure is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--states", type=int, default=3)
    arguments = parser.parse_args()
    failures = []
    print(f"{'robot':32}{'nv':>4} " + "".join(f"{c:>11}" for c in COLUMNS))
    for folder in arguments.folders or suites():
        for path in sorted(folder.rglob("*.xml")):
            try:
                row, robot = errors(path, arguments.states)
            except kinematics.RobotError as error:
                print(f"{path.stem[:31]:32} refused: {error}")
                continue
            notes = [n for n in robot.notes if "actuators" not in n]
            line = "".join(f"{row[c]:11.1e}" for c in COLUMNS)
            print(f"{path.stem[:31]:32}{robot.nv:>4} {line}  {'; '.join(notes)}", flush=True)
            if not max(row.values()) < 1e-10:
                failures.append(path.stem)
    print(f"beyond 1e-10: {failures or 'none'}")
    return 1 if failures else 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
