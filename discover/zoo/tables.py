"""Planted lookup tables: models that interpolate samples of the simulator and know nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

import kinematics
from discover.zoo.physics import simulator
from discover.zoo.planted import Planted, Setting

_SAMPLES = 3000


class Interpolant:
    """A scikit-learn regressor of standardised states, as a model."""

    def __init__(self, regressor, setting: Setting, samples: int = _SAMPLES):
        q, v, tau = setting.samples(samples)
        x = torch.cat([q, v, tau], -1).numpy()
        y = simulator(setting.robot)(q, v, tau).numpy()
        self.centre, self.width = x.mean(0), x.std(0) + 1e-12
        self.mean, self.size = y.mean(0), y.std(0) + 1e-12
        self.regressor = regressor.fit((x - self.centre) / self.width, (y - self.mean) / self.size)

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = (torch.cat([q, v, tau], -1).numpy() - self.centre) / self.width
        y = np.asarray(self.regressor.predict(x)).reshape(len(x), -1)
        return torch.from_numpy(y * self.size + self.mean)


class StructuredTable:
    """H and bias looked up by nearest configuration, then solved exactly: a table behind a law."""

    def __init__(self, setting: Setting, samples: int = _SAMPLES):
        self.robot = setting.robot
        self.grid, _, _ = setting.samples(samples)
        self.search = KNeighborsRegressor(8, weights="distance")
        H = kinematics.crba(self.robot, self.grid).flatten(1)
        zero = torch.zeros(samples, self.robot.nv, dtype=torch.float64)
        gravity = kinematics.bias(self.robot, self.grid, zero)
        self.search.fit(self.grid.numpy(), torch.cat([H, gravity], -1).numpy())

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        n, nv = v.shape
        looked = torch.from_numpy(np.asarray(self.search.predict(q.numpy())))
        H, gravity = looked[:, : nv * nv].reshape(n, nv, nv), looked[:, nv * nv :]
        return torch.linalg.solve(H, tau - gravity)


def zoo(setting: Setting) -> list[Planted]:
    """All planted tables of one setting."""

    def one(kind: str, model: Callable) -> Planted:
        return Planted(kind=kind, family="table: " + kind, truth="lookup table", model=model)

    return [
        one("nearest neighbour", Interpolant(KNeighborsRegressor(1), setting)),
        one(
            "smoothed neighbours", Interpolant(KNeighborsRegressor(12, weights="distance"), setting)
        ),
        one(
            "forest",
            Interpolant(RandomForestRegressor(30, random_state=0, n_jobs=1), setting),
        ),
        one(
            "Gaussian kernel",
            Interpolant(KernelRidge(kernel="rbf", gamma=0.05, alpha=1e-6), setting, 1500),
        ),
        one("table of H and gravity", StructuredTable(setting)),
    ]
