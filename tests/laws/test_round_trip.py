"""A law read as SymPy, run as torch, and made a law again: tables and points included."""

import numpy as np
import pytest
import sympy
import torch

import kinematics
from discover.laws import ConstantLaw, RigidBodyLaw
from discover.laws.expressions import parse_expression
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import Term, symbols
from discover.laws.search.basis_functions import basis_functions
from discover.laws.search.variables import Point, vocabulary

ROBOT = kinematics.load("double_pendulum")
S, W = symbols(2), vocabulary(2, 1)
TABLE = Table("phi1", (-1.0, -0.2, 0.1, 0.8, 2.0), (0.3, -0.4, 0.2, 1.0, -1.0))
PLACE = Point(1, (0.1, 0.0, -0.4), flow=(0.5, 0.0, 0.0))


@pytest.fixture(scope="module")
def law():
    pull = tuple(sum(W[f"j{x}1_{i}"] * W[f"d{x}1"] for x in "xyz") for i in (1, 2))
    phi = TABLE.function(S["v"][0]) * sympy.cos(S["q"][1])
    extra = (
        Term(name="a", shape=(phi, sympy.Integer(0)), coefficient=0.7, tables=(TABLE,)),
        Term(name="b", shape=pull, coefficient=0.2, points=(PLACE,)),
    )
    return RigidBodyLaw(robot=ROBOT, extensions=extra, size=9)


def test_sympy_and_back(law):
    assert "phi1(v1)" in str(law.terms)
    columns = [t.expression for t in law.extra]
    again = RigidBodyLaw.from_sympy(law.robot, columns, (PLACE,), (TABLE,))
    x = torch.randn(3, 40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again(*x), law(*x), rtol=1e-12, atol=1e-12)
    once_more = [t.expression for t in again.extra]
    assert [sympy.simplify(a - b) for a, b in zip(columns, once_more, strict=True)] == [
        sympy.zeros(2, 1)
    ] * 2


def test_whole_numbers_are_states_too(law):
    whole = torch.tensor([[1, 2], [-1, 0]])
    for one in (law, ConstantLaw(values=(1.0, 2.0))):
        expected = one(*[whole.double()] * 3)
        for given in (whole, whole.numpy(), whole.int()):
            answer = torch.as_tensor(one(given, given, given))
            torch.testing.assert_close(answer, expected)
        mixed = one(whole, whole.float(), whole)
        assert mixed.dtype == torch.float64  # whole numbers are float64, mixed ones the finer


def test_the_torch_text_answers_as_the_law(law):
    x = torch.randn(3, 10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    compiled = law.compile()(*(np.asarray(y) for y in x))
    torch.testing.assert_close(torch.as_tensor(compiled), law(*x), rtol=1e-9, atol=1e-9)
    space: dict = {}
    exec(law.export("torch"), space)  # our own text
    function = next(f for n, f in space.items() if callable(f) and n == "law")
    torch.testing.assert_close(function(*x), law(*x), rtol=1e-9, atol=1e-9)


def test_words_that_a_law_has_not_are_refused_in_one_line():
    stranger = sympy.Matrix([sympy.Symbol("banana"), 0])
    with pytest.raises(ValueError, match="banana"):
        RigidBodyLaw.from_sympy(ROBOT, [stranger])


def test_what_the_search_writes_can_be_stored_and_read():
    """Every basis function as a formula: text and back, by the closed parser."""
    u = sympy.Symbol("v1", real=True)
    for function in basis_functions():
        formula = function.expression(u, [sympy.Float(0.7)] * len(function.grids))
        again = parse_expression(sympy.sstr(formula, full_prec=True), {"v1": u})
        gap = [abs(complex((formula - again).subs(u, x).evalf())) for x in (0.3, 1.7)]
        assert max(gap) < 1e-12, function.name
