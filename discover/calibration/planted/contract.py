"""What a planted model is: a black box whose mechanism is known, to test the instrument on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from discover.blackbox import sampling
from discover.blackbox.region import Region
from kinematics import Robot

TRUTHS = ("physics", "lookup table", "alternative law", "undetermined")


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

    def half_width(self, group: str) -> Tensor:
        """Half-widths of the region in q, v or tau (nv,)."""
        return getattr(self.region, group).half_width.expand(self.nv)

    def scalar_joints(self) -> list[int]:
        """Velocity coordinates of the joints that have exactly one, root first."""
        slices = [self.robot.v_slice(name) for name in self.robot.joint_names]
        return [s.start for s in slices if s.stop - s.start == 1]

    def entry(self, j: int) -> int:
        """The entry of q that goes with velocity coordinate j of a scalar joint."""
        for name in self.robot.joint_names:
            if self.robot.v_slice(name).start == j:
                return self.robot.q_slice(name).start
        raise IndexError(j)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A black box with its truth. It is built when it is first asked for.

    kind      the mechanism, without its size or noise ("drag of power 3/2"): what is left out
              together when the calibration is scored on families that it has not seen
    truth     one of TRUTHS; None where nobody knows it (trained networks: reported, never scored)
    build     () -> (q, v, tau) -> a, or -> (q', v') when `outputs` is "next_state"
    strength  "strong" or "hidden" (departs from physics by 1–2 % only inside the region), or ""
    noise     "clean", "1 % bias and noise" or "5 % noise"
    edges     where the model stops being its inner law: {"q": 1.3} [half-widths], if known
    """

    kind: str
    truth: str | None
    build: Callable[[], Callable]
    outputs: str = "acceleration"
    dt: float | None = None
    strength: str = ""
    noise: str = "clean"
    edges: dict[str, float] = field(default_factory=dict)

    @cached_property
    def model(self) -> Callable:
        """The black box."""
        return self.build()

    @property
    def name(self) -> str:
        """Mechanism, strength and noise in one line."""
        more = [self.strength if self.strength == "hidden" else "", self.noise]
        return ", ".join([self.kind, *(m for m in more if m and m != "clean")])

    @property
    def hidden(self) -> bool:
        return self.strength == "hidden"

    def with_noise(self, setting: Setting, label: str) -> Planted:
        """The same mechanism behind noise, and for 1 % behind a smooth bias as well."""
        noise, bias = NOISES[label]

        def build() -> Callable:
            return Noisy(self.model, setting, noise, bias)

        return Planted(**(self._fields() | {"build": build, "noise": label}))

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


NOISES = {"clean": (0.0, 0.0), "1 % bias and noise": (0.01, 0.01), "5 % noise": (0.05, 0.0)}


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
