"""Curves in closed form: Thelen's (2003) and De Groote and Fregly's (2016).

Sources: Thelen (2003), "Adjustment of muscle mechanics model parameters to simulate dynamic
contractions in older adults", J. Biomech. Eng. 125, equations 1 to 7, with the straight
continuations of its force–velocity curve that OpenSim documents; De Groote, Kinney, Rao, Fregly
(2016), "Evaluation of direct collocation optimal control problem formulations for solving the
muscle redundancy problem", Ann. Biomed. Eng. 44, and its supplement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.muscles.curves import parameters, require

_TOE_SHAPE = 3.0  # Thelen's tendon: exponent and force of the toe
_TOE_FORCE = 0.33

# De Groote and Fregly, table of the supplement: three bells of fl, the logarithm of fv, the tendon
_BELLS = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.5 * math.sqrt(0.5), 0.0),
)
_FV = (-0.3211346127989808, -8.149, -0.374, 0.8825327733249912)
_TENDON = (0.2, 1.0, 0.2)
_PASSIVE_SHAPE = 4.0
_PASSIVE_ZERO = 0.2  # normalised length at which the passive force vanishes


@dataclass(frozen=True, kw_only=True, eq=False)
class ThelenCurves:
    """Thelen's curves of nm muscles; every parameter is (nm,).

    width       of the Gaussian fl (γ, KshapeActive in OpenSim)
    passive_one, passive_shape   strain of the fibre at F0, exponent
    tendon_one  strain of the tendon at F0
    curvature   A_f, of shortening; lengthening: the largest multiplier
    straight    share of it from which the force–velocity curve goes on straight
    """

    width: Tensor
    passive_one: Tensor
    passive_shape: Tensor
    tendon_one: Tensor
    curvature: Tensor
    lengthening: Tensor
    straight: Tensor

    family = "Thelen"
    tension_only = True

    @classmethod
    def of(
        cls,
        nm: int | None = None,
        *,
        width: Any = 0.45,
        passive_one: Any = 0.6,
        passive_shape: Any = 5.0,
        tendon_one: Any = 0.04,
        curvature: Any = 0.25,
        lengthening: Any = 1.4,
        straight: Any = 0.95,
    ) -> ThelenCurves:
        """From numbers, or one number a muscle; OpenSim's defaults. Raises RobotError."""
        values = parameters(
            nm, width=width, passive_one=passive_one, passive_shape=passive_shape,
            tendon_one=tendon_one, curvature=curvature, lengthening=lengthening, straight=straight,
        )  # fmt: skip
        for name in ("width", "passive_one", "passive_shape", "tendon_one", "curvature"):
            require(name, values[name], values[name] > 0, "> 0")
        require("lengthening", values["lengthening"], values["lengthening"] > 1, "> 1")
        share = values["straight"]
        inside = (share > 1 / values["lengthening"]) & (share < 1)
        require("straight", share, inside, "between 1/lengthening and 1")
        return cls(**values)

    def active(self, length: Tensor) -> Tensor:
        """fl(l)."""
        return torch.exp(-((length - 1) ** 2) / self.width.to(length))

    def passive(self, length: Tensor) -> Tensor:
        """fp(l): an exponential from 1 on."""
        shape = self.passive_shape.to(length)
        strain = (length - 1).clamp(min=0) / self.passive_one.to(length)
        return torch.expm1(shape * strain) / torch.expm1(shape)

    def passive_slope(self, length: Tensor) -> Tensor:
        """dfp/dl."""
        shape, one = self.passive_shape.to(length), self.passive_one.to(length)
        slope = shape / one * torch.exp(shape * (length - 1).clamp(min=0) / one)
        return torch.where(length > 1, slope / torch.expm1(shape), torch.zeros_like(slope))

    def velocity(self, rate: Tensor, activation: Tensor) -> Tensor:
        """fv(v, a): hyperbolas for shortening and lengthening, straight beyond."""
        return self._velocity(rate, activation)[0]

    def velocity_slope(self, rate: Tensor, activation: Tensor) -> Tensor:
        """dfv/dv."""
        return self._velocity(rate, activation)[1]

    def _velocity(self, v: Tensor, activation: Tensor) -> tuple[Tensor, Tensor]:
        af, stiff, top, _, edge_rate, edge_slope, quick = self._hyperbolas(v, activation)
        # the speed scale s = 1/4 + 3/4 a is where shortening leaves no force
        inside = torch.minimum(torch.maximum(v, -quick), torch.zeros_like(v))
        slow = quick - inside / af
        shortening = (quick + inside) / slow
        shortening_slope = quick * (1 + 1 / af) / slow**2
        lower_slope = 1 / (quick * (1 + 1 / af))
        shortening = shortening + (v + quick).clamp(max=0) * lower_slope
        outside = torch.minimum(v.clamp(min=0), edge_rate)
        fast = quick + stiff * outside
        lengthening = (quick + stiff * top * outside) / fast
        lengthening_slope = stiff * quick * (top - 1) / fast**2
        lengthening = lengthening + (v - edge_rate).clamp(min=0) / edge_slope
        return (
            torch.where(v <= 0, shortening, lengthening),
            torch.where(v <= 0, shortening_slope, lengthening_slope),
        )

    def rate(self, multiplier: Tensor, activation: Tensor) -> Tensor:
        """v(fv, a), Thelen's equations 6 and 7 divided by a·fl."""
        af, stiff, top, edge, _, edge_slope, quick = self._hyperbolas(multiplier, activation)
        low, ones = multiplier.clamp(min=0), torch.ones_like(multiplier)
        low = torch.minimum(low, ones)
        shortening = quick * (low - 1) / (1 + low / af)
        shortening = shortening + multiplier.clamp(max=0) * quick * (1 + 1 / af)
        high = torch.minimum(torch.maximum(multiplier, ones), edge)
        lengthening = quick * (high - 1) / (stiff * (top - high))
        lengthening = lengthening + (multiplier - edge).clamp(min=0) * edge_slope
        return torch.where(multiplier <= 1, shortening, lengthening)

    def _hyperbolas(self, like: Tensor, activation: Tensor) -> tuple[Tensor, ...]:
        """A_f, steepness and top of lengthening, where it turns straight (multiplier, rate and
        dv/dfv there), and the speed scale."""
        af, top, straight = (x.to(like) for x in (self.curvature, self.lengthening, self.straight))
        quick = 0.25 + 0.75 * activation
        stiff = (2 + 2 / af) / (top - 1)
        edge = straight * top
        edge_rate = quick * (edge - 1) / (stiff * (top - edge))
        edge_slope = quick * (top - 1) / (stiff * (top - edge) ** 2)
        return af, stiff, top, edge, edge_rate, edge_slope, quick

    def tendon(self, length: Tensor) -> Tensor:
        """ft(s): an exponential toe, a straight line beyond."""
        strain, toe, stiffness = self._toe(length)
        inside = torch.minimum(strain.clamp(min=0), toe)
        force = _TOE_FORCE * torch.expm1(_TOE_SHAPE * inside / toe) / math.expm1(_TOE_SHAPE)
        return force + stiffness * (strain - toe).clamp(min=0)

    def tendon_slope(self, length: Tensor) -> Tensor:
        """dft/ds."""
        strain, toe, stiffness = self._toe(length)
        bend = torch.exp(_TOE_SHAPE * torch.minimum(strain, toe) / toe)
        slope = _TOE_FORCE * _TOE_SHAPE / toe * bend / math.expm1(_TOE_SHAPE)
        slope = torch.where(strain > toe, stiffness.expand_as(slope), slope)
        return torch.where(strain > 0, slope, torch.zeros_like(slope))

    def _toe(self, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Strain, strain where the toe ends and stiffness beyond: the slopes there are equal, and
        the line passes F0 at its strain. The paper's .609 and 1.712 are these numbers, rounded."""
        one = self.tendon_one.to(length)
        # force a unit of strain at the end of the toe is bend/toe; the line needs .67 over the rest
        bend = _TOE_FORCE * _TOE_SHAPE * math.exp(_TOE_SHAPE) / math.expm1(_TOE_SHAPE)
        toe = one * bend / (bend + 1 - _TOE_FORCE)
        return length - 1, toe, (1 - _TOE_FORCE) / (one - toe)


@dataclass(frozen=True, kw_only=True, eq=False)
class DeGrooteFreglyCurves:
    """De Groote and Fregly's smooth curves of nm muscles; every parameter is (nm,).

    width       stretches fl about 1
    passive_one, tendon_one     strains of fibre and tendon at F0
    passive_on  1 where the passive force acts, 0 where it is left out
    """

    width: Tensor
    passive_one: Tensor
    tendon_one: Tensor
    passive_on: Tensor

    family = "De Groote–Fregly"
    tension_only = False

    @classmethod
    def of(
        cls,
        nm: int | None = None,
        *,
        width: Any = 1.0,
        passive_one: Any = 0.6,
        tendon_one: Any = 0.049,
        passive_on: Any = 1.0,
    ) -> DeGrooteFreglyCurves:
        """From numbers, or one number a muscle; OpenSim's defaults. Raises RobotError."""
        values = parameters(
            nm, width=width, passive_one=passive_one, tendon_one=tendon_one, passive_on=passive_on
        )
        for name in ("width", "passive_one", "tendon_one"):
            require(name, values[name], values[name] > 0, "> 0")
        return cls(**values)

    def active(self, length: Tensor) -> Tensor:
        """fl(l): a sum of three bells."""
        x = (length - 1) / self.width.to(length) + 1
        out = torch.zeros_like(x)
        for height, centre, spread, skew in _BELLS:
            out = out + height * torch.exp(-0.5 * ((x - centre) / (spread + skew * x)) ** 2)
        return out

    def passive(self, length: Tensor) -> Tensor:
        """fp(l): an exponential that vanishes at .2 and is 1 at its strain."""
        grow = _PASSIVE_SHAPE / self.passive_one.to(length)
        zero = torch.exp(grow * (_PASSIVE_ZERO - 1))
        force = (torch.exp(grow * (length - 1)) - zero) / (math.exp(_PASSIVE_SHAPE) - zero)
        return self.passive_on.to(length) * force

    def passive_slope(self, length: Tensor) -> Tensor:
        """dfp/dl."""
        grow = _PASSIVE_SHAPE / self.passive_one.to(length)
        zero = torch.exp(grow * (_PASSIVE_ZERO - 1))
        slope = grow * torch.exp(grow * (length - 1)) / (math.exp(_PASSIVE_SHAPE) - zero)
        return self.passive_on.to(length) * slope

    def velocity(self, rate: Tensor, activation: Tensor) -> Tensor:
        """fv(v): a logarithm, that is, an inverse hyperbolic sine."""
        d1, d2, d3, d4 = _FV
        return d1 * torch.asinh(d2 * rate + d3) + d4

    def velocity_slope(self, rate: Tensor, activation: Tensor) -> Tensor:
        """dfv/dv."""
        d1, d2, d3, _ = _FV
        return d1 * d2 / torch.sqrt((d2 * rate + d3) ** 2 + 1)

    def rate(self, multiplier: Tensor, activation: Tensor) -> Tensor:
        """v(fv)."""
        d1, d2, d3, d4 = _FV
        return (torch.sinh((multiplier - d4) / d1) - d3) / d2

    def tendon(self, length: Tensor) -> Tensor:
        """ft(s): an exponential, below its slack length negative."""
        c1, c2, c3 = _TENDON
        return c1 * torch.exp(self._stiffness(length) * (length - c2)) - c3

    def tendon_slope(self, length: Tensor) -> Tensor:
        """dft/ds."""
        c1, c2, _ = _TENDON
        stiffness = self._stiffness(length)
        return c1 * stiffness * torch.exp(stiffness * (length - c2))

    def _stiffness(self, length: Tensor) -> Tensor:
        c1, c2, c3 = _TENDON
        return math.log((1 + c3) / c1) / (1 + self.tendon_one.to(length) - c2)
