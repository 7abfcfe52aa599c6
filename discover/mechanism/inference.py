"""From a black box to a robot: tree, joint kinds, geometry and possible inertial parameters."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import Region
from discover.errors import RegionError
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit_step_map
from discover.mechanism.coordinates import (
    configuration_order,
    in_metres,
    in_model_units,
    metres_per_unit,
    robot_in_model_units,
)
from discover.mechanism.geometry.bodies import (
    answers,
    shown_joint_terms,
    with_canonical_frames,
    with_possible_bodies,
)
from discover.mechanism.geometry.identification import Geometry, infer_geometry
from discover.mechanism.geometry.measures import guesses
from discover.mechanism.geometry.robots import robot_of
from discover.mechanism.geometry.screws import GRAVITY, ScrewTree
from discover.mechanism.geometry.serial_chain import STARTS
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.tree.candidates import equivalent_trees
from discover.mechanism.tree.coupling_tests import CLEAR
from discover.mechanism.tree.topology import Tree, infer_tree
from kinematics import Robot

_HOPELESS = 0.2  # share of the answers that is not affine in tau at which no bodies are sought
_BRIEF = 4  # starts of the search for screws, where it need not be long
_MOST_RIVALS = 24  # trees that answer the same which are looked for
_NOISELESS = 1e-9  # relative misfit of the answers
_NAMED = 4  # of those that are told one by one
_SAME = 1e-8  # relative misfit within which trees answer the same


@dataclass(frozen=True, kw_only=True, eq=False)
class InferredRobot:
    """What the answers at rest show of a mechanism.

    tree, geometry   in the model's own coordinates
    order            the model's coordinate behind each joint of `robot`, parents before children
    robot            the mechanism as a Robot; its joints are named q1, q2, ... after the
                     model's coordinates
    exact            the same with the very base parameters that were fitted, for programs: its
                     bodies need not be possible
    equivalent       other parent arrays (the model's coordinates) that answer the same
    notes            plain sentences for the reader
    """

    tree: Tree
    geometry: Geometry
    order: tuple[int, ...]
    robot: Robot
    exact: Robot
    equivalent: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]
    queries: int
    seconds: float

    @property
    def renumbered(self) -> bool:
        """Whether the robot's joints stand in another order than the model's coordinates."""
        return self.order != tuple(range(len(self.order)))


def infer_robot(
    blackbox: BlackBox, region: Region, seed: int = 0, *, brief: bool = False
) -> InferredRobot:
    """Tree and geometry of a model of which nothing is known but nv and a region.

    `brief`: give up sooner where no geometry fits, for models that are described besides.
    """
    started, before = time.perf_counter(), blackbox.queries
    sampler = DynamicsSampler(blackbox=blackbox, region=region, seed=seed)
    tree = infer_tree(sampler)
    scale = metres_per_unit(sampler, tree.kinds)
    if scale != 1.0:
        sampler = in_metres(sampler, tree.kinds, scale)
    geometry = _geometry(sampler, tree, brief)
    equivalent = _equivalent(sampler, tree, geometry)
    order = geometry.tree.order
    robot = exact = robot_of(geometry)
    if geometry.good:
        training, validation = answers(sampler, robot, order)
        terms = shown_joint_terms(robot, training, validation)
        robot = with_canonical_frames(robot, geometry, sampler.noisy, training, validation, terms)
        robot, exact = with_possible_bodies(robot, training, terms)
    if scale != 1.0:
        geometry = in_model_units(geometry, scale)
        robot, exact = (robot_in_model_units(r, scale) for r in (robot, exact))
    return InferredRobot(
        tree=replace(tree, equivalent=equivalent),
        geometry=geometry,
        order=order,
        robot=robot,
        exact=exact,
        equivalent=equivalent,
        notes=_notes(tree, geometry, equivalent, order),
        queries=blackbox.queries - before,
        seconds=time.perf_counter() - started,
    )


def coordinates_of(region: Region) -> int:
    """nv from the region's vectors. Raises RegionError where the region has scalars only."""
    if region.nv is None:
        raise RegionError(
            "expected a region with one value a coordinate, found scalars only: without a robot, "
            "nv is read from the region; write q, v or tau as a list of nv half-widths"
        )
    return region.nv


def _geometry(sampler: DynamicsSampler, tree: Tree, brief: bool) -> Geometry:
    """Screws for the kinds that the tree names; where a kind is open, the one that fits better."""
    reference = sampler.draw(1, 0.7)[0]
    screws = ScrewTree(parents=tree.parents, turning=_turning(tree), reference=reference)
    if sampler.noise > _HOPELESS:
        return infer_geometry(sampler, screws, effort=1)
    best = infer_geometry(sampler, screws, effort=_BRIEF if brief else STARTS)
    for j in (j for j, kind in enumerate(tree.kinds) if kind == "either"):
        if best.good:
            return best
        turning = tuple(not t if i == j else t for i, t in enumerate(screws.turning))
        trial = infer_geometry(sampler, replace(screws, turning=turning), effort=6)
        if trial.held_out < 0.5 * best.held_out:
            best, screws = trial, replace(screws, turning=turning)
    if best.good or brief:
        return best
    trials = [(screws, True)]
    if not all(screws.turning):
        # Bodies may fall otherwise than on Earth: one unknown, where terms of joints are many.
        trials.insert(0, (replace(screws, weight_open=True), False))
    for trial_screws, joint_terms in trials:
        trial = infer_geometry(sampler, trial_screws, joint_terms=joint_terms, effort=8)
        best = min((best, trial), key=lambda g: g.held_out)
        if best.good:
            break
    return best


def _turning(tree: Tree) -> tuple[bool, ...]:
    """Which coordinates turn, with a guess for those that change nothing: a symmetric body's turn
    shares inertia with the turns that carry it, and a slide along a turn's axis shares none."""
    turning = [kind == "revolute" for kind in tree.kinds]
    for j in tree.order:
        if tree.kinds[j] == "either":
            turning[j] = any(
                turning[i] and tree.coupling.coupled[i, j] > CLEAR for i in tree.path(j)[:-1]
            )
    return tuple(turning)


def _equivalent(
    sampler: DynamicsSampler, tree: Tree, geometry: Geometry
) -> tuple[tuple[int, ...], ...]:
    """Other trees that answer the same, from fits with these screws."""
    if not geometry.good or geometry.joint_terms:
        return ()
    depth = 12 if sampler.scatters else 1
    training, validation = (sampler.at(sampler.draw(n), replicates=depth) for n in (20, 12))
    return equivalent_trees(
        geometry.tree,
        geometry.screws,
        training,
        validation,
        _SAME,
        allowed=tree.coupling.allow,
        most=_MOST_RIVALS,
        whitened=sampler.scatters,
    )


def _notes(
    tree: Tree, geometry: Geometry, equivalent: tuple[tuple[int, ...], ...], order: tuple[int, ...]
) -> tuple[str, ...]:
    notes = [
        f"The tree was inferred from the answers: parents {_listed(tree.parents)} "
        f"(0 is the base), "
        + ", ".join(
            f"q{j + 1} {'turns' if t else 'slides'}" for j, t in enumerate(geometry.tree.turning)
        )
        + "."
    ]
    if not geometry.good:
        notes.append(
            "No geometry of this tree fits the model at rest: "
            f"{geometry.held_out:.2g} of H and force (or as many deviations) is missed by the best."
        )
    notes += guesses(geometry.measures, [f"q{j + 1}" for j in range(len(tree.parents))])
    noise = " up to the noise" if tree.noise > _NOISELESS else ""
    for other in equivalent[:_NAMED]:
        notes.append(f"Parents {_listed(other)} would answer the same{noise}.")
    if len(equivalent) > _NAMED:
        least = "at least " if len(equivalent) >= _MOST_RIVALS else ""
        notes.append(f"So would {least}{len(equivalent) - _NAMED} other trees.")
    if order != tuple(range(len(order))):
        named = ", ".join(f"q{j + 1}" for j in order)
        notes.append(
            f"The model numbers a joint before one that carries it: the law's coordinates are the "
            f"model's {named}."
        )
    if geometry.tree.gravity not in (0.0, GRAVITY):
        notes.append(
            f"What slides shows a gravity of {geometry.tree.gravity:.6g} in the model's own unit "
            "of length: metres where this is m/s²."
        )
    if not geometry.tree.gravity:
        notes.append("Nothing weighs on the joints: the scale of lengths is a guess.")
    return tuple(notes)


def _listed(parents: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(p + 1) for p in parents) + "]"


_ROUNDS = 6
_BETTER = 0.5  # of the misfit of a = A tau + c, that a round must leave at most
_EXACT, _ROUGH = 1e-9, 0.05  # misfits with nothing left to correct, and too large for it


class StepCorrectedBlackBox(BlackBox):
    """A respondent of steps asked for accelerations, by a law of its steps.

    order   the model's coordinate behind each of the law's
    """

    def __init__(self, inner: BlackBox, law: Fit, order: tuple[int, ...]):
        super().__init__(inner.model, inner.nq, inner.nv, outputs=inner.outputs, dt=inner.dt)
        self.inner, self.law, self.order = inner, law, list(order)

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers with what a step of the law adds to its acceleration taken off."""
        told = self.inner.ask(q, v, tau, strict=strict)
        self.queries = self.inner.queries
        states = (
            q[:, configuration_order(self.order, self.nq)],
            v[:, self.order],
            tau[:, self.order],
        )
        law = self.law
        added = law.predict(*states) - law.family.acceleration(law.theta, *states)
        a = told.a.clone()
        a[:, self.order] -= added
        return replace(told, a=a)


def infer_robot_from_steps(blackbox: BlackBox, region: Region, seed: int = 0) -> InferredRobot:
    """Tree and geometry of a model that answers with next states."""
    found = infer_robot(blackbox, region, seed)
    for _ in range(_ROUNDS):
        if not _EXACT < found.tree.noise < _ROUGH:
            break
        sampler = DynamicsSampler(blackbox=blackbox, region=region, seed=seed + 1)
        training, _ = answers(sampler, found.exact, found.order)
        assert blackbox.dt is not None
        law = fit_step_map(Family.of(found.exact), training, blackbox.dt)
        again = infer_robot(StepCorrectedBlackBox(blackbox, law, found.order), region, seed)
        if again.tree.noise > _BETTER * found.tree.noise:
            break
        found = again
    return replace(found, queries=blackbox.queries)
