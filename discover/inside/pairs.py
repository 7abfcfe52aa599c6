"""Pairs of states (base, source), what the network does at them, and what each variable would do.

A pass of the network takes `rows` states; pairs come in batches of that many. Everything is told in
units of each joint's root mean square acceleration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.errors import ModelError
from discover.inside.counterfactuals import Mechanics, Variable, mechanics
from discover.inside.network.capture import Network, Site, Values, read
from discover.judgement.thresholds import whole
from kinematics import Robot


class Pair(NamedTuple):
    """One batch: states, all values of the network's passes, and the equations of motion there;
    `placebo` is that of the source with its joints permuted."""

    base: Batch
    source: Batch
    values: Values
    foreign: Values
    at_base: Mechanics
    at_source: Mechanics
    placebo: Mechanics


@dataclass(frozen=True, eq=False)
class Pairs:
    """Batches to fit on, to choose by and to measure on; `scale` (nv,) the accelerations' root mean
    square."""

    train: list[Pair]
    held: list[Pair]
    test: list[Pair]
    scale: Tensor
    error: float
    """Of the network, relative to the accelerations' root mean square."""

    @property
    def all(self) -> list[Pair]:
        """Every batch."""
        return [*self.train, *self.held, *self.test]


def permuted(states: Batch, region: Region) -> Batch:
    """The states with each joint's place in the region given to the next joint."""
    out = []
    for x, bounds in zip(states, (region.q, region.v, region.tau), strict=True):
        place = (x - bounds.centre) / bounds.half_width
        out.append(bounds.centre + bounds.half_width * place.roll(1, dims=-1))
    return Batch(*out)


def drawn(network: Network, robot: Robot, region: Region, seed: int) -> Pairs:
    """Pairs from the region, with the network's values at them. Raises ModelError where its
    answers are not finite."""
    rows = network.rows
    counts = [whole(f"inside.{n}_batches") for n in ("train", "held", "test")]
    total = rows * sum(counts)
    base, source = (sample(region, robot, total, 2 * seed + k) for k in (0, 1))
    batches = []
    for k in range(sum(counts)):
        b, s = (Batch(*(x[k * rows : (k + 1) * rows] for x in y)) for y in (base, source))
        batches.append(
            Pair(
                b,
                s,
                network.run(b),
                network.run(s),
                mechanics(robot, b),
                mechanics(robot, s),
                mechanics(robot, permuted(s, region)),
            )
        )
    truth = torch.cat([p.at_base.a for p in batches])
    answers = torch.cat([network.output(p.values).double() for p in batches])
    if answers.shape != truth.shape:
        raise ModelError(
            f"expected answers of shape (…, {robot.nv}), found (…, {answers.shape[-1]})"
        )
    if not answers.isfinite().all():
        raise ModelError("the network's answers in the region are not finite: nothing to look at")
    scale = truth.square().mean(0).sqrt().clamp_min(1e-12)
    error = float(((answers - truth) / scale).square().mean().sqrt())
    edge = [counts[0], counts[0] + counts[1]]
    return Pairs(batches[: edge[0]], batches[edge[0] : edge[1]], batches[edge[1] :], scale, error)


def at(site: Site, batches: Sequence[Pair], rows: int) -> tuple[Tensor, Tensor]:
    """Values at a site in base and source states, each (rows · batches, width), float64."""
    base = torch.cat([read(site, p.values, rows) for p in batches]).double()
    source = torch.cat([read(site, p.foreign, rows) for p in batches]).double()
    return base, source


def change(variable: Variable, pair: Pair, scale: Tensor, *, placebo: bool = False) -> Tensor:
    """What the exchange of the variable does to the accelerations (rows, nv), in units of `scale`;
    of the placebo, where V comes from the source with its joints permuted."""
    other = pair.placebo if placebo else pair.at_source
    return (variable.counterfactual(pair.at_base, other) - pair.at_base.a) / scale


def changes(
    variable: Variable, batches: Sequence[Pair], scale: Tensor, *, placebo: bool = False
) -> list[Tensor]:
    """`change` for each batch."""
    return [change(variable, p, scale, placebo=placebo) for p in batches]


def apart(variable: Variable, rivals: Sequence[Variable], pairs: Pairs) -> float:
    """How far the nearest rival's counterfactual is, as a mean square; infinite without rivals."""
    own = torch.cat(changes(variable, pairs.test, pairs.scale))
    others = (torch.cat(changes(r, pairs.test, pairs.scale)) for r in rivals)
    return min((float((own - o).square().sum(-1).mean()) for o in others), default=float("inf"))
