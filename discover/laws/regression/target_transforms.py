"""A target seen otherwise: squared, inverted, as a logarithm, as the sine of an angle."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy


@dataclass(frozen=True, kw_only=True)
class View:
    """The target as it is searched, its slope, and the way back, on numbers and in SymPy.

    usual    whether many laws are simple in it; others are looked at with fewer blocks
    own      whether products and quotients are others in it than in the target itself
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    back: Callable[[sympy.Expr], sympy.Expr]
    sees: Callable[[np.ndarray], bool] = lambda y: True
    usual: bool = True
    own: bool = False

    @property
    def cost(self) -> int:
        """Symbols of the way back."""
        return 0 if self.name == "as it is" else 2


def _positive(y: np.ndarray) -> bool:
    return bool((y > 0).all())


VIEWS = (
    View(
        name="as it is",
        forward=lambda y: y,
        slope=np.ones_like,
        inverse=lambda f: f,
        back=lambda f: f,
        own=True,
    ),
    View(
        name="square",
        forward=np.square,
        slope=lambda y: 2 * y,
        inverse=np.sqrt,
        back=sympy.sqrt,
        sees=_positive,
    ),
    View(
        name="reciprocal",
        forward=lambda y: 1 / y,
        slope=lambda y: y**-2.0,
        inverse=lambda f: 1 / f,
        back=lambda f: 1 / f,
        sees=lambda y: bool((y != 0).all()),
    ),
    View(
        name="logarithm",
        forward=np.log,
        slope=lambda y: 1 / y,
        inverse=np.exp,
        back=sympy.exp,
        sees=_positive,
    ),
    View(
        name="reciprocal of the square",
        forward=lambda y: y**-2.0,
        slope=lambda y: y**-3.0,
        inverse=lambda f: f**-0.5,
        back=lambda f: 1 / sympy.sqrt(f),
        sees=_positive,
        usual=False,
    ),
    View(
        name="root",
        forward=np.sqrt,
        slope=lambda y: y**-0.5,
        inverse=np.square,
        back=lambda f: f**2,
        sees=_positive,
        usual=False,
    ),
    View(
        name="sine",
        forward=np.sin,
        slope=np.cos,
        inverse=np.arcsin,
        back=sympy.asin,
        own=True,
        sees=lambda y: bool((np.abs(y) <= math.pi / 2).all()),
        usual=False,
    ),
    View(
        name="cosine",
        forward=np.cos,
        slope=np.sin,
        inverse=np.arccos,
        back=sympy.acos,
        own=True,
        sees=lambda y: bool(((y >= 0) & (y <= math.pi)).all()),
        usual=False,
    ),
    View(
        name="exponential",
        forward=np.exp,
        slope=np.exp,
        inverse=np.log,
        back=sympy.log,
        own=True,
        sees=lambda y: bool((np.abs(y) < 20).all()),
        usual=False,
    ),
)
