"""What the families made of mechanics share: coordinates of any joints, scales, friction.

Coordinates may be quaternions. Velocities then are body-frame ones, which are no rates of
coordinates, and the equations of motion are Hamel's: derivatives by q are taken along the bodies'
own axes (`layout.left_derivatives`), and momenta in moving axes turn with them
(`layout.turning_of_momentum`). For angles and lengths both reduce to the textbook form. Which
joints there are is told by their kinds; no mechanism is.

Hamel (1904); Bloch, Marsden, Zenkov (2009), "Quasivelocities and symmetries in non-holonomic
systems", eq. 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from discover.models.continuous import Continuous, ContinuousConfig
from discover.models.contract import Samples
from discover.models.layout import left_derivatives


@dataclass(frozen=True, kw_only=True)
class MechanicalConfig(ContinuousConfig):
    width: int = 64
    depth: int = 2
    activation: str = "silu"
    friction: bool = False
    """Learn one viscous coefficient a joint."""


class Mechanical(Continuous):
    """A differential equation built of learned energies."""

    config: MechanicalConfig
    v_scale: Tensor
    a_scale: Tensor
    tau_scale: Tensor

    def assemble(self) -> None:
        for name in ("v_scale", "a_scale", "tau_scale"):
            self.register_buffer(name, torch.ones(self.layout.nv))
        if self.config.friction:
            self.log_friction = nn.Parameter(torch.full((self.layout.nv,), -3.0))

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        super().calibrate(samples)
        n = self.layout.nv
        self.v_scale.copy_(self.input_scale[-2 * n : -n])
        self.tau_scale.copy_(self.input_scale[-n:])
        # outputs over a step carry changes of v in their second half
        a = self.target_scale if self.dt is None else self.target_scale[n:] / self.dt
        self.a_scale.copy_(a)

    @property
    def n_features(self) -> int:
        """How many features of q there are."""
        return len(self.input_mean) - 2 * self.layout.nv

    def observe(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of q (B, m), and how a unit of each velocity changes them
        (B, nv, m)."""
        m = self.n_features
        x, dx = left_derivatives(self.layout, q, self.config.trig)
        return (x - self.input_mean[:m]) / self.input_scale[:m], dx / self.input_scale[:m]

    def friction(self) -> Tensor:
        """Viscous coefficients (nv,) [N·m·s | N·s/m]; zero where none are learned."""
        if not self.config.friction:
            return torch.zeros_like(self.v_scale)
        return torch.exp(self.log_friction) * self.tau_scale / self.v_scale
