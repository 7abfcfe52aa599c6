"""Paths of muscles: points on bodies, surfaces that strings pass over, pulleys, joints.

A path is a chain of points. Between two of them it is straight, or passes over one sphere or
cylinder (see `kinematics.muscles.wraps`). A pulley starts a new branch, which counts by the inverse
of its divisor, and has no length from the point before it. Points may move on their bodies as
joints move, or be there in a range of a coordinate only (`kinematics.muscles.strings.varying`). A
path may also run along joints, as a belt does: each unit of their coordinate adds a coefficient to
its length (MuJoCo's fixed tendons and joint transmissions).

`Path` is how one is written down, `Paths` all of a robot's, laid out for arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles.strings.varying import Motion, Range, Varying
from kinematics.muscles.wraps import RULES

KINDS = ("sphere", "cylinder")
_STRAIGHT = -1
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Point:
    """A point on a body (its number in the robot, -1 for the base), ``at`` (3,) [m] in its frame,
    from where ``motions`` carry it; on its path while ``present``, always where there is none."""

    body: int
    at: Any
    motions: tuple[Motion, ...] = ()
    present: Range | None = None


@dataclass(frozen=True, kw_only=True)
class Wrap:
    """A surface between two points of a path, on a body.

    kind      "sphere" or "cylinder" (without ends), of ``radius`` [m]
    centre, rotation   (3,) [m] and (3, 3): its frame in the body's; a cylinder's axis is z
    side      the point on whose side the path passes, if it is said
    """

    kind: str
    body: int
    radius: float
    centre: Any = (0.0, 0.0, 0.0)
    rotation: Any = _IDENTITY
    side: Point | None = None


@dataclass(frozen=True)
class Pulley:
    """What follows is a branch of its own, whose length counts by 1 / divisor."""

    divisor: float


@dataclass(frozen=True, kw_only=True)
class Path:
    """One path, by its elements in order.

    joints   length [m] of each unit of a joint's coordinate, by the joint's number in the robot
    constant  length [m] that nothing changes
    scale    what the whole is multiplied by (MuJoCo's gear)
    """

    name: str
    elements: Sequence[Point | Wrap | Pulley] = ()
    joints: Mapping[int, float] = field(default_factory=dict)
    constant: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Paths:
    """The paths of nm muscles, as arrays.

    points (np, 3) [m] in their bodies' frames, on ``point_bodies``; wraps: ``wrap_kinds``, on
    ``wrap_bodies``, ``wrap_rotations`` (nw, 3, 3), ``wrap_centres`` (nw, 3) [m], ``wrap_radii``
    (nw,) [m]. ``spans`` are pieces between two points: (muscle, first point, last point, wrap or
    -1, side point or -1), of ``span_weights`` (ns,). ``joints`` are (muscle, joint), with
    ``joint_weights`` (nj,). ``offsets`` (nm,) [m] is length that nothing changes. ``varying`` says
    which points move, and which spans count when.
    """

    names: tuple[str, ...]
    rule: str
    point_bodies: tuple[int, ...]
    points: Tensor
    wrap_kinds: tuple[str, ...]
    wrap_bodies: tuple[int, ...]
    wrap_rotations: Tensor
    wrap_centres: Tensor
    wrap_radii: Tensor
    spans: tuple[tuple[int, int, int, int, int], ...]
    span_weights: Tensor
    joints: tuple[tuple[int, int], ...]
    joint_weights: Tensor
    offsets: Tensor
    varying: Varying = field(default_factory=Varying)

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise RobotError(
                f"expected a wrap rule among {', '.join(RULES)}, found {self.rule!r}; choose one"
            )
        sizes = {
            "points": (len(self.point_bodies), 3),
            "wrap_rotations": (len(self.wrap_bodies), 3, 3),
            "wrap_centres": (len(self.wrap_bodies), 3),
            "wrap_radii": (len(self.wrap_kinds),),
            "span_weights": (len(self.spans),),
            "joint_weights": (len(self.joints),),
            "offsets": (self.nm,),
        }
        for name, shape in sizes.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise RobotError(
                    f"expected {name} of shape {shape} in the paths, found {found}; "
                    "build them with Paths.of"
                )
        ends = (self.nm, len(self.points), len(self.points), len(self.wrap_kinds), len(self.points))
        lows = (0, 0, 0, _STRAIGHT, _STRAIGHT)
        known = all(
            len(row) == 5 and all(a <= x < b for a, x, b in zip(lows, row, ends, strict=True))
            for row in self.spans
        )
        known = known and all(len(row) == 2 and 0 <= row[0] < self.nm for row in self.joints)
        if not known or set(self.wrap_kinds) - set(KINDS):
            raise RobotError(
                "expected pieces of paths between known points over known surfaces, found others; "
                "build them with Paths.of"
            )
        self.varying.check(len(self.points), len(self.spans))

    @classmethod
    def of(cls, paths: Sequence[Path], *, rule: str) -> Paths:
        """The paths as arrays. RobotError where one is no chain of points."""
        made = _Layout()
        for number, path in enumerate(paths):
            made.add(number, path)

        def tensor(x: list[Any], *tail: int) -> Tensor:
            if x:
                return torch.stack([torch.as_tensor(row, dtype=torch.float64) for row in x])
            return torch.zeros((0, *tail), dtype=torch.float64)

        return cls(
            names=tuple(path.name for path in paths),
            rule=rule,
            point_bodies=tuple(made.point_bodies),
            points=tensor(made.points, 3),
            wrap_kinds=tuple(wrap.kind for wrap in made.wraps),
            wrap_bodies=tuple(wrap.body for wrap in made.wraps),
            wrap_rotations=tensor([wrap.rotation for wrap in made.wraps], 3, 3),
            wrap_centres=tensor([wrap.centre for wrap in made.wraps], 3),
            wrap_radii=tensor([wrap.radius for wrap in made.wraps]),
            spans=tuple(made.spans),
            span_weights=tensor(made.span_weights),
            joints=tuple(made.joints),
            joint_weights=tensor(made.joint_weights),
            offsets=tensor([path.scale * path.constant for path in paths]),
            varying=Varying.of(made.motions, made.ranges, made.demands),
        )

    @property
    def nm(self) -> int:
        """Number of paths."""
        return len(self.names)

    def replace(self, **changes: Any) -> Paths:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def bodies(self) -> set[int]:
        """The bodies that any path touches."""
        return {*self.point_bodies, *self.wrap_bodies}

    def along(self) -> set[int]:
        """The joints that any path runs along, or whose coordinates its points follow."""
        return {joint for _, joint in self.joints} | self.varying.joints()

    def moved(
        self, anchors: Sequence[int], rotations: Sequence[Tensor], offsets: Sequence[Tensor]
    ) -> Paths:
        """The same paths where body i has become part of body ``anchors[i]`` (-1: the base), its
        frame there at ``rotations[i]`` (3, 3), ``offsets[i]`` (3,) [m]."""

        def turn(body: int) -> Tensor:
            return rotations[body] if body >= 0 else torch.eye(3, dtype=self.points.dtype)

        def shift(body: int) -> Tensor:
            return offsets[body] if body >= 0 else torch.zeros(3, dtype=self.points.dtype)

        def stack(rows: list[Tensor], like: Tensor) -> Tensor:
            return torch.stack(rows).to(like) if rows else like

        def anchor(body: int) -> int:
            return anchors[body] if body >= 0 else -1

        points = [
            turn(b).to(x) @ x + shift(b).to(x)
            for b, x in zip(self.point_bodies, self.points, strict=True)
        ]
        centres = [
            turn(b).to(x) @ x + shift(b).to(x)
            for b, x in zip(self.wrap_bodies, self.wrap_centres, strict=True)
        ]
        frames = [
            turn(b).to(x) @ x for b, x in zip(self.wrap_bodies, self.wrap_rotations, strict=True)
        ]
        return replace(
            self,
            points=stack(points, self.points),
            wrap_centres=stack(centres, self.wrap_centres),
            wrap_rotations=stack(frames, self.wrap_rotations),
            varying=self.varying.turned([turn(b) for b in self.point_bodies]),
            point_bodies=tuple(map(anchor, self.point_bodies)),
            wrap_bodies=tuple(map(anchor, self.wrap_bodies)),
        )

    def renumbered(self, bodies: Mapping[int, int]) -> Paths:
        """The same paths where the bodies, and the joints that move them, have other numbers."""
        number = {-1: -1} | dict(bodies)
        return replace(
            self,
            point_bodies=tuple(number[b] for b in self.point_bodies),
            wrap_bodies=tuple(number[b] for b in self.wrap_bodies),
            joints=tuple((muscle, number[joint]) for muscle, joint in self.joints),
            varying=self.varying.renumbered(number),
        )

    def held(self, coordinates: Mapping[int, float]) -> Paths:
        """The same paths where some joints stand still: what they add is constant, points that
        they move stand, and points in a range of theirs are there or not."""
        varying, points, spans = self.varying.held(coordinates, self.points, len(self.spans))
        offsets = self.offsets.clone()
        kept = []
        for k, (muscle, joint) in enumerate(self.joints):
            if joint in coordinates:
                offsets[muscle] += self.joint_weights[k] * coordinates[joint]
            else:
                kept.append(k)
        return replace(
            self,
            offsets=offsets,
            joints=tuple(self.joints[k] for k in kept),
            joint_weights=self.joint_weights[kept],
            varying=varying,
            points=points,
            spans=tuple(self.spans[k] for k in spans),
            span_weights=self.span_weights[spans],
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and words, which JSON keeps exactly."""
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                value = value.detach().cpu().double().tolist()
            elif isinstance(value, Varying):
                value = value.to_dict()
            elif isinstance(value, tuple):
                value = [list(x) if isinstance(x, tuple) else x for x in value]
            out[f.name] = value
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Paths:
        """The inverse of `to_dict`."""
        tails = {"points": (3,), "wrap_centres": (3,), "wrap_rotations": (3, 3)}
        tensors = (*tails, "wrap_radii", "span_weights", "joint_weights", "offsets")
        held: dict[str, Any] = {"rule": str(record["rule"])}
        held["varying"] = Varying.from_dict(record.get("varying"))
        for name in tensors:
            x = torch.tensor(record[name], dtype=torch.float64)
            held[name] = x.reshape(-1, *tails.get(name, ()))
        for name in ("names", "wrap_kinds"):
            held[name] = tuple(map(str, record[name]))
        for name in ("point_bodies", "wrap_bodies"):
            held[name] = tuple(map(int, record[name]))
        for name in ("spans", "joints"):
            held[name] = tuple(tuple(map(int, row)) for row in record[name])
        return cls(**held)


class _Layout:
    """Paths taken apart into points, wraps and spans, one after the other."""

    def __init__(self) -> None:
        self.point_bodies: list[int] = []
        self.points: list[Any] = []
        self.wraps: list[Wrap] = []
        self.spans: list[tuple[int, int, int, int, int]] = []
        self.span_weights: list[float] = []
        self.joints: list[tuple[int, int]] = []
        self.joint_weights: list[float] = []
        self.known: dict[Any, int] = {}
        self.motions: list[tuple[int, Motion]] = []
        self.ranges: list[tuple[int, Range]] = []
        self.demands: list[tuple[int, int, int]] = []

    def add(self, number: int, path: Path) -> None:
        """Add one path. RobotError where it is no chain of points."""
        weight, wrap = path.scale, None
        spans = len(self.spans)
        # the points from which a string may come: those after the last one that is always there,
        # each with its range, if any, and the surface behind it
        behind: list[tuple[int, int | None, Wrap | None]] = []
        for element in path.elements:
            if isinstance(element, Point):
                here, kept = self._point(element), self._range(element)
                if behind:
                    behind[-1] = (*behind[-1][:2], wrap)
                    self._spans(number, path, weight, behind, (here, kept))
                behind = [*behind, (here, kept, None)] if kept is not None else [(here, None, None)]
                wrap = None
            elif isinstance(element, Wrap):
                if not behind or wrap is not None:
                    _refuse(path, "a surface that does not follow a point")
                if element.kind not in KINDS or not float(element.radius) > 0:
                    _refuse(path, f"a {element.kind} of radius {float(element.radius):g}")
                wrap = element
            else:
                if wrap is not None or not element.divisor > 0:
                    _refuse(path, "a pulley after a surface, or a divisor that is not positive")
                weight, behind = path.scale / element.divisor, []
        if wrap is not None:
            _refuse(path, "a surface at its end")
        if path.elements and len(self.spans) == spans:
            _refuse(path, "no two points in a row")
        for joint, coefficient in path.joints.items():
            self.joints.append((number, joint))
            self.joint_weights.append(path.scale * coefficient)

    def _spans(
        self,
        number: int,
        path: Path,
        weight: float,
        behind: list[tuple[int, int | None, Wrap | None]],
        here: tuple[int, int | None],
    ) -> None:
        """The spans to a point from all points behind it, and which ranges each of them needs kept
        or left."""
        bridged: list[int] = []
        over: list[Wrap] = []
        for point, kept, wrap in reversed(behind):
            if wrap is not None and not any(wrap is other for other in over):
                over.append(wrap)
            if len(over) > 1:
                _refuse(path, "two surfaces where a point between them may be absent")
            self.demands += [(len(self.spans), k, 0) for k in bridged]
            ends = {k for k in (kept, here[1]) if k is not None}
            self.demands += [(len(self.spans), k, 1) for k in sorted(ends)]
            at, side = _STRAIGHT, _STRAIGHT
            if over:
                at = len(self.wraps)
                self.wraps.append(over[0])
                side = _STRAIGHT if over[0].side is None else self._point(over[0].side)
            self.spans.append((number, point, here[0], at, side))
            self.span_weights.append(weight)
            if kept is not None:
                bridged.append(kept)

    def _range(self, point: Point) -> int | None:
        """The number of the range in which a point that was just added is there."""
        if point.present is None:
            return None
        self.ranges.append((len(self.points) - 1, point.present))
        return len(self.ranges) - 1

    def _point(self, point: Point) -> int:
        """The number of a point; the same place on the same body is the same point."""
        at = point.at
        if point.motions or point.present is not None:  # no other point is the same
            key: Any = len(self.points)
            self.motions += [(len(self.points), m) for m in point.motions]
        elif isinstance(at, Tensor) and at.requires_grad:
            key = id(at)
        else:
            key = (point.body, tuple(float(x) for x in at))
        if key not in self.known:
            self.known[key] = len(self.points)
            self.points.append(at)
            self.point_bodies.append(point.body)
        return self.known[key]


def _refuse(path: Path, what: str) -> None:
    raise RobotError(
        f"expected the path of {path.name!r} as points with at most one sphere or cylinder between "
        f"two of them, found {what}; mend the path"
    )
