"""Deep ensemble: several perceptrons, each from its own start; their mean answers.

Lakshminarayanan et al. (2017). Every member learns from its own error, not from that of the mean,
and their spread says where they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import ModelConfig, Samples, WorldModel
from discover.models.families.mlp import MLPConfig
from discover.models.networks import ResidualNet


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(MLPConfig):
    members: int = 5
    width: int = 96
    depth: int = 2


class Ensemble(WorldModel):
    kind: ClassVar[str] = "ensemble"
    config_schema: ClassVar[type[ModelConfig]] = EnsembleConfig
    config: EnsembleConfig

    def assemble(self) -> None:
        if self.config.members < 2:
            raise ModelError(f"expected members >= 2, found {self.config.members}; use mlp for one")
        n_in, n_out = len(self.input_mean), len(self.target_mean)
        self.nets = nn.ModuleList(
            ResidualNet(n_in, n_out, self.config.width, self.config.depth, self.config.activation)
            for _ in range(self.config.members)
        )

    def each(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Answers of the members (members, B, n_out), physical units."""
        x = self.inputs(q, v, tau)
        return self.to_units(torch.stack([net(x) for net in self.nets]))

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.each(q, v, tau).mean(dim=0)

    def spread(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Standard deviation among the members (B, n_out), physical units."""
        return self.each(q, v, tau).std(dim=0)

    def loss(self, samples: Samples) -> Tensor:
        error = self.each(samples.q, samples.v, samples.tau) - samples.target
        return (error / self.target_rms).square().mean()
