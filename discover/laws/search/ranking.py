"""What each pair carrier × feature explains of what a law leaves over, by a flexible function.

All pairs are looked at, tens of thousands, so all is done in large products: a flexible function φ
of a feature is a few columns (splines); a pair's columns in acceleration units are those times the
carrier's push, and only their products with each other, with what is known and with the residual
are ever made.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.fit import Whitened
from discover.laws.search.force_directions import Carrier, Feature, Places
from kinematics import Robot

_COARSE = 9  # knots
_AT_ONCE = 32  # carriers
_EIGEN = 1e-9  # of the largest column: what is smaller is left alone
_SPANNED = 1e-13  # share of a column that rounding leaves of one that is known
_STILL = 1e-9


@dataclass(frozen=True, kw_only=True)
class Pair:
    """carrier × φ(feature); `explained` is the share of the residual that a flexible φ takes.

    start     the parameters of the law beside which it was seen
    replaces  the term of the law that it takes the place of, being that term times φ
    """

    carrier: Carrier
    feature: Feature
    explained: float
    start: Tensor | None = field(default=None, compare=False, repr=False)
    replaces: Term | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def cost(self) -> int:
        """Symbols in carrier and feature."""
        return self.carrier.term(self.feature.through(lambda z: z)).symbol_count

    @property
    def implicit(self) -> bool:
        """Whether the feature holds the acceleration."""
        return any(s.name[0] in "ah" for s in self.feature.free_symbols)

    @property
    def name(self) -> str:
        return f"{self.carrier.name}, function of {self.feature.name}"


def explained_pairs(seen: Whitened, robot: Robot, places: Places, total: float) -> list[Pair]:
    """Every carrier of `places` with every feature, and the share of `total` that φ explains."""
    if total == 0.0:
        return []
    rows = torch.nan_to_num(seen.evaluate([c.term() for c in places.carriers], robot))
    return _of_scalars(seen, robot, places, total, rows) + _of_joints(
        seen, robot, places, total, rows
    )


def _of_scalars(
    seen: Whitened, robot: Robot, places: Places, total: float, rows: Tensor
) -> list[Pair]:
    """Pairs whose feature is one scalar for all joints; rows (n, nv, carriers) are the carriers."""
    U, y = seen.known, seen.rest
    features = [f for f in places.features if f.slots == 1]
    z = torch.nan_to_num(seen.evaluate([f.term(robot.nv) for f in features], robot)[:, 0])
    # What does not vary, as the height of a point that moves in a plane, is rounding.
    varies = z.std(0) > _STILL * z.std(0).max()
    features = [f for f, v in zip(features, varies.tolist(), strict=True) if v]
    B = _flexible(z[:, varies])
    flat, (count, width) = B.flatten(1), B.shape[1:]
    i, j = torch.triu_indices(width, width)
    products = (B[..., i] * B[..., j]).flatten(1)
    full = torch.zeros(width, width, dtype=torch.long)
    full[i, j] = full[j, i] = torch.arange(len(i))
    pushed = seen.inverse @ rows
    weights = pushed.square().sum(1)  # (n, carriers)
    targets = torch.einsum("nik,ni->kn", pushed, y) @ flat
    pairs = []
    for some in torch.arange(len(places.carriers)).split(_AT_ONCE):
        # One large product in place of one a pair, which are too small to be fast.
        packed = (weights[:, some].T @ products).reshape(len(some), count, len(i))
        for k, half in zip(some.tolist(), packed, strict=True):
            if float(weights[:, k].sum()) > 0:
                held = (pushed[:, None, :, k] @ U).squeeze(1)  # (n, p)
                spanned = (held.T @ flat).reshape(U.shape[-1], count, width).transpose(0, 1)
                shares = _shares(
                    seen, total, half[:, full], spanned, targets[k].reshape(count, width)
                )
                pairs += _pairs(seen, places.carriers[k], features, shares)
    return pairs


def _of_joints(
    seen: Whitened, robot: Robot, places: Places, total: float, rows: Tensor
) -> list[Pair]:
    """Pairs whose feature is a scalar of each joint's own, with the carriers alike at all joints.

    One φ for all of them; rows (n, nv, carriers) are the carriers.
    """
    U, y, pairs = seen.known.flatten(0, 1), seen.rest.flatten(), []
    for feature in (f for f in places.features if f.slots > 1):
        each = torch.nan_to_num(seen.evaluate([feature.term(robot.nv)], robot)[..., 0])
        basis = Basis.over(each.flatten(), _COARSE)
        values = basis(each.flatten()).reshape(*each.shape, -1)  # (n, nv, width)
        for k, carrier in enumerate(places.carriers):
            if carrier.alike:
                columns = (seen.inverse @ (rows[..., k, None] * values)).flatten(0, 1)
                made = (columns.T @ columns, U.T @ columns, columns.T @ y)
                shares = _shares(seen, total, *(x[None] for x in made))
                pairs += _pairs(seen, carrier, [feature], shares)
    return pairs


def _pairs(
    seen: Whitened, carrier: Carrier, features: Sequence[Feature], shares: Tensor
) -> list[Pair]:
    return [
        Pair(carrier=carrier, feature=feature, explained=share, start=seen.theta)
        for feature, share in zip(features, shares.tolist(), strict=True)
    ]


def _shares(seen: Whitened, total: float, gram: Tensor, spanned: Tensor, target: Tensor) -> Tensor:
    """The share of `total` that each feature's columns explain (m,), less what chance would.

    gram (m, width, width), spanned (m, p, width), target (m, width): as of `_gains`.
    """
    n_rows = seen.rest.numel() - seen.known.shape[-1]
    gain, used = _gains(gram, spanned, target)
    left = (seen.beyond_known - gain).clamp_min(0.0) / total
    return 1.0 - left * n_rows / (n_rows - used).clamp_min(1)


def _flexible(z: Tensor) -> Tensor:
    """A flexible function of each column of z (n, features), as columns: (n, features, width)."""
    B = z.new_zeros(*z.shape, _COARSE + 2)
    for f in range(z.shape[1]):
        basis = Basis.over(z[:, f], _COARSE)
        B[:, f, : basis.size] = basis(z[:, f])
    return B


def _gains(gram: Tensor, spanned: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """What the columns of each feature explain beside what is known, and how many count: (m,) each.

    gram (m, width, width), spanned (m, p, width) their parts along what is known, and target
    (m, width). Columns that the others or the known ones (nearly) span explain nothing.
    """
    whole = gram.diagonal(dim1=1, dim2=2).amax(-1)
    gram = gram - spanned.mT @ spanned
    size = gram.diagonal(dim1=1, dim2=2).amax(-1)
    size = torch.where(size > _SPANNED * whole, size, torch.inf)  # else it is rounding
    ridge = _EIGEN * torch.eye(gram.shape[-1], dtype=gram.dtype)
    L, info = torch.linalg.cholesky_ex(gram / size[:, None, None] + ridge)
    along = torch.linalg.solve_triangular(L, target.unsqueeze(-1), upper=False).squeeze(-1)
    gain = torch.where(info == 0, along.square().sum(-1) / size, 0.0)
    used = (L.diagonal(dim1=1, dim2=2).square() > 10 * _EIGEN).sum(-1)
    return gain, used
