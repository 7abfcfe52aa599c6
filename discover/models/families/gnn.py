"""Graph network on the kinematic tree: joints exchange messages with parent and children.

Battaglia et al. (2016), Sanchez-Gonzalez et al. (2018). The edges come as a tuple of parents; one
update, shared by all joints, is applied for a number of rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.models.contract import ModelConfig, WorldModel
from discover.models.networks import JointDecoder, JointEncoder


@dataclass(frozen=True, kw_only=True)
class GNNConfig(ModelConfig):
    width: int = 64
    rounds: int = 0
    """Rounds of messages; 0: as many as it takes to cross the tree and return, at most 8."""


class GNN(WorldModel):
    """Tokens of the joints, updated from themselves, their parent and the sum of their children."""

    kind: ClassVar[str] = "gnn"
    config_schema: ClassVar[type[ModelConfig]] = GNNConfig
    config: GNNConfig
    parents: Tensor

    def assemble(self) -> None:
        width, nv = self.config.width, self.layout.nv
        nb = len(self.layout.kinds)
        # the base is one more node, always zero: parent of the roots, never read by anybody
        parents = torch.tensor([nb if p < 0 else p for p in self.layout.parents])
        self.register_buffer("parents", parents, persistent=False)
        self.rounds = self.config.rounds or min(8, 2 * _depth(self.layout.parents))
        self.encode = JointEncoder(self.layout, self.config.trig, width)
        self.update = nn.Sequential(
            nn.Linear(3 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.decode = JointDecoder(self.layout, len(self.target_mean) // nv, width)

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = self.encode(self.inputs(q, v, tau))
        base = x.new_zeros(len(x), 1, x.shape[-1])
        for _ in range(self.rounds):
            above = torch.cat((x, base), dim=1)[:, self.parents]
            below = torch.cat((torch.zeros_like(x), base), dim=1)
            below = below.index_add(1, self.parents, x)[:, :-1]
            x = x + self.update(torch.cat((x, above, below), dim=-1))
        return self.to_units(self.decode(x))


def _depth(parents: tuple[int, ...]) -> int:
    depth: list[int] = []
    for parent in parents:
        depth.append(1 if parent < 0 else depth[parent] + 1)
    return max(depth)
