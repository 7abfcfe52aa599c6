"""The geometry of a black box: the screw of every joint, up to what no torque can show.

Answers at rest are enough. Along one way from the root to a leaf, with everything else held still
at the reference pose, the outermost joints come first: their block of H and their forces need only
their own screws, with gravity along -z at the reference. Each joint further in adds one line (four
numbers) or one direction (two), tried from several starts; inertial parameters are eliminated
(variable projection), for H and forces are linear in them. Ways that share joints are then laid on
one another, and all screws are refined on answers with everything moving.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.structure.probing import Prober
from discover.structure.projection import Problem, Solution, solve, solve_well
from discover.structure.rivals import weight_of
from discover.structure.screws import Array, ScrewTree
from discover.structure.way import FEWER, STARTS, one_way, start

_EXACT, _FAIR = 1e-7, 1.3  # misfits at which a geometry is good: relative, in deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Screws at a reference pose, in a frame with gravity along -z.

    screws (nv, 6) unit; pi (nv, 10) inertial parameters of least norm in the reference frame;
    error and held_out: misfit of [H | force], fitted and not fitted, relative or, where answers
    scatter, in standard deviations; `good` whether it is down to rounding or noise; `covariance` of
    the screws (6 nv, 6 nv) where answers scatter, over what can be known, else zero; `joint` that
    of screws, inertial parameters and joint terms together, (6 nv + p, 6 nv + p).
    """

    tree: ScrewTree
    screws: Array
    pi: Array
    error: float
    held_out: float
    joint: Array
    good: bool
    joint_terms: bool
    queries: int = 0

    @property
    def covariance(self) -> Array:
        """Covariance (6 nv, 6 nv) of the screws."""
        count = self.screws.size
        return self.joint[:count, :count]

    @property
    def pi_deviation(self) -> Array:
        """Standard deviations (nv, 10) of the inertial parameters, of what can be known of them."""
        own = np.diag(self.joint)[self.screws.size :][: self.pi.size]
        return np.sqrt(np.clip(own, 0.0, None)).reshape(self.pi.shape)


def is_good(misfit: float, noisy: bool) -> bool:
    """Whether a misfit, relative or in deviations, is down to rounding or noise."""
    return misfit <= (_FAIR if noisy else _EXACT)


def infer_geometry(
    prober: Prober, tree: ScrewTree, *, effort: int = STARTS, joint_terms: bool = False
) -> Geometry:
    """Screws of a tree whose parents and joint kinds are given. Deterministic in the seed."""
    before = prober.respondent.queries
    rng = np.random.default_rng([prober.seed, 29])
    depth = 24 if prober.noisy else 1
    nv = len(tree.parents)
    n = max(16, 4 * nv)
    asked = prober.at(prober.draw(n), replicates=depth)
    held = prober.at(prober.draw(12), replicates=depth)
    if not weight_of(asked):
        tree = replace(tree, gravity=0.0)
    screws = start(tree, rng)
    known: set[int] = set()
    for leaf in _leaves(tree):
        way = _way(tree, leaf)
        found = one_way(prober, tree, way, rng, effort=effort, joint_terms=joint_terms)
        if not found.reached:
            effort = min(effort, FEWER)
        screws = _lay_on(screws, known, found.screws, way)
        known |= set(way)
    problem = Problem.of(tree, asked, whitened=prober.noisy, joint_terms=joint_terms)
    result = _settled(problem, screws, prober.noisy)
    best = problem.parameters(result.screws)
    test = Problem.of(tree, held, whitened=prober.noisy, joint_terms=joint_terms)
    held_out = test.error_of(result.screws, best)
    return Geometry(
        tree=tree,
        screws=result.screws,
        pi=best[: 10 * nv].reshape(-1, 10),
        error=result.error,
        held_out=held_out,
        good=is_good(max(result.error, held_out), prober.noisy),
        joint_terms=joint_terms,
        joint=problem.covariance(result.screws, best)
        if prober.noisy
        else np.zeros((6 * nv + len(best),) * 2),
        queries=prober.respondent.queries - before,
    )


def _settled(problem: Problem, screws: Array, noisy: bool) -> Solution:
    """The refined fit, with axes upright, level, parallel or square where the answers allow it."""
    tidy = solve_well(problem, screws, iterations=60, tidy=1.0)
    if not noisy and tidy.error < problem.floor:
        return tidy
    found = solve_well(problem, screws, iterations=80)
    if noisy and tidy.error <= 1.005 * found.error + 1e-3:
        return tidy
    soft = solve_well(problem, found.screws, iterations=20, tidy=0.1 if noisy else 1e-5)
    settled = solve(problem, soft.screws, iterations=40)
    return settled if settled.error <= 1.005 * found.error + 1e-10 else found


def _lay_on(screws: Array, known: set[int], found: Array, way: tuple[int, ...]) -> Array:
    """The screws of a way, turned about the vertical, moved and perhaps mirrored so that the joints
    it shares with what is known lie on one another."""
    shared = [k for k, j in enumerate(way) if j in known]
    result = screws.copy()
    best, loss = found, np.inf
    if shared:
        target = screws[[way[k] for k in shared]]
        for mirrored in (False, True):
            candidate = mirror(found) if mirrored else found
            yaw_starts = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            for yaw in yaw_starts:
                moved = move(candidate, yaw, np.zeros(3))
                for _ in range(8):
                    step, missed = _alignment_step(moved[shared], target)
                    moved = move(moved, step[0], step[1:])
                if missed < loss:
                    best, loss = moved, missed
    for k, j in enumerate(way):
        if j not in known:
            result[j] = best[k]
    return result


def _alignment_step(moved: Array, target: Array) -> tuple[Array, float]:
    """The small yaw and shift that bring screws closer, and the distance that is left now.

    A sign of a screw is part of it: the coordinate grows in one direction only.
    """
    missed = (target - moved).ravel()
    columns = []
    for k in range(4):
        twist = np.zeros(6)
        twist[2 if k == 0 else 2 + k] = 1.0
        columns.append(
            np.concatenate(
                [
                    np.cross(np.broadcast_to(twist[:3], moved[:, :3].shape), moved[:, :3]),
                    np.cross(np.broadcast_to(twist[:3], moved[:, :3].shape), moved[:, 3:])
                    + np.cross(np.broadcast_to(twist[3:], moved[:, :3].shape), moved[:, :3]),
                ],
                1,
            ).ravel()
        )
    step = np.linalg.lstsq(np.stack(columns, 1), missed, rcond=1e-9)[0]
    return step, float(missed @ missed)


def move(screws: Array, yaw: float, shift: Array) -> Array:
    """Screws turned about the vertical through the origin, then shifted."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    w, u = screws[:, :3] @ turn.T, screws[:, 3:] @ turn.T
    return np.concatenate([w, u + np.cross(shift, w)], 1)


def mirror(screws: Array) -> Array:
    """Screws seen in the mirror x -> -x: turning reverses sense as mirrors do."""
    flip = np.array([-1.0, 1.0, 1.0])
    return np.concatenate([-screws[:, :3] * flip, screws[:, 3:] * flip], 1)


def _way(tree: ScrewTree, leaf: int) -> tuple[int, ...]:
    way = [leaf]
    while tree.parents[way[-1]] >= 0:
        way.append(tree.parents[way[-1]])
    return tuple(reversed(way))


def _leaves(tree: ScrewTree) -> list[int]:
    """Leaves, the deepest first."""
    leaves = [j for j in range(len(tree.parents)) if j not in tree.parents]
    return sorted(leaves, key=lambda j: -len(_way(tree, j)))
