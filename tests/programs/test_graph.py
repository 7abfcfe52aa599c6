"""The expression graph: sharing, folding and counting."""

import numpy as np
import pytest

from kinematics.programs import Graph, evaluate, make_program


def test_equal_expressions_are_one_node():
    g = Graph()
    x, y = g.inputs("x", 2)
    assert (x + y) is (y + x)
    assert (x * y) is (y * x)
    assert (x - y) is not (y - x)
    assert -(x - y) is (y - x)  # the opposite difference is a sign, not a second subtraction
    assert (-x) * y is -(x * y)
    assert np.sin(-x) is -np.sin(x)


def test_only_exact_zeros_and_ones_are_folded():
    g = Graph()
    (x,) = g.inputs("x", 1)
    assert (0.0 * x).is_zero
    assert 1.0 * x is x
    assert x + 0.0 is x
    assert (x - x).is_zero
    assert not (1e-300 * x).is_zero
    assert (1.0 + 1e-15) * x is not x


def test_nodes_live_in_numpy_arrays():
    g = Graph()
    x = g.inputs("x", 3)
    a = np.arange(9.0).reshape(3, 3)
    value = np.array([0.3, -0.2, 0.7])
    out = a @ x + np.cos(x) * np.sqrt(x * x) + np.tanh(x) / 3 - 2.0**x
    p = make_program("f", g, {"x": x}, out)
    expected = a @ value + np.cos(value) * abs(value) + np.tanh(value) / 3 - 2.0**value
    np.testing.assert_allclose(evaluate(p, value), expected, rtol=1e-15)


def test_dead_code_is_left_out_and_operations_are_counted():
    g = Graph()
    x = g.inputs("x", 3)
    _ = x[0] * x[1] * x[2]
    p = make_program("f", g, {"x": x}, [x[0] * x[1] + x[2], np.sin(x[0]) / x[1], -x[2]])
    assert p.operations == {"mul": 1, "add": 1, "div": 1, "trig": 1, "other": 0}


def test_no_branching_on_expressions():
    g = Graph()
    x = g.inputs("x", 1)
    with pytest.raises(TypeError, match="no truth value"):
        bool(x[0])
    with pytest.raises(TypeError, match="expected a number"):
        float(x[0])
