"""The tree of a black box: which joint carries which, and which coordinates are angles.

What moves the entries of the mass matrix says who is below whom. Moving joint k changes H_jj or
H_jk only if k lies below j; H_jk is zero unless one of the two lies below the other; the joints
above any one joint are a chain. Joints that share a body on their way out are ordered by what
moving them changes, and where that shows nothing (axes in one line, two sliding joints), by the
size of H_jj: a joint carries at least what the joints below it carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.structure.probing import Local, Prober

Array = NDArray[np.float64]

_CLEAR = 7.0  # deviations from chance at which a change counts as one
_DEEP = {"exact": 1, "noisy": 16}
_BASES = {"exact": 5, "noisy": 12}
_LINE = 9  # points along a coordinate
_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree over the model's coordinates.

    parents      for each coordinate the one whose body carries it, -1 for the base; coordinates in
                 the model's order, a parent may have a larger number than its child
    kinds        "revolute", "prismatic" or "either", as each coordinate enters H and the force
    signs        what the parents rest on
    guessed      pairs (above, below) whose order no answer shows
    equivalent   other parent arrays that the answers do not tell from this one
    noise        relative misfit of the answers to a = A tau + c
    """

    parents: tuple[int, ...]
    kinds: tuple[str, ...]
    signs: Signs
    guessed: tuple[tuple[int, int], ...]
    equivalent: tuple[tuple[int, ...], ...] = ()
    noise: float = 0.0
    queries: int = 0

    @property
    def order(self) -> tuple[int, ...]:
        """Coordinates root to leaf, parents before children; the model's own order where it is."""
        nv, done = len(self.parents), {-1}
        order: list[int] = []
        while len(order) < nv:
            ready = [j for j in range(nv) if j not in done and self.parents[j] in done]
            done.add(ready[0])
            order.append(ready[0])
        return tuple(order)

    def path(self, joint: int) -> tuple[int, ...]:
        """The joints from the root to `joint`, both included."""
        way = [joint]
        while self.parents[way[-1]] >= 0:
            way.append(self.parents[way[-1]])
        return tuple(reversed(way))

    @property
    def leaves(self) -> tuple[int, ...]:
        """Joints that carry no other joint."""
        return tuple(j for j in range(len(self.parents)) if j not in self.parents)


def infer_tree(prober: Prober) -> Tree:
    """The tree that the model's answers hold to, from its mass matrix at moved joints."""
    before = prober.respondent.queries
    level = "noisy" if prober.noisy else "exact"
    bases, deep = _BASES[level], _DEEP[level]
    kinds = joint_kinds(prober, deep)
    nv = prober.nv
    q = prober.draw(bases)
    moved = np.repeat(q[:, None], nv + 1, 1)
    low, high = prober._side("q", 1.0)
    for k in range(nv):
        # Half a width away at least, and within the region.
        step = prober._rng.uniform(0.25, 0.5, bases) * (high[k] - low[k])
        up = q[:, k] + step <= high[k]
        moved[:, k + 1, k] = np.where(up, q[:, k] + step, q[:, k] - step)
    asked = prober.at(moved.reshape(-1, nv), replicates=deep)
    signs = Signs.of(asked, bases)
    size = np.abs(np.einsum("nii->ni", asked.H)).mean(0)
    parents, guessed = assemble(signs, kinds, size)
    return Tree(
        parents=parents,
        kinds=kinds,
        signs=signs,
        guessed=guessed,
        noise=prober.noise,
        queries=prober.respondent.queries - before,
    )


@dataclass(frozen=True, kw_only=True)
class Signs:
    """How clearly things move and hang together, in deviations from what chance would show.

    moved    (k, j, l): H_jl, when coordinate k is moved
    pushed   (k, j): the force on j at rest, when coordinate k is moved
    coupled  (j, l): H_jl is not zero
    """

    moved: Array
    pushed: Array
    coupled: Array

    @classmethod
    def of(cls, asked: Local, bases: int) -> Signs:
        """From answers at `bases` configurations, each followed by one move of each coordinate."""
        nv = asked.q.shape[1]
        H, H_sd, f, f_sd = (
            x.reshape(bases, nv + 1, *x.shape[1:])
            for x in (asked.H, asked.H_deviation, asked.force, asked.force_deviation)
        )
        moved = ((H[:, 1:] - H[:, :1]) ** 2 / (H_sd[:, 1:] ** 2 + H_sd[:, :1] ** 2)).sum(0)
        pushed = ((f[:, 1:] - f[:, :1]) ** 2 / (f_sd[:, 1:] ** 2 + f_sd[:, :1] ** 2)).sum(0)
        coupled = (asked.H**2 / np.maximum(asked.H_deviation, 1e-300) ** 2).sum(0)
        return cls(
            moved=_excess(moved, bases),
            pushed=_excess(pushed, bases),
            coupled=_excess(coupled, len(asked)),
        )

    @property
    def moves(self) -> Array:
        """(j, k): how clearly joint k lies below joint j by H_jj and H_jk alone."""
        nv = len(self.coupled)
        index = np.arange(nv)
        own = self.moved[:, index, index].T
        shared = self.moved[index[:, None], index[None, :], index[:, None]].T
        result = np.maximum(own, shared)
        np.fill_diagonal(result, -np.inf)
        return result


def _excess(chi_square, freedom: int):
    """Deviations above chance, by the square-root approximation of chi-square."""
    return np.sqrt(2 * chi_square) - np.sqrt(2 * freedom - 1)


def assemble(
    signs: Signs, kinds: Sequence[str], size: Array, clear: float = _CLEAR
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Parents, and the pairs whose order no answer showed and `size` (nv,) had to decide."""
    nv = len(size)
    moves = signs.moves
    above = (moves > clear) & (moves > moves.T)  # above[j, k]: j carries k
    coupled, pushed = signs.coupled > clear, signs.pushed > clear
    related = coupled | coupled.T | pushed | pushed.T
    moved = signs.moved > clear
    guessed: list[tuple[int, int]] = []
    while True:
        above = _settled(above, moved)
        linked = related | _linked(above, moved)
        # The joints above any joint are a chain.
        linked |= (above.astype(int) @ above.T.astype(int)) > 0
        np.fill_diagonal(linked, False)
        pairs = [(j, k) for j in range(nv) for k in range(j) if linked[j, k]]
        unknown = [(j, k) for j, k in pairs if not above[j, k] and not above[k, j]]
        if not unknown:
            break
        # Joints of one kind first: a joint carries what the joints below it carry.
        j, k = min(unknown, key=lambda p: kinds[p[0]] != kinds[p[1]])
        upper, lower = (j, k) if (size[j] >= size[k] and kinds[j] == kinds[k]) else (k, j)
        above[upper, lower] = True
        guessed.append((upper, lower))
    depth = above.sum(0)
    parents = []
    for k in range(nv):
        over = np.flatnonzero(above[:, k])
        parents.append(int(over[np.argmax(depth[over])]) if len(over) else -1)
    return _acyclic(tuple(parents)), tuple(guessed)


def _settled(above: NDArray[np.bool_], moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What follows: j above l with H_jl moved by k puts k below j; carrying is transitive."""
    while True:
        more = above | np.einsum("jl,kjl->jk", above.astype(int), moved.astype(int)).astype(bool)
        more &= ~above.T
        both = more & more.T
        more = _closed(more & ~both | above)
        if (more == above).all():
            return above
        above = more


def _linked(above: NDArray[np.bool_], moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """k and l share a way out if moving k changes what some j above l shares with l."""
    result = np.einsum("jl,kjl->kl", above.astype(int), moved.astype(int)).astype(bool)
    # ... unless k is j itself or above it, which moves nothing of H_jl but by noise.
    return result | result.T


def _closed(above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Transitive closure; a pair that would carry each other keeps neither."""
    result = above.copy()
    for k in range(len(above)):
        result |= np.outer(result[:, k], result[k])
    both = result & result.T
    np.fill_diagonal(both, True)
    return result & ~both


def _acyclic(parents: tuple[int, ...]) -> tuple[int, ...]:
    """The same parents with any cycle cut at the base."""
    fixed = list(parents)
    for k in range(len(fixed)):
        seen, at = {k}, fixed[k]
        while at >= 0:
            if at in seen:
                fixed[k] = -1
                break
            seen.add(at)
            at = fixed[at]
    return tuple(fixed)


def joint_kinds(prober: Prober, replicates: int) -> tuple[str, ...]:
    """How each coordinate enters H and the force: as sines and cosines, or as a parabola.

    Both forms are fitted to answers along the coordinate. A sliding joint moves no entry of its
    own row of H, and H_jl of others as a parabola, their forces as a line; a turning joint moves
    all of them as a circle does. "either" where the coordinate changes nothing.
    """
    nv = prober.nv
    low, high = prober._side("q", 1.0)
    bases = prober.draw(_LINES)
    spread = np.zeros(nv)
    votes = np.zeros(nv)
    for k in range(nv):
        x = low[k] + (high[k] - low[k]) * (0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, _LINE)))
        q = np.repeat(bases, _LINE, 0)
        q[:, k] = np.tile(x, len(bases))
        asked = prober.at(q, replicates=replicates)
        y = np.concatenate([asked.H, asked.force[:, :, None]], 2)
        sd = np.concatenate([asked.H_deviation, asked.force_deviation[:, :, None]], 2)
        y, sd = (z.reshape(len(bases), _LINE, nv, nv + 1) for z in (y, sd))
        y = y / np.sqrt((sd**2).mean(1, keepdims=True))  # one weight an entry and line
        votes[k] = _turning_against_sliding(x, y, k)
        # A sliding joint's own inertia is a mass: it is the same in every configuration.
        own, error = asked.H[:, k, k], asked.H_deviation[:, k, k]
        spread[k] = _excess((((own - own.mean()) / error) ** 2).sum(), len(own) - 1)
    votes = np.where(spread > _CLEAR, np.maximum(votes, 0) + spread**2, votes)
    return tuple("either" if v == 0 else "revolute" if v > 0 else "prismatic" for v in votes)


def _turning_against_sliding(x: Array, y: Array, k: int) -> float:
    """Squared error of the sliding forms less that of the turning forms, over what moves.

    x (n,) along the coordinate k; y (lines, n, nv, nv + 1): H and the force, over their deviations.
    """
    one = np.ones_like(x)
    circle = np.stack([one, np.cos(x), np.sin(x)], 1)
    double = np.column_stack([circle, np.cos(2 * x), np.sin(2 * x)])
    forms = {
        "others": (double, np.stack([one, x, x**2], 1)),
        "own": (circle, circle[:, :1]),
        "force": (circle, np.stack([one, x], 1)),
        "own force": (np.column_stack([circle, x]), np.stack([one, x], 1)),
    }
    nv = y.shape[2]
    total = 0.0
    for j in range(nv):
        for other in range(j, nv + 1):
            entry = y[:, :, j, other].T
            if other == nv:
                turn, slide = forms["own force" if j == k else "force"]
            else:
                turn, slide = forms["own" if k in (j, other) else "others"]
            flat, turned, slid = (_misfit(b, entry) for b in (circle[:, :1], turn, slide))
            freedom = entry.size - entry.shape[1]
            if _excess(flat, freedom) > _CLEAR / 2 and flat - min(turned, slid) > _CLEAR**2:
                more = (turn.shape[1] - slide.shape[1]) * entry.shape[1]
                total += slid - turned - 2 * more
    return total


def _misfit(basis: Array, y: Array) -> float:
    """Squared error of the least-squares fit of columns y."""
    orthonormal = np.linalg.qr(basis)[0]
    return float(((y - orthonormal @ (orthonormal.T @ y)) ** 2).sum())
