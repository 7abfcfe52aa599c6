"""How LLVM writes vectors, numbers and constants."""

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
        self.suffix = (f"v{lanes}" if vector else "") + f"f{self.bits}"

    def const(self, value: float) -> str:
        text = literal(value, self.dtype)
        return text if self.lanes == 1 else f"splat ({self.scalar} {text})"

    def whole(self, value: int) -> str:
        return str(value) if self.lanes == 1 else f"splat (i{self.bits} {value})"
