"""Hamiltonian network: learned inverse mass matrix and potential, Hamilton's equations around them.

Greydanus et al. (2019) with the momentum map of Zhong et al. (2020, SymODEN), since recordings hold
velocities: H(q, p) = p.W(q) p / 2 + V(q) with W = L L^T, and p = W^-1 v. Then
a = dW/dt p + W (tau - dH/dq), the rate of W along v.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from discover.models.families.delan import DeLaN, times
from discover.models.layout import turning_of_momentum


class HNN(DeLaN):
    """Shares the networks of DeLaN, which stand here for the inverse of the mass matrix."""

    kind: ClassVar[str] = "hnn"

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        at = self.factor(q)
        w = torch.linalg.solve_triangular(at.L, v.unsqueeze(-1), upper=False)  # H = w.w / 2 + V
        p = torch.linalg.solve_triangular(at.L.mT, w, upper=True).squeeze(-1)
        w = w.squeeze(-1)
        rate = self.rate(at, v)
        force = tau - self.slope(at, p, w, 1.0) - self.friction() * v
        force = force + turning_of_momentum(self.layout, v, p)
        turning = times(rate, w) + times(at.L, times(rate.mT, p))  # dW/dt p
        return turning + times(at.L, times(at.L.mT, force))

    def root_scale(self) -> Tensor:
        return (self.a_scale / self.tau_scale).sqrt()

    def mass_matrix(self, q: Tensor) -> Tensor:
        """The inverse of W(q) (B, nv, nv) [kg·m² | kg·m | kg]."""
        return torch.cholesky_inverse(self.factor(q).L)
