"""Residual multilayer perceptron: the plain world model most people train first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import ModelConfig, WorldModel

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
    "tanh": torch.tanh,
    "softplus": nn.functional.softplus,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The activation, or ModelError with the choices."""
    if name not in ACTIVATIONS:
        raise ModelError(f"activation '{name}' unknown; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class ResidualNet(nn.Module):
    """Linear in, `depth` residual blocks x + act(W x), linear out; (B, n_in) -> (B, n_out)."""

    def __init__(self, n_in: int, n_out: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        if width < 1 or depth < 0:
            raise ModelError(f"expected width >= 1 and depth >= 0, found {width} and {depth}")
        self.activation = activation_named(activation)
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, n_out)
        with torch.no_grad():  # start near the mean, so that early steps do not undo a bad guess
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.first(x))
        for block in self.blocks:
            x = x + self.activation(block(x))
        return self.last(x)


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
