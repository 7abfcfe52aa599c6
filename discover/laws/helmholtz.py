"""Does a law have a Lagrangian? The conditions of Helmholtz (1887).

Forces E(q, v, a) that move a mechanism as E = tau come from a Lagrangian exactly when

    ∂E_i/∂a_j - ∂E_j/∂a_i = 0
    ∂E_i/∂v_j + ∂E_j/∂v_i = d/dt (∂E_i/∂a_j + ∂E_j/∂a_i)
    ∂E_i/∂q_j - ∂E_j/∂q_i = ½ d/dt (∂E_i/∂v_j - ∂E_j/∂v_i)

along every motion. They are tested on answers alone: E is what a model that is affine in tau
demands for an acceleration, and derivatives are differences. Friction fails the second, a force
field that can do work around a circle the third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_STEP = 1e-3  # of the differences, in rad, rad/s … : errors of 1e-6
EXISTS = 1e-4  # conditions that hold to this, relative, hold


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How far each condition is from holding, relative to the size of what it compares.

    symmetry   of the response to acceleration
    velocity   of the forces that grow with speed: what damping breaks
    position   of the forces that grow with position: what a curl breaks
    """

    symmetry: float
    velocity: float
    position: float

    @property
    def exists(self) -> bool:
        """Whether there is a Lagrangian, as far as differences can tell."""
        return max(self.symmetry, self.velocity, self.position) < EXISTS

    def __str__(self) -> str:
        told = (
            f"symmetry {self.symmetry:.1g}, velocity {self.velocity:.1g}, "
            f"position {self.position:.1g}"
        )
        return ("a Lagrangian exists" if self.exists else "no Lagrangian") + f" ({told})"


def conditions(model: Callable, q: Tensor, v: Tensor, a: Tensor, jerk: Tensor) -> Conditions:
    """The conditions for `model` (q, v, tau) -> a at points of motions, each (n, nv), float64.

    For coordinates without quaternions. Asks about 60 nv² times n questions.
    """
    E = _demanded(model, q.shape[-1])

    def jacobians(q: Tensor, v: Tensor, a: Tensor) -> list[Tensor]:
        """∂E/∂q, ∂E/∂v, ∂E/∂a at points: each (n, nv, nv)."""
        out = []
        for which in range(3):
            columns = []
            for j in range(q.shape[-1]):
                up, down = [q, v, a], [q, v, a]
                move = torch.zeros_like(q)
                move[:, j] = _STEP
                up[which], down[which] = up[which] + move, down[which] - move
                columns.append((E(*up) - E(*down)) / (2 * _STEP))
            out.append(torch.stack(columns, -1))
        return out

    now = jacobians(q, v, a)
    later = jacobians(q + _STEP * v, v + _STEP * a, a + _STEP * jerk)
    earlier = jacobians(q - _STEP * v, v - _STEP * a, a - _STEP * jerk)
    K, B, S = now
    dB, dS = ((x - y) / (2 * _STEP) for x, y in zip(later[1:], earlier[1:], strict=True))
    pairs = (
        (S - S.mT, S),
        (B + B.mT - dS - dS.mT, torch.cat([B, dS])),
        (K - K.mT - 0.5 * (dB - dB.mT), torch.cat([K, dB])),
    )
    # Forces of different kinds are compared at the accelerations and speeds of these motions.
    size = float(S.abs().max())
    told = [float(x.abs().max()) / max(float(y.abs().max()), 1e-6 * size) for x, y in pairs]
    return Conditions(symmetry=told[0], velocity=told[1], position=told[2])


def _demanded(model: Callable, nv: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """E(q, v, a): the joint forces at which the model, affine in tau, answers a."""

    def E(q: Tensor, v: Tensor, a: Tensor) -> Tensor:
        n = len(q)
        units = torch.cat([torch.zeros(1, nv), torch.eye(nv)]).to(q.dtype).repeat_interleave(n, 0)
        with torch.no_grad():
            answers = model(q.repeat(nv + 1, 1), v.repeat(nv + 1, 1), units).reshape(nv + 1, n, nv)
        response = (answers[1:] - answers[0]).permute(1, 2, 0)
        return torch.linalg.solve(response, (a - answers[0]).unsqueeze(-1)).squeeze(-1)

    return E


def motions(robot_nv: int, n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points of motions to test at: (q, v, a, jerk), each (n, nv), of order 1."""
    generator = torch.Generator().manual_seed(seed)
    q, v, a, jerk = torch.randn(4, n, robot_nv, generator=generator, dtype=torch.float64)
    return q, v, a, jerk
