"""From expressions to instructions: fused multiply-adds, and an order that spares registers.

Three steps, each of which leaves the meaning alone up to rounding:

1. Sums are regrouped so that as many products as possible become fused multiply-adds. Only terms
   made within `REACH` nodes of each other are regrouped: pulling far ones together keeps their
   operands alive and costs more loads and stores than it saves.
2. Products used once are fused into the sums that use them.
3. Instructions are ordered: sines and cosines first, then greedily by register pressure among
   the next `WINDOW` instructions, in traced order; where there are registers enough, with some
   preference (`LATENCY_WEIGHT`, less in long programs) for those on which a long chain of others
   depends.
"""

from __future__ import annotations

from dataclasses import dataclass

from kinematics.programs.graph import Graph, Node, reachable
from kinematics.programs.program import TRIG, Program

REACH = 40
MANY = 32  # registers
WINDOW = {MANY: 50, 16: 25}
LATENCY_WEIGHT = 0.25
LONG = 3000  # instructions
LATENCY_WEIGHT_WHEN_LONG = 0.1
LATENCY = {"div": 24, "sin": 60, "cos": 60}  # cycles, of 4 for the rest


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Ordered nodes over a graph of their own, and the nodes that are the outputs."""

    order: list[Node]
    outputs: list[Node]

    @property
    def count(self) -> int:
        """How many machine operations the order holds (numbers, inputs and signs excluded)."""
        return sum(n.op not in ("const", "input", "neg") for n in self.order)


def lower(program: Program, *, registers: int = MANY, reach: int = REACH) -> Instructions:
    """Fused instructions for ``program``, in an order for a machine of 16 or 32 ``registers``."""
    graph = Graph()
    outputs = _fuse(program, graph, reach)
    live = reachable(outputs)
    wanted = _by_latency(live) if registers == MANY else live
    order = schedule(wanted, outputs, WINDOW[registers])
    return Instructions(order=order, outputs=outputs)


def _by_latency(live: list[Node]) -> list[Node]:
    """Traced order, moved towards that of the longest chain of instructions that still depends."""
    ahead = {n.id: 0 for n in live}
    for node in reversed(live):
        free = node.op in ("const", "input", "neg")
        ahead[node.id] += 0 if free else LATENCY.get(node.op, 4)
        for arg in node.args:
            ahead[arg.id] = max(ahead[arg.id], ahead[node.id])
    weight = LATENCY_WEIGHT if len(live) < LONG else LATENCY_WEIGHT_WHEN_LONG
    place = {n.id: (1 - weight) * k - weight * ahead[n.id] for k, n in enumerate(live)}
    return sorted(live, key=lambda n: place[n.id])  # operands stay before their users


def _uses(nodes: list[Node], outputs: list[Node]) -> dict[int, int]:
    uses = {n.id: 0 for n in nodes}
    for node in nodes:
        for arg in node.args:
            uses[arg.id] += 1
    for node in outputs:
        uses[node.id] += 1
    return uses


def _fuse(program: Program, graph: Graph, reach: int) -> list[Node]:
    nodes = program.nodes
    outputs = program.outputs.ravel().tolist()
    sums = _sums(nodes, outputs, reach)
    formed = _formed(nodes, outputs, sums)
    new: dict[int, Node] = {}
    for node in nodes:
        if node.op in ("const", "input"):
            new[node.id] = graph._node(node.op, (), node.value)
        elif node.id in sums:
            new[node.id] = _sum(graph, sums[node.id], new, formed)
        elif node.op in ("add", "sub") or (node.op == "mul" and node.id not in formed):
            continue  # part of the sums that use it
        else:
            args = tuple(new[a.id] for a in node.args)
            new[node.id] = graph.apply(node.op, args, node.value)
    return [new[n.id] for n in outputs]


def _sums(nodes: list[Node], outputs: list[Node], reach: int) -> dict[int, list[tuple[int, Node]]]:
    """Sums with their signed terms; a sum used once, soon after, is part of the sum using it."""
    uses = _uses(nodes, outputs)
    position = {n.id: k for k, n in enumerate(nodes)}
    absorbed: set[int] = set()
    for node in nodes:
        if node.op in ("add", "sub"):
            for arg in node.args:
                if (
                    arg.op in ("add", "sub")
                    and uses[arg.id] == 1
                    and position[node.id] - position[arg.id] <= reach
                ):
                    absorbed.add(arg.id)

    def terms(node: Node, sign: int) -> list[tuple[int, Node]]:
        out = []
        for arg, s in zip(node.args, (sign, sign if node.op == "add" else -sign), strict=True):
            out += terms(arg, s) if arg.id in absorbed else [(s, arg)]
        return out

    return {n.id: terms(n, 1) for n in nodes if n.op in ("add", "sub") and n.id not in absorbed}


def _formed(
    nodes: list[Node], outputs: list[Node], sums: dict[int, list[tuple[int, Node]]]
) -> set[int]:
    """The products that must be formed by themselves.

    A product that is used in sums only costs nothing: each of them takes it in as a fused
    multiply-add, however many there are. But a sum of products alone has to start from one.
    """
    formed = {n.id for n in outputs if n.op == "mul"}
    for node in nodes:
        if node.op not in ("add", "sub"):
            formed |= {a.id for a in node.args if a.op == "mul"}
    count: dict[int, int] = {}
    for terms in sums.values():
        for _, term in terms:
            count[term.id] = count.get(term.id, 0) + 1
    starting = [t for t in sums.values() if all(x.op == "mul" for _, x in t)]
    # a product shared by several such sums serves them all
    starts: dict[int, int] = {}
    for terms in starting:
        for _, x in terms:
            starts[x.id] = starts.get(x.id, 0) + 1
    for terms in starting:
        if not any(x.id in formed for _, x in terms):
            best = max(terms, key=lambda t: (starts[t[1].id] - count[t[1].id], t[0], -t[1].id))
            formed.add(best[1].id)
    return formed


def _sum(
    graph: Graph, parts: list[tuple[int, Node]], new: dict[int, Node], formed: set[int]
) -> Node:
    """One accumulator: plain terms first, then every product as a fused multiply-add."""
    plain = [(s, new[n.id]) for s, n in parts if n.op != "mul" or n.id in formed]
    products = [
        (s, new[n.args[0].id], new[n.args[1].id])
        for s, n in parts
        if n.op == "mul" and n.id not in formed
    ]
    plain.sort(key=lambda t: (-t[0], t[1].id))
    products.sort(key=lambda t: max(t[1].id, t[2].id))
    sign, total = plain[0]
    for s, node in plain[1:]:
        total = graph.add(total, node) if s == sign else graph.sub(total, node)
    # a leading minus is carried to the end or into the first fused form
    for s, a, b in products:
        total, sign = _fused(graph, total, sign, s, a, b)
    return total if sign > 0 else graph.neg(total)


def _fused(graph: Graph, total: Node, sign: int, s: int, a: Node, b: Node) -> tuple[Node, int]:
    if a.op == "neg":
        a, s = a.args[0], -s
    if b.op == "neg":
        b, s = b.args[0], -s
    if total.op == "neg":
        total, sign = total.args[0], -sign
    if a.id > b.id:
        a, b = b, a
    if sign > 0:
        return graph._node("fma" if s > 0 else "fnma", (a, b, total)), 1
    if s > 0:
        return graph._node("fms", (a, b, total)), 1
    return graph._node("fma", (a, b, total)), -1


def schedule(live: list[Node], outputs: list[Node], window: int) -> list[Node]:
    """An order of ``live`` (operands first) that keeps few values alive at once."""
    uses = _uses(live, outputs)
    first = _closure(n for n in live if n.op in TRIG)
    head = [n for n in live if n.id in first]
    rest = [n for n in live if n.id not in first and n.op not in ("const", "input")]
    lead = [n for n in live if n.op in ("const", "input") and n.id not in first]
    done = {n.id for n in head} | {n.id for n in lead}
    for node in head:
        for arg in node.args:
            uses[arg.id] -= 1
    order = lead + head
    waiting: list[Node] = rest[:window]
    upcoming = window
    while waiting:
        best = None
        best_score = -99
        for node in waiting:
            score = 0
            for arg in node.args:
                if arg.id not in done:
                    break
                if uses[arg.id] == 1 and arg.op != "const":
                    score += 1
            else:
                if score > best_score:
                    best, best_score = node, score
                    if score >= 2:
                        break
        assert best is not None, "operands come before their users"
        waiting.remove(best)
        order.append(best)
        done.add(best.id)
        for arg in best.args:
            uses[arg.id] -= 1
        if upcoming < len(rest):
            waiting.append(rest[upcoming])
            upcoming += 1
    return order


def _closure(seeds) -> set[int]:
    return {n.id for n in reachable(seeds)}
