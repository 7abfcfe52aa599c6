"""Residual multilayer perceptron: the plain world model most people train first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from discover.models.contract import ModelConfig, WorldModel
from discover.models.networks import ResidualNet


@dataclass(frozen=True, kw_only=True)
class MLPConfig(ModelConfig):
    width: int = 128
    depth: int = 3
    activation: str = "silu"


class MLP(WorldModel):
    """(features of q, v, tau) -> answer, all at once; knows nothing of mechanics."""

    kind: ClassVar[str] = "mlp"
    config_schema: ClassVar[type[ModelConfig]] = MLPConfig
    config: MLPConfig

    def assemble(self) -> None:
        n_in, n_out = len(self.input_mean), len(self.target_mean)
        self.net = ResidualNet(
            n_in, n_out, self.config.width, self.config.depth, self.config.activation
        )

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.to_units(self.net(self.inputs(q, v, tau)))
