"""SymPy expressions in and out: a closed parser for stored text, and torch functions.

`sympy.sympify` runs Python; a stored law must never do that. The parser here walks the syntax tree
and knows arithmetic, numbers, the declared names and a fixed list of functions.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

import sympy
import torch
from sympy.core.function import AppliedUndef
from sympy.printing.pytorch import TorchPrinter

from discover.errors import CheckpointError

FUNCTIONS: dict[str, Callable] = {
    "Abs": sympy.Abs,
    "Heaviside": sympy.Heaviside,
    "Max": sympy.Max,
    "Min": sympy.Min,
    "Rational": sympy.Rational,
    "acos": sympy.acos,
    "asin": sympy.asin,
    "asinh": sympy.asinh,
    "atan": sympy.atan,
    "cos": sympy.cos,
    "cosh": sympy.cosh,
    "erf": sympy.erf,
    "exp": sympy.exp,
    "log": sympy.log,
    "sign": sympy.sign,
    "sin": sympy.sin,
    "sinh": sympy.sinh,
    "sqrt": sympy.sqrt,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
}
_BINARY: dict[type, Callable] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y,
    ast.Pow: lambda x, y: x**y,
}
_MAX_LENGTH = 100_000


def parse_expression(
    text: str,
    names: Mapping[str, sympy.Expr],
    functions: Mapping[str, Callable] | None = None,
) -> sympy.Expr:
    """The expression that `text` writes in the given names; anything else is a CheckpointError.

    `functions` are callables of the text beside FUNCTIONS, such as named tables.
    """
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise CheckpointError("expected a formula as text of at most 100,000 characters")
    try:
        tree = ast.parse(text, mode="eval")
        return sympy.sympify(_build(tree.body, names, {**FUNCTIONS, **(functions or {})}))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"expected a formula, found {text[:60]!r}: {error}") from error


def _build(
    node: ast.AST, names: Mapping[str, sympy.Expr], functions: Mapping[str, Callable]
) -> sympy.Expr:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value, 17)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Name(id="pi"):
            return sympy.pi
        case ast.Name(id="E"):
            return sympy.E
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_build(operand, names, functions)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _build(operand, names, functions)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](
                _build(left, names, functions), _build(right, names, functions)
            )
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in functions:
            return functions[name](*(_build(argument, names, functions) for argument in args))
    raise ValueError(f"{ast.unparse(node)!r} is not part of a formula")


def to_torch(
    expressions: Sequence[sympy.Expr],
    arguments: Sequence[sympy.Symbol],
    functions: Mapping[str, Callable] | None = None,
) -> Callable:
    """One torch function of the arguments, returning a list of tensors of the first one's shape.

    `functions` evaluate named functions of the expressions on tensors.
    """
    known: dict[str, Callable] = {
        "Abs": torch.abs,
        "sign": torch.sign,
        # SymPy's derivatives of Max, of |x| and of sign(x):
        "Heaviside": lambda x: 0.5 * (1.0 + torch.sign(x)),
        "DiracDelta": torch.zeros_like,
        "erf": torch.erf,
        "Max": lambda *xs: _fold(torch.maximum, xs),
        "Min": lambda *xs: _fold(torch.minimum, xs),
        "max": lambda *xs: _fold(torch.maximum, xs),
        "min": lambda *xs: _fold(torch.minimum, xs),
        "sqrt": lambda x: torch.sqrt(torch.as_tensor(x, dtype=torch.float64)),  # of numbers too
        **(functions or {}),
    }
    modules = [known, torch]
    printer = _Printer(
        {
            "fully_qualified_modules": False,
            "inline": True,
            "allow_unknown_functions": True,
            "user_functions": {name: name for name in known},
        }
    )
    function = sympy.lambdify(
        arguments,
        [_with_numbers(e) for e in expressions],
        modules=modules,
        printer=printer,
        cse=True,
    )

    def evaluate(*values: torch.Tensor) -> list[torch.Tensor]:
        like = values[0]
        return [torch.as_tensor(x, dtype=like.dtype).expand_as(like) for x in function(*values)]

    return evaluate


def _with_numbers(expression: sympy.Expr) -> sympy.Expr:
    """The expression with functions of numbers, as tanh(21/10), evaluated: torch needs tensors."""
    calls = sympy.sympify(expression).atoms(sympy.Function)
    numbers = {f: f.evalf(17) for f in calls if f.is_number and not f.has(AppliedUndef)}
    return sympy.sympify(expression).xreplace(numbers)


class _Printer(TorchPrinter):
    """SymPy's printer for torch that prints undefined functions by their names."""

    def _print_Heaviside(self, expr: sympy.Expr) -> str:
        return f"Heaviside({self._print(expr.args[0])})"

    def _print_DiracDelta(self, expr: sympy.Expr) -> str:
        return f"DiracDelta({self._print(expr.args[0])})"

    def _print_Function(self, expr: sympy.Expr) -> str:
        name = type(expr).__name__
        if not isinstance(expr, AppliedUndef):
            return super()._print_Function(expr)
        return f"{name}({', '.join(self._print(x) for x in expr.args)})"


def _fold(function: Callable, values: Sequence) -> torch.Tensor:
    like = next(x for x in values if isinstance(x, torch.Tensor))
    result = torch.as_tensor(values[0], dtype=like.dtype)
    for value in values[1:]:
        result = function(result, torch.as_tensor(value, dtype=like.dtype))
    return result
