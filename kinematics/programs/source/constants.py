"""Constants as whole vectors in memory, where registers are few.

An instruction can take one of its operands from memory. To spread a number over a vector first, as
the compiler would, costs an instruction and a register each time (three to five percent of a
quadruped's or a humanoid's program on a machine with AVX2).
"""

from __future__ import annotations

from kinematics.programs.source.llvm_lines import Lines

TABLE = "@constants"


class Constants:
    """The numbers of one kernel, loaded where they are used."""

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
