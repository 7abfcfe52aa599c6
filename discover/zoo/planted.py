"""What a planted model is: a black box whose mechanism is known, to test the instrument on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from discover import sampling
from discover.region import Region
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A robot, the region in which models of it are "trained", and a seed."""

    robot: Robot
    region: Region
    seed: int = 0

    @property
    def nv(self) -> int:
        return self.robot.nv

    def samples(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """n states of the region."""
        return sampling.sample(self.region, self.robot, n, self.seed + 1001)

    def generator(self) -> torch.Generator:
        """Random numbers of this setting."""
        return torch.Generator().manual_seed(self.seed + 7)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A black box with its truth.

    kind     the mechanism ("drag of power 3/2"); family, the group it is calibrated with
    truth    "physics", "lookup table", "alternative law", or None where there is none (hybrids
             whose honest answer is "undetermined" carry that)
    model    (q, v, tau) -> a, or -> (q', v') when `outputs` is "next_state"
    hidden   whether it departs from physics by 1–2 % only inside the region
    """

    kind: str
    family: str
    truth: str
    model: Callable
    outputs: str = "acceleration"
    dt: float | None = None
    hidden: bool = False


class Noisy:
    """A model with white noise and a smooth bias, both relative to its spread in the region."""

    def __init__(self, model: Callable, setting: Setting, noise: float, bias: float = 0.0):
        self.model, self.noise = model, noise
        generator = setting.generator()
        q, v, tau = setting.samples(256)
        self.scale = model(q, v, tau).square().mean(0).sqrt()
        size = setting.nv
        inputs = q.shape[-1] + 2 * size
        widths = torch.cat([q, v, tau], -1).square().mean(0).sqrt().clamp_min(1e-9)
        self.weights = torch.randn(inputs, 16, generator=generator, dtype=torch.float64)
        self.weights = self.weights / widths[:, None] / inputs**0.5
        self.mix = torch.randn(16, size, generator=generator, dtype=torch.float64)
        self.mix = bias * self.mix * (2 / 16) ** 0.5
        self.generator = generator

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        a = self.model(q, v, tau)
        smooth = torch.sin(torch.cat([q, v, tau], -1) @ self.weights) @ self.mix
        white = torch.randn(a.shape, generator=self.generator, dtype=a.dtype)
        return a + self.scale * (smooth + self.noise * white)
