"""Reading and writing rows of states: (B, n) arrays to one vector a column, and back.

Arrays of few columns are taken from whole rows by shuffles; wider ones are transposed in squares
of as many columns as a vector has lanes.
"""

from __future__ import annotations

from kinematics.programs.graph import Node
from kinematics.programs.llvm_lines import Lines
from kinematics.programs.program import Port

NARROW = 4  # columns: so few are taken from whole rows by shuffles, not transposed


class Rows:
    """The rows ``%row`` and following of a program's arrays, as text added to ``lines``."""

    def __init__(self, lines: Lines, ports: tuple[Port, ...], wanted: dict[int, int]):
        self.lines = lines
        self.t = lines.t
        self.ports = ports
        self.wanted = wanted  # columns that the program uses: input number to node
        self.bases: dict[str, str] = {}

    def load(self, node: Node, value: dict[int, str]) -> None:
        """Load the columns that stand with ``node``'s, and transpose those that are used."""
        if node.id in value:
            return
        t = self.t
        port = next(p for p in self.ports if any(n.value == node.value for n in p.nodes))
        columns = [n.value for n in port.nodes]
        at = columns.index(node.value)
        if t.lanes == 1:
            address = self._pointer(f"%{port.name}", port.size, 0, at)
            value[node.id] = self.lines.emit(f"load {t.scalar}, ptr {address}, align {t.bytes}")
            return
        if port.size <= NARROW:
            parts = []
            for k in range(port.size):
                address = self._pointer(f"%{port.name}", port.size, 0, k * t.lanes)
                parts.append(self._load(address, t.lanes))
            for k, column in enumerate(columns):
                if column in self.wanted:
                    places = [port.size * lane + k for lane in range(t.lanes)]
                    value[self.wanted[column]] = self.lines.gather(parts, places)
            return
        first, width = next(c for c in _chunks(port.size, t.lanes) if c[0] <= at < sum(c))
        rows = []
        for lane in range(t.lanes):
            address = self._pointer(f"%{port.name}", port.size, lane, first)
            rows.append(self._load(address, width))
        turned = self.lines.transpose(rows)
        for k in range(first, first + width):
            if columns[k] in self.wanted:
                value[self.wanted[columns[k]]] = turned[k - first]

    def store(self, outputs: list[str]) -> None:
        t = self.t
        size = len(outputs)
        if t.lanes > 1 and size <= NARROW:
            for k in range(size):
                flat = range(k * t.lanes, (k + 1) * t.lanes)
                places = [(f % size) * t.lanes + f // size for f in flat]
                row = self.lines.gather(outputs, places)
                address = self._pointer("%out", size, 0, k * t.lanes)
                self._write(f"store {t.type} {row}, ptr {address}, align {t.bytes}")
            return
        for first, width in _chunks(size, t.lanes):
            if t.lanes == 1:
                address = self._pointer("%out", size, 0, first)
                self._write(f"store {t.scalar} {outputs[first]}, ptr {address}, align {t.bytes}")
                continue
            columns = outputs[first : first + width]
            rows = self.lines.transpose(columns + ["undef"] * (t.lanes - width))
            for lane, row in enumerate(rows):
                address = self._pointer("%out", size, lane, first)
                if width == t.lanes:
                    self.lines.lines.append(
                        f"  store {t.type} {row}, ptr {address}, align {t.bytes}"
                    )
                else:
                    function = f"@llvm.masked.store.{t.suffix}.p0"
                    self.lines.used[function] = (
                        f"declare void {function}({t.type}, ptr, i32, {t.mask})"
                    )
                    self._write(
                        f"call void {function}({t.type} {row}, ptr {address}, i32 {t.bytes}, "
                        f"{t.mask} {self._lanes_below(width)})"
                    )

    def _pointer(self, base: str, columns: int, lane: int, column: int) -> str:
        """The address of one element: row ``%row + lane``, column ``column``."""
        start = self.bases.get(base)
        if start is None:
            offset = self.lines.emit(f"mul i64 %row, {columns}")
            start = self.lines.emit(
                f"getelementptr inbounds {self.t.scalar}, ptr {base}, i64 {offset}"
            )
            self.bases[base] = start
        shift = lane * columns + column
        return self.lines.emit(f"getelementptr inbounds {self.t.scalar}, ptr {start}, i64 {shift}")

    def _load(self, address: str, width: int) -> str:
        t = self.t
        if width == t.lanes:
            return self.lines.emit(f"load {t.type}, ptr {address}, align {t.bytes}")
        function = f"@llvm.masked.load.{t.suffix}.p0"
        self.lines.used[function] = f"declare {t.type} {function}(ptr, i32, {t.mask}, {t.type})"
        return self.lines.emit(
            f"call {t.type} {function}(ptr {address}, i32 {t.bytes}, "
            f"{t.mask} {self._lanes_below(width)}, {t.type} zeroinitializer)"
        )

    def _write(self, text: str) -> None:
        self.lines.lines.append(f"  {text}")

    def _lanes_below(self, width: int) -> str:
        return "<" + ", ".join(f"i1 {int(k < width)}" for k in range(self.t.lanes)) + ">"


def _chunks(size: int, lanes: int) -> list[tuple[int, int]]:
    """Column ranges (first, width) of at most ``lanes`` columns that cover ``size`` columns."""
    return [(k, min(lanes, size - k)) for k in range(0, size, lanes)]
