"""The angles of one state in vectors: their sines and cosines at the price of a few."""

from __future__ import annotations

from kinematics.programs.llvm_lines import Lines
from kinematics.programs.node import Node
from kinematics.programs.row_access import Rows
from kinematics.programs.vector_type import VectorType

TOGETHER = "sincos_together"  # the function that takes any angles


class AnglesOfOneState:
    """Gathers the angles of a state into vectors, and hands out single sines and cosines.

    These are stored once and loaded where they are first used, by the instruction that uses them:
    to take them out of a vector, or to hold them in registers till then, would cost more.
    """

    def __init__(self, lines: Lines, count: int, most: int):
        width = 1
        while width < min(count, most):
            width *= 2
        self.lines = lines
        self.t = VectorType(lines.t.dtype, width)
        self.places: dict[int, tuple[int, int]] = {}  # node to vector and lane
        self.vectors = 0

    def gather(self, angles: list[Node], value: dict[int, str], rows: Rows) -> dict[str, list[int]]:
        """The angles as vectors: for each, the ids of the nodes in its lanes. Lanes to spare hold
        zero."""
        g, scalar = self.t, self.t.scalar
        found = {}
        for first in range(0, len(angles), g.lanes):
            group = angles[first : first + g.lanes]
            whole = rows.run_of(group, g)
            if whole is None:
                whole = "zeroinitializer"
                for lane, angle in enumerate(group):
                    if angle.op == "input":
                        rows.load(angle, value)
                    whole = self.lines.emit(
                        f"insertelement {g.type} {whole}, {scalar} {value[angle.id]}, i32 {lane}"
                    )
            found[whole] = [a.id for a in group]
        return found

    def slots(self) -> str:
        """The line that makes room for what `keep` stores."""
        size = self.t.lanes * self.t.bytes
        return f"  %turned.angles = alloca [{max(1, self.vectors)} x {self.t.type}], align {size}"

    def keep(
        self, groups: list[list[int]], found: list[tuple[str, str]], turned: list[Node]
    ) -> None:
        """Store sines and cosines; ``turned`` are the nodes that they are the values of."""
        size = self.t.lanes * self.t.bytes
        for keys, pair in zip(groups, found, strict=True):
            for which, vector in zip(("sin", "cos"), pair, strict=True):
                place = self.lines.emit(
                    f"getelementptr i8, ptr %turned.angles, i64 {size * self.vectors}"
                )
                self.lines.lines.append(
                    f"  store {self.t.type} {vector}, ptr {place}, align {size}"
                )
                for node in turned:
                    if node.op == which and node.args[0].id in keys:
                        self.places[node.id] = self.vectors, keys.index(node.args[0].id)
                self.vectors += 1

    def take(self, ident: int) -> str:
        """Load the sine or cosine that is the node ``ident``."""
        vector, lane = self.places[ident]
        shift = (vector * self.t.lanes + lane) * self.t.bytes
        place = self.lines.emit(f"getelementptr i8, ptr %turned.angles, i64 {shift}")
        return self.lines.emit(f"load {self.t.scalar}, ptr {place}, align {self.t.bytes}")
