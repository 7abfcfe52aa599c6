"""Angles that are given as cosine and sine: a program's sines and cosines by addition theorems.

cos(q + x) = cos q cos x - sin q sin x: where a program needs an angle for nothing but the sine and
cosine of sums with it, the angle itself is never computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kinematics.programs.graph import Graph, Node, reachable

Pair = tuple[Node, Node]  # cosine and sine


def with_angle_pairs(
    graph: Graph, outputs: np.ndarray, angles: Sequence[Node], pairs: Sequence[Pair]
) -> np.ndarray:
    """``outputs`` (…) where the nodes ``angles`` stand for the angles of the unit vectors
    ``pairs``; what needs an angle itself has it by atan2."""
    return _Rewriting(graph, dict(zip((n.id for n in angles), pairs, strict=True))).of(outputs)


class _Rewriting:
    def __init__(self, graph: Graph, given: Mapping[int, Pair]) -> None:
        self.graph = graph
        self.pairs: dict[int, Pair | None] = dict(given)
        self.new: dict[int, Node] = {}
        self.given = given

    def of(self, outputs: np.ndarray) -> np.ndarray:
        for node in reachable(outputs.ravel().tolist()):
            # a sum that only stands inside sines and cosines is made when it is asked for
            if node.op in ("sin", "cos") and self._angular(node.args[0]):
                cosine, sine = self._pair(node.args[0])
                self.new[node.id] = cosine if node.op == "cos" else sine
        out = np.empty(outputs.size, dtype=object)
        out[:] = [self._node(node) for node in outputs.ravel().tolist()]
        return out.reshape(outputs.shape)

    def _angular(self, node: Node) -> bool:
        """Whether the node is a sum with a given angle in it."""
        if node.id in self.given:
            return True
        return node.op in ("add", "sub", "neg") and any(self._angular(a) for a in node.args)

    def _pair(self, node: Node) -> Pair:
        """Cosine and sine of a node."""
        known = self.pairs.get(node.id)
        if known is None:
            known = self.pairs[node.id] = self._made(node)
        return known

    def _made(self, node: Node) -> Pair:
        graph = self.graph
        if not self._angular(node):
            inner = self._node(node)
            return graph.call("cos", inner), graph.call("sin", inner)
        c, s = self._pair(node.args[0])
        if node.op == "neg":
            return c, -s
        d, t = self._pair(node.args[1])
        t = -t if node.op == "sub" else t
        return c * d - s * t, s * d + c * t

    def _node(self, node: Node) -> Node:
        """The node over the new inputs; without recursion, since programs are long."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top.id in self.new:
                stack.pop()
            elif top.id in self.given:
                cosine, sine = self.given[top.id]
                self.new[top.id] = self.graph.call2("atan2", sine, cosine)
            elif missing := [a for a in top.args if a.id not in self.new]:
                stack += missing
            else:
                args = tuple(self.new[a.id] for a in top.args)
                self.new[top.id] = self.graph.apply(top.op, args, top.value) if args else top
        return self.new[node.id]
