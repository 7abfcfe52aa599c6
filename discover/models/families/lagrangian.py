"""What the families made of mechanics share: coordinates of any joints, scales, friction.

Coordinates may be quaternions. Velocities then are body-frame ones, which are no rates of
coordinates, and the equations of motion are Hamel's: derivatives by q are taken along the bodies'
own axes (`layout.left_derivatives`), and momenta in moving axes turn with them
(`layout.turning_of_momentum`). For angles and lengths both reduce to the textbook form. Which
joints there are is told by their kinds; no mechanism is.

Hamel (1904); Bloch, Marsden, Zenkov (2009), "Quasivelocities and symmetries in non-holonomic
systems", eq. 2.5.

Lagrangian network: one free scalar L(q, v), and the Euler-Lagrange equation around it.

Cranmer et al. (2020). a = (d²L/dv²)^-1 (tau + dL/dq - d²L/dv dq v). The Hessian is that of a small
network, written out: n + 1 directions pushed forward and pulled back again, one for each velocity
and one along the motion. The scalar starts from |v|²/2 in normalised units: an arbitrary scalar
has no invertible Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.models.contract import ModelConfig, Samples
from discover.models.families.neural_ode import Continuous, ContinuousConfig
from discover.models.families.smooth_net import SmoothNet
from discover.models.layout import left_derivatives, turning_of_momentum


@dataclass(frozen=True, kw_only=True)
class MechanicalConfig(ContinuousConfig):
    width: int = 64
    depth: int = 2
    activation: str = "silu"
    friction: bool = False
    """Learn one viscous coefficient a joint."""


class Mechanical(Continuous):
    """A differential equation built of learned energies."""

    config: MechanicalConfig
    v_scale: Tensor
    a_scale: Tensor
    tau_scale: Tensor

    def assemble(self) -> None:
        for name in ("v_scale", "a_scale", "tau_scale"):
            self.register_buffer(name, torch.ones(self.layout.nv))
        if self.config.friction:
            self.log_friction = nn.Parameter(torch.full((self.layout.nv,), -3.0))

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        super().calibrate(samples)
        n = self.layout.nv
        self.v_scale.copy_(self.input_scale[-2 * n : -n])
        self.tau_scale.copy_(self.input_scale[-n:])
        # outputs over a step carry changes of v in their second half
        a = self.target_scale if self.dt is None else self.target_scale[n:] / self.dt
        self.a_scale.copy_(a)

    @property
    def n_features(self) -> int:
        """How many features of q there are."""
        return len(self.input_mean) - 2 * self.layout.nv

    def observe(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of q (B, m), and how a unit of each velocity changes them
        (B, nv, m)."""
        m = self.n_features
        x, dx = left_derivatives(self.layout, q, self.config.trig)
        return (x - self.input_mean[:m]) / self.input_scale[:m], dx / self.input_scale[:m]

    def friction(self) -> Tensor:
        """Viscous coefficients (nv,) [N·m·s | N·s/m]; zero where none are learned."""
        if not self.config.friction:
            return torch.zeros_like(self.v_scale)
        return torch.exp(self.log_friction) * self.tau_scale / self.v_scale


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
        """The network's unit [J]."""
        return (self.tau_scale / self.a_scale * self.v_scale.square()).mean()

    def _inputs(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of (q, v) (B, m + nv), and the rates of those of q (B, nv, m)."""
        x, dx = self.observe(q)
        n = self.layout.nv
        return torch.cat((x, (v - self.input_mean[-2 * n : -n]) / self.v_scale), dim=-1), dx
