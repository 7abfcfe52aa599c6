"""Controls: what an exchange meets where the network cannot have computed the variable.

The same network with scrambled weights and a fitted readout, a random subspace, the whole layer,
another robot's variable; and what of the predicted change V alone foretells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from discover.blackbox.sampling import Batch
from discover.inside.counterfactuals import Mechanics, Variable, mechanics
from discover.inside.network.capture import Network, Site, read, written
from discover.inside.pairs import Pair, Pairs, changes
from discover.inside.projection import Answer, Problem, random_start
from discover.judgement.thresholds import threshold
from kinematics import Robot


@contextmanager
def scrambled(network: Network, seed: int) -> Iterator[bool]:
    """The network with the entries of every weight in random order, for the block; False where it
    has none. So every layer keeps its size and its spread, and nothing that was learned."""
    generator = torch.Generator().manual_seed(seed)
    kept = [(w, w.detach().clone()) for w in network.parameters() if w.is_floating_point()]
    try:
        with torch.no_grad():
            for weight, before in kept:
                order = torch.randperm(before.numel(), generator=generator)
                weight.copy_(before.flatten()[order].reshape(before.shape))
        yield bool(kept)
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)


def rerun(network: Network, pairs: Pairs) -> Pairs:
    """The same pairs with what the network, as it is now, does at them."""

    def again(batches: list[Pair]) -> list[Pair]:
        return [
            p._replace(values=network.run(p.base), foreign=network.run(p.source)) for p in batches
        ]

    return Pairs(again(pairs.train), again(pairs.held), again(pairs.test), pairs.scale, pairs.error)


def read_out(network: Network, site: Site, last: Site, pairs: Pairs) -> tuple[Answer, Answer]:
    """Answers of a linear readout, fitted to the accelerations, from the last site: with other
    values at `site`, and of the last site's own values."""
    h = torch.cat([read(last, p.values, network.rows) for p in pairs.train]).double()
    spread = h.std(0).clamp_min(1e-9 * float(h.std(0).max().clamp_min(1e-300)))
    mean = h.mean(0)
    x = torch.cat(((h - mean) / spread, torch.ones(len(h), 1, dtype=h.dtype)), dim=-1)
    y = torch.cat([p.at_base.a for p in pairs.train])
    gram = x.T @ x / len(x) + 1e-6 * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x.T @ y / len(x))
    slope = (weights[:-1] / spread.unsqueeze(-1)).to(network.dtype)
    offset = (weights[-1] - mean / spread @ weights[:-1]).to(network.dtype)

    def own(_pair: Pair, at_last: Tensor) -> Tensor:
        return at_last @ slope + offset

    def patched(pair: Pair, flat: Tensor) -> Tensor:
        flat = flat.to(network.dtype)
        if site is last:
            return own(pair, flat)
        return own(pair, network.again(pair.values, written(site, flat, network.rows), last))

    return patched, own


def random_subspace(problem: Problem, k: int, seed: int) -> float:
    """S of k random directions, exchanged as they are."""
    generator = torch.Generator().manual_seed(seed)
    R, _ = random_start(problem.r, k, generator)
    R = R.to(problem.network.dtype)
    return problem.score(problem.pairs.test, R, R)


def whole_layer(problem: Problem) -> float:
    """S of all that is read at the site: where all passes there, the answer at the source."""
    eye = torch.eye(problem.r, dtype=problem.network.dtype)
    return problem.score(problem.pairs.test, eye, eye)


def other_robot(robot: Robot, seed: int) -> Robot:
    """The same joints with other bodies: each denser or lighter by a factor, which is always
    possible (a rod has no log-Cholesky parameters)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(robot.nb, 1, generator=generator, dtype=robot.pi.dtype)
    return robot.replace(pi=robot.pi * (threshold("inside.other_bodies") * noise).exp())


def of_another_robot(
    variable: Variable, robot: Robot, scale: Tensor, seed: int
) -> Callable[[Sequence[Pair]], list[Tensor]]:
    """The changes that the same exchange makes in another robot's equation of motion."""
    foreign = other_robot(robot, seed)
    known: dict[int, Mechanics] = {}

    def at(states: Batch) -> Mechanics:
        if id(states) not in known:
            known[id(states)] = mechanics(foreign, states)
        return known[id(states)]

    def targets(batches: Sequence[Pair]) -> list[Tensor]:
        seen = [p._replace(at_base=at(p.base), at_source=at(p.source)) for p in batches]
        return changes(variable, seen, scale)

    return targets


def ceiling(variable: Variable, pairs: Pairs, seed: int) -> float:
    """R² of the predicted change by the better of a forest and a quadratic map that are shown V of
    both states and nothing else."""
    from sklearn.ensemble import ExtraTreesRegressor  # slow to import
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    def shown(batches: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        x = [
            torch.cat((variable.value(p.at_base), variable.value(p.at_source)), -1) for p in batches
        ]
        return torch.cat(x), torch.cat(changes(variable, batches, pairs.scale))

    x, y = shown(pairs.train)
    unseen, truth = shown(pairs.test)
    quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(1e-3))
    total = float((truth - y.mean(0)).square().sum())
    missed = [
        torch.as_tensor(model.fit(x, y).predict(unseen)).reshape(truth.shape) - truth
        for model in (ExtraTreesRegressor(60, min_samples_leaf=3, random_state=seed), quadratic)
    ]
    return 1 - min(float(m.square().sum()) for m in missed) / total
