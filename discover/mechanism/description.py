"""What the answers show of a mechanism, told and kept: tree, geometry, factors, recursion.

An account decides no verdict. It is stored as plain numbers, from which the report draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.judgement.evidence import Evidence, number_from_json, number_to_json
from discover.mechanism.factorisation import Sparsity, sparsity
from discover.mechanism.geometry.gauge import laid_on
from discover.mechanism.geometry.measures import Measure, pretty_measures
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.geometry.skeleton import Comparison, Skeleton, compare
from discover.mechanism.inference import InferredRobot
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.derivation import ForwardProgram, derive_forward
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import Recursion, search
from discover.mechanism.tree.floating import FloatingBaseSampler, FloatingTree
from kinematics import Robot

MOST_JOINTS = 8  # up to which the search takes less than a minute
MOST_BODIES = 16  # of a free base with its joints; H with the base leaves few programs to try
_FEW = 4  # joints up to which a search that finds nothing is short
_ROOM = 1e-4  # angles [rad], and distances over the reach, that count as the same
_SURE = 4.0  # deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class MechanismDescription:
    """The structure that a model's answers hold to.

    skeleton      the inferred mechanism, `described` the robot's description in the same frame
    equivalent    other parent arrays that answer the same
    good          whether the geometry fits down to rounding or noise; `misfit` is what it misses of
                  H and of the force, relative, or in deviations where answers scatter
    measures      angles and distances between the lines of joints, each with its standard error
                  and whether any answer depends on it
    sparsity      mass matrix and factors beside the tree's zeros
    inverse       the found recursion as passes over the tree; `recursion` its figures
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
        """Whether the model computes the found recursion, as far as was asked."""
        return bool(self.recursion.get("equivalent"))

    @property
    def pretty(self) -> str:
        """The recursion and the geometry that it runs on, to read."""
        if not self.measures:
            return self.inverse
        return (
            f"{self.inverse}\ngeometry, each number with its standard error:\n"
            + pretty_measures(self.measures, self.skeleton.names)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "skeleton": self.skeleton.to_dict(),
            "described": None if self.described is None else self.described.to_dict(),
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "equivalent": [list(p) for p in self.equivalent],
            "good": self.good,
            "misfit": number_to_json(self.misfit),
            "noise": number_to_json(self.noise),
            "measures": [m.to_dict() for m in self.measures],
            "sparsity": None if self.sparsity is None else self.sparsity.to_dict(),
            "inverse": self.inverse,
            "recursion": self.recursion,
            "forward": None if self.forward is None else asdict(self.forward),
            "queries": self.queries,
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> MechanismDescription:
        """The inverse of `to_dict`."""
        held = dict(record)
        comparison = held["comparison"]
        return cls(
            skeleton=Skeleton.from_dict(held["skeleton"]),
            described=None if held["described"] is None else Skeleton.from_dict(held["described"]),
            comparison=None
            if comparison is None
            else Comparison(
                differs=tuple(tuple(d) for d in comparison["differs"]),
                sentences=tuple(comparison["sentences"]),
            ),
            equivalent=tuple(tuple(p) for p in held["equivalent"]),
            good=held["good"],
            misfit=number_from_json(held["misfit"]),
            noise=number_from_json(held["noise"]),
            measures=tuple(Measure.from_dict(m) for m in held.get("measures", ())),
            sparsity=None if held["sparsity"] is None else Sparsity.from_dict(held["sparsity"]),
            inverse=held["inverse"],
            recursion=held["recursion"],
            forward=None if held["forward"] is None else ForwardProgram(**held["forward"]),
            queries=held["queries"],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MechanismResult:
    """An account with what it adds to an examination: evidence, and the recursion itself (None
    where none was sought)."""

    account: MechanismDescription
    evidence: list[Evidence]
    recursion: Recursion | None


def worth_an_account(robot: Robot, law: object, budget: str, within: str) -> bool:
    """Whether to look for the structure of a model that is held against a description: where that
    takes seconds, which for many joints it does only where there is a law to find."""
    single = robot.nq == robot.nv and robot.nb == robot.nv
    few = robot.nv <= (_FEW if law is None else MOST_JOINTS)
    return single and few and budget != "quick" and within == "region"


def account(
    blackbox: BlackBox,
    inferred: InferredRobot,
    region: Region,
    seed: int,
    described: Robot | None = None,
) -> MechanismResult:
    """Search the recursion on the inferred mechanism and hold its zeros against the model.

    respondent   in the coordinates of `described`; without one, in those of inferred.robot
    """
    before = blackbox.queries
    order = range(blackbox.nv) if described is not None else inferred.geometry.tree.order
    names = described.joint_names if described is not None else inferred.robot.joint_names
    skeleton, known = _seen(inferred, list(order), names)
    tree, screws = _over(inferred, described)
    sampler = _prober(tree)(blackbox=blackbox, region=region, seed=seed)
    zeros = sparsity(
        sampler.at(sampler.draw(12), replicates=16 if sampler.noisy else 1), tree.carriers
    )
    found: Recursion | None = None
    evidence: list[Evidence] = []
    if _searched(tree, inferred):
        found = search(sampler, tree, screws)
        evidence += _evidence(found)
    values = (zeros.violation, "largest entry of H where the tree has none")
    evidence.append(_finding("factors: predicted zeros", *values))
    beside, comparison = None, None
    if described is not None:
        beside, comparison = _beside(skeleton, described, inferred, known)
    return MechanismResult(
        account=MechanismDescription(
            skeleton=skeleton,
            described=beside,
            comparison=comparison,
            equivalent=_renumbered(inferred.equivalent, list(order)),
            good=inferred.geometry.good,
            misfit=inferred.geometry.held_out,
            noise=sampler.noise,
            measures=known,
            sparsity=zeros,
            inverse="" if found is None else pretty_print(found),
            recursion={} if found is None else _figures(found),
            forward=_forward(found, inferred, names, described),
            queries=inferred.queries + blackbox.queries - before,
        ),
        evidence=evidence,
        recursion=found,
    )


def _over(inferred: InferredRobot, described: Robot | None) -> tuple[ScrewTree, Array]:
    """The tree and screws over which to search, in the coordinates of who answers."""
    geometry = inferred.geometry
    if isinstance(geometry.tree, FloatingTree):
        return geometry.tree.sorted(), geometry.screws[list(geometry.tree.order)]
    if described is not None:
        return geometry.tree, geometry.screws
    return screw_tree(inferred.robot, np.zeros(inferred.robot.nv))


def _prober(tree: ScrewTree) -> type[DynamicsSampler]:
    return FloatingBaseSampler if isinstance(tree, FloatingTree) else DynamicsSampler


def _searched(tree: ScrewTree, inferred: InferredRobot) -> bool:
    """Whether the recursion is worth its time; over a free base only where its joints are known."""
    if isinstance(tree, FloatingTree):
        return inferred.geometry.good and len(tree.parents) <= MOST_BODIES
    return len(tree.parents) <= MOST_JOINTS


def _forward(
    found: Recursion | None,
    inferred: InferredRobot,
    names: Sequence[str],
    described: Robot | None,
) -> ForwardProgram | None:
    if found is None or not found.equivalent:
        return None
    if described is None:
        return derive_forward(inferred.exact, found)
    own = tuple(names[j] for j in inferred.order)
    return derive_forward(inferred.exact.replace(joint_names=own), found, described)


def _renumbered(
    equivalent: Sequence[tuple[int, ...]], order: list[int]
) -> tuple[tuple[int, ...], ...]:
    """Parent arrays of joints in the given order."""
    place = {j: k for k, j in enumerate(order)} | {-1: -1}
    return tuple(tuple(place[parents[j]] for j in order) for parents in equivalent)


def _seen(
    inferred: InferredRobot, order: list[int], names: tuple[str, ...]
) -> tuple[Skeleton, tuple[Measure, ...]]:
    """The inferred mechanism and how well it is known, with joints in the given order."""
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


def _beside(
    skeleton: Skeleton, described: Robot, inferred: InferredRobot, known: Sequence[Measure]
) -> tuple[Skeleton, Comparison]:
    """The description at the same pose, laid on what was inferred."""
    tree, screws = screw_tree(described, inferred.geometry.tree.reference)
    if inferred.geometry.good:
        screws = laid_on(screws, inferred.geometry.screws)
    beside = Skeleton.of(tree, screws, described.joint_names)
    if not inferred.geometry.good:
        bare = Skeleton(names=skeleton.names, parents=skeleton.parents, turning=skeleton.turning)
        return beside, compare(bare, beside, _ROOM)
    rooms = {(m.joint, m.quantity): _SURE * m.deviation for m in known}
    return beside, compare(skeleton, beside, _ROOM, rooms)


def _figures(found: Recursion) -> dict[str, Any]:
    """What the search counted and measured."""
    return {
        "equivalent": bool(found.equivalent),
        "programs": int(found.programs),
        "blocks": {k: int(n) for k, n in found.blocks.items()},
        "by_degree": {k: float(x) for k, x in found.by_degree.items()},
        "departure": {k: float(x) for k, x in found.departure.items()},
        "seconds": float(found.seconds),
    }


def _evidence(found: Recursion) -> list[Evidence]:
    values = {
        "recursion: misfit far out": (found.held_out, "largest misfit of a degree of tau at 3×"),
        "recursion: departure in degree": (
            max(found.departure.values()),
            "what is not H(q) a + g(q) + linear and quadratic in v",
        ),
    }
    return [_finding(name, *value) for name, value in values.items()]


def _finding(name: str, value: float, meaning: str) -> Evidence:
    return Evidence(name=name, value=value, interval=(value, value), null=0.0, meaning=meaning)
