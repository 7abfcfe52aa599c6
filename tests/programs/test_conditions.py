"""Conditions, choices, tables and elementary functions of programs, in every form they take."""

import mpmath
import numpy as np
import pytest
import torch

from kinematics.programs import compile_trace, evaluate, pullback
from kinematics.programs.graph import Graph

TABLE = (1.0, 2.5, -3.0, 7.0)


def choices(x: np.ndarray) -> np.ndarray:
    a, b = x
    g = a.graph
    place = g.call2("min", g.call2("max", g.call("floor", a), g.zero), g.const(3.0))
    return np.array(
        [
            g.select(a < b, a, 2 * b),
            g.select(~(a < b) & (a > 0), g.const(0.3), b),
            g.select((a <= 0) | (b >= 1), g.one, g.zero) * b,
            g.entry(TABLE, place) * a,
            g.call2("max", a, b) + g.call2("min", a, g.const(0.5)),
        ],
        dtype=object,
    )


@pytest.fixture(scope="module")
def compiled():
    return compile_trace(choices, sizes={"x": 2})


def test_all_forms_choose_alike(compiled) -> None:
    x = np.random.default_rng(0).normal(size=(501, 2)) * 2
    a, b = x.T
    place = np.clip(np.floor(a), 0, 3).astype(int)
    plain = np.stack(
        (
            np.where(a < b, a, 2 * b),
            np.where((a >= b) & (a > 0), 0.3, b),
            np.where((a <= 0) | (b >= 1), b, 0),
            np.array(TABLE)[place] * a,
            np.maximum(a, b) + np.minimum(a, 0.5),
        ),
        -1,
    )
    program = compiled.program
    for found in (
        compiled(x),
        evaluate(program, x),
        program.numpy()(x),
        program.torch()(torch.as_tensor(x)).numpy(),
        np.array([compiled(row) for row in x]),
    ):
        assert np.allclose(found, plain, rtol=1e-15, atol=0)
    form = program.sympy()
    for row in x[:5]:
        values = dict(zip(form.symbols.values(), row, strict=True))
        exact = np.array(form.substituted().subs(values), dtype=float).ravel()
        assert np.allclose(exact, evaluate(program, row), rtol=1e-14)
    text = program.source("c")
    assert "?" in text
    assert "const double[4]" in text


def test_slopes_are_those_of_what_is_chosen(compiled) -> None:
    x = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    free = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad((compiled.program.torch()(free) * w).sum(), free)
    assert np.allclose(evaluate(pullback(compiled.program), x.numpy(), w.numpy()), slope)


def test_what_is_not_a_number_stays_so_and_does_no_harm(compiled) -> None:
    found = compiled(np.array([[np.nan, 1.0]] * 9 + [[1e300, -1e300]]))
    assert np.isnan(found[:9, 3:]).all()
    assert np.isfinite(found[9]).all()


def test_conditions_fold() -> None:
    g = Graph()
    a, b = g.inputs("x", 2)
    c = a < b
    assert ~~c is c
    assert g.select(~c, a, b) is g.select(c, b, a)
    assert g.select(c, a, a) is a
    assert g.select(g.one < g.zero, a, b) is b
    assert (c & (g.zero < g.one)) is c
    assert g.select(c, g.one, g.zero) * a is g.select(c, a, g.zero)
    with pytest.raises(TypeError, match="no truth value"):
        bool(c)


def test_elementary_functions_are_exact_to_a_few_units() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(403, 2)) * np.exp(4 * rng.normal(size=(403, 2)))
    x = np.concatenate((x, [[0.0, 1.0], [1.0, 0.0], [0.0, -2.0], [-0.7, -1e-9], [709.7, 1e-310]]))
    names = ("atan2", "exp", "log", "atan", "asin", "acos")

    def functions(x: np.ndarray) -> np.ndarray:
        y, across = x
        g = y.graph
        inside = y / (1 + abs(y))
        return np.array(
            [
                g.call2("atan2", y, across), g.call("exp", y), g.call("log", abs(across)),
                g.call("atan", y), g.call("asin", inside), g.call("acos", inside), inside,
            ],
            dtype=object,
        )  # fmt: skip

    found = compile_trace(functions, sizes={"x": 2})(x)
    for row, (y, across) in zip(found, x, strict=True):
        inside = row[-1]
        exact = [
            mpmath.atan2(y, across) if across or y else mpmath.mpf(0), mpmath.exp(y),
            mpmath.log(abs(across)) if across else mpmath.mpf("-inf"), mpmath.atan(y),
            mpmath.asin(inside), mpmath.acos(inside),
        ]  # fmt: skip
        for name, value, right in zip(names, row, exact, strict=False):
            if abs(right) < 2.3e-308:  # below normal numbers
                assert value == 0 or abs(value) < 2.3e-308, name
            else:
                assert value == float(right) or abs(value / right - 1) < 2e-15, (name, y, across)
