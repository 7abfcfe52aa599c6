"""The screws of a serial chain from the root to a leaf, fitted from its outer end inward.

All joints off the chain stand still. The outermost joints' block of H and their static forces
depend on their own screws only, with gravity along -z at the reference pose. Each joint further in
adds one line (four numbers) or one direction (two), which is tried from several starts: first along
special directions, as in most machines, then at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.judgement.thresholds import whole
from discover.mechanism.geometry.projection import Problem, Solution, solve_well
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler

STARTS = whole("mechanism.starts")
FEWER = whole("mechanism.starts_after_misfit")
_BEAM = whole("mechanism.chain_beam")
_REPLICATES = whole("mechanism.chain_replicates")
_ITERATIONS = 60  # of the solver
_SPECIAL = ("parallel", "upright", "across")  # directions tried before random ones


@dataclass(frozen=True, kw_only=True, eq=False)
class SerialChain:
    """The fitted screws of a chain.

    screws   (len(chain), 6) unit, in the chain's order
    gravity  [m/s²] the size that goes with them
    reached  whether every stage came down to rounding or noise
    error    misfit of the last stage, `floor` at which nothing is left to explain, and `count` how
             many numbers were fitted
    """

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
    starts: int = STARTS,
    joint_terms: tuple[str, ...] = (),
) -> SerialChain:
    """Fit the screws of the joints `chain`, each carried by the one before.

    tree         kinds, reference pose and gravity; its parents are not used
    rng          of random starts
    starts       random starts a joint; fewer once a stage has not fitted
    joint_terms  which terms of `projection.JOINT_TERMS` are fitted beside the bodies
    """
    m, reached, special = len(chain), True, True
    replicates = _REPLICATES if sampler.scatters else 1
    error, floor, count = 0.0, 0.0, 0
    beam = [(tree.gravity, start(_piece(tree, chain[m - 1 :]), rng))]
    for first in range(m - 2, -1, -1):
        part = chain[first:]
        piece = _piece(tree, part)
        q = np.repeat(tree.reference[None], 8 + 3 * len(part), 0)
        q[:, part] = sampler.draw(len(q))[:, part]
        training = sampler.at(q, replicates=replicates).joints(list(part))
        problem = Problem.of(piece, training, whitened=sampler.scatters, joint_terms=joint_terms)
        tried: list[Solution] = []
        for k in range(-len(_SPECIAL), starts):
            gravity, inner = beam[k % len(beam)] if k >= 0 else beam[0]
            if k < 0 and not special:
                continue
            fresh = start(piece, rng)
            fresh[1:] = inner
            if k < 0:
                _point_specially(fresh, _SPECIAL[k], alone=len(part) == 2)
            if piece.turning[0]:
                centre = _near(inner, rng)
                fresh[0, 3:] = np.cross(centre, fresh[0, :3])
            price = 1.0 if k < 0 else 0.0
            from_here = problem.under(gravity)
            result = solve_well(from_here, fresh, iterations=_ITERATIONS, tidy=price)
            tried.append(result)
            if result.error < problem.floor:
                special = k < 0
                break
        tried.sort(key=lambda t: t.error)
        beam = [(t.gravity, t.screws) for t in tried[:_BEAM]]
        if tried[0].error < problem.floor:
            beam = beam[:1]
        else:
            reached, starts = False, min(starts, FEWER)
        error, floor, count = tried[0].error, problem.floor, len(problem.y)
    gravity, screws = beam[0]
    return SerialChain(
        screws=screws, gravity=gravity, reached=reached, error=error, floor=floor, count=count
    )


def _point_specially(screws: Array, direction: str, *, alone: bool) -> None:
    """Point the first screw along a special direction; with `alone`, the second one along x."""
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
    """A random point at some tenths of a metre from the lines of known joints."""
    points = [np.cross(s[:3], s[3:]) for s in screws if np.any(s[:3])]
    middle = points[0] if points else np.zeros(3)
    return middle + np.exp(rng.uniform(np.log(0.05), np.log(0.6))) * _unit(rng.normal(size=3))


def start(tree: ScrewTree, rng: np.random.Generator) -> Array:
    """Unit screws (nv, 6) in random directions through the origin."""
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
