"""The left side of a family of laws at a set of states, linear in its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discover.laws.newton import solved
from discover.laws.quantities import Mechanics


@dataclass(frozen=True, kw_only=True)
class Design:
    """The left side of a family at n states, H(theta) a + b(theta), linear in its p parameters.

    bias_columns (n, nv, p) at a = 0; inertia_columns (n, nv, nv, k) of the bodies, the second nv
    being a's, and term_inertia (n, nv, nv, m) of the terms that move with a, which are the
    parameters `moving`; rest_columns (n, nv, k), the bodies' share at v = 0 too: gravity.
    """

    bias_columns: Tensor
    inertia_columns: Tensor
    rest_columns: Tensor
    term_inertia: Tensor | None = None
    moving: tuple[int, ...] = ()

    def __getitem__(self, rows: Tensor) -> Design:
        moving = None if self.term_inertia is None else self.term_inertia[rows]
        return Design(
            bias_columns=self.bias_columns[rows],
            inertia_columns=self.inertia_columns[rows],
            rest_columns=self.rest_columns[rows],
            term_inertia=moving,
            moving=self.moving,
        )

    def beside(self, still: Tensor, moving: Sequence[int], columns: Tensor) -> Design:
        """The same with terms beside the bodies: `still` (n, nv, m) at a = 0, those that move with
        a by their numbers, and how, `columns` (n, nv, nv, moving)."""
        k = self.bias_columns.shape[-1]
        return Design(
            bias_columns=torch.cat([self.bias_columns, still], -1),
            inertia_columns=self.inertia_columns,
            rest_columns=self.rest_columns,
            term_inertia=columns if moving else None,
            moving=tuple(k + i for i in moving),
        )

    def mechanics(self, theta: Tensor) -> Mechanics:
        """What the words of the terms mean for the bodies theta (the potential left out)."""
        k = self.rest_columns.shape[-1]
        beta = theta[:k]
        gravity = self.rest_columns @ beta
        return Mechanics(
            H=self.inertia_columns @ beta,
            gravity=gravity,
            velocity=self.bias_columns[..., :k] @ beta - gravity,
            potential=None,
        )

    def moved(self, mechanics: Mechanics, size: float) -> Mechanics:
        """`mechanics` with `size` more of one parameter, each in turn (k, n, …): all is linear."""
        k = self.rest_columns.shape[-1]
        gravity = self.rest_columns.movedim(-1, 0)
        bias = self.bias_columns[..., :k].movedim(-1, 0)
        return Mechanics(
            H=mechanics.H + size * self.inertia_columns.movedim(-1, 0),
            gravity=mechanics.gravity + size * gravity,
            velocity=mechanics.velocity + size * (bias - gravity),
            potential=mechanics.potential,
        )

    def inertia(self, theta: Tensor) -> Tensor:
        """H (n, nv, nv)."""
        H = self.inertia_columns @ theta[: self.inertia_columns.shape[-1]]
        if self.term_inertia is None:
            return H
        return H + self.term_inertia @ theta[list(self.moving)]

    def columns(self, a: Tensor) -> Tensor:
        """d(left side) / d(theta) at accelerations a: (n, nv, p)."""
        out, (*_, nv, k) = self.bias_columns.clone(), self.inertia_columns.shape
        row = a[:, None, :]
        # Inertia is symmetric: summed over its first index, which is one product a state.
        out[..., :k] += (row @ self.inertia_columns.flatten(2)).reshape(-1, nv, k)
        if self.term_inertia is not None:
            out[..., list(self.moving)] += (row[:, None] @ self.term_inertia).squeeze(-2)
        return out

    def acceleration(self, theta: Tensor, tau: Tensor) -> Tensor:
        """Forward dynamics (n, nv); NaN where H is singular."""
        return solved(self.inertia(theta), tau - self.bias_columns @ theta)
