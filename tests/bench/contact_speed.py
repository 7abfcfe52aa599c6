"""What a step with contact costs: CPU time a state, ours at several batch sizes beside MuJoCo's.

python -m tests.bench.contact_speed [--batches 1 1024] [MODEL.xml ...]

States are MuJoCo's own along a motion with random forces, so that a natural share touches. The time
is that of this process (one thread), least of three; MuJoCo's is that of its compiled step, called
from Python.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import mujoco
import numpy as np
import torch

import kinematics
from kinematics.contact.newton import solve
from kinematics.contact.reading import load
from kinematics.contact.rows import rows
from kinematics.contact.step import situation

CUBE = """<mujoco><option timestep="0.002" cone="elliptic"/><worldbody>
<geom type="plane" size="5 5 1"/><body pos="0 0 .2"><freejoint/>
<geom type="box" size=".1 .1 .1" mass="1"/></body></worldbody></mujoco>"""
HOPPER = """<mujoco><option timestep="0.002" cone="elliptic"/><worldbody>
<geom type="plane" size="5 5 1"/><body pos="0 0 .5"><joint type="slide" axis="1 0 0"/>
<joint type="slide" axis="0 0 1"/><joint axis="0 1 0"/><geom type="sphere" size=".1"/>
<body><joint axis="0 1 0" range="-60 60" limited="true"/>
<geom type="capsule" fromto="0 0 0 0 0 -.4" size=".04"/></body></body></worldbody></mujoco>"""


def states(model: mujoco.MjModel, count: int) -> tuple[list[np.ndarray], float]:
    """States (qpos, qvel, forces) along MuJoCo's motion, and microseconds of its step."""
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    found, taken = [], 0.0
    driven = np.ones(model.nv)
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            driven[model.jnt_dofadr[joint] :][:6] = 0
    for _ in range(count):
        data.qfrc_applied[:] = rng.normal(size=model.nv) * driven
        found.append(np.concatenate((data.qpos, data.qvel, data.qfrc_applied)))
        start = time.process_time()
        mujoco.mj_step(model, data)
        taken += time.process_time() - start
    split = np.split(np.array(found), (model.nq, model.nq + model.nv), axis=1)
    return split, 1e6 * taken / count


def least(work: Callable[[], object], count: int) -> float:
    """Microseconds a state, the least of three after one call to warm up."""
    work()
    taken = []
    for _ in range(3):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1e6 * min(taken) / count


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 1024])
    given = parser.parse_args()
    torch.set_num_threads(1)
    sources = given.models or [CUBE, HOPPER]
    print("model | batch | step | of it: motion and contacts | rows | solve | MuJoCo (us a state)")
    for source in sources:
        text = source.lstrip().startswith("<")
        read = mujoco.MjModel.from_xml_string if text else mujoco.MjModel.from_xml_path
        model = read(source)
        robot, scene = kinematics.load(source), load(source)
        found, reference = states(model, max(given.batches))
        for batch in given.batches:
            q, v, tau = (torch.tensor(x[-batch:]) for x in found)
            step, dt = kinematics.step, model.opt.timestep
            whole = least(lambda: step(robot, scene, q, v, tau, dt), batch)  # noqa: B023
            s = situation(robot, scene, scene.law, q, v, tau, dt)
            motion = least(lambda: situation(robot, scene, scene.law, q, v, tau, dt), batch)  # noqa: B023
            made = least(lambda: rows(s), batch)  # noqa: B023
            problem = rows(s).problem
            solved = least(lambda: solve(problem), batch)  # noqa: B023
            name = "text" if text else source.split("/")[-1]
            print(
                f"{name}, nv {robot.nv}, nc {scene.nc} | {batch} | {whole:.0f} | {motion:.0f} | "
                f"{made:.0f} | {solved:.0f} | {reference:.0f}"
            )


if __name__ == "__main__":
    main()
