"""Gap, place and normal of two shapes: the narrow phase, for all pairs of two kinds at once.

Every test gives a fixed number k of candidate contacts, differentiable where the geometry is. As in
MuJoCo the normal points from the first shape to the second, the point lies midway between both
surfaces, and a capsule's axis directs the tangents of its contacts with planes. Formulas: the
nearest points of spheres, segments, cylinders and boxes (Ericson, Real-Time Collision Detection,
2005, chapter 5); which contacts of several are kept follows MuJoCo, found by asking it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kinematics.spatial import algebra as spatial

FAR = 1e6  # [m] the gap of a candidate that a pose does not have
_TINY = 1e-15


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Shapes of one kind in the base frame: position (n, 3, B), rotation (n, 3, 3, B), size
    (n, 3, 1), vertices (n, m, 3, 1) in their frames with ``real`` (n, m) ones, ``count`` kept."""

    position: Tensor
    rotation: Tensor
    size: Tensor
    vertices: Tensor | None = None
    real: Tensor | None = None
    count: int = 0

    @property
    def z(self) -> Tensor:
        """The third axis (n, 3, B)."""
        return self.rotation[:, :, 2]

    def local(self, x: Tensor) -> Tensor:
        """A base-frame direction (n, 3, B) in the shape's frame."""
        return (self.rotation * x[:, :, None]).sum(1)


@dataclass(frozen=True, kw_only=True)
class Hits:
    """k candidates: gap (n, k, B), point and normal (n, k, 3, B), a direction for the tangents
    (n, k, 3, B) where the shapes have one, and whether the pose has them (n, k, B)."""

    gap: Tensor
    point: Tensor
    normal: Tensor
    along: Tensor | None = None
    present: Tensor | None = None


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a · b of (…, 3, B) as (…, 1, B)."""
    return (a * b).sum(-2, keepdim=True)


def length(x: Tensor) -> Tensor:
    """|x| (…, 1, B) of (…, 3, B), with slope zero where x is zero."""
    square = dot(x, x)
    zero = square <= _TINY**2
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def unit(x: Tensor, otherwise: Tensor) -> Tensor:
    """x / |x|; ``otherwise`` where x is zero."""
    size = length(x)
    zero = size < _TINY
    return torch.where(zero, otherwise, x / torch.where(zero, 1.0, size))


def plane_balls(plane: Shape, centres: Tensor, radius: Tensor, along: Tensor | None) -> Hits:
    """Balls (n, k, 3, B) of radius (n, k, 1, 1) on planes."""
    normal = plane.z[:, None].expand_as(centres)
    gap = dot(centres - plane.position[:, None], normal) - radius
    point = centres - normal * (radius + gap / 2)
    return Hits(gap=gap[:, :, 0], point=point, normal=normal, along=along)


def plane_sphere(plane: Shape, sphere: Shape) -> Hits:
    """One contact below the centre."""
    return plane_balls(plane, sphere.position[:, None], sphere.size[:, None, :1], None)


def plane_capsule(plane: Shape, capsule: Shape) -> Hits:
    """A contact below each end."""
    arm = capsule.z * capsule.size[:, 1:2]
    ends = torch.stack((capsule.position + arm, capsule.position - arm), dim=1)
    along = capsule.z[:, None].expand_as(ends)
    return plane_balls(plane, ends, capsule.size[:, None, :1], along)


def plane_box(plane: Shape, box: Shape) -> Hits:
    """The four corners on the plane's side of the centre: the lower of each two that are opposite.

    MuJoCo keeps no corner above the centre either.
    """
    arms = (
        box.rotation * box.size[:, None, :, 0][..., None]
    )  # columns: half-edges in the base frame
    signs = arms.new_tensor([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1]])
    corner = torch.einsum("ncjb,kj->nkcb", arms, signs)
    height = dot(corner, plane.z[:, None])
    corner = torch.where(height > 0, -corner, corner)
    centres = box.position[:, None] + corner
    return plane_balls(plane, centres, torch.zeros_like(box.size[:, None, :1]), None)


def plane_cylinder(plane: Shape, cylinder: Shape) -> Hits:
    """The lowest points of both rims, and two more that make a triangle on the lower disk."""
    radius, half = cylinder.size[:, :1], cylinder.size[:, 1:2]
    normal, axis = plane.z, cylinder.z
    slope = dot(normal, axis)
    axis = torch.where(slope > 0, -axis, axis)
    slope = -slope.abs()
    down = unit(axis * slope - normal, cylinder.rotation[:, :, 0]) * radius
    side = torch.linalg.cross(down, axis, dim=1) * (3**0.5 / 2)
    tip = axis * half
    at = torch.stack((tip + down, down - tip, tip + side - down / 2, tip - side - down / 2), dim=1)
    centres = cylinder.position[:, None] + at
    return plane_balls(plane, centres, torch.zeros_like(radius[:, None]), None)


def plane_convex(plane: Shape, convex: Shape) -> Hits:
    """Vertices: all of a small set, the deepest of a large one."""
    assert convex.vertices is not None
    assert convex.real is not None
    turned = torch.einsum("ncjb,nmj->nmcb", convex.rotation, convex.vertices[..., 0])
    centres = convex.position[:, None] + turned
    real = convex.real[:, :, None].expand(-1, -1, centres.shape[-1]) > 0
    if convex.count < centres.shape[1]:
        height = dot(centres - plane.position[:, None], plane.z[:, None])[:, :, 0].detach()
        height = torch.where(real, height, torch.inf)
        chosen = height.topk(convex.count, dim=1, largest=False).indices
        centres = centres.gather(1, chosen[:, :, None].expand(-1, -1, 3, -1))
        real = real.gather(1, chosen)
    hits = plane_balls(plane, centres, convex.size[:, None, :1], None)
    return Hits(gap=hits.gap, point=hits.point, normal=hits.normal, present=real)


def balls(a: Tensor, ra: Tensor, b: Tensor, rb: Tensor, otherwise: Tensor) -> Hits:
    """Two balls (n, 3, B) of radii (n, 1, 1); ``otherwise`` is the normal of equal centres."""
    apart = b - a
    normal = unit(apart, otherwise)
    gap = length(apart) - ra - rb
    point = a + normal * (ra + gap / 2)
    return Hits(gap=gap, point=point[:, None], normal=normal[:, None])


def _crossed(first: Shape, second: Shape) -> Tensor:
    """A normal where centres coincide: across both third axes."""
    x = torch.zeros_like(first.z)
    x[:, 0] = 1.0
    return unit(torch.linalg.cross(first.z, second.z, dim=1), x)


def sphere_sphere(first: Shape, second: Shape) -> Hits:
    """One contact on the line of the centres."""
    return balls(
        first.position, first.size[:, :1], second.position, second.size[:, :1],
        _crossed(first, second),
    )  # fmt: skip


def sphere_capsule(sphere: Shape, capsule: Shape) -> Hits:
    """The sphere with the capsule's nearest ball."""
    half = capsule.size[:, 1:2]
    along = dot(sphere.position - capsule.position, capsule.z)
    along = torch.minimum(torch.maximum(along, -half), half)
    nearest = capsule.position + capsule.z * along
    return balls(
        sphere.position, sphere.size[:, :1], nearest, capsule.size[:, :1],
        _crossed(sphere, capsule),
    )  # fmt: skip


def capsule_capsule(first: Shape, second: Shape) -> Hits:
    """The nearest balls of two capsules; two contacts, at the ends of their overlap, of parallel
    ones."""
    a, b = first.z * first.size[:, 1:2], second.z * second.size[:, 1:2]
    apart = first.position - second.position
    aa, ab, bb = dot(a, a), -dot(a, b), dot(b, b)
    u, w = -dot(a, apart), dot(b, apart)
    det = aa * bb - ab * ab
    parallel = det.abs() < _TINY
    safe = torch.where(parallel, 1.0, det)
    thin_a, thin_b = aa.clamp_min(_TINY), bb.clamp_min(_TINY)

    def on_a(y: Tensor) -> Tensor:
        return ((u - ab * y) / thin_a).clamp(-1, 1)

    def on_b(x: Tensor) -> Tensor:
        return ((w - ab * x) / thin_b).clamp(-1, 1)

    # the nearest points of two segments: of the lines, then back into each segment in turn
    x = ((bb * u - ab * w) / safe).clamp(-1, 1)
    y = (w - ab * x) / thin_b
    x = torch.where(y.abs() > 1, on_a(y.clamp(-1, 1)), x)
    y = y.clamp(-1, 1)
    one = torch.ones_like(x)
    # parallel: the four ends against the other segment, as far as they are opposite to it
    tried = [(one, on_b(one)), (-one, on_b(-one)), (on_a(one), one), (on_a(-one), -one)]
    balls_of = [
        balls(
            first.position + a * s, first.size[:, :1], second.position + b * t,
            second.size[:, :1], _crossed(first, second),
        )
        for s, t in ((x, y), *tried)
    ]  # fmt: skip
    return _two_of(balls_of, parallel[:, :1])


def _two_of(found: list[Hits], parallel: Tensor) -> Hits:
    """The general contact, or the two of least gap of four, where the axes are parallel.

    Of equal gaps the earlier ends count, as in MuJoCo, which stops at two.
    """
    general, ends = found[0], found[1:]
    gaps = torch.cat([hit.gap for hit in ends], dim=1)
    points = torch.cat([hit.point for hit in ends], dim=1)
    normals = torch.cat([hit.normal for hit in ends], dim=1)
    step = torch.arange(4, device=gaps.device)[None, :, None] * 1e-9
    chosen = (gaps.detach() + step).topk(2, dim=1, largest=False).indices
    wide = chosen[:, :, None].expand(-1, -1, 3, -1)
    gap, point, normal = gaps.gather(1, chosen), points.gather(1, wide), normals.gather(1, wide)
    same = parallel.expand(-1, 2, -1)
    present = torch.cat((torch.ones_like(parallel), parallel), dim=1)
    return Hits(
        gap=torch.where(same, gap, general.gap.expand(-1, 2, -1)),
        point=torch.where(same[:, :, None], point, general.point.expand(-1, 2, -1, -1)),
        normal=torch.where(same[:, :, None], normal, general.normal.expand(-1, 2, -1, -1)),
        present=present,
    )


def sphere_box(sphere: Shape, box: Shape) -> Hits:
    """The sphere with the nearest point of the box; with its nearest face from inside."""
    centre, half = box.local(sphere.position - box.position), box.size
    nearest = torch.minimum(torch.maximum(centre, -half), half)
    outside = length(centre - nearest) > _TINY
    room = half - centre.abs()
    face = room == room.min(1, keepdim=True).values
    face = face & (face.cumsum(1) == 1)  # one, where two are equally near
    out = torch.where(face, torch.where(centre < 0, -1.0, 1.0), torch.zeros_like(centre))
    normal = torch.where(outside, unit(nearest - centre, -out), -out)
    distance = torch.where(outside, length(centre - nearest), -(room * face).sum(1, keepdim=True))
    gap = distance - sphere.size[:, :1]
    normal = spatial.rotate(box.rotation, normal)
    point = sphere.position + normal * (sphere.size[:, :1] + gap / 2)
    return Hits(gap=gap, point=point[:, None], normal=normal[:, None])


def sphere_cylinder(sphere: Shape, cylinder: Shape) -> Hits:
    """The sphere with the nearest point of the cylinder: on its side, a disk or a rim."""
    radius, half = cylinder.size[:, :1], cylinder.size[:, 1:2]
    away = sphere.position - cylinder.position
    height = dot(away, cylinder.z)
    across = away - cylinder.z * height
    off = length(across)
    side = unit(across, cylinder.rotation[:, :, 0])
    cap = cylinder.z * torch.where(height < 0, -1.0, 1.0)
    within = (off < radius) & (height.abs() < half)
    # from inside by the nearer of side and disk
    by_cap = (half - height.abs()) < (radius - off)
    inner = torch.where(by_cap, cap, side)
    depth = torch.where(by_cap, height.abs() - half, off - radius)
    nearest = (
        cylinder.z * torch.minimum(torch.maximum(height, -half), half)
        + side * torch.minimum(off, radius)
    )  # fmt: skip
    apart = nearest - away
    normal = torch.where(within, -inner, unit(apart, -inner))
    gap = torch.where(within, depth, length(apart)) - sphere.size[:, :1]
    point = sphere.position + normal * (sphere.size[:, :1] + gap / 2)
    return Hits(gap=gap, point=point[:, None], normal=normal[:, None])


TESTS: dict[tuple[str, str], Callable[[Shape, Shape], Hits]] = {
    ("plane", "sphere"): plane_sphere,
    ("plane", "capsule"): plane_capsule,
    ("plane", "cylinder"): plane_cylinder,
    ("plane", "box"): plane_box,
    ("plane", "convex"): plane_convex,
    ("sphere", "sphere"): sphere_sphere,
    ("sphere", "capsule"): sphere_capsule,
    ("sphere", "cylinder"): sphere_cylinder,
    ("sphere", "box"): sphere_box,
    ("capsule", "capsule"): capsule_capsule,
}


def frames(normal: Tensor, along: Tensor | None) -> Tensor:
    """Contact frames (…, 3, 3, B), rows normal and two tangents, of normals (…, 3, B).

    The first tangent is ``along`` (or y, or z where the normal is near y) less its normal part, the
    second normal × first: MuJoCo's convention.
    """
    x, y = normal[..., 0, :], normal[..., 1, :]
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    steep = y.abs() >= 0.5
    usual = torch.stack((zero, torch.where(steep, zero, one), torch.where(steep, one, zero)), -2)
    if along is not None:
        across = along - normal * dot(along, normal)
        upright = torch.stack((one, zero, zero), -2)
        usual = torch.where(length(across) > _TINY, along, torch.where(
            (x.abs() < 0.9)[..., None, :], upright, usual))  # fmt: skip
    first = usual - normal * dot(usual, normal)
    first = first / length(first)
    return torch.stack((normal, first, torch.linalg.cross(normal, first, dim=-2)), -3)
