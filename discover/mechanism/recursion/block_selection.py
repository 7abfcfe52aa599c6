"""tau split by degree: what is linear in a, left at rest, even in v, and odd in v.

Which blocks a program is made of: each degree of tau picks the shortest that explain it.

The block of a comes by least squares, with rotors where bodies alone leave something, and the drag
from what is odd in v; for v² all subsets of up to three blocks are tried, and the best of each size
kept. What is there at rest is read by `at_rest`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from discover.mechanism.geometry.alternatives import truncated
from discover.mechanism.geometry.screws import Array
from discover.mechanism.probing import Prober
from discover.mechanism.recursion.grammar import (
    SOURCES,
    Block,
    Own,
    Samples,
    acceleration_blocks,
    own_blocks,
)

_FLOOR = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Probes:
    """What the model shows at n states: H, forces at rest, and the even and odd part in v.

    H_scale (nv, nv) and scale (nv,) are what misfits are counted in: sizes, or where answers
    scatter their deviations, with `floor` the misfit at which nothing is left to explain.
    `departure` from H(q) a + g + v + v² by degree, beside `chance`, what noise makes of it.
    """

    q: Array
    v: Array
    H: Array
    rest: Array
    even: Array
    odd: Array
    H_scale: Array
    scale: Array
    sizes: tuple[Array, Array]
    departure: dict[str, float]
    chance: float
    floor: float

    @property
    def rounding(self) -> float:
        """The misfit below which no program is better than another: there deviations are never as
        exact as the differences that noise leaves between programs."""
        return min(self.floor, _FLOOR)


def probe(prober: Prober, n: int, width: float = 1.0) -> Probes:
    """Answers at n states, split by degree."""
    depth = 16 if prober.noisy else 1
    if prober.noisy:
        n *= 3
    # What v² does grows outward, noise does not.
    q, v = prober.draw(n, width), prober.draw_velocities(n, max(width, 3.0 * prober.noisy))
    at_rest = prober.at(q, replicates=depth)
    ahead, back = prober.at(q, v, depth), prober.at(q, -v, depth)
    double = prober.at(q[: n // 3], 2 * v[: n // 3], depth)
    reverse = prober.at(q[: n // 3], -2 * v[: n // 3], depth)
    even = 0.5 * (ahead.force + back.force) - at_rest.force
    odd = 0.5 * (ahead.force - back.force)
    few = slice(0, n // 3)
    even2 = 0.5 * (double.force + reverse.force) - at_rest.force[few]
    odd2 = 0.5 * (double.force - reverse.force)
    own = np.sqrt(np.abs(np.einsum("nii->ni", at_rest.H)).mean(0)) + 1e-300
    size = float(np.sqrt(np.mean((np.concatenate([even, at_rest.force]) / own) ** 2))) + 1e-300

    def share(x: Array) -> float:
        return float(np.sqrt(np.mean((x / own) ** 2))) / size

    departure = {
        "v⁴": share(even2 - 4 * even[few]),
        "v³": share(odd2 - 2 * odd[few]),
        "v² a": float(np.sqrt(np.mean(((ahead.H - at_rest.H) / np.outer(own, own)) ** 2))),
        "a²": prober.noise,
    }
    H_size, push = np.outer(own, own), own * size
    H_scale, scale, floor = H_size, push, _FLOOR
    if prober.noisy:
        H_scale = np.sqrt((at_rest.H_deviation**2).mean(0))
        scale = np.sqrt((at_rest.force_deviation**2).mean(0) + (ahead.force_deviation**2).mean(0))
        floor = 1.0
    return Probes(
        q=q, v=v, H=at_rest.H, rest=at_rest.force, even=even, odd=odd, H_scale=H_scale,
        scale=scale, sizes=(H_size, push), departure=departure,
        chance=10 * share(double.force_deviation), floor=floor,
    )  # fmt: skip


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


def inertia_block(samples: Samples, data: Probes) -> tuple[Block, Block | None, int]:
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
    rotors, values = distinct(samples, own_blocks("rotor"))
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


def drag_block(samples: Samples, data: Probes) -> Own | None:
    """The block of first degree in v that what is odd in v shows."""
    y = (data.odd / data.scale).ravel()
    if np.sqrt(np.mean(y**2)) <= 3 * data.floor:
        return None
    best: tuple[float, Own | None] = (np.inf, None)
    for b in own_blocks("drag"):
        rows = (samples.block(b)[:, :, 0] / data.scale[None, :, None]).reshape(-1, samples.nb)
        x = truncated(rows, y)
        value = length(float(np.sqrt(np.mean((rows @ x - y) ** 2))), data.rounding, [b])
        if value < best[0] - 1e-9:
            best = (value, Own(b, x))
    return best[1]


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
