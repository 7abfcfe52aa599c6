"""Simulators with a planted law: a rigid body, and one thing more that no description states.

The laws themselves are files of their own, beside the tests, which the search never sees. A file of
laws is a Python module with `laws(robot)`, a list of `PlantedLaw`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import kinematics
from discover.blackbox import sampling
from discover.blackbox.region import Region
from discover.errors import RecipeError
from kinematics import Robot

KINDS = ("force", "inertia", "drive", "answer")
STRENGTH = 0.3
_STATES = 256
_HOME = Path(__file__).resolve().parents[2] / "laws" / "unlisted"


@dataclass(frozen=True)
class PlantedLaw:
    """One law, in words and as a function.

    kind     what `shape` gives, scaled by a number that `plant` chooses:
             "force"    shape(q, v, H) -> (n, nv), a generalised force that resists
             "inertia"  shape(q, v, H) -> (n, nv, nv), added to the mass matrix
             "drive"    shape(q, v, tau) -> (n, nv), added to the joint forces
             "answer"   shape(q, v, a, H) -> (n, nv), added to the accelerations
    acts     the coordinates on which it acts, depends: the words that a finder has to name
    outside  whether its shape is in no list of the search
    fixed    whether the shape comes with its own scale
    """

    name: str
    kind: str
    shape: Callable
    acts: tuple[int, ...] = ()
    depends: tuple[str, ...] = ()
    outside: bool = False
    fixed: bool = False


Model = Callable[[Tensor, Tensor, Tensor], Tensor]


def plant(robot: Robot, law: PlantedLaw, region: Region, strength: float = STRENGTH) -> Model:
    """The simulator with the law, so large that it changes accelerations by the share `strength`.

    The share is the root mean square over joints, states in the region. Laws that are `fixed` come
    as they are. Noise-free: (q, v, tau) -> a, each (n, nv).
    """
    states = sampling.sample(region.resolve(robot.nv), robot, _STATES, 4711)
    plain = kinematics.aba(robot, *states)

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

    low, high = (1.0, 1.0) if law.fixed else (1e-5, 1e3)
    for _ in range(50 if high > low else 0):
        size = (low * high) ** 0.5
        share = (answer(size, *states) - plain).square().mean(0) / plain.square().mean(0)
        low, high = (size, high) if float(share.mean().sqrt()) < strength else (low, size)
    size = (low * high) ** 0.5
    return lambda q, v, tau: answer(size, q, v, tau)


def with_noise(model: Model, robot: Robot, region: Region, level: float, seed: int) -> Model:
    """Answers that scatter by `level` of each joint's spread in the region, ever anew."""
    if level == 0.0:
        return model
    a = model(*sampling.sample(region.resolve(robot.nv), robot, _STATES, 4712))
    sigma = level * a.square().mean(0).sqrt()
    generator = torch.Generator().manual_seed(seed)

    def scattered(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        clean = model(q, v, tau)
        return clean + sigma * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)

    return scattered


def laws_of(name: str) -> Callable[[Robot], list[PlantedLaw]]:
    """`laws` of a file: one beside the tests by its name, or any path. Raises RecipeError."""
    path = Path(name) if name.endswith(".py") else _HOME / f"{name}.py"
    if not path.is_file():
        raise RecipeError(
            f"expected a file of planted laws at {path}, found none: the laws live beside the "
            "tests, so run this from a checkout of the repository"
        )
    known = f"planted_file_{path.stem}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        sys.path.insert(0, str(path.parent))  # a file of laws may use its neighbours
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(path.parent))
    return sys.modules[known].laws
