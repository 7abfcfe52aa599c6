"""Activation dynamics: how a muscle's activation follows its excitation, ȧ = f(u, a).

All are first order with two time constants, of which activation is the quicker one; families
differ in how they pass from one to the other. Activation and excitation are in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kinematics.muscles.curves import by_muscle, parameters, require

_LEAST = 1e-15  # MuJoCo's smallest divisor


class Activation(Protocol):
    """The activation dynamics of nm muscles."""

    def rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s] at excitations u and activations, (…, nm) each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MujocoActivation:
    """MuJoCo's: Millard's time constants, with a passage between them of adjustable width.

    rise, fall  (nm,) time constants of activation and deactivation [s]
    width       (nm,) in units of u - a; zero switches between the constants at u = a

    Sources: mju_muscleDynamics in MuJoCo's documentation ("Muscle actuators"); Millard et al.
    (2013), equation 2.
    """

    rise: Tensor
    fall: Tensor
    width: Tensor

    @classmethod
    def of(cls, rise: Any = 0.01, fall: Any = 0.04, width: Any = 0.0) -> MujocoActivation:
        """From numbers, or one number a muscle. Raises RobotError."""
        return cls(**parameters(rise=rise, fall=fall, width=width))

    def rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s]. Excitations are clipped to [0, 1]; activations may leave it."""
        u, a = by_muscle(len(self.rise), u=u, activation=activation)
        rise, fall, width = self.rise.to(a), self.fall.to(a), self.width.to(a)
        slowing = 0.5 + 1.5 * a.clamp(0, 1)
        excess = u.clamp(0, 1) - a
        up, down = rise * slowing, fall / slowing
        x = (excess / width.clamp(min=_LEAST) + 0.5).clamp(0, 1)
        # the quintic with vanishing first and second slopes at both ends
        smooth = down + (up - down) * x**3 * (10 + x * (6 * x - 15))
        tau = torch.where(width < _LEAST, torch.where(excess > 0, up, down), smooth)
        return excess / tau.clamp(min=_LEAST)


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstOrderActivation:
    """OpenSim's for the Millard and Thelen muscles: it switches between both constants at u = a.

    rise, fall  (nm,) time constants [s]
    least       (nm,) the smallest activation; activations below are taken as this

    Sources: Thelen (2003), equation 1; Millard et al. (2013), equation 2.
    """

    rise: Tensor
    fall: Tensor
    least: Tensor

    @classmethod
    def of(cls, rise: Any = 0.010, fall: Any = 0.040, least: Any = 0.01) -> FirstOrderActivation:
        """From numbers, or one number a muscle. Raises RobotError."""
        given = parameters(rise=rise, fall=fall, least=least)
        _positive(given["rise"], given["fall"])
        require("least activation", given["least"], given["least"].ge(0), "≥ 0")
        return cls(**given)

    def rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s]."""
        u, a = by_muscle(len(self.rise), u=u, activation=activation)
        a = torch.maximum(a, self.least.to(a)).clamp(max=1)
        slowing = 0.5 + 1.5 * a
        tau = torch.where(u > a, self.rise.to(a) * slowing, self.fall.to(a) / slowing)
        return (u - a) / tau


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoothActivation:
    """De Groote and Fregly's: a hyperbolic tangent passes between both constants.

    rise, fall  (nm,) time constants [s]
    sharpness   (nm,) of the tangent; 10 in the paper

    Source: De Groote et al. (2016), equations 1 and 2.
    """

    rise: Tensor
    fall: Tensor
    sharpness: Tensor

    @classmethod
    def of(cls, rise: Any = 0.015, fall: Any = 0.060, sharpness: Any = 10.0) -> SmoothActivation:
        """From numbers, or one number a muscle. Raises RobotError."""
        given = parameters(rise=rise, fall=fall, sharpness=sharpness)
        _positive(given["rise"], given["fall"])
        return cls(**given)

    def rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s]."""
        u, a = by_muscle(len(self.rise), u=u, activation=activation)
        slowing = 0.5 + 1.5 * a
        up = 0.5 * torch.tanh(self.sharpness.to(a) * (u - a))
        quick = (0.5 + up) / (self.rise.to(a) * slowing)
        slow = (0.5 - up) * slowing / self.fall.to(a)
        return (quick + slow) * (u - a)


def _positive(rise: Tensor, fall: Tensor) -> None:
    require("activation time constant", rise, rise > 0, "> 0 s")
    require("deactivation time constant", fall, fall > 0, "> 0 s")
