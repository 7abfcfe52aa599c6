"""Least squares of problems that are not linear: a descent, and what its first step promises."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from discover.laws import least_squares

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
    U = least_squares.orthonormal(torch.nan_to_num(J, posinf=0.0, neginf=0.0))
    rest = r - U @ (U.T @ r)
    return math.sqrt(float(rest.square().sum()) / max(len(r) - U.shape[1], 1))
