"""Pinocchio's answers in this project's conventions.

Pinocchio orders joints by its own rules, writes continuous joints as (cos, sin), quaternions xyzw
and velocities linear first, and (by default) treats mimic joints as independent. Here all of that
is undone: states go in, and results come out, as ``kinematics`` has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pinocchio as pin

from kinematics import Robot

SWAP = np.r_[3:6, 0:3]  # (linear, angular) to (angular, linear), and back


def example_urdfs() -> list[Path]:
    """Every URDF that example-robot-data ships."""
    root = Path(pin.__file__)
    for parent in root.parents:
        found = parent / "share" / "example-robot-data" / "robots"
        if found.is_dir():
            return sorted(found.rglob("*.urdf"))
    raise FileNotFoundError("example-robot-data is not installed; pip install example-robot-data")


@dataclass
class Oracle:
    """A Pinocchio model beside a robot of ours; inputs and outputs in our coordinates."""

    robot: Robot
    model: pin.Model

    def __post_init__(self) -> None:
        self.data = self.model.createData()
        self.model.gravity.linear = self.robot.gravity.numpy()
        mimic = {m.joint: m for m in getattr(self.robot, "mimic", ())}
        # G maps our velocities to Pinocchio's: dv_pin = G dv
        self.G = np.zeros((self.model.nv, self.robot.nv))
        self.joints = []
        for number, name in enumerate(self.robot.joint_names):
            joint = self.model.joints[self.model.getJointId(name)]
            rows = np.arange(joint.idx_v, joint.idx_v + joint.nv)
            if self.robot.kinds[number] == "free":
                rows = rows[SWAP]
            scale = mimic[name].multiplier if name in mimic else 1.0
            shift = mimic[name].offset if name in mimic else 0.0
            columns = np.arange(self.robot.nv)[self.robot.v_slices[number]]
            self.G[rows, columns] = scale
            self.joints.append((joint, self.robot.kinds[number], number, scale, shift))

    def q(self, q: np.ndarray) -> np.ndarray:
        """Our configuration (nq,) as Pinocchio's."""
        out = np.zeros(self.model.nq)
        for joint, kind, number, scale, shift in self.joints:
            own = q[self.robot.q_slices[number]]
            at = slice(joint.idx_q, joint.idx_q + joint.nq)
            if kind == "free":
                out[at] = np.r_[own[:3], own[4:7], own[3]]
            elif kind == "spherical":
                out[at] = np.r_[own[1:4], own[0]]
            else:
                angle = scale * own + shift
                out[at] = np.r_[np.cos(angle), np.sin(angle)] if joint.nq == 2 else angle
        return out

    def rnea(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Inverse dynamics (nv,)."""
        tau = pin.rnea(self.model, self.data, self.q(q), self.G @ v, self.G @ a)
        return self.G.T @ tau

    def crba(self, q: np.ndarray) -> np.ndarray:
        """Mass matrix (nv, nv)."""
        H = pin.crba(self.model, self.data, self.q(q))
        H = np.triu(H) + np.triu(H, 1).T
        return self.G.T @ H @ self.G

    def aba(self, q: np.ndarray, v: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """Forward dynamics (nv,); by elimination where joints mimic others."""
        if self.model.nv == self.robot.nv:
            order = self.G  # a signed permutation
            full = pin.aba(self.model, self.data, self.q(q), order @ v, order @ tau)
            return order.T @ full
        rest = tau - self.rnea(q, v, np.zeros_like(v))
        H = self.crba(q)
        # massless fingers make some descriptions singular: then nobody has an answer
        return np.linalg.solve(H, rest) if np.linalg.cond(H) < 1e15 else np.full_like(rest, np.nan)

    def energies(self, q: np.ndarray, v: np.ndarray) -> tuple[float, float]:
        """Kinetic and potential energy."""
        x = self.q(q)
        return (
            pin.computeKineticEnergy(self.model, self.data, x, self.G @ v),
            pin.computePotentialEnergy(self.model, self.data, x),
        )

    def regressor(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Joint torque regressor (nv, 10·nb), our parameter order."""
        Y = pin.computeJointTorqueRegressor(
            self.model, self.data, self.q(q), self.G @ v, self.G @ a
        )
        blocks = []
        for name in self.robot.joint_names:
            first = 10 * (self.model.getJointId(name) - 1)
            # Pinocchio: m, mc, Ixx, Ixy, Iyy, Ixz, Iyz, Izz: the same order as ours
            blocks.append(Y[:, first : first + 10])
        return self.G.T @ np.concatenate(blocks, axis=1)


def oracle(robot: Robot, path: Path | str, *, free: bool) -> Oracle:
    """The oracle for a URDF file that ``robot`` was loaded from."""
    text = _unit_axes(Path(path))
    model = (
        pin.buildModelFromXML(text, pin.JointModelFreeFlyer())
        if free
        else pin.buildModelFromXML(text)
    )
    return Oracle(robot, model)


def _unit_axes(path: Path) -> str:
    """The description with joint axes of length one: Pinocchio uses six-digit axes as they are."""
    root = ElementTree.parse(path).getroot()
    for axis in root.iter("axis"):
        x = np.array([float(c) for c in axis.get("xyz", "1 0 0").split()])
        if np.linalg.norm(x) > 0:
            axis.set("xyz", " ".join(repr(float(c)) for c in x / np.linalg.norm(x)))
    return ElementTree.tostring(root, encoding="unicode")


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest error over the largest entry; nothing where the reference has no answer."""
    if np.isnan(expected).any():
        return 0.0
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
