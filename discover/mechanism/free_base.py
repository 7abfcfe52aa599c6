"""A robot with a free base from a black box: tree, screws, inertial parameters and gravity.

Given is that the first six velocities are those of a free body (angular, linear, in its own frame)
and the others those of joints. The tree is inferred with the base at rest. Each joint's screw, in
the base's frame, follows from H of base and joint while all else stands still; it does not depend
on the tree, so neighbouring trees are then compared with the same screws.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.judgement.thresholds import threshold, whole
from discover.mechanism.geometry.bodies import identify_bodies
from discover.mechanism.geometry.identification import Geometry, is_good
from discover.mechanism.geometry.least_squares import misfit
from discover.mechanism.geometry.projection import Problem, solve, solve_well
from discover.mechanism.geometry.robots import robot_from_screws
from discover.mechanism.geometry.screws import Array
from discover.mechanism.geometry.serial_chain import start
from discover.mechanism.geometry.uncertainty import measures
from discover.mechanism.inference import InferredRobot
from discover.mechanism.local_dynamics import LocalDynamics
from discover.mechanism.tree.candidates import neighbours
from discover.mechanism.tree.floating import (
    BASE_V,
    FixedBaseSampler,
    FloatingBaseSampler,
    FloatingTree,
)
from discover.mechanism.tree.topology import Tree, infer_tree
from kinematics.spatial.rotations import matrix_of_quaternion

_STARTS = whole("mechanism.starts_of_free_base")
_REPLICATES = whole("mechanism.chain_replicates")
_GRAVITY_REPLICATES = whole("mechanism.gravity_replicates")
_CLEAR = threshold("mechanism.clear_gravity")
_NEIGHBOUR_GAIN = threshold("mechanism.neighbour_gain")
_EQUIVALENT = threshold("mechanism.equivalent_misfit")
_NO_WEIGHT = 1e30  # standard deviation of a number that must not count


def infer_free_base(blackbox: BlackBox, region: Region, seed: int = 0) -> InferredRobot:
    """The robot behind a model with a free base of which else only nv and a region are known.

    Its first joint is the base, named "base"; q has seven numbers for it (position, quaternion
    wxyz). See `inference.infer_robot` for the rest.
    """
    began, before = time.perf_counter(), blackbox.queries
    sampler = FloatingBaseSampler(blackbox=blackbox, region=region, seed=seed)
    fixed = FixedBaseSampler(sampler)
    tree = infer_tree(fixed)
    geometry = _geometry(sampler, fixed, tree)
    bodies = geometry.tree.order
    order = (*range(BASE_V), *(b - 1 + BASE_V for b in bodies[1:]))
    parents = tuple(p - 1 for p in geometry.tree.parents[1:])
    gravity, gravity_misfit = _gravity(sampler)
    notes = [
        "The first six coordinates are a free base's; the joints' parents (0 is the base, joints "
        f"from 1) were inferred from the answers: {[p + 1 for p in parents]}.",
        f"What falls, falls with {', '.join(f'{x:.4g}' for x in gravity)} m/s² "
        f"(misfit {gravity_misfit:.1e}).",
    ]
    if not geometry.good:
        notes.append(
            f"No geometry of this tree fits the model at rest: {geometry.held_out:.2g} of H is "
            "missed by the best."
        )
    robot = robot_from_screws(geometry.tree, geometry.screws, geometry.pi, gravity=gravity.tolist())
    exact = robot
    if geometry.good:
        robot, exact = identify_bodies(sampler, robot, geometry, order, sampler.scatters)
    return InferredRobot(
        tree=replace(tree, parents=parents),
        geometry=geometry,
        order=order,
        robot=robot,
        exact=exact,
        equivalent=(),
        notes=tuple(notes),
        queries=blackbox.queries - before,
        seconds=time.perf_counter() - began,
    )


def _geometry(sampler: FloatingBaseSampler, fixed: FixedBaseSampler, tree: Tree) -> Geometry:
    rng = np.random.default_rng([sampler.seed, 37])
    replicates = _REPLICATES if sampler.scatters else 1
    reference = fixed.draw(1, 0.7)[0]
    joint_screws, turning = [], []
    for j, kind in enumerate(tree.kinds):
        screw, turns = _one_joint(fixed, j, kind, reference, replicates, rng)
        joint_screws.append(screw)
        turning.append(turns)
    nb = len(turning) + 1
    training = _inertia(fixed, fixed.draw(max(16, 2 * nb)), replicates)
    validation = _inertia(fixed, fixed.draw(12), replicates)
    best = FloatingTree.over(tree.parents, tuple(turning), reference)
    screws = best.with_base(np.array(joint_screws))
    loss = misfit(best, screws, training, validation)
    while loss > _EQUIVALENT:
        alternatives = [
            FloatingTree.over(parents, tuple(turning), reference)
            for parents in neighbours(tuple(p - 1 for p in best.parents[1:]))
        ]
        losses = [misfit(other, screws, training, validation) for other in alternatives]
        k = int(np.argmin(losses))
        if losses[k] > _NEIGHBOUR_GAIN * loss:
            break
        best, loss = alternatives[k], losses[k]
    problem = Problem.of(best, training, whitened=sampler.scatters)
    result = solve(problem, screws, iterations=30)
    parameters = problem.parameters(result.screws)
    test = Problem.of(best, validation, whitened=sampler.scatters)
    size = 6 * nb + len(parameters)
    spread = np.zeros((size, 0))
    if sampler.scatters:
        spread = problem.spread(result.screws, parameters)
    held_out = test.foreseen_error(result.screws, parameters, spread)
    good = is_good(max(result.error, held_out), problem)
    return Geometry(
        tree=best,
        screws=result.screws,
        pi=parameters.reshape(-1, 10),
        error=result.error,
        held_out=held_out,
        joint=spread @ spread.T,
        good=good,
        joint_terms=False,
        measures=measures(problem, result.screws, parameters) if good else (),
        queries=sampler.blackbox.queries,
    )


def _one_joint(
    fixed: FixedBaseSampler,
    joint: int,
    kind: str,
    reference: Array,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Array, bool]:
    """The screw (6,) of one joint in the base's frame, all other joints still; whether it turns."""
    q = np.repeat(reference[None], 8, 0)
    q[:, joint] = fixed.draw(len(q))[:, joint]
    keep = [*range(BASE_V), BASE_V + joint]
    training = _inertia(fixed, q, replicates).joints(keep, [0, joint + 1])
    kinds = {"revolute": (True,), "prismatic": (False,)}.get(kind, (True, False))
    tried: list[tuple[float, Array, bool]] = []
    for turns in kinds:
        piece = FloatingTree.over((-1,), (turns,), reference[[joint]])
        problem = Problem.of(piece, training, whitened=fixed.scatters)
        for _ in range(_STARTS):
            first = start(piece, rng)
            if turns:
                first[1, 3:] = np.cross(0.3 * rng.normal(size=3), first[1, :3])
            result = solve_well(problem, first, iterations=60)
            tried.append((result.error, result.screws[1], turns))
            if result.error < problem.floor:
                return result.screws[1], turns
    _, screw, turns = min(tried, key=lambda t: t[0])
    return screw, turns


def _inertia(fixed: FixedBaseSampler, q: Array, replicates: int) -> LocalDynamics:
    """H of base and joints at configurations q (n, joints) of the joints; its own q has an idle
    first column, as `FloatingTree` has it. Static forces don't count: they are H's columns of the
    base times gravity, and known from H already."""
    local = fixed.with_base(q, replicates=replicates)
    return replace(
        local,
        q=np.concatenate([np.zeros((len(q), 1)), q], 1),
        force=np.zeros_like(local.force),
        force_deviation=np.full_like(local.force_deviation, _NO_WEIGHT),
    )


def _gravity(sampler: FloatingBaseSampler) -> tuple[Array, float]:
    """The acceleration of free fall (3,) in the world [m/s²], components that noise hides set to
    zero; and its relative misfit to the static forces."""
    local = sampler.at(sampler.draw(12), replicates=_GRAVITY_REPLICATES if sampler.scatters else 1)
    back = matrix_of_quaternion(local.q[:, 3:7]).swapaxes(1, 2)
    rows = -local.H[:, :, 3:BASE_V] @ back
    size = np.sqrt(np.einsum("nii->ni", local.H).clip(1e-300))[..., None]
    rows, right = (rows / size).reshape(-1, 3), (local.force / size[..., 0]).ravel()
    gravity = np.linalg.lstsq(rows, right, rcond=None)[0]
    residual = rows @ gravity - right
    relative = float(np.linalg.norm(residual) / (np.linalg.norm(right) + 1e-300))
    inverse = np.diag(np.linalg.pinv(rows.T @ rows)).clip(0.0)
    deviation = np.sqrt(inverse * (residual @ residual) / max(1, len(residual) - 3))
    return np.where(np.abs(gravity) < _CLEAR * deviation, 0.0, gravity), relative
