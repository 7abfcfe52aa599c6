"""Static input and output nonlinearities of rigid bodies: a Hammerstein–Wiener model.

The inputs of the bodies may be functions of those of the law (a motor whose torque saturates or
fades with speed), and its output a function of theirs (an acceleration that is limited):

    a = g(aba(robot, f_q(q, v, tau), f_v(q, v, tau), f_tau(q, v, tau)), q, v, tau)

A static function before a system makes a Hammerstein model, one behind it a Wiener model (Billings
and Fakhouri 1982). No additive force can replace them: where the output is flat, no force explains
it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.contract import LawExtension
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import whole_numbers
from discover.laws.search.variables import vocabulary

_NEAR, _BEYOND = 0.9, 1.5  # half-widths at which `ends_at_edge` looks, beside the edge itself
_IDENTITY = threshold("fit.input_identity")
_FLAT = threshold("fit.flat_beyond_edge")
PLACES = ("q", "v", "tau", "a")
_OUTPUT = "a"


@dataclass(frozen=True, kw_only=True)
class StaticNonlinearity(LawExtension):
    """A static function of one signal between the law and its bodies, a row a joint.

    place   "q", "v", "tau": the input of the bodies that it replaces; "a": their output
    rows    nv SymPy expressions in q1…, v1…, tau1… of the law and, of an output, a1… of the bodies;
            a joint that is not altered has its own symbol
    tables  functions in the rows that have no formula
    """

    label = "static nonlinearities"
    key = "channels"

    place: str
    rows: tuple[sympy.Expr, ...]
    tables: tuple[Table, ...] = ()

    @property
    def signals(self) -> list[sympy.Symbol]:
        """The symbols that the rows replace, one a joint."""
        words = vocabulary(len(self.rows))
        return [words[f"{self.place}{j + 1}"] for j in range(len(self.rows))]

    @property
    def altered(self) -> list[int]:
        """The joints whose row is not their own symbol."""
        return [
            j for j, (x, row) in enumerate(zip(self.signals, self.rows, strict=True)) if x != row
        ]

    @property
    def equations(self) -> list[sympy.Basic]:
        """The bodies' input or the law's output, one equation an altered joint."""
        word = "output" if self.place == _OUTPUT else "input"
        return [
            sympy.Eq(sympy.Symbol(f"{self.signals[j].name}_{word}"), self.rows[j], evaluate=False)
            for j in self.altered
        ]

    @property
    def description(self) -> str:
        """Its equations, numbers rounded."""
        return "; ".join(f"{e.lhs} = {sympy.sstr(_rounded(e.rhs))}" for e in self.equations)

    @property
    def symbol_count(self) -> int:
        """Symbols and operations; rows that differ in the joint only are counted once."""
        texts = {self._anonymous(j) for j in self.altered}
        counts = [sum(1 for _ in sympy.preorder_traversal(t)) for t in texts]
        return sum(counts) + len(self.altered) - len(texts)

    @property
    def number_count(self) -> int:
        """Fitted numbers in the rows and tables."""
        floats = set().union(*(self.rows[j].atoms(sympy.Float) for j in self.altered))
        return len(floats) + sum(t.number_count for t in self.tables)

    def _anonymous(self, j: int) -> sympy.Expr:
        """The row of a joint without the joint's number, where it depends on that joint alone."""
        row = self.rows[j]
        by_group: dict[str, set[sympy.Symbol]] = {g: set() for g in PLACES}
        for s in row.free_symbols:
            by_group[s.name.rstrip("0123456789")].add(s)
        alone = [s for group in by_group.values() if len(group) == 1 for s in group]
        of_joint = {s for s in alone if s.name.endswith(str(j + 1))}
        return row.xreplace({s: sympy.Symbol(s.name.rstrip("0123456789")) for s in of_joint})

    def values(self, q: Tensor, v: Tensor, tau: Tensor, a: Tensor | None = None) -> Tensor:
        """The rows at inputs (n, nv); `a` are the bodies' accelerations."""
        given = {"q": q, "v": v, "tau": tau}
        if a is not None:
            given["a"] = a
        function, names = _compiled(self.rows, self.tables)
        columns = [given[n.rstrip("0123456789")][..., int(n.lstrip("aqtuv")) - 1] for n in names]
        return torch.stack(function(v[..., 0], *columns), -1)

    def inputs(self, q: Tensor, v: Tensor, tau: Tensor) -> dict[str, Tensor]:
        """The input that it replaces (n, nv); none where it acts on the output."""
        return {} if self.place == _OUTPUT else {self.place: self.values(q, v, tau)}

    def output(self, q: Tensor, v: Tensor, tau: Tensor, a: Tensor) -> Tensor:
        """The law's accelerations (n, nv); a itself where it acts on an input."""
        return self.values(q, v, tau, a) if self.place == _OUTPUT else a

    @property
    def rows_by_signal(self) -> dict[str, tuple[sympy.Expr, ...]]:
        """Its rows."""
        return {self.place: self.rows}

    def to_dict(self) -> dict:
        """JSON-able form."""
        return {
            "place": self.place,
            "rows": [sympy.sstr(whole_numbers(row), full_prec=True) for row in self.rows],
            "tables": [t.to_dict() for t in self.tables],
        }

    @classmethod
    def from_dict(cls, record: dict) -> StaticNonlinearity:
        """Read back; expressions are parsed by a closed grammar and never executed."""
        tables = tuple(Table.from_dict(t) for t in record["tables"])
        names, functions = vocabulary(len(record["rows"])), {t.name: t.function for t in tables}
        rows = tuple(parse_expression(text, names, functions) for text in record["rows"])
        return cls(place=record["place"], rows=rows, tables=tables)


def bodies_input(
    extensions: Sequence[LawExtension], q: Tensor, v: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The (q, v, tau) that the bodies are given, each (n, nv)."""
    given = {"q": q, "v": v, "tau": tau}
    for extension in extensions:
        given |= extension.inputs(q, v, tau)
    return given["q"], given["v"], given["tau"]


def law_output(
    extensions: Sequence[LawExtension], q: Tensor, v: Tensor, tau: Tensor, a: Tensor
) -> Tensor:
    """The law's accelerations where those of the bodies are a (n, nv)."""
    for extension in extensions:
        a = extension.output(q, v, tau, a)
    return a


def ends_at_edge(extensions: Sequence[LawExtension], inside: Answers) -> bool:
    """Whether an input function is the identity in the region and becomes flat at its edge.

    That is what a lookup table over the region looks like, whose queries are clipped to it: no law,
    but a trace of where its samples came from. A limit that falls with speed and acts in the region
    at high speed is no such trace, wherever it lies at rest.
    """
    given = {"q": inside.q, "v": inside.v, "tau": inside.tau}
    functions = [x for x in extensions if isinstance(x, StaticNonlinearity)]
    for nonlinearity in (x for x in functions if x.place in given):
        x = given[nonlinearity.place]
        middle, width = 0.5 * (x.amax(0) + x.amin(0)), 0.5 * (x.amax(0) - x.amin(0))
        rest = {n: y.mean(0, keepdim=True) for n, y in given.items()}
        for sign in (1.0, -1.0):
            points = [(middle + sign * s * width)[None] for s in (1.0, _BEYOND)]
            edge, far = [nonlinearity.values(**{**rest, nonlinearity.place: x})[0] for x in points]
            # Wherever the other inputs lie in the region.
            inner = (middle + sign * _NEAR * width).expand_as(x)
            off = (nonlinearity.values(**{**given, nonlinearity.place: inner}) - inner).abs()
            identity = off.amax(0) < _IDENTITY * width
            flat = (far - edge).abs() < _FLAT * (_BEYOND - 1.0) * width
            if bool((identity & flat)[nonlinearity.altered].any()):
                return True
    return False


def has_output_function(extensions: Sequence[LawExtension]) -> bool:
    """Whether any of them acts on the output of the bodies."""
    return any(_OUTPUT in x.rows_by_signal for x in extensions)


@functools.lru_cache(maxsize=128)
def _compiled(rows: tuple[sympy.Expr, ...], tables: tuple[Table, ...]):
    """(torch function of a tensor of the wanted shape and the named columns, their names)."""
    used = sorted(set().union(*(row.free_symbols for row in rows)), key=str)
    function = to_torch(rows, [sympy.Symbol("_like"), *used], {t.name: t for t in tables})
    return function, tuple(s.name for s in used)


def _rounded(expression: sympy.Expr) -> sympy.Expr:
    """The same with its numbers at four digits."""
    return expression.xreplace({x: sympy.Float(float(x), 4) for x in expression.atoms(sympy.Float)})
