"""Derivatives of programs, as programs: reverse accumulation over the expression graph."""

from __future__ import annotations

import numpy as np

from kinematics.programs.graph import Graph, Node
from kinematics.programs.program import Program, ProgramError, make_program


def pullback(program: Program) -> Program:
    """The vector-Jacobian product: the inputs of ``program`` and one weight an output to the
    gradients of the weighted sum of outputs, all inputs' columns side by side.

    Costs a small multiple of the program itself, whatever the number of inputs (Griewank and
    Walther 2008, chapter 3).
    """
    graph = program.graph
    outputs = program.outputs.ravel().tolist()
    free = "w"
    while any(p.name == free for p in program.ports):
        free += "w"
    weights = graph.inputs(free, len(outputs))
    adjoint: dict[int, Node] = {}

    def give(node: Node, amount: Node) -> None:
        if node.op != "const" and not amount.is_zero:
            known = adjoint.get(node.id)
            adjoint[node.id] = amount if known is None else graph.add(known, amount)

    nodes = list(program.nodes)
    for node, weight in zip(outputs, weights, strict=True):
        give(node, weight)
    for node in reversed(nodes):
        bar = adjoint.get(node.id)
        if bar is not None and node.args:
            for arg, part in zip(node.args, _partials(graph, node, bar), strict=True):
                give(arg, part)
    gradients = [adjoint.get(n.id, graph.zero) for p in program.ports for n in p.nodes]
    ports = {p.name: np.array(p.nodes, dtype=object) for p in program.ports}
    return make_program(f"{program.name}_pullback", graph, {**ports, free: weights}, gradients)


def _partials(graph: Graph, node: Node, bar: Node) -> tuple[Node, ...]:
    """``bar`` times the derivative of ``node`` by each argument."""
    a = node.args[0]
    one = graph.one
    match node.op:
        case "add":
            return bar, bar
        case "sub":
            return bar, -bar
        case "neg":
            return (-bar,)
        case "mul":
            return bar * node.args[1], bar * a
        case "div":
            share = bar / node.args[1]
            return share, -(share * node)
        case "sin":
            return (bar * a.graph.call("cos", a),)
        case "cos":
            return (-(bar * a.graph.call("sin", a)),)
        case "tan":
            return (bar * (one + node * node),)
        case "tanh":
            return (bar * (one - node * node),)
        case "exp":
            return (bar * node,)
        case "log":
            return (bar / a,)
        case "sqrt":
            return (bar * 0.5 / node,)
        case "abs":
            return (bar * graph.call("sign", a),)
        case "sign" | "floor" | "entry" | "not":
            return (graph.zero,)
        case "lt" | "le" | "eq" | "and" | "or":
            return graph.zero, graph.zero
        case "select":
            other = (graph.select(a, bar, graph.zero), graph.select(a, graph.zero, bar))
            return graph.zero, *other
        case "sinh":
            return (bar * graph.call("cosh", a),)
        case "cosh":
            return (bar * graph.call("sinh", a),)
        case "asin":
            return (bar / graph.call("sqrt", one - a * a),)
        case "acos":
            return (-(bar / graph.call("sqrt", one - a * a)),)
        case "atan":
            return (bar / (one + a * a),)
        case "atan2":
            x = node.args[1]
            square = a * a + x * x
            return bar * x / square, -(bar * a / square)
        case "pow":
            b = node.args[1]
            by_exponent = graph.zero if b.op == "const" else bar * node * graph.call("log", a)
            return bar * b * graph.power(a, b - 1.0), by_exponent
        case "min" | "max":
            b = node.args[1]
            side = graph.call("sign", a - b if node.op == "max" else b - a)
            return bar * (one + side) * 0.5, bar * (one - side) * 0.5
    raise ProgramError(f"expected an operation with a known derivative, found {node.op}")
