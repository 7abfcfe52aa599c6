"""Two orders of a turning and a sliding joint in competition, where no single answer orders them.

A slide along the axis of a turn moves what the turn moves, in either order. What tells them apart
is whether some body turns without sliding or slides without turning, and only a fit of both shows
that: the pair, with a few joints that surely carry it, is a short chain when all else stands still,
and each order's geometry is tried on it from several starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discover.structure.probing import Prober
from discover.structure.rivals import weight_of
from discover.structure.screws import GRAVITY, ScrewTree
from discover.structure.way import Way, one_way

_CONTEXT = 3  # joints that carry the pair, at most
_STARTS = 10
_EXACT, _APART = 10.0, 1e4  # floors of rounding: a fit, and no fit (near coaxial joints: a hundred)
_FAIR = 1.2  # misfits at which an order fits: relative, in deviations
_ODDS = 12.0  # log odds against it, answers with noise


class Contest:
    """Decides the order of pairs of joints of one model by fits; remembers what it has decided."""

    def __init__(self, prober: Prober, kinds: Sequence[str]):
        self.prober, self.kinds = prober, kinds
        self._decided: dict[tuple[int, int, tuple[int, ...]], int] = {}

    @cached_property
    def tree(self) -> ScrewTree:
        """Kinds and a reference pose; which joint carries which is for the contests to say."""
        asked = self.prober.at(self.prober.draw(8), replicates=4 if self.prober.scatters else 1)
        return ScrewTree(
            parents=(-1,) * len(self.kinds),
            turning=tuple(kind == "revolute" for kind in self.kinds),
            reference=self.prober.draw(1, 0.7)[0],
            gravity=GRAVITY if weight_of(asked) else 0.0,
        )

    def __call__(self, j: int, k: int, above: NDArray[np.bool_]) -> int:
        """1 if j carries k, -1 if k carries j, 0 if the answers do not tell. above[a, b]: a is
        known to carry b."""
        depth = above.sum(0)
        carriers = np.flatnonzero(above[:, j] & above[:, k])
        carriers = carriers[np.argsort(-depth[carriers], kind="stable")]
        for count in range(1, min(_CONTEXT, len(carriers)) + 1):
            context = tuple(int(c) for c in reversed(carriers[:count]))
            key = (j, k, context)
            if key not in self._decided:
                self._decided[key] = self._between(j, k, context)
            if self._decided[key]:
                return self._decided[key]
        return 0

    def _between(self, j: int, k: int, context: tuple[int, ...]) -> int:
        first, second = (self._fit((*context, *pair)) for pair in ((j, k), (k, j)))
        better, worse = sorted((first, second), key=lambda w: w.error)
        if self.prober.scatters:
            odds = 0.5 * better.count * (worse.error**2 - better.error**2)
            if _ODDS < odds < 10 * _ODDS:  # or the worse one only found no better screws
                again = self._fit((*context, *((k, j) if better is first else (j, k))), 3)
                odds = 0.5 * better.count * (again.error**2 - better.error**2)
            told = better.error < _FAIR and odds > _ODDS
        else:
            floor = max(better.floor, worse.floor)
            told = better.error < _EXACT * floor and worse.error > _APART * floor
        return 0 if not told else 1 if better is first else -1

    def _fit(self, way: tuple[int, ...], patience: int = 1) -> Way:
        rng = np.random.default_rng([self.prober.seed, 31, *way, patience])
        return one_way(self.prober, self.tree, way, rng, effort=_STARTS * patience)
