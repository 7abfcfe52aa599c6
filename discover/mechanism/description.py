"""Description of a model's mechanism: tree, geometry, factors and recursion, as plain numbers.

It decides no verdict. It is stored as it is here, and reports are written from what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.judgement.evidence import Evidence
from discover.judgement.thresholds import threshold, whole
from discover.mechanism.factorisation import Sparsity, sparsity
from discover.mechanism.geometry.gauge import laid_on
from discover.mechanism.geometry.measures import Measure, pretty_measures
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.geometry.skeleton import Comparison, Skeleton, compare
from discover.mechanism.inference import InferredRobot
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.block_selection import FINALISTS
from discover.mechanism.recursion.derivation import ForwardProgram, derive_forward
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import STATES, Recursion, refit_operations, search
from discover.mechanism.tree.floating import FloatingBaseSampler, FloatingTree
from discover.records import Stored
from kinematics import Robot

_TOLERANCE = threshold("mechanism.difference")
_SURE = threshold("mechanism.sure_difference")
_REPLICATES = whole("mechanism.recursion_replicates")
_BUDGET = threshold("mechanism.description_operations")
_UNASKED_BUDGET = threshold("mechanism.unasked_operations")
_UNFITTED_BUDGET = threshold("mechanism.unfitted_operations")
_STARTS = whole("mechanism.starts")
_SPECIAL_STARTS = 3  # before the random ones of `serial_chain`
_ITERATIONS = 60  # of its solver


@dataclass(frozen=True, kw_only=True, eq=False)
class MechanismDescription(Stored):
    """The mechanism that a model's answers show.

    skeleton      the inferred mechanism, `described` the robot's description in the same frame
    comparison    how the two differ, None without a description
    equivalent    other parent arrays that predict the same answers
    good          whether the geometry fits down to rounding or noise
    misfit        of H and static force, held out: relative, or in standard deviations where answers
                  are noisy
    noise         relative misfit of the answers to a = A tau + c
    measures      angles and distances between the axes, each with its standard error
    sparsity      mass matrix and factors beside the zeros that the tree predicts
    inverse       the recursion as passes over the tree, empty where none was sought; `recursion`
                  its figures
    forward       the program of forward dynamics derived from it, None where there is none
    """

    skeleton: Skeleton
    described: Skeleton | None
    comparison: Comparison | None
    equivalent: tuple[tuple[int, ...], ...]
    good: bool
    misfit: float
    noise: float
    measures: tuple[Measure, ...]
    sparsity: Sparsity | None
    inverse: str
    recursion: dict[str, Any]
    forward: ForwardProgram | None
    queries: int

    @property
    def equals(self) -> bool:
        """Whether the model computes the recursion, as far as was asked."""
        return bool(self.recursion.get("equivalent"))

    @property
    def pretty(self) -> str:
        """The recursion and the geometry that it runs on, as text."""
        if not self.measures:
            return self.inverse
        return (
            f"{self.inverse}\ngeometry, each number with its standard error:\n"
            + pretty_measures(self.measures, self.skeleton.names)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MechanismResult:
    """A description with what it adds to an examination: evidence, and the recursion itself (None
    where none was sought)."""

    description: MechanismDescription
    evidence: list[Evidence]
    recursion: Recursion | None


def expected_operations(nv: int, *, lawful: bool) -> float:
    """Floating-point operations that fitting a serial chain of nv joints is expected to take.

    lawful   a law describes the model, so that the first start of each stage fits; else all starts
             are in vain
    """
    stages = range(2, nv + 1)
    one_start = sum(4.0 * (8 + 3 * m) * m**2 * (10 * m) ** 2 * _ITERATIONS for m in stages)
    return one_start * (1 if lawful else _STARTS + _SPECIAL_STARTS)


def obstacle(robot: Robot, law: object, budget: str, within: str) -> str | None:
    """Why the mechanism of a model with a description is not inferred, None where it is: a joint of
    several coordinates, a fit that is expected to exceed its budget, too few queries, or data."""
    if robot.nq != robot.nv or robot.nb != robot.nv:
        return "it needs joints of one coordinate each"
    expected = expected_operations(robot.nv, lawful=law is not None)
    if expected > _BUDGET:
        lawful = "" if law is not None else " that no law describes"
        return (
            f"the geometry of {robot.nv} joints{lawful} is expected to take {expected:.1g} "
            f"floating-point operations, and {_BUDGET:.1g} are allowed "
            "(mechanism.description_operations of thresholds.toml)"
        )
    if budget == "quick":
        return 'it needs more queries than the budget "quick" has; choose "standard"'
    if within != "region":
        return 'it queries states of a whole region, not those near data; choose within="region"'
    return None


def is_quick(nv: int) -> bool:
    """Whether the mechanism of an exact law of nv joints is inferred in about a second."""
    return expected_operations(nv, lawful=True) <= _UNASKED_BUDGET


def describe_mechanism(
    blackbox: BlackBox,
    inferred: InferredRobot,
    region: Region,
    seed: int,
    described: Robot | None = None,
) -> MechanismResult:
    """Search the recursion over an inferred mechanism and test the zeros of its mass matrix.

    blackbox    in the coordinates of `described`; without one, in those of inferred.robot
    region      where to ask, in the same coordinates
    described   the robot's description, with which the mechanism is compared
    """
    before = blackbox.queries
    order = range(blackbox.nv) if described is not None else inferred.geometry.tree.order
    names = described.joint_names if described is not None else inferred.robot.joint_names
    skeleton, known = _skeleton(inferred, list(order), names)
    tree, screws = _search_tree(inferred, described)
    floating = isinstance(tree, FloatingTree)
    kind = FloatingBaseSampler if floating else DynamicsSampler
    sampler = kind(blackbox=blackbox, region=region, seed=seed)
    local = sampler.at(sampler.draw(12), replicates=_REPLICATES if sampler.noisy else 1)
    zeros = sparsity(local, tree.carriers)
    recursion: Recursion | None = None
    evidence: list[Evidence] = []
    if inferred.geometry.good or (not floating and _is_short(len(tree.parents))):
        recursion = search(sampler, tree, screws)
        evidence += _recursion_evidence(recursion)
    values = (zeros.violation, "largest entry of H where the tree has none")
    evidence.append(_evidence("factors: predicted zeros", *values))
    description, comparison = None, None
    if described is not None:
        description, comparison = _compared(skeleton, described, inferred, known)
    return MechanismResult(
        description=MechanismDescription(
            skeleton=skeleton,
            described=description,
            comparison=comparison,
            equivalent=_renumbered(inferred.equivalent, list(order)),
            good=inferred.geometry.good,
            misfit=inferred.geometry.held_out,
            noise=sampler.noise,
            measures=known,
            sparsity=zeros,
            inverse="" if recursion is None else pretty_print(recursion),
            recursion={} if recursion is None else _figures(recursion),
            forward=_forward(recursion, inferred, names, described),
            queries=inferred.queries + blackbox.queries - before,
        ),
        evidence=evidence,
        recursion=recursion,
    )


def _search_tree(inferred: InferredRobot, described: Robot | None) -> tuple[ScrewTree, Array]:
    """The tree and screws over which to search, in the coordinates of the black box."""
    geometry = inferred.geometry
    if isinstance(geometry.tree, FloatingTree):
        return geometry.tree.sorted(), geometry.screws[list(geometry.tree.order)]
    if described is not None:
        return geometry.tree, geometry.screws
    return screw_tree(inferred.robot, np.zeros(inferred.robot.nv))


def _is_short(nv: int) -> bool:
    """Whether the search takes little time even if no recursion fits."""
    refits = 3 * FINALISTS * refit_operations(STATES, nv, 10 * nv)
    return refits <= _UNFITTED_BUDGET


def _forward(
    recursion: Recursion | None,
    inferred: InferredRobot,
    names: Sequence[str],
    described: Robot | None,
) -> ForwardProgram | None:
    if recursion is None or not recursion.equivalent:
        return None
    if described is None:
        return derive_forward(inferred.exact, recursion)
    joint_names = tuple(names[j] for j in inferred.order)
    return derive_forward(inferred.exact.replace(joint_names=joint_names), recursion, described)


def _renumbered(
    equivalent: Sequence[tuple[int, ...]], order: list[int]
) -> tuple[tuple[int, ...], ...]:
    """Parent arrays of joints in the given order."""
    place = {j: k for k, j in enumerate(order)} | {-1: -1}
    return tuple(tuple(place[parents[j]] for j in order) for parents in equivalent)


def _skeleton(
    inferred: InferredRobot, order: list[int], names: tuple[str, ...]
) -> tuple[Skeleton, tuple[Measure, ...]]:
    """The inferred mechanism and its measures, with joints in the given order."""
    geometry = inferred.geometry
    whole = Skeleton.of(geometry.tree, geometry.screws, names)
    place = {j: k for k, j in enumerate(order)} | {-1: -1}
    assert whole.axes is not None
    assert whole.points is not None
    assert whole.pose is not None
    skeleton = Skeleton(
        names=tuple(names),
        parents=tuple(place[whole.parents[j]] for j in order),
        turning=tuple(whole.turning[j] for j in order),
        pose=whole.pose[order],
        axes=whole.axes[order],
        points=whole.points[order],
        free=whole.free,
    )
    return skeleton, tuple(
        replace(m, joint=place[m.joint], other=place.get(m.other, m.other))
        for m in geometry.measures
    )


def _compared(
    skeleton: Skeleton, described: Robot, inferred: InferredRobot, known: Sequence[Measure]
) -> tuple[Skeleton, Comparison]:
    """The description at the same pose, in the gauge of what was inferred, and how they differ."""
    tree, screws = screw_tree(described, inferred.geometry.tree.reference)
    if inferred.geometry.good:
        screws = laid_on(screws, inferred.geometry.screws)
    description = Skeleton.of(tree, screws, described.joint_names)
    if not inferred.geometry.good:
        bare = Skeleton(names=skeleton.names, parents=skeleton.parents, turning=skeleton.turning)
        return description, compare(bare, description, _TOLERANCE)
    tolerances = {(m.joint, m.quantity): _SURE * m.deviation for m in known}
    return description, compare(skeleton, description, _TOLERANCE, tolerances)


def _figures(recursion: Recursion) -> dict[str, Any]:
    """What the search counted and measured, JSON-able."""
    return {
        "equivalent": bool(recursion.equivalent),
        "programs": int(recursion.programs),
        "blocks": {k: int(n) for k, n in recursion.blocks.items()},
        "by_degree": {k: float(x) for k, x in recursion.by_degree.items()},
        "departure": {k: float(x) for k, x in recursion.departure.items()},
        "seconds": float(recursion.seconds),
    }


def _recursion_evidence(recursion: Recursion) -> list[Evidence]:
    values = {
        "recursion: misfit far out": (
            recursion.held_out,
            "largest misfit of a degree of tau at 3×",
        ),
        "recursion: departure in degree": (
            max(recursion.departure.values()),
            "what is not H(q) a + g(q) + linear and quadratic in v",
        ),
    }
    return [_evidence(name, *value) for name, value in values.items()]


def _evidence(name: str, value: float, meaning: str) -> Evidence:
    return Evidence(name=name, value=value, interval=(value, value), null=0.0, meaning=meaning)
