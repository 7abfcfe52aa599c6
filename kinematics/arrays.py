"""The few array operations that the recursions need, over torch tensors and over numpy arrays.

A recursion is written once against this narrow set plus ``+ - * /`` and slicing, so that it runs
on batched tensors (the simulator) and on object arrays of expression nodes (formulas and compiled
programs). Numpy calls ``.sin()``, ``.cos()`` and ``.tanh()`` on the elements of an object array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import torch

_CONSTANTS: dict[Any, torch.Tensor] = {}

Array = Any  # torch.Tensor | np.ndarray of floats or of expression nodes


def untransformed() -> Any:
    """A context in which torch.func transforms are off.

    Constants that are kept must be made in it: inside vmap or nested jacfwd even a conversion of a
    plain tensor is wrapped for the transform, and what is wrapped must not outlive it.
    """
    return torch._C._DisableFuncTorch()


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
    def constant(name: str, value: np.ndarray, like: Array) -> Array:
        """A named constant of the algebra as an array like ``like``; conversions are kept."""
        key = (name, like.dtype, like.device)
        if key in _CONSTANTS:
            return _CONSTANTS[key]
        if torch.compiler.is_compiling():
            return torch.as_tensor(value).to(dtype=like.dtype, device=like.device)
        with untransformed():
            made = torch.as_tensor(value).to(dtype=like.dtype, device=like.device)
        _CONSTANTS[key] = made
        return made

    @staticmethod
    def segment_add(base: Array, index: Array, x: Array) -> Array:
        """``base`` with each row of ``x`` added to the row that its index names."""
        return base.expand(*base.shape[:-1], x.shape[-1]).index_add(0, index, x)

    @staticmethod
    def linear(matrix: Array, x: Array) -> Array:
        """Constant matrices (n or 1, m, k) times x (n or 1, k, ..., B), over axis 1."""
        size, count = matrix.shape[0], x.shape[0]
        if size < count:
            matrix = matrix.expand(count, -1, -1)
        elif count < size:
            x = x.expand(size, *x.shape[1:])
        if x.ndim == 3:
            return torch.bmm(matrix, x)
        out = torch.bmm(matrix, x.flatten(2))
        return out.view(*out.shape[:2], *x.shape[2:])

    @staticmethod
    def linear_add(base: Array, matrix: Array, x: Array) -> Array:
        """base + matrix x, for (n, m, 1 or B), (n, m, k) and (n, k, B)."""
        if matrix.shape[0] < x.shape[0]:
            matrix = matrix.expand(x.shape[0], -1, -1)
        return torch.baddbmm(base, matrix, x)

    @staticmethod
    def add_rows(x: Array, where: slice, y: Array) -> Array:
        """x with y added to some of its components; ``x`` is used up."""
        x[:, where] += y
        return x

    @staticmethod
    def dense(x: Array) -> bool:
        """Whether multiplying by the zeros of a constant matrix costs next to nothing."""
        return True

    @staticmethod
    def split(x: Array, sizes: Sequence[int]) -> Sequence[Array]:
        """Consecutive rows, ``sizes`` at a time."""
        return (x,) if len(sizes) == 1 else torch.split(x, list(sizes))

    @staticmethod
    def solve(matrix: Array, x: Array) -> Array:
        """H⁻¹ x (n, B) for symmetric H (n, n, B) and x (n, B)."""
        return torch.linalg.solve(matrix.movedim(-1, 0), x.T).T

    @staticmethod
    def add_product(base: Array, a: Array, b: Array) -> Array:
        return torch.addcmul(base, a, b)

    @staticmethod
    def subtract_product(base: Array, a: Array, b: Array) -> Array:
        return torch.addcmul(base, a, b, value=-1)

    @staticmethod
    def zeros(shape: Sequence[int], like: Array) -> Array:
        return like.new_zeros(tuple(shape))

    @staticmethod
    def broadcast(x: Array, shape: Sequence[int]) -> Array:
        return x.expand(tuple(shape))

    @staticmethod
    def repeat(x: Array, count: int) -> Array:
        """(n, 1, B) to (n, count, B)."""
        return x.expand(x.shape[0], count, x.shape[2])


class NumpyArrays:
    """The same operations on numpy arrays, of floats or of expression nodes."""

    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def stack(parts: Sequence[Array], axis: int) -> Array:
        shape = parts[0].shape
        if any(part.shape != shape for part in parts):
            parts = np.broadcast_arrays(*parts)
        # np.stack and np.broadcast_to cost more than the whole of a small recursion's arithmetic
        at = (*(slice(None),) * axis, None)
        return np.concatenate([part[at] for part in parts], axis=axis)

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
    def constant(name: str, value: np.ndarray, like: Array) -> Array:
        return value

    @staticmethod
    def segment_add(base: Array, index: Array, x: Array) -> Array:
        rows = list(np.broadcast_to(base, (*base.shape[:-1], x.shape[-1])))
        for row, target in zip(x, index, strict=True):
            rows[target] = rows[target] + row
        return np.stack(rows)

    @staticmethod
    def linear(matrix: Array, x: Array) -> Array:
        if not x.dtype.hasobject:
            if x.ndim == 3:
                return matrix @ x
            flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
            out = np.matmul(matrix, flat)
            return out.reshape(*out.shape[:2], *x.shape[2:])
        # zeros and ones of the constants never reach the expression nodes
        count = max(matrix.shape[0], x.shape[0])
        out = np.empty((count, matrix.shape[1], *x.shape[2:]), dtype=x.dtype)
        for n in range(count):
            rows, values = matrix[n % matrix.shape[0]], x[n % x.shape[0]]
            for i, row in enumerate(rows):
                out[n, i] = _combination(row, values)
        return out

    @staticmethod
    def linear_add(base: Array, matrix: Array, x: Array) -> Array:
        return base + NumpyArrays.linear(matrix, x)

    @staticmethod
    def add_rows(x: Array, where: slice, y: Array) -> Array:
        x = x.astype(np.result_type(x, y)) if x.dtype != y.dtype else x
        x[:, where] = x[:, where] + y
        return x

    @staticmethod
    def dense(x: Array) -> bool:
        return x.dtype != object

    @staticmethod
    def split(x: Array, sizes: Sequence[int]) -> Sequence[Array]:
        at, out = 0, []
        for size in sizes:
            out.append(x[at : at + size])
            at += size
        return out

    @staticmethod
    def solve(matrix: Array, x: Array) -> Array:
        # elimination from the last coordinate, which keeps a tree's zeros
        rows, right = [list(row) for row in matrix], list(x)
        n = len(rows)
        for k in reversed(range(n)):
            for i in range(k):
                factor = rows[i][k] / rows[k][k]
                right[i] = right[i] - factor * right[k]
                for j in range(k):
                    rows[i][j] = rows[i][j] - factor * rows[k][j]
        for k in range(n):
            for j in range(k):
                right[k] = right[k] - rows[k][j] * right[j]
            right[k] = right[k] / rows[k][k]
        return np.stack(right)

    @staticmethod
    def add_product(base: Array, a: Array, b: Array) -> Array:
        return base + a * b

    @staticmethod
    def subtract_product(base: Array, a: Array, b: Array) -> Array:
        return base - a * b

    @staticmethod
    def zeros(shape: Sequence[int], like: Array) -> Array:
        return np.zeros(tuple(shape))

    @staticmethod
    def broadcast(x: Array, shape: Sequence[int]) -> Array:
        return x if x.shape == tuple(shape) else np.broadcast_to(x, tuple(shape))

    @staticmethod
    def repeat(x: Array, count: int) -> Array:
        return x if count == 1 else x.repeat(count, axis=1)


def _combination(row: Array, values: Array) -> Array:
    total = None
    for k in np.flatnonzero(row):
        c, x = row[k], values[k]
        if total is None:
            total = x if c == 1 else (-x if c == -1 else c * x)
        elif abs(c) == 1:
            total = total + x if c == 1 else total - x
        else:
            total = total + c * x
    return np.zeros(values.shape[1:]) if total is None else total


TORCH = TorchArrays()
NUMPY = NumpyArrays()


def namespace(x: Array) -> Any:
    """The operations that belong to the type of ``x``."""
    return NUMPY if isinstance(x, np.ndarray) else TORCH


T = TypeVar("T")


class lazy(Generic[T]):
    """A property computed on first use and kept: functools.cached_property without its lock, which
    torch.compile cannot trace."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy[T]: ...
    @overload
    def __get__(self, instance: Any, owner: Any = None) -> T: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = self.function(instance)
        instance.__dict__[self.name] = value
        return value
