"""From expressions to instructions: fused multiply-adds, and an order that spares registers.

Three steps, each of which leaves the meaning alone up to rounding:

1. Sums are regrouped so that as many products as possible become fused multiply-adds. Only terms
   made within `REACH` nodes of each other are regrouped: pulling far ones together keeps their
   operands alive and costs more loads and stores than it saves.
2. Products used once are fused into the sums that use them.
3. Instructions are ordered: sines and cosines first, then greedily by register pressure among
   the next `WINDOW` instructions in traced order.
"""

from __future__ import annotations

from dataclasses import dataclass

from kinematics.programs.graph import Graph, Node, reachable
from kinematics.programs.program import TRIG, Program

REACH = 40
WINDOW = 50


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Ordered nodes over a graph of their own, and the nodes that are the outputs."""

    order: list[Node]
    outputs: list[Node]

    @property
    def count(self) -> int:
        """How many machine operations the order holds (numbers, inputs and signs excluded)."""
        return sum(n.op not in ("const", "input", "neg") for n in self.order)


def lower(program: Program, *, window: int = WINDOW, reach: int = REACH) -> Instructions:
    """Fused and ordered instructions for ``program``."""
    graph = Graph()
    outputs = _fuse(program, graph, reach)
    live = reachable(outputs)
    return Instructions(order=schedule(live, outputs, window), outputs=outputs)


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
    uses = _uses(nodes, outputs)
    position = {n.id: k for k, n in enumerate(nodes)}
    absorbed: set[int] = set()  # sums that a later sum takes over term by term
    for node in nodes:
        if node.op in ("add", "sub"):
            for arg in node.args:
                if (
                    arg.op in ("add", "sub")
                    and uses[arg.id] == 1
                    and position[node.id] - position[arg.id] <= reach
                ):
                    absorbed.add(arg.id)
    new: dict[int, Node] = {}

    def terms(node: Node, sign: int, out: list[tuple[int, Node]]) -> None:
        for arg, s in zip(node.args, (sign, sign if node.op == "add" else -sign), strict=True):
            if arg.id in absorbed:
                terms(arg, s, out)
            else:
                out.append((s, arg))

    def fusable(node: Node) -> bool:
        return node.op == "mul" and uses[node.id] == 1

    for node in nodes:
        if node.op in ("const", "input"):
            new[node.id] = graph._node(node.op, (), node.value)
        elif node.id in absorbed or fusable(node):
            continue  # made inside the sum that uses it, or below if nothing does
        elif node.op in ("add", "sub"):
            parts: list[tuple[int, Node]] = []
            terms(node, 1, parts)
            new[node.id] = _sum(graph, parts, new, fusable)
        else:
            new[node.id] = graph.apply(node.op, tuple(_made(graph, a, new) for a in node.args))
    return [_made(graph, n, new) for n in outputs]


def _made(graph: Graph, node: Node, new: dict[int, Node]) -> Node:
    found = new.get(node.id)
    if found is None:  # a product with one user that is no sum
        found = graph.apply(node.op, tuple(_made(graph, a, new) for a in node.args))
        new[node.id] = found
    return found


def _sum(graph: Graph, parts: list[tuple[int, Node]], new: dict[int, Node], fusable) -> Node:
    """One accumulator: plain terms first, then every product as a fused multiply-add."""
    plain = [(s, new[n.id]) for s, n in parts if not fusable(n)]
    products = [
        (s, _made(graph, n.args[0], new), _made(graph, n.args[1], new))
        for s, n in parts
        if fusable(n)
    ]
    plain.sort(key=lambda t: (-t[0], t[1].id))
    products.sort(key=lambda t: max(t[1].id, t[2].id))
    if plain:
        sign, total = plain[0]
        for s, node in plain[1:]:
            total = graph.add(total, node) if s == sign else graph.sub(total, node)
        # a leading minus is carried to the end or into the first fused form
    else:
        products.sort(key=lambda t: -t[0])
        sign, a, b = products.pop(0)
        total = graph.mul(a, b)
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
