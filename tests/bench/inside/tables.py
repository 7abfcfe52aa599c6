"""Networks without the equation of motion: tables, kernels, experts, untrained features.

They know the dynamics from samples alone, (q, v, tau) → a, scaled to the region.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

import kinematics
from tests.bench.inside.bodies import Body

_SAMPLES = 600  # rows of a table, centres of a kernel
_FITTED = 4000  # samples of linear fits
_RIDGE = 1e-6  # of the mean squared feature
_EXPERTS = 24
_WIDTH = 128  # of untrained layers


class Scaled(nn.Module):
    """Features x (B, 3 nv) in [-1, 1] and answers with the samples' mean and spread."""

    def __init__(self, body: Body, answers: Tensor) -> None:
        super().__init__()
        sides = (body.region.q, body.region.v, body.region.tau)
        self.register_buffer("centre", torch.cat([s.centre for s in sides]))
        self.register_buffer("half_width", torch.cat([s.half_width for s in sides]))
        self.register_buffer("mean", answers.mean(0))
        self.register_buffer("spread", answers.std(0))

    def features(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """(B, 3 nv), the region in [-1, 1]"""
        return (torch.cat((q, v, tau), 1) - self.centre) / self.half_width

    def answered(self, y: Tensor) -> Tensor:
        """Accelerations (B, nv) from scaled ones."""
        return y * self.spread + self.mean

    def scaled(self, a: Tensor) -> Tensor:
        """The inverse of `answered`."""
        return (a - self.mean) / self.spread


def samples(body: Body, count: int, seed: int) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """States of the region and their exact accelerations (count, nv)."""
    states = body.states(count, seed)
    return states, kinematics.aba(body.robot, *states)


def _ridge(features: Tensor, answers: Tensor) -> Tensor:
    """Weights (d, n) of a linear fit, slightly regularised."""
    gram = features.T @ features
    level = _RIDGE * float(gram.diagonal().mean())
    return torch.linalg.solve(gram + level * torch.eye(len(gram)).double(), features.T @ answers)


class Apart(nn.Module):
    """Squared distances (B, n) of features from fixed places (n, d)."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places.clone())

    def forward(self, x: Tensor) -> Tensor:
        square = (x**2).sum(1, keepdim=True) + (self.places**2).sum(1)
        return square - 2 * x @ self.places.T


class Table(nn.Module):
    """Rows of samples, answered by the nearest, or by a softmax over squared distances."""

    def __init__(self, body: Body, seed: int, *, nearest: bool) -> None:
        super().__init__()
        states, a = samples(body, _SAMPLES, seed)
        self.scale = Scaled(body, a)
        self.nearest = nearest
        rows = self.scale.features(*states)
        self.apart = Apart(rows)
        self.register_buffer("answers", self.scale.scaled(a))
        apart = torch.cdist(rows, rows).fill_diagonal_(torch.inf).amin(1).median()
        self.register_buffer("sharpness", 2.0 / apart**2)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = self.scale.features(q, v, tau)
        apart = self.apart(x)
        if self.nearest:
            return self.scale.answered(self.answers[torch.argmin(apart, 1)])
        weights = torch.softmax(-self.sharpness * apart, 1)
        return self.scale.answered(weights @ self.answers)


class Kernel(nn.Module):
    """Gaussian bumps about samples, with fitted weights."""

    def __init__(self, body: Body, seed: int) -> None:
        super().__init__()
        states, a = samples(body, _FITTED, seed)
        self.scale = Scaled(body, a)
        x = self.scale.features(*states)
        self.apart = Apart(x[:_SAMPLES])
        self.register_buffer("sharpness", 0.5 / torch.cdist(x[:200], x[:200]).median() ** 2)
        self.readout = _readout(_ridge(self._bumps(x), self.scale.scaled(a)))

    def _bumps(self, x: Tensor) -> Tensor:
        return torch.exp(-self.sharpness * self.apart(x))

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.scale.answered(self.readout(self._bumps(self.scale.features(q, v, tau))))


class Experts(nn.Module):
    """Affine experts (q, v, tau) → a, each about a configuration, mixed by a gate that sees q.

    Every expert answers in full before the gate weighs the answers, so there is no place where the
    gains of tau could be exchanged apart from the rest.
    """

    def __init__(self, body: Body, seed: int) -> None:
        super().__init__()
        states, a = samples(body, _FITTED, seed)
        self.scale = Scaled(body, a)
        self.nv = body.robot.nv
        x = self.scale.features(*states)
        centres = x[:_EXPERTS, : self.nv]
        self.apart = Apart(centres)
        between = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
        self.register_buffer("sharpness", 1.0 / between.amin(1).mean() ** 2)
        gate = self._gate(x)
        ones = torch.cat((x, torch.ones_like(x[:, :1])), 1)
        weights = _ridge((gate[:, :, None] * ones[:, None]).flatten(1), self.scale.scaled(a))
        per_expert = weights.reshape(_EXPERTS, ones.shape[1], self.nv)
        self.experts = _readout(per_expert.permute(1, 0, 2).flatten(1))

    def _gate(self, x: Tensor) -> Tensor:
        return torch.softmax(-self.sharpness * self.apart(x[:, : self.nv]), 1)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = self.scale.features(q, v, tau)
        ones = torch.cat((x, torch.ones_like(x[:, :1])), 1)
        answers = self.experts(ones).reshape(-1, _EXPERTS, self.nv)
        return self.scale.answered((self._gate(x)[:, :, None] * answers).sum(1))


class Untrained(nn.Module):
    """Three random layers of tanh, and a fitted linear readout."""

    def __init__(self, body: Body, seed: int) -> None:
        super().__init__()
        states, a = samples(body, _FITTED, seed)
        self.scale = Scaled(body, a)
        generator = torch.Generator().manual_seed(seed)
        widths = [3 * body.robot.nv, _WIDTH, _WIDTH, _WIDTH]
        layers: list[nn.Module] = []
        for inward, outward in pairwise(widths):
            layer = nn.Linear(inward, outward, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.normal_(0, 1.2 * inward**-0.5, generator=generator)
                layer.bias.normal_(0, 0.3, generator=generator)
            layers += [layer, nn.Tanh()]
        self.layers = nn.Sequential(*layers).requires_grad_(False)
        x = self.scale.features(*states)
        h = self.layers(x)
        ones = torch.cat((h, torch.ones_like(h[:, :1])), 1)
        weights = _ridge(ones, self.scale.scaled(a))
        self.readout = _readout(weights[:-1], weights[-1])

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.scale.answered(self.readout(self.layers(self.scale.features(q, v, tau))))


def _readout(weights: Tensor, offset: Tensor | None = None) -> nn.Linear:
    """A fixed linear layer of fitted weights (inward, outward)."""
    inward, outward = weights.shape
    layer = nn.Linear(inward, outward, bias=offset is not None, dtype=torch.float64)
    layer.weight = nn.Parameter(weights.T.contiguous(), requires_grad=False)
    if offset is not None:
        layer.bias = nn.Parameter(offset.clone(), requires_grad=False)
    return layer
