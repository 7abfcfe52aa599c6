"""Compiled forward dynamics against Pinocchio on many robots, as a table.

    python tests/programs/against_pinocchio.py [NAME …]

For each description of example-robot-data: operations of the two classical elimination orders and
of the one found, seconds to compile (nothing cached), and the largest error relative to
Pinocchio's ABA (LOCAL convention) over 64 states with angles up to ±10⁴ rad. Robots with mimic
joints are compared with ``kinematics.aba`` instead.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
import warnings
from pathlib import Path

import numpy as np
import pinocchio
from program_samples import draw, worst

import kinematics
from discover.bench.programs import operation_counts
from discover.evaluation.simulators.pinocchio import coordinates, pinocchio_model
from kinematics.programs import compile_robot

ROBOTS = {
    "panda": ("panda_description/urdf/panda.urdf", None),
    "ur3": ("ur_description/urdf/ur3_robot.urdf", None),
    "ur5": ("ur_description/urdf/ur5_robot.urdf", None),
    "ur10": ("ur_description/urdf/ur10_robot.urdf", None),
    "xarm7": ("xarm_description/urdf/xarm7.urdf", None),
    "kinova": ("kinova_description/robots/kinova.urdf", None),
    "allegro": ("allegro_hand_description/urdf/allegro_left_hand.urdf", None),
    "solo12": ("solo_description/robots/solo12.urdf", "free"),
    "anymal": ("anymal_b_simple_description/robots/anymal.urdf", "free"),
    "hyq": ("hyq_description/robots/hyq_no_sensors.urdf", "free"),
    "simple_humanoid": ("simple_humanoid_description/urdf/simple_humanoid.urdf", "free"),
    "romeo": ("romeo_description/urdf/romeo_small.urdf", "free"),
    "g1": ("g1_description/urdf/g1_29dof_rev_1_0.urdf", "free"),
    "baxter": ("baxter_description/urdf/baxter.urdf", None),
    "talos": ("talos_data/robots/talos_reduced.urdf", "free"),
    "tiago": ("tiago_description/robots/tiago_no_hand.urdf", None),
}


def main(names: list[str]) -> None:
    os.environ["WORLDLAW_CACHE"] = "off"
    warnings.simplefilter("ignore")  # descriptions with inertias that no body can have
    root = Path(sysconfig.get_paths()["purelib"], "cmeel.prefix/share/example-robot-data/robots")
    if not root.is_dir():
        raise SystemExit(f"expected example-robot-data's robots at {root}, found none: install it")
    print(f"{'robot':16} {'nv':>3} {'aba':>6} {'crba':>6} {'found':>6} {'s':>5} {'error':>8}")
    for name, (path, base) in ROBOTS.items():
        if names and name not in names:
            continue
        source = root / path
        if not source.exists():
            print(f"{name:16} no file {path}")
            continue
        robot = kinematics.load(str(source), root=base) if base else kinematics.load(str(source))
        begin = time.perf_counter()
        program = compile_robot(robot, "aba")
        seconds = time.perf_counter() - begin
        q, v, tau = draw(robot, 64, angle=1e4)
        for where, kind in zip(robot.q_slices, robot.kinds, strict=True):
            if kind == "free":
                q[:, where.start : where.start + 3] = 1.0
        if robot.mimic:
            counts = {"aba": 0, "crba": 0}
            reference = np.asarray(kinematics.aba(robot, q, v, tau))
        else:
            counts = operation_counts(robot, program.arithmetic)
            reference = pinocchio_aba(robot, q, v, tau)
        error = worst(program(q, v, tau), reference)
        print(
            f"{name:16} {robot.nv:3d} {counts['aba']:6d} {counts['crba']:6d} "
            f"{program.arithmetic:6d} {seconds:5.2f} {error:8.1e}",
            flush=True,
        )


def pinocchio_aba(robot, q, v, tau):
    """Accelerations by Pinocchio, state by state, in our order."""
    model = pinocchio_model(robot)
    data = model.createData()
    *columns, back = coordinates(robot, q, v, tau)
    local = pinocchio.Convention.LOCAL
    return back(
        np.stack(
            [
                pinocchio.aba(model, data, *(c[:, k].copy() for c in columns), local).copy()
                for k in range(len(q))
            ],
            axis=1,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
