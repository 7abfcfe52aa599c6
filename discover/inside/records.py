"""The records of a look inside: claims with their numbers, the table behind them, windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from discover.records import Stored

YES, NO, OPEN = "yes", "not shown", "undetermined"


@dataclass(frozen=True, kw_only=True)
class Claim(Stored):
    """One claim about one variable or factorisation.

    kind      "encodes", "uses", "follows" or "implements"
    subject   the variable, or the order of elimination
    answer    "yes", "not shown" or "undetermined"
    site      where, or None
    numbers   what the answer rests on, by name; None what was not measured
    words     one plain sentence
    """

    kind: str
    subject: str
    answer: str
    site: str | None
    numbers: dict[str, float | None]
    words: str


@dataclass(frozen=True, kw_only=True)
class Row(Stored):
    """One variable at one site; None what was not measured there.

    k, start, steps  directions exchanged, where the fit began ("wide": it reads what the output
                     does not), its steps of Adam; few where another site looked better
    r2, r2_control   of a linear probe, and of the best control
    S                share of the predicted change that is met, within directions that vary on data
    S_r              1 − MSE / distance to the nearest rival factorisation's counterfactual
    S_all            S where directions that never vary may be used
    placebo, untrained, random, whole, other_robot   S of the controls
    ceiling          R² of the predicted change by V alone
    contrast         distance to the nearest rival, in units of the predicted change
    flags            "dormant or duplicate path", …
    """

    site: str
    variable: str
    kind: str
    factorisation: str | None
    k: int | None = None
    start: str = ""
    steps: int = 0
    r2: float | None = None
    r2_control: float | None = None
    r2_untrained: float | None = None
    S: float | None = None
    S_r: float | None = None
    S_all: float | None = None
    placebo: float | None = None
    untrained: float | None = None
    random: float | None = None
    whole: float | None = None
    other_robot: float | None = None
    ceiling: float | None = None
    contrast: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Window(Stored):
    """Where over depth a step of a recursion, or a role, can be exchanged: S at each site in order,
    the first and the last site at which it can (None: nowhere), and its rank in the recursion."""

    variable: str
    factorisation: str | None
    sites: tuple[str, ...]
    S: tuple[float | None, ...]
    first: int | None
    last: int | None
    rank: int | None


@dataclass(frozen=True, kw_only=True)
class Findings(Stored):
    """All that a look inside found.

    claims    see `Claim`; positive ones first by strength
    table     a `Row` for each variable and site that the budget reached
    windows   see `Window`
    order     Kendall's tau of windows and recursion, by factorisation, where measured
    error     of the network in the region, relative to the accelerations' root mean square
    sites     names from input to output, with their depth 0 … 1; those of the table and of windows
    notes     what was left out or not reached, a line each
    seconds   of processor time
    """

    network: str
    robot: str
    region: dict[str, Any]
    joints: int
    error: float
    sites: tuple[str, ...]
    depths: tuple[float, ...]
    claims: tuple[Claim, ...]
    table: tuple[Row, ...]
    windows: tuple[Window, ...]
    order: dict[str, float | None]
    notes: tuple[str, ...]
    seeds: int
    seed: int
    steps: int
    pairs: int
    seconds: float

    def claim(self, kind: str, subject: str) -> Claim | None:
        """The claim of this kind about this variable or factorisation."""
        return next((c for c in self.claims if (c.kind, c.subject) == (kind, subject)), None)
