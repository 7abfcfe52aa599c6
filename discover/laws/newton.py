"""Accelerations that make a sum of forces vanish, one state beside the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_STEPS = 25


def newton(left: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """The accelerations at which `left` (n, nv) vanishes, near a; NaN where it finds none.

    Steps are halved where they do not help; slopes by central differences.
    """
    n = a.shape[-1]
    value = left(a)
    size = value.norm(dim=-1)
    tolerance = 1e-12 * (1.0 + size)
    for _ in range(_STEPS):
        open_ = size > tolerance
        if not bool(open_.any()):
            break
        J = slope(left, a)
        step = solved(J, value)
        step = torch.nan_to_num(step)
        share = torch.ones_like(size)
        for _ in range(6):
            trial = a - share.unsqueeze(-1) * step
            new = left(trial)
            new_size = new.norm(dim=-1)
            worse = ~(new_size < size) & open_
            if not bool(worse.any()):
                break
            share = torch.where(worse, 0.4 * share, share)
        better = (new_size < size)[..., None]
        a, value = torch.where(better, trial, a), torch.where(better, new, value)
        size = value.norm(dim=-1)
        if not bool(better.any()):
            break
    good = size <= 1e-6 * (1.0 + left(torch.zeros_like(a)).norm(dim=-1))
    return torch.where(good[..., None].expand(*a.shape[:-1], n), a, torch.nan)


def slope(left: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """d(left)/d(a) (n, nv, nv) by central differences."""
    h = 1e-6 * a.abs().mean(0).clamp_min(1e-3)
    columns = []
    for j in range(a.shape[-1]):
        move = torch.zeros_like(a)
        move[..., j] = h[j]
        columns.append((left(a + move) - left(a - move)) / (2 * h[j]))
    return torch.stack(columns, dim=-1)


def solved(H: Tensor, rest: Tensor) -> Tensor:
    """H⁻¹ rest (n, nv); NaN where H (n, nv, nv) is singular."""
    solution, info = torch.linalg.solve_ex(H, rest.unsqueeze(-1))
    return torch.where((info != 0)[..., None], torch.nan, solution.squeeze(-1))


def solved_columns(H: Tensor, columns: Tensor) -> Tensor:
    """H⁻¹ columns (n, nv, p); zero where H (n, nv, nv) is singular: such a state counts nothing."""
    solution, info = torch.linalg.solve_ex(H, columns)
    return torch.where((info != 0)[:, None, None], 0.0, solution)
