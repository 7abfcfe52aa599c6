"""Reading and writing rows of states: (B, n) arrays to one vector a column, and back.

Arrays of few columns are taken from whole rows by shuffles; wider ones are transposed in squares
of as many columns as a vector has lanes, or four by four where a vector has eight.

While one block of states is worked on, the rows of a later one are called into the cache, and room
is made there for its own answers: a batch that outgrows the cache then costs as little as one that
fits (a quarter less time for 38 velocities and 4096 states).
"""

from __future__ import annotations

from kinematics.programs.graph import Node
from kinematics.programs.program import Port
from kinematics.programs.source.llvm_text import Lines, VectorType

AHEAD = 2  # blocks of states: how early rows are called into the cache
LINE = 64  # bytes that the cache fetches at once
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
        if t.wide:
            first = next(k for k in starts(port.size, 4) if k <= at < k + 4)
            four = VectorType(t.dtype, 4)
            rows = [
                self._load(self._pointer(f"%{port.name}", port.size, lane, first), 4, four)
                for lane in range(t.lanes)
            ]
            for column, turned in zip(
                columns[first : first + 4], self.lines.columns_of_four(rows), strict=True
            ):
                if column in self.wanted:  # where groups overlap, either will do
                    value.setdefault(self.wanted[column], turned)
            return
        width = min(t.lanes, port.size)
        first = next(k for k in starts(port.size, width) if k <= at < k + width)
        rows = []
        for lane in range(t.lanes):
            address = self._pointer(f"%{port.name}", port.size, lane, first)
            rows.append(self._load(address, width))
        square = self.lines.transpose(rows)
        for k in range(first, first + width):
            if columns[k] in self.wanted:
                value.setdefault(self.wanted[columns[k]], square[k - first])

    def run_of(self, nodes: list[Node], t: VectorType) -> str | None:
        """Inputs that stand side by side, as one vector of the type ``t`` with zeros after them;
        None where they do not."""
        for port in self.ports:
            columns = [n.value for n in port.nodes]
            wanted = [n.value for n in nodes]
            if all(n.op == "input" for n in nodes) and wanted[0] in columns:
                first = columns.index(wanted[0])
                if columns[first : first + len(wanted)] == wanted:
                    address = self._pointer(f"%{port.name}", port.size, 0, first)
                    return self._load(address, len(nodes), t)
        return None

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
        if t.wide:
            for first in starts(size, 4):
                rows = self.lines.rows_of_four(outputs[first : first + 4])
                for lane, row in enumerate(rows):
                    address = self._pointer("%out", size, lane, first)
                    self._write(f"store <4 x {t.scalar}> {row}, ptr {address}, align {t.bytes}")
            return
        width = min(t.lanes, size)
        for first in starts(size, width):
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
                        f"{t.mask} {lanes_below(width, t.lanes)})"
                    )

    def prefetch(self, outputs: int) -> list[list[str]]:
        """Groups of lines, each of which calls one line of the cache: where the answers of this
        block will stand, and the inputs of the block after next. Past the end of an array that
        does nothing."""
        t = self.t
        if t.lanes == 1:
            return []
        function = "@llvm.prefetch.p0"
        self.lines.used[function] = f"declare void {function}(ptr, i32, i32, i32)"
        wanted = [("out", outputs, 0, 1)]
        wanted += [(port.name, port.size, AHEAD * t.lanes, 0) for port in self.ports]
        groups = []
        for name, columns, ahead, write in wanted:
            if not columns:
                continue
            row, offset, start = (self.lines.fresh() for _ in range(3))
            head = [
                f"  {row} = add i64 %row, {ahead}",
                f"  {offset} = mul i64 {row}, {columns * t.bytes}",
                f"  {start} = getelementptr i8, ptr %{name}, i64 {offset}",
            ]
            for shift in range(0, columns * t.bytes * t.lanes, LINE):
                place = self.lines.fresh()
                groups.append(
                    [
                        *head,
                        f"  {place} = getelementptr i8, ptr {start}, i64 {shift}",
                        f"  call void {function}(ptr {place}, i32 {write}, i32 3, i32 1)",
                    ]
                )
                head = []
        return groups

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

    def _load(self, address: str, width: int, t: VectorType | None = None) -> str:
        t = t or self.t
        if width == t.lanes:
            return self.lines.emit(f"load {t.type}, ptr {address}, align {t.bytes}")
        function = f"@llvm.masked.load.{t.suffix}.p0"
        self.lines.used[function] = f"declare {t.type} {function}(ptr, i32, {t.mask}, {t.type})"
        return self.lines.emit(
            f"call {t.type} {function}(ptr {address}, i32 {t.bytes}, "
            f"{t.mask} {lanes_below(width, t.lanes)}, {t.type} zeroinitializer)"
        )

    def _write(self, text: str) -> None:
        self.lines.lines.append(f"  {text}")


def lanes_below(width: int, lanes: int) -> str:
    """A mask of the first ``width`` lanes."""
    return "<" + ", ".join(f"i1 {int(k < width)}" for k in range(lanes)) + ">"


def starts(size: int, width: int) -> list[int]:
    """Where groups of ``width`` columns begin that cover ``size`` of them; the last one reaches
    back over some of the group before it rather than beyond the end, since what reads and writes
    part of a vector takes several times as long on some processors."""
    return [min(k, size - width) for k in range(0, size, width)]
