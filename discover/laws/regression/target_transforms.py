"""Transforms of a regression's target: its square, reciprocal, logarithm, sine and others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import sympy


@dataclass(frozen=True)
class TargetTransform:
    """A transform of the target: forward, its slope, and its inverse on numbers and in SymPy.

    defined  where it is
    usual    whether many laws are simple in it; the others are searched with fewer expressions
    rational whether products and quotients are searched: they are not those of the target itself
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    back: Callable[[sympy.Expr], sympy.Expr]
    defined: Callable[[np.ndarray], np.ndarray]
    usual: bool = True
    rational: bool = False

    def applies_to(self, y: np.ndarray) -> bool:
        """Whether it is defined at all of these targets."""
        return bool(self.defined(y).all())

    @property
    def cost(self) -> int:
        """Symbols of the inverse."""
        return 0 if self.name == "as it is" else 2


def _everywhere(y: np.ndarray) -> np.ndarray:
    return np.ones_like(y, dtype=bool)


def _positive(y: np.ndarray) -> np.ndarray:
    return y > 0


_usual = TargetTransform
_rare = partial(TargetTransform, usual=False)

# name; forward, its slope; inverse on numbers and in SymPy; where it is defined
TARGET_TRANSFORMS = (
    _usual("as it is", lambda y: y, np.ones_like, lambda f: f, lambda f: f, _everywhere,
           rational=True),
    _usual("square", np.square, lambda y: 2 * y, np.sqrt, sympy.sqrt, _positive),
    _usual("reciprocal", lambda y: 1 / y, lambda y: y**-2.0, lambda f: 1 / f, lambda f: 1 / f,
           lambda y: y != 0),
    _usual("logarithm", np.log, lambda y: 1 / y, np.exp, sympy.exp, _positive, rational=True),
    _rare("reciprocal of the square", lambda y: y**-2.0, lambda y: y**-3.0, lambda f: f**-0.5,
          lambda f: 1 / sympy.sqrt(f), _positive),
    _rare("root", np.sqrt, lambda y: y**-0.5, np.square, lambda f: f**2, _positive),
    _rare("sine", np.sin, np.cos, np.arcsin, sympy.asin, lambda y: np.abs(y) <= math.pi / 2,
          rational=True),
    _rare("cosine", np.cos, np.sin, np.arccos, sympy.acos, lambda y: (y >= 0) & (y <= math.pi),
          rational=True),
    _rare("exponential", np.exp, np.exp, np.log, sympy.log, lambda y: np.abs(y) < 20,
          rational=True),
)  # fmt: skip
