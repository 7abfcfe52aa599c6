"""The interface of a law: it answers like a model, and it can be read.

A law is a `Dynamics`. It states its family, where it holds and its description length, and exports
itself as SymPy, source text or a compiled program.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.judgement.thresholds import whole
from discover.records import Stored
from kinematics.recursion.inputs import as_array

# Description length [nats]: log(ALPHABET_SIZE) a symbol, ½ log(EFFECTIVE_SAMPLES) a fitted number.
EFFECTIVE_SAMPLES = whole("search.effective_samples")
ALPHABET_SIZE = whole("search.alphabet_size")


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """bits: the description length of the law; operations: scalar operations for one answer."""

    bits: float
    operations: dict[str, int]

    def __str__(self) -> str:
        counts = " + ".join(f"{n} {kind}" for kind, n in self.operations.items() if n)
        return f"{self.bits:.0f} bits, {counts} a state"


@dataclass(frozen=True, kw_only=True)
class Domain(Stored):
    """Where a law describes the model: half-widths of the region along each axis.

    reach["q"] = 1.4 means that up to 1.4 half-widths in q, with v and tau inside the region, the
    relative error of the law on the model stays below `tolerance`. `at_least` names the axes along
    which no end was found within the distance that was searched.
    """

    reach: dict[str, float]
    tolerance: float
    at_least: tuple[str, ...] = ()


class Law(ABC):
    """An executable law, distilled from a model.

    family  in words: "constant", "rigid body", "rigid body + terms" …
    domain  where it describes the model; None where that was not measured
    """

    family: str
    domain: Domain | None

    @abstractmethod
    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Joint accelerations (…, nv) [rad/s² | m/s²]."""

    @abstractmethod
    def to_dict(self) -> dict:
        """JSON-able form from which the same law can be built, bit for bit."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """The law in one line of plain text, numbers rounded."""

    @property
    @abstractmethod
    def complexity(self) -> Complexity:
        """What it costs to write the law down and to evaluate it."""


def on_numbers(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of tensors that takes whatever holds numbers, as the functions of `kinematics` do:
    whole numbers are read as float64, mixed precisions as the finer one. NumPy arrays without
    tensors beside them give NumPy arrays."""

    @functools.wraps(method)
    def on(self: Any, *arrays: Any, **options: Any) -> Any:
        tensors = [as_array(f"argument {k + 1}", x) for k, x in enumerate(arrays)]
        if len({x.dtype for x in tensors}) > 1 or len({x.device for x in tensors}) > 1:
            dtype = functools.reduce(torch.promote_types, (x.dtype for x in tensors))
            device = next((x.device for x in arrays if isinstance(x, Tensor)), tensors[0].device)
            tensors = [x.to(dtype=dtype, device=device) for x in tensors]
        answer = method(self, *tensors, **options)
        plain = any(isinstance(x, np.ndarray) for x in arrays)
        if not plain or any(isinstance(x, Tensor) for x in arrays):
            return answer
        if isinstance(answer, tuple):
            return tuple(x.detach().numpy() for x in answer)
        return answer.detach().numpy()

    return on


REPR_WIDTH = 160  # characters of a law's repr, about two lines of a terminal


def shortened(name: str, content: str) -> str:
    """`name(content)` for a repr: one line, cut to REPR_WIDTH characters."""
    content = " ".join(content.split())
    room = REPR_WIDTH - len(name) - 2
    return f"{name}({content if len(content) <= room else content[: room - 2] + ' …'})"
