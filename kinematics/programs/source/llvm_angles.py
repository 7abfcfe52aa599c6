"""Sines and cosines of all angles at once, and of one state's angles at the price of a few."""

from __future__ import annotations

from kinematics.programs.graph import Node
from kinematics.programs.source.llvm_functions import LIMIT, any_lane, sincos_lines
from kinematics.programs.source.llvm_rows import Rows
from kinematics.programs.source.llvm_text import Lines, VectorType

TOGETHER = "sincos_together"  # the function that takes any angles


def all_at_once(
    lines: Lines, t: VectorType, angles: list[str], abreast: int
) -> list[tuple[str, str]]:
    """Sine and cosine of each of the vectors ``angles``, of any size.

    Their straight-line texts are woven together, ``abreast`` at a time, since each by itself is a
    chain in which one instruction waits for another. One test serves them all: if the sum of the
    squared angles is too large for that form, each is done again by the function that takes any.
    """
    v = t.type
    fma = f"call {v} @llvm.fma.{t.suffix}"
    size = t.const(0.0)
    fast: list[tuple[str, str]] = []
    for first in range(0, len(angles), abreast):
        woven = []
        for k, x in enumerate(angles[first : first + abreast], first):
            size = lines.emit(f"{fma}({v} {x}, {v} {x}, {v} {size})")
            text, sine, cosine = sincos_lines(t, x, f"a{k}.")
            woven.append(text)
            fast.append((sine, cosine))
        lines.lines += [line for same in zip(*woven, strict=True) for line in same]
    far = lines.emit(f"fcmp ogt {v} {size}, {t.const(LIMIT[t.dtype] ** 2)}")
    lines.lines += any_lane(t, far, "%any")
    lines.lines += ["  br i1 %any, label %slow, label %main", "slow:"]
    slow: list[tuple[str, str]] = []
    pair = f"{{{v}, {v}}}"
    name = "sincos" if t is lines.t else TOGETHER
    for x in angles:
        both = lines.emit(f"call {pair} @{name}({v} {x})")
        sine = lines.emit(f"extractvalue {pair} {both}, 0")
        slow.append((sine, lines.emit(f"extractvalue {pair} {both}, 1")))
    lines.lines += ["  br label %main", "main:"]

    def either(quick: str, safe: str) -> str:
        return lines.emit(f"phi {v} [ {quick}, %block ], [ {safe}, %slow ]")

    return [(either(a[0], b[0]), either(a[1], b[1])) for a, b in zip(fast, slow, strict=True)]


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
