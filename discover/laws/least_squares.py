"""Least squares with many rows and few columns, as every fit of a law is.

A tall matrix is first brought to as many rows as it has columns, by QR without its Q: that says the
same and costs a fraction of a singular value decomposition of the whole. Columns are brought to
equal length; directions that the rows (nearly) do not show are left alone.
"""

from __future__ import annotations

from collections.abc import Callable

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
