"""Gradients of an objective, by four roads, and how far they agree.

- `pathwise`: through the model itself, by automatic differentiation; by central differences where
  it has none;
- `zeroth_order`: of the objective smoothed by Gaussian noise σ, from values alone,
  E[(f(x + σw) − f(x − σw)) w] / 2σ, antithetic pairs: unbiased even where f jumps;
- `first_order`: the mean of pathwise gradients at x + σw: biased where f jumps (Suh et al. 2022,
  arXiv 2202.00817);
- the smoothed value itself, for trust ratios.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from discover.gradient_quality.objectives import Asked, Objective

DIFFERENCE = 1e-3  # half-widths: single precision leaves four digits of a central difference


class Smoothed(NamedTuple):
    """A smoothed gradient (S, dim), the two halves of its sample, and its value (S,)."""

    gradient: Tensor
    halves: tuple[Tensor, Tensor]
    value: Tensor


def zeroth_order(objective: Objective, asked: Asked, noise: Tensor, sigma: float) -> Smoothed:
    """Gradient and value of the objective smoothed with standard deviation sigma [half-widths] at
    every start; noise (S, N, dim) standard normal, N even. No gradient of the model is needed."""
    with torch.no_grad():
        both = objective(asked, torch.cat((sigma * noise, -sigma * noise), 1))
    n = noise.shape[1]
    up, down = both[:, :n], both[:, n:]
    terms = ((up - down) / (2 * sigma))[..., None] * noise
    halves = (terms[:, : n // 2].mean(1), terms[:, n // 2 :].mean(1))
    return Smoothed(terms.mean(1), halves, both.mean(1))


def pathwise(objective: Objective, asked: Asked, at: Tensor) -> tuple[Tensor, bool]:
    """Gradients (S, N, dim) of an objective at displacements (S, N, dim), and whether the model
    gave them itself; otherwise they are central differences of its answers."""
    if asked.differentiable:
        x = at.clone().requires_grad_()
        with torch.enable_grad():
            value = objective(asked, x)
            if asked.differentiable and value.requires_grad:
                return torch.autograd.grad(value.sum(), x)[0], True
    return differences(objective, asked, at), False


def differences(objective: Objective, asked: Asked, at: Tensor) -> Tensor:
    """Central differences (S, N, dim) at displacements (S, N, dim)."""
    s, n, dim = at.shape
    shift = DIFFERENCE * torch.eye(dim, dtype=at.dtype)
    moved = torch.cat((at[:, :, None] + shift, at[:, :, None] - shift), 2)
    with torch.no_grad():
        value = objective(asked, moved.reshape(s, -1, dim)).view(s, n, 2, dim)
    return (value[:, :, 0] - value[:, :, 1]) / (2 * DIFFERENCE)


def first_order(objective: Objective, asked: Asked, noise: Tensor, sigma: float) -> Tensor:
    """The mean (S, dim) of pathwise gradients at noise (S, N, dim) times sigma."""
    return pathwise(objective, asked, sigma * noise)[0].mean(1)


def values(objective: Objective, asked: Asked, at: Tensor) -> Tensor:
    """Values (S, N) at displacements (S, N, dim), without gradients."""
    with torch.no_grad():
        return objective(asked, at)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """(S,) cosines of rows; NaN where one of them is zero or not finite."""
    product = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(product > 0, (a * b).sum(-1) / product, torch.nan)


def ceiling(smoothed: Smoothed) -> Tensor:
    """(S,) the cosine with the smoothed gradient that a perfect answer would show, its sample being
    finite: sqrt(2c / (1 + c)) of the halves' cosine c (Spearman and Brown)."""
    c = cosine(*smoothed.halves).clamp(min=0.0)
    return (2 * c / (1 + c)).sqrt()
