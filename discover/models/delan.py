"""Deep Lagrangian network: mass matrix and potential by networks, mechanics by construction.

Lutter, Ritter, Peters (2019), "Deep Lagrangian Networks". H(q) = L L^T with a positive diagonal;
forward dynamics a = H^-1 (tau - C v - g - D v), where C comes from the derivatives of H and g from
that of the potential. Derivatives with respect to q are carried forward through the layers beside
the values (a Jacobian costs nq extra rows), so that training needs one backward pass only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.continuous import Continuous, ContinuousConfig
from discover.models.contract import ModelConfig, Outputs, Samples
from discover.models.layout import Layout


def _silu_slope(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 + z * (1 - s))


# activation -> (value, derivative)
SMOOTH: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "softplus": (nn.functional.softplus, torch.sigmoid),
    "silu": (nn.functional.silu, _silu_slope),
    "tanh": (torch.tanh, lambda z: 1 - torch.tanh(z).square()),
}


class NetWithJacobian(nn.Module):
    """Residual network that gives its value and its Jacobian: (B, m) -> (B, n), (B, nq, n)."""

    def __init__(self, n_in: int, n_out: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        if activation not in SMOOTH:
            raise ModelError(
                f"activation '{activation}' unknown here; expected one of {', '.join(SMOOTH)}"
            )
        self.value, self.slope = SMOOTH[activation]
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, n_out)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, x: Tensor, dx: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, m) and its derivatives dx (B, nq, m) with respect to each coordinate."""
        z, dz = self.first(x), dx @ self.first.weight.T
        h, dh = self.value(z), self.slope(z).unsqueeze(1) * dz
        for block in self.blocks:
            z, dz = block(h), nn.functional.linear(dh, block.weight)  # type: ignore[arg-type]
            h, dh = h + self.value(z), dh + self.slope(z).unsqueeze(1) * dz
        return self.last(h), dh @ self.last.weight.T


@dataclass(frozen=True, kw_only=True)
class DeLaNConfig(ContinuousConfig):
    width: int = 64
    depth: int = 2
    activation: str = "silu"
    friction: bool = False
    """Learn one viscous coefficient a joint."""
    smallest_inertia: float = 1e-3
    """Floor of the Cholesky diagonal, in normalised units."""


class Factors(NamedTuple):
    """Of a matrix L L^T (B, nv, nv): L and dL (B, k, nv, nv) by each q_k; of the potential: its
    derivatives (B, nv) and its value (B,). Physical units."""

    L: Tensor
    dL: Tensor
    dpotential: Tensor
    potential: Tensor


class DeLaN(Continuous):
    """Rigid-body structure with learned inertia and potential; Euclidean coordinates only."""

    kind: ClassVar[str] = "delan"
    config_schema: ClassVar[type[ModelConfig]] = DeLaNConfig
    config: DeLaNConfig
    inertia_root: Tensor
    energy_scale: Tensor
    tril: Tensor

    def __init__(
        self,
        layout: Layout,
        config: DeLaNConfig,
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
        n = layout.nv
        n_in = len(self.input_mean) - 2 * n
        self.net = NetWithJacobian(
            n_in, n * (n + 1) // 2 + 1, config.width, config.depth, config.activation
        )
        self.register_buffer("tril", torch.tril_indices(n, n, -1))
        # normalised units: H is of order one after scaling rows and columns by inertia_root
        self.register_buffer("inertia_root", torch.ones(n))
        self.register_buffer("energy_scale", torch.ones(()))
        if config.friction:
            self.log_friction = nn.Parameter(torch.full((n,), -3.0))

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        super().calibrate(samples)
        n = self.layout.nv
        tau = self.input_scale[-n:]
        # outputs over a step carry changes of v in their second half
        a = self.target_scale if self.dt is None else self.target_scale[n:] / self.dt
        self.inertia_root.copy_((tau / a).sqrt())
        self.energy_scale.copy_(tau.mean())

    def factors(self, q: Tensor) -> Factors:
        """What the network says at q (B, nv)."""
        n = self.layout.nv
        x, dx = self._observe(q)
        y, dy = self.net(x, dx)
        raw, potential = y[:, :-1], y[:, -1]
        draw, dpotential = dy[..., :-1], dy[..., -1]
        shifted = raw[:, :n] + 0.54  # softplus(0.54) = 1: start from a unit mass matrix
        diagonal = nn.functional.softplus(shifted) + self.config.smallest_inertia
        ddiagonal = torch.sigmoid(shifted).unsqueeze(1) * draw[..., :n]
        root = self.root_scale()[:, None]
        return Factors(
            root * self._triangle(diagonal, raw[:, n:]),
            root * self._triangle(ddiagonal, draw[..., n:]),
            self.energy_scale * dpotential,
            self.energy_scale * potential,
        )

    def root_scale(self) -> Tensor:
        """Size of the rows of L: root of each joint's inertia, as torques over accelerations."""
        return self.inertia_root

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        L, dL, dpotential, _ = self.factors(q)
        # With w = L^T v: kinetic energy w.w / 2, momentum L w, and
        # C v = d(L w)/dt - d(w.w / 2)/dq, the derivatives at fixed v.
        w = torch.einsum("bij,bi->bj", L, v)
        dw = torch.einsum("bkij,bi->bkj", dL, v)
        rate_L = torch.einsum("bkij,bk->bij", dL, v)
        rate_w = torch.einsum("bkj,bk->bj", dw, v)
        coriolis = (
            torch.einsum("bij,bj->bi", rate_L, w)
            + torch.einsum("bij,bj->bi", L, rate_w)
            - torch.einsum("bkj,bj->bk", dw, w)
        )
        force = tau - coriolis - dpotential
        if self.config.friction:
            force = force - self.friction() * v
        half = torch.linalg.solve_triangular(L, force.unsqueeze(-1), upper=False)
        return torch.linalg.solve_triangular(L.mT, half, upper=True).squeeze(-1)

    def mass_matrix(self, q: Tensor) -> Tensor:
        """H(q) (B, nv, nv) [kg·m² | kg·m | kg]."""
        L = self.factors(q).L
        return L @ L.mT

    def potential(self, q: Tensor) -> Tensor:
        """Potential energy (B,) [J], up to a constant."""
        return self.factors(q).potential

    def friction(self) -> Tensor:
        """Viscous coefficients (nv,) [N·m·s | N·s/m]."""
        return self.inertia_root.square() * torch.exp(self.log_friction)

    def _triangle(self, diagonal: Tensor, below: Tensor) -> Tensor:
        L = torch.diag_embed(diagonal)
        L[..., self.tril[0], self.tril[1]] = below
        return L

    def _observe(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of q (B, m) and their derivatives (B, nq, m)."""
        columns, slopes = [], []
        for i, kind in enumerate(self.layout.kinds):
            x = q[:, i : i + 1]
            if self.config.trig and kind != "prismatic":
                sine, cosine = torch.sin(x), torch.cos(x)
                columns.append(torch.cat((sine, cosine), dim=-1))
                slope = torch.cat((cosine, -sine), dim=-1)
            else:
                columns.append(x)
                slope = torch.ones_like(x)
            row = q.new_zeros(*q.shape, slope.shape[-1])
            row[:, i] = slope
            slopes.append(row)
        m = len(self.input_mean) - 2 * self.layout.nv
        scale = self.input_scale[:m]
        x = (torch.cat(columns, dim=-1) - self.input_mean[:m]) / scale
        return x, torch.cat(slopes, dim=-1) / scale
