"""What a law extension must offer: a law is rigid bodies and a tuple of extensions.

An extension says something about a model that inertial parameters and joint terms cannot: a force
beside the bodies, a static function before or behind them, other functions in the place of sine and
cosine, a dependence on the previous query. The law derives everything that it is asked for from
`RigidBodyLaw.extensions`: its family, its description length, its equations, its JSON form.

How to add one:

1. Write `discover/laws/extensions/<name>.py` with a frozen dataclass that derives from
   `LawExtension`. Give it `label`, `key`, `symbol_count`, `number_count`, `description`,
   `equations`, `to_dict` and `from_dict`.
2. Say how it acts. An extension that changes the inputs or the output of the bodies overrides
   `inputs`, `output` and `rows_by_signal`; predictions, fits, programs and exports need nothing
   else (`tests/laws/test_extensions.py` adds one). One that acts in another way also needs a place
   where it acts, as the other kinds have: a force that is fitted with the bodies (`Term`), bodies
   with another recursion (`SurrogateTrigonometry`), both in `Family`; a dependence on earlier
   queries (`MemoryLaw`) in `RigidBodyLaw.after`.
3. Add the class to `EXTENSIONS` in `discover/laws/extensions/__init__.py`: one line.

Finding one in a model's answers is the business of `discover.laws.search`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import sympy
from torch import Tensor


class LawComponent(ABC):
    """What is written down as part of a law: an extension, or a table that formulas name."""

    @property
    @abstractmethod
    def symbol_count(self) -> int:
        """Symbols and operations to be written down, for the description length."""

    @property
    @abstractmethod
    def number_count(self) -> int:
        """Fitted numbers to be written down, for the description length."""

    @property
    @abstractmethod
    def description(self) -> str:
        """One line of plain text, numbers rounded."""

    @abstractmethod
    def to_dict(self) -> dict:
        """JSON-able form, exact to the last digit."""

    @classmethod
    @abstractmethod
    def from_dict(cls, record: dict) -> Self:
        """The inverse of `to_dict`; expressions are parsed by a closed grammar, never executed."""


class LawExtension(LawComponent):
    """One thing that a law has beside its rigid bodies; an immutable value.

    label    its word in `law.family`: "terms" makes a law "rigid body + terms"
    key      its key in law.json
    several  whether a law may have more than one (a list in JSON; else the record itself, or null)
    additive whether it adds a force or an acceleration; if not, it changes what the bodies are
             given, what is answered for them, or how they are built
    """

    label: ClassVar[str]
    key: ClassVar[str]
    several: ClassVar[bool] = True
    additive: ClassVar[bool] = False

    tables: tuple[LawComponent, ...] = ()  # functions in its formulas that have no formula

    @property
    @abstractmethod
    def equations(self) -> list[sympy.Basic]:
        """What `law.terms` shows of it: SymPy expressions or equations, ready for LaTeX."""

    @property
    def symbol_notes(self) -> list[str]:
        """Sentences (Markdown) on symbols in `equations` that are not those of every law."""
        return []

    # ---- how it acts -------------------------------------------------------------------------

    def inputs(self, q: Tensor, v: Tensor, tau: Tensor) -> dict[str, Tensor]:
        """What the bodies are given in the place of "q", "v" or "tau", each (n, nv)."""
        return {}

    def output(self, q: Tensor, v: Tensor, tau: Tensor, a: Tensor) -> Tensor:
        """The law's accelerations (n, nv) where those of the bodies are a (n, nv)."""
        return a

    @property
    def rows_by_signal(self) -> dict[str, tuple[sympy.Expr, ...]]:
        """`inputs` and `output` (as "a") in SymPy, nv rows each, for programs and exports."""
        return {}
