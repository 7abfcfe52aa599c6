"""The few array operations that the recursions need, over torch tensors and over numpy arrays.

A recursion is written once against this narrow set plus ``+ - * /`` and slicing, so that it runs
on batched tensors (the simulator) and on object arrays of expression nodes (formulas and compiled
programs). Numpy calls ``.sin()``, ``.cos()`` and ``.tanh()`` on the elements of an object array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Array = Any  # torch.Tensor | np.ndarray of floats or of expression nodes


class TorchArrays:
    """The operations on torch tensors."""

    sin = staticmethod(torch.sin)
    cos = staticmethod(torch.cos)
    tanh = staticmethod(torch.tanh)

    @staticmethod
    def stack(parts: Sequence[Array], axis: int) -> Array:
        return torch.stack(tuple(parts), dim=axis)

    @staticmethod
    def concat(parts: Sequence[Array], axis: int = 0) -> Array:
        return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), dim=axis)

    @staticmethod
    def take(x: Array, index: Array) -> Array:
        """Rows of ``x`` along its first axis."""
        return torch.index_select(x, 0, index)

    @staticmethod
    def segment_sum(x: Array, index: Array, count: int) -> Array:
        """Sum rows of ``x`` that share an index into ``count`` rows."""
        return x.new_zeros((count, *x.shape[1:])).index_add(0, index, x)

    @staticmethod
    def zeros(shape: Sequence[int], like: Array) -> Array:
        return like.new_zeros(tuple(shape))

    @staticmethod
    def broadcast(x: Array, shape: Sequence[int]) -> Array:
        return x.expand(tuple(shape))


class NumpyArrays:
    """The same operations on numpy arrays, of floats or of expression nodes."""

    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def stack(parts: Sequence[Array], axis: int) -> Array:
        return np.stack(np.broadcast_arrays(*parts), axis=axis)

    @staticmethod
    def concat(parts: Sequence[Array], axis: int = 0) -> Array:
        return np.concatenate(tuple(parts), axis=axis)

    @staticmethod
    def take(x: Array, index: Array) -> Array:
        return x[index]

    @staticmethod
    def segment_sum(x: Array, index: Array, count: int) -> Array:
        # the first row that falls into a segment is taken as it is: adding it to a zero would put
        # a needless sum into a traced program
        rows: list[Array] = [None] * count
        for row, target in zip(x, index, strict=True):
            rows[target] = row if rows[target] is None else rows[target] + row
        empty = np.zeros(x.shape[1:])
        return np.stack([empty if row is None else row for row in rows])

    @staticmethod
    def zeros(shape: Sequence[int], like: Array) -> Array:
        return np.zeros(tuple(shape))

    @staticmethod
    def broadcast(x: Array, shape: Sequence[int]) -> Array:
        return np.broadcast_to(x, tuple(shape))


TORCH = TorchArrays()
NUMPY = NumpyArrays()


def namespace(x: Array) -> Any:
    """The operations that belong to the type of ``x``."""
    return TORCH if isinstance(x, torch.Tensor) else NUMPY
