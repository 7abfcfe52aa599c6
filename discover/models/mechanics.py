"""Bases of the families that learn a differential equation: any one, or one built of energies.

`Continuous`: a family gives accelerations. Trained on accelerations, the equation is fitted
directly. Trained on next states or increments, the answer is the learned equation integrated over
dt by classical Runge–Kutta, joint forces held: a neural ordinary differential equation. The
integrator is part of the model and is stored with it.

`Mechanical`: the equation is built of learned energies. Coordinates may be quaternions; velocities
then are body-frame ones, which are not rates of coordinates, and the equations of motion are
Hamel's: derivatives by q are taken along the bodies' own axes (`layout.left_derivatives`), and
momenta in moving axes turn with them (`layout.turning_of_momentum`). For angles and lengths both
reduce to the textbook form. The kinds of the joints are given; the mechanism is not.

Hamel (1904); Bloch, Marsden, Zenkov (2009), "Quasivelocities and symmetries in non-holonomic
systems", eq. 2.5.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from discover.models.contract import ModelConfig, Samples, WorldModel
from discover.models.layout import advance, displacement, left_derivatives


@dataclass(frozen=True, kw_only=True)
class ContinuousConfig(ModelConfig):
    substeps: int = 1
    """Runge-Kutta steps in one dt, for models that answer steps."""


class Continuous(WorldModel):
    """A world model that learns a = f(q, v, tau), also from pairs of states dt apart."""

    config: ContinuousConfig

    @abstractmethod
    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Accelerations (B, nv), physical units."""

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        if self.outputs == "acceleration":
            return self.acceleration(q, v, tau)
        assert self.dt is not None  # the contract refuses steps without dt
        h = self.dt / self.config.substeps
        q0, v0 = q, v
        for _ in range(self.config.substeps):
            q, v = self._runge_kutta(q, v, tau, h)
        return torch.cat((displacement(self.layout, q0, q), v - v0), dim=-1)

    def _runge_kutta(self, q: Tensor, v: Tensor, tau: Tensor, h: float) -> tuple[Tensor, Tensor]:
        def stage(step: Tensor, speed: Tensor) -> Tensor:
            return self.acceleration(advance(self.layout, q, step), speed, tau)

        a1 = self.acceleration(q, v, tau)
        v2 = v + 0.5 * h * a1
        a2 = stage(0.5 * h * v, v2)
        v3 = v + 0.5 * h * a2
        a3 = stage(0.5 * h * v2, v3)
        v4 = v + h * a3
        a4 = stage(h * v3, v4)
        moved = advance(self.layout, q, h / 6 * (v + 2 * v2 + 2 * v3 + v4))
        return moved, v + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)


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
