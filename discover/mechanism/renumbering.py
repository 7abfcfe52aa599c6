"""A model seen in another numbering of its coordinates: parents before children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.region import GROUPS, Region
from discover.mechanism.tree.floating import BASE_Q, BASE_V


class Renumbered(torch.nn.Module):
    """Coordinate k of this model is coordinate order[k] of the one it wraps."""

    def __init__(self, model: Callable, order: Sequence[int]):
        super().__init__()
        self.model = model  # a module brings its parameters along, and so its precision
        self.order = list(order)
        self.back = [self.order.index(j) for j in range(len(self.order))]

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Any:
        """The wrapped model's answer, accelerations or (q_next, v_next)."""
        back = configuration_order(self.back, q.shape[-1])
        out = self.model(q[..., back], v[..., self.back], tau[..., self.back])
        if isinstance(out, (tuple, list)):
            q_next, v_next = out
            return q_next[..., configuration_order(self.order, q.shape[-1])], v_next[
                ..., self.order
            ]
        return out[..., self.order]


def configuration_order(order: Sequence[int], nq: int) -> list[int]:
    """The order of the configuration's numbers; the seven of a free base stay the first."""
    more = nq - len(order)
    if not more:
        return list(order)
    return [*range(BASE_Q), *(j + more for j in order[BASE_V:])]


def renumbered(
    model: Callable, region: Region, data: tuple | None, order: Sequence[int]
) -> tuple[Callable, Region, tuple | None]:
    """Model, region and training data in the new numbering; the same objects where it is none."""
    order = list(order)
    if order == list(range(len(order))):
        return model, region, data
    box = region.resolve(len(order))
    sides = {g: tuple(x[order] for x in getattr(box, g)) for g in GROUPS}
    moved = None
    if data is not None:
        columns = [torch.as_tensor(x) for x in data]
        first = columns[0][..., configuration_order(order, columns[0].shape[-1])]
        moved = (first, *(x[..., order] for x in columns[1:]))
    return Renumbered(model, order), Region(**sides), moved
