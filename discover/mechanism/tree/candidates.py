"""Tree candidates: pairs of joints ordered by fits, and other trees that predict the same answers.

A slide along the axis of a turn moves what the turn moves, in either order. Only a body that turns
without sliding, or slides without turning, tells the orders apart, and only a fit of both shows
that. The pair, with a few joints that surely carry it, is a serial chain while all other joints
stand still; the geometry of each order is fitted to it from several starts.

Where several trees carry the same joints alike (slides in a row, a slide along the axis of a turn,
bodies that no other joint moves), the answers determine none of them. Alternative trees are tried
with the screws at hand and then with screws fitted to them: between joints that don't couple,
screws fitted for one tree mean nothing for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discover.judgement.thresholds import threshold, whole
from discover.mechanism.geometry.least_squares import misfit, weight_of
from discover.mechanism.geometry.projection import Problem, solve_well
from discover.mechanism.geometry.screws import GRAVITY, Array, ScrewTree
from discover.mechanism.geometry.serial_chain import SerialChain, fit_serial_chain
from discover.mechanism.local_dynamics import DynamicsSampler, LocalDynamics

_CONTEXT = whole("mechanism.pair_context")
_STARTS = whole("mechanism.pair_starts")
_FITS_EXACTLY = threshold("mechanism.pair_fits")
_MISFITS_EXACTLY = threshold("mechanism.pair_misfits")
_GOOD = threshold("mechanism.good_deviations")
_ODDS = threshold("mechanism.tree_log_odds")
_MOST_FITS = whole("mechanism.alternative_fits")
_FIT_BUDGET = threshold("mechanism.alternative_operations")
_ITERATIONS = 30  # of the solver, which has converged or stalled by then


class PairOrdering:
    """Decides by fits which joint of a pair carries the other; keeps its decisions.

    sampler  of the model
    kinds    (nv,) "revolute" or "prismatic"
    """

    def __init__(self, sampler: DynamicsSampler, kinds: Sequence[str]):
        self.sampler, self.kinds = sampler, kinds
        self._decided: dict[tuple[int, int, tuple[int, ...]], int] = {}

    @cached_property
    def tree(self) -> ScrewTree:
        """Kinds and a reference pose; the parents are not used."""
        local = self.sampler.at(self.sampler.draw(8), replicates=4 if self.sampler.scatters else 1)
        return ScrewTree(
            parents=(-1,) * len(self.kinds),
            turning=tuple(kind == "revolute" for kind in self.kinds),
            reference=self.sampler.draw(1, 0.7)[0],
            gravity=GRAVITY if weight_of(local) else 0.0,
        )

    def __call__(self, j: int, k: int, above: NDArray[np.bool_]) -> int:
        """1 if j carries k, -1 if k carries j, 0 if the answers don't show it. above[a, b]: a is
        known to carry b."""
        depth = above.sum(0)
        carriers = np.flatnonzero(above[:, j] & above[:, k])
        carriers = carriers[np.argsort(-depth[carriers], kind="stable")]
        for count in range(1, min(_CONTEXT, len(carriers)) + 1):
            context = tuple(int(c) for c in reversed(carriers[:count]))
            key = (j, k, context)
            if key not in self._decided:
                self._decided[key] = self._compare(j, k, context)
            if self._decided[key]:
                return self._decided[key]
        return 0

    def _compare(self, j: int, k: int, context: tuple[int, ...]) -> int:
        first, second = (self._fit((*context, *pair)) for pair in ((j, k), (k, j)))
        better, worse = sorted((first, second), key=lambda chain: chain.error)
        if self.sampler.scatters:
            odds = 0.5 * better.count * (worse.error**2 - better.error**2)
            if _ODDS < odds < 10 * _ODDS:  # or the search missed the worse one's best screws
                again = self._fit((*context, *((k, j) if better is first else (j, k))), 3)
                odds = 0.5 * better.count * (again.error**2 - better.error**2)
            decided = better.error < _GOOD and odds > _ODDS
        else:
            floor = max(better.floor, worse.floor)
            decided = (
                better.error < _FITS_EXACTLY * floor and worse.error > _MISFITS_EXACTLY * floor
            )
        return 0 if not decided else 1 if better is first else -1

    def _fit(self, chain: tuple[int, ...], patience: int = 1) -> SerialChain:
        rng = np.random.default_rng([self.sampler.seed, 31, *chain, patience])
        return fit_serial_chain(self.sampler, self.tree, chain, rng, starts=_STARTS * patience)


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
    """Parent arrays that predict the same answers: breadth first over neighbouring trees.

    tree, screws          the tree at hand and its unit screws (nv, 6)
    training, validation  answers to fit alternatives to, and to judge them by
    tolerance             relative misfit up to which an alternative counts as equivalent, or twice
                          that of `tree` where this is more
    allowed               which parent arrays are tried at all
    most                  how many are sought
    whitened              the answers are noisy: equivalent is then every tree against which the
                          log odds are small
    """

    def loss_of(alternative: ScrewTree, geometry: Array) -> float:
        if not whitened:
            return misfit(alternative, geometry, training, validation)
        residual = Problem.of(alternative, training, whitened=True).project(geometry).residual
        return 0.5 * float(residual @ residual)

    first = loss_of(tree, screws)
    limit = first + _ODDS if whitened else max(2 * first, tolerance)
    visited, accepted, at, fits = {tree.parents}, [(tree.parents, screws)], 0, 0
    most_fits = int(min(_MOST_FITS, _FIT_BUDGET / _fit_operations(len(screws), len(training))))
    while at < len(accepted):
        parents, geometry = accepted[at]
        for other in neighbours(parents):
            if other in visited or not allowed(other):
                continue
            alternative = replace(tree, parents=other)
            loss = loss_of(alternative, geometry)
            fitted = geometry
            if loss > limit and fits < most_fits:
                fits += 1
                problem = Problem.of(alternative, training, whitened=whitened)
                fitted = solve_well(problem, geometry, iterations=_ITERATIONS).screws
                loss = loss_of(alternative, fitted)
            if loss <= limit:
                visited.add(other)
                accepted.append((other, fitted))
            if len(accepted) > most:
                break
        at += 1
    return tuple(parents for parents, _ in accepted[1:])


def _fit_operations(nv: int, states: int) -> float:
    """Operations of one fit of screws: a least-squares solve of 10 nv parameters an iteration."""
    return _ITERATIONS * states * nv**2 * (10 * nv) ** 2


def neighbours(parents: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Parent arrays one change away: a joint hung elsewhere with all it carries, or a joint and
    its parent exchanged."""
    nv = len(parents)
    result: dict[tuple[int, ...], None] = {}
    for k in range(nv):
        carried = _carried(parents, k)
        for new in [-1, *(j for j in range(nv) if j not in carried)]:
            if new != parents[k]:
                result[*parents[:k], new, *parents[k + 1 :]] = None
        p = parents[k]
        if p >= 0:
            swapped = list(parents)
            for c in range(nv):
                if parents[c] == k:
                    swapped[c] = p
            swapped[k], swapped[p] = parents[p], k
            result[tuple(swapped)] = None
            alone = list(swapped)  # the same, but what hung on k stays on k
            for c in range(nv):
                if parents[c] == k and c != p:
                    alone[c] = k
            result[tuple(alone)] = None
    return list(result)


def _carried(parents: tuple[int, ...], joint: int) -> set[int]:
    below = {joint}
    while True:
        more = {j for j, p in enumerate(parents) if p in below} | below
        if more == below:
            return below
        below = more
