"""A robot as MJCF, for MuJoCo.

In an MJCF a free joint stands in the world's frame, so where a robot's free joint does not, the
world of the file is that joint's frame. MuJoCo wants some mass and inertia of everything that
moves; bodies that have none get the least it takes. Mimic joints become equality constraints,
which MuJoCo holds softly and `kinematics.load` exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import torch

from kinematics.errors import RobotError
from kinematics.formats.builder import untaken
from kinematics.formats.written import Written, element
from kinematics.robot import inertial_parameters, joints
from kinematics.robot.actuation import Actuation
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import clean, exp_quaternion, quaternion_of_matrix

_TYPES = {
    "revolute": "hinge",
    "continuous": "hinge",
    "prismatic": "slide",
    "spherical": "ball",
    "free": "free",
}
_STATED = {"armature": "armature", "damping": "damping", "friction": "frictionloss"}
_INTEGRATORS = {
    "semi_implicit_euler": "Euler",
    "implicit_damping": "Euler",
    "rk4": "RK4",
    "implicit_velocity": "implicit",
}
LEAST = 1e-15  # kg, kg·m²: MuJoCo's mjMINVAL
_ROUNDING = 1e-12  # by which principal moments may break the triangle inequality, of the largest


def to_mjcf(robot: Robot, remarks: Sequence[str] = (), **options: Any) -> str:
    """The robot as MJCF text: ``load(to_mjcf(robot))`` answers as it does.

    ``remarks`` are lines for the comment at its head, after which the file says what it does not
    state; forces that are left out are a warning too. ``options`` are attributes of its <option>,
    such as timestep [s] and integrator. RobotError, one line, for bodies that cannot exist and for
    free joints that do not hang on the base.
    """
    written = Written.of(robot, "MJCF")
    robot = written.robot
    rotation, offset = _world(written)
    root = Element("mujoco", {"model": robot.name})
    element(root, "compiler", angle="radian", autolimits="true", inertiafromgeom="false")
    gravity = clean(rotation).T @ robot.gravity.detach().numpy()
    _options(written, root, gravity, options)
    world = element(root, "worldbody")
    names = _body_names(written)
    placed: dict[int, Element] = {-1: world}
    for i in written.order:
        placed[i] = _body(written, i, placed[robot.parents[i]], names[i], rotation, offset)
    if robot.mimic:
        equality = element(root, "equality")
        for m in robot.mimic:
            affine = [m.offset, m.multiplier, 0.0, 0.0, 0.0]
            element(equality, "joint", joint1=m.joint, joint2=m.driver, polycoef=affine)
        written.remarks.append(
            f"{len(robot.mimic)} joints follow others: exactly for kinematics.load, by soft "
            "constraints for MuJoCo"
        )
    _actuators(written, root)
    if robot.muscles is not None:
        written.left_out.append(f"{robot.muscles.nm} muscles")
    if robot.friction.any():
        written.remarks.append(
            "frictionloss is Coulomb friction; the law it is from smooths it: "
            f"frictionloss tanh(v / speed) with speed {robot.friction_speed!r}"
        )
    if bool(robot.velocity_limit.isfinite().any()):
        written.remarks.append("velocity limits of the robot have no place in an MJCF")
    return written.text(root, remarks)


def _options(written: Written, root: Element, gravity: np.ndarray, options: dict[str, Any]) -> None:
    """Gravity, the robot's step if it has one, and what the caller wants."""
    robot = written.robot
    step: dict[str, Any] = {}
    if robot.stepping is not None:
        name = robot.stepping.integrator
        step = {"timestep": robot.stepping.timestep, "integrator": _INTEGRATORS[name]}
    option = element(root, "option", gravity=gravity, **(step | options))
    if robot.stepping is not None and robot.stepping.integrator == "semi_implicit_euler":
        element(option, "flag", eulerdamp="disable")


def _actuators(written: Written, root: Element) -> None:
    """Motors, linear in the control, and servos of single joints; on several joints by a tendon."""
    robot, actuation = written.robot, written.robot.actuation
    if actuation is None:
        return
    at = {robot.v_slices[i].start: i for i in robot.independent_joints}
    single = {row: i for row, i in at.items() if joints.NV[robot.kinds[i]] == 1}
    arms = actuation.arms.numpy()
    servos = _servos(actuation)
    if servos is None:
        written.left_out.append("servos that hold several joints")
        servos = np.zeros((actuation.nu, 2))
    section = element(root, "actuator")
    for k, name in enumerate(actuation.names):
        rows = np.flatnonzero(arms[k]).tolist()
        if any(row not in single for row in rows):
            written.left_out.append(f"actuator {name} (on a joint of several velocities)")
            continue
        stated: dict[str, Any] = {"name": name}
        if len(rows) == 1:
            stated |= {"joint": robot.joint_names[single[rows[0]]], "gear": arms[k, rows[0]]}
        else:
            tendons = root.find("tendon")
            tendons = element(root, "tendon") if tendons is None else tendons
            fixed = element(tendons, "fixed", name=f"{name}_arms")
            for row in rows:
                element(fixed, "joint", joint=robot.joint_names[single[row]], coef=arms[k, row])
            stated["tendon"] = f"{name}_arms"
        force = [actuation.offset[k], -servos[k, 0], -servos[k, 1]]
        stated |= {"gainprm": actuation.gain[k], "biastype": "affine", "biasprm": force}
        stated |= _range("ctrl", actuation.low[k], actuation.high[k])
        stated |= _range("force", actuation.force_low[k], actuation.force_high[k])
        element(section, "general", **stated)


def _range(what: str, low: Any, high: Any) -> dict[str, Any]:
    if not (math.isfinite(low) or math.isfinite(high)):
        return {}
    return {f"{what}limited": "true", f"{what}range": [float(low), float(high)]}


def _servos(actuation: Actuation) -> np.ndarray | None:
    """Stiffness and damping (nu, 2) in each actuator's own unit; None where a servo's does not
    belong to one actuator on one joint."""
    arms = actuation.arms.numpy()
    out = np.zeros((actuation.nu, 2))
    for column, matrix in enumerate((actuation.stiffness.numpy(), actuation.damping.numpy())):
        if (matrix != np.diag(np.diag(matrix))).any():
            return None
        for row in np.flatnonzero(np.diag(matrix)):
            drives = np.flatnonzero(arms[:, row])
            if len(drives) != 1 or np.count_nonzero(arms[drives[0]]) != 1:
                return None
            out[drives[0], column] = matrix[row, row] / arms[drives[0], row] ** 2
    return out


def _world(written: Written) -> tuple[np.ndarray, np.ndarray]:
    """Where the file's world stands in the robot's base: the frame of its free joint, if any."""
    robot = written.robot
    frames = []
    for i, kind in enumerate(robot.kinds):
        if kind != "free":
            continue
        if robot.parents[i] >= 0:
            raise RobotError(
                f"expected free joints on the base, found {robot.joint_names[i]!r} of "
                f"{robot.name} on another body, which an MJCF cannot state; write a URDF"
            )
        frames.append((robot.tree_rotation[i].detach().numpy(), robot.tree_offset[i].numpy()))
    if not frames:
        return np.eye(3), np.zeros(3)
    (rotation, offset), *others = frames
    if any((r != rotation).any() or (p != offset).any() for r, p in others):
        raise RobotError(
            f"expected free joints in one frame, found {len(frames)} frames in {robot.name}, "
            "and an MJCF has all of them in the world's; write a URDF"
        )
    if (rotation != np.eye(3)).any() or offset.any():
        written.remarks.append(
            "the world of this file is the frame of the robot's free joint, which stands in its "
            f"base at {offset.tolist()} m, turned by the quaternion (wxyz) "
            f"{quaternion_of_matrix(rotation).tolist()}"
        )
    return rotation, offset


def _body_names(written: Written) -> list[str]:
    """The bodies' names; "world" is taken in an MJCF."""
    names = list(written.robot.body_names)
    if "world" in names:
        at = names.index("world")
        names[at] = untaken("world", set(names))
        written.remarks.append(f"the body 'world' is called {names[at]!r} here")
    return names


def _body(
    written: Written, i: int, parent: Element, name: str, rotation: np.ndarray, offset: np.ndarray
) -> Element:
    robot, kind = written.robot, written.robot.kinds[i]
    turn = robot.tree_rotation[i].detach().numpy()
    at = robot.tree_offset[i].detach().numpy()
    if robot.parents[i] < 0:  # from the robot's base to the file's world
        turn, at = clean(rotation.T @ turn), rotation.T @ (at - offset)
    place = {"pos": at, "quat": quaternion_of_matrix(turn)}
    joint: dict[str, Any] = {"name": robot.joint_names[i], "type": _TYPES[kind]}
    if joints.NV[kind] == 1:
        joint["axis"] = robot.axes[i].detach().numpy()
        low, high, _, force = written.limits(i)
        if math.isfinite(low) or math.isfinite(high):
            joint |= {"limited": "true", "range": [low, high]}
        if math.isfinite(force):
            joint |= {"actuatorfrclimited": "true", "actuatorfrcrange": [-force, force]}
    stated, rest = _terms(written, i)
    if kind == "free" and rest:  # its spring rests where the file has its body
        turned = exp_quaternion(torch.tensor(rest[:3], dtype=torch.float64))
        place = {"pos": np.array(rest[3:]), "quat": turned.numpy()}
    body = element(parent, "body", name=name, **place)
    _inertial(written, i, body)
    element(body, "joint", **joint, **stated)
    return body


def _terms(written: Written, i: int) -> tuple[dict[str, Any], list[float]]:
    """The joint's terms as attributes, and the rest of its spring if it has one.

    MuJoCo has one number a joint, and a free joint's armature and friction along the world's axes.
    """
    robot, kind = written.robot, written.robot.kinds[i]
    terms = written.terms(i)
    rest = robot.spring_reference[robot.v_slices[i]].tolist()
    unstated = [name for name, values in terms.items() if len(set(values)) > 1]
    if kind == "free":
        unstated += [name for name in ("armature", "friction") if name in terms]
    if kind == "spherical" and any(rest) and "stiffness" in terms:
        unstated.append("stiffness")
    unstated = list(dict.fromkeys(unstated))
    written.omit(i, *unstated)
    stated = {name: values[0] for name, values in terms.items() if name not in unstated}
    spring = stated.pop("stiffness", None)
    out: dict[str, Any] = {_STATED[name]: value for name, value in stated.items()}
    if spring is None:
        return out, []
    out["stiffness"] = spring
    if joints.NV[kind] == 1:
        out["springref"] = rest[0]
    return out, rest


def _inertial(written: Written, i: int, body: Element) -> None:
    """Mass, centre and principal moments: MuJoCo's own way there loses digits of small ones."""
    held = written.bodies[i]
    name = written.robot.body_names[i]
    reason = inertial_parameters.impossibility(held.mass, held.inertia)
    if reason is not None and held.mass > 0:
        raise RobotError(
            f"expected bodies that can exist for MJCF, found {name!r} of {written.robot.name}: "
            f"{reason}; write a URDF, or give possible parameters"
        )
    axes = np.eye(3)
    moments = np.diag(held.inertia).copy()
    if (held.inertia != np.diag(moments)).any():
        moments, axes = np.linalg.eigh(held.inertia)
        axes = axes * np.linalg.det(axes)
    moments, added = _accepted(moments)
    if held.mass < LEAST or (added and not held.empty):
        written.remarks.append(
            f"{name} has the least mass and inertia that MuJoCo takes"
            + ("" if held.mass < LEAST else f": {added:.2g} kg·m² more than the robot's")
        )
    if added > _ROUNDING * moments.max() and added > LEAST:
        written.left_out.append(f"the exact inertia of {name} (its triangle inequality is broken)")
    element(
        body,
        "inertial",
        mass=max(held.mass, LEAST),
        pos=held.centre,
        quat=quaternion_of_matrix(axes),
        diaginertia=moments,
    )


def _accepted(moments: np.ndarray) -> tuple[np.ndarray, float]:
    """The nearest principal moments that MuJoCo takes, and the largest change: each positive, none
    larger than the sum of the others, which rounding breaks for flat bodies."""
    out = np.maximum(moments, LEAST)
    small, middle, large = np.argsort(out)
    short = out[large] - out[middle] - out[small]
    if short > 0:
        out[[small, middle]] += short  # the middle one too: their order stays
    return out, float(np.abs(out - moments).max())
