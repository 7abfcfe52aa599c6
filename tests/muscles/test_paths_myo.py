"""Published musculoskeletal models (myo-sim) against MuJoCo; skipped where they are not installed.

`pip install --target FOLDER --no-deps myo-sim`, and FOLDER on PYTHONPATH.
"""

import warnings

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from kinematics.formats.mjcf import robot_from_compiled
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import matrix_of_quaternion

pytestmark = pytest.mark.slow

FILES = ("myoelbow_2dof", "finger")
COMPOSED = ("myolegs", "myoarm_r", "myohand_r", "myotorso", "myotorso_abdomen")


def compiled(name: str) -> mujoco.MjModel:
    myo = pytest.importorskip("myo_sim")
    if name in FILES:
        return mujoco.MjModel.from_xml_path(str(myo.get_xml_path(name)))
    compose = pytest.importorskip("myo_sim.build.compose")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compose.build_spec(name).compile()


def independent(robot: Robot) -> tuple[np.ndarray, torch.Tensor]:
    """The rows of the full tree's coordinates that are the robot's own, and G (nv full, nv)."""
    c = robot.coupling
    plain = (c.q_scale == 1) & (c.q_offset == 0)
    own = [int(np.flatnonzero((c.q_source == k) & plain)[0]) for k in range(robot.nq)]
    G = np.zeros((len(c.v_source), robot.nv))
    G[np.arange(len(c.v_source)), c.v_source] = c.v_scale
    return np.array(own), torch.tensor(G)


@pytest.mark.parametrize("name", [*FILES, *COMPOSED])
def test_published_models_are_mujocos(name: str) -> None:
    model = compiled(name)
    robot = robot_from_compiled(model, name, name, tree_only=True)
    assert robot.muscles is not None
    assert robot.muscles.nm == model.nu
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    free = bool(model.jnt_type[0] == 0)
    own, G = independent(robot)
    full = robot.coupling
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    single = np.flatnonzero(model.jnt_limited)
    for _ in range(20):
        q = np.array(model.qpos0)
        mujoco.mj_integratePos(model, q, 0.5 * rng.normal(size=model.nv), 1.0)
        q[model.jnt_qposadr[single]] = rng.uniform(*model.jnt_range[single].T)
        v = rng.normal(size=model.nv)
        if robot.mimic:
            q = q[own][full.q_source] * full.q_scale + full.q_offset
            v = v[own][full.v_source] * full.v_scale
        data.qpos[:], data.qvel[:] = q, v
        data.ctrl[:], data.act[:] = rng.uniform(0, 1, (2, model.nu))
        mujoco.mj_forward(model, data)
        moment, H = np.zeros((model.nu, model.nv)), np.zeros((model.nv, model.nv))
        mujoco.mju_sparse2dense(
            moment, data.actuator_moment.ravel(), data.moment_rownnz, data.moment_rowadr,
            data.moment_colind,
        )  # fmt: skip
        _mass_matrix(model, data, H)
        a, r, v, q = (torch.tensor(np.array(x)) for x in (data.qacc, -moment, v, q))
        if free:
            a, v, r = _in_body_axes(a, v, r, q)
        else:
            H = torch.tensor(H)
            a = torch.linalg.solve(G.T @ H @ G, G.T @ (H @ a))
            r, q, v = r @ G, q[own], v[own]
        act = torch.tensor(data.act[np.array(model.actuator_actadr)])
        u = torch.tensor(np.array(data.ctrl))
        length = kinematics.muscle_lengths(robot, q)
        assert float((length - torch.tensor(data.actuator_length)).abs().max()) < 1e-12
        assert float((kinematics.moment_arms(robot, q) - r).abs().max()) < 1e-8
        tension = kinematics.muscle_tensions(robot, q, v, u, act)
        pull = -torch.tensor(data.actuator_force)
        assert float((tension - pull).abs().max()) < 1e-9 * float(pull.abs().max())
        own_a, rate = kinematics.forward(robot, q, v, u, act)
        assert float((own_a - a).abs().max()) < 1e-9 * float(a.abs().max())
        assert float((rate - torch.tensor(data.act_dot)).abs().max()) < 1e-9


def _mass_matrix(model: mujoco.MjModel, data: mujoco.MjData, out: np.ndarray) -> None:
    try:
        mujoco.mj_fullM(model, data, out)
    except TypeError:  # before MuJoCo 4
        mujoco.mj_fullM(model, out, data.qM)


def _in_body_axes(
    a: torch.Tensor, v: torch.Tensor, r: torch.Tensor, q: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """MuJoCo's free joint, whose linear part is in the world's axes and comes first, as ours."""
    R = matrix_of_quaternion(q[None, 3:7, None])[0, :, :, 0]
    w, linear = v[3:6], R.T @ v[:3]
    turned = R.T @ a[:3] - torch.linalg.cross(w, linear)
    arms = torch.cat((r[:, 3:6], r[:, :3] @ R, r[:, 6:]), -1)
    return torch.cat((a[3:6], turned, a[6:])), torch.cat((w, linear, v[6:])), arms
