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

from discover.mechanism.geometry.gauge import laid_on
from discover.mechanism.geometry.least_squares import weight_of
from discover.mechanism.geometry.measures import Measure
from discover.mechanism.geometry.projection import JOINT_TERMS, Problem, Solution, solve, solve_well
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.geometry.serial_chain import FEWER, STARTS, fit_serial_chain, start
from discover.mechanism.geometry.uncertainty import measures
from discover.mechanism.local_dynamics import DynamicsSampler

_EXACT = 100.0  # floors of rounding, and
_FAIR = 1.2  # deviations, at which a misfit is good
_PRICE = 4.0  # of chi-square a joint that tidy angles may cost


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Screws at a reference pose, in a frame with gravity along -z.

    screws (nv, 6) unit; pi (nv, 10) inertial parameters of least norm in the reference frame;
    error and held_out: misfit of [H | force], fitted and not fitted, relative or, where answers
    scatter, in standard deviations; `good` whether it is down to rounding or noise; `covariance` of
    the screws (6 nv, 6 nv) where answers scatter, over what can be known, else zero; `joint` that
    of screws, inertial parameters and joint terms together, (6 nv + p, 6 nv + p); `measures` how
    well each angle and distance is known, where the geometry is good.
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
        """Whether no number of it is a guess, whatever joints may have beside their bodies."""
        return self.good and not any(m.free or m.rotorless for m in self.measures)

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


def is_good(misfit: float, problem: Problem) -> bool:
    """Whether a misfit, relative or in deviations, is down to rounding or noise."""
    return misfit <= (_FAIR if problem.whitened else _EXACT * problem.floor)


def infer_geometry(
    sampler: DynamicsSampler, tree: ScrewTree, *, effort: int = STARTS, joint_terms: bool = False
) -> Geometry:
    """Screws of a tree whose parents and joint kinds are given. Deterministic in the seed."""
    before = sampler.blackbox.queries
    terms = JOINT_TERMS if joint_terms else ()
    rng = np.random.default_rng([sampler.seed, 29])
    depth = 12 if sampler.scatters else 1
    nv = len(tree.parents)
    n = max(16, 4 * nv) * (2 if sampler.scatters else 1)
    training = sampler.at(sampler.draw(n), replicates=depth)
    validation = sampler.at(sampler.draw(12), replicates=depth)
    if not weight_of(training):
        tree = replace(tree, gravity=0.0)
    screws = start(tree, rng)
    known: set[int] = set()
    # What slides shows how strong gravity is.
    for leaf in sorted(_leaves(tree), key=lambda leaf: _turning_only(tree, leaf)):
        chain = _chain_to(tree, leaf)
        found = fit_serial_chain(sampler, tree, chain, rng, effort=effort, joint_terms=terms)
        if not found.reached:
            effort = min(effort, FEWER)
        elif tree.seeks_weight and not _turning_only(tree, leaf):
            tree = replace(tree, gravity=found.gravity)
        screws = _lay_on(screws, known, found.screws, chain)
        known |= set(chain)
    problem = Problem.of(tree, training, whitened=sampler.scatters, joint_terms=terms)
    result = _settled(problem, screws, sampler.scatters)
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


def _settled(problem: Problem, screws: Array, noisy: bool) -> Solution:
    """The refined fit, with axes upright, level, parallel or square where the answers allow it."""
    tidy = solve_well(problem, screws, iterations=60, tidy=1.0)
    if not noisy and tidy.error < problem.floor:
        return tidy
    if not noisy:
        # A base that stands a little askew is tidy but for that.
        near = solve_well(problem, tidy.screws, iterations=60)
        if near.error < problem.floor:
            return near
    found = solve_well(problem, screws, iterations=80)

    def allowed(other: Solution) -> bool:
        if not noisy:
            return other.error <= 1.005 * found.error + 1e-10
        worse = len(problem.y) * (other.error**2 - found.error**2)
        return worse <= _PRICE * len(screws)

    if noisy and allowed(tidy):
        return tidy
    problem = problem.under(found.gravity)
    soft = solve_well(problem, found.screws, iterations=20, tidy=0.1 if noisy else 1e-5)
    settled = solve(problem.under(soft.gravity), soft.screws, iterations=40)
    return settled if allowed(settled) else found


def _lay_on(screws: Array, known: set[int], found: Array, chain: tuple[int, ...]) -> Array:
    """The screws of a way, laid on what is known of the joints it shares with others."""
    shared = [k for k, j in enumerate(chain) if j in known]
    if shared:
        found = laid_on(found, screws[[chain[k] for k in shared]], shared)
    result = screws.copy()
    for k, j in enumerate(chain):
        if j not in known:
            result[j] = found[k]
    return result


def _chain_to(tree: ScrewTree, leaf: int) -> tuple[int, ...]:
    chain = [leaf]
    while tree.parents[chain[-1]] >= 0:
        chain.append(tree.parents[chain[-1]])
    return tuple(reversed(chain))


def _turning_only(tree: ScrewTree, leaf: int) -> bool:
    return all(tree.turning[j] for j in _chain_to(tree, leaf))


def _leaves(tree: ScrewTree) -> list[int]:
    """Leaves, the deepest first."""
    leaves = [j for j in range(len(tree.parents)) if j not in tree.parents]
    return sorted(leaves, key=lambda j: -len(_chain_to(tree, j)))
