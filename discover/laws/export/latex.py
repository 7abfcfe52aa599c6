"""Formulas in LaTeX that fit a page: long sums broken into lines, wide matrices into entries."""

from __future__ import annotations

import re
from typing import Any

import sympy

WIDE = 110  # characters that print, about a line of A4 at ten points


def width(latex: str) -> int:
    """About how many characters a formula prints: without commands, braces and hats."""
    plain = re.sub(r"\\(left|right|operatorname|mathrm|frac|cdot|,|;)", "", latex)
    plain = re.sub(r"\\[a-z]+", "xx", plain)
    return len(re.sub(r"[{}_^ \\]", "", plain))


def equation(name: str, value: Any, limit: int = WIDE) -> list[str]:
    """Lines "name &= …", "&\\quad + …" of an `aligned` for an expression or a matrix."""
    whole = sympy.latex(value)
    if isinstance(value, sympy.MatrixBase):
        widest = max((width(sympy.latex(x)) for x in value), default=0)
        if widest * value.cols <= limit:
            return [f"{name} &= {whole}"]
        base = name.split("(")[0]
        symmetric = value.is_square and value.is_symmetric()
        return [
            line
            for i in range(value.rows)
            for j in range(i if symmetric else 0, value.cols)
            for line in equation(_entry(base, i, j, value.cols), value[i, j], limit)
        ]
    if width(whole) <= limit:
        return [f"{name} &= {whole}"]
    if isinstance(value, sympy.Mul):
        return _product(name, value, limit)
    if not isinstance(value, sympy.Add):
        return [f"{name} &= {whole}"]
    first, *others = _sum(value, limit)
    return [f"{name} &= {first}", *(rf"&\quad {line}" for line in others)]


def _sum(value: sympy.Add, limit: int) -> list[str]:
    """The terms of a sum, as many a line as fit."""
    lines, current = [], ""
    for term in value.as_ordered_terms():
        text = sympy.latex(term)
        signed = text if text.startswith("-") else f"+ {text}"
        if current and width(current + signed) > limit:
            lines.append(current)
            current = ""
        current = f"{current} {signed}".strip()
    lines.append(current)
    return [lines[0].removeprefix("+ "), *lines[1:]]


def _product(name: str, value: sympy.Mul, limit: int) -> list[str]:
    """A product whose widest factor is a sum that takes several lines, in brackets."""
    sums = [x for x in value.args if isinstance(x, sympy.Add)]
    if not sums:
        return [f"{name} &= {sympy.latex(value)}"]
    widest = max(sums, key=lambda x: width(sympy.latex(x)))
    rest = sympy.latex(value / widest)
    lines = _sum(widest, limit - width(rest))
    opened = [rf"{name} &= {rest} \bigl({lines[0]}", *(rf"&\quad {x}" for x in lines[1:])]
    return [*opened[:-1], rf"{opened[-1]}\bigr)"]


def aligned(name: str, value: Any, limit: int = WIDE) -> str:
    """One displayed formula, in an `aligned` only where it takes more than a line."""
    lines = equation(name, value, limit)
    if len(lines) == 1:
        return lines[0].replace("&=", "=", 1)
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _entry(base: str, i: int, j: int, columns: int) -> str:
    return f"{base}_{{{i + 1}}}" if columns == 1 else f"{base}_{{{i + 1}{j + 1}}}"
