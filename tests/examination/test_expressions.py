"""Stored formulas are read by a closed grammar; nothing in them is ever executed."""

import pytest
import sympy
import torch

from discover.errors import CheckpointError
from discover.laws.expressions import parse_expression, to_torch

X = sympy.Symbol("x", real=True)


@pytest.mark.parametrize(
    "text",
    ["x*Abs(x)", "sin(2*x) + 3.5e-3", "-x**Rational(3, 2)", "Max(x, 0)", "exp(-x**2)/sqrt(2)"],
)
def test_round_trip(text):
    first = parse_expression(text, {"x": X})
    assert parse_expression(sympy.sstr(first, full_prec=True), {"x": X}) == first


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "open('f')",
        "(lambda: 1)()",
        "[1, 2]",
        "y",
        "x if x else 1",
        "'a'",
        "sin(x",
        "9" * 200_000,
        "(" * 5000 + "x" + ")" * 5000,
    ],
)
def test_anything_but_a_formula_is_refused(text):
    with pytest.raises(CheckpointError):
        parse_expression(text, {"x": X})


def test_torch_function_equals_the_formula():
    expressions = [
        X * sympy.Abs(X),
        sympy.sign(X) * sympy.Abs(X) ** sympy.Rational(3, 2),
        X * 0 + 2,
        X * sympy.tanh(sympy.Rational(21, 10)) + sympy.exp(sympy.sin(3)),
        sympy.sqrt(2) * sympy.log(7) * sympy.Max(X, sympy.erf(1)),
    ]
    # Derivatives of functions with corners and jumps, away from these.
    corners = (sympy.Max(0, X - 1) ** 2, sympy.Max(0, X - 1), sympy.Abs(X) * X, 2 * sympy.sign(X))
    expressions += [sympy.diff(e, X) for e in corners]
    values = torch.linspace(-2, 2, 8, dtype=torch.float64)
    for computed, e in zip(to_torch(expressions, [X])(values), expressions, strict=True):
        expected = [float(e.subs(X, sympy.Float(x))) for x in values.tolist()]
        torch.testing.assert_close(computed, torch.tensor(expected, dtype=torch.float64))
