"""Units, sums and powers are taken out; what is left is found and its numbers are made round."""

import numpy as np
import pytest
import sympy

from discover.laws.dimensions import reductions
from discover.laws.formula_search import find_formula, polish, reduce
from discover.laws.symmetries import joined, predictability

RNG = np.random.default_rng(5)


def test_a_pendulum_has_one_group():
    # period [s] of length [m], gravity [m/s²] and mass [kg]
    found = reductions([(1, 0, 0), (1, -2, 0), (0, 0, 1)], (0, 1, 0))
    assert len(found) == 1
    assert len(found[0].groups) == 0
    carrier, _ = found[0].expressions(sympy.symbols("l g m", positive=True))
    assert sympy.simplify(carrier**2 - sympy.Symbol("l", positive=True)
                          / sympy.Symbol("g", positive=True)) == 0  # fmt: skip
    assert reductions([(1, 0), (1, 0)], (0, 1)) == []


def test_groups_have_no_units():
    units = np.array([(1, -1, 0), (1, 0, 0), (0, 1, 0), (2, 0, 1), (0, 0, 1)])
    for found in reductions([tuple(map(int, u)) for u in units], (1, -1, 1)):
        assert not (found.groups @ units).any()
        np.testing.assert_allclose(found.carrier @ units, (1, -1, 1))


def test_differences_are_noticed_and_others_are_not():
    x = RNG.uniform(1, 3, (90, 3))
    a, b, c = sympy.symbols("a b c", positive=True)
    y = np.cos(x[:, 0] - x[:, 2]) * x[:, 1] + 3
    _, names, _ = joined(x, y, (a, b, c), [[0, 1, 2]])
    assert set(names) in ({a - c, b}, {c - a, b})
    assert predictability(x, y)[0] < 0.1 < predictability(x[:, 1:2], y)[0]


def test_powers_quotients_and_units_leave_one_variable():
    t, s = sympy.symbols("t s", positive=True)
    x = RNG.uniform(1, 3, (90, 2))
    y = np.exp(-((x[:, 0] / x[:, 1]) ** 2)) / x[:, 1]
    left = reduce(x, y, (t, s), None, None)[0]
    assert left.variables.shape[1] == 1
    assert left.expressions[0] in (t / s, s / t)


@pytest.mark.slow
def test_a_formula_of_five_variables_comes_out_exact():
    names = sympy.symbols("n m g h T", positive=True)
    x = RNG.uniform(1, 3, (90, 5))
    y = x[:, 0] * np.exp(-x[:, 1] * x[:, 2] * x[:, 3] / x[:, 4])
    units = [(0, 0, 1), (1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, 1, 0)]
    front = find_formula(x, y, names, units=units, target=(0, 0, 1))
    best = front.best(floor=1e-7)
    n, m, g, h, T = names
    ratio = best.expression / (n * sympy.exp(-m * g * h / T))
    for row in x[:3]:
        assert float(ratio.subs(dict(zip(names, row, strict=True)))) == pytest.approx(1, abs=1e-6)


def test_numbers_are_made_round_only_where_that_is_free():
    z = sympy.Symbol("z", real=True)
    x = RNG.uniform(-1, 1, (100, 1))
    start = sympy.Float(1.98) * sympy.sin(sympy.Float(2.93) * z) + sympy.Float(0.41)
    found, error = polish(start, x, 2 * np.sin(3 * x[:, 0]) + 0.4137, [z])
    assert found.atoms(sympy.Integer) >= {sympy.Integer(2), sympy.Integer(3)}
    assert [round(float(f), 6) for f in found.atoms(sympy.Float)] == [0.4137]
    assert error < 1e-9
