"""Recurrent latent model: a state inferred from a stretch of past positions and torques.

For partial observation, where velocities are missing or poor: a gated recurrent unit (Cho et al.,
2014) reads the last configurations and torques, and a head answers from its latent state. Where
samples carry no history, the straight line that leads to (q, v) stands for it; v is seen in no
other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.contract import ModelConfig, Outputs, Samples, WorldModel
from discover.models.layout import advance, displacement
from discover.models.networks import ResidualNet


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(ModelConfig):
    width: int = 64
    history: int = 8
    """Past configurations read, dt apart, the present one included."""


class Recurrent(WorldModel):
    kind: ClassVar[str] = "recurrent"
    config_schema: ClassVar[type[ModelConfig]] = RecurrentConfig
    may_answer: ClassVar[tuple[Outputs, ...]] = ("next_state", "increment")
    config: RecurrentConfig

    def assemble(self) -> None:
        if self.config.history < 2:
            raise ModelError(
                f"expected history >= 2, found {self.config.history}; one shows no motion"
            )
        self.history = self.config.history
        n_read = len(self.input_mean)  # features of q, change of q over dt, torque
        self.memory = nn.GRUCell(n_read, self.config.width)
        self.head = ResidualNet(
            self.config.width + n_read, 2 * self.layout.nv, self.config.width, 1, "silu"
        )

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        assert self.dt is not None  # the contract refuses steps without dt
        back = torch.arange(self.config.history - 1, -1, -1).to(v)
        past_q = torch.stack([advance(self.layout, q, -float(k) * self.dt * v) for k in back], 1)
        return self.remember(past_q, tau.unsqueeze(1).expand(-1, self.config.history, -1))

    def remember(self, q: Tensor, tau: Tensor) -> Tensor:
        """The step (B, 2 nv) that follows configurations q (B, history, nq), oldest first, and
        torques tau (B, history, nv), the last of which acts over the step."""
        assert self.dt is not None
        moved = displacement(self.layout, q[:, :-1], q[:, 1:]) / self.dt
        state = q.new_zeros(len(q), self.config.width)
        inputs = self.inputs(q[:, 1], moved[:, 0], tau[:, 1])
        for k in range(1, q.shape[1]):
            inputs = self.inputs(q[:, k], moved[:, k - 1], tau[:, k])
            state = self.memory(inputs, state)
        return self.to_units(self.head(torch.cat((state, inputs), dim=-1)))

    def loss(self, samples: Samples) -> Tensor:
        if samples.past is None:
            return super().loss(samples)
        n = self.layout.nq
        answer = self.remember(samples.past[..., :n], samples.past[..., n:])
        return ((answer - samples.target) / self.target_rms).square().mean()
