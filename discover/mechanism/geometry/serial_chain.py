"""One way from a root to a leaf: the screws of a chain, the outermost joints first.

Everything off the way stands still. The outermost joints' block of H and their forces need only
their own screws; each joint further in adds one line (four numbers) or one direction (two), tried
from several starts: first as machines have it, then anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.projection import Problem, Solution, solve_well
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler

STARTS = 24
_BEAM = 3
_ITERATIONS = 60
_TIDY = ("parallel", "upright", "across")  # directions tried before random ones
FEWER = 6  # starts, once it has shown that no screws fit


@dataclass(frozen=True, kw_only=True, eq=False)
class SerialChain:
    """screws (len(way), 6) in the way's order, and the gravity [m/s²] that goes with them; whether
    every stage came down to rounding or noise; the last stage's misfit, the floor for it, and on
    how many numbers."""

    screws: Array
    gravity: float
    reached: bool
    error: float
    floor: float
    count: int


def fit_serial_chain(
    sampler: DynamicsSampler,
    tree: ScrewTree,
    chain: tuple[int, ...],
    rng: np.random.Generator,
    *,
    effort: int = STARTS,
    joint_terms: tuple[str, ...] = (),
    hasty: bool = False,
) -> SerialChain:
    """Screws of the joints `way`, each carried by the one before. With `hasty` the first stage that
    no screws fit is the last."""
    m, reached, tidy, depth = len(chain), True, True, 24 if sampler.scatters else 1
    error, floor, count = 0.0, 0.0, 0
    beam = [(tree.gravity, start(_piece(tree, chain[m - 1 :]), rng))]
    for first in range(m - 2, -1, -1):
        part = chain[first:]
        piece = _piece(tree, part)
        q = np.repeat(tree.reference[None], 8 + 3 * len(part), 0)
        q[:, part] = sampler.draw(len(q))[:, part]
        training = sampler.at(q, replicates=depth).joints(list(part))
        problem = Problem.of(piece, training, whitened=sampler.scatters, joint_terms=joint_terms)
        tried: list[Solution] = []
        for k in range(-len(_TIDY), effort):
            gravity, inner = beam[k % len(beam)] if k >= 0 else beam[0]
            if k < 0 and not tidy:
                continue
            fresh = start(piece, rng)
            fresh[1:] = inner
            if k < 0:
                _tidy_start(fresh, _TIDY[k], alone=len(part) == 2)
            if piece.turning[0]:
                # Somewhere near the joints that are known already.
                centre = _near(inner, rng)
                fresh[0, 3:] = np.cross(centre, fresh[0, :3])
            price = 1.0 if k < 0 else 0.0
            from_here = problem.under(gravity)
            result = solve_well(from_here, fresh, iterations=_ITERATIONS, tidy=price)
            tried.append(result)
            if result.error < problem.floor:
                tidy = k < 0
                break
        tried.sort(key=lambda t: t.error)
        beam = [(t.gravity, t.screws) for t in tried[:_BEAM]]
        if tried[0].error < problem.floor:
            beam = beam[:1]
        else:
            reached, effort = False, min(effort, FEWER)
        error, floor, count = tried[0].error, problem.floor, len(problem.y)
        if hasty and not reached:
            break
    gravity, screws = beam[0]
    return SerialChain(
        screws=screws, gravity=gravity, reached=reached, error=error, floor=floor, count=count
    )


def _tidy_start(screws: Array, direction: str, *, alone: bool) -> None:
    """Turn the first screw's axis as machines have it; with `alone`, the second one's as well."""
    if alone:
        _point_along(screws[1], np.array([1.0, 0, 0]))
    outer = screws[1, :3] if np.any(screws[1, :3]) else screws[1, 3:]
    level = np.cross([0, 0, 1.0], outer)
    level = level / np.linalg.norm(level) if np.linalg.norm(level) > 0.1 else np.array([1.0, 0, 0])
    along = {"parallel": outer, "upright": np.array([0, 0, 1.0]), "across": level}[direction]
    _point_along(screws[0], along)


def _point_along(screw: Array, direction: Array) -> None:
    if np.any(screw[:3]):
        screw[:3], screw[3:] = direction, 0.0
    else:
        screw[3:] = direction


def _near(screws: Array, rng: np.random.Generator) -> Array:
    """A point at some tenths of a metre from the lines of known joints."""
    points = [np.cross(s[:3], s[3:]) for s in screws if np.any(s[:3])]
    middle = points[0] if points else np.zeros(3)
    return middle + np.exp(rng.uniform(np.log(0.05), np.log(0.6))) * _unit(rng.normal(size=3))


def start(tree: ScrewTree, rng: np.random.Generator) -> Array:
    """Screws in random directions through the origin."""
    directions = _unit(rng.normal(size=(len(tree.parents), 3)))
    turning = np.asarray(tree.turning)[:, None]
    zero = np.zeros_like(directions)
    return np.concatenate(
        [np.where(turning, directions, zero), np.where(turning, zero, directions)], 1
    )


def _unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _piece(tree: ScrewTree, part: tuple[int, ...]) -> ScrewTree:
    """A chain of some joints, the first of them on the base."""
    return ScrewTree(
        parents=tuple(range(-1, len(part) - 1)),
        turning=tuple(tree.turning[j] for j in part),
        reference=tree.reference[list(part)],
        gravity=tree.gravity,
        weight_open=tree.weight_open,
    )
