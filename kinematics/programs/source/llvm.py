"""LLVM source of a program: a loop over blocks of states, one lane a state.

The kernel reads and writes row-major (B, n) arrays. Inside, a block of ``lanes`` states is
transposed to one vector a coordinate, runs through the straight-line program, and is transposed
back. The last block is moved back to end at the last state, so it may do some states twice; a
batch smaller than a block must be padded by the caller, or go to a one-lane kernel.
"""

from __future__ import annotations

from kinematics.programs.graph import Node, reachable
from kinematics.programs.program import TRIG, Program
from kinematics.programs.source.llvm_angles import TOGETHER, AnglesOfOneState, all_at_once
from kinematics.programs.source.llvm_elementary import OWN, elementary_function
from kinematics.programs.source.llvm_functions import (
    declarations,
    sincos_function,
    tanh_declarations,
    tanh_function,
)
from kinematics.programs.source.llvm_rows import Rows
from kinematics.programs.source.llvm_text import Constants, Lines, VectorType, literal
from kinematics.programs.source.lowering import Instructions, lower

SIDE_BY_SIDE = 3  # angles whose sines are computed at once where registers are few
NARROW_BITS = 256  # of a vector, without AVX-512

INTRINSIC = {
    "tan": "tan",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "exp": "exp",
    "log": "log",
    "sqrt": "sqrt",
    "abs": "fabs",
    "pow": "pow",
    "atan2": "atan2",
    "min": "minimum",
    "max": "maximum",
    "floor": "floor",
}
COMPARED = {"lt": "olt", "le": "ole", "eq": "oeq"}
ARCS = ("asin", "acos", "atan")


def llvm_source(
    program: Program,
    dtype: str = "float64",
    lanes: int = 8,
    *,
    name: str = "kernel",
    instructions: Instructions | None = None,
    wide: bool = False,
    pack: int = 1,
) -> str:
    """LLVM text with ``void <name>(in…, out, begin, end)`` for states ``begin`` to ``end``.

    ``wide``: for AVX-512, with sines by table, and reciprocals by the 14-bit estimate and one step
    to the full 53 bits (within 2 units in the last place), which unlike a division leaves the
    units free. Otherwise registers are few: angles are worked on three at a time, and constants
    are operands in memory.
    ``pack``: with one lane, how many angles of the state a vector may hold.
    """
    steps = instructions or lower(program)
    return _Writer(program, steps, VectorType(dtype, lanes, wide=wide), name, pack, wide).text()


class _Writer(Lines):
    def __init__(
        self,
        program: Program,
        steps: Instructions,
        t: VectorType,
        name: str,
        pack: int,
        wide: bool,
    ):
        super().__init__(t)
        self.abreast = 1 if wide else SIDE_BY_SIDE
        one_register = 1 < t.lanes <= NARROW_BITS // t.bits
        self.constants = Constants(self) if one_register and not wide else None
        self.program = program
        self.steps = steps
        self.name = name
        self.tanh = False
        self.own: dict[str, str] = {}  # functions of llvm_elementary, by name
        self.tables: dict[tuple[float, ...], str] = {}
        self.pairs: dict[str, str] = {}
        self.pack = pack
        self.apart: AnglesOfOneState | None = None
        wanted = {n.value: n.id for n in steps.order if n.op == "input"}
        self.rows = Rows(self, program.ports, wanted)

    def text(self) -> str:
        t = self.t
        ports = self.program.ports
        pointers = "".join(f"ptr noalias %{p.name}, " for p in ports)
        head = [
            f"define void @{self.name}({pointers}ptr noalias %out, i64 %begin, i64 %end) #0 {{",
            "entry:",
            f"  %last = sub i64 %end, {t.lanes}",
            "  %some = icmp slt i64 %begin, %end",
            "  br i1 %some, label %block, label %leave",
            "block:",
            "  %i = phi i64 [ %begin, %entry ], [ %next, %latch ]",
            "  %inside = icmp slt i64 %i, %last",
            "  %row = select i1 %inside, i64 %i, i64 %last",
        ]
        value: dict[int, str] = {}
        first = self._first_angles(value)
        for node in self.steps.order:
            if node.id not in first:
                self._need(node, value)
        if self.apart is not None:
            head.insert(2, self.apart.slots())
        for node in self.steps.outputs:
            self._need(node, value)
        self.rows.store([value[n.id] for n in self.steps.outputs])
        self._spread(self.rows.prefetch(len(self.steps.outputs)))
        tail = [
            "  br label %latch",
            "latch:",
            f"  %next = add i64 %i, {t.lanes}",
            "  %more = icmp slt i64 %next, %end",
            "  br i1 %more, label %block, label %leave",
            "leave:",
            "  ret void",
            "}",
        ]
        needed = dict.fromkeys(declarations(t))
        needed.update(dict.fromkeys(self.used.values()))
        functions = [sincos_function(t)]
        widest = t.lanes
        if self.apart is not None:
            widest = self.apart.t.lanes
            functions.append(sincos_function(self.apart.t, TOGETHER))
            needed.update(dict.fromkeys(declarations(self.apart.t)))
        if self.tanh:
            functions.append(tanh_function(t))
            needed.update(dict.fromkeys(tanh_declarations(t)))
        functions += self.own.values()
        functions += [
            f"{name} = internal constant [{len(numbers)} x {t.scalar}] "
            f"[{', '.join(f'{t.scalar} {literal(x, t.dtype)}' for x in numbers)}], align 64"
            for numbers, name in self.tables.items()
        ]
        bits = widest * t.bits
        width = f'"min-legal-vector-width"="{bits}" "prefer-vector-width"="{bits}"'
        attributes = [
            # a frame pointer lets spilled vectors lie on whole cache lines
            f'attributes #0 = {{ nounwind "frame-pointer"="all" "stackrealign" {width} }}',
            f"attributes #1 = {{ nounwind noinline {width} }}",
        ]
        if self.constants is not None:
            functions.append(self.constants.text())
        return "\n".join([*head, *self.lines, *tail, *functions, *needed, *attributes, ""])

    def _need(self, node: Node, value: dict[int, str]) -> None:
        """Text for ``node``, whose operands have theirs; inputs are loaded at their first use."""
        if node.id in value:
            return
        if node.op == "const":
            value[node.id] = self.t.const(node.value)
        elif self.apart is not None and node.id in self.apart.places:
            value[node.id] = self.apart.take(node.id)
        elif node.op != "input":
            for arg in node.args:
                if arg.op == "input":
                    self.rows.load(arg, value)
                elif arg.id not in value:
                    self._need(arg, value)  # a sine or cosine of one state
            value[node.id] = self._operation(node, value)
        elif any(node is n for n in self.steps.outputs):
            self.rows.load(node, value)

    def _spread(self, asides: list[list[str]]) -> None:
        """Put each of ``asides`` somewhere among the lines, evenly, after the sines and cosines."""
        begin = self.lines.index("main:") + 1 if "main:" in self.lines else 0
        while begin < len(self.lines) and " = phi " in self.lines[begin]:
            begin += 1
        count = len(self.lines) - begin
        places = [begin + count * k // len(asides) for k in range(len(asides))]
        for place, lines in sorted(zip(places, asides, strict=True), reverse=True):
            self.lines[place:place] = lines

    def _first_angles(self, value: dict[int, str]) -> set[int]:
        """Sines and cosines that no other ones lead to, all at once, before everything else.

        One test serves them all: if the sum of the squared angles is too large for the
        straight-line form, each is done again by the function that takes any angle. With one
        state at a time, its angles share vectors (`AnglesOfOneState`).
        """
        depth: dict[int, int] = {}
        for node in self.steps.order:
            below = max((depth[a.id] for a in node.args), default=0)
            depth[node.id] = below + (node.op in TRIG)
        turned = [n for n in self.steps.order if n.op in ("sin", "cos") and depth[n.id] == 1]
        angles = {n.args[0].id: n.args[0] for n in turned}
        if not angles:
            return set()
        done = {n.id for n in reachable(angles.values())}
        for node in self.steps.order:
            if node.id in done:
                self._need(node, value)
        if self.t.lanes == 1 and len(angles) > 1:
            self.apart = AnglesOfOneState(self, len(angles), self.pack)
            packed = self.apart.gather(list(angles.values()), value, self.rows)
            g = self.apart.t
        else:
            packed = {}
            for key, angle in angles.items():
                if angle.op == "input":
                    self.rows.load(angle, value)
                packed[value[key]] = [key]
            g = self.t
        found = all_at_once(self, g, list(packed), self.abreast)
        if g is self.t:
            both = {keys[0]: pair for keys, pair in zip(packed.values(), found, strict=True)}
            for node in turned:
                value[node.id] = both[node.args[0].id][node.op == "cos"]
        else:
            assert self.apart is not None
            self.apart.keep(list(packed.values()), found, turned)
        return done | {n.id for n in turned}

    def _operand(self, node: Node, value: dict[int, str]) -> str:
        if node.op == "const" and self.constants is not None:
            return self.constants.load(node.value)
        return value[node.id]

    def _operation(self, node: Node, value: dict[int, str]) -> str:
        v = self.t.type
        args = [self._operand(a, value) for a in node.args]
        op = node.op
        if op == "div" and self.t.wide and node.args[0].op == "const":
            one = self._reciprocal(args[1])
            return one if node.args[0].value == 1.0 else self.emit(f"fmul {v} {args[0]}, {one}")
        if op in ("add", "sub", "mul", "div"):
            return self.emit(f"f{op} {v} {args[0]}, {args[1]}")
        if op == "neg":
            return self.emit(f"fneg {v} {args[0]}")
        if op == "fma":
            return self.call("fma", args)
        if op == "fms":
            args[2] = self.emit(f"fneg {v} {args[2]}")
            return self.call("fma", args)
        if op == "fnma":
            args[0] = self.emit(f"fneg {v} {args[0]}")
            return self.call("fma", args)
        if op in ("sin", "cos"):
            return self._sincos(node, args[0])
        if op == "sign":
            one, zero = self.t.const(1.0), self.t.const(0.0)
            unit = self.call("copysign", [one, args[0]])
            null = self.emit(f"fcmp oeq {v} {args[0]}, {zero}")
            return self.emit(f"select {self.t.mask} {null}, {v} {zero}, {v} {unit}")
        if op in COMPARED:
            return self.emit(f"fcmp {COMPARED[op]} {v} {args[0]}, {args[1]}")
        if op in ("and", "or"):
            return self.emit(f"{op} {self.t.mask} {args[0]}, {args[1]}")
        if op == "not":
            return self.emit(f"xor {self.t.mask} {args[0]}, {self.t.truth}")
        if op == "select":
            return self.emit(f"select {self.t.mask} {args[0]}, {v} {args[1]}, {v} {args[2]}")
        if op == "entry":
            return self._entry(node.value, args[0])
        if op in ("min", "max") and "const" in (node.args[0].op, node.args[1].op):
            # one instruction; written so that NaN passes
            c, x = args if node.args[0].op == "const" else args[::-1]
            beyond = self.emit(f"fcmp {'olt' if op == 'min' else 'ogt'} {v} {c}, {x}")
            return self.emit(f"select {self.t.mask} {beyond}, {v} {c}, {v} {x}")
        if op in (*OWN, *ARCS) and self.t.dtype == "float64":
            return self._elementary(op, args)
        if op == "tanh" and self.t.dtype == "float64":
            self.tanh = True
            return self.emit(f"call {v} @vector_tanh({v} {args[0]})")
        return self.call(INTRINSIC[op], args)

    def _elementary(self, op: str, args: list[str]) -> str:
        """A call of a function of our own; the arcs by that of two arguments."""
        v, one = self.t.type, self.t.const(1.0)
        if op in ARCS:
            other = one
            if op != "atan":
                less = self.emit(f"fsub {v} {one}, {args[0]}")
                more = self.emit(f"fadd {v} {one}, {args[0]}")
                other = self.call("sqrt", [self.emit(f"fmul {v} {less}, {more}")])
            op, args = "atan2", [other, args[0]] if op == "acos" else [args[0], other]
        if op not in self.own:
            self.own[op], used = elementary_function(self.t, op)
            self.used.update(used)
        return self.emit(f"call {v} @vector_{op}({', '.join(f'{v} {a}' for a in args)})")

    def _entry(self, numbers: tuple[float, ...], index: str) -> str:
        """A number of a table, lane by lane; NaN and what is outside count as the ends."""
        t = self.t
        for compare, end in (("oge", 0.0), ("ole", float(len(numbers) - 1))):
            fits = self.emit(f"fcmp {compare} {t.type} {index}, {t.const(end)}")
            index = self.emit(f"select {t.mask} {fits}, {t.type} {index}, {t.type} {t.const(end)}")
        table = self.tables.setdefault(numbers, f"@table{len(self.tables)}")
        small = t.integer.replace(f"i{t.bits}", "i32")
        whole = self.emit(f"fptosi {t.type} {index} to {small}")
        if t.lanes == 1:
            place = self.emit(f"getelementptr {t.scalar}, ptr {table}, {small} {whole}")
            return self.emit(f"load {t.scalar}, ptr {place}")
        found = "undef"
        for k in range(t.lanes):
            at = self.emit(f"extractelement {small} {whole}, i32 {k}")
            place = self.emit(f"getelementptr {t.scalar}, ptr {table}, i32 {at}")
            one = self.emit(f"load {t.scalar}, ptr {place}")
            found = self.emit(f"insertelement {t.type} {found}, {t.scalar} {one}, i32 {k}")
        return found

    def _reciprocal(self, x: str) -> str:
        """1/x: estimate y with e = 1 - x y below 2⁻¹⁴, then y (1 + e) (1 + e²)."""
        v, one = self.t.type, self.t.const(1.0)
        function = "@llvm.x86.avx512.rcp14.pd.512"
        self.used[function] = f"declare {v} {function}({v}, {v}, i8)"
        y = self.emit(f"call {v} {function}({v} {x}, {v} zeroinitializer, i8 -1)")
        minus = self.emit(f"fneg {v} {x}")
        e = self.call("fma", [minus, y, one])
        square = self.emit(f"fmul {v} {e}, {e}")
        better = self.call("fma", [y, e, y])
        return self.call("fma", [better, square, better])

    def _sincos(self, node: Node, argument: str) -> str:
        key = f"sincos {argument}"
        pair = f"{{{self.t.type}, {self.t.type}}}"
        if key not in self.pairs:
            self.pairs[key] = self.emit(f"call {pair} @sincos({self.t.type} {argument})")
        return self.emit(f"extractvalue {pair} {self.pairs[key]}, {0 if node.op == 'sin' else 1}")
