"""From a black box with a free base to a robot: its tree, every joint's screw, its parameters.

Told: that the first six velocities are a free body's, the rest joints. The tree is found with the
base held still; each joint's screw, in the base's own frame, from H of base and joint with all else
still; then trees that differ by one change compete, for with the base in sight the screws do not
depend on the tree.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.mechanism.geometry.bodies import (
    answers,
    shown_joint_terms,
    with_canonical_frames,
    with_possible_bodies,
)
from discover.mechanism.geometry.identification import Geometry, is_good
from discover.mechanism.geometry.least_squares import misfit
from discover.mechanism.geometry.projection import Problem, solve, solve_well
from discover.mechanism.geometry.robots import robot_from_screws
from discover.mechanism.geometry.screws import Array
from discover.mechanism.geometry.serial_chain import start
from discover.mechanism.geometry.uncertainty import measures
from discover.mechanism.inference import InferredRobot
from discover.mechanism.local_dynamics import LocalDynamics
from discover.mechanism.recursion.search import Recursion, search
from discover.mechanism.tree.candidates import neighbours
from discover.mechanism.tree.floating import (
    BASE_V,
    FixedBaseSampler,
    FloatingBaseSampler,
    FloatingTree,
    rotations,
)
from discover.mechanism.tree.topology import Tree, infer_tree

_STARTS = 16
_STATES = 24  # each shows all of H, base included
_CLEAR = 5.0  # deviations from which a component of gravity is one
_ALIKE = 0.5  # a neighbouring tree is taken where it misses less than this share


def infer_free_base(blackbox: BlackBox, region: Region, seed: int = 0) -> InferredRobot:
    """Tree and geometry of a model with a free base, of which nothing else is known."""
    began, before = time.perf_counter(), blackbox.queries
    whole = FloatingBaseSampler(blackbox=blackbox, region=region, seed=seed)
    held = FixedBaseSampler(whole)
    tree = infer_tree(held)
    geometry = _geometry(whole, held, tree)
    body = geometry.tree.order
    order = (*range(BASE_V), *(b - 1 + BASE_V for b in body[1:]))
    parents = tuple(p - 1 for p in geometry.tree.parents[1:])
    gravity, weight = _gravity(whole)
    notes = [
        "The first six coordinates are a free base's; the joints' parents (0 is the base, joints "
        f"from 1) were inferred from the answers: {[p + 1 for p in parents]}.",
        f"What falls, falls with {', '.join(f'{x:.4g}' for x in gravity)} m/s² "
        f"(misfit {weight:.1e}).",
    ]
    if not geometry.good:
        notes.append(
            f"No geometry of this tree fits the model at rest: {geometry.held_out:.2g} of H is "
            "missed by the best."
        )
    robot = robot_from_screws(geometry.tree, geometry.screws, geometry.pi, gravity=gravity.tolist())
    exact = robot
    if geometry.good:
        asked, fresh = answers(whole, robot, order)
        terms = shown_joint_terms(robot, asked, fresh)
        robot = with_canonical_frames(robot, geometry, whole.scatters, asked, fresh, terms)
        robot, exact = with_possible_bodies(robot, asked, terms)
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


def search_free_base(
    blackbox: BlackBox, found: InferredRobot, region: Region, seed: int = 0
) -> Recursion | None:
    """The recursion over an inferred tree with a free base; None where no geometry fits."""
    if not found.geometry.good:
        return None
    sampler = FloatingBaseSampler(blackbox=blackbox, region=region, seed=seed)
    return search(sampler, found.geometry.tree, found.geometry.screws, states=_STATES)


def _geometry(whole: FloatingBaseSampler, held: FixedBaseSampler, tree: Tree) -> Geometry:
    rng = np.random.default_rng([whole.seed, 37])
    depth = 24 if whole.scatters else 1
    reference = held.draw(1, 0.7)[0]
    screws, turning = [], []
    for j, kind in enumerate(tree.kinds):
        screw, trigonometry = _one_joint(held, j, kind, reference, depth, rng)
        screws.append(screw)
        turning.append(trigonometry)
    nb = len(turning) + 1
    asked = _without_weight(_asked(held, held.draw(max(16, 2 * nb)), depth))
    fresh = _without_weight(_asked(held, held.draw(12), depth))
    best = FloatingTree.over(tree.parents, tuple(turning), reference)
    all_screws = best.with_base(np.array(screws))
    loss = misfit(best, all_screws, asked, fresh)
    while loss > 1e-8:
        rivals = [
            FloatingTree.over(p, tuple(turning), reference)
            for p in neighbours(tuple(p - 1 for p in best.parents[1:]))
        ]
        losses = [misfit(r, all_screws, asked, fresh) for r in rivals]
        k = int(np.argmin(losses))
        if losses[k] > _ALIKE * loss:
            break
        best, loss = rivals[k], losses[k]
    problem = Problem.of(best, asked, whitened=whole.scatters)
    result = solve(problem, all_screws, iterations=30)
    found = problem.parameters(result.screws)
    test = Problem.of(best, fresh, whitened=whole.scatters)
    size = 6 * nb + len(found)
    spread = problem.spread(result.screws, found) if whole.scatters else np.zeros((size, 0))
    held_out = test.foreseen_error(result.screws, found, spread)
    good = is_good(max(result.error, held_out), problem)
    return Geometry(
        tree=best,
        screws=result.screws,
        pi=found.reshape(-1, 10),
        error=result.error,
        held_out=held_out,
        joint=spread @ spread.T,
        good=good,
        joint_terms=False,
        measures=measures(problem, result.screws, found) if good else (),
        queries=whole.blackbox.queries,
    )


def _one_joint(
    held: FixedBaseSampler,
    joint: int,
    kind: str,
    reference: Array,
    depth: int,
    rng: np.random.Generator,
) -> tuple[Array, bool]:
    """The screw of one joint in the base's frame, all other joints still; and whether it turns."""
    q = np.repeat(reference[None], 8, 0)
    q[:, joint] = held.draw(len(q))[:, joint]
    keep = [*range(BASE_V), BASE_V + joint]
    asked = _without_weight(_asked(held, q, depth)).joints(keep, [0, joint + 1])
    kinds = {"revolute": (True,), "prismatic": (False,)}.get(kind, (True, False))
    tried: list[tuple[float, Array, bool]] = []
    for trigonometry in kinds:
        piece = FloatingTree.over((-1,), (trigonometry,), reference[[joint]])
        problem = Problem.of(piece, asked, whitened=held.scatters)
        for _ in range(_STARTS):
            first = start(piece, rng)
            if trigonometry:
                first[1, 3:] = np.cross(0.3 * rng.normal(size=3), first[1, :3])
            found = solve_well(problem, first, iterations=60)
            tried.append((found.error, found.screws[1], trigonometry))
            if found.error < problem.floor:
                return found.screws[1], trigonometry
    _, screw, trigonometry = min(tried, key=lambda t: t[0])
    return screw, trigonometry


def _asked(held: FixedBaseSampler, q: Array, depth: int) -> LocalDynamics:
    """H with the base at configurations of the joints; q as the tree has it, the base's idle."""
    seen = held.with_base(q, replicates=depth)
    return replace(seen, q=np.concatenate([np.zeros((len(q), 1)), q], 1))


def _without_weight(asked: LocalDynamics) -> LocalDynamics:
    """Without the forces at rest: they are H's base columns times gravity, said already."""
    return replace(
        asked,
        force=np.zeros_like(asked.force),
        force_deviation=np.full_like(asked.force_deviation, 1e30),
    )


def _gravity(whole: FloatingBaseSampler) -> tuple[Array, float]:
    """The acceleration of what falls, in the world; and what of the forces at rest it misses."""
    asked = whole.at(whole.draw(12), replicates=8 if whole.scatters else 1)
    back = rotations(asked.q[:, 3:7]).swapaxes(1, 2)
    rows = -asked.H[:, :, 3:BASE_V] @ back
    size = np.sqrt(np.einsum("nii->ni", asked.H).clip(1e-300))[..., None]
    rows, right = (rows / size).reshape(-1, 3), (asked.force / size[..., 0]).ravel()
    found = np.linalg.lstsq(rows, right, rcond=None)[0]
    left = rows @ found - right
    missed = float(np.linalg.norm(left) / (np.linalg.norm(right) + 1e-300))
    inverse = np.diag(np.linalg.pinv(rows.T @ rows)).clip(0.0)
    deviation = np.sqrt(inverse * (left @ left) / max(1, len(left) - 3))
    return np.where(np.abs(found) < _CLEAR * deviation, 0.0, found), missed
