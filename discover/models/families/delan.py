"""Deep Lagrangian network: mass matrix and potential by networks, mechanics by construction.

Lutter, Ritter, Peters (2019), "Deep Lagrangian Networks". H(q) = L L^T with a positive diagonal;
forward dynamics a = H^-1 (tau + d(T - V)/dq - dH/dt v - D v). The derivatives of the learned
functions are taken by hand (`discover.models.networks.SmoothNet`): one along the motion, one by q.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from discover.models.contract import ModelConfig
from discover.models.layout import turning_of_momentum
from discover.models.mechanics import Mechanical, MechanicalConfig
from discover.models.networks import SmoothNet, Tape


@dataclass(frozen=True, kw_only=True)
class DeLaNConfig(MechanicalConfig):
    smallest_inertia: float = 1e-3
    """Floor of the Cholesky diagonal, in normalised units."""


class Factor(NamedTuple):
    """The network at q: L (B, nv, nv) of the matrix L L^T in physical units, and the ingredients of
    its derivatives."""

    L: Tensor
    tape: Tape
    diagonal_slope: Tensor
    features_by_v: Tensor


class DeLaN(Mechanical):
    """Rigid-body structure with learned inertia and potential."""

    kind: ClassVar[str] = "delan"
    config_schema: ClassVar[type[ModelConfig]] = DeLaNConfig
    config: DeLaNConfig
    tril: Tensor

    def assemble(self) -> None:
        super().assemble()
        n = self.layout.nv
        self.net = SmoothNet(
            self.n_features,
            n * (n + 1) // 2 + 1,
            self.config.width,
            self.config.depth,
            self.config.activation,
        )
        self.register_buffer("tril", torch.tril_indices(n, n, -1))

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        at = self.factor(q)
        w = times(at.L.mT, v)
        rate = self.rate(at, v)
        momentum = times(at.L, w)  # w.w / 2 is the kinetic energy
        turning = times(rate, w) + times(at.L, times(rate.mT, v))  # dH/dt v
        force = tau + self.slope(at, v, w, -1.0) - turning - self.friction() * v
        force = force + turning_of_momentum(self.layout, v, momentum)
        half = torch.linalg.solve_triangular(at.L, force.unsqueeze(-1), upper=False)
        return torch.linalg.solve_triangular(at.L.mT, half, upper=True).squeeze(-1)

    def mass_matrix(self, q: Tensor) -> Tensor:
        """H(q) (B, nv, nv) [kg·m² | kg·m | kg]."""
        L = self.factor(q).L
        return L @ L.mT

    def potential(self, q: Tensor) -> Tensor:
        """Potential energy (B,) [J], up to a constant."""
        return self.tau_scale.mean() * self.factor(q).tape.out[:, -1]

    def gravity(self, q: Tensor) -> Tensor:
        """Slope of the potential (B, nv) [N·m | N], along the bodies' own axes."""
        zero = q.new_zeros(len(q), self.layout.nv)
        return self.slope(self.factor(q), zero, zero, 1.0)

    def root_scale(self) -> Tensor:
        """Size of the rows of L: root of each joint's inertia, as torques over accelerations."""
        return (self.tau_scale / self.a_scale).sqrt()

    def factor(self, q: Tensor) -> Factor:
        """The network evaluated at q (B, nq)."""
        n = self.layout.nv
        x, dx = self.observe(q)
        tape = self.net(x)
        shifted = tape.out[:, :n] + 0.54  # softplus(0.54) = 1: start from a unit mass matrix
        diagonal = nn.functional.softplus(shifted) + self.config.smallest_inertia
        L = self._triangle(diagonal, tape.out[:, n:-1])
        return Factor(L, tape, torch.sigmoid(shifted), dx)

    def rate(self, at: Factor, v: Tensor) -> Tensor:
        """dL/dt (B, nv, nv) along a motion v (B, nv)."""
        n = self.layout.nv
        along = torch.einsum("bk,bkm->bm", v, at.features_by_v)
        dy, _ = self.net.push(at.tape, along.unsqueeze(1))
        return self._triangle(at.diagonal_slope * dy[:, 0, :n], dy[:, 0, n:-1])

    def slope(self, at: Factor, left: Tensor, right: Tensor, potential: float) -> Tensor:
        """Derivative (B, nv) by q of left . L right + potential · V, for fixed vectors (B, nv)."""
        root = self.root_scale()
        left = left * root
        i, j = self.tril
        dy = torch.cat(
            (
                left * right * at.diagonal_slope,
                left[:, i] * right[:, j],
                (potential * self.tau_scale.mean()).expand(len(left), 1),
            ),
            dim=-1,
        )
        dx, _ = self.net.pull(at.tape, dy)
        return torch.einsum("bkm,bm->bk", at.features_by_v, dx)

    def _triangle(self, diagonal: Tensor, below: Tensor) -> Tensor:
        L = torch.diag_embed(diagonal)
        L[..., self.tril[0], self.tril[1]] = below
        return self.root_scale()[:, None] * L


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)
