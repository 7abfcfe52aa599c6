"""Numbers as a reader wants them: few digits, percent where percent is natural, no `1e-09`."""

from __future__ import annotations

import math
import re

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "–"


def number(x: float | None, digits: int = 3) -> str:
    """`digits` significant digits; powers of ten outside 0.001 … 100,000."""
    if x is None or math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    size = math.floor(math.log10(abs(x)))
    if -3 <= size < 5:
        text = f"{x:.{max(0, digits - 1 - size)}f}"
        text = f"{x:,.0f}" if size >= 3 and "." not in text else text
        return text.replace("-", "−")
    if abs(round(x / 10**size, max(0, digits - 2))) >= 10:  # 9.96 is 1.0 of the next power
        size += 1
    mantissa = f"{x / 10**size:.{max(0, digits - 2)}f}".replace("-", "−")
    return f"{mantissa}·10{superscript(size)}"


def superscript(exponent: int) -> str:
    return str(exponent).translate(_SUPERSCRIPT)


def relative(x: float | None) -> str:
    """A relative error: percent from 0.01 % up to a hundredfold, a factor above, a power of ten
    below."""
    if x is None or math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "no finite answer"
    if x >= 100:
        return f"{number(x, 2)} times its size"
    if x >= 1:
        return f"{100 * x:,.0f} %"
    if x >= 1e-4:
        return f"{number(100 * x, 2)} %"
    return number(x, 2)


def distance(x: float) -> str:
    """A distance in half-widths: 3, 2.5, 1.25."""
    return f"{x:.3g}"


def interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return f"{number(low)} … {number(high)}"


def half_widths(x: float | None, limit: float | None = None) -> str:
    """A reach; "≥" where the search ended before the law did."""
    if x is None or math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "unbounded"
    sign = "≥ " if limit is not None and x >= limit - 1e-9 else ""
    return f"{sign}{x:.2f}"


def seconds(x: float | None) -> str:
    if x is None:
        return MISSING
    if x < 1e-6:
        return f"{number(1e9 * x)} ns"
    if x < 1e-3:
        return f"{number(1e6 * x)} µs"
    if x < 1:
        return f"{number(1e3 * x)} ms"
    if x < 120:
        return f"{number(x)} s"
    return f"{x / 60:.1f} min"


def listing(words: list[str], joint: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def short_formula(text: str, digits: int = 5) -> str:
    """A formula as text, its decimals rounded to what a reader can take in."""

    def rounded(match: re.Match[str]) -> str:
        return f"{float(match.group()):.{digits}g}"

    short = re.sub(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?", rounded, text)
    equation = re.fullmatch(r"Eq\((\w+), (.*)\)", short)
    return f"{equation[1]} = {equation[2]}" if equation else short
