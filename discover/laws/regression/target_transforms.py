"""Transforms of a regression's target: its square, reciprocal, logarithm, sine and others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy


@dataclass(frozen=True, kw_only=True)
class TargetTransform:
    """A transform of the target: forward, its slope, and its inverse on numbers and in SymPy.

    usual    whether many laws are simple in it; the others are searched with fewer expressions
    rational whether products and quotients are searched: they are not those of the target itself
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    back: Callable[[sympy.Expr], sympy.Expr]
    applies_to: Callable[[np.ndarray], bool] = lambda y: True
    usual: bool = True
    rational: bool = False

    @property
    def cost(self) -> int:
        """Symbols of the inverse."""
        return 0 if self.name == "as it is" else 2


def _positive(y: np.ndarray) -> bool:
    return bool((y > 0).all())


TARGET_TRANSFORMS = (
    TargetTransform(
        name="as it is",
        forward=lambda y: y,
        slope=np.ones_like,
        inverse=lambda f: f,
        back=lambda f: f,
        rational=True,
    ),
    TargetTransform(
        name="square",
        forward=np.square,
        slope=lambda y: 2 * y,
        inverse=np.sqrt,
        back=sympy.sqrt,
        applies_to=_positive,
    ),
    TargetTransform(
        name="reciprocal",
        forward=lambda y: 1 / y,
        slope=lambda y: y**-2.0,
        inverse=lambda f: 1 / f,
        back=lambda f: 1 / f,
        applies_to=lambda y: bool((y != 0).all()),
    ),
    TargetTransform(
        name="logarithm",
        forward=np.log,
        slope=lambda y: 1 / y,
        inverse=np.exp,
        back=sympy.exp,
        applies_to=_positive,
    ),
    TargetTransform(
        name="reciprocal of the square",
        forward=lambda y: y**-2.0,
        slope=lambda y: y**-3.0,
        inverse=lambda f: f**-0.5,
        back=lambda f: 1 / sympy.sqrt(f),
        applies_to=_positive,
        usual=False,
    ),
    TargetTransform(
        name="root",
        forward=np.sqrt,
        slope=lambda y: y**-0.5,
        inverse=np.square,
        back=lambda f: f**2,
        applies_to=_positive,
        usual=False,
    ),
    TargetTransform(
        name="sine",
        forward=np.sin,
        slope=np.cos,
        inverse=np.arcsin,
        back=sympy.asin,
        rational=True,
        applies_to=lambda y: bool((np.abs(y) <= math.pi / 2).all()),
        usual=False,
    ),
    TargetTransform(
        name="cosine",
        forward=np.cos,
        slope=np.sin,
        inverse=np.arccos,
        back=sympy.acos,
        rational=True,
        applies_to=lambda y: bool(((y >= 0) & (y <= math.pi)).all()),
        usual=False,
    ),
    TargetTransform(
        name="exponential",
        forward=np.exp,
        slope=np.exp,
        inverse=np.log,
        back=sympy.log,
        rational=True,
        applies_to=lambda y: bool((np.abs(y) < 20).all()),
        usual=False,
    ),
)
