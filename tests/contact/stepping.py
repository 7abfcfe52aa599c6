"""Bodies and MuJoCo's own steps, for the tests of ours."""

import mujoco
import numpy as np
import torch

import kinematics
from kinematics.contact.reading import load
from kinematics.robot.tree import build


def free_block(mass: float = 1.0, half: float = 0.1, gravity=(0.0, 0.0, -9.81)):
    """A free cube of body "block"."""
    inertia = mass * (2 * half) ** 2 / 6
    return build(
        "block", kinds=["free"], parents=[-1], body_names=["block"],
        tree_rotation=[np.eye(3).tolist()], tree_offset=[[0.0] * 3], axes=[[0.0, 0.0, 1.0]],
        pi=[[mass, 0, 0, 0, inertia, 0, inertia, 0, 0, inertia]], gravity=list(gravity),
    )  # fmt: skip


def sliders(count: int, axis=(1.0, 0.0, 0.0), gravity=(0.0, 0.0, 0.0)):
    """Bodies "b0", "b1", … of 1 kg, each on a slide along ``axis``."""
    return build(
        "sliders", kinds=["prismatic"] * count, parents=[-1] * count,
        body_names=[f"b{k}" for k in range(count)],
        tree_rotation=[np.eye(3).tolist()] * count, tree_offset=[[0.0] * 3] * count,
        axes=[list(axis)] * count,
        pi=[[1.0, 0, 0, 0, 0.1, 0, 0.1, 0, 0, 0.1]] * count, gravity=list(gravity),
    )  # fmt: skip


def _change(model, data):
    """MuJoCo's velocity from ours: free joints have world linear first, body angular second."""
    out = np.zeros((model.nv, model.nv))
    for joint in range(model.njnt):
        at = model.jnt_dofadr[joint]
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            turn = np.zeros(9)
            mujoco.mju_quat2Mat(turn, data.qpos[model.jnt_qposadr[joint] + 3 :][:4])
            out[at : at + 3, at + 3 : at + 6] = turn.reshape(3, 3)
            out[at + 3 : at + 6, at : at + 3] = np.eye(3)
        else:
            size = 3 if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else 1
            out[at : at + size, at : at + size] = np.eye(size)
    return out


def against_mujoco(source: str, *, states: int, push: float, start, every: int = 1, seed: int = 0):
    """Largest error of a step over states of MuJoCo's own motion, and how many touch something.

    ``start(model, data, rng)`` sets the first state; random joint forces of size ``push``.
    """
    read = mujoco.MjModel.from_xml_string if source.lstrip()[0] == "<" else None
    model = read(source) if read else mujoco.MjModel.from_xml_path(source)
    model.opt.tolerance, model.opt.iterations = 0, 200
    robot, scene = kinematics.load(source), load(source)
    data, rng = mujoco.MjData(model), np.random.default_rng(seed)
    start(model, data, rng)
    mujoco.mj_normalizeQuat(model, data.qpos)
    rows = []
    touching = 0
    for k in range(states * every):
        mujoco.mj_forward(model, data)
        change, force = _change(model, data), rng.normal(size=model.nv) * push
        for joint in range(model.njnt):
            if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                force[model.jnt_dofadr[joint] :][:6] = 0
        data.qfrc_applied[:] = force
        now = [data.qpos.copy(), np.linalg.solve(change, data.qvel), change.T @ force]
        rows_before = data.nefc
        mujoco.mj_step(model, data)
        if k % every == 0:
            touching += rows_before > 0
            now += [data.qpos.copy(), np.linalg.solve(_change(model, data), data.qvel)]
            rows.append(now)
    q, v, tau, q_next, v_next = (torch.tensor(np.array(x)) for x in zip(*rows, strict=True))
    found_q, found_v = kinematics.step(robot, scene, q, v, tau, model.opt.timestep)
    error_v = (found_v - v_next).abs() / (1 + v_next.abs())
    return float(torch.maximum((found_q - q_next).abs().max(), error_v.max())), touching
