"""What is stored of a measurement of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from discover.records import Stored

MODEL, EXACT, FIRST_ORDER = "model", "exact", "first-order"


@dataclass(frozen=True, kw_only=True)
class Agreement(Stored):
    """Gradients of one contender against the simulator's, smoothed with one σ [half-widths].

    cosine, cosine_p10   median and tenth percentile over the starts
    ceiling              median cosine that a perfect gradient would show, the sample being finite
    norm                 median ratio of norms
    dead                 share of starts where it vanishes though the smoothed gradient does not
    """

    contender: str
    sigma: float
    cosine: float
    cosine_p10: float
    ceiling: float
    norm: float
    dead: float


@dataclass(frozen=True, kw_only=True)
class Trust(Stored):
    """Steps of one length against a contender's own gradient.

    radius   length of the step [half-widths]
    share    of starts at which the simulator's smoothed cost falls by at least the trust ratio
             times what the contender promised
    ratio    median of the fall over the promised fall; None where nobody promises one
    """

    contender: str
    radius: float
    share: float
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Measured(Stored):
    """All numbers of a measurement of gradients; lengths are in half-widths of the region.

    agreements, trusts   by contender and σ, by contender and radius
    useful_radius        by contender: the longest step that can be trusted; 0.0 where none can
    by_direction         of the model, by signed coordinate: how far its change is right
    equivalent_sigma     by contender: the σ at which it resembles the simulator's gradient most
    differenced          contenders without a gradient of their own: central differences instead
    queries              by contender: states asked
    """

    model: str
    robot: str
    region: dict[str, Any]
    objective: str
    starts: int
    pairs: int
    sigmas: tuple[float, ...]
    radii: tuple[float, ...]
    agreements: tuple[Agreement, ...]
    trusts: tuple[Trust, ...]
    useful_radius: dict[str, float]
    by_direction: dict[str, float]
    equivalent_sigma: dict[str, float]
    differenced: tuple[str, ...]
    notes: tuple[str, ...]
    queries: dict[str, int]
    seconds: float
    seed: int

    def of(self, contender: str) -> tuple[Agreement, ...]:
        """The agreements of one contender, by rising σ."""
        return tuple(a for a in self.agreements if a.contender == contender)

    @property
    def contenders(self) -> tuple[str, ...]:
        """Who was measured, the model first."""
        return tuple(dict.fromkeys(a.contender for a in self.agreements))

    @property
    def cosine(self) -> dict[float, float]:
        """Median cosine of the model's gradient by σ."""
        return {a.sigma: a.cosine for a in self.of(MODEL)}

    @property
    def norm(self) -> dict[float, float]:
        """Median ratio of norms of the model's gradient by σ."""
        return {a.sigma: a.norm for a in self.of(MODEL)}

    @property
    def ceiling(self) -> dict[float, float]:
        """Median cosine that a perfect gradient would show, by σ."""
        return {a.sigma: a.ceiling for a in self.of(MODEL)}

    @property
    def dead_share(self) -> dict[float, float]:
        """Share of starts where the model's gradient vanishes though the simulator's smoothed one
        does not, by σ."""
        return {a.sigma: a.dead for a in self.of(MODEL)}

    @property
    def trust(self) -> dict[float, float]:
        """Share of starts at which the model's promise is kept, by length of step."""
        return {t.radius: t.share for t in self.trusts if t.contender == MODEL}
