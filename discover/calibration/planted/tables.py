"""Planted lookup tables: models that interpolate samples of the simulator; and trained networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from torch import Tensor

import kinematics
from discover.calibration.planted.alternatives import with_strong_force
from discover.calibration.planted.contract import Planted, Setting
from discover.calibration.planted.physics import simulator

_SAMPLES = 3000
_SEVERAL = 1500  # where fitting grows with the cube of the samples


class Interpolant:
    """A scikit-learn regressor of standardised states, as a model of `teacher`."""

    def __init__(
        self,
        regressor,
        setting: Setting,
        samples: int = _SAMPLES,
        teacher: Callable | None = None,
    ):
        q, v, tau = setting.samples(samples)
        x = torch.cat([q, v, tau], -1).numpy()
        y = (teacher or simulator(setting.robot))(q, v, tau).numpy()
        self.centre, self.width = x.mean(0), x.std(0) + 1e-12
        self.mean, self.size = y.mean(0), y.std(0) + 1e-12
        y = (y - self.mean) / self.size
        self.regressor = regressor.fit(
            (x - self.centre) / self.width, y[:, 0] if y.shape[1] == 1 else y
        )

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = (torch.cat([q, v, tau], -1).numpy() - self.centre) / self.width
        y = np.asarray(self.regressor.predict(x)).reshape(len(x), -1)
        return torch.from_numpy(y * self.size + self.mean)


class Splines:
    """Thin-plate splines through local samples, with the `fit` and `predict` of the others."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Splines:
        """Interpolate y at x, each answer from its 80 nearest samples."""
        self.inner = RBFInterpolator(x, y, neighbors=80, kernel="linear")
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The interpolated values."""
        return self.inner(x)


class StructuredTable:
    """H and bias looked up from q alone, then solved exactly: a table behind a law.

    The bias force is gravity at q, and with `coriolis` the products of speeds by Christoffel
    symbols that are tabulated as well (through bias forces at unit speeds).
    """

    def __init__(
        self, setting: Setting, samples: int = _SAMPLES, coriolis: bool = False, regressor=None
    ):
        self.robot, nv = setting.robot, setting.nv
        grid, _, _ = setting.samples(samples)
        zero = torch.zeros(samples, nv, dtype=torch.float64)
        gravity = kinematics.bias(self.robot, grid, zero)
        columns = [kinematics.crba(self.robot, grid).flatten(1), gravity]
        self.pairs = [(i, j) for i in range(nv) for j in range(i, nv)] if coriolis else []
        units = torch.eye(nv, dtype=torch.float64)
        single = [
            kinematics.bias(self.robot, grid, units[i].expand(samples, nv)) - gravity
            for i in range(nv if coriolis else 0)
        ]
        for i, j in self.pairs:
            both = kinematics.bias(self.robot, grid, (units[i] + units[j]).expand(samples, nv))
            columns.append(single[i] if i == j else both - gravity - single[i] - single[j])
        self.search = regressor or KNeighborsRegressor(8, weights="distance")
        self.search.fit(grid.numpy(), torch.cat(columns, -1).numpy())

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        n, nv = v.shape
        looked = torch.from_numpy(np.asarray(self.search.predict(q.numpy())).reshape(n, -1))
        H = looked[:, : nv * nv].reshape(n, nv, nv)
        force = looked[:, nv * nv : nv * nv + nv]
        for k, (i, j) in enumerate(self.pairs):
            at = nv * nv + nv * (k + 1)
            force = force + looked[:, at : at + nv] * (v[:, i] * v[:, j]).unsqueeze(-1)
        return torch.linalg.solve(H, (tau - force).unsqueeze(-1)).squeeze(-1)


def planted_models(setting: Setting) -> list[Planted]:
    """All planted tables of one setting."""

    def one(kind: str, build: Callable[[], Callable]) -> Planted:
        return Planted(kind=kind, truth="lookup table", build=build)

    def by(regressor, samples: int = _SAMPLES) -> Callable[[], Callable]:
        return lambda: Interpolant(regressor, setting, samples)

    kernel = KernelRidge(kernel="rbf", gamma=0.3 / setting.nv, alpha=1e-6)
    planted = [
        one("nearest neighbour", by(KNeighborsRegressor(1))),
        one("smoothed neighbours", by(KNeighborsRegressor(12, weights="distance"))),
        one("forest", by(RandomForestRegressor(30, random_state=0, n_jobs=1))),
        one("extremely random trees", by(ExtraTreesRegressor(30, random_state=0, n_jobs=1))),
        one("local splines", by(Splines(), _SEVERAL)),
        one(
            "Gaussian kernel",
            by(KernelRidge(kernel="rbf", gamma=0.1 / setting.nv, alpha=1e-6), _SEVERAL),
        ),
        one("narrow Gaussian kernel", by(kernel, _SEVERAL)),
        one(
            "overfit network",
            by(
                MLPRegressor(
                    hidden_layer_sizes=(64, 64), activation="tanh", max_iter=600, random_state=0
                ),
                400,
            ),
        ),
        one("table of H and gravity", lambda: StructuredTable(setting)),
    ]
    if setting.nv <= 7:
        planted.append(one("table of H and bias", lambda: StructuredTable(setting, coriolis=True)))
    first = planted[:3] + planted[-1:]
    planted += [
        p.with_noise(setting, n) for p in first for n in ("1 % bias and noise", "5 % noise")
    ]
    return planted


def trained_networks(setting: Setting) -> list[Planted]:
    """Networks trained on the simulator and on an alternative law.

    Nobody knows beforehand what they have learned: they are reported and never scored.
    """
    exact = simulator(setting.robot)

    def taught(teacher: Callable) -> Interpolant:
        network = MLPRegressor(
            hidden_layer_sizes=(96, 96), activation="tanh", max_iter=150, random_state=0
        )
        return Interpolant(network, setting, _SAMPLES, teacher=teacher)

    def lawful() -> Callable:
        return with_strong_force(setting, "drag of power 2")

    return [
        Planted(kind="network of the simulator", truth=None, build=lambda: taught(exact)),
        Planted(kind="network distilled from a law", truth=None, build=lambda: taught(lawful())),
    ]
