"""Shortest strings over spheres and cylinders: where they touch, and how long they lie on.

A string runs from one point to another past one surface of radius r, in the surface's own frame
(centre at the origin, a cylinder along z and without ends). In the plane of the cylinder's cross
section, or through a sphere's centre and both points, the string is a straight line, an arc and a
straight line; on the cylinder it unrolls to a straight line, so that its length is
√(plane length² + height²). The two ways round the circle differ; which of them is taken, and
whether the string may lie on the other side at all, is the *rule*:

geodesic   the surface is an obstacle: straight where the straight line misses it, otherwise the
           shorter way round. With a side point as "mujoco4".
mujoco4    MuJoCo 4: without a side point as "geodesic". With one, a string that misses the circle
           is straight unless it crosses the ray opposite the side point; otherwise it takes the
           way whose farthest point from the side point, seen from the centre, is nearest.
mujoco3    MuJoCo 3: a string that misses the circle is straight if its point nearest to the
           centre lies on the side point's half; otherwise it takes the way whose touching points
           lie closer to the side point, and neither way where its straight parts would cross.

A side point inside the surface (nearer to the centre than r) makes an *inside wrap* in MuJoCo: a
string that misses the circle is bent to touch it in one point, at equal angles.

The rules are those of MuJoCo's documentation (spatial/geom) and of its answers; the geometry is in
every textbook.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

RULES = ("geodesic", "mujoco3", "mujoco4")
_TINY = 1e-15  # MuJoCo's smallest length and determinant
_NEWTON = 20  # steps for an inside wrap
_START = 1 - 1e-7  # where MuJoCo 3 begins them: the sine of the angle at the touching point
_CLOSE = 1e-6  # the residual [rad] at which MuJoCo, of either version, ends them


@dataclass(frozen=True)
class Touch:
    """Where strings lie on their surfaces.

    wrapped     (..., n) whether the string touches its surface
    first, last (..., n, 3) [m] the touching points, in the surface's frame; anything where it does
                not
    arc         (..., n) [m] length on the surface
    """

    wrapped: Tensor
    first: Tensor
    last: Tensor
    arc: Tensor


def touch(
    start: Tensor,
    end: Tensor,
    side: Tensor,
    radius: Tensor,
    *,
    sphere: Tensor,
    sided: Tensor,
    rule: str,
) -> Touch:
    """Where strings from ``start`` to ``end`` (..., n, 3) [m] touch surfaces of ``radius`` (n,).

    side    (..., n, 3) points that say on which side they pass; read where ``sided`` (n,)
    sphere  (n,) whether the surface is a sphere; otherwise a cylinder along z
    """
    across, along = _plane(start, end, sphere)

    def flat(x: Tensor) -> Tensor:
        return torch.stack(((x * across).sum(-1), (x * along).sum(-1)), -1)

    a, b = flat(start), flat(end)
    towards = _direction(flat(side))
    inner = sided & (_norm2(side) < radius * radius) & (rule != "geodesic")
    wrapped, p, q, arc = _outside(a, b, towards, radius, sided & ~inner, rule)
    if bool(inner.any()):
        bent, point = _inside(a, b, radius, rule)
        pick = inner[..., None]
        wrapped = torch.where(inner, bent, wrapped)
        p, q = torch.where(pick, point, p), torch.where(pick, point, q)
        arc = torch.where(inner, torch.zeros_like(arc), arc)
    first = p[..., :1] * across + p[..., 1:] * along
    last = q[..., :1] * across + q[..., 1:] * along
    # a cylinder's string climbs in proportion to its length in the plane
    safe = wrapped[..., None]
    one = _length(torch.where(safe, a - p, torch.ones_like(a)))
    two = _length(torch.where(safe, q - b, torch.ones_like(a)))
    whole = one + arc + two
    rise = torch.where(sphere, torch.zeros_like(arc), end[..., 2] - start[..., 2])
    low, high = start[..., 2] + rise * one / whole, start[..., 2] + rise * (one + arc) / whole
    first = torch.where(sphere[..., None], first, torch.cat((p, low[..., None]), -1))
    last = torch.where(sphere[..., None], last, torch.cat((q, high[..., None]), -1))
    climb = arc * torch.sqrt(1 + (rise / whole) ** 2)
    return Touch(wrapped, first, last, torch.where(sphere, arc, climb))


def _plane(start: Tensor, end: Tensor, sphere: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors (..., n, 3) of the plane of the string: x and y for a cylinder, otherwise
    towards the start, and across it towards the end."""
    x = start.new_tensor([1.0, 0.0, 0.0])
    y = start.new_tensor([0.0, 1.0, 0.0])
    far = sphere & (_norm2(start) > _TINY**2)
    unit = _unit(torch.where(far[..., None], start, x))
    normal = torch.linalg.cross(torch.where(far[..., None], start, x), end)
    # points on one line through the centre leave the plane open: MuJoCo's choice
    largest = unit.abs().argmax(-1, keepdim=True)
    other = torch.linalg.cross(unit, torch.ones_like(unit).scatter(-1, largest, 0.0))
    clear = _norm2(normal) > _TINY**2
    normal = _unit(torch.where(clear[..., None], normal, other))
    second = torch.linalg.cross(normal, unit)
    round_ = far[..., None]
    return torch.where(round_, unit, x), torch.where(round_, second, y)


def _outside(
    a: Tensor, b: Tensor, side: Tensor, radius: Tensor, sided: Tensor, rule: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Wrapped (..., n), first and last touching point (..., n, 2), arc (..., n) [m]."""
    square = radius * radius
    apart = _norm2(b - a)
    open_ = (_norm2(a) >= square) & (_norm2(b) >= square) & (apart >= _TINY) & (radius > _TINY)
    # what is not wrapped is replaced by points that are, so that no gradient meets 0/0
    usable = (open_ & (_norm2(a) > square) & (_norm2(b) > square))[..., None]
    a = torch.where(usable, a, torch.stack((2 * radius, 0 * radius), -1).expand_as(a))
    b = torch.where(usable, b, torch.stack((-2 * radius, radius), -1).expand_as(b))
    nearest = _nearest(a, b)
    misses = _norm2(nearest) > square
    turn = torch.atan2(_cross(a, b), (a * b).sum(-1))  # of b from a, counter-clockwise
    reach_a, reach_b = (_norm2(x).sub(square).sqrt() for x in (a, b))
    open_a, open_b = (torch.atan2(x, radius.expand_as(x)) for x in (reach_a, reach_b))
    ways = []
    for sense in (-1.0, 1.0):  # clockwise, counter-clockwise
        first = _tangent(a, sense * reach_a, radius)
        last = _tangent(b, -sense * reach_b, radius)
        ahead = torch.remainder(sense * turn, 2 * math.pi)
        arc = ahead - open_a - open_b
        # the straight parts cross where the arc is negative and neither ends before the other
        crossed = (arc <= 0) & (ahead >= (open_a - open_b).abs())
        arc = torch.where(arc < 0, arc + 2 * math.pi, arc)
        ways.append((first, last, arc, crossed))
    if rule == "mujoco3":
        straight, counter = _three(ways, misses, nearest, side, sided)
    else:
        straight, counter = _four(ways, a, b, misses, turn, side, sided)
    pick = counter[..., None]
    first = torch.where(pick, ways[1][0], ways[0][0])
    last = torch.where(pick, ways[1][1], ways[0][1])
    arc = torch.where(counter, ways[1][2], ways[0][2])
    return open_ & ~straight, first, last, arc * radius


_Way = tuple[Tensor, Tensor, Tensor, Tensor]


def _three(
    ways: list[_Way], misses: Tensor, nearest: Tensor, side: Tensor, sided: Tensor
) -> tuple[Tensor, Tensor]:
    """MuJoCo 3: whether the string is straight, and whether it goes round counter-clockwise."""
    same_half = ~sided | ((side * nearest).sum(-1) >= 0)
    merit = []
    for first, last, _, crossed in ways:
        middle = _direction(first + last)
        good = torch.where(sided, (middle * side).sum(-1), -_norm2(first - last))
        merit.append(torch.where(crossed, torch.full_like(good, -1e4), good))
    counter = ~(merit[0] > merit[1])
    crossed = torch.where(counter, ways[1][3], ways[0][3])
    return (misses & same_half) | crossed, counter


def _four(
    ways: list[_Way],
    a: Tensor,
    b: Tensor,
    misses: Tensor,
    turn: Tensor,
    side: Tensor,
    sided: Tensor,
) -> tuple[Tensor, Tensor]:
    """MuJoCo 4, likewise."""
    # the straight line crosses the ray opposite the side point: it lies between the ends, as seen
    # from the centre, on the short way round
    to_a, to_b = _cross(-side, a), _cross(-side, b)
    sign = torch.sign(turn)
    behind = sided & (to_a * sign <= 0) & (to_b * sign >= 0)
    merit = []
    for sense, (first, _, arc, _) in zip((-1.0, 1.0), ways, strict=True):
        middle = _turned(first, 0.5 * sense * arc)
        off = torch.atan2(_cross(side, middle).abs(), (side * middle).sum(-1))
        merit.append(torch.where(sided, off + arc / 2, arc))
    # round a circle that the straight line misses only the long way is a way round
    counter = torch.where(misses, turn < 0, ~(merit[0] < merit[1]))
    return misses & ~behind, counter


def _inside(a: Tensor, b: Tensor, radius: Tensor, rule: str) -> tuple[Tensor, Tensor]:
    """Whether (..., n) a string is bent to touch the circle from within the angle of its ends, and
    where (..., n, 2).

    With β the angle between string and radius at the touching point, the sine rule gives
    asin(A sin β) + asin(B sin β) - 2 β + G = 0, with A = r/|a|, B = r/|b| and G the angle between
    the ends: decreasing and concave, negative at β = π/2 where the string misses the circle, so
    that Newton's method from there never overshoots. Its steps end where MuJoCo's do, which leaves
    the length exact to 1e-12 of itself. MuJoCo 3 solves for sin β, and where that exceeds 1 - 1e-7
    it takes the middle of the ends.
    """
    square = radius * radius
    open_ = (_norm2(a) > square) & (_norm2(b) > square) & (radius > _TINY)
    line = b - a
    share = -(line * a).sum(-1) / _norm2(line).clamp_min(_TINY)
    foot = a + share[..., None] * line
    hits = (share > 0) & (share < 1) & (_norm2(foot) <= square) & (_norm2(line) > _TINY)
    cosine = (a * b).sum(-1) / (_norm2(a) * _norm2(b)).clamp_min(_TINY**2).sqrt()
    bent = open_ & ~hits & ~(cosine < -1 + _TINY)
    solvable = bent & (cosine <= 1 - _TINY)
    keep = solvable[..., None]
    x = torch.where(keep, a, torch.stack((2 * radius, 0 * radius), -1).expand_as(a))
    y = torch.where(keep, b, torch.stack((0 * radius, 2 * radius), -1).expand_as(b))
    shares = radius / _length(x), radius / _length(y)
    turn = torch.atan2(_cross(x, y), (x * y).sum(-1))
    angle = turn.abs()
    with torch.no_grad():
        if rule == "mujoco3":
            beta, solved = _incidence_of_three(shares, angle)
            solvable = solvable & solved
        else:
            beta = torch.full_like(angle, math.pi / 2)
            for _ in range(_NEWTON):
                f, slope = _incidence(beta, shares, angle)
                beta = torch.where(f.abs() > _CLOSE, (beta - f / slope).clamp_min(0.0), beta)
        slope = _incidence(beta, shares, angle)[1]
    f = _incidence(beta, shares, angle)[0]
    beta = beta - (f - f.detach()) / slope  # gradients, by the implicit function
    # turned from whichever end the other one follows counter-clockwise
    forward = turn > 0
    unit = _unit(torch.where(forward[..., None], x, y))
    off = beta - torch.asin(torch.where(forward, shares[0], shares[1]) * torch.sin(beta))
    point = _turned(unit, off)
    use = solvable[..., None]
    return bent, torch.where(use, point, _direction(a + b)) * radius[..., None]


def _incidence(beta: Tensor, shares: tuple[Tensor, Tensor], angle: Tensor) -> tuple[Tensor, Tensor]:
    """The equation of an inside wrap and its derivative."""
    sine, cosine = torch.sin(beta), torch.cos(beta)
    value, slope = angle - 2 * beta, torch.full_like(angle, -2.0)
    for share in shares:
        value = value + torch.asin(share * sine)
        slope = slope + share * cosine / torch.sqrt(1 - (share * sine) ** 2)
    return value, slope


def _incidence_of_three(shares: tuple[Tensor, Tensor], angle: Tensor) -> tuple[Tensor, Tensor]:
    """β as MuJoCo 3 finds it, and whether it does."""
    z = torch.full_like(angle, _START)
    solved = _incidence(torch.asin(z), shares, angle)[0] <= 0
    for _ in range(_NEWTON):
        f, slope = _incidence(torch.asin(z), shares, angle)
        moved = z - f / slope * torch.sqrt(1 - z * z)
        z = torch.where((f.abs() > _CLOSE) & solved, moved, z)
    return torch.asin(z), solved


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """x (..., 2) turned counter-clockwise."""
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return torch.stack(
        (cosine * x[..., 0] - sine * x[..., 1], sine * x[..., 0] + cosine * x[..., 1]), -1
    )


def _tangent(x: Tensor, reach: Tensor, radius: Tensor) -> Tensor:
    """Where a tangent through x (..., 2) touches the circle, ``reach`` (signed, counter-clockwise)
    from it [m]."""
    turned = torch.stack((-x[..., 1], x[..., 0]), -1)
    return (radius / _norm2(x))[..., None] * (radius[..., None] * x + reach[..., None] * turned)


def _nearest(a: Tensor, b: Tensor) -> Tensor:
    """The point of the segment that is nearest to the origin."""
    line = b - a
    share = -(line * a).sum(-1) / _norm2(line).clamp_min(_TINY)
    return a + share.clamp(0.0, 1.0)[..., None] * line


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _norm2(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


def _length(x: Tensor) -> Tensor:
    """|x|, whose gradient at zero is zero."""
    square = _norm2(x)
    there = square > 0
    return torch.where(there, torch.where(there, square, torch.ones_like(square)).sqrt(), square)


def _unit(x: Tensor) -> Tensor:
    return x / _length(x).clamp_min(torch.finfo(x.dtype).tiny)[..., None]


def _direction(x: Tensor) -> Tensor:
    """x / |x| in the plane; along the first axis where there is no direction, as MuJoCo has it."""
    there = _norm2(x) > _TINY**2
    first = x.new_tensor([1.0, 0.0])
    return _unit(torch.where(there[..., None], x, first))
