"""Two orders of a turning and a sliding joint in competition, where no single answer orders them.

A slide along the axis of a turn moves what the turn moves, in either order. What tells them apart
is whether some body turns without sliding or slides without turning, and only a fit of both shows
that: the pair, with a few joints that surely carry it, is a short chain when all else stands still,
and each order's geometry is tried on it from several starts.

Trees that answer the same: other ways to hang the joints that no answer speaks against.

Where several trees carry the same joints alike (slides in a row, a slide along the axis of a turn,
bodies whose motion others do not feel), the answers name none of them. Rivals are tried with the
screws that were found, and then with screws of their own: between joints that do not feel each
other, screws found for one tree mean nothing for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discover.mechanism.geometry.least_squares import misfit, weight_of
from discover.mechanism.geometry.projection import Problem, solve_well
from discover.mechanism.geometry.screws import GRAVITY, Array, ScrewTree
from discover.mechanism.geometry.serial_chain import SerialChain, fit_serial_chain
from discover.mechanism.local_dynamics import DynamicsSampler, LocalDynamics

_CONTEXT = 3  # joints that carry the pair, at most
_STARTS = 10
_EXACT, _APART = 10.0, 1e4  # floors of rounding: a fit, and no fit (near coaxial joints: a hundred)
_FAIR = 1.2  # misfits at which an order fits: relative, in deviations
_ODDS = 12.0  # log odds against it, answers with noise


class PairOrdering:
    """Decides the order of pairs of joints of one model by fits; remembers what it has decided."""

    def __init__(self, sampler: DynamicsSampler, kinds: Sequence[str]):
        self.sampler, self.kinds = sampler, kinds
        self._decided: dict[tuple[int, int, tuple[int, ...]], int] = {}

    @cached_property
    def tree(self) -> ScrewTree:
        """Kinds and a reference pose; which joint carries which is for the contests to say."""
        training = self.sampler.at(
            self.sampler.draw(8), replicates=4 if self.sampler.scatters else 1
        )
        return ScrewTree(
            parents=(-1,) * len(self.kinds),
            turning=tuple(kind == "revolute" for kind in self.kinds),
            reference=self.sampler.draw(1, 0.7)[0],
            gravity=GRAVITY if weight_of(training) else 0.0,
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
        if self.sampler.scatters:
            odds = 0.5 * better.count * (worse.error**2 - better.error**2)
            if _ODDS < odds < 10 * _ODDS:  # or the worse one only found no better screws
                again = self._fit((*context, *((k, j) if better is first else (j, k))), 3)
                odds = 0.5 * better.count * (again.error**2 - better.error**2)
            told = better.error < _FAIR and odds > _ODDS
        else:
            floor = max(better.floor, worse.floor)
            told = better.error < _EXACT * floor and worse.error > _APART * floor
        return 0 if not told else 1 if better is first else -1

    def _fit(self, chain: tuple[int, ...], patience: int = 1) -> SerialChain:
        rng = np.random.default_rng([self.sampler.seed, 31, *chain, patience])
        return fit_serial_chain(self.sampler, self.tree, chain, rng, effort=_STARTS * patience)


_ITERATIONS = 30
_ODDS_EQUIVALENCE = 12.0  # log odds at which answers that scatter speak clearly against a tree
_FITS, _SMALL = 60, 6  # trees that are given screws of their own; of more joints, fewer


def equivalent_trees(
    tree: ScrewTree,
    screws: Array,
    training: LocalDynamics,
    validation: LocalDynamics,
    tolerance: float,
    *,
    allowed: Callable[[tuple[int, ...]], bool],
    most: int,
    whitened: bool = False,
) -> tuple[tuple[int, ...], ...]:
    """Trees that fit held-out answers within `tolerance` of this one's misfit, `most` of them: its
    neighbours, those of all that are found, and so on. Trees that are not `allowed` are not tried.

    `whitened`: the answers scatter; trees are those against which they do not speak clearly.
    """

    def missed(rival: ScrewTree, own: Array) -> float:
        if not whitened:
            return misfit(rival, own, training, validation)
        residual = Problem.of(rival, training, whitened=True).residual(own)[0]
        return 0.5 * float(residual @ residual)

    first = missed(tree, screws)
    limit = first + _ODDS_EQUIVALENCE if whitened else max(2 * first, tolerance)
    seen, found, at, fits = {tree.parents}, [(tree.parents, screws)], 0, 0
    most_fits = int(_FITS * min(1.0, _SMALL / len(screws)) ** 4)
    while at < len(found):
        parents, own = found[at]
        for other in neighbours(parents):
            if other in seen or not allowed(other):
                continue
            rival = replace(tree, parents=other)
            loss = missed(rival, own)
            fitted = own
            if loss > limit and fits < most_fits:
                fits += 1
                problem = Problem.of(rival, training, whitened=whitened)
                fitted = solve_well(problem, own, iterations=_ITERATIONS).screws
                loss = missed(rival, fitted)
            if loss <= limit:
                seen.add(other)
                found.append((other, fitted))
            if len(found) > most:
                break
        at += 1
    return tuple(parents for parents, _ in found[1:])


def neighbours(parents: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Trees one change away: a joint hung elsewhere with all it carries, or two neighbours on a
    way out exchanged."""
    nv = len(parents)
    found: dict[tuple[int, ...], None] = {}
    for k in range(nv):
        carried = _carried(parents, k)
        for new in [-1, *(j for j in range(nv) if j not in carried)]:
            if new != parents[k]:
                found[*parents[:k], new, *parents[k + 1 :]] = None
        p = parents[k]
        if p >= 0:
            swapped = list(parents)
            for c in range(nv):
                if parents[c] == k:
                    swapped[c] = p
            swapped[k], swapped[p] = parents[p], k
            found[tuple(swapped)] = None
            alone = list(swapped)  # the same, but what hung on k stays on k
            for c in range(nv):
                if parents[c] == k and c != p:
                    alone[c] = k
            found[tuple(alone)] = None
    return list(found)


def _carried(parents: tuple[int, ...], joint: int) -> set[int]:
    below = {joint}
    while True:
        more = {j for j, p in enumerate(parents) if p in below} | below
        if more == below:
            return below
        below = more
