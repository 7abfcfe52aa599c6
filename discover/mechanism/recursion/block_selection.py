"""Which blocks a recursion is made of: each degree of tau picks the shortest that explain it.

The inertia block comes by least squares over all of the grammar, with rotors where bodies alone
don't suffice. Gravity is a vector at the base that is carried outward, times what bodies have of
mass: bilinear in the two, so each is fitted with the other held, in turns, to static forces and H
together; where no vector explains the static forces, joints may have springs. The drag block comes
from what is odd in v. Of velocity blocks all subsets of up to three are compared at the parameters
known so far, and the best of each size are left to the joint refit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np

from discover.judgement.thresholds import threshold, whole
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

FINALISTS = whole("mechanism.finalists")
_EFFECTIVE = whole("mechanism.effective_sample")
_ALPHABET = whole("mechanism.alphabet")
_FIRSTS = whole("mechanism.first_blocks")
_UNEXPLAINED = threshold("mechanism.unexplained")
_INERTIA_RIVALS = whole("mechanism.inertia_rivals")
_FREE_DIRECTION = threshold("mechanism.free_direction_price")
_SHOWN_UNDER_NOISE = threshold("mechanism.shown_under_noise")
_SHOWN = 1e-9  # relative singular value that rounding leaves of exact answers
_SAME = 1e-9  # sine below which two blocks differ by a factor only
_CHUNK = 200_000  # subsets whose small systems are solved at once


def length(error: float, floor: float, blocks: list[Block]) -> float:
    """Description length of blocks [nats]: misfit at a fixed effective sample size, and symbols.

    error   of the fit, `floor` below which it counts as zero; both in the same unit
    """
    cost = _EFFECTIVE * math.log(max(error, floor))
    for b in blocks:
        cost += 0.5 * math.log(_EFFECTIVE) + b.size * math.log(_ALPHABET)
    return cost


def inertia_block(samples: Samples, data: DegreeSplit) -> tuple[Block, Block | None, int]:
    """The inertia block that explains H, a rotor block where bodies alone don't, and how many
    blocks were compared."""
    weight = 1.0 / data.H_scale
    y = (data.H * weight).ravel()
    ranked: list[tuple[float, Block]] = []
    compared, explained, least = 0, False, math.inf
    marks: list[Array] = []
    random_phi = np.random.default_rng(3).normal(size=10 * samples.nb)
    for b in acceleration_blocks():
        Y = samples.block(b) * weight[None, :, :, None]
        rows = Y.reshape(-1, Y.shape[-1])
        mark = rows @ random_phi
        if _known(mark, marks):
            continue
        compared += 1
        if explained:  # by a shorter one, to the last digit
            continue
        x = truncated(rows, y)
        loss = float(np.sqrt(np.mean((rows @ x - y) ** 2)))
        explained = loss <= data.rounding
        least = min(loss, least)
        ranked.append((length(loss, data.rounding, [b]), b))
    ranked.sort(key=lambda f: f[0])
    best: tuple[float, Block, Block | None] = (*ranked[0], None)
    if least <= _UNEXPLAINED * data.floor:
        return best[1], None, compared
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
    pairs = [beside(b, k) for _, b in ranked for k in range(short)]
    pairs.sort(key=lambda f: f[0])
    pairs += [
        beside(b, k) for _, b, _ in pairs[:_INERTIA_RIVALS] for k in range(short, len(rotors))
    ]
    best = min([best, *pairs], key=lambda f: f[0])
    return best[1], best[2], compared * (1 + len(rotors))


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
    """Blocks that differ by more than a factor, the shortest of each kind, with their values
    (n, nv, k, p) at the samples."""
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
    """The drag block that best explains what is odd in v; None where nothing is."""
    y = (data.odd / data.scale).ravel()
    if np.sqrt(np.mean(y**2)) <= _UNEXPLAINED * data.floor:
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
    data: DegreeSplit, values: list[Array], phi: Array, count: int = FINALISTS
) -> list[tuple[int, ...]]:
    """The most promising subsets of up to three velocity blocks, `count` of each size.

    values  (n, nv, p) of each block
    phi     (p,) parameters as known so far
    """
    if not values:  # a tree whose bodies don't couple through velocities
        return [()]
    y = (data.even / data.scale).ravel()
    U = np.stack([(Y @ phi / data.scale).ravel() for Y in values], 1)
    size = np.linalg.norm(U, axis=0)
    U = U / np.where(size > 0, size, 1.0)
    G, b, total = U.T @ U, U.T @ y, float(y @ y)
    subsets: list[tuple[int, ...]] = [()]
    live = np.flatnonzero(size > 1e-9 * size.max())
    for order in (1, 2, 3):
        index = np.array(list(combinations(live, order)))
        loss = np.empty(len(index))
        for at in range(0, len(index), _CHUNK):
            part = index[at : at + _CHUNK]
            g = G[part[:, :, None], part[:, None, :]] + 1e-12 * np.eye(order)
            right = b[part]
            c = np.linalg.solve(g, right[..., None])[..., 0]
            loss[at : at + _CHUNK] = total - (c * right).sum(1)
        best = np.argsort(loss)[:count]
        subsets += [tuple(int(i) for i in index[k]) for k in best]
    return subsets


def unseen(
    samples: Samples, data: DegreeSplit, inertia: Block, root: Block | None, root_vector: Array
) -> Array:
    """Orthonormal directions (p, k) of the parameters that neither H nor static forces determine,
    under noise not well; velocity blocks may depend on them."""
    p = samples.parameters
    weight = 1.0 / data.H_scale
    rows = [(samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)]
    if root is not None:
        push = np.einsum("njkp,k->njp", samples.block(root), root_vector)
        rows.append((push / data.scale[None, :, None]).reshape(-1, p))
    _, s, vt = np.linalg.svd(np.concatenate(rows), full_matrices=True)
    shown = int((s > (_SHOWN_UNDER_NOISE if data.floor == 1.0 else _SHOWN) * s[0]).sum())
    return vt[shown:].T


def looser_finalists(
    data: DegreeSplit, values: list[Array], phi: Array, free: Array, count: int = FINALISTS
) -> list[tuple[int, ...]]:
    """Single velocity blocks, and pairs of them, that explain v² best if each may choose the
    parameter directions `free` (p, k) by itself; the refit decides which they share."""
    y = (data.even / data.scale).ravel()
    groups = []
    for Y in values:
        rows = (Y / data.scale[None, :, None]).reshape(len(y), -1)
        groups.append(_spanned(np.column_stack([rows @ phi, rows @ free]), 1e-9))
    alone = [float(np.sum((y - g @ (g.T @ y)) ** 2)) for g in groups]
    order = [int(i) for i in np.argsort(alone)]
    singles: list[tuple[int, ...]] = [(i,) for i in order[:count]]
    pairs: list[tuple[float, tuple[int, ...]]] = []
    for i in order[:_FIRSTS]:
        first = groups[i]
        left = y - first @ (first.T @ y)
        for j, other in enumerate(groups):
            if j != i:
                more = _spanned(other - first @ (first.T @ other), 1e-7)
                loss = float(np.sum((left - more @ (more.T @ left)) ** 2))
                pairs.append((loss * _FREE_DIRECTION ** more.shape[1], (min(i, j), max(i, j))))
    return singles + list(dict.fromkeys(pair for _, pair in sorted(pairs)))[: 3 * count]


def _spanned(columns: Array, tolerance: float) -> Array:
    """Orthonormal columns of the same span; columns are not longer than about one."""
    size = np.linalg.norm(columns, axis=0)
    u, s, _ = np.linalg.svd(columns / np.maximum(size, 1e-9), full_matrices=False)
    return u[:, s > tolerance * max(float(s[0]), 1e-300)] if len(s) else u


def root_block(
    samples: Samples, data: DegreeSplit, inertia: Block
) -> tuple[Block | None, Array, Array, ScalarTerm | None]:
    """The gravity block that explains the static forces: (block, root vector (6,), parameters (p,)
    fitted to static forces and H, springs where no root vector explains them)."""
    weight = 1.0 / data.H_scale
    rows = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, samples.parameters)
    y = (data.H * weight).ravel()
    solved = truncated if data.floor < 1.0 else above_noise
    phi = solved(rows, y)
    push = data.rest / data.scale
    if np.sqrt(np.mean(push**2)) <= _UNEXPLAINED * data.floor:
        return None, np.zeros(6), phi, None
    rest = _StaticFit(rows, y, push.ravel(), phi, solved, data.rounding)
    bare = [(b, samples.block(b) / data.scale[None, :, None, None]) for b in root_blocks()]
    nothing = np.zeros((push.size, 0))
    value, block, root, x = rest.best(bare, nothing, [])
    if rest.least <= _UNEXPLAINED * data.floor:
        return block, root, x[: len(phi)], None
    chosen: ScalarTerm | None = None
    springs, values = distinct(samples, scalar_blocks("spring"))
    for k, (spring, Y) in enumerate(zip(springs, values, strict=True)):
        K = (Y[:, :, 0] / data.scale[None, :, None]).reshape(push.size, -1)
        alone = rest.alone(K, spring)
        # The shortest springs are tried with every root block, the others with the best.
        tried = bare if k == 0 else [(b, Z) for b, Z in bare if b == block]
        for candidate in (alone, rest.best(tried, K, [spring])):
            if candidate[0] < value - 1e-9:
                value, block, root, x = candidate
                chosen = ScalarTerm(spring, x[len(phi) :])
    return block, root, x[: len(phi)], chosen


_Candidate = tuple[float, Block | None, Array, Array]


class _StaticFit:
    """Fits of H and static forces together: parameters, a root vector, numbers of springs."""

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

    def best(self, blocks: list[tuple[Block, Array]], K: Array, others: list[Block]) -> _Candidate:
        """The root block (values (n, nv, 6, p)) of least description length, beside K (r, k)."""
        best: _Candidate = (np.inf, None, np.zeros(6), self.phi)
        for b, Y in blocks:
            # From the parameters that H determines, then from gravity along each axis.
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

    def alone(self, K: Array, spring: Block) -> _Candidate:
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
