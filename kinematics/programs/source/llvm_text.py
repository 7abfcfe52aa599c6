"""LLVM text: vector types and numbers, the lines of a function, and its table of constants."""

from __future__ import annotations

import struct


def literal(value: float, dtype: str) -> str:
    """A number as LLVM writes it: the bits of a double (floats must be exact as floats)."""
    if dtype == "float32":
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class VectorType:
    """How LLVM writes numbers, integers and constants for one lane count and precision.

    ``wide``: for a machine with AVX-512, which has estimates of reciprocals and tables in registers
    for eight doubles.
    """

    def __init__(self, dtype: str, lanes: int, *, wide: bool = False):
        self.dtype = dtype
        self.lanes = lanes
        self.wide = wide and dtype == "float64" and lanes == 8
        self.scalar = "double" if dtype == "float64" else "float"
        self.bits = 64 if dtype == "float64" else 32
        self.bytes = self.bits // 8
        self.integer_scalar = f"i{self.bits}"
        vector = lanes > 1
        self.type = f"<{lanes} x {self.scalar}>" if vector else self.scalar
        self.integer = f"<{lanes} x i{self.bits}>" if vector else f"i{self.bits}"
        self.mask = f"<{lanes} x i1>" if vector else "i1"
        self.truth = "splat (i1 true)" if vector else "true"
        self.suffix = (f"v{lanes}" if vector else "") + f"f{self.bits}"

    def const(self, value: float) -> str:
        text = literal(value, self.dtype)
        return text if self.lanes == 1 else f"splat ({self.scalar} {text})"

    def whole(self, value: int) -> str:
        return str(value) if self.lanes == 1 else f"splat (i{self.bits} {value})"


class Lines:
    """The lines of a function written so far; ``used`` holds the declarations it needs."""

    def __init__(self, t: VectorType):
        self.t = t
        self.lines: list[str] = []
        self.used: dict[str, str] = {}
        self.counter = 0

    def fresh(self) -> str:
        self.counter += 1
        return f"%t{self.counter}"

    def emit(self, text: str) -> str:
        target = self.fresh()
        self.lines.append(f"  {target} = {text}")
        return target

    def call(self, intrinsic: str, args: list[str]) -> str:
        v = self.t.type
        function = f"@llvm.{intrinsic}.{self.t.suffix}"
        self.used[function] = f"declare {v} {function}({', '.join([v] * len(args))})"
        return self.emit(f"call {v} {function}({', '.join(f'{v} {a}' for a in args)})")

    def shuffle(self, a: str, b: str, index: list[int]) -> str:
        v = self.t.type
        mask = ", ".join(f"i32 {k}" for k in index)
        return self.emit(f"shufflevector {v} {a}, {v} {b}, <{self.t.lanes} x i32> <{mask}>")

    def gather(self, parts: list[str], places: list[int]) -> str:
        """The vector of the elements at ``places`` of the vectors in ``parts``, end to end."""
        lanes = self.t.lanes
        found = parts[0]
        for k in range(1, max(2, len(parts))):
            other = parts[k] if k < len(parts) else "undef"
            index = []
            for lane, place in enumerate(places):
                source, at = divmod(place, lanes)
                if source == k:
                    index.append(lanes + at)
                elif source > k:
                    index.append(lane)  # still to come
                else:
                    index.append(at if k == 1 else lane)
            found = self.shuffle(found, other, index)
        return found

    def columns_of_four(self, rows: list[str]) -> list[str]:
        """Four vectors of eight states from eight rows of four numbers each.

        Rows are joined in pairs as they are loaded, which any unit can do; of what only one unit
        can do, shuffling, there is a third less than in a square transpose of eight.
        """
        half = f"<4 x {self.t.scalar}>"
        whole = ", ".join(f"i32 {k}" for k in range(8))
        joined = [
            self.emit(f"shufflevector {half} {rows[a]}, {half} {rows[b]}, <8 x i32> <{whole}>")
            for a, b in ((0, 2), (1, 3), (4, 6), (5, 7))
        ]
        even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
        first = [self.shuffle(joined[0], joined[1], index) for index in (even, odd)]
        second = [self.shuffle(joined[2], joined[3], index) for index in (even, odd)]
        low, high = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
        return [
            self.shuffle(first[parity], second[parity], index)
            for index in (low, high)
            for parity in (0, 1)
        ]

    def rows_of_four(self, columns: list[str]) -> list[str]:
        """Eight rows of four numbers from four vectors of eight states."""
        even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
        rows = [""] * 8
        for parity, index in enumerate((even, odd)):
            first = self.shuffle(columns[0], columns[1], index)
            second = self.shuffle(columns[2], columns[3], index)
            for k, pairs in enumerate(([0, 1, 8, 9, 2, 3, 10, 11], [4, 5, 12, 13, 6, 7, 14, 15])):
                both = self.shuffle(first, second, pairs)
                for half in (0, 1):
                    mask = ", ".join(f"i32 {4 * half + j}" for j in range(4))
                    v = self.t.type
                    rows[4 * k + 2 * half + parity] = self.emit(
                        f"shufflevector {v} {both}, {v} undef, <4 x i32> <{mask}>"
                    )
        return rows

    def transpose(self, rows: list[str]) -> list[str]:
        """The square transpose of ``lanes`` vectors by shuffles."""
        lanes = self.t.lanes
        if lanes == 8:
            pairs = [
                self.shuffle(
                    rows[k], rows[k + 1], [j + high for j in range(0, 8, 2) for j in (j, j + 8)]
                )
                for k in range(0, 8, 2)
                for high in (0, 1)
            ]
            even, odd = pairs[0::2], pairs[1::2]
            low = [0, 1, 4, 5, 8, 9, 12, 13]
            high_half = [2, 3, 6, 7, 10, 11, 14, 15]
            out = [""] * 8
            for parity, group in enumerate((even, odd)):
                a = self.shuffle(group[0], group[1], low)
                b = self.shuffle(group[2], group[3], low)
                c = self.shuffle(group[0], group[1], high_half)
                d = self.shuffle(group[2], group[3], high_half)
                out[parity] = self.shuffle(a, b, low)
                out[4 + parity] = self.shuffle(a, b, high_half)
                out[2 + parity] = self.shuffle(c, d, low)
                out[6 + parity] = self.shuffle(c, d, high_half)
            return out
        rows = list(rows)
        stride = 1
        while stride < lanes:
            for k in range(lanes):
                if k & stride:
                    continue
                a, b = rows[k], rows[k + stride]
                upper = [j if not j & stride else lanes + j - stride for j in range(lanes)]
                lower = [j + stride if not j & stride else lanes + j for j in range(lanes)]
                rows[k] = self.shuffle(a, b, upper)
                rows[k + stride] = self.shuffle(a, b, lower)
            stride *= 2
        return rows


TABLE = "@constants"


class Constants:
    """The numbers of one kernel as whole vectors in memory, for machines with few registers.

    An instruction can take one of its operands from memory. To spread a number over a vector first,
    as the compiler would, costs an instruction and a register each time (three to five percent of a
    quadruped's or a humanoid's program on a machine with AVX2).
    """

    def __init__(self, lines: Lines):
        self.lines = lines
        self.places: dict[float, int] = {}

    def load(self, value: float) -> str:
        """The number as a vector."""
        t = self.lines.t
        size = t.lanes * t.bytes
        shift = size * self.places.setdefault(value, len(self.places))
        place = self.lines.emit(f"getelementptr i8, ptr {TABLE}, i64 {shift}")
        return self.lines.emit(f"load {t.type}, ptr {place}, align {size}")

    def text(self) -> str:
        """The table; not declared constant, or the compiler would read it and spread numbers."""
        t = self.lines.t
        rows = ", ".join(f"{t.type} {t.const(value)}" for value in self.places)
        return f"{TABLE} = internal global [{len(self.places)} x {t.type}] [{rows}], align 64"
