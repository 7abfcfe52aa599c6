"""What stands between the bodies and whoever asks them: functions of one variable a joint.

Bodies may be asked with other angles, speeds or forces than those given (a motor whose torque
saturates or fades with speed), and their answer may be altered (an acceleration that is limited):

    a = g(aba(robot, felt q, felt v, felt tau), q, v)

In identification a static function before a system makes a Hammerstein model, one behind it a
Wiener model (Billings and Fakhouri 1982). No force beside the bodies says the same: where an answer
is flat, no force explains it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.tabulated import Table, write_out
from discover.laws.extensions.terms import whole_numbers
from discover.laws.search.variables import vocabulary

PLACES = ("q", "v", "tau", "a")
_ANSWER = "a"
_WORDS = {"q": "felt", "v": "felt", "tau": "felt", "a": "answered"}


@dataclass(frozen=True, kw_only=True)
class StaticNonlinearity:
    """One altered channel of the bodies.

    place   "q", "v", "tau": what the bodies feel in its place; "a": what is answered for them
    rows    nv SymPy expressions in q1…, v1…, tau1… as asked and, of an answer, a1… as the bodies
            have it; a joint that is not altered has its own symbol
    tables  functions in the rows that have no formula
    """

    place: str
    rows: tuple[sympy.Expr, ...]
    tables: tuple[Table, ...] = ()

    @property
    def own(self) -> list[sympy.Symbol]:
        """The symbols that the rows stand for."""
        words = vocabulary(len(self.rows))
        return [words[f"{self.place}{j + 1}"] for j in range(len(self.rows))]

    @property
    def altered(self) -> list[int]:
        """The joints whose row is not their own symbol."""
        return [j for j, (x, row) in enumerate(zip(self.own, self.rows, strict=True)) if x != row]

    @property
    def equations(self) -> list[sympy.Eq]:
        """What is felt or answered, one equation an altered joint."""
        word = _WORDS[self.place]
        return [
            sympy.Eq(sympy.Symbol(f"{self.own[j].name}_{word}"), self.rows[j], evaluate=False)
            for j in self.altered
        ]

    @property
    def in_words(self) -> str:
        """In one line."""
        return "; ".join(f"{e.lhs} = {sympy.sstr(_rounded(e.rhs))}" for e in self.equations)

    @property
    def symbol_count(self) -> int:
        """Symbols and operations: rows that say the same of different joints are paid once."""
        texts = {self._anonymous(j) for j in self.altered}
        counts = [sum(1 for _ in sympy.preorder_traversal(t)) for t in texts]
        return sum(counts) + len(self.altered) - len(texts)

    @property
    def number_count(self) -> int:
        """Fitted numbers in the rows and tables."""
        floats = set().union(*(self.rows[j].atoms(sympy.Float) for j in self.altered))
        return len(floats) + sum(len(t.z) for t in self.tables)

    def _anonymous(self, j: int) -> sympy.Expr:
        """The row of a joint with the joint's number left out, where it is of that joint alone."""
        row = self.rows[j]
        by_group: dict[str, set[sympy.Symbol]] = {g: set() for g in PLACES}
        for s in row.free_symbols:
            by_group[s.name.rstrip("0123456789")].add(s)
        alone = [s for group in by_group.values() if len(group) == 1 for s in group]
        own = {s for s in alone if s.name.endswith(str(j + 1))}
        return row.xreplace({s: sympy.Symbol(s.name.rstrip("0123456789")) for s in own})

    def values(self, q: Tensor, v: Tensor, tau: Tensor, a: Tensor | None = None) -> Tensor:
        """The rows at states (n, nv); `a` is the bodies' own answer."""
        given = {"q": q, "v": v, "tau": tau}
        if a is not None:
            given["a"] = a
        function, names = _compiled(self.rows, self.tables)
        columns = [given[n.rstrip("0123456789")][..., int(n.lstrip("aqtuv")) - 1] for n in names]
        return torch.stack(function(v[..., 0], *columns), -1)

    def written_out(self) -> tuple[sympy.Expr, ...]:
        """The rows with tables written in elementary functions."""
        return tuple(write_out(row, self.tables) for row in self.rows)

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


def felt(
    nonlinearities: Sequence[StaticNonlinearity], q: Tensor, v: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the bodies feel of (q, v, tau), each (n, nv)."""
    asked = {"q": q, "v": v, "tau": tau}
    for nonlinearity in nonlinearities:
        if nonlinearity.place != _ANSWER:
            asked[nonlinearity.place] = nonlinearity.values(q, v, tau)
    return asked["q"], asked["v"], asked["tau"]


def answered(
    nonlinearities: Sequence[StaticNonlinearity], q: Tensor, v: Tensor, tau: Tensor, a: Tensor
) -> Tensor:
    """What is answered where the bodies would answer a (n, nv)."""
    for nonlinearity in nonlinearities:
        if nonlinearity.place == _ANSWER:
            a = nonlinearity.values(q, v, tau, a)
    return a


_NEAR, _BEYOND = 0.9, 1.5  # half-widths
_SAME = 0.05  # of a half-width: what is felt inside is what is asked
_FLAT = 0.3  # of the slope inside, that beyond the edge


def ends_at_edge(nonlinearities: Sequence[StaticNonlinearity], inside: Answers) -> bool:
    """Whether what bodies feel of a joint is what is asked in the region, and stops at its edge.

    So does a table of what the bodies' coefficients are in there: that is no law, but where the
    questions that it was made from came from.
    """
    given = {"q": inside.q, "v": inside.v, "tau": inside.tau}
    for nonlinearity in (c for c in nonlinearities if c.place in given):
        x = given[nonlinearity.place]
        middle, width = 0.5 * (x.amax(0) + x.amin(0)), 0.5 * (x.amax(0) - x.amin(0))
        rest = {n: y.mean(0, keepdim=True) for n, y in given.items()}

        for sign in (1.0, -1.0):
            asked = [(middle + sign * s * width)[None] for s in (_NEAR, 1.0, _BEYOND)]
            near, edge, far = [
                nonlinearity.values(**{**rest, nonlinearity.place: x})[0] for x in asked
            ]
            same = (near - middle - sign * _NEAR * width).abs() < _SAME * width
            flat = (far - edge).abs() < _FLAT * (_BEYOND - 1.0) * width
            if bool((same & flat)[nonlinearity.altered].any()):
                return True
    return False


def alters_answers(nonlinearities: Sequence[StaticNonlinearity]) -> bool:
    """Whether any of them stands behind the bodies."""
    return any(c.place == _ANSWER for c in nonlinearities)


@functools.lru_cache(maxsize=128)
def _compiled(rows: tuple[sympy.Expr, ...], tables: tuple[Table, ...]):
    """(torch function of a tensor of the wanted shape and the named columns, their names)."""
    used = sorted(set().union(*(row.free_symbols for row in rows)), key=str)
    function = to_torch(rows, [sympy.Symbol("_like"), *used], {t.name: t for t in tables})
    return function, tuple(s.name for s in used)


def _rounded(expression: sympy.Expr) -> sympy.Expr:
    """The same with its numbers at four digits."""
    return expression.xreplace({x: sympy.Float(float(x), 4) for x in expression.atoms(sympy.Float)})
