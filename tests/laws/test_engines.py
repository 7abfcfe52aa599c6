"""Engines behind one contract; PySR by a stand-in, for the real one needs Julia."""

import sys
import types

import numpy as np
import pytest
import sympy

from discover.errors import RecipeError
from discover.laws.engines import ENGINES, Operon, PySR, Sparse

Z = sympy.Symbol("z", real=True)
X = np.linspace(-2, 2, 240)[:, None]


@pytest.mark.parametrize(
    "truth",
    [
        sympy.log(1 + 2 * sympy.Abs(Z)) ** 2,
        3 * sympy.cos(2 * Z) ** 3,
        sympy.erf(1.8 * Z),
        Z**3 - 0.7 * Z,
    ],
)
def test_sparse_finds_compositions_to_the_last_digits(truth):
    y = np.array([float(truth.subs(Z, sympy.Float(t))) for t in X[:, 0]])
    best = Sparse().fit(X, y, [Z]).best(floor=1e-9)
    assert best.error < 1e-6 * np.abs(y).max()


def test_fronts_get_better_as_they_get_longer_and_the_same_seed_gives_the_same():
    y = np.sin(2 * X[:, 0]) * X[:, 0]
    for engine in (Sparse(), Operon(generations=15, population=200)):
        front = engine.fit(X, y, [Z], seed=3)
        errors = [m.error for m in front.members]
        assert errors == sorted(errors, reverse=True)
        assert len(set(errors)) == len(errors)
        assert front[len(front) - 1].error < 0.2
        assert engine.fit(X, y, [Z], seed=3) == front


def test_operon_takes_several_variables():
    x = np.random.default_rng(0).normal(size=(300, 2))
    names = sympy.symbols("E S", real=True)  # names that SymPy would read as something else
    front = Operon(generations=20, population=300).fit(x, x[:, 0] * x[:, 1] + 1, names)
    assert front.best(floor=1e-4).error < 1e-3
    with pytest.raises(RecipeError, match="at most 1 variable"):
        Sparse().fit(x, x[:, 0], names)


def test_pysr_is_not_imported_to_see_whether_it_is_there(monkeypatch):
    monkeypatch.delenv("PYTHON_JULIAPKG_EXE", raising=False)
    monkeypatch.setenv("PATH", "")
    assert not ENGINES["pysr"].available()
    assert "pysr" not in sys.modules
    with pytest.raises(RecipeError, match="Julia"):
        PySR().fit(X, X[:, 0], [Z])
    assert "pysr" not in sys.modules


def _stand_in(monkeypatch, fit):
    import pandas as pd

    class PySRRegressor:
        def __init__(self, **options):
            assert options["random_state"] == 5

        def fit(self, x, y, variable_names):
            fit()
            x1 = sympy.Symbol(variable_names[0])
            self.equations_ = pd.DataFrame({"sympy_format": [x1, 2 * x1 + 1], "loss": [1.0, 0.25]})

    monkeypatch.setitem(sys.modules, "pysr", types.SimpleNamespace(PySRRegressor=PySRRegressor))
    monkeypatch.setenv("PYTHON_JULIAPKG_EXE", "/somewhere/julia")
    monkeypatch.setattr("discover.laws.engines.pysr.find_spec", lambda name: True)


def test_pysr_adapter_reads_the_table_of_equations(monkeypatch):
    _stand_in(monkeypatch, lambda: None)
    front = PySR().fit(X, X[:, 0], [Z], seed=5)
    assert [m.error for m in front.members] == [1.0, 0.5]
    assert front[1].expression == 2 * Z + 1


def test_whatever_pysr_raises_becomes_one_line_with_the_mend(monkeypatch):
    def broken():
        raise Exception("cannot reach the server\nlong trace")

    _stand_in(monkeypatch, broken)
    with pytest.raises(RecipeError, match=r"cannot reach the server.*install Julia") as caught:
        PySR().fit(X, X[:, 0], [Z], seed=5)
    assert "\n" not in str(caught.value)


@pytest.mark.julia
def test_pysr_itself():
    y = np.sin(X[:, 0])
    assert PySR().fit(X, y, [Z]).best(floor=1e-3).error < 0.1
