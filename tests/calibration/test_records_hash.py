"""The hash of the instrument is that of what the code does."""

from __future__ import annotations

from discover.calibration.records import _statements

CODE = '''"""Words."""

def f(x):
    """More words."""
    return x + 1  # why
'''


def test_words_and_layout_measure_nothing():
    assert _statements(CODE) == _statements("def f(x):\n    'other'\n    return (x +\n        1)\n")


def test_any_other_change_is_another_instrument():
    for old, new in (("+ 1", "+ 2"), ("f(x)", "f(x, y=0)"), ("return x", "return -x")):
        assert _statements(CODE.replace(old, new)) != _statements(CODE)


def test_a_string_that_is_no_docstring_counts():
    assert _statements("x = 'a'") != _statements("x = 'b'")
