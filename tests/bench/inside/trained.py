"""Networks that are trained: by strict interchange, on the dynamics, on a table's answers.

Strict interchange training (after Geiger et al. 2022) makes a network hold given variables: its
hidden state has a block a variable, and with any set of blocks taken from another state it must
answer what the algorithm answers with those variables taken from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

import kinematics
from tests.bench.inside.bodies import Body, base_first, factors, solved, tip_first
from tests.bench.inside.staged import oblique
from tests.bench.inside.tables import Scaled, samples

_WIDTH = 128
_BATCH = 512
_POOL = 16_384  # states from which batches and pairs are drawn,
_POOL_STEP = 16  # but no more than so many a step of training
_RATE = 3e-3  # of Adam, falling to a hundredth along a cosine
_SPARE = 2  # units of a block beyond the numbers that it must hold
BLOCKS = ("D", "L", "C", "tau")


class Perceptron(nn.Module):
    """Scaled (q, v, tau), hidden layers of tanh, scaled answers."""

    def __init__(self, scale: Scaled, nv: int, seed: int) -> None:
        super().__init__()
        self.scale = scale
        self.layers = _perceptron([3 * nv, _WIDTH, _WIDTH, _WIDTH, nv], seed)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.scale.answered(self.layers(self.scale.features(q, v, tau)))


class Interchanged(nn.Module):
    """Encoder, blocks of units mixed obliquely, decoder. The mixed state is the answer of `mixed`.

    blocks  {name of `BLOCKS`: slice of the unmixed state}
    """

    def __init__(self, scale: Scaled, nv: int, seed: int, condition: float) -> None:
        super().__init__()
        self.scale = scale
        sizes = {"D": nv, "L": nv * (nv - 1) // 2, "C": nv, "tau": nv}
        self.blocks: dict[str, slice] = {}
        start = 0
        for name in BLOCKS:
            self.blocks[name] = slice(start, start + sizes[name] + _SPARE)
            start = self.blocks[name].stop
        self.encoder = _perceptron([3 * nv, _WIDTH, _WIDTH, start], seed)
        matrix, _ = oblique(start, condition, np.random.default_rng([seed, 17]))
        self.mixed = nn.Linear(start, start, bias=False, dtype=torch.float64)
        self.mixed.weight = nn.Parameter(matrix, requires_grad=False)
        self.decoder = _perceptron([start, _WIDTH, _WIDTH, nv], seed + 1)

    def encoded(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """The unmixed state (B, n)."""
        return self.encoder(self.scale.features(q, v, tau))

    def decoded(self, unmixed: Tensor) -> Tensor:
        """Scaled answers (B, nv) of an unmixed state."""
        return self.decoder(self.mixed(unmixed))

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.scale.answered(self.decoded(self.encoded(q, v, tau)))


def strict(
    body: Body, order: Sequence[int], seed: int, *, steps: int, condition: float
) -> Interchanged:
    """A network that holds pivots D, rows L, bias C and tau of an elimination, each in a block."""
    states, a = samples(body, pool(steps), seed + 101)
    q, v, tau = states
    D, L = factors(kinematics.crba(body.robot, q), order)
    C = kinematics.bias(body.robot, q, v)
    scale = Scaled(body, a).float()
    network = Interchanged(scale, body.robot.nv, seed, condition).float()
    x = scale.features(*(s.float() for s in states))
    generator = torch.Generator().manual_seed(seed + 7)

    def loss() -> Tensor:
        b, s = torch.randint(len(a), (2, _BATCH), generator=generator)
        own = torch.rand(_BATCH, len(BLOCKS), generator=generator) < 0.5
        chosen = {name: torch.where(own[:, i], b, s) for i, name in enumerate(BLOCKS)}
        d, c = D[chosen["D"]], C[chosen["C"]]
        wanted = scale.scaled(solved(d, L[chosen["L"]], tau[chosen["tau"]] - c, order).float())
        hidden = network.encoder(x[torch.cat((b, s))])
        from_b, from_s = hidden[:_BATCH], hidden[_BATCH:]
        parts = [
            torch.where(own[:, i, None], from_b[:, at], from_s[:, at])
            for i, at in enumerate(network.blocks.values())
        ]
        return _relative(network.decoded(torch.cat(parts, 1)), wanted)

    descend(network, loss, steps)
    return network.double().requires_grad_(False)


def taught(body: Body, seed: int, *, steps: int, teacher: nn.Module | None = None) -> Perceptron:
    """A perceptron trained on the dynamics, or on a teacher's answers."""
    states, a = samples(body, pool(steps), seed + 101)
    if teacher is not None:
        with torch.no_grad():
            pieces = zip(*(s.split(1024) for s in states), strict=True)
            a = torch.cat([teacher(*piece) for piece in pieces])
    scale = Scaled(body, a).float()
    network = Perceptron(scale, body.robot.nv, seed).float()
    x, y = scale.features(*(s.float() for s in states)), scale.scaled(a.float())
    generator = torch.Generator().manual_seed(seed + 7)

    def loss() -> Tensor:
        at = torch.randint(len(a), (_BATCH,), generator=generator)
        return ((network.layers(x[at]) - y[at]) ** 2).mean()

    descend(network, loss, steps)
    return network.double().requires_grad_(False)


def pool(steps: int) -> int:
    """How many states are drawn for so many steps of training."""
    return min(_POOL, _BATCH + _POOL_STEP * steps)


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error, states with large answers counted less: exchanged factors may make a mass
    matrix that is nearly singular."""
    return (((found - wanted) ** 2).sum(1) / (1 + (wanted**2).mean(1))).mean()


def descend(network: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    """Train all weights that take gradients, by Adam."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=_RATE)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _RATE * (
            0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
        )
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def _perceptron(widths: Sequence[int], seed: int) -> nn.Sequential:
    """Layers of these widths with tanh between them, initialised from the seed; float64."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inward, outward in pairwise(widths):
        layer = nn.Linear(inward, outward, dtype=torch.float64)
        bound = math.sqrt(3 / inward)
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-0.1, 0.1, generator=generator)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def order_of(factorisation: str, nv: int) -> list[int]:
    """The joints in the order of elimination of "tip-first" or "base-first"."""
    return {"tip-first": tip_first, "base-first": base_first}[factorisation](nv)
