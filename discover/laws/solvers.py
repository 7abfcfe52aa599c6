"""Least squares with many rows and few columns, as every fit of a law is.

A tall matrix is first brought to as many rows as it has columns, by QR without its Q: that says the
same and costs a fraction of a singular value decomposition of the whole. Columns are brought to
equal length; directions that the rows (nearly) do not show are left alone.

Accelerations that make a sum of forces vanish, one state beside the other.

Least squares of problems that are not linear: a descent, and what its first step promises.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

TRUNCATION = 1e-11  # relative singular value under which a direction is left alone


def reduced(A: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(R, d) with |A x - b|² = |R x - d|² + what no x changes.

    A (m, p), b (m,) or (m, k); R (p, p), d (p,) or (p, k); as they are where m is no more than p.
    """
    m, p = A.shape
    rest = b if b.ndim > 1 else b.unsqueeze(-1)
    if m <= p + rest.shape[1]:
        return A, b
    T = torch.linalg.qr(torch.cat([A, rest], 1), mode="r").R
    d = T[:p, p:]
    return T[:p, :p], d if b.ndim > 1 else d.squeeze(-1)


def lengths(A: Tensor) -> Tensor:
    """The lengths of the columns (p,), 1 for those that are zero."""
    norms = A.norm(dim=0)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def solve(A: Tensor, b: Tensor, cut: float = TRUNCATION) -> Tensor:
    """x (p,) or (p, k) that minimises |A x - b|, of least norm with columns of equal length."""
    norms = lengths(A)
    R, d = reduced(A / norms, b)
    U, s, Vh = torch.linalg.svd(R, full_matrices=False)
    keep = s > cut * s[:1]  # none of none
    if b.ndim > 1:
        return (Vh[keep].T @ ((U[:, keep].T @ d) / s[keep, None])) / norms[:, None]
    return (Vh[keep].T @ ((U[:, keep].T @ d) / s[keep])) / norms


def damped(R: Tensor, d: Tensor, cut: float = TRUNCATION) -> Callable[[float], Tensor]:
    """damping -> x (p,) that minimises |R x - d|² + damping |x|², the least of several.

    Without damping too a direction that R does not show is left alone: divided by the rounding
    that its singular value is, it would lead anywhere.
    """
    U, s, Vh = torch.linalg.svd(R, full_matrices=False)
    keep = s > cut * s[:1]  # none of none
    s, V, along = s[keep], Vh[keep].T, U[:, keep].T @ d
    return lambda damping: V @ (along * s / (s.square() + damping))


def information(A: Tensor, cut: float = TRUNCATION) -> Tensor:
    """(AᵀA)⁻¹ (p, p), zero in the directions that A (nearly) does not show."""
    norms = A.norm(dim=0).clamp_min(1e-300)
    scaled = A / norms
    R = torch.linalg.qr(scaled, mode="r").R
    _, s, Vh = torch.linalg.svd(R, full_matrices=False)
    keep = s > cut * s[:1]  # none of none
    return (Vh[keep].T / s[keep].square()) @ Vh[keep] / norms[:, None] / norms


def orthonormal(A: Tensor, cut: float = TRUNCATION) -> Tensor:
    """Orthonormal columns that span those of A (m, p): (m, rank)."""
    U, s, _ = torch.linalg.svd(A / lengths(A), full_matrices=False)
    return U[:, s > cut * s[0]] if len(s) else U


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


WILD = 1e6  # a standardised residual in place of one that is not finite


def least_squares_from(
    residual: Callable[[Tensor], Tensor],
    jacobian: Callable[[Tensor], Tensor],
    x: Tensor,
    evaluations: int,
    limit: float | None = None,
) -> Tensor:
    """The minimiser near x; residuals beyond `limit` count by their size, not its square."""

    def flat(own: Tensor) -> np.ndarray:
        return torch.nan_to_num(own, nan=WILD, posinf=WILD, neginf=-WILD).flatten().numpy()

    with np.errstate(over="ignore"):  # a step too far is refused, however far
        found = scipy.optimize.least_squares(
            lambda p: flat(residual(torch.from_numpy(p))),
            x.numpy(),
            jac=lambda p: jacobian(torch.from_numpy(p)).flatten(0, 1).numpy(),
            x_scale="jac",
            loss="huber" if limit else "linear",
            f_scale=limit or 1.0,
            max_nfev=evaluations,
            ftol=1e-9,
            xtol=1e-12,
            gtol=1e-12,
        )
    return torch.from_numpy(found.x)


def error_after_a_step(
    residual: Callable[[Tensor], Tensor], jacobian: Callable[[Tensor], Tensor], x: Tensor
) -> float:
    """What one step of Gauss and Newton from x promises to leave (root mean square), the numbers
    that it may choose paid for: a first sight of a problem that may not be worth solving."""
    r, J = residual(x).flatten(), jacobian(x).flatten(0, 1)
    r = torch.nan_to_num(r, nan=WILD, posinf=WILD, neginf=-WILD)
    U = orthonormal(torch.nan_to_num(J, posinf=0.0, neginf=0.0))
    rest = r - U @ (U.T @ r)
    return math.sqrt(float(rest.square().sum()) / max(len(r) - U.shape[1], 1))
