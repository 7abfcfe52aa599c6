"""Engines behind one contract; PySR by a stand-in, for the real one needs Julia."""

import os
import sys

import numpy as np
import pytest
import sympy

from discover.errors import RecipeError
from discover.laws.regression.engines import ENGINES, Operon, PySR, Sparse
from discover.laws.search.engine_basis import engine_named

Z = sympy.Symbol("z", real=True)
X = np.linspace(-2, 2, 240)[:, None]


@pytest.mark.parametrize(
    "truth",
    [
        sympy.log(1 + 2 * sympy.Abs(Z)) ** 2,
        pytest.param(3 * sympy.cos(2 * Z) ** 3, marks=pytest.mark.slow),
        pytest.param(sympy.erf(1.8 * Z), marks=pytest.mark.slow),
        Z**3 - 0.7 * Z,
    ],
)
def test_sparse_finds_compositions_to_the_last_digits(truth):
    y = np.array([float(truth.subs(Z, sympy.Float(t))) for t in X[:, 0]])
    best = Sparse().fit(X, y, [Z]).best(floor=1e-9)
    assert best.error < 1e-6 * np.abs(y).max()


@pytest.mark.slow
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


STAND_IN = """
import os
import pandas as pd
import sympy

os.environ["JULIA_LEFT_BEHIND"] = "1"
{at_import}

class PySRRegressor:
    def __init__(self, **options):
        assert options["random_state"] == 5
        print("chatter")

    def fit(self, x, y, variable_names):
        {in_fit}
        x1 = sympy.Symbol(variable_names[0])
        self.equations_ = pd.DataFrame(
            {{"sympy_format": [x1, 2 * sympy.sqrt(x1 ** 2) + 1.5], "loss": [1.0, 0.25]}}
        )
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a module that calls itself pysr where the process finds it."""

    def make(at_import="", in_fit="pass"):
        (tmp_path / "pysr.py").write_text(STAND_IN.format(at_import=at_import, in_fit=in_fit))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("PYTHON_JULIAPKG_EXE", "/somewhere/julia")
        return dict(os.environ)

    return make


def test_pysr_adapter_reads_the_table_of_equations_and_leaves_no_trace(stand_in):
    before = stand_in()
    front = PySR().fit(X, X[:, 0], [Z], seed=5)
    assert [m.error for m in front.members] == [1.0, 0.5]
    assert float(front[1].expression.subs(Z, -0.3)) == pytest.approx(2.1)
    assert dict(os.environ) == before
    assert "pysr" not in sys.modules


@pytest.mark.parametrize("where", [pytest.param("at_import", marks=pytest.mark.slow), "in_fit"])
@pytest.mark.slow
def test_whatever_pysr_raises_becomes_one_line_with_the_mend(stand_in, where):
    before = stand_in(**{where: "raise Exception('cannot reach the server\\nlong trace')"})
    with pytest.raises(RecipeError, match=r"cannot reach the server.*install Julia") as caught:
        PySR().fit(X, X[:, 0], [Z], seed=5)
    assert "\n" not in str(caught.value)
    assert dict(os.environ) == before


def test_pysr_that_does_not_end_is_ended(stand_in):
    stand_in(at_import="import time; time.sleep(60)")
    with pytest.raises(RecipeError, match="fewer iterations"):
        PySR(seconds=1.0).fit(X, X[:, 0], [Z], seed=5)


def test_automatic_engines_ask_for_nothing_to_be_fetched(stand_in):
    stand_in(at_import="raise SystemExit('imported')")
    assert engine_named("pysr") == PySR()
    assert not isinstance(engine_named("auto"), PySR)
    assert "pysr" not in sys.modules


@pytest.mark.julia
@pytest.mark.skipif(not PySR.available(), reason="needs PySR and a Julia")
def test_pysr_itself():
    y = np.sin(X[:, 0])
    assert PySR().fit(X, y, [Z]).best(floor=1e-3).error < 0.1
