"""Sine and cosine of a vector of angles, as LLVM functions of our own.

Range reduction subtracts n·π/2 in three fused steps (Cody and Waite 1980, with fused
multiply-adds as in Muller et al., *Handbook of Floating-Point Arithmetic*, chapter 11): the first
is exact, the second rounds once, the third adds what is left of π/2. The polynomials are those of
fdlibm's kernels on [-π/4, π/4]. Angles beyond `LIMIT` go to the C library, lane by lane; NaN and
infinity give NaN.
"""

from __future__ import annotations

from kinematics.programs.source.table_sine import LOOK_UP, table_lines
from kinematics.programs.source.vector_type import VectorType

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
