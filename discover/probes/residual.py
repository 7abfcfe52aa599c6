"""Low-dimensional predictability: do a few variables predict the torque residual of a law?

A bounded residual that no small set of variables predicts is imperfection; one that a single
joint's speed predicts is a law that has not been written down.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from discover.blackbox.contract import Answers
from discover.laws.rigid_body.family import evaluation_point
from discover.laws.rigid_body.fit import Fit
from discover.numerics import finite_rows

_FOLDS = 4
_ROWS = 4  # joints whose residual is looked at
_KNOTS = 8
_RIDGES = np.logspace(-6, 1, 4)
_SMOOTH = 1e-2  # ridge of the kernels


def torque_residual(fitted: Fit, answers: Answers) -> np.ndarray:
    """tau - (H a + bias + terms) of the law at the model's accelerations (n, nv)."""
    q, v = evaluation_point(answers, fitted.family.robot, fitted.step)
    H, b = fitted.family.inertia_and_bias(fitted.theta, q, v, answers.tau)
    force = (H @ answers.a.unsqueeze(-1)).squeeze(-1) + b
    return (answers.tau - force).numpy()


def low_dimensional_predictability(fitted: Fit, answers: Answers) -> tuple[float, str]:
    """The best cross-validated R² of the torque residual from a few variables, and which.

    Tried: all of q; of v; of the law's a; of tau (Gaussian kernels), and one joint's q, v, a, tau
    (splines).
    Joints are weighted by the variance of their residual over that of their torque.
    """
    residual = torque_residual(fitted, answers)
    # Noise in the model's accelerations is in the residual too, and would predict it: the law's.
    law = finite_rows(fitted.predict(answers.q, answers.v, answers.tau))
    groups = {
        "q": answers.q.numpy(),
        "v": answers.v.numpy(),
        "a": law.numpy(),
        "tau": answers.tau.numpy(),
    }
    size = np.square(residual - residual.mean(0)).mean(0)
    # a joint without a force has none to be compared with: any residual weighs the most
    weight = size / np.maximum(np.square(answers.tau.numpy()).mean(0), 1e-100)
    heaviest = np.argsort(-weight)[:_ROWS]
    rows = [r for r in heaviest if 0 < weight[r] >= 1e-2 * weight[heaviest[0]]]
    if not rows:
        return 0.0, "nothing"
    y, best, what = residual[:, rows], 0.0, "nothing"
    for name, x in groups.items():
        with np.errstate(all="ignore"):  # a law may predict what overflows when squared
            x = np.nan_to_num((x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0))
        tried = {name: _by_kernel(x, y)}
        tried |= {f"{name}{j + 1}": _by_splines(x[:, [j]], y) for j in range(x.shape[1])}
        for source, predicted in tried.items():
            scores = 1.0 - np.square(y - predicted).mean(0) / y.var(0)
            k = int(np.argmax(scores))
            if scores[k] > best:
                best, what = float(scores[k]), f"{source} → joint {rows[k] + 1}"
    return best, what


def _by_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (n, m) as a Gaussian kernel of standardised x (n, d) says without having seen it."""
    # imported late: seconds, for models that no law fits exactly
    from sklearn.metrics.pairwise import rbf_kernel

    K, predicted = rbf_kernel(x, gamma=0.5 / x.shape[1]), np.empty_like(y)
    for training, held_out in _folds(x):
        inner = K[np.ix_(training, training)] + _SMOOTH * np.eye(len(training))
        predicted[held_out] = K[np.ix_(held_out, training)] @ np.linalg.solve(inner, y[training])
    return predicted


def _by_splines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same by splines of one variable, and by its sign: friction and its kin jump where the
    speed turns. The ridge is that of the least error left-one-out."""
    from sklearn.preprocessing import SplineTransformer

    splines = SplineTransformer(_KNOTS, degree=3, extrapolation="linear", knots="quantile")
    F = np.column_stack([splines.fit_transform(x), np.sign(x)])
    predicted = np.empty_like(y)
    for training, held_out in _folds(x):
        middle, offset = F[training].mean(0), y[training].mean(0)
        U, s, Vt = np.linalg.svd(F[training] - middle, full_matrices=False)
        target = U.T @ (y[training] - offset)
        least = np.full(y.shape[1], np.inf)
        for ridge in _RIDGES:
            share = (s**2 / (s**2 + ridge))[:, None]
            rest = y[training] - offset - U @ (share * target)
            leverage = (np.square(U) @ share) + 1.0 / len(training)
            error = np.square(rest / (1.0 - leverage).clip(1e-9)).mean(0)
            slope = Vt.T @ (share * target / s.clip(1e-300)[:, None])
            better = error < least
            least = np.where(better, error, least)
            fitted = offset + (F[held_out] - middle) @ slope
            predicted[np.ix_(held_out, np.flatnonzero(better))] = fitted[:, better]
    return predicted


def _folds(x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold

    return KFold(_FOLDS, shuffle=True, random_state=0).split(x)
