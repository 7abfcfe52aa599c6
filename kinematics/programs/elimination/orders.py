"""Elimination orders: where each joint leaves the equations of motion, and how to say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from kinematics.programs.elimination.mechanism import Mechanism

OWN = "own"  # in the body's frame, its own joint included
ABOVE = "above"  # in the parent's frame, before the siblings are added
BEFORE = "before"  # in the body's frame, before its own joint is added
STAGES = (BEFORE, OWN, ABOVE)


@dataclass(frozen=True, kw_only=True)
class Order:
    """When each joint goes: ``places[i]`` is (body, stage) of joint i; how constants are made to
    vanish: ``reference`` and ``moments`` of each joint, see `reference_motion` and `regrouped`."""

    places: tuple[tuple[int, str], ...]
    reference: dict[int, str] = field(default_factory=dict)
    moments: dict[int, str] = field(default_factory=dict)
    name: str = ""


def articulated_order(made: Mechanism) -> Order:
    """Every joint at its own body: the articulated-body algorithm."""
    return Order(places=tuple((b.index, OWN) for b in made.bodies), name="aba")


def composite_order(made: Mechanism) -> Order:
    """Every joint at its root: composite rigid bodies, then LᵀDL."""
    places = tuple((made.ancestors(b.index)[-1], OWN) for b in made.bodies)
    return Order(places=places, name="crba")


def equation_graph(robot: Any) -> nx.Graph:
    """The sparsity of the equations of motion: one node an acceleration or a wrench."""
    graph = nx.Graph(name=f"equations of motion of {robot.name}")
    for i, parent in enumerate(robot.parents):
        name = robot.joint_names[i]
        body, wrench, joint = (f"{w} {name}" for w in ("body", "wrench", "joint"))
        graph.add_edges_from([(body, joint), (wrench, joint), (body, wrench)])
        if parent >= 0:
            above = robot.joint_names[parent]
            graph.add_edges_from([(body, f"body {above}"), (wrench, f"wrench {above}")])
    return graph


def describe(made: Mechanism, order: Order) -> str:
    """The order as passes over the tree, for people."""
    lines = [
        "outward: for each body, root to leaf",
        "    angular velocity, reference angular acceleration, acceleration of the origin",
        "    wrench of the reference motion: U h + m a, axial(U J - (U J)ᵀ) + h x a",
        "inward: for each body, leaf to root",
        "    inertia and wrench: its own plus what its children hand over",
    ]
    words = {
        BEFORE: "before its own joint is added",
        OWN: "in its frame",
        ABOVE: "in its parent's frame",
    }
    for body in reversed(made.bodies):
        due = [
            (stage, [b.name for b in reversed(made.bodies) if order.places[b.index] == key])
            for stage in STAGES
            for key in [(body.index, stage)]
        ]
        gone = [f"eliminate {', '.join(names)} {words[stage]}" for stage, names in due if names]
        waiting = [
            b.name
            for b in made.bodies
            if body.index in made.ancestors(b.index)
            and order.places[b.index][0]
            not in made.ancestors(b.index)[: made.ancestors(b.index).index(body.index) + 1]
        ]
        carried = f"carry {', '.join(waiting)} to its parent" if waiting else ""
        lines.append(f"    {body.name}: {'; '.join([*gone, *([carried] if carried else [])])}")
    lines.append("outward: accelerations of the joints in reverse, each from its body's motion")
    return "\n".join(lines)
