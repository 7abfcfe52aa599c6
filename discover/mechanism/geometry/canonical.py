"""A found mechanism in tidy frames: what is zero or a right angle up to the answers' accuracy, made
exactly so.

Torques leave the frames of an inferred robot free; in some frames its constants vanish and its
programs are short. Each joint gets its axis along z and x along the common normal with its parent's
axis, the origin on that normal (Denavit and Hartenberg's frames, for a tree); then angles near
multiples of a quarter turn, offsets near zero and base parameters near zero are made exact. Whether
that may be done is for the caller to decide, on answers.

Bodies for a geometry: tidy frames, and inertial parameters that can exist.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from discover.blackbox.contract import Answers
from discover.laws.export.elimination import rounded
from discover.laws.extensions.terms import Term, forces, joint_terms
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.mechanism.geometry.assembly import is_free, kind, label
from discover.mechanism.geometry.geometry import Geometry
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.probing import Prober
from discover.mechanism.renumbering import configuration_order
from kinematics import Robot
from kinematics.robot.tree import build

_Z = np.array([0.0, 0.0, 1.0])
_FLAT = 1e-9  # sine below which two axes count as parallel whatever the tolerance
_ASKEW = 1e-4  # and below which their common normal, which may be anywhere, places no frame


def tidy_frames(
    tree: ScrewTree,
    screws: Array,
    pi: Array,
    tolerance: float,
    *,
    gravity: Sequence[float] | None = None,
    name: str = "inferred",
) -> Robot:
    """Screws (nb, 6) and parameters (nb, 10) in one frame as a Robot in tidy frames; angles [rad],
    and offsets over the reach, within `tolerance` of special values are made exact. A free base
    keeps its frame, in which the model tells its twist."""
    order = tree.order
    turning = np.asarray(tree.turning)
    axes = np.where(turning[:, None], screws[:, :3], screws[:, 3:])
    rotation, origin = _frames(tree, screws, axes, tolerance)
    reach = max(float(np.ptp(origin, axis=0).max()), 1e-3)
    room = tolerance * reach
    place = {j: k for k, j in enumerate(order)}
    base = np.eye(3) if is_free(tree, order[0]) else _base(tree, rotation)
    rotations: list[Array] = []
    shifts: list[Array] = []
    for j in order:
        p = tree.parents[j]
        if is_free(tree, j):
            rotations.append(np.eye(3))
            shifts.append(np.zeros(3))
            continue
        R, t = (rotation[p], origin[p]) if p >= 0 else (base, origin[order[0]])
        relative, offset = R.T @ rotation[j], R.T @ (origin[j] - t)
        if turning[j]:
            relative = relative @ _about_z(-float(tree.reference[j]))
        else:
            offset = offset - relative @ (_Z * float(tree.reference[j]))
        rotations.append(_snapped(relative, tolerance))
        shifts.append(np.where(np.abs(offset) < room, 0.0, offset))
    offsets = _alike(np.array(shifts), room)
    return build(
        name,
        kinds=[kind(tree, j) for j in order],
        parents=[place[tree.parents[j]] if tree.parents[j] >= 0 else -1 for j in order],
        joint_names=[label(tree, j, "q", "base") for j in order],
        body_names=[label(tree, j, "link", "trunk") for j in order],
        tree_rotation=np.array(rotations),
        tree_offset=offsets,
        axes=np.array([_Z] * len(order)),
        pi=np.array([_seen_from(pi[j], rotation[j], origin[j]) for j in order]),
        gravity=[0.0, 0.0, -tree.gravity] if gravity is None else list(gravity),
        notes=("inferred from a black box; the frame's yaw, its origin and a mirror are free",),
    )


def _frames(tree: ScrewTree, screws: Array, axes: Array, tolerance: float) -> tuple[Array, Array]:
    """World frames (nv, 3, 3) and origins (nv, 3) of the joints at the reference pose."""
    nv = len(tree.parents)
    rotation, origin = np.zeros((nv, 3, 3)), np.zeros((nv, 3))
    for j in tree.order:
        p, z = tree.parents[j], axes[j]
        if is_free(tree, j):
            rotation[j] = np.eye(3)
            continue
        above = rotation[p] if p >= 0 else np.eye(3)
        start = origin[p] if p >= 0 else np.zeros(3)
        normal = np.cross(above[:, 2], z)
        parallel = np.linalg.norm(normal) < max(tolerance, _ASKEW)
        if not parallel:
            x = normal / np.linalg.norm(normal)
        else:
            x = above[:, 0] if p >= 0 else _root_x(tree, axes, screws, j, tolerance)
            x = x - z * (z @ x)
            x = x / np.linalg.norm(x)
        # x belongs to the joint's own zero; but an upright root's zero is free.
        free = p < 0 and parallel
        turn = float(tree.reference[j]) if tree.turning[j] and not free else 0.0
        rotation[j] = np.stack([x, np.cross(z, x), z], 1) @ _about_z(turn)
        origin[j] = start + z * float(tree.reference[j])
        if tree.turning[j]:
            foot = np.cross(screws[j, :3], screws[j, 3:])
            along = z @ (start - foot)
            if not parallel and p >= 0 and tree.turning[p]:
                # Where the common normal of the two axes meets this one.
                w = above[:, 2]
                gap, c = start - foot, float(w @ z)
                along = (gap @ z - c * (gap @ w)) / float(normal @ normal)
            origin[j] = foot + z * along
    return rotation, origin


def _root_x(tree: ScrewTree, axes: Array, screws: Array, root: int, tolerance: float) -> Array:
    """The free direction of an upright root: towards the first thing that it carries."""
    z = axes[root]
    for j in tree.order:
        if tree.parents[j] == root:
            normal = np.cross(z, axes[j])
            if np.linalg.norm(normal) > max(tolerance, _FLAT):
                return normal
            if tree.turning[j] and tree.turning[root]:
                gap = np.cross(screws[j, :3], screws[j, 3:]) - np.cross(
                    screws[root, :3], screws[root, 3:]
                )
                flat = gap - z * (z @ gap)
                if np.linalg.norm(flat) > 1e-6:
                    return flat
    return np.array([1.0, 0.0, 0.0])


def _alike(offsets: Array, room: float) -> Array:
    """Offsets whose sizes are the same within `room` made exactly so: a program shares them."""
    sizes = np.abs(offsets).ravel()
    order = np.argsort(sizes, kind="stable")
    start = 0
    for k in range(1, len(order) + 1):
        if k == len(order) or sizes[order[k]] - sizes[order[start]] > room:
            group = order[start:k]
            sizes[group] = np.median(sizes[group])
            start = k
    return np.copysign(rounded(sizes, room).reshape(offsets.shape), offsets) + 0.0


def _base(tree: ScrewTree, rotation: Array) -> Array:
    """The base's frame, upright, with x along that of the first root at its own zero."""
    root = tree.order[0]
    turn = float(tree.reference[root]) if tree.turning[root] else 0.0
    x = (rotation[root] @ _about_z(-turn))[:, 0]
    x = np.array([x[0], x[1], 0.0]) / np.hypot(x[0], x[1])
    return np.stack([x, np.cross(_Z, x), _Z], 1)


def _snapped(rotation: Array, tolerance: float) -> Array:
    """The rotation with its three angles (z, x, z) near multiples of a quarter turn made exact."""
    sine = float(np.hypot(rotation[0, 2], rotation[1, 2]))
    tilt = float(np.arctan2(sine, rotation[2, 2]))
    if sine < max(tolerance, _FLAT):
        flip = rotation[2, 2] < 0
        total = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        return _about_z(_quarter(total, tolerance)) @ (
            np.diag([1.0, -1.0, -1.0]) if flip else np.eye(3)
        )
    first = float(np.arctan2(rotation[0, 2], -rotation[1, 2]))
    last = float(np.arctan2(rotation[2, 0], rotation[2, 1]))
    a, b, c = (_quarter(x, tolerance) for x in (first, tilt, last))
    return _about_z(a) @ _about_x(b) @ _about_z(c)


def _quarter(angle: float, tolerance: float) -> float:
    near = round(angle / (np.pi / 2)) * (np.pi / 2)
    return float(near) if abs(angle - near) < tolerance else angle


def _exact(angle: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of a quarter turn."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return tuple(float(np.round(x)) if abs(x - np.round(x)) < 1e-15 else x for x in (c, s))  # type: ignore[return-value]


def _about_z(angle: float) -> Array:
    c, s = _exact(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_x(angle: float) -> Array:
    c, s = _exact(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _seen_from(pi: Array, rotation: Array, origin: Array) -> Array:
    """Ten inertial parameters of one frame in another, turned and moved."""
    xx, xy, yy, xz, yz, zz = pi[4:]
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    moments = np.empty((4, 4))
    moments[:3, :3] = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    moments[:3, 3] = moments[3, :3] = pi[1:4]
    moments[3, 3] = pi[0]
    back = np.eye(4)
    back[:3, :3] = rotation.T
    back[:3, 3] = -rotation.T @ origin
    moved = back @ moments @ back.T
    second = moved[:3, :3]
    own = np.trace(second) * np.eye(3) - second
    return np.array([moved[3, 3], *moved[:3, 3], *own[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]])


_EXACT_ROOM = (1e-5, 1e-7, 1e-9)  # what counts as a right angle or as nothing, tried in turn
_NOISY_ROOM = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-7)
_ROUNDING = 1e-9  # of the largest force that a joint has of its own
_HELPS = 0.5  # times the misfit without
_BALL = 0.1  # radius of stand-in bodies [m]


def answers(prober: Prober, robot: Robot, order: tuple[int, ...]) -> tuple[Answers, Answers]:
    """Answers in the region, to fit bodies to and to hold them against, in the robot's order."""
    size = Family.of(robot, joint_terms(robot)).size
    n = max(40, 6 * size // robot.nv) * (8 if prober.noisy else 1)
    states = [prober.draw(n), prober.draw_velocities(n), prober.draw_forces(n)]
    told = prober.blackbox.ask(*(torch.from_numpy(x) for x in states))
    keep, q_keep = list(order), configuration_order(order, robot.nq)
    told = Answers(q=told.q[:, q_keep], v=told.v[:, keep], tau=told.tau[:, keep], a=told.a[:, keep])
    return told[: 4 * n // 5], told[4 * n // 5 :]


def in_tidy_frames(
    robot: Robot,
    geometry: Geometry,
    noisy: bool,
    asked: Answers,
    held: Answers,
    terms: Sequence[Term],
) -> Robot:
    """The robot with frames in which constants vanish, and with angles and offsets that are special
    within the largest tolerance that costs nothing on answers that were not fitted."""
    own = fit(Family.of(robot, terms), asked).standardised_error(held)
    for tolerance in _NOISY_ROOM if noisy else _EXACT_ROOM:
        tidy = tidy_frames(
            geometry.tree,
            geometry.screws,
            geometry.pi,
            tolerance,
            gravity=robot.gravity.tolist(),
        )
        error = fit(Family.of(tidy, terms), asked).standardised_error(held)
        if error <= max(1.01 * own, own + 1e-10):
            return tidy
    return robot


def joint_terms_of(robot: Robot, asked: Answers, held: Answers) -> list[Term]:
    """What joints have beside the bodies (rotors, friction, springs), where the answers show it: a
    misfit that is theirs would hide that of the geometry."""
    terms = joint_terms(robot)
    bare, full = (fit(Family.of(robot, own), asked).standardised_error(held) for own in ([], terms))
    return terms if full < _HELPS * bare else []


def with_possible_bodies(
    robot: Robot, answers: Answers, terms: Sequence[Term] = ()
) -> tuple[Robot, Robot]:
    """The robot with bodies that can exist and have the base parameters that the answers show, and
    with the fitted ones of least norm and what its joints have beside them.

    Among all such bodies those nearest to balls of equal mass about the joints. Where none have
    quite these base parameters, the nearest possible ones.
    """
    fitted = fit(Family.of(robot, terms), answers)
    mass = max(1e-6, float(robot.pi[:, 0].abs().max()))
    ball = torch.zeros(robot.nb, 10, dtype=torch.float64)
    ball[:, 0] = mass
    ball[:, [4, 6, 9]] = 0.4 * mass * _BALL**2
    completion = complete(fitted, answers, ball)
    possible = robot.replace(pi=completion.pi) if np.isfinite(completion.cost) else robot
    return possible, _as_fitted(fitted, answers)


def _as_fitted(fitted: Fit, answers: Answers) -> Robot:
    """The member of the family that was fitted, with rotors, friction and springs that are more
    than rounding and three standard errors."""
    family, k = fitted.family, fitted.family.basis.shape[1]
    robot = family.member(fitted.theta)
    if not family.terms:
        return robot
    shapes = forces(family.terms, answers.q, answers.v, answers.a, answers.tau, robot)
    made = shapes.flatten(0, 1).norm(dim=0) * fitted.theta[k:].abs()
    deviation = torch.diagonal(fitted.covariance)[k:].clamp_min(0).sqrt()
    there = (made > _ROUNDING * made.max()) & (fitted.theta[k:].abs() > 3.0 * deviation)
    for i, term in enumerate(family.terms):
        if term.joint_term is not None and there[i]:
            values = getattr(robot, term.joint_term).clone()
            values[term.joint] = fitted.theta[k + i]
            robot = robot.replace(**{term.joint_term: values})
    return robot
