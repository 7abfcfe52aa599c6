"""Inertias on their way to the base: rigid ones (ten numbers) and articulated ones (21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinematics.programs.elimination.frames import (
    PLACE,
    Move,
    Symmetric,
    Vector,
    general_up,
    symmetric_up,
    vector_up,
)
from kinematics.programs.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Rigid:
    """Mass, first moment and inertia about the origin."""

    mass: Any
    moment: Vector
    inertia: Symmetric

    @property
    def rigid(self) -> bool:
        return True

    def column(self, graph: Graph, angular: bool, k: int) -> tuple[Vector, Vector]:
        """The wrench (moment, force) of a unit acceleration about or along axis k."""
        i, j = (k + 1) % 3, (k + 2) % 3
        h, zero = self.moment, graph.zero
        if angular:
            force = [zero, zero, zero]
            force[i], force[j] = -h[j], h[i]  # e_k × h
            row = tuple(self.inertia[PLACE[k][n]] for n in range(3))
            return row, tuple(force)
        couple = [zero, zero, zero]
        couple[i], couple[j] = h[j], -h[i]  # h × e_k
        push = [zero, zero, zero]
        push[k] = self.mass
        return tuple(couple), tuple(push)

    def up(self, graph: Graph, chain: list[Move]) -> Rigid:
        """The same inertia in the parent's frame."""
        m, h, inertia = self.mass, self.moment, self.inertia
        for move in chain:
            if move.kind != "shift":
                h, inertia = vector_up(move, h), symmetric_up(move, inertia)
                continue
            a, k = move.amount, move.axis
            i, j = (k + 1) % 3, (k + 2) % 3
            along = h[k] + m * a
            spread = (a + a) * h[k] if m.is_zero else a * (h[k] + along)
            out = list(inertia)
            out[PLACE[i][i]] = out[PLACE[i][i]] + spread
            out[PLACE[j][j]] = out[PLACE[j][j]] + spread
            out[PLACE[k][i]] = out[PLACE[k][i]] - a * h[i]
            out[PLACE[k][j]] = out[PLACE[k][j]] - a * h[j]
            moved = list(h)
            moved[k] = along
            h, inertia = tuple(moved), tuple(out)
        return Rigid(mass=m, moment=h, inertia=inertia)

    def articulated(self, graph: Graph) -> Articulated:
        """The same as a general symmetric 6 x 6 inertia."""
        x, y, z = self.moment
        zero, m = graph.zero, self.mass
        return Articulated(
            inertia=self.inertia,
            coupling=[[zero, -z, y], [z, zero, -x], [-y, x, zero]],
            mass=(m, m, m, zero, zero, zero),
        )


@dataclass(frozen=True, kw_only=True)
class Articulated:
    """[inertia, coupling; couplingᵀ, mass], rows and columns (angular, linear)."""

    inertia: Symmetric
    coupling: list[list[Any]]
    mass: Symmetric

    @property
    def rigid(self) -> bool:
        return False

    def column(self, graph: Graph, angular: bool, k: int) -> tuple[Vector, Vector]:
        """The wrench of a unit acceleration about or along axis k."""
        if angular:
            moment = tuple(self.inertia[PLACE[k][n]] for n in range(3))
            return moment, tuple(self.coupling[k])
        moment = tuple(self.coupling[n][k] for n in range(3))
        return moment, tuple(self.mass[PLACE[k][n]] for n in range(3))

    def up(self, graph: Graph, chain: list[Move]) -> Articulated:
        """The same inertia in the parent's frame."""
        inertia, coupling, mass = self.inertia, self.coupling, self.mass
        for move in chain:
            if move.kind != "shift":
                inertia = symmetric_up(move, inertia)
                coupling = general_up(move, coupling)
                mass = symmetric_up(move, mass)
                continue
            a, k = move.amount, move.axis
            i, j = (k + 1) % 3, (k + 2) % 3
            old = coupling
            new = [list(row) for row in old]
            for n in range(3):  # coupling + [p] mass
                new[i][n] = old[i][n] - a * mass[PLACE[j][n]]
                new[j][n] = old[j][n] + a * mass[PLACE[i][n]]
            out = list(inertia)
            out[PLACE[i][i]] = out[PLACE[i][i]] - a * (old[i][j] + new[i][j])
            out[PLACE[j][j]] = out[PLACE[j][j]] + a * (old[j][i] + new[j][i])
            out[PLACE[i][j]] = out[PLACE[i][j]] + a * (old[i][i] - new[j][j])
            out[PLACE[k][i]] = out[PLACE[k][i]] - a * old[k][j]
            out[PLACE[k][j]] = out[PLACE[k][j]] + a * old[k][i]
            inertia, coupling = tuple(out), new
        return Articulated(inertia=inertia, coupling=coupling, mass=mass)

    def articulated(self, graph: Graph) -> Articulated:
        return self

    def less(self, weighted: list[Any], wrench: list[Any]) -> Articulated:
        """Minus weighted·wrenchᵀ, where weighted is wrench over a pivot."""
        w, f = weighted, wrench
        inertia, mass = list(self.inertia), list(self.mass)
        coupling = [list(row) for row in self.coupling]
        for i in range(3):
            for j in range(i, 3):
                inertia[PLACE[i][j]] = inertia[PLACE[i][j]] - w[j] * f[i]
                mass[PLACE[i][j]] = mass[PLACE[i][j]] - w[3 + j] * f[3 + i]
            for j in range(3):
                coupling[i][j] = coupling[i][j] - w[i] * f[3 + j]
        return Articulated(inertia=tuple(inertia), coupling=coupling, mass=tuple(mass))

    def without(self, graph: Graph, angular: bool, k: int) -> Articulated:
        """With the row and column of one freedom exactly zero, as eliminating it leaves them."""
        zero = graph.zero
        inertia, mass = list(self.inertia), list(self.mass)
        coupling = [list(row) for row in self.coupling]
        if angular:
            for n in range(3):
                inertia[PLACE[k][n]] = zero
                coupling[k][n] = zero
        else:
            for n in range(3):
                mass[PLACE[k][n]] = zero
                coupling[n][k] = zero
        return Articulated(inertia=tuple(inertia), coupling=coupling, mass=tuple(mass))


def total(graph: Graph, a: Rigid | Articulated, b: Rigid | Articulated) -> Rigid | Articulated:
    """The sum of two inertias in one frame."""
    if isinstance(a, Rigid) and isinstance(b, Rigid):
        return Rigid(
            mass=a.mass + b.mass,
            moment=tuple(x + y for x, y in zip(a.moment, b.moment, strict=True)),
            inertia=tuple(x + y for x, y in zip(a.inertia, b.inertia, strict=True)),
        )
    a, b = a.articulated(graph), b.articulated(graph)
    return Articulated(
        inertia=tuple(x + y for x, y in zip(a.inertia, b.inertia, strict=True)),
        coupling=[
            [x + y for x, y in zip(r, s, strict=True)]
            for r, s in zip(a.coupling, b.coupling, strict=True)
        ],
        mass=tuple(x + y for x, y in zip(a.mass, b.mass, strict=True)),
    )


def rigid_from_moments(graph: Graph, moments: np.ndarray) -> Rigid:
    """A rigid inertia from 4 x 4 second moments."""
    const = graph.const
    second = moments[:3, :3]
    return Rigid(
        mass=const(moments[3, 3]),
        moment=tuple(const(x) for x in moments[:3, 3]),
        inertia=(
            const(second[1, 1] + second[2, 2]),
            const(second[0, 0] + second[2, 2]),
            const(second[0, 0] + second[1, 1]),
            const(-second[0, 1]),
            const(-second[0, 2]),
            const(-second[1, 2]),
        ),
    )
