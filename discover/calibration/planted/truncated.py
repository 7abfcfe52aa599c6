"""Rigid bodies whose sines and cosines are Taylor polynomials: right near zero, wrong far out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kinematics import Robot
from kinematics.programs import trace


def with_truncated_trigonometry(
    robot: Robot, order: int
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The dynamics of `robot` with sin and cos cut after the power `order`: a = H⁻¹ (tau - bias).

    Every sine and cosine of the traced recursions is replaced, so H and bias are those of bodies
    that a person derived with small angles. Hinges only.
    """
    import sympy

    functions = {"sin": lambda x: _sine(x, order), "cos": lambda x: _cosine(x, order)}
    parts = []
    for what in ("crba", "bias"):
        form = trace(robot, what).sympy()
        names = [f"{g}{j + 1}" for g in ("q", "v") for j in range(robot.nv)]
        inputs = [form.symbols.get(n, sympy.Symbol(n)) for n in names]
        outputs = list(form.substituted())
        parts.append(sympy.lambdify(inputs, outputs, modules=[functions, "numpy"], cse=True))

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        columns = [*q.numpy().T, *v.numpy().T]
        n, nv = v.shape
        flat = [
            torch.from_numpy(np.stack([np.broadcast_to(x, n) for x in part(*columns)], -1).copy())
            for part in parts
        ]
        H, bias = flat[0].reshape(n, nv, nv), flat[1]
        return torch.linalg.solve(H, (tau - bias).unsqueeze(-1)).squeeze(-1)

    return model


def _sine(x, order: int):
    return sum(
        (-1) ** k * x ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range((order + 1) // 2)
    )


def _cosine(x, order: int):
    return sum((-1) ** k * x ** (2 * k) / math.factorial(2 * k) for k in range(order // 2 + 1)) + (
        0 * x
    )
