"""Models of a differential equation: the family gives accelerations, this file the steps.

Trained on accelerations, the equation is met directly. Trained on next states or increments, the
answer is the learned equation integrated over dt by classical Runge-Kutta, torques held: a neural
ordinary differential equation. The integrator is part of the model and travels with it.

Neural ordinary differential equation: a free network for a(q, v, tau), learned from steps.

Chen et al. (2018), with states dt apart as data: the network is asked inside a Runge-Kutta step
and trained through it (`discover.models.families.neural_ode`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from discover.models.contract import ModelConfig, Outputs, Samples, WorldModel
from discover.models.families.mlp import ResidualNet
from discover.models.layout import advance, displacement


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
class NeuralODEConfig(ContinuousConfig):
    width: int = 128
    depth: int = 2
    activation: str = "silu"


class NeuralODE(Continuous):
    kind: ClassVar[str] = "neural_ode"
    config_schema: ClassVar[type[ModelConfig]] = NeuralODEConfig
    may_answer: ClassVar[tuple[Outputs, ...]] = ("next_state", "increment")
    config: NeuralODEConfig
    a_mean: Tensor
    a_scale: Tensor

    def assemble(self) -> None:
        self.net = ResidualNet(
            len(self.input_mean),
            self.layout.nv,
            self.config.width,
            self.config.depth,
            self.config.activation,
        )
        self.register_buffer("a_mean", torch.zeros(self.layout.nv))
        self.register_buffer("a_scale", torch.ones(self.layout.nv))

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        super().calibrate(samples)
        n = self.layout.nv
        assert self.dt is not None  # the contract refuses steps without dt
        self.a_mean.copy_(self.target_mean[n:] / self.dt)
        self.a_scale.copy_(self.target_scale[n:] / self.dt)

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.net(self.inputs(q, v, tau)) * self.a_scale + self.a_mean
