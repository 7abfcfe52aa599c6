"""The constant law: the same accelerations at every state and joint force."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import sympy
import torch
from torch import Tensor

from discover.errors import LawError
from discover.laws.contract import (
    EFFECTIVE_SAMPLES,
    Complexity,
    Domain,
    Law,
    on_numbers,
    shortened,
)
from discover.laws.export import latex
from discover.laws.export.formulas import TARGETS
from kinematics.programs import Graph, Program, compile_trace, make_program


@dataclass(frozen=True, kw_only=True, repr=False)
class ConstantLaw(Law):
    """a = values [rad/s² | m/s²], one number a velocity coordinate."""

    values: tuple[float, ...]
    domain: Domain | None = None
    family = "constant"

    @on_numbers
    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Joint accelerations (…, nv) of anything that holds numbers; see `on_numbers`."""
        return torch.tensor(self.values, dtype=v.dtype, device=v.device).expand(v.shape).clone()

    predict = __call__

    def within(self, domain: Domain) -> ConstantLaw:
        """The same law with its domain stated."""
        return replace(self, domain=domain)

    @property
    def formula(self) -> str:
        """Its accelerations, rounded."""
        return f"a = ({', '.join(f'{x:.4g}' for x in self.values)})"

    def __repr__(self) -> str:
        return shortened("ConstantLaw", self.formula)

    @property
    def terms(self) -> list[sympy.Eq]:
        """One equation a joint."""
        return [
            sympy.Eq(sympy.Symbol(f"a{j + 1}"), sympy.Float(x) if x else 0, evaluate=False)
            for j, x in enumerate(self.values)
        ]

    @functools.cached_property
    def complexity(self) -> Complexity:
        """½ log(EFFECTIVE_SAMPLES) for every number that is not zero."""
        numbers = sum(1 for x in self.values if x)
        bits = 0.5 * numbers * math.log2(EFFECTIVE_SAMPLES)
        return Complexity(bits=bits, operations=self.program.operations)

    @property
    def program(self) -> Program:
        """The law as a straight-line program."""
        graph = Graph()
        ports = {name: graph.inputs(name, len(self.values)) for name in ("q", "v", "tau")}
        return make_program("law", graph, ports, [graph.const(x) for x in self.values])

    def export(self, target: str) -> str:
        """The law as text: "sympy", "python", "torch", "jax", "c" or "latex". Raises LawError."""
        if target not in TARGETS:
            raise LawError(f"expected a target of {', '.join(TARGETS)}, found {target!r}")
        if target == "latex":
            return latex.aligned("a", sympy.Matrix(self.values))
        if target == "sympy":
            return f"from sympy import *\n\na = Matrix({list(self.values)})\n"
        return self.program.source(target)

    def compile(self, dtype: str = "float64") -> Any:
        """The law as a compiled program (q, v, tau) -> a on numpy arrays."""
        return compile_trace(self.program, dtype=dtype)

    def to_dict(self) -> dict:
        """JSON-able form; read back by `discover.laws.from_dict`."""
        domain = None if self.domain is None else self.domain.to_dict()
        return {"kind": "constant", "values": list(self.values), "domain": domain}

    @classmethod
    def from_dict(cls, record: dict) -> ConstantLaw:
        """The inverse of `to_dict`."""
        domain = record["domain"]
        return cls(
            values=tuple(float(x) for x in record["values"]),
            domain=None if domain is None else Domain.from_dict(domain),
        )

    def _repr_markdown_(self) -> str:
        return f"**constant**\n\n${latex.aligned('a', sympy.Matrix(self.values))}$"
