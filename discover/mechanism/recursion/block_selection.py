"""tau split by degree: what is linear in a, left at rest, even in v, and odd in v.

Which blocks a program is made of: each degree of tau picks the shortest that explain it.

The block of a comes by least squares, with rotors where bodies alone leave something, and the drag
from what is odd in v; for v² all subsets of up to three blocks are tried, and the best of each size
kept. What is there at rest is read by `at_rest`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np

from discover.mechanism.geometry.least_squares import above_noise, truncated
from discover.mechanism.geometry.screws import Array
from discover.mechanism.recursion.degree_split import DegreeSplit
from discover.mechanism.recursion.grammar import (
    SOURCES,
    Block,
    Samples,
    ScalarTerm,
    acceleration_blocks,
    root_blocks,
    scalar_blocks,
)

_EFFECTIVE = 200
_ALPHABET = 20
_FINALISTS = 8
_SAME = 1e-9
_FIRSTS = 24  # blocks that are tried as the first of a pair
_SEEN = (1e-9, 1e-3)  # of the best shown direction: exact answers, noisy ones
LEFT = 3.0  # floors: a misfit that leaves something to explain
_RIVALS = 3  # blocks of a that are tried with rotors
_WORTH = 1.02  # a direction that explains nothing takes up about this much of what is left


def length(error: float, floor: float, blocks: list[Block]) -> float:
    """Description length in nats: misfit at a fixed effective sample, and symbols."""
    cost = _EFFECTIVE * math.log(max(error, floor))
    for b in blocks:
        cost += 0.5 * math.log(_EFFECTIVE) + b.size * math.log(_ALPHABET)
    return cost


def inertia_block(samples: Samples, data: DegreeSplit) -> tuple[Block, Block | None, int]:
    """The block of a that H shows, by least squares over all distinct ones, with rotors where
    bodies alone do not explain it."""
    weight = 1.0 / data.H_scale
    y = (data.H * weight).ravel()
    found: list[tuple[float, Block]] = []
    seen, explained, least = 0, False, math.inf
    marks: list[Array] = []
    probe_phi = np.random.default_rng(3).normal(size=10 * samples.nb)
    for b in acceleration_blocks():
        Y = samples.block(b) * weight[None, :, :, None]
        rows = Y.reshape(-1, Y.shape[-1])
        mark = rows @ probe_phi
        if _known(mark, marks):
            continue
        seen += 1
        if explained:  # by a shorter one, to the last digit
            continue
        x = truncated(rows, y)
        loss = float(np.sqrt(np.mean((rows @ x - y) ** 2)))
        explained = loss <= data.rounding
        least = min(loss, least)
        found.append((length(loss, data.rounding, [b]), b))
    found.sort(key=lambda f: f[0])
    best: tuple[float, Block, Block | None] = (*found[0], None)
    if least <= LEFT * data.floor:
        return best[1], None, seen
    rotors, values = distinct(samples, scalar_blocks("rotor"))
    shown = [(Y * weight[None, :, :, None]).reshape(len(y), -1) for Y in values]

    def beside(b: Block, k: int) -> tuple[float, Block, Block]:
        bodies = (samples.block(b) * weight[None, :, :, None]).reshape(len(y), -1)
        rows = np.hstack([bodies, shown[k]])
        x = truncated(rows, y)
        loss = float(np.sqrt(np.mean((rows @ x - y) ** 2)))
        value = length(loss, data.rounding, [b, rotors[k]])
        return value, b, rotors[k]

    # The shortest rotors with every block of a, the others with the best of these.
    short = sum(r.size == rotors[0].size for r in rotors)
    pairs = [beside(b, k) for _, b in found for k in range(short)]
    pairs.sort(key=lambda f: f[0])
    pairs += [beside(b, k) for _, b, _ in pairs[:_RIVALS] for k in range(short, len(rotors))]
    best = min([best, *pairs], key=lambda f: f[0])
    return best[1], best[2], seen * (1 + len(rotors))


def _known(mark: Array, marks: list[Array]) -> bool:
    size = np.linalg.norm(mark)
    if size < 1e-12:
        return True
    mark = mark / size
    for other in marks:
        if abs(abs(mark @ other) - 1) < _SAME:
            return True
    marks.append(mark)
    return False


def distinct(samples: Samples, blocks: list[Block]) -> tuple[list[Block], list[Array]]:
    """Blocks that differ by more than a factor, the shortest of each; values (n, nv, k, p)."""
    kept: list[Block] = []
    values: list[Array] = []
    marks: list[Array] = []
    generator = np.random.default_rng(4)
    numbers = [generator.normal(size=n) for n in (samples.parameters, samples.nb)]
    for b in blocks:
        Y = samples.block(b)
        if not _known((Y @ numbers[b.form in SOURCES]).ravel(), marks):
            kept.append(b)
            values.append(Y)
    return kept, values


def drag_block(samples: Samples, data: DegreeSplit) -> ScalarTerm | None:
    """The block of first degree in v that what is odd in v shows."""
    y = (data.odd / data.scale).ravel()
    if np.sqrt(np.mean(y**2)) <= 3 * data.floor:
        return None
    best: tuple[float, ScalarTerm | None] = (np.inf, None)
    for b in scalar_blocks("drag"):
        rows = (samples.block(b)[:, :, 0] / data.scale[None, :, None]).reshape(-1, samples.nb)
        x = truncated(rows, y)
        value = length(float(np.sqrt(np.mean((rows @ x - y) ** 2))), data.rounding, [b])
        if value < best[0] - 1e-9:
            best = (value, ScalarTerm(b, x))
    return best[1]


def finalists(
    samples: Samples, data: DegreeSplit, values: list[Array], phi: Array
) -> list[tuple[int, ...]]:
    """The most promising subsets of up to three blocks, at the parameters known so far."""
    if not values:  # a tree whose bodies do not feel each other's speeds
        return [()]
    y = (data.even / data.scale).ravel()
    U = np.stack([(Y @ phi / data.scale).ravel() for Y in values], 1)
    size = np.linalg.norm(U, axis=0)
    U = U / np.where(size > 0, size, 1.0)
    G, b, total = U.T @ U, U.T @ y, float(y @ y)
    found: list[tuple[int, ...]] = [()]
    live = np.flatnonzero(size > 1e-9 * size.max())
    for count in (1, 2, 3):
        index = np.array(list(combinations(live, count)))
        loss = np.empty(len(index))
        for at in range(0, len(index), 200_000):
            part = index[at : at + 200_000]
            g = G[part[:, :, None], part[:, None, :]] + 1e-12 * np.eye(count)
            right = b[part]
            c = np.linalg.solve(g, right[..., None])[..., 0]
            loss[at : at + 200_000] = total - (c * right).sum(1)
        order = np.argsort(loss)[:_FINALISTS]
        found += [tuple(int(i) for i in index[k]) for k in order]
    return found


def unseen(
    samples: Samples, data: DegreeSplit, inertia: Block, root: Block | None, root_vector: Array
) -> Array:
    """Orthonormal directions (p, k) of the parameters that neither H nor the forces at rest show,
    under noise not well; blocks of v² may depend on them."""
    p = samples.parameters
    weight = 1.0 / data.H_scale
    rows = [(samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)]
    if root is not None:
        push = np.einsum("njkp,k->njp", samples.block(root), root_vector)
        rows.append((push / data.scale[None, :, None]).reshape(-1, p))
    _, s, vt = np.linalg.svd(np.concatenate(rows), full_matrices=True)
    shown = int((s > _SEEN[data.floor == 1.0] * s[0]).sum())
    return vt[shown:].T


def looser_finalists(
    data: DegreeSplit, values: list[Array], phi: Array, free: Array
) -> list[tuple[int, ...]]:
    """Blocks, and pairs of them, that explain v² best when each may choose the parameters `free`
    (p, k) by itself: what shares them is for the refit to say."""
    y = (data.even / data.scale).ravel()
    groups = []
    for Y in values:
        rows = (Y / data.scale[None, :, None]).reshape(len(y), -1)
        groups.append(_spanned(np.column_stack([rows @ phi, rows @ free]), 1e-9))
    alone = [float(np.sum((y - g @ (g.T @ y)) ** 2)) for g in groups]
    order = [int(i) for i in np.argsort(alone)]
    found: list[tuple[int, ...]] = [(i,) for i in order[:_FINALISTS]]
    pairs: list[tuple[float, tuple[int, ...]]] = []
    for i in order[:_FIRSTS]:
        first = groups[i]
        left = y - first @ (first.T @ y)
        for j, other in enumerate(groups):
            if j != i:
                more = _spanned(other - first @ (first.T @ other), 1e-7)
                loss = float(np.sum((left - more @ (more.T @ left)) ** 2))
                pairs.append((loss * _WORTH ** more.shape[1], (min(i, j), max(i, j))))
    return found + list(dict.fromkeys(pair for _, pair in sorted(pairs)))[: 3 * _FINALISTS]


def _spanned(columns: Array, tolerance: float) -> Array:
    """Orthonormal columns of the same span; columns are not longer than about one."""
    size = np.linalg.norm(columns, axis=0)
    u, s, _ = np.linalg.svd(columns / np.maximum(size, 1e-9), full_matrices=False)
    return u[:, s > tolerance * max(float(s[0]), 1e-300)] if len(s) else u


def root_block(
    samples: Samples, data: DegreeSplit, inertia: Block
) -> tuple[Block | None, Array, Array, ScalarTerm | None]:
    """The carried root vector that the forces at rest show, with parameters (p,) fitted to them and
    to H; and springs, where no root vector explains these forces."""
    weight = 1.0 / data.H_scale
    rows = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, samples.parameters)
    y = (data.H * weight).ravel()
    solved = truncated if data.floor < 1.0 else above_noise
    phi = solved(rows, y)
    push = data.rest / data.scale
    if np.sqrt(np.mean(push**2)) <= 3 * data.floor:
        return None, np.zeros(6), phi, None
    rest = _AtRest(rows, y, push.ravel(), phi, solved, data.rounding)
    bare = [(b, samples.block(b) / data.scale[None, :, None, None]) for b in root_blocks()]
    nothing = np.zeros((push.size, 0))
    value, block, root, x = rest.best(bare, nothing, [])
    if rest.least <= LEFT * data.floor:
        return block, root, x[: len(phi)], None
    chosen: ScalarTerm | None = None
    springs, values = distinct(samples, scalar_blocks("spring"))
    for k, (spring, Y) in enumerate(zip(springs, values, strict=True)):
        K = (Y[:, :, 0] / data.scale[None, :, None]).reshape(push.size, -1)
        alone = rest.alone(K, spring)
        # The first is tried with every way to carry the root vector, the others with the best.
        tried = bare if k == 0 else [(b, Z) for b, Z in bare if b == block]
        for found in (alone, rest.best(tried, K, [spring])):
            if found[0] < value - 1e-9:
                value, block, root, x = found
                chosen = ScalarTerm(spring, x[len(phi) :])
    return block, root, x[: len(phi)], chosen


_Weighed = tuple[float, Block | None, Array, Array]


class _AtRest:
    """Fits of H and the forces at rest together: parameters, a root vector, numbers of springs."""

    def __init__(
        self,
        rows: Array,
        y: Array,
        push: Array,
        phi: Array,
        solved: Callable[[Array, Array], Array],
        rounding: float,
    ):
        self.rows, self.y, self.push, self.phi = rows, y, push, phi
        self.solved, self.rounding = solved, rounding
        self.least = np.inf

    def best(self, blocks: list[tuple[Block, Array]], K: Array, others: list[Block]) -> _Weighed:
        """The root block (values (n, nv, 6, p)) of least description length, beside K (r, k)."""
        best: _Weighed = (np.inf, None, np.zeros(6), self.phi)
        for b, Y in blocks:
            # From the parameters that H shows, then from weight along each axis.
            shown = np.linalg.lstsq((Y @ self.phi).reshape(-1, 6), self.push, rcond=1e-9)[0]
            for start in (shown, *(9.81 * np.eye(6)[3:])):
                loss, root, x = self._from(start, Y, K)
                self.least = min(self.least, loss)
                value = length(loss, self.rounding, [b, *others])
                if value < best[0] - 1e-9:
                    best = (value, b, root, x)
                if loss < self.rounding:
                    break
        return best

    def alone(self, K: Array, spring: Block) -> _Weighed:
        """Springs without a root vector."""
        k = self.solved(K, self.push)
        left = np.concatenate([K @ k - self.push, self.rows @ self.phi - self.y])
        value = length(float(np.sqrt(np.mean(left**2))), self.rounding, [spring])
        return value, None, np.zeros(6), np.concatenate([self.phi, k])

    def _from(self, root: Array, Y: Array, K: Array) -> tuple[float, Array, Array]:
        """Parameters and springs, then the root vector, in turns: (misfit, root, x (p + k,))."""
        p = len(self.phi)
        x = np.zeros(p + K.shape[1])
        loss = np.inf
        above = np.hstack([self.rows, np.zeros((len(self.y), K.shape[1]))])
        for _ in range(25):
            new = np.einsum("njkp,k->njp", Y, root).reshape(-1, p)
            design = np.concatenate([above, np.hstack([new, K])])
            x = self.solved(design, np.concatenate([self.y, self.push]))
            J, pulled = (Y @ x[:p]).reshape(-1, 6), K @ x[p:] - self.push
            root = np.linalg.lstsq(J, -pulled, rcond=1e-9)[0]
            left = np.concatenate([J @ root + pulled, self.rows @ x[:p] - self.y])
            last, loss = loss, float(np.sqrt(np.mean(left**2)))
            if loss > 0.9 * last or loss < self.rounding:
                break
        return loss, root, x
