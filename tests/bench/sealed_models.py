"""The models of the sealed list: laws at their strength, tables of samples, noise on answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree
from torch import Tensor

from tests.bench.sealed_laws import MECHANISMS, NOISE, Answers, Mechanism
from tests.bench.sealed_places import Place


class BlackBox:
    """model(q, v, tau) -> a of a mechanism, float64, any leading axes.

    ``truth`` answers without noise. Noise is drawn afresh at each call, from a fixed seed.
    """

    def __init__(self, mechanism: Mechanism) -> None:
        self.mechanism = mechanism
        self.strength = 1.0 if mechanism.law is None else mechanism.strength()
        self._answers = (
            TABLES[mechanism.name](mechanism.at())
            if mechanism.law is None
            else mechanism.of_strength(self.strength)
        )
        seed = 1 + [m.name for m in MECHANISMS].index(mechanism.name)
        self._generator = torch.Generator().manual_seed(seed)

    def truth(self, q: Any, v: Any, tau: Any) -> Tensor:
        """The answers without noise."""
        states = [torch.as_tensor(x, dtype=torch.float64) for x in (q, v, tau)]
        q, v, tau = torch.broadcast_tensors(*states)
        shape = q.shape
        a = self._answers(*(x.reshape(-1, shape[-1]) for x in (q, v, tau)))
        return a.reshape(shape)

    def __call__(self, q: Any, v: Any, tau: Any) -> Tensor:
        """The answers as they are given."""
        a = self.truth(q, v, tau)
        if self.mechanism.noisy:
            drawn = torch.randn(a.shape, generator=self._generator, dtype=a.dtype)
            a = a + NOISE * self.mechanism.at().spread * drawn
        return a


def _samples(at: Place, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the plain robot in its region: states in half-widths (count, 3 nv), answers."""
    states = at.states(count, seed)
    return _scaled(at, *states), at.aba(*states).numpy()


def _scaled(at: Place, q: Tensor, v: Tensor, tau: Tensor) -> np.ndarray:
    return torch.cat([q / at.q, v / at.v, tau / at.tau], -1).detach().numpy()


def nearest_neighbour(at: Place) -> Answers:
    """The answer of the nearest of 4000 samples."""
    x, y = _samples(at, 4000, 21)
    tree = cKDTree(x)
    return lambda q, v, tau: torch.from_numpy(y[tree.query(_scaled(at, q, v, tau))[1]])


def weighted_neighbours(at: Place) -> Answers:
    """The mean of the 8 nearest of 6000 samples, weighted by their distances."""
    x, y = _samples(at, 6000, 22)
    tree = cKDTree(x)

    def answers(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        distance, where = tree.query(_scaled(at, q, v, tau), k=8)
        weight = 1 / (distance**2 + 1e-6)
        mean = (weight[..., None] * y[where]).sum(1) / weight.sum(1)[:, None]
        return torch.from_numpy(mean)

    return answers


def radial_basis(at: Place) -> Answers:
    """Gaussians about 1200 samples."""
    x, y = _samples(at, 1200, 23)
    found = RBFInterpolator(x, y, kernel="gaussian", epsilon=0.6, smoothing=1e-3, degree=0)
    return lambda q, v, tau: torch.from_numpy(found(_scaled(at, q, v, tau)))


def network(at: Place) -> Answers:
    """A small network (64, 64, tanh), trained on 5000 samples."""
    x, y = (torch.from_numpy(z) for z in _samples(at, 5000, 24))
    mean, spread = y.mean(0), y.std(0)
    with torch.random.fork_rng():
        torch.manual_seed(25)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], 64),
            torch.nn.Tanh(),
            torch.nn.Linear(64, 64),
            torch.nn.Tanh(),
            torch.nn.Linear(64, y.shape[1]),
        ).double()
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 1500)
        for _ in range(1500):
            chosen = torch.randint(len(x), (512,))
            loss = ((net(x[chosen]) - (y[chosen] - mean) / spread) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.requires_grad_(False)
    return lambda q, v, tau: mean + spread * net(torch.from_numpy(_scaled(at, q, v, tau)))


TABLES = {
    "nearest neighbour": nearest_neighbour,
    "weighted neighbours": weighted_neighbours,
    "radial basis functions": radial_basis,
    "network of samples": network,
}
