"""The tree of a black box: which joint carries which, and which coordinates are angles.

What moves the entries of the mass matrix says who is below whom. Moving joint k changes H_jj or
H_jk only if k lies below j; H_jk is zero unless one of the two lies below the other; the joints
above any one joint are a chain. Joints that share a body on their way out are ordered by what
moving them changes, and where that shows nothing (axes in one line, two sliding joints), by the
size of H_jj: a joint carries at least what the joints below it carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.tree.candidates import PairOrdering
from discover.mechanism.tree.coupling_tests import CLEAR, CouplingTests, joint_kinds

Array = NDArray[np.float64]

_DEEP = {"exact": 1, "noisy": 16}
_BASES = {"exact": 5, "noisy": 12}


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
    coupling: CouplingTests
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
        chain = [joint]
        while self.parents[chain[-1]] >= 0:
            chain.append(self.parents[chain[-1]])
        return tuple(reversed(chain))

    @property
    def leaves(self) -> tuple[int, ...]:
        """Joints that carry no other joint."""
        return tuple(j for j in range(len(self.parents)) if j not in self.parents)


def infer_tree(sampler: DynamicsSampler) -> Tree:
    """The tree that the model's answers hold to, from its mass matrix at moved joints."""
    before = sampler.blackbox.queries
    level = "noisy" if sampler.noisy else "exact"
    bases, deep = _BASES[level], _DEEP[level]
    kinds = joint_kinds(sampler, deep)
    nv = sampler.nv
    q = sampler.draw(bases)
    moved = np.repeat(q[:, None], nv + 1, 1)
    low, high = sampler._side("q", 1.0)
    for k in range(nv):
        # Half a width away at least, and within the region.
        step = sampler._rng.uniform(0.25, 0.5, bases) * (high[k] - low[k])
        up = q[:, k] + step <= high[k]
        moved[:, k + 1, k] = np.where(up, q[:, k] + step, q[:, k] - step)
    local = sampler.at(moved.reshape(-1, nv), replicates=deep)
    coupling = CouplingTests.of(local, bases)
    size = np.abs(np.einsum("nii->ni", local.H)).mean(0)
    parents, guessed = assemble(coupling, kinds, size, decide=PairOrdering(sampler, kinds))
    return Tree(
        parents=parents,
        kinds=kinds,
        coupling=coupling,
        guessed=guessed,
        noise=sampler.noise,
        queries=sampler.blackbox.queries - before,
    )


def assemble(
    coupling: CouplingTests,
    kinds: Sequence[str],
    size: Array,
    clear: float = CLEAR,
    decide: Callable[[int, int, NDArray[np.bool_]], int] | None = None,
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Parents, and the pairs whose order no answer showed and `size` (nv,) had to decide.

    `decide` (j, k, above) is asked about a turning and a sliding joint in one line: 1 if j carries
    k, -1 if k carries j, 0 if it cannot tell.
    """
    nv = len(size)
    moves = coupling.moves
    above = (moves > clear) & (moves > moves.T)  # above[j, k]: j carries k
    coupled, pushed = coupling.coupled > clear, coupling.pushed > clear
    related = coupled | coupled.T | pushed | pushed.T
    moved = coupling.moved > clear
    guessed: list[tuple[int, int]] = []
    # A coordinate that may turn or slide is of the kind of what it shares inertia with in one line.
    kind = np.array(kinds)
    open_kind = (kind == "either")[:, None] | (kind == "either")
    alike = (kind[:, None] == kind) | (open_kind & (coupled | coupled.T))
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
        j, k = min(unknown, key=lambda p: not alike[p])
        told = 0
        if alike[j, k]:
            upper, lower = (j, k) if size[j] >= size[k] else (k, j)
        else:
            told = decide(j, k, above) if decide else 0
            told = told or _fewer_links(above, linked, j, k)
            upper, lower = (j, k) if told > 0 else (k, j)
        above[upper, lower] = True
        if not told:
            guessed.append((upper, lower))
    depth = above.sum(0)
    parents = []
    for k in range(nv):
        over = np.flatnonzero(above[:, k])
        parents.append(int(over[np.argmax(depth[over])]) if len(over) else -1)
    return _acyclic(tuple(parents)), tuple(guessed)


def _fewer_links(above: NDArray[np.bool_], linked: NDArray[np.bool_], j: int, k: int) -> int:
    """1 if j carrying k asks for fewer links that no answer shows than k carrying j, -1 if for
    more, 0 if for as many: what hangs on one of the two alone tells them apart."""
    local = []
    for upper, lower in ((j, k), (k, j)):
        over = above.copy()
        over[upper, lower] = True
        over = _closed(over)
        more = linked.copy()
        while True:
            # What is linked with a joint hangs on it or carries it: with what carries it as well.
            grown = more | over | (over.astype(int) @ more.astype(int) > 0)
            grown |= grown.T
            if (grown == more).all():
                break
            more = grown
        np.fill_diagonal(more, False)
        local.append(int((more & ~linked).sum()))
    return int(np.sign(local[1] - local[0]))


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
