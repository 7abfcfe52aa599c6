"""Do the bodies turn by other functions than sine and cosine?

Where bodies, with whatever stands beside them or around them, leave something over, the sine is
given the odd powers of the angle up to some order and the cosine the even ones, in place of
themselves. The coefficients are fitted together with the bodies, from where a power series would
have them, and made round where that makes the description shorter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.optimize
import sympy
import torch

from discover.dynamics import Answers
from discover.laws.fit import Fit, fit
from discover.laws.quantities import has_points
from discover.laws.rounds import length_of
from discover.laws.selection import Selection
from discover.laws.turns import ANGLE, Turns, identifiable
from discover.laws.unlisted import prune

ORDERS = range(1, 7)
JOINTS = 3  # up to which recursions with other functions are tried
_FITTED, _TESTED = 480, 360
_PROMISING = 0.6
_NOTHING_LEFT = 1.15
_TURNING = {"revolute", "continuous"}


def explain(
    base: Fit, best: Fit, answers: Answers, held: Answers, *, floor: float
) -> Selection | None:
    """The law of bodies turned by polynomials that describes held-out answers more shortly than
    `best`, or None; arguments as for channels."""
    robot = base.family.robot
    hinges = set(robot.kinds) <= _TURNING and has_points(robot)
    if not hinges or robot.nv > JOINTS or base.integrator is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(_FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(_TESTED)
    before = best.standardised_error(held)
    if before <= _NOTHING_LEFT * floor:
        return None
    tried = [
        (_turned(base, _polynomials(_series(n), n, by), answers), n, by)
        for n in ORDERS
        for by in (False, True)
    ]
    law, order, composites = min(tried, key=lambda t: t[0].standardised_error(held))
    if law.standardised_error(held) > _PROMISING * before:
        return None
    law, numbers = _polished(law, _series(order), composites, answers)
    law = _rounded(law, numbers, answers, held, floor)
    found = prune(Selection(fit=law, length=length_of(law, held, floor)), answers, held, floor)
    return found if found.length < length_of(best, held, floor) else None


def _series(order: int) -> list[float]:
    """Coefficients of sine's and cosine's power series beyond the first of each, up to `order`."""
    return [(-1) ** (k // 2) / math.factorial(k) for k in range(2, order + 1)]


def _polynomials(numbers: Sequence[float | sympy.Expr], order: int, composites: bool) -> Turns:
    sine, cosine = ANGLE, sympy.Integer(1)
    for k, x in zip(range(2, order + 1), numbers, strict=True):
        number = sympy.Float(x, 17) if isinstance(x, float) else x
        if k % 2:
            sine += number * ANGLE**k
        else:
            cosine += number * ANGLE**k
    return Turns(sine, cosine, composites)


def _turned(base: Fit, turns: Turns, answers: Answers) -> Fit:
    """The member of the turned family that comes closest to the answers."""
    old = base.family
    k = old.basis.shape[1]
    basis = identifiable(old.robot, turns)
    start = torch.cat([basis.T @ (old.basis @ base.theta[:k]), base.theta[k:]])
    family = replace(old, turns=turns, basis=basis)
    return fit(family, answers, start=start, scale=base.scale)


def _polished(
    law: Fit, numbers: list[float], composites: bool, answers: Answers
) -> tuple[Fit, list[float]]:
    """The coefficients of the polynomials fitted, the bodies along with them."""
    order = len(numbers) + 1
    if not numbers:
        return law, numbers

    def fitted(x: Sequence[float]) -> Fit:
        return _turned(law, _polynomials([float(c) for c in x], order, composites), answers)

    def residual(x: np.ndarray) -> np.ndarray:
        return torch.nan_to_num(fitted(x.tolist()).residual(answers), nan=1e3).flatten().numpy()

    found = scipy.optimize.least_squares(
        residual, numbers, diff_step=1e-4, x_scale="jac", max_nfev=6
    )
    return fitted(found.x.tolist()), found.x.tolist()


def _rounded(law: Fit, numbers: list[float], answers: Answers, held: Answers, floor: float) -> Fit:
    """Coefficients made round where that makes the description shorter."""
    turns = law.family.turns
    assert turns is not None
    now: list[float | sympy.Expr] = list(numbers)
    length = length_of(law, held, floor)
    for k, x in enumerate(numbers):
        whole = sympy.Rational(1, round(1 / x)) if 1e-4 < abs(x) <= 1 else sympy.Integer(0)
        trial = [*now[:k], whole, *now[k + 1 :]]
        other = _turned(law, _polynomials(trial, len(now) + 1, turns.composites), answers)
        if (new := length_of(other, held, floor)) < length:
            law, length, now = other, new, trial
    return law
