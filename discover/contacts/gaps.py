"""Gaps between bodies, fitted to states where contact begins.

A point c of one body over a plane n · x = d of another has the gap n · (place + turn c) - d, which
is linear in (n, n ⊗ c, d). Where contact begins it is zero; as it must not be zero everywhere, as
that of a point on a joint's axis is, its mean square over the region is held at one: a small
singular value problem, whose answer is then brought to the form of a point and a plane by
Gauss-Newton. What the motions cannot tell (a point along a hinge's axis, one that only slides)
stays at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover import numerics
from discover.contacts.moving import Motion, Seen
from kinematics import Robot

_UNSEEN = 1e-7  # relative singular value of what the region's motions do not show
_STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The signed distance of a possible contact, positive where free.

    kind     "plane": a point of one body over a plane of another; "limit" of a coordinate
    body, other   numbers of the bodies (nb: the base); point (3,) in the body's frame; normal (3,)
             and offset in the other's; of a limit: dof, its sign, and offset, its place
    radius   [m] of the body about its point: friction acts there; offsets count to the point
    between  where the force acts within an overlap: 0 at the body's surface, 1 at the other's
    timing   when the model measures it, one of `moving.TIMINGS`
    """

    kind: str
    timing: str
    body: int = 0
    other: int = 0
    point: Tensor | None = None
    normal: Tensor | None = None
    offset: float = 0.0
    dof: int = 0
    sign: float = 1.0
    radius: float = 0.0
    between: float = 0.5

    def value(self, motion: Motion, timing: str | None = None) -> Tensor:
        """(n,) [m | rad]"""
        timing = timing or self.timing
        if self.kind == "limit":
            at = coordinate_of(motion.robot, self.dof)
            return self.sign * (motion.coordinate(self.dof, at, timing) - self.offset)
        assert self.point is not None
        assert self.normal is not None
        seen = motion.seen(self.body, self.other, timing)
        return seen.at(self.point) @ self.normal - self.offset

    def jacobian(self, motion: Motion) -> Tensor:
        """(n, 3, nv): normal velocity, then along two tangents, of the touching point at the start;
        a limit has the first row alone, the others are zero."""
        n, nv = motion.free.shape
        if self.kind == "limit":
            rows = torch.zeros(n, 3, nv, dtype=torch.float64)
            rows[:, 0, self.dof] = self.sign
            return rows
        assert self.point is not None
        assert self.normal is not None
        now = motion.now
        at = now.place[:, self.body] + now.turn[:, self.body] @ self.point
        out = now.turn[:, self.other] @ self.normal
        lever = self.radius + self.between * self.value(motion, "now")
        at = at - lever[:, None] * out
        both = now.jacobian(self.body, at) - now.jacobian(self.other, at)
        frame = now.turn[:, self.other] @ frame_of(self.normal).T
        return frame.mT @ both


def frame_of(normal: Tensor) -> Tensor:
    """(3, 3) rows: the normal and two tangents."""
    tangents = torch.linalg.svd(normal[None])[2][1:]
    return torch.cat((normal[None], tangents))


@dataclass(frozen=True, kw_only=True)
class GapFit:
    """A gap, what it leaves at states where contact begins (rms) [m | rad], and relative to the rms
    of the gap over the region. rival: another kind with the same boundary."""

    gap: Gap
    residual: float
    relative: float
    rival: Gap | None = None


def coordinate_of(robot: Robot, dof: int) -> int:
    """The position coordinate of a velocity of a scalar joint."""
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        s = robot.v_slice(name)
        if s.start == dof and kind not in ("free", "spherical"):
            return robot.q_slice(name).start
    return -1


def scalar_dofs(robot: Robot) -> list[int]:
    """Velocities that have a coordinate of their own."""
    return [j for j in range(robot.nv) if coordinate_of(robot, j) >= 0]


def fit_limit(
    robot: Robot, dof: int, timing: str, edge: Motion, region: Motion, inward: Tensor
) -> GapFit:
    """The limit of one coordinate; inward (m, nv) points from free to touching."""
    at = coordinate_of(robot, dof)
    x = edge.coordinate(dof, at, timing)
    # a sphere's or plane's gap may be flat in this coordinate: then it is no limit
    sign = -1.0 if float(inward[:, dof].mean()) > 0 else 1.0
    gap = Gap(kind="limit", timing=timing, dof=dof, sign=sign, offset=float(x.median()))
    return _fit(gap, edge, region)


def _fit(gap: Gap, edge: Motion, region: Motion) -> GapFit:
    residual = float(gap.value(edge).square().mean().sqrt())
    everywhere = gap.value(region)
    size = float((everywhere - everywhere.mean()).square().mean().sqrt())
    return GapFit(gap=gap, residual=residual, relative=residual / max(size, 1e-300))


def fit_plane(
    body: int, other: int, timing: str, edge: Motion, region: Motion, free: Motion
) -> GapFit | None:
    """A point of `body` over a plane of `other`, from states where contact begins (m), drawn over
    the region, and free ones beside the former (their sign). None where no such gap comes out."""
    near, wide = edge.seen(body, other, timing), region.seen(body, other, "now")
    middle = Seen(place=wide.place.mean(0), turn=wide.turn.mean(0))
    near, wide = _centred(near, middle), _centred(wide, middle)
    F, G = _features(near), _features(wide)
    _, s, Vh = numerics.svd(G)
    kept = s > _UNSEEN * s[0]
    if int(kept.sum()) < 2 or len(F) < int(kept.sum()):
        return None
    W = Vh[kept].T / s[kept]
    _, _, right = numerics.svd(F @ W)
    w = W @ right[-1]
    y = (G @ w) * len(G) ** 0.5
    found = _as_point_and_plane(wide, y)
    if found is None:
        return None
    normal, point, offset = found
    offset = offset + float(normal @ (middle.place + middle.turn @ point))
    gap = Gap(
        kind="plane", timing=timing, body=body, other=other, point=point, normal=normal,
        offset=offset,
    )  # fmt: skip
    gap = polished(gap, edge)
    if float(gap.value(free).mean()) < 0:
        assert gap.normal is not None
        gap = replace(gap, normal=-gap.normal, offset=-gap.offset)
    return _fit(gap, edge, region)


def _centred(seen: Seen, middle: Seen) -> Seen:
    return Seen(place=seen.place - middle.place, turn=seen.turn - middle.turn)


def _features(seen: Seen) -> Tensor:
    """(n, 13): what a gap is linear in."""
    return torch.cat((seen.place, seen.turn.flatten(1), -torch.ones_like(seen.place[:, :1])), 1)


def _as_point_and_plane(seen: Seen, y: Tensor) -> tuple[Tensor, Tensor, float] | None:
    """(n, c, d) with n · (place + turn c) - d nearest to a multiple of y (n,)."""
    linear = numerics.least_squares(_features(seen), y, 1e-9)
    m, M = linear[:3], linear[3:12].reshape(3, 3)
    guess = M.T @ m / m.square().sum().clamp_min(1e-300)
    best: tuple[float, Tensor, Tensor, float] | None = None
    for start in (torch.zeros(3, dtype=y.dtype), guess):
        c = start
        m = _plane_of(seen, c, y)[:3]
        error, d = float("inf"), 0.0
        for _ in range(_STEPS):
            mc = _plane_of(seen, c, y)
            m, d = mc[:3], float(mc[3])
            r = y - (seen.at(c) @ m - d)
            error = float(r.square().mean().sqrt())
            J = torch.cat((seen.at(c), (seen.turn.mT @ m), -torch.ones_like(y)[:, None]), 1)
            step = _truncated(J, r)
            if float(step[3:6].norm()) < 1e-15 * (1 + float(c.norm())):
                break
            c = c + step[3:6] * min(1.0, 1.0 / max(1e-300, float(step[3:6].norm())))
        if best is None or error < 0.5 * best[0]:
            best = (error, m, c, d)
    assert best is not None
    _, m, c, d = best
    size = float(m.norm())
    if not 0 < size < torch.inf or not bool(c.isfinite().all()):
        return None
    return m / size, c, d / size


def _plane_of(seen: Seen, point: Tensor, y: Tensor) -> Tensor:
    x = seen.at(point)
    return _truncated(torch.cat((x, -torch.ones_like(x[:, :1])), 1), y)


def _truncated(A: Tensor, b: Tensor) -> Tensor:
    """Least squares of least norm, without scaling of columns: what is not seen stays."""
    U, s, Vh = numerics.svd(A)
    keep = s > 1e-10 * s[:1]
    return Vh[keep].T @ ((U[:, keep].T @ b) / s[keep])


def polished(gap: Gap, edge: Motion) -> Gap:
    """The gap nearest to a fitted one that is zero where contact begins, in least squares; of the
    normal, only the directions in which the point moves are changed."""
    if gap.kind == "limit":
        x = edge.coordinate(gap.dof, coordinate_of(edge.robot, gap.dof), gap.timing)
        return replace(gap, offset=float(x.median()))
    seen = edge.seen(gap.body, gap.other, gap.timing)
    normal, point, offset = gap.normal, gap.point, gap.offset
    assert normal is not None
    assert point is not None
    for _ in range(12):
        x = seen.at(point)
        tangents = frame_of(normal)[1:]
        r = offset - x @ normal
        J = torch.cat(
            ((x - x.mean(0)) @ tangents.T, (seen.turn - seen.turn.mean(0)).mT @ normal,
             -torch.ones_like(r)[:, None]), 1,
        )  # fmt: skip
        step = _truncated(J, r)
        shift = step[:2] @ tangents
        turned = normal + shift
        fresh = turned / turned.norm()
        moved = point + step[2:5]
        middle = seen.at(moved).mean(0)
        # the columns were centred: the offset takes up what their means would have done
        offset = float((seen.at(moved) @ fresh).mean())
        normal, point = fresh, moved
        if float(step.norm()) < 1e-15 or not bool(middle.isfinite().all()):
            break
    return replace(gap, normal=normal, point=point, offset=offset)
