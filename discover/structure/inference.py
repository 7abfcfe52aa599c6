"""From a black box to a robot: tree, joint kinds, geometry and possible inertial parameters."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from discover.dynamics import Answers, Respondent
from discover.errors import RegionError
from discover.laws.consistency import complete
from discover.laws.family import Family
from discover.laws.fit import fit
from discover.region import Region
from discover.structure.floating import BASE_V, FloatingTree
from discover.structure.geometry import Geometry, infer_geometry
from discover.structure.idealised import tidy_frames
from discover.structure.probing import Prober
from discover.structure.rivals import equivalents
from discover.structure.screws import Array, ScrewTree, rigid, skew
from discover.structure.skeleton import point_on
from discover.structure.topology import Tree, infer_tree
from discover.structure.way import STARTS
from kinematics import Robot
from kinematics.tree import build

_EXACT_ROOM = (1e-5, 1e-7, 1e-9)  # what counts as a right angle or as nothing, tried in turn
_NOISY_ROOM = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-7)
_BALL = 0.1  # radius of stand-in bodies [m]
_HOPELESS = 0.2  # share of the answers that is not affine in tau at which no bodies are sought
_BRIEF = 4  # starts of the search for screws, where it need not be long
_MOST_RIVALS = 7  # joints up to which all neighbouring trees are tried


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """What the answers at rest show of a mechanism.

    tree, geometry   in the model's own coordinates
    order            the model's coordinate behind each joint of `robot`, parents before children
    robot            the mechanism as a Robot; its joints are named q1, q2, ... after the
                     model's coordinates
    exact            the same with the very base parameters that were fitted, for programs: its
                     bodies need not be possible
    equivalent       other parent arrays (the model's coordinates) that answer the same
    notes            plain sentences for the reader
    """

    tree: Tree
    geometry: Geometry
    order: tuple[int, ...]
    robot: Robot
    exact: Robot
    equivalent: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]
    queries: int
    seconds: float

    @property
    def renumbered(self) -> bool:
        """Whether the robot's joints stand in another order than the model's coordinates."""
        return self.order != tuple(range(len(self.order)))


def infer(
    respondent: Respondent, region: Region, seed: int = 0, *, brief: bool = False
) -> Structure:
    """Tree and geometry of a model of which nothing is known but nv and a region.

    `brief`: give up sooner where no geometry fits, for models that are described besides.
    """
    started, before = time.perf_counter(), respondent.queries
    prober = Prober(respondent=respondent, region=region, seed=seed)
    tree = infer_tree(prober)
    geometry = _geometry(prober, tree, brief)
    equivalent = _equivalent(prober, geometry)
    order = geometry.tree.order
    robot = exact = robot_of(geometry)
    if geometry.good:
        asked, held = _answers(prober, robot, order)
        robot = _in_tidy_frames(robot, geometry, prober.noisy, asked, held)
        robot, exact = _with_possible_bodies(robot, asked)
    return Structure(
        tree=replace(tree, equivalent=equivalent),
        geometry=geometry,
        order=order,
        robot=robot,
        exact=exact,
        equivalent=equivalent,
        notes=_notes(tree, geometry, equivalent, order),
        queries=respondent.queries - before,
        seconds=time.perf_counter() - started,
    )


def coordinates_of(region: Region) -> int:
    """nv from the region's vectors. Raises RegionError where the region has scalars only."""
    if region.nv is None:
        raise RegionError(
            "expected a region with one value a coordinate, found scalars only: without a robot, "
            "nv is read from the region; write q, v or tau as a list of nv half-widths"
        )
    return region.nv


def _geometry(prober: Prober, tree: Tree, brief: bool) -> Geometry:
    """Screws for the kinds that the tree names; where a kind is open, the one that fits better."""
    reference = prober.draw(1, 0.7)[0]
    screws = ScrewTree(
        parents=tree.parents,
        turning=tuple(kind == "revolute" for kind in tree.kinds),
        reference=reference,
    )
    if prober.noise > _HOPELESS:
        return infer_geometry(prober, screws, effort=1)
    best = infer_geometry(prober, screws, effort=_BRIEF if brief else STARTS)
    if best.good or brief:
        return best
    best = min(
        (best, infer_geometry(prober, screws, joint_terms=True, effort=8)), key=lambda g: g.held_out
    )
    if best.good:
        return best
    for j in (j for j, kind in enumerate(tree.kinds) if kind == "either"):
        turning = tuple(not t if i == j else t for i, t in enumerate(screws.turning))
        trial = infer_geometry(prober, replace(screws, turning=turning), effort=6)
        if trial.held_out < 0.5 * best.held_out:
            best, screws = trial, replace(screws, turning=turning)
        if best.good:
            break
    return best


def _equivalent(prober: Prober, geometry: Geometry) -> tuple[tuple[int, ...], ...]:
    """Neighbouring trees that answer the same, from fits with these screws."""
    nv = len(geometry.tree.parents)
    if not geometry.good or prober.noisy or nv > _MOST_RIVALS or geometry.joint_terms:
        return ()
    asked, held = prober.at(prober.draw(max(20, 5 * nv))), prober.at(prober.draw(12))
    return equivalents(geometry.tree, geometry.screws, asked, held, 1e-8)


def robot_of(geometry: Geometry, name: str = "inferred") -> Robot:
    """The mechanism as a Robot: one frame on each joint's axis, upright at the reference pose.

    Inertial parameters are those of least norm; torques do not tell them from possible ones.
    """
    return robot_from_screws(geometry.tree, geometry.screws, geometry.pi, name=name)


def robot_from_screws(
    tree: ScrewTree,
    screws: Array,
    pi: Array,
    *,
    gravity: Sequence[float] | None = None,
    name: str = "inferred",
) -> Robot:
    """Screws (nv, 6) and parameters (nv, 10) in one frame, as a Robot; parents before children."""
    order = tree.order
    place = {j: k for k, j in enumerate(order)}
    points = np.zeros((len(order), 3))
    for j in order:
        points[j] = point_on(tree, screws, j, points)
    rotations, offsets, axes, moved = [], [], [], []
    for j in order:
        p, s = tree.parents[j], screws[j]
        above = points[p] if p >= 0 else np.zeros(3)
        if tree.turning[j]:
            rotations.append(_turn(s[:3], -tree.reference[j]))
            offsets.append(points[j] - above)
            axes.append(s[:3])
        else:
            rotations.append(np.eye(3))
            offsets.append(points[j] - above - s[3:] * tree.reference[j])
            axes.append(s[3:])
        moved.append(_about(pi[j], points[j]))
    return build(
        name,
        kinds=[_kind(tree, j) for j in order],
        parents=[place[tree.parents[j]] if tree.parents[j] >= 0 else -1 for j in order],
        joint_names=[_label(tree, j, "q", "base") for j in order],
        body_names=[_label(tree, j, "link", "trunk") for j in order],
        tree_rotation=np.array(rotations),
        tree_offset=np.array(offsets),
        axes=np.array(axes),
        pi=np.array(moved),
        gravity=[0.0, 0.0, -tree.gravity] if gravity is None else list(gravity),
        notes=("inferred from a black box; the frame's yaw, its origin and a mirror are free",),
    )


def _kind(tree: ScrewTree, body: int) -> str:
    if isinstance(tree, FloatingTree) and body == 0:
        return "free"
    return "revolute" if tree.turning[body] else "prismatic"


def _label(tree: ScrewTree, body: int, letter: str, base: str) -> str:
    """After the model's coordinate, counted from 1; a free base has six of its own."""
    if not isinstance(tree, FloatingTree):
        return f"{letter}{body + 1}"
    return base if body == 0 else f"{letter}{body + BASE_V}"


def _turn(axis: Array, angle: float) -> Array:
    k = skew(axis)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def _about(pi: Array, point: Array) -> Array:
    """Ten inertial parameters about another origin of the same orientation."""
    back = np.eye(6)
    back[3:, :3] = skew(point)
    m = back.T @ rigid(pi[None])[0] @ back
    h = np.array([m[2, 4], m[0, 5], m[1, 3]])
    return np.array([m[5, 5], *h, m[0, 0], m[0, 1], m[1, 1], m[0, 2], m[1, 2], m[2, 2]])


def _answers(prober: Prober, robot: Robot, order: tuple[int, ...]) -> tuple[Answers, Answers]:
    """Answers in the region, to fit bodies to and to hold them against, in the robot's order."""
    n = max(40, 6 * Family.of(robot).size // robot.nv) * (8 if prober.noisy else 1)
    states = [prober.draw(n), prober.draw_velocities(n), prober.draw_forces(n)]
    answers = prober.respondent.ask(*(torch.from_numpy(x) for x in states))
    keep = list(order)
    answers = Answers(**{name: getattr(answers, name)[:, keep] for name in ("q", "v", "tau", "a")})
    return answers[: 4 * n // 5], answers[4 * n // 5 :]


def _in_tidy_frames(
    robot: Robot, geometry: Geometry, noisy: bool, asked: Answers, held: Answers
) -> Robot:
    """The robot with frames in which constants vanish, and with angles and offsets that are special
    within the largest tolerance that costs nothing on answers that were not fitted."""
    own = fit(Family.of(robot), asked).standardised_error(held)
    for tolerance in _NOISY_ROOM if noisy else _EXACT_ROOM:
        tidy = tidy_frames(geometry.tree, geometry.screws, geometry.pi, tolerance)
        error = fit(Family.of(tidy), asked).standardised_error(held)
        if error <= max(1.01 * own, own + 1e-10):
            return tidy
    return robot


def _with_possible_bodies(robot: Robot, answers: Answers) -> tuple[Robot, Robot]:
    """The robot with bodies that can exist and have the base parameters that the answers show, and
    with the fitted ones of least norm.

    Among all such bodies those nearest to balls of equal mass about the joints. Where none have
    quite these base parameters, the nearest possible ones.
    """
    fitted = fit(Family.of(robot), answers)
    mass = max(1e-6, float(robot.pi[:, 0].abs().max()))
    ball = torch.zeros(robot.nb, 10, dtype=torch.float64)
    ball[:, 0] = mass
    ball[:, [4, 6, 9]] = 0.4 * mass * _BALL**2
    completion = complete(fitted, answers, ball)
    possible = robot.replace(pi=completion.pi) if np.isfinite(completion.cost) else robot
    return possible, fitted.family.member(fitted.theta)


def _notes(
    tree: Tree, geometry: Geometry, equivalent: tuple[tuple[int, ...], ...], order: tuple[int, ...]
) -> tuple[str, ...]:
    notes = [
        f"The tree was inferred from the answers: parents {_listed(tree.parents)} "
        f"(0 is the base), "
        + ", ".join(
            f"q{j + 1} {'turns' if t else 'slides'}" for j, t in enumerate(geometry.tree.turning)
        )
        + "."
    ]
    if not geometry.good:
        notes.append(
            "No geometry of this tree fits the model at rest: "
            f"{geometry.held_out:.2g} of H and force (or as many deviations) is missed by the best."
        )
    for other in equivalent[:4]:
        notes.append(f"Parents {_listed(other)} would answer the same.")
    if order != tuple(range(len(order))):
        named = ", ".join(f"q{j + 1}" for j in order)
        notes.append(
            f"The model numbers a joint before one that carries it: the law's coordinates are the "
            f"model's {named}."
        )
    if not geometry.tree.gravity:
        notes.append("Nothing weighs on the joints: the scale of lengths is a guess.")
    return tuple(notes)


def _listed(parents: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(p + 1) for p in parents) + "]"
