"""Millard's curves (2012/2013): quintic Bézier sections, as OpenSim's Millard2012EquilibriumMuscle.

Source: Millard, Uchida, Seth, Delp (2013), "Flexing computational muscle: modeling and simulation
of musculotendon dynamics", J. Biomech. Eng. 135, figures 2 and 3 and appendix; the numbers that the
paper leaves open (where sections meet) are those of OpenSim 4's documentation of its curves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from kinematics.arrays import lazy
from kinematics.errors import RobotError
from kinematics.muscles.bezier import QuinticCurve, corner, shapes
from kinematics.muscles.curves import parameters, require

# OpenSim's defaults; the slopes at both ends of force–velocity are zero where the fibre is damped
_DEFAULTS = {
    "shortest": 0.4441,
    "transition": 0.73,
    "longest": 1.8123,
    "plateau_slope": 0.8616,
    "least_active": 0.0,
    "lengthening": 1.4,
    "isometric_slope": 5.0,
    "slope_at_shortening": 0.0,
    "slope_near_shortening": 0.25,
    "slope_at_lengthening": 0.0,
    "slope_near_lengthening": 0.15,
    "shortening_curviness": 0.6,
    "lengthening_curviness": 0.9,
    "passive_zero": 0.0,
    "passive_one": 0.7,
    "passive_low_stiffness": 0.2,
    "passive_curviness": 0.75,
    "tendon_one": 0.049,
    "toe_end": 2.0 / 3.0,
    "tendon_curviness": 0.5,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class MillardCurves:
    """Millard's four curves of nm muscles; every parameter is (nm,).

    active      `shortest`, `transition`, `longest`: normalised lengths where it begins, where its
                steep limb ends, where it ends; `plateau_slope` of its shallow limb; `least_active`
    velocity    `lengthening`: multiplier at v = 1; slopes at v = 0 and at and near both ends
    passive     strains of no force and of F0, stiffness at low force and at F0
    tendon      strain and stiffness at F0, force where the toe ends
    """

    shortest: Tensor
    transition: Tensor
    longest: Tensor
    plateau_slope: Tensor
    least_active: Tensor
    lengthening: Tensor
    isometric_slope: Tensor
    slope_at_shortening: Tensor
    slope_near_shortening: Tensor
    slope_at_lengthening: Tensor
    slope_near_lengthening: Tensor
    shortening_curviness: Tensor
    lengthening_curviness: Tensor
    passive_zero: Tensor
    passive_one: Tensor
    passive_low_stiffness: Tensor
    passive_stiffness: Tensor
    passive_curviness: Tensor
    tendon_one: Tensor
    tendon_stiffness: Tensor
    toe_end: Tensor
    tendon_curviness: Tensor

    family = "Millard"
    tension_only = True

    @classmethod
    def of(cls, nm: int | None = None, **given: Any) -> MillardCurves:
        """From numbers, or one number a muscle; what is not given is OpenSim's default.

        The stiffnesses at F0 follow the strains where they are not given: 2 / range of the passive
        curve, 1.375 / strain of the tendon. Raises RobotError.
        """
        known = {f.name for f in fields(cls)}
        for name in given:
            if name not in known:
                raise RobotError(
                    f"expected parameters of Millard's curves ({', '.join(sorted(known))}), "
                    f"found {name!r}; drop it"
                )
        values = parameters(nm, **{**_DEFAULTS, **given})
        span = values["passive_one"] - values["passive_zero"]
        require("strain of the passive curve", span, span > 0, "> 0 from no force to F0")
        require("tendon strain", values["tendon_one"], values["tendon_one"] > 0, "> 0 at F0")
        values.setdefault("passive_stiffness", 2 / span)
        values.setdefault("tendon_stiffness", 1.375 / values["tendon_one"])
        curves = cls(**values)
        # impossible shapes are refused where their tables are made: here, not at the first question
        _ = (curves._active, curves._velocity, curves._passive, curves._tendon)
        return curves

    def active(self, length: Tensor) -> Tensor:
        """fl(l)."""
        return self._active(length)

    def passive(self, length: Tensor) -> Tensor:
        """fp(l)."""
        return self._passive(length)

    def passive_slope(self, length: Tensor) -> Tensor:
        """dfp/dl."""
        return self._passive.slope(length)

    def velocity(self, rate: Tensor, activation: Tensor) -> Tensor:
        """fv(v)."""
        return self._velocity(rate)

    def velocity_slope(self, rate: Tensor, activation: Tensor) -> Tensor:
        """dfv/dv."""
        return self._velocity.slope(rate)

    def rate(self, multiplier: Tensor, activation: Tensor) -> Tensor:
        """v(fv), with half the near slopes at both ends, as a fibre without damping needs."""
        return self._inverse(multiplier)

    def tendon(self, length: Tensor) -> Tensor:
        """ft(s)."""
        return self._tendon(length)

    def tendon_slope(self, length: Tensor) -> Tensor:
        """dft/ds."""
        return self._tendon.slope(length)

    @lazy
    def _active(self) -> QuinticCurve:
        numbers, shape = shapes(
            self.shortest, self.transition, self.longest, self.plateau_slope, self.least_active
        )
        x0, x1, x3, slope, least = numbers
        one, none = torch.ones_like(x0), torch.zeros_like(x0)
        half = 0.05 * one  # half the width of the plateau
        shoulder = one - half
        y1 = 1 - slope * (shoulder - x1)
        steep = 1.25 * y1 / (x1 - x0)
        fall = -1 / ((x3 - half) - (one + half))
        middle = (0.5 * (x0 + x1), 0.5 * y1, steep)
        shallow = (0.5 * (x1 + shoulder), 0.5 * (1 + y1), slope)
        falling = (0.5 * (one + half + x3), 0.5 * one, fall)
        knees = (
            (x0, least, none), middle, shallow, (one, one, none), falling, (x3, least, none)
        )  # fmt: skip
        return _chain(knees, [one] * 5, shape)

    def _velocity_knees(
        self, at_shortening: Tensor, at_lengthening: Tensor, *, swapped: bool = False
    ) -> QuinticCurve:
        numbers, shape = shapes(
            at_shortening, self.slope_near_shortening, self.isometric_slope,
            at_lengthening, self.slope_near_lengthening, self.lengthening,
            self.shortening_curviness, self.lengthening_curviness,
        )  # fmt: skip
        at_c, near_c, isometric, at_e, near_e, top, round_c, round_e = numbers
        one, none = torch.ones_like(top), torch.zeros_like(top)
        knees = (
            (-one, none, at_c),
            (-0.9 * one, 0.05 * (near_c + at_c), near_c),
            (none, one, isometric),
            (0.9 * one, top - 0.05 * (near_e + at_e), near_e),
            (one, top, at_e),
        )
        return _chain(knees, [round_c, round_c, round_e, round_e], shape, swapped=swapped)

    @lazy
    def _velocity(self) -> QuinticCurve:
        return self._velocity_knees(self.slope_at_shortening, self.slope_at_lengthening)

    @lazy
    def _inverse(self) -> QuinticCurve:
        return self._velocity_knees(
            0.5 * self.slope_near_shortening, 0.5 * self.slope_near_lengthening, swapped=True
        )

    @lazy
    def _passive(self) -> QuinticCurve:
        numbers, shape = shapes(
            self.passive_zero, self.passive_one, self.passive_low_stiffness,
            self.passive_stiffness, self.passive_curviness,
        )  # fmt: skip
        zero, one, low, stiffness, curviness = numbers
        begin, end = 1 + zero, 1 + one
        foot = torch.minimum(0.1 / stiffness, 0.1 * (end - begin))
        none = torch.zeros_like(zero)
        knees = (
            (begin, none, none),
            (begin + foot, 0.5 * low * foot, low),
            (end, none + 1, stiffness),
        )
        return _chain(knees, [curviness, curviness], shape)

    @lazy
    def _tendon(self) -> QuinticCurve:
        numbers, shape = shapes(
            self.tendon_one, self.tendon_stiffness, self.toe_end, self.tendon_curviness
        )
        strain, stiffness, toe, curviness = numbers
        none, end = torch.zeros_like(strain), 1 + strain
        toe_x = (toe - 1) / stiffness + end
        foot = 1 + 0.1 * (toe_x - 1)  # where the line of the middle slope meets the axis
        middle = (0.5 * toe - 1) / stiffness + end
        slope = 0.5 * toe / (middle - foot)
        between = 0.5 * (foot + middle)
        knees = (
            (none + 1, none, none),
            (between, slope * (between - foot), slope),
            (toe_x, toe, stiffness),
        )
        return _chain(knees, [curviness, curviness], shape)


def _chain(
    knees: tuple[tuple[Tensor, Tensor, Tensor], ...],
    curviness: list[Tensor],
    shape: Tensor,
    *,
    swapped: bool = False,
) -> QuinticCurve:
    """The curve through knees (x, y, slope), with one curviness in [0, 1] a section."""
    sections = [
        corner(*a, *b, 0.1 + 0.8 * c)
        for a, b, c in zip(knees[:-1], knees[1:], curviness, strict=True)
    ]
    return QuinticCurve.through(torch.stack(sections, 1), shape, swapped=swapped)
