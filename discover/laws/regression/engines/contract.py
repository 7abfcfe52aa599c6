"""What every engine of symbolic regression declares and does.

An engine is given samples of a function and returns a front: formulas from short to long, each
better than all shorter ones. What an engine can do is declared, never probed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import sympy

from discover.errors import RecipeError
from discover.laws.contract import ALPHABET_SIZE, EFFECTIVE_SAMPLES


def symbols_used(expression: sympy.Expr) -> int:
    """Leaves and operations, as a description counts them.

    A fitted number counts two (half a log n of the samples, beside its place), a whole one as many
    as it has digits, functions other than powers two, for they are rarer.
    """
    return sum(_counted(x) for x in sympy.preorder_traversal(expression))


def _counted(x: sympy.Basic) -> int:
    if isinstance(x, sympy.Rational):
        half = x.q == 2 and abs(x.p) == 1
        return 1 if half else len(str(abs(x.p))) + (len(str(x.q)) if x.q != 1 else 0)
    return 2 if isinstance(x, (sympy.Float, sympy.Function)) else 1


def description(
    error: float, symbols: int, n: float = EFFECTIVE_SAMPLES, alphabet: int = ALPHABET_SIZE
) -> float:
    """Length in nats, of n effective samples' errors and of the formula."""
    return n * math.log(max(error, 1e-300)) + symbols * math.log(alphabet)


def formula_length(error: float, symbols: int, numbers: int, floor: float) -> float:
    """Description length [nats] of a formula with fitted `numbers`; errors below `floor` are none.

    The numbers are priced apart from the symbols: half a log of the effective samples each.
    """
    nats = EFFECTIVE_SAMPLES * math.log(max(error, floor, 1e-300))
    return nats + symbols * math.log(ALPHABET_SIZE) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)


@dataclass(frozen=True)
class Member:
    """One formula: its expression in the given symbols, symbols used, root mean square error."""

    expression: sympy.Expr
    symbols: int
    error: float


@dataclass(frozen=True)
class Front:
    """Formulas from short to long, chosen from by index; `best` by description length."""

    members: tuple[Member, ...]

    def __getitem__(self, index: int) -> Member:
        return self.members[index]

    def __len__(self) -> int:
        return len(self.members)

    def best(
        self, floor: float, n: int = EFFECTIVE_SAMPLES, alphabet: int = ALPHABET_SIZE
    ) -> Member:
        """The shortest description, n effective samples, errors below `floor` no evidence."""
        return min(
            self.members,
            key=lambda m: description(max(m.error, floor), m.symbols, n, alphabet),
        )

    @classmethod
    def of(cls, found: Sequence[tuple[sympy.Expr, float]]) -> Front:
        """Only what is better than everything shorter."""
        members = [
            Member(e, symbols_used(e), float(error)) for e, error in found if math.isfinite(error)
        ]
        kept: list[Member] = []
        for m in sorted(members, key=lambda m: (m.symbols, m.error, sympy.sstr(m.expression))):
            if not kept or m.error < kept[-1].error:
                kept.append(m)
        return cls(tuple(kept))


class Engine(ABC):
    """One way of finding formulas.

    name, and what it declares: how many variables it takes (None: any number), whether the same
    seed gives the same front, and which extra of this package installs it (None: nothing to add).
    """

    name: ClassVar[str]
    variables: ClassVar[int | None] = None
    deterministic: ClassVar[bool] = True
    extra: ClassVar[str | None] = None

    @classmethod
    def available(cls) -> bool:
        """Whether it can run here; looking starts nothing and downloads nothing."""
        return True

    @abstractmethod
    def fit(
        self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol], seed: int = 0
    ) -> Front:
        """The front of y (n,) as formulas of the columns of x (n, d), named by `symbols`."""

    def check(self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol]) -> None:
        """Raises RecipeError, one line, for samples that the engine cannot take."""
        if x.ndim != 2 or y.shape != (len(x),) or x.shape[1] != len(symbols):
            raise RecipeError(
                f"{self.name}: expected x (n, {len(symbols)}) and y (n,), "
                f"found {x.shape} and {y.shape}"
            )
        if self.variables is not None and x.shape[1] > self.variables:
            raise RecipeError(
                f"{self.name}: expected at most {self.variables} variable, found {x.shape[1]}: "
                "use engine 'operon', or give one feature"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise RecipeError(f"{self.name}: expected finite samples, found NaN or infinity")
