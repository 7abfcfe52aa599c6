"""Lagrangian network: one free scalar L(q, v), and the Euler–Lagrange equation around it.

Cranmer et al. (2020). a = (d²L/dv²)^-1 (tau + dL/dq - d²L/dv dq v). The Hessian is that of a small
network, written out: n + 1 directions pushed forward and pulled back again, one for each velocity
and one along the motion. The scalar starts from |v|²/2 in normalised units, since an arbitrary
scalar has no invertible Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from discover.models.contract import ModelConfig
from discover.models.layout import turning_of_momentum
from discover.models.mechanics import Mechanical, MechanicalConfig
from discover.models.networks import SmoothNet


@dataclass(frozen=True, kw_only=True)
class LNNConfig(MechanicalConfig):
    width: int = 96


class LNN(Mechanical):
    kind: ClassVar[str] = "lnn"
    config_schema: ClassVar[type[ModelConfig]] = LNNConfig
    config: LNNConfig

    def assemble(self) -> None:
        super().assemble()
        self.net = SmoothNet(
            self.n_features + self.layout.nv,
            1,
            self.config.width,
            self.config.depth,
            self.config.activation,
        )

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        n, m = self.layout.nv, self.n_features
        x, dx = self._inputs(q, v)
        tape = self.net(x)
        gradient, pulled = self.net.pull(tape, torch.ones_like(tape.out))
        # one direction for each velocity, and the motion itself
        still = (1 / self.v_scale).diag().expand(len(q), n, n)
        speeds = torch.cat((q.new_zeros(len(q), n, m), still), dim=-1)
        along = torch.einsum("bk,bkm->bm", v, dx)
        motion = torch.cat((along, torch.zeros_like(v)), dim=-1).unsqueeze(1)
        _, pushed = self.net.push(tape, torch.cat((speeds, motion), dim=1))
        by_v = self.net.push_pull(tape, pushed, pulled)[..., m:] / self.v_scale
        energy, unit = self.energy(), self.tau_scale / self.a_scale
        hessian = energy * by_v[:, :n] + unit.diag()
        momentum = energy * gradient[:, m:] / self.v_scale + unit * v
        slope = energy * torch.einsum("bkm,bm->bk", dx, gradient[:, :m])
        force = tau + slope - energy * by_v[:, n] - self.friction() * v
        force = force + turning_of_momentum(self.layout, v, momentum)
        # without the check for singular matrices, which would wait for the device
        return torch.linalg.solve_ex(hessian, force.unsqueeze(-1))[0].squeeze(-1)

    def lagrangian(self, q: Tensor, v: Tensor) -> Tensor:
        """L(q, v) (B,) [J]; any multiple that the forces fix, up to a constant."""
        x, _ = self._inputs(q, v)
        kinetic = 0.5 * (self.tau_scale / self.a_scale * v.square()).sum(-1)
        return self.energy() * self.net(x).out.squeeze(-1) + kinetic

    def energy(self) -> Tensor:
        """The unit of the network's output [J]."""
        return (self.tau_scale / self.a_scale * self.v_scale.square()).mean()

    def _inputs(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of (q, v) (B, m + nv), and the rates of those of q (B, nv, m)."""
        x, dx = self.observe(q)
        n = self.layout.nv
        return torch.cat((x, (v - self.input_mean[-2 * n : -n]) / self.v_scale), dim=-1), dx
