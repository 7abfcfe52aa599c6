"""Random robots and random states, for tests, identification, benchmarks and studies of scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.robot import inertial_parameters
from kinematics.robot.joints import KINDS
from kinematics.robot.tree import Robot, build, check_robot
from kinematics.spatial.rotations import matrix_of_quaternion


def random_tree(
    nb: int,
    branching: float = 0.3,
    seed: int = 0,
    *,
    kinds: Sequence[str] = ("revolute", "prismatic"),
    root: str = "fixed",
) -> Robot:
    """A random robot of ``nb`` bodies with physically possible inertias.

    ``branching`` in [0, 1] is the chance that a body hangs on any earlier one instead of the last:
    0 gives a chain. ``kinds`` are drawn with equal weight; ``root="free"`` makes the first joint
    free. Lengths are of order 0.3 m, masses of order 1 kg. The same seed gives the same robot.
    """
    if nb < 1 or not 0 <= branching <= 1:
        raise RobotError(
            f"expected nb >= 1 and branching in [0, 1], found {nb} and {branching}; change them"
        )
    generator = np.random.default_rng(seed)
    parents = [-1]
    for i in range(1, nb):
        anywhere = generator.random() < branching
        parents.append(int(generator.integers(0, i)) if anywhere else i - 1)
    return _robot_on(f"random_tree_{nb}_{seed}", parents, generator, kinds, root)


def family(
    shape: str,
    nb: int,
    seed: int = 0,
    *,
    kinds: Sequence[str] = ("revolute",),
    root: str = "fixed",
) -> Robot:
    """A random robot of a given shape: "chain", "star" (arms of two), "binary" or "humanoid".

    A humanoid is a trunk of a fifth of the bodies with two arms, two legs and a head. Bodies are
    drawn as in ``random_tree``.
    """
    shapes = {"chain": _chain, "star": _star, "binary": _binary, "humanoid": _humanoid}
    if shape not in shapes or nb < 1:
        raise RobotError(
            f"expected a shape among {', '.join(shapes)} and nb >= 1, found {shape!r} and {nb}; "
            "change them"
        )
    generator = np.random.default_rng(seed)
    return _robot_on(f"{shape}_{nb}_{seed}", shapes[shape](nb), generator, kinds, root)


def _chain(nb: int) -> list[int]:
    return [i - 1 for i in range(nb)]


def _star(nb: int) -> list[int]:
    return [-1] + [0 if i % 2 else i - 1 for i in range(1, nb)]


def _binary(nb: int) -> list[int]:
    return [-1] + [(i - 1) // 2 for i in range(1, nb)]


def _humanoid(nb: int) -> list[int]:
    trunk = max(1, nb // 5)
    parents = [i - 1 for i in range(trunk)]
    ends = [0, 0, trunk - 1, trunk - 1, trunk - 1]  # legs at the hip; arms and head at the top
    for i in range(trunk, nb):
        limb = (i - trunk) % len(ends)
        parents.append(ends[limb])
        ends[limb] = i
    return parents


def _robot_on(
    name: str,
    parents: list[int],
    generator: np.random.Generator,
    kinds: Sequence[str],
    root: str,
) -> Robot:
    """Random joints, placements and inertias on a given tree."""
    if not kinds or not set(kinds) <= set(KINDS) or root not in ("fixed", "free"):
        raise RobotError(
            f'expected kinds among {", ".join(KINDS)} and root "fixed" or "free", '
            f"found {tuple(kinds)} and {root!r}; change them"
        )
    nb, parents = len(parents), _depth_first(parents)
    chosen = [str(generator.choice(list(kinds))) for _ in range(nb)]
    if root == "free":
        chosen[0] = "free"
    return build(
        name,
        kinds=chosen,
        parents=parents,
        tree_rotation=np.array([random_rotation(generator) for _ in range(nb)]),
        tree_offset=generator.uniform(-0.3, 0.3, (nb, 3)),
        axes=np.array([_unit(generator.normal(size=3)) for _ in range(nb)]),
        pi=np.array([random_inertia(generator) for _ in range(nb)]),
    )


def random_inertia(generator: np.random.Generator) -> np.ndarray:
    """Ten physically possible parameters: an ellipsoid of about 1 kg and 0.1 m."""
    mass = float(np.exp(generator.normal(0.0, 0.5)))
    radii = generator.uniform(0.03, 0.15, 3) ** 2
    principal = np.array([radii[1] + radii[2], radii[0] + radii[2], radii[0] + radii[1]])
    turn = random_rotation(generator)
    inertia = mass / 5 * turn @ np.diag(principal) @ turn.T
    return inertial_parameters.about_origin(mass, generator.uniform(-0.15, 0.15, 3), inertia)


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    """A rotation matrix, uniform over all orientations."""
    quaternion = _unit(generator.normal(size=4))
    return matrix_of_quaternion(quaternion[None, :, None])[0, :, :, 0]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def _depth_first(parents: list[int]) -> list[int]:
    """The same tree with its bodies renumbered in depth-first order."""
    children: dict[int, list[int]] = {}
    for body, parent in enumerate(parents):
        children.setdefault(parent, []).append(body)
    number: dict[int, int] = {-1: -1}
    ordered: list[int] = []
    stack = children[-1][::-1]
    while stack:
        body = stack.pop()
        number[body] = len(ordered)
        ordered.append(body)
        stack += children.get(body, [])[::-1]
    return [number[parents[body]] for body in ordered]


def random_state(
    robot: Robot, count: int, *, seed: int = 0, q: float = torch.pi, v: float = 1.0, a: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random q (count, nq), v and a (count, nv), float64: uniform in ±q, ±v, ±a.

    Rotations of spherical and free joints are uniform over all orientations.
    """
    check_robot(robot)
    if count < 0:
        raise RobotError(f"expected a count >= 0, found {count}; ask for some states")
    generator = torch.Generator().manual_seed(seed)

    def uniform(width: int, half: float) -> Tensor:
        return half * (2 * torch.rand(count, width, generator=generator, dtype=torch.float64) - 1)

    configuration = uniform(robot.nq, q)
    for where in robot.quaternion_slices:
        quaternion = torch.randn(count, 4, generator=generator, dtype=torch.float64)
        configuration[:, where] = quaternion / quaternion.norm(dim=-1, keepdim=True)
    for kind, at in zip(robot.kinds, robot.q_slices, strict=True):
        if kind == "free":
            configuration[:, at.start : at.start + 3] /= max(q, 1.0)
    return configuration, uniform(robot.nv, v), uniform(robot.nv, a)
