"""The search for the recursion that a model computes, over all programs of the language.

tau is split by degree with wide probes: what is linear in a, what is left at rest, what is even
and what is odd in v. The block of a comes by least squares, the root vector from the forces at
rest, the blocks of v² from all subsets of up to three with free real coefficients; the best of
each size are refitted jointly (parameters, root, coefficients); the shortest description wins.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from discover.structure.language import (
    Block,
    Samples,
    acceleration_blocks,
    drag_blocks,
    root_blocks,
    velocity_blocks,
)
from discover.structure.probing import Prober
from discover.structure.rivals import truncated
from discover.structure.screws import Array, ScrewTree

_EFFECTIVE = 200
_ALPHABET = 20
_FINALISTS = 8
_SAME = 1e-9
_FLOOR = 1e-9
_EQUIVALENT = 1e-7
_FAIR = 1.3


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Recursion:
    """A program of the language with its numbers.

    inertia, root, drag   one block each (drag None where nothing is odd in v)
    velocity              blocks of v² with `coefficients`
    parameters (nb, 10); root_vector (6,); drags (nb,)
    error, held_out       relative misfit of tau, fitted and in the shell beyond
    """

    tree: ScrewTree
    screws: Array
    inertia: Block
    root: Block | None
    velocity: tuple[Block, ...]
    drag: Block | None
    coefficients: Array
    parameters: Array
    root_vector: Array
    drags: Array
    error: float
    held_out: float
    by_degree: dict[str, float]
    length: float
    runner_up: float
    programs: int
    blocks: dict[str, int]
    departure: dict[str, float]
    equivalent: bool
    queries: int
    seconds: float


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


def search(
    prober: Prober, tree: ScrewTree, screws: Array, *, states: int = 24, shell: float = 3.0
) -> Recursion:
    """The program of the language that predicts the model best for its length."""
    started, before = time.perf_counter(), prober.respondent.queries
    nv = len(tree.parents)
    data = probe(prober, max(states, 3 * nv))
    samples = Samples(tree, screws, data.q, data.v)
    inertia, a_count = _inertia(samples, data)
    root, root_vector, phi = _root(samples, data, inertia)
    drag, drags = _drag(samples, data)
    blocks, values = _distinct(samples, velocity_blocks())
    finals = _finalists(samples, data, values, phi)
    trials = [
        _refit(samples, data, inertia, root, [values[k] for k in f], root_vector) for f in finals
    ]
    lengths = [
        _length(fit.error, data.floor, [blocks[k] for k in f])
        for f, fit in zip(finals, trials, strict=True)
    ]
    rank = np.argsort(lengths)
    best = int(rank[0])
    chosen = tuple(blocks[k] for k in finals[best])
    k = len(blocks)
    count = a_count * len(root_blocks()) * (1 + k + math.comb(k, 2) + math.comb(k, 3))
    found = Recursion(
        tree=tree,
        screws=samples.screws,
        inertia=inertia,
        root=root,
        velocity=chosen,
        drag=drag,
        coefficients=trials[best].coefficients,
        parameters=trials[best].phi.reshape(-1, 10),
        root_vector=trials[best].root,
        drags=drags,
        error=trials[best].error,
        held_out=np.inf,
        by_degree={},
        length=float(lengths[best]),
        runner_up=float(lengths[rank[1]]) if len(rank) > 1 else np.inf,
        programs=count,
        blocks={"a": a_count, "v²": k, "root": len(root_blocks())},
        departure=data.departure,
        equivalent=False,
        queries=0,
        seconds=0.0,
    )
    far = probe(prober, max(12, nv), shell)
    by_degree = misfits(found, far)
    held = max(by_degree.values())
    clean = max(data.departure.values()) <= max(_EQUIVALENT, 3 * data.chance)
    limit = max(_EQUIVALENT, 3 * far.chance if prober.noisy else 0.0)
    fits = found.error <= (_FAIR if prober.noisy else _EQUIVALENT)
    return replace(
        found,
        by_degree=by_degree,
        held_out=held,
        equivalent=clean and held <= limit and fits,
        queries=prober.respondent.queries - before,
        seconds=time.perf_counter() - started,
    )


def misfits(found: Recursion, data: Probes) -> dict[str, float]:
    """Relative misfit of each part of tau at other states."""
    samples = Samples(found.tree, found.screws, data.q, data.v)
    phi = found.parameters.ravel()
    H_size, own = data.sizes
    H = samples.block(found.inertia) @ phi
    result = {"a": float(np.sqrt(np.mean(((H - data.H) / H_size) ** 2)))}
    even = np.zeros_like(data.even)
    for c, b in zip(found.coefficients, found.velocity, strict=True):
        even = even + c * (samples.block(b) @ phi)[..., 0]
    rest = np.zeros_like(data.rest)
    if found.root is not None:
        rest = (samples.block(found.root) @ phi) @ found.root_vector
    odd = np.zeros_like(data.odd)
    if found.drag is not None:
        odd = (samples.block(found.drag) @ found.drags)[..., 0]
    parts = (("v²", even, data.even), ("rest", rest, data.rest), ("v", odd, data.odd))
    for name, mine, its in parts:
        result[name] = float(np.sqrt(np.mean(((mine - its) / own) ** 2)))
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    phi: Array
    coefficients: Array
    root: Array
    error: float


def _weighted_H(data: Probes) -> Array:
    return 1.0 / data.H_scale


def _inertia(samples: Samples, data: Probes) -> tuple[Block, int]:
    """The block of a that H shows, by least squares over all distinct ones."""
    weight = _weighted_H(data)
    y = (data.H * weight).ravel()
    found, seen = [], 0
    marks: list[Array] = []
    probe_phi = np.random.default_rng(3).normal(size=10 * samples.nb)
    for b in acceleration_blocks():
        Y = samples.block(b) * weight[None, :, :, None]
        rows = Y.reshape(-1, Y.shape[-1])
        mark = rows @ probe_phi
        if _known(mark, marks):
            continue
        seen += 1
        x = truncated(rows, y)
        loss = float(np.sqrt(np.mean((rows @ x - y) ** 2)))
        found.append((_length(loss, data.floor, [b]), b))
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


def _distinct(samples: Samples, blocks: list[Block]) -> tuple[list[Block], list[Array]]:
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


def _root(samples: Samples, data: Probes, inertia: Block) -> tuple[Block | None, Array, Array]:
    """The carried root vector that the forces at rest show, with parameters fitted to both."""
    weight = _weighted_H(data)
    rows = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, 10 * samples.nb)
    y = (data.H * weight).ravel()
    phi = truncated(rows, y)
    push = data.rest / data.scale
    if np.sqrt(np.mean(push**2)) <= 3 * data.floor:
        return None, np.zeros(6), phi
    best: tuple[float, Block | None, Array, Array] = (np.inf, None, np.zeros(6), phi)
    for b in root_blocks():
        Y = samples.block(b) / data.scale[None, :, None, None]  # (n, nv, 6, p)
        for start in np.eye(6)[3:]:
            root, x = 9.81 * start, phi
            loss = np.inf
            for _ in range(25):
                new = np.einsum("njkp,k->njp", Y, root).reshape(-1, Y.shape[-1])
                x = truncated(np.concatenate([rows, new]), np.concatenate([y, push.ravel()]))
                J = (Y @ x).reshape(-1, 6)
                root = np.linalg.lstsq(J, push.ravel(), rcond=1e-9)[0]
                last, loss = loss, float(np.sqrt(np.mean((J @ root - push.ravel()) ** 2)))
                if loss > 0.9 * last or loss < data.floor:
                    break
            value = _length(loss, data.floor, [b])
            if value < best[0] - 1e-9:
                best = (value, b, root, x)
            if loss < 2 * data.floor:
                break
    return best[1], best[2], best[3]


def _drag(samples: Samples, data: Probes) -> tuple[Block | None, Array]:
    y = (data.odd / data.scale).ravel()
    if np.sqrt(np.mean(y**2)) <= 3 * data.floor:
        return None, np.zeros(samples.nb)
    best: tuple[float, Block | None, Array] = (np.inf, None, np.zeros(samples.nb))
    for b in drag_blocks():
        rows = (samples.block(b)[:, :, 0] / data.scale[None, :, None]).reshape(-1, samples.nb)
        x = truncated(rows, y)
        value = _length(float(np.sqrt(np.mean((rows @ x - y) ** 2))), data.floor, [b])
        if value < best[0] - 1e-9:
            best = (value, b, x)
    return best[1], best[2]


def _finalists(
    samples: Samples, data: Probes, values: list[Array], phi: Array
) -> list[tuple[int, ...]]:
    """The most promising subsets of up to three blocks, at the parameters known so far."""
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


def _refit(
    samples: Samples,
    data: Probes,
    inertia: Block,
    root: Block | None,
    values: list[Array],
    root_vector: Array,
) -> _Fit:
    """Parameters, root vector and coefficients together, by Gauss-Newton on the whole of tau."""
    weight = _weighted_H(data)
    p = 10 * samples.nb
    A = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)
    R = None
    if root is not None:
        R = np.moveaxis(samples.block(root) / data.scale[None, :, None, None], 2, 0)
        R = R.reshape(6, -1, p)
    V = [(Y / data.scale[None, :, None]).reshape(-1, p) for Y in values]
    y = [data.H * weight, data.rest / data.scale, data.even / data.scale]
    y = [x.ravel() for x in y]
    c, r = np.ones(len(V)), root_vector
    right = np.concatenate(y)
    phi, best = np.zeros(p), np.inf
    scale_c = len(V)
    for step in range(20):
        rows = [A, np.tensordot(r, R, 1) if R is not None else np.zeros((len(y[1]), p))]
        rows.append(sum((k * Y for k, Y in zip(c, V, strict=True)), np.zeros((len(y[2]), p))))
        design = np.concatenate(rows)
        if step == 0:
            phi = truncated(A, y[0])
            if V:
                U = np.stack([Y @ phi for Y in V], 1)
                c = np.linalg.lstsq(U, y[2], rcond=1e-9)[0]
                continue
        x = truncated(design, right)
        left = right - design @ x
        loss = float(np.sqrt(np.mean(left**2)))
        if loss < best:
            phi, best, kept = x, loss, (c.copy(), r.copy())
        if loss < 1e-13 or (scale_c == 0 and R is None):
            break
        # Kaufman: change of c and r, with what the parameters make up for projected out.
        J = np.zeros((len(right), len(V) + (6 if R is not None else 0)))
        first, second = len(y[0]), len(y[0]) + len(y[1])
        for k, Y in enumerate(V):
            J[second:, k] = Y @ x
        if R is not None:
            for k in range(6):
                J[first:second, len(V) + k] = R[k] @ x
        size = np.linalg.norm(design, axis=0)
        u, s, _ = np.linalg.svd(design / np.where(size > 0, size, 1.0), full_matrices=False)
        u = u[:, s > 1e-9 * s[0]]
        J = J - u @ (u.T @ J)
        change = np.linalg.lstsq(J, left, rcond=1e-8)[0]
        if not np.isfinite(change).all() or np.linalg.norm(change) < 1e-13:
            break
        c = c + change[: len(V)]
        r = r + change[len(V) :] if R is not None else r
    return _Fit(phi=phi, coefficients=kept[0], root=kept[1], error=best)


def _length(error: float, floor: float, blocks: list[Block]) -> float:
    """Description length in nats: misfit at a fixed effective sample, and symbols."""
    cost = _EFFECTIVE * math.log(max(error, floor))
    for b in blocks:
        cost += 0.5 * math.log(_EFFECTIVE) + b.size * math.log(_ALPHABET)
    return cost
