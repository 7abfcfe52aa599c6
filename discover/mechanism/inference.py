"""A robot from a black box: tree, joint kinds, geometry and possible inertial parameters.

A model that answers with next states shows (v' - v) / dt, the mean acceleration over a step, which
is not affine in tau. A law of its steps, fitted to the robot inferred from that, predicts the
difference; the robot is inferred again from the corrected answers (defect correction).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import Region
from discover.errors import RegionError
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit, spread
from discover.laws.rigid_body.step_search import find_step
from discover.mechanism.coordinates import (
    configuration_order,
    in_metres,
    in_model_units,
    metres_per_unit,
    robot_in_model_units,
)
from discover.mechanism.geometry.bodies import identify_bodies, training_answers
from discover.mechanism.geometry.identification import Geometry, infer_geometry
from discover.mechanism.geometry.measures import undetermined
from discover.mechanism.geometry.robots import robot_of
from discover.mechanism.geometry.screws import GRAVITY, ScrewTree
from discover.mechanism.geometry.serial_chain import STARTS
from discover.mechanism.local_dynamics import EXACT, DynamicsSampler
from discover.mechanism.tree.candidates import equivalent_trees
from discover.mechanism.tree.coupling_tests import CLEAR
from discover.mechanism.tree.topology import Tree, infer_tree
from kinematics import Robot

_NOT_AFFINE = threshold("mechanism.not_affine")
_BRIEF_STARTS = whole("mechanism.starts_beside_description")
_OTHER_KIND_STARTS = whole("mechanism.starts_of_other_kind")
_OTHER_KIND_GAIN = threshold("mechanism.other_kind_gain")
_JOINT_TERM_STARTS = whole("mechanism.starts_with_joint_terms")
_REPLICATES = whole("mechanism.geometry_replicates")
_MOST_TREES = whole("mechanism.alternative_trees")
_EQUIVALENT = threshold("mechanism.equivalent_misfit")
_ROUNDS = whole("mechanism.step_rounds")
_STEP_GAIN = threshold("mechanism.step_gain")
_TOO_ROUGH = threshold("mechanism.step_too_rough")
_LISTED = 4  # equivalent trees that notes name one by one


@dataclass(frozen=True, kw_only=True, eq=False)
class InferredRobot:
    """What a model's answers show of its mechanism.

    tree, geometry   in the model's own coordinates
    order            (nv,) the model's coordinate behind each of the robot's, parents first
    robot            with possible bodies in canonical frames where the geometry fits; joints are
                     named q1, q2, ... after the model's coordinates
    exact            the same with the base parameters exactly as fitted, for programs: its bodies
                     need not be possible
    equivalent       other parent arrays (the model's coordinates) that predict the same answers
    notes            sentences for the report
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
    """The robot behind a model of which only nv and a region are known.

    blackbox  joints of one coordinate each; see `free_base.infer_free_base` for a free base
    region    where to ask
    seed      the same seed asks the same questions
    brief     fewer starts where no geometry fits: for models that have a description as well

    A model that is no tree of bodies gives a robot all the same, with `geometry.good` False.
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
        robot, exact = identify_bodies(sampler, robot, geometry, order, sampler.noisy)
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
            "nv is read from the region; write q, v or tau as a list of nv half-widths "
            "(on the command line, --nv does)"
        )
    return region.nv


def _geometry(sampler: DynamicsSampler, tree: Tree, brief: bool) -> Geometry:
    """Screws for the tree's kinds; where a kind is open, the one that fits better."""
    reference = sampler.draw(1, 0.7)[0]
    screws = ScrewTree(parents=tree.parents, turning=_turning(tree), reference=reference)
    if sampler.noise > _NOT_AFFINE:
        return infer_geometry(sampler, screws, starts=1)
    best = infer_geometry(sampler, screws, starts=_BRIEF_STARTS if brief else STARTS)
    for j in (j for j, kind in enumerate(tree.kinds) if kind == "either"):
        if best.good:
            return best
        turning = tuple(not t if i == j else t for i, t in enumerate(screws.turning))
        trial = infer_geometry(sampler, replace(screws, turning=turning), starts=_OTHER_KIND_STARTS)
        if trial.held_out < _OTHER_KIND_GAIN * best.held_out:
            best, screws = trial, replace(screws, turning=turning)
    if best.good or brief:
        return best
    trials = [(screws, True)]
    if not all(screws.turning):
        # Another gravity than the Earth's is tried first: one unknown, where joint terms are many.
        trials.insert(0, (replace(screws, weight_open=True), False))
    for trial_screws, joint_terms in trials:
        trial = infer_geometry(
            sampler, trial_screws, joint_terms=joint_terms, starts=_JOINT_TERM_STARTS
        )
        best = min((best, trial), key=lambda g: g.held_out)
        if best.good:
            break
    return best


def _turning(tree: Tree) -> tuple[bool, ...]:
    """Which coordinates turn. One that changes nothing is taken to turn if it shares inertia with a
    turning joint that carries it, as a symmetric body does; a slide along a turn's axis does not.
    """
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
    """Other parent arrays that predict the same answers at rest."""
    if not geometry.good or geometry.joint_terms:
        return ()
    replicates = _REPLICATES if sampler.scatters else 1
    training, validation = (sampler.at(sampler.draw(n), replicates=replicates) for n in (20, 12))
    return equivalent_trees(
        geometry.tree,
        geometry.screws,
        training,
        validation,
        _EQUIVALENT,
        allowed=tree.coupling.allow,
        most=_MOST_TREES,
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
    notes += undetermined(geometry.measures, [f"q{j + 1}" for j in range(len(tree.parents))])
    noise = " up to the noise" if tree.noise > EXACT else ""
    for other in equivalent[:_LISTED]:
        notes.append(f"Parents {_listed(other)} would answer the same{noise}.")
    if len(equivalent) > _LISTED:
        least = "at least " if len(equivalent) >= _MOST_TREES else ""
        notes.append(f"So would {least}{len(equivalent) - _LISTED} other trees.")
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


class StepCorrectedBlackBox(BlackBox):
    """Accelerations of a model of steps: what a step adds, by a law of its steps, is taken off.

    inner   the model, which answers with next states
    law     a fit of its steps
    order   the model's coordinate behind each of the law's
    """

    def __init__(self, inner: BlackBox, law: Fit, order: tuple[int, ...]):
        super().__init__(inner.model, inner.nq, inner.nv, outputs=inner.outputs, dt=inner.dt)
        self.inner, self.law, self.order = inner, law, list(order)
        self._tally = inner._tally  # one count for the model

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers with corrected accelerations."""
        answers = self.inner.ask(q, v, tau, strict=strict)
        states = (
            q[:, configuration_order(self.order, self.nq)],
            v[:, self.order],
            tau[:, self.order],
        )
        law = self.law
        added = law.predict(*states) - law.family.acceleration(law.theta, *states)
        a = answers.a.clone()
        a[:, self.order] -= added
        return replace(answers, a=a)


def infer_robot_from_steps(blackbox: BlackBox, region: Region, seed: int = 0) -> InferredRobot:
    """The robot behind a model that answers with next states; see `infer_robot`."""
    inferred = infer_robot(blackbox, region, seed)
    for _ in range(_ROUNDS):
        if not EXACT < inferred.tree.noise < _TOO_ROUGH:
            break
        sampler = DynamicsSampler(blackbox=blackbox, region=region, seed=seed + 1)
        training, held_out = training_answers(sampler, inferred.exact, inferred.order)
        assert blackbox.dt is not None
        scale = spread(training)
        step = find_step(inferred.exact, training, held_out, blackbox.dt, scale=scale).step
        law = fit(Family.of(inferred.exact), training, scale=scale, step=step)
        again = infer_robot(StepCorrectedBlackBox(blackbox, law, inferred.order), region, seed)
        if again.tree.noise > _STEP_GAIN * inferred.tree.noise:
            break
        inferred = again
    return replace(inferred, queries=blackbox.queries)
