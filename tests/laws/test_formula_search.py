"""Units, sums and powers are taken out; what is left is found and its numbers are made round."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sympy
from more_equations import FIRST, SECOND, unit, variables

from discover.laws.regression.beam_search import Columns
from discover.laws.regression.dimensional_analysis import reductions
from discover.laws.regression.expression_library import expression_library
from discover.laws.regression.formula_constants import optimise_constants
from discover.laws.regression.formula_search import find_formula
from discover.laws.regression.variable_reduction import predictability, reduce, sums_and_differences
from discover.laws.search.engine_basis import basis_function_of

RNG = np.random.default_rng(5)


def test_a_pendulum_has_one_group():
    # period [s] of length [m], gravity [m/s²] and mass [kg]
    found = reductions([(1, 0, 0), (1, -2, 0), (0, 0, 1)], (0, 1, 0))
    assert len(found) == 1
    assert len(found[0].groups) == 0
    prefactor, _ = found[0].expressions(sympy.symbols("l g m", positive=True))
    assert sympy.simplify(prefactor**2 - sympy.Symbol("l", positive=True)
                          / sympy.Symbol("g", positive=True)) == 0  # fmt: skip
    assert reductions([(1, 0), (1, 0)], (0, 1)) == []


def test_groups_have_no_units():
    units = np.array([(1, -1, 0), (1, 0, 0), (0, 1, 0), (2, 0, 1), (0, 0, 1)])
    for found in reductions([tuple(map(int, u)) for u in units], (1, -1, 1)):
        assert not (found.groups @ units).any()
        np.testing.assert_allclose(found.prefactor @ units, (1, -1, 1))


def test_differences_are_noticed_and_others_are_not():
    x = RNG.uniform(1, 3, (90, 3))
    a, b, c = sympy.symbols("a b c", positive=True)
    y = np.cos(x[:, 0] - x[:, 2]) * x[:, 1] + 3
    _, names, _ = sums_and_differences(x, y, (a, b, c), [[0, 1, 2]])
    assert set(names) in ({a - c, b}, {c - a, b})
    assert predictability(x, y)[0] < 0.1 < predictability(x[:, 1:2], y)[0]


def test_powers_quotients_and_units_leave_one_variable():
    t, s = sympy.symbols("t s", positive=True)
    x = RNG.uniform(1, 3, (90, 2))
    y = np.exp(-((x[:, 0] / x[:, 1]) ** 2)) / x[:, 1]
    left = reduce(x, y, (t, s), None, None)[0]
    assert left.variables.shape[1] == 1
    assert left.expressions[0] in (t / s, s / t)


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
    found, error = optimise_constants(start, x, 2 * np.sin(3 * x[:, 0]) + 0.4137, [z])
    assert found.atoms(sympy.Integer) >= {sympy.Integer(2), sympy.Integer(3)}
    assert [round(float(f), 6) for f in found.atoms(sympy.Float)] == [0.4137]
    assert error < 1e-9


def test_pairs_are_found_of_which_neither_explains_much_alone():
    A = RNG.normal(size=(200, 300))
    A[:, 7] = A[:, 3] + 0.05 * A[:, 7]
    found = Columns(A, np.ones(300)).search(A[:, 7] - A[:, 3], keep=5, terms=3)[0]
    assert found.members == (3, 7)
    np.testing.assert_allclose(found.coefficients, (-1, 1))


def test_blocks_write_down_what_they_compute():
    x = RNG.uniform(0.5, 2, (30, 2))
    names = sympy.symbols("a b", positive=True)
    library = expression_library(x, 300)
    for block in [*library.summands[::7], *library.factors[::7], *library.polynomial]:
        for free in (False, True):
            written = sympy.lambdify(names, block.expression(names, free), "numpy")(*x.T)
            np.testing.assert_allclose(np.broadcast_to(written, 30), block.values, rtol=1e-9)


def _asked(equation, seed):
    """Samples, symbols and units of an equation, and its values over a wider region."""
    _, text, listed, whole = equation
    names, low, high, units = variables(listed)
    symbols = sympy.symbols(names, positive=True)
    truth = sympy.lambdify(
        symbols, sympy.sympify(text, locals=dict(zip(names, symbols, strict=True))), "numpy"
    )
    x = np.random.default_rng(seed).uniform(low, high, (400, len(names)))
    if units is not None:  # the list itself: another choice of units changes nothing
        scales = np.array([1.3, 1.7, 2.1, 0.6, 1.9])
        other = x * [np.prod(scales ** np.array(u)) for u in units]
        np.testing.assert_allclose(
            truth(*other.T), truth(*x.T) * np.prod(scales ** np.array(unit(whole)))
        )
    options = {} if units is None else {"units": units, "target": unit(whole)}
    return x, truth, symbols, options


def _right(equation, seed=3):
    x, truth, symbols, options = _asked(equation, seed)
    y = truth(*x.T)
    began = time.process_time()
    front = find_formula(x, y, symbols, **options)
    seconds = time.process_time() - began
    best = front.best(floor=1e-7 * float(y.std()))
    wider = x.mean(0) + 1.2 * (x - x.mean(0))
    with np.errstate(all="ignore"):
        true, found = truth(*wider.T), sympy.lambdify(symbols, best.expression, "numpy")(*wider.T)
    held = np.isfinite(true)
    error = np.sqrt(np.mean((found - true)[held] ** 2)) / true[held].std()
    return bool(error < 1e-4), seconds


@pytest.mark.parametrize("name", ["Langmuir", "damped"])
def test_equations_come_out_exact(name):
    assert _right(next(e for e in SECOND if e[0] == name))[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("equations", "least"), [(FIRST, 13), (SECOND, 13)])
def test_most_equations_come_out_within_seconds(equations, least):
    told = [_right(e) for e in equations]
    assert sum(right for right, _ in told) >= least
    assert np.median([seconds for _, seconds in told]) < 10


@pytest.mark.parametrize(
    "y", [np.full(60, 3.0), np.zeros(60), RNG.normal(size=60)], ids=["three", "zero", "noise"]
)
def test_what_holds_no_formula_gives_a_front_all_the_same(y):
    x = np.column_stack([RNG.normal(size=60), np.ones(60)])
    front = find_formula(x, y, sympy.symbols("a b"), seconds=1.0)
    assert len(front) >= 1
    assert front[len(front) - 1].error <= y.std() + 1e-12


SCRIPT = """
import numpy as np, sympy, torch
from discover.laws.regression.engines import Operon
from discover.laws.regression.entries import EntryIndex, fit_entry
from discover.laws.regression.formula_search import find_formula
from discover.laws.regression.torque_rows import fit_rows
import kinematics
from tests.bench.robots import arm
rng = np.random.default_rng(7)
x = rng.uniform(1, 3, (300, 3))
names = sympy.symbols("a b c", positive=True)
y = x[:, 0] * np.exp(-x[:, 1] / x[:, 2]) + 0.01 * rng.normal(size=300)
print([(sympy.sstr(m.expression), m.error) for m in find_formula(x, y, names, seconds=2.0).members])
small = Operon(generations=8, population=100)
print([(sympy.sstr(m.expression), m.error) for m in small.fit(x, y, names, 3).members])
robot = arm("spatial", 3, 5)
q = torch.from_numpy(rng.uniform(-2, 2, (500, 3)))
place = EntryIndex(kind="mass matrix", i=0, j=1)
seen = place.of(robot, q) + 1e-3 * torch.from_numpy(rng.normal(size=500))
for tree in (robot, None):
    print(fit_entry(place, q, seen, tree=tree).coefficients.tobytes().hex())
state = rng.uniform(-2, 2, (3, 500, 3))
tau = kinematics.rnea(robot, *torch.from_numpy(state)).numpy()
print([row.coefficients.tobytes().hex() for row in fit_rows(*state, tau)])
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_one_or_two_threads():
    printed = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        printed.append(
            subprocess.run(
                [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
                env=environment, cwd=Path(__file__).parents[2],
            ).stdout
        )  # fmt: skip
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 5


@pytest.mark.parametrize(
    ("formula", "of"),
    [
        (lambda x: sympy.Float(3e49) * x, lambda x: 3e49 * x),
        (lambda x: x + sympy.Integer(10) ** 50, lambda x: x + 1e50),
        (lambda x: sympy.Rational(1, 10**50) * x, lambda x: 1e-50 * x),
    ],
)
def test_no_constant_is_a_whole_number_that_arrays_cannot_take(formula, of):
    x, symbol = np.linspace(1, 2, 60), sympy.Symbol("x", real=True)
    made, error = optimise_constants(formula(symbol), x[:, None], of(x), [symbol])
    values = sympy.lambdify(symbol, made, "numpy")(x)
    np.testing.assert_allclose(values, of(x), rtol=1e-12)
    assert error < 1e-12 * abs(of(x)).max()


def test_large_numbers_of_an_engine_are_constants_not_whole_numbers():
    u = sympy.Symbol("u", real=True)
    function, constants = basis_function_of(sympy.sin(sympy.Float(1e50) * u) + u)
    assert constants == (1e50,)
    assert np.isfinite(function.values(np.linspace(-1, 1, 9), constants)).all()
