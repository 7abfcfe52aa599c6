"""All numbers of a law fitted together: bodies, forces, and the constants inside its formulas.

An input/output function and force terms that were found one after the other each carry what the
other lacked when it was found. Numbers in tables stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import whole
from discover.laws.expressions import to_torch
from discover.laws.extensions.io_nonlinearity import PLACES, StaticNonlinearity
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.family import Design
from discover.laws.rigid_body.fit import Fit, design_of
from discover.laws.search.nonlinearities.io_fit import fit_with_nonlinearities
from discover.laws.search.variables import vocabulary
from discover.numerics import batched_jacobian, differences, minimise_squares, solve_or_zero

_STEPS = whole("search.together_steps")
_INPUTS = PLACES[:3]


def fitted_together(law: Fit, answers: Answers) -> Fit:
    """The law with bodies, coefficients and constants of formulas at their least squares, started
    from what they are; `law` itself where that comes no closer."""
    problem = _Together(law, answers)
    if not problem.constants:
        return law
    with torch.no_grad():
        x = minimise_squares(problem.residual, problem.jacobian, problem.start, _STEPS)
        fitted = problem.law(x)
    again = fit_with_nonlinearities(fitted.family, answers, fitted.theta, fitted)
    better = math.isfinite(again.error) and again.error < law.error
    return again if better else law


def plain(term: Term) -> bool:
    """Whether a term is a function of q, v and tau alone."""
    names = set().union(*(row.free_symbols for row in term.shape))
    groups = {s.name.rstrip("0123456789") for s in names}
    return groups <= set(_INPUTS) and not term.points


@dataclass(frozen=True)
class _Rows:
    """Rows of a function or a term, with their constants as arguments: `of` the problem's."""

    rows: tuple[sympy.Expr, ...]
    constants: tuple[sympy.Symbol, ...]
    values: tuple[float, ...]
    call: object

    @classmethod
    def of(cls, rows: tuple[sympy.Expr, ...], tables: tuple, label: str, nv: int) -> _Rows:
        floats = sorted(set().union(*(row.atoms(sympy.Float) for row in rows)), key=float)
        names = tuple(sympy.Symbol(f"{label}_{i}", real=True) for i in range(len(floats)))
        open_rows = tuple(row.xreplace(dict(zip(floats, names, strict=True))) for row in rows)
        words = vocabulary(nv)
        inputs = [words[f"{g}{j + 1}"] for g in PLACES for j in range(nv)]
        call = to_torch(
            open_rows,
            [sympy.Symbol("_like"), *inputs, *names],
            {t.name: t for t in tables},
        )
        return cls(open_rows, names, tuple(float(x) for x in floats), call)

    def __call__(self, given: dict[str, Tensor], constants: Tensor) -> Tensor:
        columns = [given[g][..., j] for g in PLACES for j in range(len(self.rows))]
        out = self.call(columns[0], *columns, *constants.unbind())  # type: ignore[operator]
        return torch.stack(out, -1)

    def written(self, constants: Tensor) -> tuple[sympy.Expr, ...]:
        """The rows with these numbers."""
        numbers = [sympy.Float(float(x), 17) for x in constants]
        return tuple(
            row.xreplace(dict(zip(self.constants, numbers, strict=True))) for row in self.rows
        )


class _Together:
    """Least squares of a law in its bodies and its terms that are not plain (`theta`), the
    coefficients of plain terms, and the constants of functions and plain terms, in this order."""

    def __init__(self, law: Fit, answers: Answers):
        self.fit, self.answers = law, answers
        nv, family = law.family.robot.nv, law.family
        self.functions = [x for x in family.nonlinearities if isinstance(x, StaticNonlinearity)]
        self.k = family.basis.shape[1]
        self.moved = [plain(t) for t in family.terms]
        self.beside = [t for t, m in zip(family.terms, self.moved, strict=True) if m]
        others = [t for t, m in zip(family.terms, self.moved, strict=True) if not m]
        self.family = family.bare.with_terms(others)
        self.rows = [_Rows.of(x.rows, x.tables, f"k{i}", nv) for i, x in enumerate(self.functions)]
        self.term_rows = [
            _Rows.of(t.shape, t.tables, f"c{i}", nv) for i, t in enumerate(self.beside)
        ]
        parts = [*self.rows, *self.term_rows]
        self.constants = [x for part in parts for x in part.values]
        self.counts = [len(part.values) for part in parts]
        at = torch.tensor([False] * self.k + self.moved)
        self.start = torch.cat(
            [law.theta[~at], law.theta[at], law.theta.new_tensor(self.constants)]
        )
        self.given = {"q": answers.q, "v": answers.v, "tau": answers.tau}
        self.given["a"] = torch.zeros_like(answers.v)
        self.still = all(x.place in ("tau", "a") for x in self.functions)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        theta, c, constants = x.split([self.family.size, len(self.beside), len(self.constants)])
        return theta, c, list(constants.split(self.counts))

    def _felt(self, x: Tensor) -> tuple[dict[str, Tensor], Design]:
        """The bodies' inputs, tau less the plain terms, and the design there."""
        _, c, constants = self._split(x)
        felt = dict(self.given)
        for function, rows, k in zip(self.functions, self.rows, constants, strict=False):
            if function.place != "a":
                felt[function.place] = rows(self.given, k)
        if self.still:
            design = design_of(self.family, self.answers)
        else:
            bodies = self.family.rigid_design(felt["q"], felt["v"])
            design = self.family.design(bodies, felt["q"], felt["v"], felt["tau"])
        forces = torch.zeros_like(felt["tau"])
        of_terms = constants[len(self.functions) :]
        for each, rows, k in zip(c, self.term_rows, of_terms, strict=True):
            forces = forces + each * rows(felt, k)
        return {**felt, "tau": felt["tau"] - forces}, design

    def _out(self, a: Tensor, x: Tensor) -> Tensor:
        *_, constants = self._split(x)
        for function, rows, k in zip(self.functions, self.rows, constants, strict=False):
            if function.place == "a":
                a = rows({**self.given, "a": a}, k)
        return a

    def residual(self, x: Tensor) -> Tensor:
        """(a_model - a_law) in units of the scale (n, nv)."""
        felt, design = self._felt(x)
        a = design.acceleration(self._split(x)[0], felt["tau"])
        return (self.answers.a - self._out(a, x)) / self.fit.scale

    def jacobian(self, x: Tensor) -> Tensor:
        """d(residual) / d(x) (n, nv, p)."""
        theta, p = self._split(x)[0], self.family.size
        felt, design = self._felt(x)
        a = torch.nan_to_num(design.acceleration(theta, felt["tau"]))
        slopes = solve_or_zero(design.inertia(theta), design.columns(a))
        if any(f.place == "a" for f in self.functions):
            slopes = batched_jacobian(lambda y: self._out(y, x), a) @ slopes
        rest = differences(lambda y: self.residual(torch.cat([x[:p], y])), x[p:])
        columns = [torch.nan_to_num(y) for y in rest]
        return torch.cat([slopes / self.fit.scale[:, None], torch.stack(columns, -1)], -1)

    def law(self, x: Tensor) -> Fit:
        """The law with these numbers."""
        theta, c, constants = self._split(x)
        family = self.fit.family
        written = [rows.written(k) for rows, k in zip(self.rows, constants, strict=False)]
        functions = iter(written)
        nonlinearities = tuple(
            replace(f, rows=next(functions)) if isinstance(f, StaticNonlinearity) else f
            for f in family.nonlinearities
        )
        shapes = iter(
            rows.written(k)
            for rows, k in zip(self.term_rows, constants[len(self.rows) :], strict=True)
        )
        terms = [
            replace(t, shape=next(shapes)) if m else t
            for t, m in zip(family.terms, self.moved, strict=True)
        ]
        full = x.new_zeros(self.k + len(terms))
        at = torch.tensor([False] * self.k + self.moved)
        full[~at], full[at] = theta, c
        family = replace(family, nonlinearities=nonlinearities, terms=tuple(terms))
        return replace(self.fit, family=family, theta=full)
