"""Columns that are computed from others: `= kp * (goal - position) * volts`.

Only arithmetic, a few functions and the names of columns and scalars are understood; nothing else
is evaluated.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.errors import DatasetError

Array = NDArray[np.float64]
_QUOTED = re.compile(r"`([^`]+)`")
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: operator.pow, ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "clip": np.clip, "cos": np.cos, "sign": np.sign, "sin": np.sin,
    "sqrt": np.sqrt, "tanh": np.tanh, "minimum": np.minimum, "maximum": np.maximum,
}  # fmt: skip


def is_formula(column: str) -> bool:
    """Whether a column is computed."""
    return column.lstrip().startswith("=")


def names_in(formula: str) -> list[str]:
    """The columns and scalars that a formula needs, in its order. Raises DatasetError."""
    tree, quoted = _parsed(formula)
    found = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id not in _FUNCTIONS]
    return list(dict.fromkeys(quoted.get(name, name) for name in found))


def evaluate(formula: str, values: Mapping[str, Array | float]) -> Array:
    """The computed column; values has every name of `names_in`. Names that are no words stand
    between backticks. Raises DatasetError where it is no arithmetic."""
    tree, quoted = _parsed(formula)
    with np.errstate(all="ignore"):  # what is not finite is refused later, with its row
        return np.asarray(_value(tree.body, values, quoted), dtype=float)


def _parsed(formula: str) -> tuple[ast.Expression, dict[str, str]]:
    quoted: dict[str, str] = {}

    def held(match: re.Match[str]) -> str:
        quoted[f"column_{len(quoted)}_"] = match[1]
        return f"column_{len(quoted) - 1}_"

    text = _QUOTED.sub(held, formula.strip().removeprefix("="))
    try:
        return ast.parse(text.strip(), mode="eval"), quoted
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise DatasetError(
            f"recording.columns: expected arithmetic of columns, found {formula!r}; put names that "
            "are no words between backticks"
        ) from error


def _value(node: ast.AST, values: Mapping[str, Any], quoted: Mapping[str, str]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[quoted.get(node.id, node.id)]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = (_value(side, values, quoted) for side in (node.left, node.right))
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, values, quoted))
    called = node.func if isinstance(node, ast.Call) and not node.keywords else None
    if isinstance(called, ast.Name) and called.id in _FUNCTIONS:
        assert isinstance(node, ast.Call)
        return _FUNCTIONS[called.id](*(_value(x, values, quoted) for x in node.args))
    raise DatasetError(
        f"recording.columns: expected arithmetic with {', '.join(_FUNCTIONS)}, found "
        f"{ast.unparse(node)!r}; compute that column before"
    )
