"""Transformer over joint tokens: every joint attends to every other, without the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import ModelConfig, WorldModel
from discover.models.networks import JointDecoder, JointEncoder


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(ModelConfig):
    width: int = 64
    depth: int = 3
    heads: int = 4


class _Block(nn.Module):
    """Attention and a feed-forward layer, each normalised first and added on."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_mix, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.before_mix(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.feed(self.before_feed(x))


class Transformer(WorldModel):
    kind: ClassVar[str] = "transformer"
    config_schema: ClassVar[type[ModelConfig]] = TransformerConfig
    config: TransformerConfig

    def assemble(self) -> None:
        if self.config.width % self.config.heads:
            raise ModelError(
                f"expected width divisible by heads, found {self.config.width} and "
                f"{self.config.heads}"
            )
        self.encode = JointEncoder(self.layout, self.config.trig, self.config.width)
        self.blocks = nn.Sequential(
            *(_Block(self.config.width, self.config.heads) for _ in range(self.config.depth))
        )
        self.decode = JointDecoder(
            self.layout, len(self.target_mean) // self.layout.nv, self.config.width
        )

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.to_units(self.decode(self.blocks(self.encode(self.inputs(q, v, tau)))))
