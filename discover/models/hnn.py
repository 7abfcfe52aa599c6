"""Hamiltonian network: learned inverse mass matrix and potential, Hamilton's equations around them.

Greydanus et al. (2019) with the momentum map of Zhong et al. (2020, SymODEN), since recordings hold
velocities: H(q, p) = p.W(q) p / 2 + V(q) with W = L L^T, and p = W^-1 v. Then
a = dW/dt p + W (tau - dH/dq), the rate of W along v.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from discover.models.delan import DeLaN


class HNN(DeLaN):
    """Shares the networks of DeLaN, which stand here for the inverse of the mass matrix."""

    kind: ClassVar[str] = "hnn"

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        L, dL, dpotential, _ = self.factors(q)
        half = torch.linalg.solve_triangular(L, v.unsqueeze(-1), upper=False)
        p = torch.linalg.solve_triangular(L.mT, half, upper=True).squeeze(-1)
        w = torch.einsum("bij,bi->bj", L, p)  # H = w.w / 2 + V with w = L^T p
        dw = torch.einsum("bkij,bi->bkj", dL, p)
        slope = torch.einsum("bkj,bj->bk", dw, w) + dpotential
        force = tau - slope
        if self.config.friction:
            force = force - self.friction() * v
        rate_L = torch.einsum("bkij,bk->bij", dL, v)
        rate_w = torch.einsum("bij,bi->bj", rate_L, p)
        turning = torch.einsum("bij,bj->bi", rate_L, w) + torch.einsum("bij,bj->bi", L, rate_w)
        return turning + torch.einsum("bij,bj->bi", L, torch.einsum("bij,bi->bj", L, force))

    def root_scale(self) -> Tensor:
        return 1 / self.inertia_root

    def mass_matrix(self, q: Tensor) -> Tensor:
        """The inverse of W(q) (B, nv, nv) [kg·m² | kg·m | kg]."""
        return torch.cholesky_inverse(self.factors(q).L)
