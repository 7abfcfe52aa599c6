"""Hyperbolic tangent of a vector, as an LLVM function of our own: smoothed Coulomb friction.

tanh x = e / (e + 2) with e = exp(2x) - 1, which keeps its relative accuracy near zero: with
2x = k·ln 2 + r, e = 2ᵏ·(exp(r) - 1) + (2ᵏ - 1), and exp(r) - 1 by its series for |r| < 0.35.
"""

from __future__ import annotations

import math

from kinematics.programs.source.vector_type import VectorType

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
TERMS = 14
LARGEST = 44.0  # of 2x: beyond it the result is ±1 to the last bit


def tanh_function(t: VectorType) -> str:
    """LLVM text of ``@tanh(x)`` in double precision, within 4 units in the last place."""
    v, i = t.type, t.integer
    fma = f"call {v} @llvm.fma.{t.suffix}"
    magic = 1.5 * 2.0**52
    lines = [
        f"define internal {v} @vector_tanh({v} %x) #1 {{",
        f"  %two = fadd {v} %x, %x",
        f"  %low = call {v} @llvm.maximum.{t.suffix}({v} %two, {v} {t.const(-LARGEST)})",
        f"  %y = call {v} @llvm.minimum.{t.suffix}({v} %low, {v} {t.const(LARGEST)})",
        f"  %big = {fma}({v} %y, {v} {t.const(1 / math.log(2.0))}, {v} {t.const(magic)})",
        f"  %k = fsub {v} %big, {t.const(magic)}",
        f"  %m = fneg {v} %k",
        f"  %r1 = {fma}({v} %m, {v} {t.const(LN2_HIGH)}, {v} %y)",
        f"  %r = {fma}({v} %m, {v} {t.const(LN2_LOW)}, {v} %r1)",
    ]
    last = t.const(1.0 / math.factorial(TERMS))
    for n in range(TERMS - 1, 1, -1):
        lines.append(f"  %p{n} = {fma}({v} %r, {v} {last}, {v} {t.const(1.0 / math.factorial(n))})")
        last = f"%p{n}"
    lines += [
        f"  %rr = fmul {v} %r, %r",
        f"  %p = {fma}({v} %rr, {v} {last}, {v} %r)",
        f"  %bits = bitcast {v} %big to {i}",
        f"  %biased = add {i} %bits, {t.whole(1023)}",
        f"  %shifted = shl {i} %biased, {t.whole(52)}",
        f"  %scale = bitcast {i} %shifted to {v}",
        f"  %less = fadd {v} %scale, {t.const(-1.0)}",
        f"  %e = {fma}({v} %scale, {v} %p, {v} %less)",
        f"  %more = fadd {v} %e, {t.const(2.0)}",
        f"  %out = fdiv {v} %e, %more",
        f"  ret {v} %out",
        "}",
    ]
    return "\n".join(lines)


def tanh_declarations(t: VectorType) -> list[str]:
    """What the function above needs declared."""
    v = t.type
    return [f"declare {v} @llvm.{name}.{t.suffix}({v}, {v})" for name in ("minimum", "maximum")]
