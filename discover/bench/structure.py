"""`discover bench structure`: trees, geometries and recursions out of black boxes, counted.

Robots are random and machine-like in turn, their coordinates renumbered. A tree counts as right
if it is the robot's, or if with the robot's own screws it answers the same to rounding (counted
apart).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import kinematics
from discover.artifacts import write_json
from discover.dynamics import Respondent
from discover.region import Region
from discover.structure.described import screw_tree
from discover.structure.geometry import infer_geometry
from discover.structure.language import Block, Samples, carried, joint, product
from discover.structure.probing import Prober
from discover.structure.recursion import search
from discover.structure.rivals import misfit
from discover.structure.topology import infer_tree
from discover.structure.trees import trial_trees
from kinematics import Robot

REGION = Region(q=1.5, v=2.0, tau=5.0)
LEVEL = 0.01
_TWIST = carried(joint("v"), 1)
TERMS = {
    "gyroscopic": Block("rate", (_TWIST, _TWIST), 1),
    "coriolis": Block("inertia", (carried(product(_TWIST, joint("v")), 1),), 1),
}


def main(out: Path | None = None, say: Callable = print, count: int = 100) -> None:
    """Run all of it, tell the figures, and write them to `out`/structure.json."""
    result = {}
    for noise in (None, "tau", "a"):
        result[f"trees, noise on {noise or 'nothing'}"] = trees(count, noise)
    result["geometries"] = geometries(max(1, 2 * count // 5))
    for noise in (None, "tau"):
        result[f"altered recursions, noise on {noise or 'nothing'}"] = recursions(
            max(1, 3 * count // 5), noise
        )
    for name, row in result.items():
        say(f"{name}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
    if out is not None:
        write_json(Path(out) / "structure.json", result)


def trees(count: int, noise: str | None) -> dict:
    """How many of `count` trees of 2 to 12 joints come out."""
    same, alike, kinds, missed, seconds, queries = 0, 0, 0, [], [], []
    for k, robot in enumerate(trial_trees(count)):
        order = np.random.default_rng(k).permutation(robot.nv).tolist()
        began = time.perf_counter()
        asked = _prober(simulated(robot, order, noise), robot.nv)
        tree = infer_tree(asked)
        seconds.append(time.perf_counter() - began)
        queries.append(asked.respondent.queries)
        true = [robot.kinds[i] for i in order]
        kinds += all(f in (t, "either") for f, t in zip(tree.kinds, true, strict=True))
        if tree.parents == _parents(robot, order):
            same += 1
        elif _answers_alike(robot, order, tree.parents):
            alike += 1
        else:
            missed.append(robot.name)
    return {
        "of": count,
        "the robot's tree": same,
        "another that answers the same": alike,
        "kinds right": kinds,
        "median seconds": round(float(np.median(seconds)), 2),
        "most seconds": round(max(seconds), 1),
        "median queries": int(np.median(queries)),
        "missed": missed,
    }


def geometries(count: int) -> dict:
    """How many geometries fit fresh configurations to 1e-8, tree and kinds given."""
    good, missed, seconds = 0, [], []
    for robot in trial_trees(count, least=3, most=10):
        asked = _prober(simulated(robot, range(robot.nv)), robot.nv)
        tree, _ = screw_tree(robot, asked.draw(1, 0.7)[0])
        began = time.perf_counter()
        found = infer_geometry(asked, tree)
        seconds.append(time.perf_counter() - began)
        if found.held_out < 1e-8:
            good += 1
        else:
            missed.append(f"{robot.name}: {found.held_out:.1e}")
    return {
        "of": count,
        "held-out misfit below 1e-8": good,
        "median seconds": round(float(np.median(seconds)), 2),
        "most seconds": round(max(seconds), 1),
        "missed": missed,
    }


def recursions(count: int, noise: str | None) -> dict:
    """How many recursions with other coefficients come out, to 1e-3 (3e-2 under noise)."""
    good, missed, seconds = 0, [], []
    rng = np.random.default_rng(8)
    for k in range(count):
        robot = kinematics.random_tree(3 + k % 3, branching=0.4, seed=k + 50, kinds=("revolute",))
        mix = {name: float(rng.choice([0.0, 0.5, 0.8, 1.0, -1.0])) for name in TERMS}
        asked = _prober(altered(robot, mix, noise), robot.nv)
        began = time.perf_counter()
        found = search(asked, *screw_tree(robot, np.zeros(robot.nv)))
        seconds.append(time.perf_counter() - began)
        told = dict(zip(found.velocity, found.coefficients.tolist(), strict=True))
        limit = 1e-3 if noise is None else 3e-2
        wanted = {TERMS[name]: c for name, c in mix.items() if c}
        right = set(told) == set(wanted) and all(
            abs(told[b] - c) < limit for b, c in wanted.items()
        )
        # Other blocks that predict fresh answers as well are the same function, told otherwise.
        if right or (noise is None and found.equivalent and found.held_out < 1e-8):
            good += 1
        else:
            missed.append(f"{robot.name}: {mix}")
    return {
        "of": count,
        "came out": good,
        "median seconds": round(float(np.median(seconds)), 2),
        "missed": missed,
    }


def simulated(robot: Robot, order: Sequence[int], noise: str | None = None) -> Callable:
    """The robot as a black box: its coordinate order[i] is number i; noise on "tau" or "a"."""
    order = list(order)
    back = [order.index(i) for i in range(robot.nv)]
    scatter = _scatterer()

    def model(q, v, tau):
        pushed = scatter(tau) if noise == "tau" else tau
        a = kinematics.aba(robot, q[:, back], v[:, back], pushed[:, back])[:, order]
        return scatter(a) if noise == "a" else a

    return model


def altered(robot: Robot, mix: dict[str, float], noise: str | None = None) -> Callable:
    """A mechanism with the robot's H and gravity, and its velocity terms in another mixture."""
    tree, screws = screw_tree(robot, np.zeros(robot.nv))
    phi = _in_one_frame(robot, tree, screws)
    scatter = _scatterer()

    def model(q, v, tau):
        samples = Samples(tree, screws, q.numpy(), v.numpy())
        even = sum((c * (samples.block(TERMS[n]) @ phi)[..., 0] for n, c in mix.items()), 0.0)
        rest = kinematics.bias(robot, q, torch.zeros_like(v)) + torch.as_tensor(even)
        pushed = scatter(tau) if noise == "tau" else tau
        H = kinematics.crba(robot, q)
        a = torch.linalg.solve(H, (pushed - rest).unsqueeze(-1)).squeeze(-1)
        return scatter(a) if noise == "a" else a

    return model


def _in_one_frame(robot: Robot, tree, screws) -> np.ndarray:
    """Inertial parameters in the frame of the screws, fitted to the robot's own H and forces."""
    q = np.random.default_rng(1).normal(size=(40, robot.nv))
    states = torch.from_numpy(q)
    H = kinematics.crba(robot, states).numpy()
    rest = kinematics.bias(robot, states, torch.zeros_like(states)).numpy()
    y = np.concatenate([H, rest[..., None]], 2)
    rows = tree.regressor(tree.unit(screws), q)
    return np.linalg.lstsq(rows.reshape(-1, rows.shape[-1]), y.ravel(), rcond=1e-10)[0]


def _answers_alike(robot: Robot, order: list[int], parents: tuple[int, ...]) -> bool:
    asked = _prober(simulated(robot, order), robot.nv)
    reference = asked.draw(1)[0]
    back = [order.index(i) for i in range(robot.nv)]
    tree, screws = screw_tree(robot, reference[back])
    turning = tuple(tree.turning[i] for i in order)
    rival = replace(tree, parents=parents, turning=turning, reference=reference)
    fitted, held = asked.at(asked.draw(8 * robot.nv)), asked.at(asked.draw(20))
    return misfit(rival, screws[order], fitted, held) < 1e-8


def _parents(robot: Robot, order: list[int]) -> tuple[int, ...]:
    return tuple(-1 if robot.parents[i] < 0 else order.index(robot.parents[i]) for i in order)


def _scatterer() -> Callable:
    generator = torch.Generator().manual_seed(0)

    def scatter(x: torch.Tensor) -> torch.Tensor:
        size = LEVEL * x.square().mean(0).sqrt()
        return x + size * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    return scatter


def _prober(model: Callable, nv: int) -> Prober:
    return Prober(respondent=Respondent(model, nv, nv), region=REGION)
