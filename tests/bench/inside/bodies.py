"""Fresh bodies for planted networks: robots drawn at random, and their mechanics as a torch module.

`Mechanics` is written here once more, in body coordinates and without control flow on data, so that
`torch.export` follows it, and so that an exact plant and `kinematics.aba` are two codes that must
agree. Spatial vectors are (angular, linear), transforms X lead from a parent's coordinates to its
child's; Featherstone (2008), tables 5.1, 6.2 and 7.1, and section 6.5 for the factorisations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import kinematics
from discover.blackbox.region import Region
from kinematics import Robot
from kinematics.robot.inertial_parameters import about_origin
from kinematics.robot.tree import build

SHAPES = {
    "2R": [-1, 0],
    "3R": [-1, 0, 1],
    "spatial": [-1, 0, 1],
    "branched": [-1, 0, 1, 0],
}
PLANAR = ("2R", "3R", "branched")
_DRAWS = 50  # robots drawn until one's factors vary enough to be told apart
_VARIES = 0.1  # standard deviation over mean, of the root's articulated inertia
_Q, _V = 1.5, 2.0  # half-widths of the region [rad, rad/s]


@dataclass(frozen=True)
class Body:
    """A robot, the region where a plant answers, and the mechanics of both.

    region  half-widths of q 1.5 rad, v 2 rad/s; tau twice the spread of each joint's bias force, so
            that neither the applied force nor the bias decides alone
    """

    robot: Robot
    region: Region
    mechanics: Mechanics

    def states(self, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """q, v, tau, each (count, nv), float64, uniform in the region."""
        generator = torch.Generator().manual_seed(seed)
        sides = (self.region.q, self.region.v, self.region.tau)
        parts = []
        for side in sides:
            at = torch.rand(count, self.robot.nv, generator=generator, dtype=torch.float64)
            parts.append(side.low + (side.high - side.low) * at)
        return parts[0], parts[1], parts[2]


def draw(shape: str, seed: int) -> Body:
    """A robot of `SHAPES` with rod-like links of random length, mass and centre, and its region.

    Planar arms have parallel axes and gravity in the plane; "spatial" has axes at random. Robots
    whose articulated inertia hardly varies are drawn again: on them all factorisations are the same
    constant. The same seed gives the same robot.
    """
    for attempt in range(_DRAWS):
        robot = _robot(shape, np.random.default_rng([seed, attempt, len(SHAPES[shape])]))
        body = _with_region(robot, seed)
        H = body.mechanics.mass(body.states(256, seed)[0])
        root = factors(H, tip_first(robot.nv))[0][:, -1]
        if float(root.std() / root.mean()) >= _VARIES:
            return body
    raise AssertionError(f"{_DRAWS} robots of shape {shape} have nearly constant inertia")


def _robot(shape: str, rng: np.random.Generator) -> Robot:
    parents = SHAPES[shape]
    n = len(parents)
    planar = shape in PLANAR
    lengths = rng.uniform(0.25, 0.5, n)
    offsets, rotations, pi = np.zeros((n, 3)), np.tile(np.eye(3), (n, 1, 1)), []
    for i, parent in enumerate(parents):
        if parent >= 0:
            offsets[i, 0] = lengths[parent] * (1.0 if i == parent + 1 else rng.uniform(0.5, 0.9))
        if not planar:
            rotations[i] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            rotations[i] *= np.linalg.det(rotations[i])
        mass = float(np.exp(rng.normal(0.0, 0.4)))
        centre = np.array([lengths[i] * rng.uniform(0.35, 0.65), *rng.uniform(-0.04, 0.04, 2)])
        rod = mass / 12 * lengths[i] ** 2
        pi.append(about_origin(mass, centre, np.diag([0.1 * rod, 1.05 * rod, rod])))
    if planar:
        rotations[0] = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the axes are horizontal
    return build(
        f"zoo_{shape}",
        kinds=["revolute"] * n,
        parents=list(parents),
        tree_rotation=rotations,
        tree_offset=offsets,
        axes=np.tile([0.0, 0.0, 1.0], (n, 1)),
        pi=np.array(pi),
    )


def _with_region(robot: Robot, seed: int) -> Body:
    mechanics = Mechanics(robot)
    q, v, _ = kinematics.random_state(robot, 512, seed=seed, q=_Q, v=_V)
    spread = mechanics.bias(q, v).std(0).clamp_min(0.1)
    return Body(robot, Region(q=_Q, v=_V, tau=(2 * spread)).resolve(robot.nv), mechanics)


class Mechanics(nn.Module):
    """A tree of hinges in torch: transforms, mass matrix, bias force, wrenches at rest; float64."""

    def __init__(self, robot: Robot) -> None:
        super().__init__()
        self.parents = list(robot.parents)
        self.nv = robot.nv
        axes = robot.axes.double()
        n = self.nv
        cross = torch.stack([_cross(a) for a in axes])
        self.register_buffer("about", cross)
        self.register_buffer("about_twice", cross @ cross)
        self.register_buffer("rotation", robot.tree_rotation.double())
        self.register_buffer("lever", torch.stack([_cross(r) for r in robot.tree_offset.double()]))
        self.register_buffer("axis", torch.cat((axes, torch.zeros(n, 3).double()), 1))
        self.register_buffer("inertia", torch.stack([_spatial_inertia(p) for p in robot.pi]))
        lift = torch.cat((torch.zeros(3).double(), -robot.gravity.double()))
        self.register_buffer("lift", lift)

    def transforms(self, cos: Tensor, sin: Tensor) -> list[Tensor]:
        """X (B, 6, 6) of each joint from its parent's coordinates; cos and sin of q are (B, nv)."""
        found = []
        for i in range(self.nv):
            turn = sin[:, i, None, None] * self.about[i]
            turn = turn + (1 - cos[:, i, None, None]) * self.about_twice[i]
            E = (self.rotation[i] @ (turn + torch.eye(3, dtype=cos.dtype))).transpose(1, 2)
            zero = torch.zeros_like(E)
            upper = torch.cat((E, zero), 2)
            lower = torch.cat((-E @ self.lever[i], E), 2)
            found.append(torch.cat((upper, lower), 1))
        return found

    def mass(self, q: Tensor) -> Tensor:
        """H(q) (B, nv, nv), the sum over bodies of Jᵀ I J."""
        jacobians = self._jacobians(self.transforms(torch.cos(q), torch.sin(q)))
        terms = [J.transpose(1, 2) @ self.inertia[i] @ J for i, J in enumerate(jacobians)]
        return torch.stack(terms).sum(0)

    def bias(self, q: Tensor, v: Tensor) -> Tensor:
        """C(q, v) (B, nv): joint forces [N·m] that hold all accelerations at zero."""
        X = self.transforms(torch.cos(q), torch.sin(q))
        forces = [
            (J.transpose(1, 2) @ f[:, :, None])[:, :, 0]
            for J, f in zip(self._jacobians(X), self.wrenches(X, v), strict=True)
        ]
        return torch.stack(forces).sum(0)

    def wrenches(self, X: Sequence[Tensor], v: Tensor) -> list[Tensor]:
        """The wrench (B, 6) on each body, in its coordinates, when no joint accelerates."""
        velocities: list[Tensor] = []
        accelerations: list[Tensor] = []
        found = []
        for i, parent in enumerate(self.parents):
            own = v[:, i, None] * self.axis[i]
            if parent < 0:
                velocity = own
                acceleration = X[i] @ self.lift
            else:
                velocity = (X[i] @ velocities[parent][:, :, None])[:, :, 0] + own
                carried = (X[i] @ accelerations[parent][:, :, None])[:, :, 0]
                acceleration = carried + (_motion_cross(velocity) @ own[:, :, None])[:, :, 0]
            velocities.append(velocity)
            accelerations.append(acceleration)
            momentum = velocity @ self.inertia[i]
            turning = _motion_cross(velocity).transpose(1, 2) @ momentum[:, :, None]
            found.append(acceleration @ self.inertia[i] - turning[:, :, 0])
        return found

    def _jacobians(self, X: Sequence[Tensor]) -> list[Tensor]:
        """J (B, 6, nv) of each body, in its coordinates."""
        found: list[Tensor] = []
        for i, parent in enumerate(self.parents):
            own = self.axis[i][:, None] * torch.eye(self.nv, dtype=torch.float64)[i]
            found.append(
                own + X[i] @ found[parent] if parent >= 0 else own.expand_as(X[i][..., : self.nv])
            )
        return found


def _cross(r: Tensor) -> Tensor:
    """The matrix (3, 3) of r ×."""
    x, y, z = (float(c) for c in r)
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)


def _spatial_inertia(pi: Tensor) -> Tensor:
    """The inertia matrix (6, 6) of ten parameters, about the body frame's origin."""
    pi = pi.double()
    h = _cross(pi[1:4])
    xx, xy, yy, xz, yz, zz = pi[4:]
    about = torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz)).reshape(3, 3)
    upper = torch.cat((about, h), 1)
    lower = torch.cat((-h, pi[0] * torch.eye(3).double()), 1)
    return torch.cat((upper, lower), 0)


def _motion_cross(v: Tensor) -> Tensor:
    """The matrices (B, 6, 6) of v ×, on motions."""
    zero = torch.zeros_like(v[:, 0])

    def cross(x: Tensor) -> Tensor:
        rows = (zero, -x[:, 2], x[:, 1], x[:, 2], zero, -x[:, 0], -x[:, 1], x[:, 0], zero)
        return torch.stack(rows, 1).reshape(-1, 3, 3)

    angular, linear = cross(v[:, :3]), cross(v[:, 3:])
    upper = torch.cat((angular, torch.zeros_like(angular)), 2)
    return torch.cat((upper, torch.cat((linear, angular), 2)), 1)


def tip_first(nv: int) -> list[int]:
    """The joints in the order of their elimination, from the tips to the base."""
    return list(range(nv))[::-1]


def base_first(nv: int) -> list[int]:
    """The joints in the order of their elimination, from the base to the tips."""
    return list(range(nv))


def factors(H: Tensor, order: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(D, L): pivots (B, n) and unit lower triangular L (B, n, n) with H = L diag(D) Lᵀ, rows and
    columns in the order of elimination."""
    at = torch.tensor(list(order))
    lower = torch.linalg.cholesky(H[:, at][:, :, at])
    diagonal = lower.diagonal(dim1=1, dim2=2)
    return diagonal**2, lower / diagonal[:, None, :]


def solved(D: Tensor, L: Tensor, force: Tensor, order: Sequence[int]) -> Tensor:
    """The accelerations (B, n), in the robot's order, of these factors and `force` (B, n)."""
    at = torch.tensor(list(order))
    inverse = torch.argsort(at)
    u = torch.linalg.solve_triangular(L, force[:, at, None], upper=False, unitriangular=True)
    back = torch.linalg.solve_triangular(
        L.transpose(1, 2), u / D[:, :, None], upper=True, unitriangular=True
    )
    return back[:, :, 0][:, inverse]
