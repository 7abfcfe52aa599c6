"""A robot as URDF.

A URDF has no word for ball joints, which are refused, and none for gravity: readers take 9.81 m/s²
along -z, so a robot with that much gravity along another direction is written with its base turned.
Springs are left out, and armature where it is not what inertia of the body would be: a joint that
turns on the base has it in its body. Free joints are written as ``floating`` ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
import torch

from kinematics.errors import RobotError
from kinematics.formats.builder import UNLIMITED, untaken
from kinematics.formats.written import Written, element
from kinematics.robot import joints
from kinematics.robot.inertial_parameters import pack
from kinematics.robot.tree import Robot, check_robot
from kinematics.spatial.rotations import about_axis, angles_of_matrix, clean

_TYPES = {
    "revolute": "revolute",
    "continuous": "continuous",
    "prismatic": "prismatic",
    "free": "floating",
}
_STATED = {"damping": "damping", "friction": "friction"}
_GRAVITY = np.array([0.0, 0.0, -9.81])


def to_urdf(robot: Robot, remarks: Sequence[str] = ()) -> str:
    """The robot as URDF text: ``load(to_urdf(robot), joint_terms=True)`` answers as it does.

    ``remarks`` are lines for the comment at its head, after which the file says what it does not
    state; forces that are left out are a warning too. RobotError, one line, for ball joints and
    for bodies without a mass and centre.
    """
    check_robot(robot)
    robot, absorbed = _with_rotors_in_bodies(robot)
    written = Written.of(robot, "URDF")
    robot = written.robot
    if absorbed:
        written.remarks.append(
            f"the armature of {', '.join(absorbed)} is part of the inertia of what it turns"
        )
    ball = next((i for i, kind in enumerate(robot.kinds) if kind == "spherical"), None)
    if ball is not None:
        raise RobotError(
            f"expected joints that a URDF has, found the ball joint {robot.joint_names[ball]!r} of "
            f"{robot.name}; write it with to_mjcf"
        )
    base = untaken(robot.base_name, set(robot.body_names))
    turn = _upright(written)
    root = Element("robot", {"name": robot.name})
    element(root, "link", name=base)
    for i in written.order:
        _link(written, i, root)
        _joint(written, i, root, base, turn)
    if robot.friction.any():
        written.remarks.append(
            "friction is Coulomb friction, here smoothed: friction tanh(v / speed) with speed "
            f"{robot.friction_speed!r}"
        )
    if robot.actuation is not None or robot.muscles is not None:
        written.remarks.append("actuators have no place in a URDF: forces act on the joints")
    if robot.damping.any() or robot.friction.any():
        written.remarks.append(
            "kinematics.load(..., joint_terms=True) applies damping and friction; many readers "
            "leave them to the simulator"
        )
    return written.text(root, remarks)


def _with_rotors_in_bodies(robot: Robot) -> tuple[Robot, list[str]]:
    """The robot with the armature of joints that turn on the base as a disc on their bodies, which
    turn about that axis only; and the names of these joints."""
    pi, armature, names = robot.pi, robot.armature.detach().clone(), []
    if not isinstance(pi, torch.Tensor) or pi.ndim != 2:
        return robot, []
    pi = pi.detach().clone()
    for i in robot.independent_joints:
        row = robot.v_slices[i].start
        rotor = float(armature[row])
        if robot.parents[i] >= 0 or robot.kinds[i] not in joints.TURNING or rotor <= 0:
            continue
        axis = robot.axes[i].detach().to("cpu", torch.float64).numpy()
        disc = rotor / 2 * (np.eye(3) + np.outer(axis, axis))
        pi[i] += torch.as_tensor(pack(0.0, np.zeros(3), disc)).to(pi)
        armature[row] = 0.0
        names.append(robot.joint_names[i])
    return (robot.replace(pi=pi, armature=armature) if names else robot), names


def _upright(written: Written) -> np.ndarray:
    """The rotation of the base after which gravity is that of every URDF."""
    gravity = written.robot.gravity.detach().numpy()
    size = float(np.linalg.norm(gravity))
    if (gravity == _GRAVITY).all():
        return np.eye(3)
    if abs(size - 9.81) > 1e-12 * 9.81:
        written.left_out.append(f"gravity of ({', '.join(map(repr, gravity.tolist()))}) m/s²")
        return np.eye(3)
    written.remarks.append("the base is turned so that gravity points along -z")
    # first by a half turn where it points upward: what is left is less than a right angle
    half = np.diag([1.0, -1.0, -1.0]) if gravity[2] > 0 else np.eye(3)
    axis = np.cross(half @ gravity, _GRAVITY)
    sine = float(np.linalg.norm(axis))
    if sine == 0:
        return half
    angle = math.atan2(sine, float(half @ gravity @ _GRAVITY))
    return np.asarray(about_axis(axis / sine, angle)) @ half


def _link(written: Written, i: int, root: Element) -> None:
    link = element(root, "link", name=written.robot.body_names[i])
    body = written.bodies[i]
    if body.empty:
        return
    inertial = element(link, "inertial")
    element(inertial, "origin", xyz=body.centre, rpy=np.zeros(3))
    element(inertial, "mass", value=body.mass)
    entries = {
        f"i{a}{b}": body.inertia[k, m]
        for k, a in enumerate("xyz")
        for m, b in enumerate("xyz")
        if m >= k
    }
    element(inertial, "inertia", **entries)


def _joint(written: Written, i: int, root: Element, base: str, turn: np.ndarray) -> None:
    robot, kind, parent = written.robot, written.robot.kinds[i], written.robot.parents[i]
    rotation = robot.tree_rotation[i].detach().numpy()
    offset = robot.tree_offset[i].detach().numpy()
    if parent < 0:
        rotation, offset = clean(turn @ rotation), turn @ offset
    joint = element(root, "joint", name=robot.joint_names[i], type=_TYPES[kind])
    element(joint, "origin", xyz=offset, rpy=angles_of_matrix(rotation))
    element(joint, "parent", link=base if parent < 0 else robot.body_names[parent])
    element(joint, "child", link=robot.body_names[i])
    terms = written.terms(i)
    if kind == "free":
        written.omit(i, *terms)
        return
    element(joint, "axis", xyz=robot.axes[i].detach().numpy())
    low, high, speed, force = written.limits(i)
    if kind != "continuous":  # other readers want all four, infinite or not
        element(joint, "limit", lower=low, upper=high, effort=force, velocity=speed)
    elif min(speed, force) < UNLIMITED:
        element(joint, "limit", effort=force, velocity=speed)
    stated = {_STATED[name]: values[0] for name, values in terms.items() if name in _STATED}
    if stated:
        element(joint, "dynamics", **stated)
    written.omit(i, *(name for name in terms if name not in _STATED))
    m = written.mimic(i)
    if m is not None:
        element(joint, "mimic", joint=m.driver, multiplier=m.multiplier, offset=m.offset)
