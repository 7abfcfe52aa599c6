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
        slices = [self.robot.v_slice(name) for name in self.robot.independent_names]
        return [s.start for s in slices if s.stop - s.start == 1]

    def entry(self, j: int) -> int:
        """The entry of q that goes with velocity coordinate j of a scalar joint."""
        for name in self.robot.independent_names:
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
            return Noisy.in_setting(self.model, setting, noise, bias)

        return Planted(**(self._fields() | {"build": build, "noise": label}))

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


NOISES = {"clean": (0.0, 0.0), "1 % bias and noise": (0.01, 0.01), "5 % noise": (0.05, 0.0)}


@dataclass(frozen=True, kw_only=True)
class _SmoothBias:
    """A sum of 16 sines of the state, fixed by random numbers: (q, v, tau) -> (n, nv)."""

    weights: Tensor
    mix: Tensor

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return torch.sin(torch.cat([q, v, tau], -1) @ self.weights) @ self.mix


class Noisy:
    """A model whose answers have white noise, new for every answer, and perhaps a smooth bias.

    scale      (nv,) unit of both: root mean square of the answers in the region
    noise      standard deviation of the white noise, in units of `scale`
    generator  where the noise comes from
    bias       (q, v, tau) -> (n, nv), in units of `scale`; None for none
    """

    def __init__(
        self,
        model: Callable,
        scale: Tensor,
        noise: float,
        generator: torch.Generator,
        bias: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ):
        self.model, self.scale, self.noise = model, scale, noise
        self.generator, self.bias = generator, bias

    @classmethod
    def in_setting(
        cls, model: Callable, setting: Setting, noise: float, bias: float = 0.0
    ) -> Noisy:
        """Noise and bias relative to the spread of the model in the setting's region."""
        generator = setting.generator()
        q, v, tau = setting.samples(256)
        scale = model(q, v, tau).square().mean(0).sqrt()
        inputs = q.shape[-1] + 2 * setting.nv
        widths = torch.cat([q, v, tau], -1).square().mean(0).sqrt().clamp_min(1e-9)
        weights = torch.randn(inputs, 16, generator=generator, dtype=torch.float64)
        weights = weights / widths[:, None] / inputs**0.5
        mix = torch.randn(16, setting.nv, generator=generator, dtype=torch.float64)
        smooth = _SmoothBias(weights=weights, mix=bias * mix * (2 / 16) ** 0.5)
        return cls(model, scale, noise, generator, smooth if bias else None)

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        a = self.model(q, v, tau)
        white = torch.randn(a.shape, generator=self.generator, dtype=a.dtype)
        error = self.noise * white
        return a + self.scale * (error if self.bias is None else self.bias(q, v, tau) + error)


def size_for(
    builder: Callable[[float], Callable],
    states: tuple[Tensor, Tensor, Tensor],
    plain: Tensor,
    fraction: float,
    *,
    low: float = 1e-6,
    high: float = 1e6,
    halvings: int = 16,
) -> float | None:
    """The size at which builder(size) changes the accelerations `plain` at `states` by `fraction`.

    The change is the root mean square over joints and states of the relative change; the size is
    looked for between `low` and `high` by geometric bisection. None where no size does it (gravity
    that the robot does not feel, a coupling that it does not have).
    """

    def change(size: float) -> float:
        changed = builder(size)(*states)
        ratio = (changed - plain).square().mean(0) / plain.square().mean(0).clamp_min(1e-300)
        value = float(ratio.mean().sqrt())
        return value if value == value else float("inf")

    if change(high) < fraction or change(low) > fraction:
        return None
    for _ in range(halvings):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if change(middle) < fraction else (low, middle)
    size = (low * high) ** 0.5
    return size if 0.5 * fraction < change(size) < 2 * fraction else None
