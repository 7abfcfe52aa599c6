"""MuJoCo's muscle: no tendon, parabolas for curves, force affine in the activation.

    F = strength (a·fl(l)·fv(v) + fp(l)),   l = low + (L - L_low)/l_opt,   v = dL/dt / (l_opt v_max)

with L the length of the whole path. MuJoCo does not know fibre and tendon apart: the range of path
lengths [L_low, L_high] is laid onto the range [low, high] of normalised lengths, which is what
makes l_opt and the offset. Source: MuJoCo's documentation, "Muscle actuators", and its FLV curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles.activation import MujocoActivation
from kinematics.muscles.curves import as_tensor, by_muscle, parameters

_LEAST = 1e-15  # MuJoCo's smallest divisor
_NUMBERS = 9  # of a muscle: range (2), force, scale, lmin, lmax, vmax, fpmax, fvmax


@dataclass(frozen=True, kw_only=True, eq=False)
class MujocoCurves:
    """Parabolas: fl has its maximum at 1 and vanishes at its ends; fp begins at 1.

    shortest, longest   (nm,) ends of the active curve (MuJoCo's lmin and lmax)
    passive_at_longest  (nm,) passive force there, in units of F0, times 2/3 (fpmax)
    lengthening         (nm,) the largest force–velocity multiplier (fvmax)

    Its tendon is rigid: `tendon` has no meaning and is not offered.
    """

    shortest: Tensor
    longest: Tensor
    passive_at_longest: Tensor
    lengthening: Tensor

    family = "MuJoCo"

    @classmethod
    def of(
        cls,
        shortest: Any = 0.5,
        longest: Any = 1.6,
        passive_at_longest: Any = 1.3,
        lengthening: Any = 1.2,
    ) -> MujocoCurves:
        """From numbers, or one number a muscle; MuJoCo's defaults. Raises RobotError."""
        return cls(
            **parameters(
                shortest=shortest,
                longest=longest,
                passive_at_longest=passive_at_longest,
                lengthening=lengthening,
            )
        )

    def active(self, length: Tensor) -> Tensor:
        """fl(l): four half parabolas that meet half way between the maximum and each end."""
        low, high = self.shortest.to(length), self.longest.to(length)
        end = torch.where(length <= 1, low, high)
        turn = 0.5 * (1 + end)  # the inflection
        half = (1 - turn).abs().clamp(min=_LEAST)
        from_end, from_top = (length - end) / half, (length - 1) / half
        inner = (length - 1).abs() <= (turn - 1).abs()
        inside = (length >= low) & (length <= high)
        value = torch.where(inner, 1 - 0.5 * from_top**2, 0.5 * from_end**2)
        return torch.where(inside, value, torch.zeros_like(value))

    def passive(self, length: Tensor) -> Tensor:
        """fp(l): a parabola from 1 to half way to the longest length, its tangent beyond."""
        x = self._stretch(length)
        return self.passive_at_longest.to(x) * torch.where(x <= 1, 0.5 * x**2, x - 0.5)

    def passive_slope(self, length: Tensor) -> Tensor:
        """dfp/dl."""
        half = (0.5 * (self.longest.to(length) - 1)).clamp(min=_LEAST)
        return self.passive_at_longest.to(length) * self._stretch(length).clamp(max=1) / half

    def velocity(self, rate: Tensor, activation: Tensor) -> Tensor:
        """fv(v): 0 up to -1, (1 + v)² up to 0, a parabola up to its maximum beyond."""
        top = self.lengthening.to(rate)
        reach = top - 1
        slow = (1 + rate.clamp(min=-1)) ** 2
        fast = top - (reach - torch.minimum(rate, reach)) ** 2 / reach.clamp(min=_LEAST)
        return torch.where(rate <= 0, slow, fast)

    def velocity_slope(self, rate: Tensor, activation: Tensor) -> Tensor:
        """dfv/dv."""
        reach = self.lengthening.to(rate) - 1
        fast = 2 * (reach - torch.minimum(rate, reach)) / reach.clamp(min=_LEAST)
        return torch.where(rate <= 0, 2 * (1 + rate.clamp(min=-1)), fast)

    def _stretch(self, length: Tensor) -> Tensor:
        half = (0.5 * (self.longest.to(length) - 1)).clamp(min=_LEAST)
        return (length - 1).clamp(min=0) / half


@dataclass(frozen=True, kw_only=True, eq=False)
class MujocoForces:
    """The force law of nm MuJoCo muscles, see `kinematics.muscles.curves.Forces`.

    curves, dynamics    their curves and activation dynamics
    strength    (nm,) F0 [N]
    optimal     (nm,) optimal length l_opt of the path [m]
    start       (nm,) path length [m] at which the normalised length is `low`
    low         (nm,) normalised length there
    quickest    (nm,) v_max [l_opt/s]
    """

    curves: MujocoCurves
    dynamics: MujocoActivation
    strength: Tensor
    optimal: Tensor
    start: Tensor
    low: Tensor
    quickest: Tensor

    @classmethod
    def of(
        cls, gain: Any, length_range: Any, acc0: Any, dynamics: Any = (0.01, 0.04, 0.0)
    ) -> MujocoForces:
        """From MuJoCo's own numbers.

        gain (nm, ≥ 9): range (2), force, scale, lmin, lmax, vmax, fpmax, fvmax of each muscle;
        length_range (nm, 2) [m]; acc0 (nm,) [rad/s² or m/s² a newton], used where force < 0;
        dynamics (3,) or (nm, 3): both time constants [s] and the width. Raises RobotError.
        """
        gain, span, acc0, dynamics = (
            as_tensor(x, name).to(torch.float64)
            for x, name in ((gain, "gain"), (length_range, "length_range"), (acc0, "acc0"),
                            (dynamics, "dynamics"))
        )  # fmt: skip
        nm = len(gain) if gain.ndim else 0
        whole = gain.ndim == 2 and gain.shape[1] >= _NUMBERS and span.shape == (nm, 2)
        if not whole or acc0.shape != (nm,) or dynamics.shape[-1:] < (3,):
            raise RobotError(
                f"expected {_NUMBERS} numbers a muscle, two ends of length, one acc0 and three of "
                f"dynamics, found {tuple(gain.shape)}, {tuple(span.shape)}, {tuple(acc0.shape)} "
                f"and {tuple(dynamics.shape)}; pass MuJoCo's arrays"
            )
        low, high, force, scale, shortest, longest, quickest, passive, lengthening = (
            gain[:, i] for i in range(_NUMBERS)
        )
        rise, fall, width = (dynamics[..., i].expand(nm).clone() for i in range(3))
        return cls(
            curves=MujocoCurves.of(shortest, longest, passive, lengthening),
            dynamics=MujocoActivation.of(rise, fall, width),
            strength=torch.where(force < 0, scale / acc0.clamp(min=_LEAST), force),
            optimal=(span[:, 1] - span[:, 0]) / (high - low).clamp(min=_LEAST),
            start=span[:, 0].clone(),
            low=low.clone(),
            quickest=quickest.clone(),
        )

    @property
    def nm(self) -> int:
        """Number of muscles."""
        return len(self.strength)

    @property
    def nf(self) -> int:
        """Number of fibres whose length is a state: none."""
        return 0

    def force(self, length: Any, rate: Any, activation: Any, fibre: Tensor | None = None) -> Tensor:
        """Tension (…, nm) [N] at path lengths [m], rates [m/s] and activations, (…, nm) each."""
        length, rate, activation = by_muscle(
            self.nm, length=length, rate=rate, activation=activation
        )
        strength, optimal, start, low, quickest = (
            x.to(length) for x in (self.strength, self.optimal, self.start, self.low, self.quickest)
        )
        n = low + (length - start) / optimal.clamp(min=_LEAST)
        v = rate / (optimal * quickest).clamp(min=_LEAST)
        active = self.curves.active(n)
        moving = self.curves.velocity(v, activation)
        return strength * (activation * active * moving + self.curves.passive(n))

    def activation_rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s] of excitations u (…, nm)."""
        return self.dynamics.rate(u, activation)

    def equilibrium(self, length: Any, activation: Any) -> Tensor:
        """No fibre lengths, (…, 0)."""
        return as_tensor(length, "length")[..., :0]

    def fibre_rate(self, length: Any, rate: Any, activation: Any, fibre: Any) -> Tensor:
        """No rates, (…, 0)."""
        return self.equilibrium(length, activation)
