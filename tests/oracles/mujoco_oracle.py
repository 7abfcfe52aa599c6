"""MuJoCo's smooth dynamics in this project's conventions.

MuJoCo's free joint has its linear velocity in world axes and first: v_mj = (R u, w). Forces go the
other way, and its accelerations are those of v_mj: u̇ = Rᵀ u̇_mj - w × u.
"""

from __future__ import annotations

import mujoco
import numpy as np

from kinematics import Robot

BEYOND_A_TREE = (
    "tendon_stiffness", "tendon_stiffnesspoly", "tendon_damping", "tendon_dampingpoly",
    "tendon_armature", "jnt_stiffnesspoly", "dof_dampingpoly", "actuator_armature",
    "actuator_damping", "actuator_dampingpoly", "body_gravcomp",
)  # fmt: skip


class MujocoOracle:
    """A MuJoCo model without contacts, limits, actuators, fluid, armature of free joints and what
    pulls on tendons; friction loss is left out: the tree that
    ``kinematics.load(..., tree_only=True)`` keeps."""

    def __init__(self, robot: Robot, model: mujoco.MjModel) -> None:
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
        model.opt.density = model.opt.viscosity = 0.0
        for name in BEYOND_A_TREE:
            if hasattr(model, name):
                getattr(model, name)[:] = 0.0
        model.dof_armature[model.jnt_type[model.dof_jntid] == mujoco.mjtJoint.mjJNT_FREE] = 0.0
        self.robot, self.model, self.data = robot, model, mujoco.MjData(model)

    def _turns(self, q: np.ndarray) -> np.ndarray:
        """T with v_mj = T v."""
        out = np.eye(self.robot.nv)
        for kind, q_at, v_at in zip(
            self.robot.kinds, self.robot.q_slices, self.robot.v_slices, strict=True
        ):
            if kind == "free":
                matrix = np.zeros(9)
                mujoco.mju_quat2Mat(matrix, q[q_at][3:])
                block = np.zeros((6, 6))
                block[:3, 3:], block[3:, :3] = matrix.reshape(3, 3), np.eye(3)
                out[v_at, v_at] = block
        return out

    def rnea(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Inverse dynamics (nv,) with armature, damping and springs."""
        turn = self._turns(q)
        lift = np.zeros_like(a)
        for kind, at in zip(self.robot.kinds, self.robot.v_slices, strict=True):
            if kind == "free":
                lift[at][3:] = np.cross(v[at][:3], v[at][3:])
        self.data.qpos[:], self.data.qvel[:] = q, turn @ v
        mujoco.mj_forward(self.model, self.data)
        force = self.full() @ (turn @ (a + lift))
        return turn.T @ (force + self.data.qfrc_bias - self.data.qfrc_passive)

    def full(self) -> np.ndarray:
        """MuJoCo's mass matrix at the last state."""
        H = np.zeros((self.model.nv, self.model.nv))
        mujoco.mj_fullM(self.model, self.data, H)
        return H

    def crba(self, q: np.ndarray) -> np.ndarray:
        """Mass matrix (nv, nv)."""
        turn = self._turns(q)
        self.data.qpos[:], self.data.qvel[:] = q, 0
        mujoco.mj_forward(self.model, self.data)
        return turn.T @ self.full() @ turn
