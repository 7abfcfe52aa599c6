"""Arc tangent, exponential and logarithm of vectors of doubles, as LLVM functions of our own.

The C library takes them lane by lane. Here each is a reduction to a short interval and a
polynomial, as in every library (Muller, *Elementary Functions*, 3rd edition, chapter 11), within a
few units in the last place; the polynomials were fitted at Chebyshev's points in 60 digits, with
relative errors below 2e-17.

atan2(y, x): the smaller of |x|, |y| over the larger; beyond tan π/8 the angle is taken from π/4 by
the difference formula, in the same division. Arc sine and cosine are arc tangents of the other leg
of their triangle, √((1 - x)(1 + x)).
exp x: k ln 2 + r; results below the smallest normal number are zero.
log x: m 2ᵏ with m within √2 of 1, and twice the inverse hyperbolic tangent of (m - 1)/(m + 1).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from kinematics.programs.source.llvm_functions import LN2_HIGH, LN2_LOW
from kinematics.programs.source.llvm_text import Lines, VectorType

ARC_TANGENT = (
    -0.3333333333333333, 0.1999999999999552, -0.14285714284666542, 0.11111111015256361,
    -0.09090904578123903, 0.07692183190826087, -0.06664511447381948, 0.0585814891280221,
    -0.0508544973794026, 0.03923165829558719, -0.01917688711906226,
)  # fmt: skip
"""(atan t / t - 1) / t² by powers of t², for t up to tan π/8."""
LOGARITHM = (
    0.3333333333333335, 0.19999999999949752, 0.14285714312987743, 0.1111110556739754,
    0.09091444562630861, 0.07665860800278021, 0.07308224842521703,
)  # fmt: skip
"""(atanh s / s - 1) / s² by powers of s², for s up to (√2 - 1)/(√2 + 1)."""
EXPONENTIAL = (
    0.5000000000000001, 0.16666666666666669, 0.041666666666624164, 0.008333333333330065,
    0.0013888888917196736, 0.00019841269863040559, 2.480152132234228e-05, 2.7557268480289716e-06,
    2.7620075892548164e-07, 2.51003758422237e-08,
)  # fmt: skip
"""(exp r - 1 - r) / r² by powers of r, for |r| up to ½ ln 2."""
LARGEST, LEAST = 709.782712893384, -708.396418532264  # logarithms of the ends of normal numbers
MAGIC = 1.5 * 2.0**52  # added, it leaves the nearest whole number in the last bits
SMALLEST = 2.0**-1022

OWN = {"atan2": 2, "exp": 1, "log": 1}
"""The functions of this module and their numbers of arguments."""


def elementary_function(t: VectorType, name: str) -> tuple[str, dict[str, str]]:
    """LLVM text of ``@vector_<name>``, and the declarations it needs."""
    body = Lines(t)
    arguments = ["%y", "%x"][-OWN[name] :]
    functions: dict[str, Callable[..., str]] = {"atan2": _atan2, "exp": _exp, "log": _log}
    result = functions[name](body, *arguments)
    given = ", ".join(f"{t.type} {a}" for a in arguments)
    head = f"define internal {t.type} @vector_{name}({given}) #1 {{"
    return "\n".join([head, *body.lines, f"  ret {t.type} {result}", "}"]), body.used


class _Words:
    """Vector instructions by short names."""

    def __init__(self, lines: Lines):
        self.lines, self.t = lines, lines.t
        self.v = lines.t.type

    def of(self, x: str | float) -> str:
        return x if isinstance(x, str) else self.t.const(x)

    def op(self, name: str, a: str | float, b: str | float) -> str:
        return self.lines.emit(f"{name} {self.v} {self.of(a)}, {self.of(b)}")

    def whole(self, name: str, a: str, b: int | str) -> str:
        other = b if isinstance(b, str) else self.t.whole(b)
        return self.lines.emit(f"{name} {self.t.integer} {a}, {other}")

    def fma(self, a: str | float, b: str | float, c: str | float) -> str:
        return self.lines.call("fma", [self.of(a), self.of(b), self.of(c)])

    def select(self, mask: str, a: str | float, b: str | float) -> str:
        a, b = self.of(a), self.of(b)
        return self.lines.emit(f"select {self.t.mask} {mask}, {self.v} {a}, {self.v} {b}")

    def bits(self, x: str) -> str:
        return self.lines.emit(f"bitcast {self.v} {x} to {self.t.integer}")

    def number(self, x: str) -> str:
        return self.lines.emit(f"bitcast {self.t.integer} {x} to {self.v}")

    def polynomial(self, coefficients: tuple[float, ...], x: str) -> str:
        last: str | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            last = self.fma(x, last, c)
        return self.of(last)


def _atan2(lines: Lines, y: str, x: str) -> str:
    w = _Words(lines)
    across, up = lines.call("fabs", [x]), lines.call("fabs", [y])
    high = w.op("fcmp ogt", up, across)
    small, large = w.select(high, across, up), w.select(high, up, across)
    steep = w.op("fcmp ogt", small, w.op("fmul", large, math.tan(math.pi / 8)))
    top = w.select(steep, w.op("fsub", small, large), small)
    bottom = w.select(steep, w.op("fadd", small, large), large)
    bottom = w.select(w.op("fcmp oeq", bottom, 0.0), 1.0, bottom)
    s = w.op("fdiv", top, bottom)
    z = w.op("fmul", s, s)
    angle = w.fma(w.op("fmul", z, s), w.polynomial(ARC_TANGENT, z), s)
    angle = w.op("fadd", angle, w.select(steep, math.pi / 4, 0.0))
    angle = w.select(high, w.op("fsub", math.pi / 2, angle), angle)
    angle = w.select(w.op("fcmp olt", x, 0.0), w.op("fsub", math.pi, angle), angle)
    return lines.call("copysign", [angle, y])


def _exp(lines: Lines, x: str) -> str:
    w = _Words(lines)
    # what is beyond is replaced below; NaN passes, since a comparison with it is false
    y = w.select(w.op("fcmp ogt", x, LARGEST), LARGEST, x)
    y = w.select(w.op("fcmp olt", y, LEAST), LEAST, y)
    big = w.fma(y, 1 / math.log(2.0), MAGIC)
    k = w.op("fsub", big, MAGIC)
    minus = lines.emit(f"fneg {w.v} {k}")
    r = w.fma(minus, LN2_LOW, w.fma(minus, LN2_HIGH, y))
    p = w.fma(w.op("fmul", r, r), w.polynomial(EXPONENTIAL, r), r)
    # 2ᵏ⁻¹, twice: 2ᵏ itself overflows where the result does not yet
    scale = w.number(w.whole("shl", w.whole("add", w.bits(big), 1022), 52))
    half = w.fma(p, scale, scale)
    value = w.op("fadd", half, half)
    value = w.select(w.op("fcmp ogt", x, LARGEST), math.inf, value)
    return w.select(w.op("fcmp olt", x, LEAST), 0.0, value)


def _log(lines: Lines, x: str) -> str:
    w = _Words(lines)
    tiny = w.op("fcmp olt", x, SMALLEST)
    normal = w.select(tiny, w.op("fmul", x, 2.0**54), x)
    # the exponent of x/√½, so that the mantissa lies within √2 of 1
    root = _bits(math.sqrt(0.5))
    ahead = w.whole("sub", w.bits(normal), root)
    exponent = w.whole("ashr", ahead, 52)
    m = w.number(w.whole("sub", w.bits(normal), w.whole("shl", exponent, 52)))
    # a small whole number as a double: its bits under those of MAGIC
    under = w.whole("add", exponent, _bits(MAGIC))
    k = w.op("fsub", w.number(under), MAGIC)
    k = w.op("fsub", k, w.select(tiny, 54.0, 0.0))
    less = w.op("fsub", m, 1.0)
    s = w.op("fdiv", less, w.op("fadd", m, 1.0))
    z = w.op("fmul", s, s)
    twice = w.op("fadd", s, s)
    p = w.fma(w.op("fmul", twice, z), w.polynomial(LOGARITHM, z), w.op("fmul", k, LN2_LOW))
    value = w.fma(k, LN2_HIGH, w.op("fadd", twice, p))
    value = w.select(w.op("fcmp oeq", x, math.inf), math.inf, value)
    value = w.select(w.op("fcmp oeq", x, 0.0), -math.inf, value)
    return w.select(w.op("fcmp olt", x, 0.0), math.nan, w.select(_is_nan(w, x), math.nan, value))


def _is_nan(w: _Words, x: str) -> str:
    return w.lines.emit(f"fcmp uno {w.v} {x}, {x}")


def _bits(x: float) -> int:
    """The bits of a positive double, as a whole number."""
    return int(struct.unpack("<q", struct.pack("<d", x))[0])
