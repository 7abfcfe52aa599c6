"""Numerics shared by all fits: linear least squares, variable projection, Levenberg–Marquardt.

Every fit of the instrument has many rows and few columns. `least_squares`, `orthonormal` and
`unscaled_covariance` bring columns to equal length and leave alone directions that the rows
(nearly) do not show; a tall matrix is first reduced by QR without its Q, which keeps the solution
and costs a fraction of a singular value decomposition of the whole.

All of them have an answer for whatever they are given: rows that are not finite, as where a
candidate's formula overflows, count nothing, and no decomposition fails to converge. Such a
candidate shows by its error, which is infinite there.

Nonlinear fits share `descend`, a Levenberg–Marquardt iteration (Marquardt 1963; Nocedal and Wright,
Numerical Optimization, 2006, section 10.3) over points of any kind: the problem says what a point
is, what it costs, and which trial point a damping leads to. `minimise` is the case of a vector of
parameters with a residual and its Jacobian; `project` solves for the linear parameters of a
separable problem and gives the Jacobian of what they leave in Kaufman's form (Kaufman 1975).
CONTRIBUTING, "Numerics", holds measurements against scipy.optimize.least_squares and torch.func.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

Array = np.ndarray

TRUNCATION = 1e-11  # relative singular value under which a direction is left alone


# ---- decompositions that always have an answer --------------------------------------------------


def finite_rows(A: Tensor) -> Tensor:
    """A (m, …) with zero in the rows that are not finite; A itself where all are."""
    finite = torch.isfinite(A)
    if bool(finite.all()):
        return A
    return torch.where(finite.flatten(1).all(1).reshape(-1, *(1,) * (A.ndim - 1)), A, 0.0)


def svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The thin singular value decomposition of A (m, p), rows that are not finite taken for zero.

    LAPACK's divide and conquer gives up on some finite matrices; its QR iteration does not.
    """
    A = finite_rows(A)
    try:
        return torch.linalg.svd(A, full_matrices=False)
    except torch.linalg.LinAlgError:
        parts = scipy.linalg.svd(A.numpy(), full_matrices=False, lapack_driver="gesvd")
        u, s, vt = (torch.from_numpy(x) for x in parts)
        return u, s, vt


def _svd(A: Array) -> tuple[Array, Array, Array]:
    """The same of a finite array."""
    try:
        return np.linalg.svd(A, full_matrices=False)
    except np.linalg.LinAlgError:
        return scipy.linalg.svd(A, full_matrices=False, lapack_driver="gesvd")


def eigh(G: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, from small to large, and vectors of a symmetric G (p, p); rows and columns that
    are not finite are taken for zero."""
    known = torch.isfinite(G)
    if not bool(known.all()):
        keep = known.all(1)
        G = torch.where(keep & keep[:, None], G, 0.0)
    values, vectors = torch.linalg.eigh(G)
    return values, vectors


def pinv(J: Tensor) -> Tensor:
    """Pseudo-inverses of J (n, p, k); zero where one is not finite."""
    return torch.linalg.pinv(finite_rows(J))


def definite(H: Tensor) -> bool:
    """Whether all of H (n, nv, nv) are finite and positive definite, as far as can be computed."""
    if not bool(torch.isfinite(H).all()):
        return False
    try:
        return bool((torch.linalg.eigvalsh(0.5 * (H + H.mT)) > 0).all())
    except torch.linalg.LinAlgError:
        return False


def plain_least_squares(A: Array, b: Array, rcond: float | None = None) -> Array:
    """The solution of `numpy.linalg.lstsq`; rows of A (m, p) and b (m,) that are not finite count
    nothing."""
    rows = np.isfinite(A).all(1) & np.isfinite(b)
    if not rows.all():
        A, b = np.where(rows[:, None], A, 0.0), np.where(rows, b, 0.0)
    try:
        return np.linalg.lstsq(A, b, rcond=rcond)[0]
    except np.linalg.LinAlgError:
        return scipy.linalg.lstsq(A, b, cond=rcond, lapack_driver="gelsy")[0]


# ---- linear least squares ----------------------------------------------------------------------


def qr_reduced(A: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(R, d) with |A x - b|² = |R x - d|² + a constant.

    A (m, p), b (m,) or (m, k); R (p, p), d (p,) or (p, k); as they are where m is no more than p.
    """
    m, p = A.shape
    rest = b if b.ndim > 1 else b.unsqueeze(-1)
    if m <= p + rest.shape[1]:
        return A, b
    T = torch.linalg.qr(torch.cat([A, rest], 1), mode="r").R
    d = T[:p, p:]
    return T[:p, :p], d if b.ndim > 1 else d.squeeze(-1)


def column_norms(A: Tensor) -> Tensor:
    """The Euclidean norms of the columns (p,), 1 for those that are zero."""
    norms = A.norm(dim=0)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def least_squares(A: Tensor, b: Tensor, cut: float = TRUNCATION) -> Tensor:
    """x (p,) or (p, k) that minimises |A x - b|, of least norm with columns of equal length.

    A (m, p), b (m,) or (m, k); singular values below `cut` times the largest count as zero.
    """
    if not bool(torch.isfinite(A).all() & torch.isfinite(b).all()):
        rows = torch.isfinite(A).all(1)
        rows = rows & torch.isfinite(b) if b.ndim == 1 else rows
        b = torch.where(torch.isfinite(b) & (rows if b.ndim == 1 else rows[:, None]), b, 0.0)
        A = torch.where(rows[:, None], A, 0.0)
    norms = column_norms(A)
    R, d = qr_reduced(A / norms, b)
    U, s, Vh = svd(R)
    keep = s > cut * s[:1]  # none of none
    if b.ndim > 1:
        return (Vh[keep].T @ ((U[:, keep].T @ d) / s[keep, None])) / norms[:, None]
    return (Vh[keep].T @ ((U[:, keep].T @ d) / s[keep])) / norms


def unscaled_covariance(A: Tensor, cut: float = TRUNCATION) -> Tensor:
    """(AᵀA)⁺ (p, p), zero in the directions that A (m, p) (nearly) does not show.

    Times the variance of the residual it is the covariance of a least-squares solution.
    """
    A = finite_rows(A)
    norms = A.norm(dim=0).clamp_min(1e-300)
    R = torch.linalg.qr(A / norms, mode="r").R
    _, s, Vh = svd(R)
    keep = s > cut * s[:1]  # none of none
    return (Vh[keep].T / s[keep].square()) @ Vh[keep] / norms[:, None] / norms


def orthonormal(A: Tensor, cut: float = TRUNCATION) -> Tensor:
    """Orthonormal columns (m, rank) that span those of A (m, p)."""
    A = finite_rows(A)
    U, s, _ = svd(A / column_norms(A))
    return U[:, s > cut * s[0]] if len(s) else U


def solve_or_nan(H: Tensor, b: Tensor) -> Tensor:
    """H⁻¹ b (n, nv) of n systems, H (n, nv, nv), b (n, nv); NaN where H is singular."""
    solution, info = torch.linalg.solve_ex(H, b.unsqueeze(-1))
    return torch.where((info != 0)[..., None], torch.nan, solution.squeeze(-1))


def solve_or_zero(H: Tensor, columns: Tensor) -> Tensor:
    """H⁻¹ columns (n, nv, p), H (n, nv, nv); zero where H is singular or the solution is not
    finite: such a state has no weight in a fit."""
    solution, info = torch.linalg.solve_ex(H, columns)
    return finite_rows(torch.where((info != 0)[:, None, None], 0.0, solution))


# ---- robust loss -------------------------------------------------------------------------------

HUBER = 3.0  # residuals beyond this many robust standard deviations count linearly


def _huber_limit(r: Tensor) -> Tensor:
    """`HUBER` robust standard deviations: 1.4826 times the median of |r|, as of a normal law."""
    return HUBER * 1.4826 * r.abs().median() + 1e-300


def robust_cost(r: Tensor) -> float:
    """Mean Huber loss of a residual, the limit from its own median; infinite if not finite."""
    if not bool(torch.isfinite(r).all()):
        return math.inf
    size, limit = r.abs(), _huber_limit(r)
    return float(torch.where(size < limit, size.square(), limit * (2 * size - limit)).mean())


def mean_square(r: Tensor) -> float:
    """The mean of the squares of a residual: the loss of ordinary least squares."""
    return float(r.square().mean())


def huber_weights(r: Tensor) -> Tensor:
    """Weights of residuals with which least squares takes a step of `robust_cost` (IRLS)."""
    return (_huber_limit(r) / r.abs().clamp_min(1e-300)).clamp(max=1.0).sqrt()


# ---- Levenberg–Marquardt -----------------------------------------------------------------------


class Point(Protocol):
    """A point of a descent: what a problem needs to go on from there, and its cost."""

    @property
    def cost(self) -> float: ...


P = TypeVar("P", bound=Point)


@dataclass(frozen=True, kw_only=True)
class Descent:
    """When Levenberg–Marquardt stops, and how its damping moves.

    steps      linearisations at most
    trials     dampings tried from one linearisation before it gives up. With `raised` they span
               the range from a full Gauss–Newton step to one along the gradient
    damping    the first one; 0 is Gauss–Newton, right for problems that are nearly linear
    onset      the damping after 0 where a full step does not help
    raised     factor of the damping after a trial that costs more
    lowered    divisor of the damping after one that costs less
    least      the damping is not lowered below this: positive where the problem has directions
               that change nothing (a gauge), which a step without damping would follow
    slow       relative decrease of the cost below which a step counts as slow
    patience   slow steps in a row that are allowed
    solved     cost at which nothing is left to gain (rounding)
    """

    steps: int = 12
    trials: int = 8
    damping: float = 0.0
    onset: float = 1e-6
    raised: float = 10.0
    lowered: float = 10.0
    least: float = 0.0
    slow: float = 1e-3
    patience: int = 0
    solved: float = 0.0


def descend(start: P, linearise: Callable[[P], Callable[[float], P]], options: Descent) -> P:
    """The last point of a Levenberg–Marquardt descent; it never costs more than the start.

    `linearise(point)` is called once a step and returns the trial point of a damping.
    """
    point, damping, slow = start, options.damping, 0
    for _ in range(options.steps):
        if not options.solved < point.cost < math.inf:
            break
        trial_at = linearise(point)
        for _ in range(options.trials):
            trial = trial_at(damping)
            if trial.cost < point.cost:
                break
            damping = max(options.raised * damping, options.onset)
        else:
            break
        slow = slow + 1 if trial.cost > (1 - options.slow) * point.cost else 0
        point, damping = trial, max(damping / options.lowered, options.least)
        if slow > options.patience:
            break
    return point


def levenberg_step(
    J: Array, r: Array, cut: float = TRUNCATION, norms: Array | None = None
) -> Callable[[float], Array]:
    """damping -> the step s (p,) that minimises |r + J s|² + damping |D s|², J (m, p), r (m,).

    D holds the lengths of the columns (Marquardt's scaling), or `norms` (p,): where J was projected
    its columns may be rounding alone, and those before the projection give the scale. Without
    damping too a direction that J does not show is left alone: divided by the rounding that its
    singular value is, it would lead anywhere.
    """
    m, p = J.shape
    rows = np.isfinite(J).all(1) & np.isfinite(r)
    if not rows.all():
        J, r = np.where(rows[:, None], J, 0.0), np.where(rows, r, 0.0)
    norms = np.sqrt(np.einsum("ij,ij->j", J, J)) if norms is None else norms
    norms = np.where(norms > 0, norms, 1.0)
    R, d = J / norms, -r
    if m > p + 1:
        T = np.asarray(np.linalg.qr(np.column_stack([R, d]), mode="r"))
        R, d = T[:p, :p], T[:p, p]
    u, s, vt = _svd(R)
    keep = s > cut * s[:1]  # none of none
    s, vt, along = s[keep], vt[keep], u[:, keep].T @ d
    return lambda damping: (along * s / (s * s + damping)) @ vt / norms


@dataclass(frozen=True)
class Iterate:
    """A vector of parameters (p,), its residual and its cost."""

    x: Tensor
    residual: Tensor
    cost: float


def minimise(
    residual: Callable[[Tensor], Tensor],
    jacobian: Callable[[Iterate], Tensor],
    x: Tensor,
    options: Descent,
    cost: Callable[[Tensor], float] = robust_cost,
    weights: Callable[[Tensor], Tensor] = huber_weights,
) -> Iterate:
    """The least-squares solution near x (p,), by `descend`.

    residual(x) (…), jacobian(iterate) (…, p). A loss that is not quadratic has a `cost` and the
    `weights` of the residuals with which a step lowers it; by default Huber's.
    """

    def at(x: Tensor) -> Iterate:
        r = residual(x)
        return Iterate(x, r, cost(r))

    def linearise(now: Iterate) -> Callable[[float], Iterate]:
        w = weights(now.residual)
        J, r = (jacobian(now) * w.unsqueeze(-1)).flatten(0, -2), (now.residual * w).flatten()
        step = levenberg_step(J.numpy(), r.numpy())
        return lambda damping: at(now.x + torch.from_numpy(step(damping)))

    return descend(at(x), linearise, options)


def minimise_squares(
    residual: Callable[[Tensor], Tensor],
    jacobian: Callable[[Tensor], Tensor],
    x: Tensor,
    steps: int,
    robust: bool = False,
) -> Tensor:
    """`minimise` for problems that may be far from linear, residuals that are not finite counted
    as `NOT_FINITE`; ordinary least squares unless `robust`. jacobian(x) (…, p)."""
    options = Descent(steps=steps, damping=1e-6, slow=1e-6)
    loss = (robust_cost, huber_weights) if robust else (mean_square, torch.ones_like)
    return minimise(lambda x: finite(residual(x)), lambda i: jacobian(i.x), x, options, *loss).x


# ---- variable projection -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Projection:
    """Linear least squares A c ≈ y solved for c: residual y - A c (m,), coefficients c (p,), and
    orthonormal columns (m, rank) that span those of A."""

    residual: Array
    coefficients: Array
    basis: Array

    def jacobian(self, slopes: Array) -> Array:
        """d residual / d parameters of A (m, k) from slopes d(A c) / d parameters at c held (m, k).

        Kaufman's form: without the part that is zero where the residual is; its gradient is exact.
        """
        return self.basis @ (self.basis.T @ slopes) - slopes


def project(A: Array, y: Array, cut: float, negligible: float = 1e-13) -> Projection:
    """A (m, p) and y (m,) projected; columns are brought to equal length first.

    Singular values below `cut` times the largest, and columns shorter than `negligible` times the
    longest, count as zero. Where y is not finite the residual is not either.
    """
    rows = np.isfinite(A).all(1) & np.isfinite(y)
    if not rows.all():
        A = np.where(rows[:, None], A, 0.0)
    size = np.linalg.norm(A, axis=0)
    size = np.where(size > negligible * size.max(initial=0.0), size, np.inf)
    u, s, vt = _svd(A / size)
    keep = s > cut * s[:1]  # none of none
    u, s, vt = u[:, keep], s[keep], vt[keep]
    along = u.T @ (y if rows.all() else np.where(rows, y, 0.0))
    return Projection(y - u @ along, (vt.T @ (along / s)) / size, u)


# ---- roots and slopes of batches ---------------------------------------------------------------

_NEWTON_STEPS = 25


def newton(equations: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """Roots (n, nv) of n systems of nv equations each, near a; NaN where none is found.

    `equations(a)` (n, nv), each row of its own row of a. Newton's method with halved steps, each
    system by itself. This is no least-squares problem: there is one for each state, all at once.
    """
    value = equations(a)
    size = value.norm(dim=-1)
    tolerance = 1e-12 * (1.0 + size)
    for _ in range(_NEWTON_STEPS):
        unsolved = size > tolerance
        if not bool(unsolved.any()):
            break
        step = torch.nan_to_num(solve_or_nan(batched_jacobian(equations, a), value))
        share = torch.ones_like(size)
        for _ in range(6):
            trial = a - share.unsqueeze(-1) * step
            new = equations(trial)
            new_size = new.norm(dim=-1)
            worse = ~(new_size < size) & unsolved
            if not bool(worse.any()):
                break
            share = torch.where(worse, 0.4 * share, share)
        better = (new_size < size)[..., None]
        a, value = torch.where(better, trial, a), torch.where(better, new, value)
        size = value.norm(dim=-1)
        if not bool(better.any()):
            break
    good = size <= 1e-6 * (1.0 + equations(torch.zeros_like(a)).norm(dim=-1))
    return torch.where(good[..., None].expand_as(a), a, torch.nan)


# ---- differences -------------------------------------------------------------------------------
#
# Slopes of our own formulas are central differences where there is no closed form. torch.func
# gives the same to 1e-9 and takes longer (CONTRIBUTING, "Numerics").


def batched_jacobian(
    function: Callable[[Tensor], Tensor], a: Tensor, relative: float = 1e-6
) -> Tensor:
    """d(function) / d(a) (n, nv, nv), each row of `function` (n, nv) being of its own row of a."""
    h = relative * a.abs().mean(0).clamp_min(1e-3)
    columns = []
    for j in range(a.shape[-1]):
        move = torch.zeros_like(a)
        move[..., j] = h[j]
        columns.append((function(a + move) - function(a - move)) / (2 * h[j]))
    return torch.stack(columns, dim=-1)


A = TypeVar("A", Array, Tensor)


def differences(function: Callable[[A], A], x: A, least: float = 1e-2) -> list[A]:
    """d(function) / d(x_i) for each of the numbers x (p,), each of the shape of `function`.

    Steps are a millionth of a number, of `least` where it is smaller. A change that is rounding
    counts as none: the number does not matter, as a distance off a plane in which all is flat.
    """
    slopes = []
    for i in range(len(x)):
        move = 0 * x
        move[i] = 1e-6 * max(abs(float(x[i])), least)
        ahead = function(x + move)
        change = ahead - function(x - move)
        if float(abs(change).max()) < 1e-12 * float(abs(ahead).max()):
            change = 0 * change
        slopes.append(change / (2 * move[i]))
    return slopes


# ---- what a fit promises -----------------------------------------------------------------------

NOT_FINITE = 1e6  # a standardised residual in place of one that is not finite


def finite(r: Tensor) -> Tensor:
    """The residual with `NOT_FINITE` where it is not finite."""
    return torch.nan_to_num(r, nan=NOT_FINITE, posinf=NOT_FINITE, neginf=-NOT_FINITE)


def predicted_error(
    residual: Callable[[Tensor], Tensor], jacobian: Callable[[Tensor], Tensor], x: Tensor
) -> float:
    """The root mean square that one Gauss–Newton step from x is predicted to leave, degrees of
    freedom subtracted: a first look at a problem that may not be worth solving."""
    r, J = finite(residual(x)).flatten(), jacobian(x).flatten(0, 1)
    J = torch.nan_to_num(J, posinf=0.0, neginf=0.0)
    # The triangle of a QR decomposition has the same singular values and is small.
    R, d = qr_reduced(J / column_norms(J), r)
    U, s, _ = svd(R)
    U = U[:, s > TRUNCATION * s[:1]]
    rest = float(r.square().sum()) - float((U.T @ d).square().sum())
    return math.sqrt(max(rest, 0.0) / max(len(r) - U.shape[1], 1))
