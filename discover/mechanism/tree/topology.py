"""The tree of a black box from the pattern of its mass matrix.

Moving joint k changes H_jj or H_jk only if j carries k; H_jk is zero unless one of the two carries
the other; the joints that carry any one joint are a chain. Where moving either of two joints on one
chain changes nothing of the other (coaxial joints, two sliding joints), they are ordered by the
size of H_jj, for a joint carries at least what the joints beyond it carry, or by fits of both
orders (`candidates.PairOrdering`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.judgement.thresholds import whole
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.tree.candidates import PairOrdering
from discover.mechanism.tree.coupling_tests import CLEAR, CouplingTests, joint_kinds

Array = NDArray[np.float64]

_REPLICATES = whole("mechanism.tree_replicates")
_BASES, _NOISY_BASES = whole("mechanism.tree_bases"), whole("mechanism.noisy_tree_bases")
_STEP = (0.25, 0.5)  # of the width of q: far enough to show, and always within the region


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree over the model's coordinates.

    parents      (nv,) the coordinate whose body carries each one, -1 for the base; in the model's
                 order, so that a parent may have a larger number than its child
    kinds        (nv,) "revolute", "prismatic" or "either", as each coordinate enters H and force
    coupling     the tests from which the parents follow
    guessed      pairs (above, below) whose order no answer shows
    equivalent   other parent arrays that predict the same answers
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
        """Coordinates with parents before children; the model's own order where it is one."""
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


def infer_tree(sampler: DynamicsSampler) -> Tree:
    """The tree over a model's coordinates, from its mass matrix at moved joints. Deterministic in
    the sampler's seed."""
    before = sampler.blackbox.queries
    bases, replicates = (_NOISY_BASES, _REPLICATES) if sampler.noisy else (_BASES, 1)
    kinds = joint_kinds(sampler, replicates)
    nv = sampler.nv
    q = sampler.draw(bases)
    moved = np.repeat(q[:, None], nv + 1, 1)
    low, high = sampler.bounds("q")
    for k in range(nv):
        step = sampler.rng.uniform(*_STEP, bases) * (high[k] - low[k])
        up = q[:, k] + step <= high[k]
        moved[:, k + 1, k] = np.where(up, q[:, k] + step, q[:, k] - step)
    local = sampler.at(moved.reshape(-1, nv), replicates=replicates)
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
    """Parents (nv,), and the pairs (above, below) whose order no test showed.

    size     (nv,) of H_jj, which orders pairs of one kind that no test orders
    clear    standard deviations above chance at which a change counts
    decide   (j, k, above) -> 1 if j carries k, -1 if k carries j, 0 if undecided; called for a
             turning and a sliding joint on one chain
    """
    nv = len(size)
    carries = coupling.carries
    above = (carries > clear) & (carries > carries.T)  # above[j, k]: j carries k
    coupled, pushed = coupling.coupled > clear, coupling.pushed > clear
    related = coupled | coupled.T | pushed | pushed.T
    moved = coupling.moved > clear
    guessed: list[tuple[int, int]] = []
    # A coordinate that may turn or slide is of the kind of what it shares inertia with in one line.
    kind = np.array(kinds)
    open_kind = (kind == "either")[:, None] | (kind == "either")
    alike = (kind[:, None] == kind) | (open_kind & (coupled | coupled.T))
    while True:
        above = _implied(above, moved)
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
        sign = 0
        if alike[j, k]:
            upper, lower = (j, k) if size[j] >= size[k] else (k, j)
        else:
            sign = decide(j, k, above) if decide else 0
            sign = sign or _fewer_links(above, linked, j, k)
            upper, lower = (j, k) if sign > 0 else (k, j)
        above[upper, lower] = True
        if not sign:
            guessed.append((upper, lower))
    depth = above.sum(0)
    parents = []
    for k in range(nv):
        over = np.flatnonzero(above[:, k])
        parents.append(int(over[np.argmax(depth[over])]) if len(over) else -1)
    return _acyclic(tuple(parents)), tuple(guessed)


def _fewer_links(above: NDArray[np.bool_], linked: NDArray[np.bool_], j: int, k: int) -> int:
    """1 if j carrying k implies fewer links that no test shows than k carrying j, -1 if more, 0 if
    as many: joints that hang on one of the two alone tell them apart."""
    unseen = []
    for upper, lower in ((j, k), (k, j)):
        over = above.copy()
        over[upper, lower] = True
        over = _closed(over)
        more = linked.copy()
        while True:
            # A joint linked with k hangs on k or carries it: it is linked with k's carriers too.
            grown = more | over | (over.astype(int) @ more.astype(int) > 0)
            grown |= grown.T
            if (grown == more).all():
                break
            more = grown
        np.fill_diagonal(more, False)
        unseen.append(int((more & ~linked).sum()))
    return int(np.sign(unseen[1] - unseen[0]))


def _implied(above: NDArray[np.bool_], moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All that follows: if j carries l and k moves H_jl, j carries k; carrying is transitive."""
    while True:
        more = above | np.einsum("jl,kjl->jk", above.astype(int), moved.astype(int)).astype(bool)
        more &= ~above.T
        both = more & more.T
        more = _closed(more & ~both | above)
        if (more == above).all():
            return above
        above = more


def _linked(above: NDArray[np.bool_], moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """k and l are on one chain if moving k changes H_jl for some j that carries l (k is then not j
    or above it, for those change nothing of H_jl)."""
    result = np.einsum("jl,kjl->kl", above.astype(int), moved.astype(int)).astype(bool)
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
        visited, at = {k}, fixed[k]
        while at >= 0:
            if at in visited:
                fixed[k] = -1
                break
            visited.add(at)
            at = fixed[at]
    return tuple(fixed)
