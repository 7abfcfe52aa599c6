"""The convex problem of one step: least change of motion, subject to the pull of constraints.

    minimise over x   ½ (x - free)ᵀ M (x - free) + Σ s(J x - target)

x is an acceleration (soft law) or the next velocity (hard law). Rows of J come in three kinds:

- cones, three rows each (normal, two tangents): s = ½ D · squared distance to the dual friction
  cone in scaled coordinates, so that the force -∇s always lies in the friction cone. Three zones in
  closed form: parting (no force), sticking (quadratic), sliding (on the cone's mantle). It is the
  cost of MuJoCo's elliptic cones and of Castro et al., arXiv 2110.10107;
- one-sided rows: s = ½ D min(y, 0)², of joint limits and of the edges of pyramids;
- bounded rows: quadratic up to a force ``bound``, linear beyond (Huber): dry friction of joints.

A row with D = 0 is absent.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

PARTING, SLIDING, STICKING = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A batch of B problems in nv unknowns with m cones, r one-sided and l bounded rows.

    mass (B, nv, nv), free (B, nv); jacobian (B, 3m + r + l, nv) and target (B, 3m + r + l) in this
    order of kinds; cone_weight (B, m), one_sided_weight (B, r), bounded_weight (B, l) are D = 1/R;
    mu (B, m) slope of the regularised cone; ratio (B, m, 2) friction of each tangent over mu (its
    square is the tangent's D over the normal's; 0: frictionless); bound (B, l) largest force.
    lift (B, m): slope of the normal target in the tangential speed that de Saxcé's correction has,
    mu of Coulomb friction, 0 of convex friction.
    """

    mass: Tensor
    free: Tensor
    jacobian: Tensor
    target: Tensor
    cone_weight: Tensor
    mu: Tensor
    ratio: Tensor
    lift: Tensor
    one_sided_weight: Tensor
    bounded_weight: Tensor
    bound: Tensor

    @property
    def cones(self) -> int:
        """Number of cones m."""
        return int(self.cone_weight.shape[1])

    @property
    def rows(self) -> int:
        """Number of rows of the Jacobian."""
        return int(self.jacobian.shape[1])

    def at(self, where: Tensor) -> Problem:
        """The problems of some batch elements (indices)."""
        return Problem(**{f.name: getattr(self, f.name)[where] for f in fields(self)})

    def detach(self) -> Problem:
        """The same numbers, not differentiated."""
        return Problem(**{f.name: getattr(self, f.name).detach() for f in fields(self)})

    def softened(self, factor: float) -> Problem:
        """With all constraints ``factor`` times more compliant."""
        names = ("cone_weight", "one_sided_weight", "bounded_weight")
        changed = {f.name: getattr(self, f.name) for f in fields(self)}
        return Problem(**(changed | {name: changed[name] / factor for name in names}))

    def slack(self, x: Tensor) -> Tensor:
        """J x - target (B, rows), Coulomb's lift included."""
        y = torch.matmul(self.jacobian, x[..., None])[..., 0]
        return self.lifted(y - self.target, y)

    def lifted(self, slack: Tensor, rate: Tensor) -> Tensor:
        """The slack with Coulomb's lift of the normal rows at the rates J x (B, rows)."""
        m = self.cones
        if not m:
            return slack
        tangential = _length(rate[:, : 3 * m].unflatten(1, (m, 3))[..., 1:])
        head = slack[:, : 3 * m].unflatten(1, (m, 3))
        normal = head[..., :1] + (self.lift * tangential)[..., None]
        return torch.cat((torch.cat((normal, head[..., 1:]), -1).flatten(1), slack[:, 3 * m :]), 1)

    def forces(self, y: Tensor) -> Tensor:
        """-∇s (B, rows) at the slack y (B, rows): forces or impulses of the rows."""
        m, r = self.cones, self.one_sided_weight.shape[1]
        parts = []
        if m:
            z = y[:, : 3 * m].unflatten(1, (m, 3))
            zone, distance, slope = self._zones(z)
            normal = z[..., 0]
            pressed = self.cone_weight / (1 + self.mu.square()) * -distance
            sticking = zone == STICKING
            force = torch.where(sticking, -self.cone_weight * normal, pressed)
            grip = (self.cone_weight[..., None] * self.ratio.square()) * -z[..., 1:]
            rub = -pressed[..., None] * slope
            tangents = torch.where(sticking[..., None], grip, rub)
            block = torch.cat((force[..., None], tangents), -1)
            parts.append(torch.where((zone == PARTING)[..., None], 0.0, block).flatten(1))
        side = y[:, 3 * m : 3 * m + r]
        parts.append(self.one_sided_weight * -side.clamp_max(0.0))
        held = y[:, 3 * m + r :]
        parts.append(torch.clamp(-self.bounded_weight * held, -self.bound, self.bound))
        return torch.cat(parts, 1)

    def weights(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """∇²s at the slack y: the blocks of cones (B, m, 3, 3) and the diagonal of the other rows
        (B, r + l)."""
        m, r = self.cones, self.one_sided_weight.shape[1]
        z = y[:, : 3 * m].unflatten(1, (m, 3)) if m else y.new_zeros(len(y), 0, 3)
        zone, distance, slope = self._zones(z)
        friction = self.mu[..., None] * self.ratio
        radius = _length(friction * z[..., 1:])
        radius = torch.where(radius > 0, radius, 1.0)
        arrow = torch.cat((torch.ones_like(distance)[..., None], -slope), -1)
        bend = torch.diag_embed(friction.square()) - slope[..., :, None] * slope[..., None, :]
        # rounding can leave a positive distance on the mantle: no negative curvature from it
        bend = bend * (distance.clamp_max(0.0) / -radius)[..., None, None]
        mantle = arrow[..., :, None] * arrow[..., None, :]
        mantle = mantle + torch.nn.functional.pad(bend, (1, 0, 1, 0))
        mantle = mantle * (self.cone_weight / (1 + self.mu.square()))[..., None, None]
        grip = torch.cat((torch.ones_like(distance)[..., None], self.ratio.square()), -1)
        full = torch.diag_embed(grip * self.cone_weight[..., None])
        zones = zone[..., None, None]
        blocks = torch.where(zones == STICKING, full, torch.where(zones == SLIDING, mantle, 0.0))
        side = torch.where(y[:, 3 * m : 3 * m + r] < 0, self.one_sided_weight, 0.0)
        held = self.bounded_weight * y[:, 3 * m + r :]
        free = torch.where(held.abs() < self.bound, self.bounded_weight, 0.0)
        return blocks, torch.cat((side, free), 1)

    def zones(self, y: Tensor) -> Tensor:
        """PARTING, SLIDING or STICKING of each cone (B, m) at the slack y."""
        m = self.cones
        return self._zones(y[:, : 3 * m].unflatten(1, (m, 3)))[0] if m else y.new_zeros(len(y), 0)

    def _zones(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of cones with slack z (B, m, 3): the zone, the signed distance y_n - |friction y_t| to
        the mantle, and the slope of |friction y_t| in y_t (B, m, 2)."""
        friction = self.mu[..., None] * self.ratio
        radius = _length(friction * z[..., 1:])
        normal = z[..., 0]
        distance = normal - radius
        inside = (self.mu.square() * normal + radius <= 0) & (normal < 0)
        zone = torch.where(inside, STICKING, SLIDING)
        zone = torch.where((distance >= 0) | (self.cone_weight == 0), PARTING, zone)
        safe = torch.where(radius > 0, radius, 1.0)
        slope = friction.square() * z[..., 1:] / safe[..., None]
        return zone, distance, slope


def _length(x: Tensor) -> Tensor:
    """Norm over the last axis, with slope zero (not nan) at zero."""
    square = x.square().sum(-1)
    zero = square <= 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())
