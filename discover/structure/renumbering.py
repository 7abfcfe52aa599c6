"""A model seen in another numbering of its coordinates: parents before children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from discover.region import GROUPS, Region


class Renumbered(torch.nn.Module):
    """Coordinate k of this model is coordinate order[k] of the one it wraps."""

    def __init__(self, model: Callable, order: Sequence[int]):
        super().__init__()
        self.model = model  # a module brings its parameters along, and so its precision
        self.order = list(order)
        self.back = [self.order.index(j) for j in range(len(self.order))]

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Any:
        """The wrapped model's answer, accelerations or (q_next, v_next)."""
        out = self.model(*(x[..., self.back] for x in (q, v, tau)))
        if isinstance(out, (tuple, list)):
            return tuple(x[..., self.order] for x in out)
        return out[..., self.order]


def renumbered(
    model: Callable, region: Region, data: tuple | None, order: Sequence[int]
) -> tuple[Callable, Region, tuple | None]:
    """Model, region and training data in the new numbering; the same objects where it is none."""
    order = list(order)
    if order == list(range(len(order))):
        return model, region, data
    box = region.resolve(len(order))
    sides = {g: tuple(x[order] for x in getattr(box, g)) for g in GROUPS}
    moved = None if data is None else tuple(torch.as_tensor(x)[..., order] for x in data)
    return Renumbered(model, order), Region(**sides), moved
