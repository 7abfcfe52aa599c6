"""The geometry of a black box: the screw of every joint, up to the gauge (`gauge`).

Answers at rest suffice. Serial chains from the root to each leaf are fitted first (`serial_chain`)
while all other joints stand still at the reference pose. Chains that share joints are aligned with
one another, and all screws are refined together on answers with every joint moved. H and static
forces are linear in the inertial parameters, which are eliminated (`projection`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.judgement.thresholds import threshold, whole
from discover.mechanism.geometry.gauge import laid_on
from discover.mechanism.geometry.least_squares import weight_of
from discover.mechanism.geometry.measures import Measure
from discover.mechanism.geometry.projection import JOINT_TERMS, Problem, Solution, solve, solve_well
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.geometry.serial_chain import FEWER, STARTS, fit_serial_chain, start
from discover.mechanism.geometry.uncertainty import measures
from discover.mechanism.local_dynamics import DynamicsSampler

_GOOD_EXACT = threshold("mechanism.good_floors")
_GOOD_NOISY = threshold("mechanism.good_deviations")
_PRICE = threshold("mechanism.special_angle_price")
_REPLICATES = whole("mechanism.geometry_replicates")


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Screws and inertial parameters of a tree, in its reference frame (`ScrewTree`).

    tree              with the size of gravity that was found
    screws            (nv, 6) unit
    pi                (nv, 10) inertial parameters of least norm
    error, held_out   misfit of [H | force], fitted and held out: relative, or in standard
                      deviations where answers are noisy
    joint             (6 nv + p, 6 nv + p) joint covariance of screws, inertial parameters and joint
                      terms over the identifiable directions; zero where answers are exact
    good              whether the misfit is down to rounding or noise
    joint_terms       whether joints have rotors, springs and constant forces besides
    measures          standard error of each angle and distance, where the geometry is good
    """

    tree: ScrewTree
    screws: Array
    pi: Array
    error: float
    held_out: float
    joint: Array
    good: bool
    joint_terms: bool
    measures: tuple[Measure, ...] = ()
    queries: int = 0

    @property
    def known(self) -> bool:
        """Whether the answers determine every number, even if joints may have rotors."""
        return self.good and not any(m.free or m.rotorless for m in self.measures)


def is_good(misfit: float, problem: Problem) -> bool:
    """Whether a misfit, relative or in deviations, is down to rounding or noise."""
    return misfit <= (_GOOD_NOISY if problem.whitened else _GOOD_EXACT * problem.floor)


def infer_geometry(
    sampler: DynamicsSampler, tree: ScrewTree, *, starts: int = STARTS, joint_terms: bool = False
) -> Geometry:
    """Screws of a tree whose parents and joint kinds are given. Deterministic in the seed.

    starts       random starts for each joint's screw, fewer once a chain has not fitted
    joint_terms  fit a rotor, a spring and a constant force of each joint as well
    """
    before = sampler.blackbox.queries
    terms = JOINT_TERMS if joint_terms else ()
    rng = np.random.default_rng([sampler.seed, 29])
    replicates = _REPLICATES if sampler.scatters else 1
    nv = len(tree.parents)
    n = max(16, 4 * nv) * (2 if sampler.scatters else 1)
    training = sampler.at(sampler.draw(n), replicates=replicates)
    validation = sampler.at(sampler.draw(12), replicates=replicates)
    if not weight_of(training):
        tree = replace(tree, gravity=0.0)
    screws = start(tree, rng)
    known: set[int] = set()
    # Chains with sliding joints first: they show the size of gravity.
    for leaf in sorted(_leaves(tree), key=lambda leaf: _turning_only(tree, leaf)):
        joints = _chain_to(tree, leaf)
        chain = fit_serial_chain(sampler, tree, joints, rng, starts=starts, joint_terms=terms)
        if not chain.reached:
            starts = min(starts, FEWER)
        elif tree.seeks_weight and not _turning_only(tree, leaf):
            tree = replace(tree, gravity=chain.gravity)
        screws = _merged(screws, known, chain.screws, joints)
        known |= set(joints)
    problem = Problem.of(tree, training, whitened=sampler.scatters, joint_terms=terms)
    result = _refined(problem, screws, sampler.scatters)
    problem = problem.under(result.gravity)
    tree = problem.tree
    best = problem.parameters(result.screws)
    test = Problem.of(tree, validation, whitened=sampler.scatters, joint_terms=terms)
    size = 6 * nv + len(best) + tree.seeks_weight
    spread = problem.spread(result.screws, best) if sampler.scatters else np.zeros((size, 0))
    held_out = test.foreseen_error(result.screws, best, spread)
    good = is_good(max(result.error, held_out), problem)
    return Geometry(
        tree=tree,
        screws=result.screws,
        pi=best[: 10 * nv].reshape(-1, 10),
        error=result.error,
        held_out=held_out,
        good=good,
        joint_terms=joint_terms,
        joint=spread @ spread.T,
        measures=measures(problem, result.screws, best) if good else (),
        queries=sampler.blackbox.queries - before,
    )


def _refined(problem: Problem, screws: Array, noisy: bool) -> Solution:
    """All screws together, with axes upright, level, parallel or square where answers allow it."""
    special = solve_well(problem, screws, iterations=60, tidy=1.0)
    if not noisy and special.error < problem.floor:
        return special
    if not noisy:
        # Special angles but for a base that stands a little askew.
        near = solve_well(problem, special.screws, iterations=60)
        if near.error < problem.floor:
            return near
    free = solve_well(problem, screws, iterations=80)

    def allowed(other: Solution) -> bool:
        if not noisy:  # up to what the solver leaves
            return other.error <= 1.005 * free.error + 1e-10
        chi_square = len(problem.y) * (other.error**2 - free.error**2)
        return chi_square <= _PRICE * len(screws)

    if noisy and allowed(special):
        return special
    problem = problem.under(free.gravity)
    soft = solve_well(problem, free.screws, iterations=20, tidy=0.1 if noisy else 1e-5)
    settled = solve(problem.under(soft.gravity), soft.screws, iterations=40)
    return settled if allowed(settled) else free


def _merged(screws: Array, known: set[int], chain: Array, joints: tuple[int, ...]) -> Array:
    """Screws (nv, 6) with those of a chain (len(joints), 6) added, after a change of gauge that
    brings the joints it shares with earlier chains onto theirs."""
    shared = [k for k, j in enumerate(joints) if j in known]
    if shared:
        chain = laid_on(chain, screws[[joints[k] for k in shared]], shared)
    result = screws.copy()
    for k, j in enumerate(joints):
        if j not in known:
            result[j] = chain[k]
    return result


def _chain_to(tree: ScrewTree, leaf: int) -> tuple[int, ...]:
    """The joints from the root to a leaf, both included."""
    joints = [leaf]
    while tree.parents[joints[-1]] >= 0:
        joints.append(tree.parents[joints[-1]])
    return tuple(reversed(joints))


def _turning_only(tree: ScrewTree, leaf: int) -> bool:
    return all(tree.turning[j] for j in _chain_to(tree, leaf))


def _leaves(tree: ScrewTree) -> list[int]:
    """Leaves, the deepest first."""
    leaves = [j for j in range(len(tree.parents)) if j not in tree.parents]
    return sorted(leaves, key=lambda j: -len(_chain_to(tree, j)))
