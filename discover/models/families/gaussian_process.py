"""Gaussian process: scikit-learn finds the length scales, the solve is ours and kept as arrays.

The mean of a Gaussian process with fixed length scales is kernel ridge regression, so one baseline
stands for both. Rasmussen and Williams (2006), algorithm 2.1.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from discover.errors import ModelError
from discover.models.contract import ModelConfig, Samples, WorldModel


@dataclass(frozen=True, kw_only=True)
class GaussianProcessConfig(ModelConfig):
    scale_samples: int = 500
    """Samples on which the length scales are found (cubic cost, many times)."""
    samples: int = 4000
    """Samples kept (cubic cost, once)."""
    seed: int = 0


class GaussianProcess(WorldModel):
    """Squared-exponential kernel with one length scale an input, one noise level."""

    kind: ClassVar[str] = "gaussian_process"
    config_schema: ClassVar[type[ModelConfig]] = GaussianProcessConfig
    trained_by: ClassVar[Literal["gradient", "fit"]] = "fit"
    grows: ClassVar[tuple[str, ...]] = ("keys", "weights")
    config: GaussianProcessConfig
    keys: Tensor
    weights: Tensor
    lengths: Tensor

    def assemble(self) -> None:
        self.register_buffer("keys", torch.zeros(0, len(self.input_mean)))
        self.register_buffer("weights", torch.zeros(0, len(self.target_mean)))
        self.register_buffer("lengths", torch.ones(len(self.input_mean)))

    @torch.no_grad()
    def fit(self, samples: Samples) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        x, y = self.learnable(samples)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.config.seed))
        few = order[: self.config.scale_samples]
        kernel = ConstantKernel(10.0, (1e-2, 1e4)) * RBF(
            [3.0] * x.shape[1], (0.1, 300.0)
        ) + WhiteKernel(1e-4, (1e-9, 1.0))
        search = GaussianProcessRegressor(kernel, random_state=self.config.seed)
        with warnings.catch_warnings():  # a scale at its bound is an input that does not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = search.fit(x[few].double().numpy(), y[few].double().numpy()).kernel_
        size, noise = float(found.k1.k1.constant_value), float(found.k2.noise_level)
        self.lengths.copy_(torch.as_tensor(found.k1.k2.length_scale))
        kept = order[: self.config.samples]
        self.keys = (x[kept] / self.lengths).contiguous()
        gram = self._kernel(self.keys.double(), self.keys.double())
        gram.diagonal().add_(max(noise / size, 1e-10))
        root = torch.linalg.cholesky(gram)
        self.weights = torch.cholesky_solve(y[kept].double(), root).to(y)

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        if not len(self.keys):
            raise ModelError("a Gaussian process answers nothing before it is fitted; train it")
        x = self.inputs(q, v, tau) / self.lengths
        parts = [self._kernel(part, self.keys) @ self.weights for part in x.split(2048)]
        return self.to_units(torch.cat(parts))

    @staticmethod
    def _kernel(a: Tensor, b: Tensor) -> Tensor:
        squared = a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2 * a @ b.T
        return torch.exp(-0.5 * squared.clamp_min(0))
