"""A second, small implementation of interchange by a linear patch, beside the instrument's own.

It patches the whole state at a site, h_b + D Eᵀ(h_s − h_b) with D = R orthonormal; orthogonal:
E = R, oblique: E = R + (1 − R Rᵀ) M. It knows nothing of readers, controls or automatic sites: it
shows what a patch of either kind can and cannot find in a plant, and is an outside number to hold
the instrument's against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import kinematics
from tests.bench.inside.bodies import Body, factors, solved
from tests.bench.inside.trained import order_of

_RATE = 0.02  # of Adam, falling to zero linearly
_ON_DATA = 1e-9  # of the largest variance: directions with less are left out
_LOOKS = 50  # steps between two looks at how well all training pairs are met; the best is kept
_RANK = 1e-7  # of the largest singular value: less is rounding


class Pairs(NamedTuple):
    """Base and source states at a site (N, n), the change (N, nv) that the variable predicts, and
    the variable itself in the base states (N, d)."""

    base: Tensor
    source: Tensor
    change: Tensor
    value: Tensor


def pivots_change(
    body: Body, factorisation: str, base: int, source: int, count: int
) -> tuple[Tensor, Tensor]:
    """a(b, D ← s) − a(b) (count, nv) where all pivots of a factorisation come from the source, and
    the pivots that vary, in the base states. `base` and `source` are seeds of `Body.states`."""
    b, s = body.states(count, base), body.states(count, source)
    order = order_of(factorisation, body.robot.nv)
    own, L = factors(kinematics.crba(body.robot, b[0]), order)
    D, _ = factors(kinematics.crba(body.robot, s[0]), order)
    force = b[2] - kinematics.bias(body.robot, b[0], b[1])
    varies = own.std(0) > _ON_DATA * own.std(0).max()
    return solved(D, L, force, order) - kinematics.aba(body.robot, *b), own[:, varies]


def interchange(
    after: Callable[[Tensor], Tensor],
    train: Pairs,
    test: Pairs,
    *,
    oblique: bool,
    steps: int = 400,
    seed: int = 0,
) -> float:
    """S of the best fitted patch on `test`: the share of the predicted change that is met.

    after  states at the site (N, n) -> answers (N, nv)
    The subspace is as wide as the variable, and starts where a linear probe says. Coordinates are
    scaled to unit spread, not whitened: that would undo the mixing that is tested.
    """
    spread = train.base.std(0)
    scale = torch.where(spread**2 > _ON_DATA * spread.max() ** 2, spread, torch.inf)
    generator = torch.Generator().manual_seed(seed)
    raw, lean = _probed(train, scale, oblique)
    optimiser = torch.optim.Adam([raw, lean] if oblique else [raw], lr=_RATE)
    best, kept = float("inf"), (raw, lean)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _RATE * (1 - step / steps)
        at = torch.randint(len(train.base), (256,), generator=generator)
        missed = _missed(after, Pairs(*(x[at] for x in train)), raw, lean, scale)
        loss = ((1 + missed).sqrt() - 1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % _LOOKS == 0:
            with torch.no_grad():
                found = float(_missed(after, train, raw, lean, scale).mean())
                if found < best:
                    best, kept = found, (raw.detach().clone(), lean.detach().clone())
    with torch.no_grad():
        return 1 - float(_missed(after, test, *kept, scale).mean())


def _probed(pairs: Pairs, scale: Tensor, oblique: bool) -> tuple[Tensor, Tensor]:
    """R (n, k) and what E adds to it, of linear probes; an orthogonal patch starts at the probes'
    own directions."""
    x = (pairs.base - pairs.base.mean(0)) / scale
    y = pairs.value - pairs.value.mean(0)
    E = torch.linalg.lstsq(x, y, rcond=_RANK, driver="gelsd").solution
    carried = x.T @ (x @ E)
    D = carried @ torch.linalg.inv(E.T @ carried)
    R = torch.linalg.qr(D if oblique else E)[0]
    lean = E @ D.T @ R if oblique else torch.zeros_like(R)
    return R.requires_grad_(True), lean.requires_grad_(oblique)


def _missed(
    after: Callable[[Tensor], Tensor], pairs: Pairs, raw: Tensor, lean: Tensor, scale: Tensor
) -> Tensor:
    """Squared length (N,) of what the patch does not meet, over the mean square change."""
    R = torch.linalg.qr(raw)[0]
    E = R + lean - R @ (R.T @ lean)
    moved = ((pairs.source - pairs.base) / scale) @ E @ R.T
    finite = torch.where(torch.isinf(scale), 0.0, scale)
    found = after(pairs.base + moved * finite) - after(pairs.base)
    return ((found - pairs.change) ** 2).sum(1) / (pairs.change**2).sum(1).mean()


def decoded(states: Tensor, value: Tensor) -> float:
    """R² of a linear probe of `value` (N,) from `states` (N, n), fitted on one half, told on the
    other."""
    half = len(states) // 2
    x = torch.cat((states, torch.ones_like(states[:, :1])), 1)
    weights = torch.linalg.lstsq(x[:half], value[:half, None], rcond=_RANK, driver="gelsd").solution
    rest = value[half:] - (x[half:] @ weights)[:, 0]
    return 1 - float(rest.square().mean() / value[half:].var())
