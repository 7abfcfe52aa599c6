"""Sine, cosine and hyperbolic tangent of vectors, as LLVM functions of our own.

Sine and cosine: range reduction subtracts n·π/2 in three fused steps (Cody and Waite 1980, with
fused multiply-adds as in Muller et al., *Handbook of Floating-Point Arithmetic*, chapter 11): the
first is exact, the second rounds once, the third adds what is left of π/2. The polynomials are
those of fdlibm's kernels on [-π/4, π/4]. Angles beyond `LIMIT` go to the C library, lane by lane;
NaN and infinity give NaN.

Where a vector can look up sixteen numbers, a table in registers is used instead: the angle is
reduced to within π/16 of a multiple of π/8, also in three fused steps; the sines and cosines of the
sixteen multiples in a turn are picked by their number, and the addition theorems do the rest.
Polynomials on an interval so short need fewer terms, and neither signs nor quadrants need
attention: a fifth less work than without a table, at errors below 2.5 units in the last place
instead of 1.5.

Hyperbolic tangent, of smoothed Coulomb friction: tanh x = e / (e + 2) with e = exp(2x) - 1, which
keeps its relative accuracy near zero: with 2x = k·ln 2 + r, e = 2ᵏ·(exp(r) - 1) + (2ᵏ - 1), and
exp(r) - 1 by its series for |r| < 0.35.
"""

from __future__ import annotations

import math

from kinematics.programs.source.llvm_text import VectorType, literal

LIMIT = {"float64": 2.0**30, "float32": 2.0**16}
PIECES = {
    "float64": (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32),
    "float32": (1.570796251296997, 7.549789415861596e-08, 5.390302953474238e-15),
}
"""π/2 in three pieces; the first two are exact to their last bit, the third rounds."""
TURN = 0.6366197723675814
SINE = {
    "float64": (
        -1.66666666666666324348e-01,
        8.33333333332248946124e-03,
        -1.98412698298579493134e-04,
        2.75573137070700676789e-06,
        -2.50507602534068634195e-08,
        1.58969099521155010221e-10,
    ),
    "float32": (-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4),
}
COSINE = {
    "float64": (
        -0.5,
        4.16666666666666019037e-02,
        -1.38888888888741095749e-03,
        2.48015872894767294178e-05,
        -2.75573143513906633035e-07,
        2.08757232129817482790e-09,
        -1.13596475577881948265e-11,
    ),
    "float32": (-0.5, 4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5),
}


def sincos_lines(t: VectorType, x: str, tag: str) -> tuple[list[str], str, str]:
    """Straight-line text for moderate angles ``x``, and the names of the sine and cosine."""
    if t.wide:
        return table_lines(t, x, tag, PIECES[t.dtype])
    p1, p2, p3 = PIECES[t.dtype]
    magic = 1.5 * 2.0**52 if t.dtype == "float64" else 1.5 * 2.0**23
    fma = f"call {t.type} @llvm.fma.{t.suffix}"
    v = t.type
    lines = [
        f"  %{tag}big = {fma}({v} {x}, {v} {t.const(TURN)}, {v} {t.const(magic)})",
        f"  %{tag}n = fsub {v} %{tag}big, {t.const(magic)}",
        f"  %{tag}m = fneg {v} %{tag}n",
        f"  %{tag}r1 = {fma}({v} %{tag}m, {v} {t.const(p1)}, {v} {x})",
        f"  %{tag}r2 = {fma}({v} %{tag}m, {v} {t.const(p2)}, {v} %{tag}r1)",
        f"  %{tag}r = {fma}({v} %{tag}m, {v} {t.const(p3)}, {v} %{tag}r2)",
        f"  %{tag}z = fmul {v} %{tag}r, %{tag}r",
        f"  %{tag}rz = fmul {v} %{tag}r, %{tag}z",
    ]

    def horner(name: str, coefficients: tuple[float, ...]) -> str:
        last = t.const(coefficients[-1])
        for k, c in enumerate(reversed(coefficients[:-1])):
            target = f"%{tag}{name}p{k}"
            lines.append(f"  {target} = {fma}({v} %{tag}z, {v} {last}, {v} {t.const(c)})")
            last = target
        return last

    s = horner("s", SINE[t.dtype])
    lines.append(f"  %{tag}sr = {fma}({v} %{tag}rz, {v} {s}, {v} %{tag}r)")
    c = horner("c", COSINE[t.dtype])
    lines.append(f"  %{tag}cr = {fma}({v} %{tag}z, {v} {c}, {v} {t.const(1.0)})")
    i = t.integer
    # n's last two bits stand at the end of ``big``: bit 0 swaps the two, bit 1 is sine's sign,
    # bit 1 of n + 1 is cosine's
    high = t.bits - 2
    top = -(1 << (t.bits - 1))
    lines += [
        f"  %{tag}k = bitcast {v} %{tag}big to {i}",
        f"  %{tag}odd = and {i} %{tag}k, {t.whole(1)}",
        f"  %{tag}swap = icmp ne {i} %{tag}odd, {t.whole(0)}",
        f"  %{tag}s2 = shl {i} %{tag}k, {t.whole(high)}",
        f"  %{tag}c2 = add {i} %{tag}s2, {t.whole(1 << high)}",
        f"  %{tag}sm = and {i} %{tag}s2, {t.whole(top)}",
        f"  %{tag}cm = and {i} %{tag}c2, {t.whole(top)}",
        f"  %{tag}sa = select {t.mask} %{tag}swap, {v} %{tag}cr, {v} %{tag}sr",
        f"  %{tag}ca = select {t.mask} %{tag}swap, {v} %{tag}sr, {v} %{tag}cr",
        f"  %{tag}si = bitcast {v} %{tag}sa to {i}",
        f"  %{tag}ci = bitcast {v} %{tag}ca to {i}",
        f"  %{tag}sx = xor {i} %{tag}si, %{tag}sm",
        f"  %{tag}cx = xor {i} %{tag}ci, %{tag}cm",
        f"  %{tag}sin = bitcast {i} %{tag}sx to {v}",
        f"  %{tag}cos = bitcast {i} %{tag}cx to {v}",
    ]
    return lines, f"%{tag}sin", f"%{tag}cos"


def any_lane(t: VectorType, mask: str, target: str) -> list[str]:
    """Text that sets ``target`` (i1) where any lane of ``mask`` is set."""
    if t.lanes == 1:
        return [f"  {target} = or i1 {mask}, false"]
    return [
        f"  {target}.word = bitcast {t.mask} {mask} to i{t.lanes}",
        f"  {target} = icmp ne i{t.lanes} {target}.word, 0",
    ]


def sincos_function(t: VectorType, name: str = "sincos") -> str:
    """LLVM text of ``@sincos(x) -> {sin, cos}`` for any angles of the vector type ``t``."""
    pair = f"{{{t.type}, {t.type}}}"
    v = t.type
    fast, _, _ = sincos_lines(t, "%x", "")
    lines = [
        f"define internal {pair} @{name}({v} %x) #1 {{",
        "entry:",
        *fast,
        f"  %abs = call {v} @llvm.fabs.{t.suffix}({v} %x)",
        f"  %far = fcmp ogt {v} %abs, {t.const(LIMIT[t.dtype])}",
        *any_lane(t, "%far", "%any"),
        "  br i1 %any, label %slow, label %fast",
        "fast:",
        f"  %f1 = insertvalue {pair} undef, {v} %sin, 0",
        f"  %f2 = insertvalue {pair} %f1, {v} %cos, 1",
        f"  ret {pair} %f2",
        "slow:",
    ]
    lines += _slow_lanes(t, pair)
    lines.append("}")
    return "\n".join(lines)


def _slow_lanes(t: VectorType, pair: str) -> list[str]:
    """Every lane through the C library."""
    suffix = "" if t.dtype == "float64" else "f"
    v, s = t.type, t.scalar
    if t.lanes == 1:
        return [
            f"  %ls = call {s} @sin{suffix}({s} %x)",
            f"  %lc = call {s} @cos{suffix}({s} %x)",
            f"  %l1 = insertvalue {pair} undef, {v} %ls, 0",
            f"  %l2 = insertvalue {pair} %l1, {v} %lc, 1",
            f"  ret {pair} %l2",
        ]
    lines = []
    last = {"s": "undef", "c": "undef"}
    for k in range(t.lanes):
        lines.append(f"  %x{k} = extractelement {v} %x, i32 {k}")
        for short, name in (("s", "sin"), ("c", "cos")):
            lines.append(f"  %l{short}{k} = call {s} @{name}{suffix}({s} %x{k})")
            lines.append(
                f"  %v{short}{k} = insertelement {v} {last[short]}, {s} %l{short}{k}, i32 {k}"
            )
            last[short] = f"%v{short}{k}"
    lines += [
        f"  %l1 = insertvalue {pair} undef, {v} {last['s']}, 0",
        f"  %l2 = insertvalue {pair} %l1, {v} {last['c']}, 1",
        f"  ret {pair} %l2",
    ]
    return lines


def declarations(t: VectorType) -> list[str]:
    """What the function above needs declared."""
    suffix = "" if t.dtype == "float64" else "f"
    v, s = t.type, t.scalar
    look_up = f"declare {v} {LOOK_UP}({v}, {t.integer}, {v})"
    return [
        *([look_up] if t.wide else []),
        f"declare {s} @sin{suffix}({s})",
        f"declare {s} @cos{suffix}({s})",
        f"declare {v} @llvm.fma.{t.suffix}({v}, {v}, {v})",
        f"declare {v} @llvm.fabs.{t.suffix}({v})",
    ]


STEPS = 16  # in a turn
TABLE_SINE = (
    -0.1666666666666628,
    0.008333333332360528,
    -0.00019841262220310192,
    2.7533788504463947e-06,
)
"""(sin r - r) / r³ by powers of r²: least relative error of sin r for |r| <= π/16, 5e-18."""
TABLE_COSINE = (
    -0.49999999999995753,
    0.04166666665596702,
    -0.001388888050666833,
    2.477570542379598e-05,
)
"""(cos r - 1) / r² likewise, 5e-17."""
LOOK_UP = "@llvm.x86.avx512.vpermi2var.pd.512"


def table_lines(
    t: VectorType, x: str, tag: str, pieces: tuple[float, float, float]
) -> tuple[list[str], str, str]:
    """Straight-line text for moderate angles ``x``, and the names of the sine and cosine.

    ``pieces``: π/2 in three parts.
    """
    v = t.type
    fma = f"call {v} @llvm.fma.{t.suffix}"
    magic = t.const(1.5 * 2.0**52)
    p1, p2, p3 = (t.const(4.0 / STEPS * piece) for piece in pieces)
    lines = [
        f"  %{tag}big = {fma}({v} {x}, {v} {t.const(STEPS / (2 * math.pi))}, {v} {magic})",
        f"  %{tag}n = fsub {v} %{tag}big, {magic}",
        f"  %{tag}m = fneg {v} %{tag}n",
        f"  %{tag}r1 = {fma}({v} %{tag}m, {v} {p1}, {v} {x})",
        f"  %{tag}r2 = {fma}({v} %{tag}m, {v} {p2}, {v} %{tag}r1)",
        f"  %{tag}r = {fma}({v} %{tag}m, {v} {p3}, {v} %{tag}r2)",
        f"  %{tag}z = fmul {v} %{tag}r, %{tag}r",
        f"  %{tag}rz = fmul {v} %{tag}r, %{tag}z",
        # the number of the step stands in the last four bits of ``big``, all that is looked at
        f"  %{tag}k = bitcast {v} %{tag}big to {t.integer}",
    ]
    for name, coefficients in (("s", TABLE_SINE), ("c", TABLE_COSINE)):
        last = t.const(coefficients[-1])
        for k, c in enumerate(reversed(coefficients[:-1])):
            target = f"%{tag}{name}p{k}"
            lines.append(f"  {target} = {fma}({v} %{tag}z, {v} {last}, {v} {t.const(c)})")
            last = target
        if name == "s":
            lines.append(f"  %{tag}sr = {fma}({v} %{tag}rz, {v} {last}, {v} %{tag}r)")
        else:
            lines.append(f"  %{tag}cr = fmul {v} %{tag}z, {last}")
    for name, ahead in (("sk", 0), ("ck", STEPS // 4)):
        low, high = _halves(t, ahead)
        lines.append(
            f"  %{tag}{name} = call {v} {LOOK_UP}({v} {low}, {t.integer} %{tag}k, {v} {high})"
        )
    lines += [
        f"  %{tag}sa = fmul {v} %{tag}sk, %{tag}cr",
        f"  %{tag}sb = {fma}({v} %{tag}ck, {v} %{tag}sr, {v} %{tag}sa)",
        f"  %{tag}sin = fadd {v} %{tag}sk, %{tag}sb",
        f"  %{tag}ca = fmul {v} %{tag}ck, %{tag}cr",
        f"  %{tag}minus = fneg {v} %{tag}sr",
        f"  %{tag}cb = {fma}({v} %{tag}sk, {v} %{tag}minus, {v} %{tag}ca)",
        f"  %{tag}cos = fadd {v} %{tag}ck, %{tag}cb",
    ]
    return lines, f"%{tag}sin", f"%{tag}cos"


def _halves(t: VectorType, ahead: int) -> tuple[str, str]:
    """The sines of all steps, so many steps further on, as two vectors."""
    texts = [f"{t.scalar} {literal(_sine(k + ahead), t.dtype)}" for k in range(STEPS)]
    return f"<{', '.join(texts[: t.lanes])}>", f"<{', '.join(texts[t.lanes :])}>"


def _sine(k: int) -> float:
    """The sine of k steps, by symmetry from the first quarter of the turn."""
    k %= STEPS
    if k >= STEPS // 2:
        return -_sine(k - STEPS // 2)
    k = min(k, STEPS // 2 - k)
    return math.sin(2 * math.pi * k / STEPS) if k else 0.0


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
