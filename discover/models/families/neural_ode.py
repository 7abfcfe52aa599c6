"""Neural ordinary differential equation: a free network for a(q, v, tau), learned from steps.

Chen et al. (2018), with states dt apart as data: the network is evaluated inside a Runge–Kutta step
and trained through it (`Continuous`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from discover.models.contract import ModelConfig, Outputs, Samples
from discover.models.mechanics import Continuous, ContinuousConfig
from discover.models.networks import ResidualNet


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
