"""What misled the search for formulas: ends at the samples, powers in exponents, joins."""

import numpy as np
import sympy

from discover.laws.regression.exhaustive import candidates
from discover.laws.regression.formula_search import _Search
from discover.laws.regression.variable_reduction import reduce
from tests.bench.laws.counterfactual.__main__ import laws_of

RNG = np.random.default_rng(11)
t, u = sympy.symbols("t u", positive=True)


def test_powers_in_an_exponent_are_found():
    x = RNG.uniform(0.5, 3, (120, 2))
    y = np.exp(-((x[:, 0] / x[:, 1]) ** 1.4))
    best = min(candidates(x, y, 120), key=lambda c: c.error)
    assert best.error < 1e-9
    assert best.transform.name == "logarithm"
    assert [round(p, 6) for p, _ in best.powers] == [1.4, -1.4]


def test_a_formula_that_ends_at_the_samples_wins_where_it_is_clearly_shorter():
    x = RNG.uniform(1, 2, (100, 2))
    y = np.sqrt(8 * x[:, 0] - 3.9 * x[:, 1]) + 0.01 * RNG.normal(size=100)
    root = sympy.sqrt(sympy.Float(8) * t - sympy.Float(3.9) * u)
    # The same on the samples, with values everywhere, and longer.
    size = sympy.Abs(sympy.Float(8) * t - sympy.Float(3.9) * u)
    padded = sympy.sqrt(size) * sympy.exp(sympy.Float(1e-6) * sympy.tanh(sympy.Float(0.1) * u))
    search = _Search(x, y, (t, u))
    search.add(padded)
    search.add(root)
    assert len(search.ending) == 1
    assert not search.sorted()[0][0].has(sympy.Abs)
    # Hardly longer: then what has values beyond the samples is preferred.
    search = _Search(x, y, (t, u))
    search.add(sympy.sqrt(size))
    search.add(root)
    assert len(search.sorted()) == 1
    assert search.sorted()[0][0].has(sympy.Abs)


def test_joined_variables_are_tried_apart():
    law = next(x for x in laws_of("first") if x.text == "A*cos(w*t)/(1+c*t)")
    x, y = law.experiments(400, 1e-3, np.random.default_rng([0, 23, 2]))
    made = reduce(x, y, law.symbols, None, None)
    assert len(made[0].expressions) == 2  # of c, w and t two are one product
    assert law.symbols[1:] in [one.expressions for one in made]
