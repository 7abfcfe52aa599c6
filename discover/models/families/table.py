"""Nearest-neighbour table: a model that only stores its training samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from discover.errors import ModelError
from discover.models.contract import ModelConfig, Samples, WorldModel

CHUNK_ENTRIES = 16_000_000  # distances held at once: 128 MB in float64


@dataclass(frozen=True, kw_only=True)
class TableConfig(ModelConfig):
    neighbours: int = 1
    """1: the stored answer of the nearest sample. k > 1: a mean of k, weighted by distance so that
    the answer stays continuous where the neighbours change."""


class Table(WorldModel):
    """Stores the training samples; distance is Euclidean in standardised inputs."""

    kind: ClassVar[str] = "table"
    config_schema: ClassVar[type[ModelConfig]] = TableConfig
    trained_by: ClassVar[Literal["gradient", "fit"]] = "fit"
    grows: ClassVar[tuple[str, ...]] = ("keys", "values")
    config: TableConfig
    keys: Tensor
    values: Tensor

    def assemble(self) -> None:
        if self.config.neighbours < 1:
            raise ModelError(f"expected neighbours >= 1, found {self.config.neighbours}")
        self.register_buffer("keys", torch.zeros(0, len(self.input_mean)))
        self.register_buffer("values", torch.zeros(0, len(self.target_mean)))

    @torch.no_grad()
    def fit(self, samples: Samples) -> None:
        keys, _ = self.learnable(samples)
        self.keys = keys.contiguous()
        self.values = samples.target.to(keys).contiguous()  # as they are, to the last bit

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        k = self.config.neighbours
        if len(self.keys) <= k:
            raise ModelError(
                f"table of {k} neighbours: expected more than {k} stored samples, "
                f"found {len(self.keys)}; train it first"
            )
        x = self.inputs(q, v, tau)
        rows = max(1, CHUNK_ENTRIES // len(self.keys))
        return torch.cat([self._look_up(part) for part in x.split(rows)])

    def _look_up(self, x: Tensor) -> Tensor:
        k = self.config.neighbours
        with torch.no_grad():
            squared = self.keys.square().sum(-1) - 2 * (x @ self.keys.T)
            if k == 1:
                return self.values[squared.argmin(dim=-1)]
            found = squared.topk(k + 1, dim=-1, largest=False).indices
        # Distances again from the differences: differentiable, and exact near a stored sample.
        # A neighbour's weight falls to zero at the distance of the next one that is left out.
        distance = (x.unsqueeze(1) - self.keys[found]).square().sum(-1).clamp_min(1e-300).sqrt()
        edge = distance.amax(dim=-1, keepdim=True)
        weight = (1 - distance / edge).clamp_min(0).square() / (distance + 1e-9 * edge)
        weight = weight / weight.sum(dim=-1, keepdim=True)
        return (weight.unsqueeze(-1) * self.values[found]).sum(dim=1)
