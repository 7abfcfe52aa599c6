"""Contacts of a scene at a state: gaps, places, frames and Jacobians of all candidates.

c = contacts(robot, scene, q); c.gap, c.velocity(v)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.algorithms.crba import crba
from kinematics.arrays import TORCH, untransformed
from kinematics.contact import narrow
from kinematics.contact.narrow import Shape
from kinematics.contact.placing import Places, chain_of, places
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import WORLD, Geom
from kinematics.errors import RobotError
from kinematics.recursion.inputs import enter
from kinematics.robot.tree import Robot
from kinematics.spatial import algebra as spatial

_KEPT = 4  # scenes that a robot remembers


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """All candidate contacts of a scene, a row each (see `Scene.names`), at states (…).

    gap       (…, nc) signed distance [m]; negative: the depth of overlap
    point     (…, nc, 3) midway between both surfaces, in the base frame [m]
    frame     (…, nc, 3, 3) rows: normal, from the pair's first shape to its second, and two
              tangents, in the base frame
    jacobian  (…, nc, 3, nv): times v, the velocity of the second shape's point relative to the
              first's, in the frame's rows: separation, then sliding [m/s]. Its transpose takes
              contact forces on the second shape to joint forces
    present   (…, nc) whether the pose has the candidate, and the robot can move its shapes against
              each other; its gap is far (1e6) where not
    """

    gap: Tensor
    point: Tensor
    frame: Tensor
    jacobian: Tensor
    present: Tensor

    def velocity(self, v: Any) -> Tensor:
        """Velocity at the contacts (…, nc, 3) [m/s] in their frames, of v (…, nv)."""
        v = torch.as_tensor(v).to(self.jacobian)
        return (self.jacobian * v[..., None, None, :]).sum(-1)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The pairs of two kinds: their shapes' bodies, places and sizes as constants."""

    kinds: tuple[str, str]
    sides: tuple[_Side, _Side]


@dataclass(frozen=True, kw_only=True)
class _Side:
    body: Tensor  # (n) rows of Places
    at: Tensor  # (n, 3, 1)
    rotation: Tensor  # (n, 3, 3, 1)
    size: Tensor  # (n, 3, 1)
    vertices: Tensor | None
    real: Tensor | None
    count: int


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """A scene on a robot: groups of pairs, and where their candidates go."""

    groups: tuple[_Group, ...]
    order: Tensor  # (nc) from the groups' candidates to the scene's
    signs: Tensor  # (nc, nv of the full tree): 1, -1 where a velocity moves the second, the first
    moving: Tensor  # (nc) whether any velocity moves one against the other


def contacts(robot: Robot, scene: Scene, q: Any) -> Contacts:
    """The candidate contacts of a scene at configurations q (…, nq) [rad | m].

    Differentiable in q; dtype and device follow it. Raises RobotError where the scene names a body
    that the robot has not, and on wrong shapes.
    """
    if not isinstance(scene, Scene):
        raise RobotError(
            f"expected a kinematics.contact.Scene, found {type(scene).__name__}; make or load one"
        )
    inputs = enter(robot, q)
    q = torch.as_tensor(inputs.public["q"])
    bound = bind(robot, scene, q)
    place = places(inputs)
    batch, count = inputs.batch, q.shape[0]
    if not scene.nc:
        empty = q.new_zeros
        return Contacts(
            gap=empty(*batch, 0), point=empty(*batch, 0, 3), frame=empty(*batch, 0, 3, 3),
            jacobian=empty(*batch, 0, 3, robot.nv), present=empty(*batch, 0).bool(),
        )  # fmt: skip
    gap, point, frame, present = _hits(bound, place, count)
    wrench = torch.cat(
        (torch.linalg.cross(point[:, None].expand_as(frame), frame, dim=2), frame), 2
    )
    # (B, 3 nc, 6) times (B, 6, nv); what is not contiguous would be copied state by state
    rows, axes = (x.movedim(-1, 0).contiguous() for x in (wrench.flatten(0, 1), place.axes))
    jacobian = (rows @ axes.mT).unflatten(1, (scene.nc, 3))
    jacobian *= bound.signs[:, None]  # in place: by far the largest array
    if robot.mimic:
        full = jacobian.movedim(-1, 0)
        jacobian = robot.coupling.reduce(TORCH, full).movedim(0, -1)

    def out(x: Tensor) -> Tensor:
        return x.reshape(*batch, *x.shape[1:])

    return Contacts(
        gap=out(gap.movedim(-1, 0)),
        point=out(point.movedim(-1, 0)),
        frame=out(frame.movedim(-1, 0)),
        jacobian=out(jacobian),
        present=out(present.movedim(-1, 0)),
    )


def _hits(bound: _Bound, place: Places, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gap (nc, B), point (nc, 3, B), frame (nc, 3, 3, B), present (nc, B) in the scene's order."""
    gaps, points, turns, there = [], [], [], []
    for group in bound.groups:
        first, second = (_placed(side, place) for side in group.sides)
        hits = narrow.TESTS[group.kinds](first, second)
        gap = hits.gap
        gaps.append(gap.flatten(0, 1))
        points.append(hits.point.flatten(0, 1))
        turns.append(narrow.frames(hits.normal, hits.along).flatten(0, 1))
        present = torch.ones_like(gap, dtype=torch.bool) if hits.present is None else hits.present
        there.append(present.flatten(0, 1))
    gap, point, turn, here = (torch.cat(x)[bound.order] for x in (gaps, points, turns, there))
    here = here & bound.moving[:, None]
    return torch.where(here, gap, narrow.FAR), point, turn, here


def _placed(side: _Side, place: Places) -> Shape:
    """Shapes in the base frame."""
    r, p = place.rotation[side.body], place.position[side.body]
    return Shape(
        position=p + spatial.rotate(r, side.at),
        rotation=spatial.multiply(r, side.rotation),
        size=side.size,
        vertices=side.vertices,
        real=side.real,
        count=side.count,
    )


def invweight(robot: Robot, scene: Scene) -> Tensor:
    """Inverse weight (nc,) [1/kg] of each candidate's normal, which scales the soft law's give.

    That of a body is the mean over three directions of what a unit force at its centre of mass
    accelerates it by, at the neutral configuration; the base has none. MuJoCo's own numbers where
    the scene was read from an MJCF (they differ where welded bodies were merged).
    """
    first = [pair.first for pair in scene.touching]
    second = [pair.second for pair in scene.touching]
    if scene.invweights is not None:
        each = torch.as_tensor(scene.invweights, dtype=torch.float64)
    else:
        own = _body_invweights(robot)
        each = own[[body_row(robot, shape) for shape in scene.shapes]]
    return (each[first] + each[second])[scene.pair_of]


def _body_invweights(robot: Robot) -> Tensor:
    """(nb + 1,) of the bodies and of the base; zero for a body without mass."""
    plain = robot.to(dtype=torch.float64, device="cpu")
    inputs = enter(plain, plain.neutral()[None])
    place = places(inputs)
    pi = plain.pi.detach().reshape(-1, plain.nb, 10)[0]
    mass = pi[:, :1]
    centre = torch.where(mass > 0, pi[:, 1:4] / torch.where(mass > 0, mass, 1.0), 0.0)
    at = place.position[:-1, :, 0] + spatial.rotate(place.rotation[:-1], centre[..., None])[..., 0]
    turn, slide = place.axes[:, :3, 0], place.axes[:, 3:, 0]
    moved = slide + torch.linalg.cross(
        turn.expand(plain.nb, -1, -1), at[:, None].expand(-1, len(turn), -1)
    )
    moved = moved * place.chain.carries[:-1, :, None]  # (nb, nv, 3)
    if plain.mimic:
        moved = plain.coupling.reduce(TORCH, moved.movedim(0, -1)).movedim(-1, 0)
    H = crba(plain, plain.neutral()).detach()
    answered = torch.linalg.lstsq(H, moved.movedim(0, 1).reshape(plain.nv, -1)).solution
    answered = answered.reshape(plain.nv, plain.nb, 3).movedim(0, 1)
    own = (moved * answered).sum((1, 2)) / 3
    return torch.cat((own, own.new_zeros(1)))


def body_row(robot: Robot, geom: Geom) -> int:
    """The row in `Places` of the body that a shape names: nb for the base."""
    if geom.body in robot.body_names:
        return robot.body_names.index(geom.body)
    if geom.body in (WORLD, robot.base_name):
        return robot.nb
    raise RobotError(
        f"expected {geom.kind} {geom.name!r} on a body of {robot.name} or {WORLD!r}, found "
        f"{geom.body!r}; its bodies are {', '.join(robot.body_names)}"
    )


def bind(robot: Robot, scene: Scene, like: Tensor) -> _Bound:
    """The scene's constants on a robot, as tensors like ``like``; the last few stay with it."""
    key = ("scene", like.dtype, like.device)
    kept = robot._cache.get(key, ())
    for known, bound in kept:
        if known is scene:
            return bound
    with untransformed():
        made = _bound(robot, scene, like)
    robot._cache[key] = ((scene, made), *kept[: _KEPT - 1])
    return made


def _bound(robot: Robot, scene: Scene, like: Tensor) -> _Bound:
    rows = [body_row(robot, shape) for shape in scene.shapes]
    by_kind: dict[tuple[str, str], list[int]] = {}
    for number, pair in enumerate(scene.touching):
        kinds = (scene.shapes[pair.first].kind, scene.shapes[pair.second].kind)
        key = (*kinds, str(scene.shapes[pair.second].count)) if kinds[1] == "convex" else kinds
        by_kind.setdefault(key, []).append(number)  # type: ignore[arg-type]
    groups, order = [], []
    pair_of = scene.pair_of.tolist()
    first_row = {pair: pair_of.index(pair) for pair in set(pair_of)}
    for key, numbers in by_kind.items():
        pairs = [scene.touching[n] for n in numbers]
        sides = [
            _side([scene.shapes[x] for x in chosen], [rows[x] for x in chosen], like)
            for chosen in ([p.first for p in pairs], [p.second for p in pairs])
        ]
        groups.append(_Group(kinds=(key[0], key[1]), sides=(sides[0], sides[1])))
        for n in numbers:
            order += [first_row[n] + k for k in range(pair_of.count(n))]
    carries = chain_of(robot.unmimicked if robot.mimic else robot, like).carries
    signs = [carries[rows[p.second]] - carries[rows[p.first]] for p in scene.touching]
    device = like.device
    relative = torch.stack(signs)[scene.pair_of.to(device)] if signs else carries[:0]
    return _Bound(
        groups=tuple(groups),
        order=torch.as_tensor(np.argsort(order), device=device),
        signs=relative,
        moving=(relative != 0).any(1),
    )


def _side(shapes: list[Geom], rows: list[int], like: Tensor) -> _Side:
    def number(x: Any) -> Tensor:
        return torch.as_tensor(np.asarray(x, dtype=float)).to(like.dtype).to(like.device)

    most = max(len(s.vertices) for s in shapes)
    vertices = np.zeros((len(shapes), most, 3, 1))
    real = np.zeros((len(shapes), most))
    for k, shape in enumerate(shapes):
        vertices[k, : len(shape.vertices), :, 0] = shape.vertices
        real[k, : len(shape.vertices)] = 1.0
    return _Side(
        body=torch.as_tensor(rows, dtype=torch.long, device=like.device),
        at=number([s.at[:, None] for s in shapes]),
        rotation=number([s.rotation[..., None] for s in shapes]),
        size=number([s.size[:, None] for s in shapes]),
        vertices=number(vertices) if most else None,
        real=number(real) if most else None,
        count=max(s.count for s in shapes) if most else 0,
    )
