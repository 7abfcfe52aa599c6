"""Which blocks a program is made of: each degree of tau picks the shortest that explain it.

The block of a comes by least squares, the root vector from the forces at rest, the drag from what
is odd in v; for v² all subsets of up to three blocks are tried, and the best of each size kept.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from discover.structure.degrees import Probes
from discover.structure.language import (
    Block,
    Samples,
    acceleration_blocks,
    drag_blocks,
    root_blocks,
)
from discover.structure.rivals import above_noise, truncated
from discover.structure.screws import Array

_EFFECTIVE = 200
_ALPHABET = 20
_FINALISTS = 8
_SAME = 1e-9
_FIRSTS = 24  # blocks that are tried as the first of a pair
_SEEN = (1e-9, 1e-3)  # of the best shown direction: exact answers, noisy ones
_WORTH = 1.02  # a direction that explains nothing takes up about this much of what is left


def length(error: float, floor: float, blocks: list[Block]) -> float:
    """Description length in nats: misfit at a fixed effective sample, and symbols."""
    cost = _EFFECTIVE * math.log(max(error, floor))
    for b in blocks:
        cost += 0.5 * math.log(_EFFECTIVE) + b.size * math.log(_ALPHABET)
    return cost


def inertia_block(samples: Samples, data: Probes) -> tuple[Block, int]:
    """The block of a that H shows, by least squares over all distinct ones."""
    weight = 1.0 / data.H_scale
    y = (data.H * weight).ravel()
    found: list[tuple[float, Block]] = []
    seen, explained = 0, False
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
        found.append((length(loss, data.rounding, [b]), b))
    return min(found, key=lambda f: f[0])[1], seen


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
    """Blocks that differ by more than a factor, the shortest of each; values (n, nv, p)."""
    kept: list[Block] = []
    values: list[Array] = []
    marks: list[Array] = []
    probe_phi = np.random.default_rng(4).normal(size=10 * samples.nb)
    for b in blocks:
        Y = samples.block(b)[:, :, 0]
        if not _known((Y @ probe_phi).ravel(), marks):
            kept.append(b)
            values.append(Y)
    return kept, values


def root_block(samples: Samples, data: Probes, inertia: Block) -> tuple[Block | None, Array, Array]:
    """The carried root vector that the forces at rest show, with parameters fitted to both."""
    weight = 1.0 / data.H_scale
    rows = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, 10 * samples.nb)
    y = (data.H * weight).ravel()
    solved = truncated if data.floor < 1.0 else above_noise
    phi = solved(rows, y)
    push = data.rest / data.scale
    if np.sqrt(np.mean(push**2)) <= 3 * data.floor:
        return None, np.zeros(6), phi
    best: tuple[float, Block | None, Array, Array] = (np.inf, None, np.zeros(6), phi)
    for b in root_blocks():
        Y = samples.block(b) / data.scale[None, :, None, None]  # (n, nv, 6, p)
        # From the parameters that H shows, then from weight along each axis.
        shown = np.linalg.lstsq((Y @ phi).reshape(-1, 6), push.ravel(), rcond=1e-9)[0]
        for start in (shown, *(9.81 * np.eye(6)[3:])):
            root, x = start, phi
            loss = np.inf
            for _ in range(25):
                new = np.einsum("njkp,k->njp", Y, root).reshape(-1, Y.shape[-1])
                x = solved(np.concatenate([rows, new]), np.concatenate([y, push.ravel()]))
                J = (Y @ x).reshape(-1, 6)
                root = np.linalg.lstsq(J, push.ravel(), rcond=1e-9)[0]
                left = np.concatenate([J @ root - push.ravel(), rows @ x - y])
                last, loss = loss, float(np.sqrt(np.mean(left**2)))
                if loss > 0.9 * last or loss < data.rounding:
                    break
            value = length(loss, data.rounding, [b])
            if value < best[0] - 1e-9:
                best = (value, b, root, x)
            if loss < data.rounding:
                break
    return best[1], best[2], best[3]


def drag_block(samples: Samples, data: Probes) -> tuple[Block | None, Array]:
    y = (data.odd / data.scale).ravel()
    if np.sqrt(np.mean(y**2)) <= 3 * data.floor:
        return None, np.zeros(samples.nb)
    best: tuple[float, Block | None, Array] = (np.inf, None, np.zeros(samples.nb))
    for b in drag_blocks():
        rows = (samples.block(b)[:, :, 0] / data.scale[None, :, None]).reshape(-1, samples.nb)
        x = truncated(rows, y)
        value = length(float(np.sqrt(np.mean((rows @ x - y) ** 2))), data.rounding, [b])
        if value < best[0] - 1e-9:
            best = (value, b, x)
    return best[1], best[2]


def finalists(
    samples: Samples, data: Probes, values: list[Array], phi: Array
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
    samples: Samples, data: Probes, inertia: Block, root: Block | None, root_vector: Array
) -> Array:
    """Orthonormal directions (p, k) of the parameters that neither H nor the forces at rest show,
    under noise not well; blocks of v² may depend on them."""
    p = 10 * samples.nb
    weight = 1.0 / data.H_scale
    rows = [(samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)]
    if root is not None:
        push = np.einsum("njkp,k->njp", samples.block(root), root_vector)
        rows.append((push / data.scale[None, :, None]).reshape(-1, p))
    _, s, vt = np.linalg.svd(np.concatenate(rows), full_matrices=True)
    shown = int((s > _SEEN[data.floor == 1.0] * s[0]).sum())
    return vt[shown:].T


def looser_finalists(
    data: Probes, values: list[Array], phi: Array, free: Array
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
