"""Few columns out of many: orthogonal forward selection, a criterion that knows how many there were
to choose from, backward pruning, exact refit, and a gate for errors that are not noise.

Where the columns are fewer than the samples and explain them to rounding, nothing is searched: the
solution is unique and its zeros are read off. Noise that is independent from sample to sample is
met by the extended BIC (Chen & Chen 2008). The smooth error of a trained network is not: every
term that it resembles seems significant, and the more so the more samples there are. Against it
stand the answers of several members: what they disagree about is no evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from discover.judgement.thresholds import threshold, whole

KAPPA = threshold("regression.disagreement")
_ROUNDING = threshold("regression.exact_solution")
_ZERO = threshold("regression.zero_term")
_CONDITION = 1e10  # of columns, beyond which a solution is not unique in double precision
_IDLE = whole("regression.idle_terms")
_GAMMA = threshold("regression.bic_gamma")


@dataclass(frozen=True, kw_only=True)
class Selected:
    """y ≈ A[:, support] @ coefficients; `error` is the root mean square of the rest."""

    support: tuple[int, ...]
    coefficients: np.ndarray
    error: float
    exact: bool


def select_columns(
    A: np.ndarray, y: np.ndarray, members: np.ndarray | None = None, most: int | None = None
) -> Selected:
    """The few columns of A (n, p) that make y (n,).

    members (m, n): the same quantity as m members of an ensemble answer it, y being their mean.
    `most` terms at most [a third of the samples].
    """
    return select_several(A, y[:, None], None if members is None else members[..., None], most)[0]


def select_several(
    A: np.ndarray, Y: np.ndarray, members: np.ndarray | None = None, most: int | None = None
) -> list[Selected]:
    """`select_columns` for every column of Y (n, r) at once; members (m, n, r)."""
    n, p = A.shape
    size = np.sqrt(np.mean(A**2, axis=0))
    usable = np.flatnonzero(size > 1e-12)
    B = A[:, usable] / size[usable]
    limit = min(most or n // 3, len(usable))
    unique = _unique(B, Y) if members is None and p <= 0.8 * n else [None] * Y.shape[1]
    out = []
    for k, exact in enumerate(unique):
        y, support = Y[:, k], exact
        if not y.any():
            support = []
        if support is None:
            spread = None if members is None else _Disagreement(members[..., k])
            support = _forward(B, y, limit, p, spread)
            support = _backward(B, y, support, p, spread)
        columns = tuple(int(usable[i]) for i in sorted(support))
        chosen = A[:, columns]
        coefficients = _solve(chosen, y)
        error = float(np.sqrt(np.mean((y - chosen @ coefficients) ** 2)))
        out.append(
            Selected(
                support=columns, coefficients=coefficients, error=error, exact=exact is not None
            )
        )
    return out


def _unique(B: np.ndarray, Y: np.ndarray) -> list[list[int] | None]:
    """For each target the terms of its solution, where there is only one and it is exact."""
    Q, R = np.linalg.qr(B)
    diagonal = np.abs(np.diag(R))
    if not len(diagonal) or diagonal.min() * _CONDITION < diagonal.max():
        return [None] * Y.shape[1]
    X = np.linalg.solve(R, Q.T @ Y)
    scale = np.sqrt(np.mean(Y**2, axis=0))
    error = np.sqrt(np.mean((Y - B @ X) ** 2, axis=0))
    return [
        np.flatnonzero(np.abs(X[:, k]) > _ZERO * scale[k]).tolist()
        if error[k] <= _ROUNDING * scale[k]
        else None
        for k in range(Y.shape[1])
    ]


class _Disagreement:
    """How far members are from their mean along a direction."""

    def __init__(self, members: np.ndarray):
        self.members = members - members.mean(0)
        self.freedom = max(1, len(members) - 1)

    def along(self, directions: np.ndarray) -> np.ndarray:
        """Standard deviation of the members' projections on unit columns (n, k): (k,)."""
        return np.sqrt(((self.members @ directions) ** 2).sum(0) / self.freedom)


def _forward(
    B: np.ndarray, y: np.ndarray, limit: int, p: int, spread: _Disagreement | None
) -> list[int]:
    """Columns one after the other, each the one that takes most of what is left."""
    n = len(y)
    rest, power = y.copy(), (B**2).sum(0)
    first = power.copy()
    Q = np.zeros((n, 0))
    away = None if spread is None else spread.members.copy()
    chosen: list[int] = []
    best, best_count = _criterion(float(rest @ rest), n, 0, p), 0
    floor = (_ROUNDING * np.linalg.norm(y)) ** 2
    while len(chosen) < limit:
        alive = power > 1e-10 * first
        alive[chosen] = False
        if not alive.any():
            break
        norms = np.sqrt(np.where(alive, power, 1.0))
        gain = np.where(alive, np.abs(rest @ B) / norms, 0.0)
        if spread is not None and away is not None:
            held = np.sqrt(((away @ B) ** 2).sum(0) / spread.freedom) / norms
            gain[gain <= KAPPA * np.maximum(held, np.median(held[alive]))] = 0.0
        k = int(np.argmax(gain))
        if gain[k] == 0.0:
            break
        direction = B[:, k] - Q @ (Q.T @ B[:, k])
        direction -= Q @ (Q.T @ direction)
        direction /= np.linalg.norm(direction)
        chosen.append(k)
        Q = np.column_stack([Q, direction])
        rest = rest - direction * (direction @ rest)
        if away is not None:
            away = away - np.outer(away @ direction, direction)
        power = power - (direction @ B) ** 2
        left = float(rest @ rest)
        value = _criterion(left, n, len(chosen), p)
        if value < best:
            best, best_count = value, len(chosen)
        if left < floor:
            return chosen
        # Terms may pay together only; half a dozen idle ones in a row do not.
        if spread is None and len(chosen) > best_count + _IDLE:
            break
    return chosen if spread is not None else chosen[:best_count]


def _backward(
    B: np.ndarray, y: np.ndarray, support: list[int], p: int, spread: _Disagreement | None
) -> list[int]:
    """Without what is idle after all: by the criterion, or by the members' disagreement."""
    support, n = list(support), len(y)
    while support:
        chosen = B[:, support]
        Q, R = np.linalg.qr(chosen)
        inverse = np.linalg.solve(R, Q.T)
        x = inverse @ y
        left = float(((y - chosen @ x) ** 2).sum())
        own = 1.0 / np.sqrt((inverse**2).sum(1))  # norm of each column beside the others
        if spread is not None:
            ratio = np.abs(x * own) / (spread.along(inverse.T * own) + 1e-300)
            k = int(np.argmin(ratio))
            if ratio[k] >= KAPPA:
                break
        else:
            loss = (x * own) ** 2
            k = int(np.argmin(loss))
            now = _criterion(left, n, len(support), p)
            if _criterion(left + float(loss[k]), n, len(support) - 1, p) >= now:
                break
        support.pop(k)
    return support


def _criterion(left: float, n: int, k: int, p: int) -> float:
    """The extended BIC: n log(RSS/n) + k log n + 2 γ log C(p, k).

    Beyond half of the columns C(p, k) falls again, which would make idle terms cheap: it stays.
    """
    k_chosen = min(k, p // 2)
    choices = math.lgamma(p + 1) - math.lgamma(k_chosen + 1) - math.lgamma(p - k_chosen + 1)
    return n * math.log(max(left / n, 1e-300)) + k * math.log(n) + 2 * _GAMMA * choices


def _solve(A: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(A, y, rcond=None)[0] if A.shape[1] else np.zeros(0)
