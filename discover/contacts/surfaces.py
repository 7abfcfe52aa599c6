"""Surfaces found from questions at rest, one after the other, until every touch is explained.

A touching state that no known surface explains is joined to the nearest free one; where contact
begins between them, states close by belong to the same pair of point and surface, and a gap is
fitted to them. Kinds of gap compete by what they leave; then the moments of a step at which the
gap may be measured compete, on states that move.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

import kinematics
from discover.blackbox.sampling import Batch
from discover.contacts import boundary
from discover.contacts.boundary import Boundary
from discover.contacts.free_law import Asked, Met
from discover.contacts.gaps import Gap, GapFit, fit_limit, fit_plane, polished, scalar_dofs
from discover.contacts.moving import TIMINGS, Motion

MOST = 32  # surfaces that are sought
_FAILURES = 4  # touches that no gap explains, after which the search ends
_PATHS = 6  # boundary states sought at a time
_SPARE = 5  # states beyond what a gap needs
_NEAR = 0.04  # half-widths: neighbours of a boundary state
_ACCEPTED = 0.03  # relative residual of a gap, over which it is none
_AS_GOOD = 10.0  # times the least residual: the simplest kind that leaves no more is taken
_LEAST = 1e-11  # relative residual: rounding
_MOVING = 0.25  # of the region's velocities, of states that tell the timing
_MOVERS = 8
_CLOSER = 3.0  # times: what a timing must leave less than another to be told from it
_GROWING = 1e-3  # of a gap's rms over the region: how far a fit to neighbours may err elsewhere
_ROUNDED = 1e-11
_SLACK = 6.0  # residuals within which a gap explains a touch


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A contact that was found, or a joint limit.

    body, surface  names of the bodies ("world": the base), or the joint of a limit
    gap            its signed distance; residual [m | rad] and relative, what it leaves at `states`
                   where contact was seen to begin
    timing         "linearised", "next" or "now", and what each leaves on moving states [m | rad]
    rival          of a limit: the point and plane with the same boundary, where there is one
    width          [m | rad] over which an impact's impulse rises from 10 to 90 %; 0 below what
                   could be told; None where none was asked
    """

    gap: Gap
    body: str
    surface: str
    residual: float
    relative: float
    states: int
    timings: dict[str, float]
    width: float | None = None
    rival: Gap | None = None

    def as_plane(self, names: tuple[str, ...]) -> Surface:
        """The same boundary as a point over a plane, where a limit cannot be told from one by its
        place: a slider's end and a floor. names: of the bodies, the base's last."""
        assert self.rival is not None
        gap = replace(self.rival, timing=self.gap.timing)
        return replace(self, gap=gap, body=names[gap.body], surface=names[gap.other], rival=None)

    @property
    def point(self) -> list[float] | None:
        """[m] in the body's frame."""
        return None if self.gap.point is None else self.gap.point.tolist()

    @property
    def normal(self) -> list[float] | None:
        """In the surface's frame, out of what is solid."""
        return None if self.gap.normal is None else self.gap.normal.tolist()

    @property
    def offset(self) -> float:
        """[m]: contact begins where normal · x = offset; of a limit its place [rad | m]."""
        return self.gap.offset

    def __str__(self) -> str:
        if self.gap.kind == "limit":
            side = ">=" if self.gap.sign > 0 else "<="
            return f"{self.body} {side} {self.offset:.6g}"
        numbers = ", ".join(map(_short, self.point or ()))
        normal = ", ".join(map(_short, self.normal or ()))
        ball = f"ball of {self.gap.radius:.6g} about" if self.gap.radius else "point"
        over = f"({normal}) · x = {self.offset:.6g} of {self.surface}"
        return f"{ball} ({numbers}) of {self.body} over {over}"


def _short(x: float) -> str:
    """Six digits, and nothing below a nanometre, which is rounding."""
    return f"{round(x, 9) + 0.0:.6g}"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where surfaces are sought: the model, states over the region at rest with what they met, the
    free motion from them, half-widths (nv,) of the region's configurations and velocities."""

    asked: Asked
    met: Met
    motion: Motion
    half_q: Tensor
    half_v: Tensor
    seed: int
    most: int = MOST
    pool: list[Boundary] = field(default_factory=list)

    @property
    def batch(self) -> Batch:
        """The states asked."""
        a = self.met.answers
        return Batch(a.q, a.v, a.tau)


def find_surfaces(search: Search) -> tuple[list[Surface], Tensor]:
    """(surfaces, touching states of the search (n,) that none of them explains)."""
    found: list[Surface] = []
    failures, given_up = 0, torch.zeros(len(search.met.size), dtype=torch.bool)
    while len(found) < search.most and failures < _FAILURES:
        open_ = unexplained(search, found) & ~given_up
        if not bool(open_.any()) or not bool((~search.met.touching).any()):
            break
        edges, rows = _edges(search, open_, found)
        given_up[rows] = True
        if edges is None:
            failures += 1
            continue
        surface = None
        for number in range(min(2, len(edges))):
            surface = _surface_at(search, edges[torch.tensor([number])], len(found))
            if surface is not None:
                break
        if surface is None:
            failures += 1
            continue
        given_up[:] = False
        failures = 0
        found.append(surface)
    return found, unexplained(search, found)


def unexplained(search: Search, found: list[Surface]) -> Tensor:
    """(n,) touching states where no known gap is closed."""
    open_ = search.met.touching.clone()
    for surface in found:
        slack = _SLACK * surface.residual + 1e-9
        open_ &= surface.gap.value(search.motion) > slack
    return open_


def _edges(search: Search, open_: Tensor, found: list[Surface]) -> tuple[Boundary | None, Tensor]:
    """Boundary states that no known surface explains, and the touching states they were sought
    from, those nearest to free ones."""
    law, robot = search.asked.law, search.asked.law.robot
    batch = search.batch
    free = (~search.met.touching).nonzero()[:, 0]
    rows = open_.nonzero()[:, 0][: 4 * _PATHS]
    apart = torch.stack(
        [
            (kinematics.difference(robot, batch.q[row].expand(len(free), -1), batch.q[free])
             / search.half_q).norm(dim=-1)
            for row in rows
        ]
    )  # fmt: skip
    near, at = apart.min(1)
    order = near.argsort()[:_PATHS]
    rows, partner = rows[order], free[at[order]]
    edges = boundary.find(
        search.asked, Batch(*(x[partner] for x in batch)), Batch(*(x[rows] for x in batch))
    )
    motion = Motion.of(law, *edges.batch)
    known = torch.zeros(len(edges), dtype=torch.bool)
    for surface in found:
        known |= surface.gap.value(motion).abs() < _SLACK * surface.residual + 1e-9
    search.pool.append(edges)
    return (edges[~known] if bool((~known).any()) else None), rows


def _needed(search: Search) -> int:
    """Unknowns of a gap that the robot's motions can show: 13 of a body that turns and slides."""
    robot, most = search.asked.law.robot, 2
    for body in range(robot.nb):
        seen = search.motion.seen(body, robot.nb, "now")
        x = torch.cat((seen.place, seen.turn.flatten(1)), 1)
        s = torch.linalg.svdvals(x - x.mean(0))
        most = max(most, 1 + int((s > 1e-7 * s[0]).sum()) if float(s[0]) > 0 else 1)
    return most


def _surface_at(search: Search, edge: Boundary, number: int) -> Surface | None:
    """The surface that a boundary state belongs to, if states close by are of one."""
    asked, seed = search.asked, search.seed + 1000 * number
    count = _needed(search) + _SPARE
    for shrink in (1.0, 0.2):
        near = boundary.beside(asked, edge, shrink * _NEAR * search.half_q, count, seed)
        if len(near) < count - _SPARE + 1:
            continue
        best = _best_gap(search, near)
        if best is None or best.relative > _ACCEPTED:
            continue
        grown = _grown(search, best, near)
        return _timed(search, grown, near, edge, seed)
    return None


def _best_gap(search: Search, near: Boundary) -> GapFit | None:
    """The simplest kind of gap that leaves about the least, at the timing that leaves the least."""
    robot = search.asked.law.robot
    edge = Motion.of(search.asked.law, *near.batch)
    outside = Motion.of(search.asked.law, *near.ends[0])
    inward = kinematics.difference(robot, near.ends[0].q, near.ends[1].q)
    limits = [
        fit_limit(robot, dof, timing, edge, search.motion, inward)
        for dof in scalar_dofs(robot)
        for timing in TIMINGS
    ]
    planes = [
        found
        for body in range(robot.nb)
        for timing in TIMINGS
        if (found := fit_plane(body, robot.nb, timing, edge, search.motion, outside))
    ]
    groups = [limits, planes]
    if min((x.relative for x in limits + planes), default=1.0) > 1e-6:
        groups.append(
            [
                found
                for body in range(robot.nb)
                for other in range(robot.nb)
                if body != other
                if (found := fit_plane(body, other, "linearised", edge, search.motion, outside))
            ]
        )
    least = min((x.relative for g in groups for x in g), default=None)
    if least is None:
        return None
    for group in groups:
        good = [x for x in group if x.relative <= max(_AS_GOOD * least, _LEAST)]
        if good:
            bodies = sorted({(x.gap.body, x.gap.dof) for x in good})
            first = [x for x in good if (x.gap.body, x.gap.dof) == bodies[0]]
            best = min(first, key=lambda x: x.relative)
            same = [x for x in planes if x.relative <= max(_AS_GOOD * least, _LEAST)]
            if group is limits and same:
                # the outermost body: sliders carry what touches
                same = [x for x in same if x.gap.body == max(y.gap.body for y in same)]
                rival = min(same, key=lambda x: x.relative).gap
                best = replace(best, rival=rival)
            return best
    return None


def _grown(search: Search, best: GapFit, near: Boundary) -> GapFit:
    """The gap fitted to its neighbours and to all other boundary states that it explains: those far
    away hold directions that neighbours hardly show."""
    gap, residual = best.gap, best.residual
    if not search.pool:
        return best
    everything = Boundary.concat([near, *search.pool])
    motion = Motion.of(search.asked.law, *everything.batch)
    size = residual / max(best.relative, 1e-300)
    close = _GROWING * size
    for _ in range(5):
        good = gap.value(motion).abs() < max(close, 20 * residual + _ROUNDED)
        good[: len(near)] = True
        at = Motion.of(search.asked.law, *everything[good].batch)
        fresh = polished(gap, at)
        left = fresh.value(at).abs()
        if float(left.median()) > 3 * residual + _ROUNDED and close > 20 * residual + _ROUNDED:
            close = max(0.1 * close, 20 * residual + _ROUNDED)
            continue
        gap, residual = fresh, max(float(left.square().mean().sqrt()), 1e-300)
        close = 10 * float(left.median()) + _ROUNDED
    return replace(best, gap=gap, residual=residual)


def _timed(search: Search, best: GapFit, near: Boundary, edge: Boundary, seed: int) -> Surface:
    """The surface, measured at the timing that moving states show."""
    asked = search.asked
    movers = boundary.beside(
        asked, edge, _NEAR * search.half_q, _MOVERS, seed + 1, moving=_MOVING * search.half_v
    )
    rest = Motion.of(asked.law, *near.batch)
    moving = Motion.of(asked.law, *movers.batch)
    left, gaps = {}, {}
    for timing in TIMINGS:
        gaps[timing] = polished(replace(best.gap, timing=timing), rest)
        at = gaps[timing].value(moving).abs()
        left[timing] = float(at.median()) if len(at) else float("nan")
    order = [t for t in TIMINGS if left[t] == left[t]]
    timing = best.gap.timing
    if order:
        closest = min(order, key=lambda t: left[t])
        clearly = [t for t in order if left[t] <= _CLOSER * left[closest] + 1e-13]
        timing = next(t for t in TIMINGS if t in clearly)
    gap = gaps[timing]
    used = near
    good = gap.value(moving).abs() < max(5 * left.get(timing, 0.0), 1e-12)
    if bool(good.any()):
        used = Boundary.concat([near, movers[good]])
    everything = [used, *search.pool]
    motion = Motion.of(asked.law, *Boundary.concat(everything).batch)
    at = gap.value(motion).abs()
    close = at < 20 * max(float(at[: len(used)].median()), best.residual) + 1e-10
    motion = Motion.of(asked.law, *Boundary.concat(everything)[close].batch)
    gap = polished(gap, motion)
    residual = float(gap.value(motion).square().mean().sqrt())
    wide = gap.value(search.motion)
    robot = asked.law.robot
    names = (*robot.body_names, "world")
    return Surface(
        gap=gap,
        body=names[gap.body] if gap.kind != "limit" else _joint_of(robot, gap.dof),
        surface=names[gap.other] if gap.kind != "limit" else "joint limit",
        residual=residual,
        relative=residual / max(float(wide.std()), 1e-300),
        states=int(close.sum()),
        timings=left,
        rival=polished(replace(best.rival, timing=timing), motion) if best.rival else None,
    )


def _joint_of(robot: kinematics.Robot, dof: int) -> str:
    for name in robot.independent_names:
        s = robot.v_slice(name)
        if s.start <= dof < s.stop:
            return name
    return f"joint {dof}"
