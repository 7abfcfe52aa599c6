"""What a law leaves over: does it grow outside, and can it be predicted from a few variables?

A residual that is bounded and that no small set of variables predicts is imperfection; one that a
single joint's speed predicts is a law that has not been written down.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

from discover.dynamics import Answers
from discover.laws.family import evaluation_point
from discover.laws.fit import Fit

_FOLDS = 4


def torque_residual(fitted: Fit, answers: Answers) -> np.ndarray:
    """tau - (H a + bias + terms) of the law at the model's accelerations (n, nv)."""
    q, v = evaluation_point(answers, fitted.family.robot, fitted.integrator, fitted.dt)
    H, b = fitted.family.inertia_and_bias(fitted.theta, q, v, answers.tau)
    force = (H @ answers.a.unsqueeze(-1)).squeeze(-1) + b
    return (answers.tau - force).numpy()


def low_dimensional_predictability(fitted: Fit, answers: Answers) -> tuple[float, str]:
    """The best cross-validated R² of the torque residual from a few variables, and which.

    Tried: all of q; of v; of a; of tau (Gaussian kernels), and one joint's q, v, a, tau (splines).
    Joints are weighted by the variance of their residual over that of their torque.
    """
    residual = torque_residual(fitted, answers)
    groups = {
        "q": answers.q.numpy(),
        "v": answers.v.numpy(),
        "a": answers.a.numpy(),
        "tau": answers.tau.numpy(),
    }
    best, what = 0.0, "nothing"
    size = np.square(residual - residual.mean(0)).mean(0)
    reference = np.square(answers.tau.numpy()).mean(0)
    weight = size / np.maximum(reference, 1e-300)
    rows = np.argsort(-weight)[: min(4, len(weight))]
    for row in rows:
        if weight[row] < 1e-2 * weight[rows[0]]:
            continue
        y = residual[:, row]
        for name, x in groups.items():
            score = _score(_kernel(x.shape[1]), x, y)
            if score > best:
                best, what = score, f"{name} → joint {row + 1}"
            for j in range(x.shape[1]):
                score = _score(_spline(), x[:, j : j + 1], y)
                if score > best:
                    best, what = score, f"{name}{j + 1} → joint {row + 1}"
    return best, what


def _score(regressor, x: np.ndarray, y: np.ndarray) -> float:
    folds = KFold(_FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = cross_val_predict(regressor, x, y, cv=folds)
    spread = float(np.square(y - y.mean()).mean())
    return 1.0 - float(np.square(y - predicted).mean()) / spread if spread > 0 else 0.0


def _spline():
    return make_pipeline(
        StandardScaler(with_mean=False),
        make_union(
            SplineTransformer(n_knots=8, degree=3, extrapolation="linear", knots="quantile"),
            FunctionTransformer(np.sign),  # friction and its kin jump where the speed turns
        ),
        RidgeCV(np.logspace(-6, 1, 4)),
    )


def _kernel(dimensions: int):
    return make_pipeline(
        StandardScaler(), KernelRidge(kernel="rbf", gamma=0.5 / dimensions, alpha=1e-2)
    )
