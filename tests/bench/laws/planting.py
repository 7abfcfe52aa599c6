"""Simulators with a planted law: rigid bodies and one effect that no robot description states.

The laws are in `tests.bench.laws.lists`, outside the package, so that the search cannot read them.
A list of laws is a Python module with `laws(robot) -> list[PlantedLaw]`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

import kinematics
from discover.blackbox import sampling
from discover.blackbox.region import Region
from discover.calibration.planted.contract import Noisy, size_for
from discover.errors import RecipeError
from kinematics import Robot

KINDS = ("force", "inertia", "drive", "answer")
STRENGTH = 0.3
_STATES = 256
_LISTS = Path(__file__).parent / "lists"

Model = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PlantedLaw:
    """One law, in words and as a function.

    kind     what `shape` returns, to be multiplied by a number that `plant` chooses:
             "force"    shape(q, v, H) -> (n, nv), a generalised force that resists
             "inertia"  shape(q, v, H) -> (n, nv, nv), added to the mass matrix
             "drive"    shape(q, v, tau) -> (n, nv), added to the joint forces
             "answer"   shape(q, v, a, H) -> (n, nv), added to the accelerations
    acts     coordinates on which the law acts
    depends  variables on which it depends, in the words of the search
    outside  whether no force direction × feature × single shape of the search's catalogue is this
             law; `tests/laws/unlisted/test_lists.py` computes it
    fixed    whether `shape` has its final size, so that `plant` does not scale it
    """

    name: str
    kind: str
    shape: Callable
    acts: tuple[int, ...] = ()
    depends: tuple[str, ...] = ()
    outside: bool = False
    fixed: bool = False


def plant(robot: Robot, law: PlantedLaw, region: Region, strength: float = STRENGTH) -> Model:
    """The noise-free simulator with the law: (q, v, tau) -> a, each (n, nv).

    The law is scaled to change accelerations by the share `strength` (root mean square over joints
    and states of the region), unless it is `fixed`. Raises ValueError where no scale does.
    """
    states = sampling.sample(region.resolve(robot.nv), robot, _STATES, 4711)

    def answer(size: float, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        H, b = kinematics.crba(robot, q), kinematics.bias(robot, q, v)
        if law.kind == "drive":
            tau = tau + size * law.shape(q, v, tau)
        if law.kind == "force":
            b = b + size * law.shape(q, v, H)
        if law.kind == "inertia":
            H = H + size * law.shape(q, v, H)
        a = torch.linalg.solve(H, (tau - b).unsqueeze(-1)).squeeze(-1)
        if law.kind == "answer":
            a = a + size * law.shape(q, v, a, H)
        return a

    def scaled(size: float) -> Model:
        return lambda q, v, tau: answer(size, q, v, tau)

    if law.fixed:
        return scaled(1.0)
    plain = kinematics.aba(robot, *states)
    size = size_for(scaled, states, plain, strength, low=1e-5, high=1e3, halvings=50)
    if size is None:  # a law of small numbers, such as a square of centimetres
        size = size_for(scaled, states, plain, strength, low=1e3, high=1e6, halvings=50)
    if size is None:
        raise ValueError(f"expected a law that can change accelerations, found {law.name!r}")
    return scaled(size)


def with_noise(model: Model, robot: Robot, region: Region, level: float, seed: int) -> Model:
    """The model behind white noise of `level` times each joint's root mean square in the region."""
    if level == 0.0:
        return model
    a = model(*sampling.sample(region.resolve(robot.nv), robot, _STATES, 4712))
    return Noisy(model, a.square().mean(0).sqrt(), level, torch.Generator().manual_seed(seed))


def laws_of(name: str) -> Callable[[Robot], list[PlantedLaw]]:
    """`laws` of a list in `tests.bench.laws.lists`, or of any file whose path ends in .py.

    Raises RecipeError where there is none.
    """
    if not name.endswith(".py"):
        if not (_LISTS / f"{name}.py").is_file():
            known = sorted(p.stem for p in _LISTS.glob("[a-z]*.py"))
            raise RecipeError(f"expected a list of planted laws of {known}, found {name!r}")
        return import_module(f"tests.bench.laws.lists.{name}").laws
    path = Path(name)
    if not path.is_file():
        raise RecipeError(f"expected a file of planted laws at {path}, found none")
    key = f"planted_file_{path.stem}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key].laws


# What several lists need.


def on_joint(j: int, value: Tensor, nv: int) -> Tensor:
    """A force on one coordinate: value (...) -> (..., nv). With nv = 3, a vector along one axis."""
    out = value.new_zeros(*value.shape, nv)
    out[..., j] = value
    return out


def kinetic_energy(v: Tensor, H: Tensor) -> Tensor:
    """v (n, nv), H (n, nv, nv) -> ½ vᵀ H v (n,)."""
    return 0.5 * (v * (H @ v.unsqueeze(-1)).squeeze(-1)).sum(-1)


def tip(
    robot: Robot, q: Tensor, v: Tensor, place: tuple[float, float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Position (n, 3), velocity (n, 3) and Jacobian (n, 3, nv), in the base frame, of the point
    `place` [m] of the last body of a chain of hinges. Independent of `kinematics`' recursions."""
    n = len(q)
    turn = torch.eye(3, dtype=q.dtype).expand(n, 3, 3)
    origin = q.new_zeros(n, 3)
    joints = []
    for j in range(q.shape[-1]):
        origin = origin + turn @ robot.tree_offset[j]
        turn = turn @ robot.tree_rotation[j]
        axis = robot.axes[j]
        joints.append((origin, turn @ axis))
        K = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        s, c = torch.sin(q[:, j])[:, None, None], torch.cos(q[:, j])[:, None, None]
        turn = turn @ (torch.eye(3, dtype=q.dtype) + s * K + (1 - c) * (K @ K))
    x = origin + turn @ torch.tensor(place, dtype=q.dtype)
    J = torch.stack([torch.linalg.cross(axis, x - at) for at, axis in joints], -1)
    return x, (J @ v.unsqueeze(-1)).squeeze(-1), J


@dataclass(frozen=True)
class AtTip:
    """Generalised force of a force(x, dx) -> (n, 3) [N, base frame] at a point of the last body."""

    robot: Robot
    force: Callable[[Tensor, Tensor], Tensor]
    place: tuple[float, float, float]

    def __call__(self, q: Tensor, v: Tensor, H: Tensor) -> Tensor:
        x, dx, J = tip(self.robot, q, v, self.place)
        return (J.mT @ self.force(x, dx).unsqueeze(-1)).squeeze(-1)
