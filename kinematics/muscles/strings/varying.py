"""What of paths varies with joints: points that move on their bodies, points that come and go.

A moving point stands at its fixed place plus Σ direction · f(coordinate) in its body's frame, and
has that velocity there; as the length feels it, so do the joints that move it. A conditional point
is on its path while a coordinate lies in a range. Spans to and from it exist always and are counted
where it is there; those that bridge it, where it is not: shapes never change with states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles.strings.piecewise import Curve, Curves


@dataclass(frozen=True, eq=False)
class Motion:
    """A point moves along ``direction`` (3,), in its body's frame, by ``curve`` [m] of the
    coordinate of a joint [rad | m]."""

    joint: int
    direction: Any
    curve: Curve


@dataclass(frozen=True)
class Range:
    """A point is there while low <= coordinate of the joint <= high [rad | m]."""

    joint: int
    low: float
    high: float


def _none(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.zeros(shape, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Varying:
    """Motions and ranges of all points, as arrays.

    motions  (point, joint), along ``directions`` (nk, 3) by ``curves``; a point may have several
    ranges   (point, joint), from ``lows`` to ``highs`` (nr,); at most one a point
    demands  (span, range, 1 or 0): the span counts only where every range that it names is kept (1)
             or left (0)
    """

    motions: tuple[tuple[int, int], ...] = ()
    directions: Tensor = field(default_factory=_none(0, 3))
    curves: Curves = field(default_factory=lambda: Curves.of([]))
    ranges: tuple[tuple[int, int], ...] = ()
    lows: Tensor = field(default_factory=_none(0))
    highs: Tensor = field(default_factory=_none(0))
    demands: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(
        cls,
        motions: Sequence[tuple[int, Motion]],
        ranges: Sequence[tuple[int, Range]],
        demands: Sequence[tuple[int, int, int]],
    ) -> Varying:
        """Of motions and ranges with the numbers of their points."""

        def real(x: list[Any], *tail: int) -> Tensor:
            rows = [torch.as_tensor(row, dtype=torch.float64) for row in x]
            return torch.stack(rows) if rows else torch.zeros((0, *tail), dtype=torch.float64)

        return cls(
            motions=tuple((point, m.joint) for point, m in motions),
            directions=real([m.direction for _, m in motions], 3),
            curves=Curves.of([m.curve for _, m in motions]),
            ranges=tuple((point, r.joint) for point, r in ranges),
            lows=real([r.low for _, r in ranges]),
            highs=real([r.high for _, r in ranges]),
            demands=tuple(demands),
        )

    def check(self, points: int, spans: int) -> None:
        """RobotError where it does not fit so many points and spans."""
        nk, nr = len(self.motions), len(self.ranges)
        fits = self.directions.shape == (nk, 3) and self.curves.n == nk
        fits = fits and self.lows.shape == self.highs.shape == (nr,)
        rows = (*self.motions, *self.ranges)
        fits = fits and all(len(row) == 2 and 0 <= row[0] < points for row in rows)
        fits = fits and all(
            len(row) == 3 and 0 <= row[0] < spans and 0 <= row[1] < nr for row in self.demands
        )
        if not fits:
            raise RobotError(
                "expected moving and conditional points among the points of the paths, found "
                "others; build them with Paths.of"
            )

    def joints(self) -> set[int]:
        """The joints that it depends on."""
        return {joint for _, joint in (*self.motions, *self.ranges)}

    def turned(self, rotations: Sequence[Tensor]) -> Varying:
        """The same where the frame of point k has become one with rotation ``rotations[k]``."""
        if not self.motions:
            return self
        rows = [
            rotations[point].to(d) @ d
            for (point, _), d in zip(self.motions, self.directions, strict=True)
        ]
        return replace(self, directions=torch.stack(rows))

    def renumbered(self, joints: Mapping[int, int]) -> Varying:
        """The same where the joints have other numbers."""
        return replace(
            self,
            motions=tuple((point, joints[j]) for point, j in self.motions),
            ranges=tuple((point, joints[j]) for point, j in self.ranges),
        )

    def held(
        self, coordinates: Mapping[int, float], points: Tensor, spans: int
    ) -> tuple[Varying, Tensor, list[int]]:
        """The same where some joints stand still; with the points (np, 3) where they then stand,
        and the numbers of the spans that are left."""
        points = points.clone()
        moving = []
        for k, (point, joint) in enumerate(self.motions):
            if joint not in coordinates:
                moving.append(k)
                continue
            at = torch.tensor([coordinates[joint]], dtype=points.dtype)
            value, _ = self.curves.on([k]).value_and_slope(at)
            points[point] += self.directions[k] * value
        open_, kept = [], {}
        for k, (_, joint) in enumerate(self.ranges):
            if joint in coordinates:
                kept[k] = int(float(self.lows[k]) <= coordinates[joint] <= float(self.highs[k]))
            else:
                open_.append(k)
        lost = {span for span, k, wanted in self.demands if kept.get(k, wanted) != wanted}
        left = [span for span in range(spans) if span not in lost]
        span_number = {span: n for n, span in enumerate(left)}
        number = {k: n for n, k in enumerate(open_)}
        demands = tuple(
            (span_number[span], number[k], wanted)
            for span, k, wanted in self.demands
            if span in span_number and k in number
        )
        made = replace(
            self,
            motions=tuple(self.motions[k] for k in moving),
            directions=self.directions[moving],
            curves=self.curves.on(moving),
            ranges=tuple(self.ranges[k] for k in open_),
            lows=self.lows[open_],
            highs=self.highs[open_],
            demands=demands,
        )
        return made, points, left

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, which JSON keeps exactly."""
        tensors = {"directions": self.directions, "lows": self.lows, "highs": self.highs,
                   "breaks": self.curves.breaks, "pieces": self.curves.pieces}  # fmt: skip
        rows = {name: [list(row) for row in getattr(self, name)] for name in _ROWS}
        return rows | {k: x.detach().cpu().double().tolist() for k, x in tensors.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any] | None) -> Varying:
        """The inverse of `to_dict`; nothing varies where there is no record."""
        if not record or not (record["motions"] or record["ranges"]):
            return cls()

        def real(name: str) -> Tensor:
            return torch.tensor(record[name], dtype=torch.float64)

        moves = bool(record["motions"])
        rows: dict[str, Any] = {
            name: tuple(tuple(map(int, row)) for row in record[name]) for name in _ROWS
        }
        return cls(
            directions=real("directions").reshape(-1, 3),
            curves=Curves(breaks=real("breaks"), pieces=real("pieces")) if moves else Curves.of([]),
            lows=real("lows"),
            highs=real("highs"),
            **rows,
        )


_ROWS = ("motions", "ranges", "demands")


@dataclass(frozen=True, kw_only=True, eq=False)
class Laid:
    """What varies, as tensors of one dtype; coordinates and velocities are the full tree's.

    An *end* is an end of a span that is a moving point, once for each of its motions.
    """

    ns: int
    point: Tensor  # of each motion
    point_body: Tensor
    at_q: Tensor
    directions: Tensor
    curves: Curves
    end_span: Tensor
    end_last: Tensor  # whether it is the span's last point
    end_motion: Tensor
    end_muscle: Tensor
    end_v: Tensor
    range_q: Tensor
    lows: Tensor
    highs: Tensor
    demand_span: Tensor
    demand_range: Tensor
    wanted: Tensor

    @classmethod
    def of(
        cls,
        varying: Varying,
        spans: np.ndarray,
        point_bodies: Tensor,
        q_slices: tuple[slice, ...],
        v_slices: tuple[slice, ...],
        like: Tensor,
    ) -> Laid:
        """Of spans (ns, 5) and the bodies' rows of all points."""
        ends = [
            (s, last, k, int(spans[s, 0]), v_slices[joint].start)
            for k, (point, joint) in enumerate(varying.motions)
            for last in (0, 1)
            for s in np.flatnonzero(spans[:, 1 + last] == point)
        ]
        columns = np.array(ends, dtype=np.int64).reshape(-1, 5).T

        def index(x: Any) -> Tensor:
            return torch.as_tensor(np.asarray(x, dtype=np.int64), device=like.device)

        point = index([p for p, _ in varying.motions])
        demands = np.array(varying.demands, dtype=np.int64).reshape(-1, 3).T
        return cls(
            ns=len(spans),
            point=point,
            point_body=point_bodies[point],
            at_q=index([q_slices[j].start for _, j in varying.motions]),
            directions=varying.directions.to(like),
            curves=varying.curves.to(like),
            end_span=index(columns[0]),
            end_last=index(columns[1]) == 1,
            end_motion=index(columns[2]),
            end_muscle=index(columns[3]),
            end_v=index(columns[4]),
            range_q=index([q_slices[j].start for _, j in varying.ranges]),
            lows=varying.lows.to(like),
            highs=varying.highs.to(like),
            demand_span=index(demands[0]),
            demand_range=index(demands[1]),
            wanted=index(demands[2]) == 1,
        )

    def moved(self, points: Tensor, q: Tensor) -> Tensor:
        """Where all points stand (B, np, 3) [m] in their bodies' frames, at q (B, nq)."""
        if not len(self.point):
            return points
        value, _ = self.curves.value_and_slope(q[:, self.at_q])
        way = value[..., None] * self.directions
        return points.expand(len(q), *points.shape).index_add(1, self.point, way)

    def counted(self, weights: Tensor, q: Tensor) -> Tensor:
        """Weights (ns,) of spans as (B, ns) or (ns,): 0 where a span does not count."""
        if not len(self.demand_span):
            return weights
        x = q[:, self.range_q]
        kept = ((x >= self.lows) & (x <= self.highs))[:, self.demand_range]
        missed = weights.new_zeros(len(q), self.ns)
        missed = missed.index_add(1, self.demand_span, (kept != self.wanted).to(weights.dtype))
        return torch.where(missed == 0, weights, torch.zeros_like(missed))

    def slopes(self, first: Tensor, last: Tensor, rotation: Tensor, q: Tensor) -> Tensor:
        """Of each end (B, ne): what its muscle lengthens by a unit of its joint's coordinate
        through the point's own motion. ``first`` and ``last`` (B, ns, 3) are the strings'
        directions at spans' ends, times their weights; rotation (B, nb + 1, 3, 3)."""
        _, slope = self.curves.value_and_slope(q[:, self.at_q])
        way = (rotation[:, self.point_body] @ self.directions[..., None])[..., 0]
        way = (way * slope[..., None])[:, self.end_motion]
        pull = torch.where(self.end_last[:, None], last[:, self.end_span], -first[:, self.end_span])
        return (way * pull).sum(-1)
