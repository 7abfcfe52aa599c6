"""Lagrangian network: one free scalar L(q, v), and the Euler-Lagrange equation around it.

Cranmer et al. (2020). a = (d²L/dv²)^-1 (tau + dL/dq - d²L/dv dq v). First and second derivatives
are carried forward through the layers beside the value, so that training needs one backward pass.
The scalar starts from |v|²/2 in normalised units: an arbitrary scalar has no invertible Hessian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.continuous import Continuous, ContinuousConfig
from discover.models.contract import ModelConfig, Outputs, Samples
from discover.models.layout import Layout


def _softplus(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(z)
    return nn.functional.softplus(z), s, s * (1 - s)


def _tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = torch.tanh(z)
    return t, 1 - t * t, -2 * t * (1 - t * t)


def _silu(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(z)
    bend = s * (1 - s)
    return z * s, s + z * bend, bend * (2 + z * (1 - 2 * s))


# activation -> (value, first and second derivative)
TWICE: dict[str, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]] = {
    "softplus": _softplus,
    "tanh": _tanh,
    "silu": _silu,
}


@dataclass(frozen=True, kw_only=True)
class LNNConfig(ContinuousConfig):
    width: int = 96
    depth: int = 2
    activation: str = "silu"
    friction: bool = False
    """Learn one viscous coefficient a joint."""


class LNN(Continuous):
    """Euclidean coordinates only."""

    kind: ClassVar[str] = "lnn"
    config_schema: ClassVar[type[ModelConfig]] = LNNConfig
    config: LNNConfig
    v_scale: Tensor
    a_scale: Tensor
    tau_scale: Tensor

    def __init__(
        self,
        layout: Layout,
        config: LNNConfig,
        *,
        outputs: Outputs = "acceleration",
        dt: float | None = None,
    ) -> None:
        super().__init__(layout, config, outputs=outputs, dt=dt)
        if not layout.euclidean:
            raise ModelError(
                f"model '{self.kind}' needs one number a joint in q, found quaternions; "
                "use mlp, gnn or transformer for spherical and free joints"
            )
        if config.activation not in TWICE:
            raise ModelError(
                f"activation '{config.activation}' unknown here; expected one of {', '.join(TWICE)}"
            )
        n, width = layout.nv, config.width
        self.bend = TWICE[config.activation]
        self.first = nn.Linear(len(self.input_mean) - n, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(config.depth))
        self.last = nn.Linear(width, 1, bias=False)
        for name in ("v_scale", "a_scale", "tau_scale"):
            self.register_buffer(name, torch.ones(n))
        if config.friction:
            self.log_friction = nn.Parameter(torch.full((n,), -3.0))

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        super().calibrate(samples)
        n = self.layout.nv
        self.v_scale.copy_(self.input_scale[-2 * n : -n])
        self.tau_scale.copy_(self.input_scale[-n:])
        self.a_scale.copy_(
            self.target_scale if self.dt is None else self.target_scale[n:] / self.dt
        )

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        n = self.layout.nv
        _, first, second = self._derivatives(q, v)
        dq, hessian, mixed = first[:, :n], second[:, :, n:], second[:, :, :n]
        force = tau + dq - torch.einsum("bij,bj->bi", mixed, v)
        if self.config.friction:
            force = force - torch.exp(self.log_friction) * self.tau_scale / self.v_scale * v
        return torch.linalg.solve(hessian, force.unsqueeze(-1)).squeeze(-1)

    def lagrangian(self, q: Tensor, v: Tensor) -> Tensor:
        """L(q, v) (B,) [J]; any multiple that the forces fix, up to a constant."""
        return self._derivatives(q, v)[0]

    def _derivatives(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """L (B,), dL/d(q, v) (B, 2n) and d²L/dv d(q, v) (B, n, 2n)."""
        n = self.layout.nv
        x, dx = self._observe(q, v)
        dz = dx @ self.first.weight.T
        h, s1, s2 = self.bend(self.first(x))
        dh = s1.unsqueeze(1) * dz
        # features of v are linear in v and those of q hold no v: no second derivative goes in
        d2h = s2[:, None, None] * dz[:, n:, None] * dz[:, None]
        for block in self.blocks:
            weight: Tensor = block.weight  # type: ignore[assignment]
            z, dz, d2z = block(h), dh @ weight.T, d2h @ weight.T
            y, s1, s2 = self.bend(z)
            bent = s2[:, None, None] * dz[:, n:, None] * dz[:, None]
            h = h + y
            dh = dh + s1.unsqueeze(1) * dz
            d2h = d2h + bent + s1[:, None, None] * d2z
        energy = (self.tau_scale / self.a_scale * self.v_scale.square()).mean()
        value = energy * self.last(h).squeeze(-1)
        first = energy * self.last(dh).squeeze(-1)
        second = energy * self.last(d2h).squeeze(-1)
        unit = self.tau_scale / self.a_scale
        kinetic = 0.5 * (unit * v.square()).sum(-1)
        plain = torch.cat((torch.zeros_like(v), unit * v), dim=-1)
        own = torch.cat((torch.zeros(n, n).to(v), torch.diag(unit)), dim=-1)
        return value + kinetic, first + plain, second + own

    def _observe(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of (q, v) (B, m), and their derivatives (B, 2n, m)."""
        n = self.layout.nv
        m = len(self.input_mean) - n
        columns, slopes = [], []
        for i, kind in enumerate(self.layout.kinds):
            x = q[:, i : i + 1]
            if self.config.trig and kind != "prismatic":
                columns += [torch.sin(x), torch.cos(x)]
                slopes += [(i, torch.cos(x)), (i, -torch.sin(x))]
            else:
                columns.append(x)
                slopes.append((i, torch.ones_like(x)))
        columns.append(v)
        slopes += [(n + i, torch.ones_like(v[:, :1])) for i in range(n)]
        dx = q.new_zeros(len(q), 2 * n, m)
        for column, (i, slope) in enumerate(slopes):
            dx[:, i, column] = slope[:, 0]
        scale = self.input_scale[:m]
        return (torch.cat(columns, dim=-1) - self.input_mean[:m]) / scale, dx / scale
