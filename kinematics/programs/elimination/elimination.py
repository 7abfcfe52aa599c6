"""Forward dynamics as sparse elimination over the tree: every order is an algorithm.

The equations of motion link body accelerations, joint wrenches and joint accelerations along the
edges of the tree. Bodies are eliminated from the leaves to the base; what an
order is free to choose is *when each joint acceleration goes*: at its own body, or carried
towards the base as a column (its wrench F, its row of the mass matrix) and eliminated at any body
on the way, in that body's frame or already in the parent's. All at their own body is the
articulated-body algorithm, all at the root is composite rigid bodies with LᵀDL (Featherstone
2008, chapters 6 to 8); what lies between mostly has no name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinematics.programs.elimination.frames import (
    Move,
    Vector,
    add,
    dot,
    motion_down,
    moves,
    wrench_up,
)
from kinematics.programs.elimination.inertias import Articulated, Rigid, rigid_from_moments, total
from kinematics.programs.elimination.mechanism import Mechanism
from kinematics.programs.elimination.orders import ABOVE, BEFORE, OWN, Order, describe
from kinematics.programs.elimination.reference_motion import reference_motion
from kinematics.programs.elimination.regrouping import regrouped
from kinematics.programs.graph import Graph, Node
from kinematics.programs.program import Program, make_program
from kinematics.programs.symbolic import extra_nodes
from kinematics.programs.tracing import make_inputs
from kinematics.robot.joints import TURNING


@dataclass(kw_only=True)
class _Column:
    """A joint acceleration on its way: its wrench (6), its right-hand side, the joint's force."""

    dof: int
    wrench: list[Any]
    rhs: Any
    force: Any


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One eliminated joint: acceleration = start - weights · motion - Σ coupling · others."""

    dof: int
    start: Any
    weights: list[Any]
    couplings: dict[int, Any]
    vanishing: int | None  # the component of the motion that this acceleration adds itself to


@dataclass(kw_only=True)
class _Carried:
    """What a subtree hands to its parent."""

    inertia: Rigid | Articulated
    moment: Vector
    force: Vector
    columns: list[_Column]


def forward_dynamics(
    model: Mechanism, order: Order, extra_force: Sequence[Any] | None = None
) -> Program:
    """The straight-line program of ``order``: (q, v, tau) to accelerations (nv)."""
    return _Elimination(model, order, extra_force).program()


class _Elimination:
    def __init__(self, model: Mechanism, order: Order, extra_force: Sequence[Any] | None):
        self.model = model
        self.order = order
        self.graph = Graph()
        self.ports = make_inputs(self.graph, model.robot, "aba")
        self.q, self.v = list(self.ports["q"]), list(self.ports["v"])
        self.force = self._forces(extra_force)
        self.chains = [moves(self.graph, b.steps, self.q[b.q]) for b in model.bodies]
        self.records: dict[tuple[int, str], list[_Record]] = {}
        self.matrix: dict[tuple[int, int], Any] = {}
        armature = model.robot.armature.tolist()
        self.armature = [float(x) for x in armature]
        self.due: dict[tuple[int, str], list[int]] = {}
        for body in reversed(model.bodies):
            for dof in reversed(range(body.v.start, body.v.stop)):
                self.due.setdefault(order.places[body.index], []).append(dof)

    def program(self) -> Program:
        model, graph = self.model, self.graph
        reference = reference_motion(
            graph,
            model,
            regrouped(model),
            self.chains,
            self.q,
            self.v,
            self.order.reference,
        )
        self.reference = reference
        rigid = [rigid_from_moments(graph, m) for m in regrouped(model, self.order.moments)]
        arriving: dict[int, list[_Carried]] = {b.index: [] for b in model.bodies}
        for body in reversed(model.bodies):
            inertia: Rigid | Articulated = rigid[body.index]
            moment, force = reference.wrenches[body.index]
            columns: list[_Column] = []
            for child in arriving[body.index]:
                inertia = total(graph, inertia, child.inertia)
                moment, force = add(moment, child.moment), add(force, child.force)
                columns += child.columns
            state = _Carried(inertia=inertia, moment=moment, force=force, columns=columns)
            self._eliminate(state, body.index, BEFORE)
            self._join(state, body)
            self._eliminate(state, body.index, OWN)
            self._lift(state, self.chains[body.index])
            self._eliminate(state, body.index, ABOVE)
            if body.parent >= 0:
                arriving[body.parent].append(state)
        outputs = self._substitute_back()
        return make_program("aba", graph, self.ports, outputs, passes=describe(model, self.order))

    def _forces(self, extra_force: Sequence[Any] | None) -> list[Any]:
        """Joint forces less the joint terms that do not depend on acceleration."""
        robot = self.model.robot
        force = list(self.ports["tau"])
        if extra_force is not None:
            force = list(add(force, extra_nodes(extra_force, robot.nv, self.graph, self.ports)))
        terms = {
            name: [float(x) for x in getattr(robot, name).tolist()]
            for name in ("damping", "friction", "stiffness", "spring_reference")
        }
        for body in self.model.bodies:
            for dof in range(body.v.start, body.v.stop):
                rate = self.v[dof]
                force[dof] = force[dof] - terms["damping"][dof] * rate
                if terms["friction"][dof]:
                    step = (rate * (1.0 / robot.friction_speed)).tanh()
                    force[dof] = force[dof] - terms["friction"][dof] * step
                if terms["stiffness"][dof] and body.scalar:
                    stretch = self.q[body.q.start] - terms["spring_reference"][dof]
                    force[dof] = force[dof] - terms["stiffness"][dof] * stretch
        return force

    def _axes(self, dof: int) -> tuple[bool, int]:
        """Whether a joint velocity is angular, and its axis in the body frame."""
        body = next(b for b in self.model.bodies if b.v.start <= dof < b.v.stop)
        if body.kind in TURNING:
            return True, 2
        if body.kind == "prismatic":
            return False, 2
        k = dof - body.v.start
        return k < 3, k % 3

    def _join(self, state: _Carried, body: Any) -> None:
        """Add the body's own joint: its columns, their rows of the mass matrix, their rhs."""
        own = list(range(body.v.start, body.v.stop))
        columns: list[_Column] = []
        for dof in own:
            angular, k = self._axes(dof)
            at = k if angular else 3 + k
            for other in state.columns:
                self.matrix[_pair(dof, other.dof)] = other.wrench[at]
            moment, push = state.inertia.column(self.graph, angular, k)
            wrench = [*moment, *push]
            for earlier in columns:
                self.matrix[_pair(dof, earlier.dof)] = earlier.wrench[at]
            self.matrix[(dof, dof)] = wrench[at] + self.armature[dof]
            bias = (state.moment if angular else state.force)[k]
            force = self.force[dof] - self.armature[dof] * self.reference.accelerations[dof]
            columns.append(_Column(dof=dof, wrench=wrench, rhs=force - bias, force=force))
        state.columns = state.columns + columns

    def _eliminate(self, state: _Carried, body: int, stage: str) -> None:
        for dof in self.due.get((body, stage), []):
            self._eliminate_one(state, body, stage, dof)

    def _eliminate_one(self, state: _Carried, body: int, stage: str, dof: int) -> None:
        graph = self.graph
        column = next(c for c in state.columns if c.dof == dof)
        state.columns = [c for c in state.columns if c.dof != dof]
        pivot = graph.one / self.matrix[(dof, dof)]
        start = column.rhs * pivot
        zero = graph.zero
        row = {c.dof: self.matrix.get(_pair(dof, c.dof), zero) for c in state.columns}
        couplings = {k: h * pivot for k, h in row.items() if not h.is_zero}
        own = self.model.bodies[body].v
        vanishing = None  # the component that elimination leaves exactly zero
        if stage == OWN and own.start <= dof < own.stop and self.armature[dof] == 0.0:
            angular, k = self._axes(dof)
            vanishing = k if angular else 3 + k
        for other in state.columns:
            share = couplings.get(other.dof)
            if share is None:
                continue
            other.wrench = [
                zero if n == vanishing else f - share * g
                for n, (f, g) in enumerate(zip(other.wrench, column.wrench, strict=True))
            ]
            other.rhs = other.rhs - share * column.rhs
            for third in state.columns:
                if third.dof in row and third.dof <= other.dof:
                    key = _pair(other.dof, third.dof)
                    self.matrix[key] = self.matrix.get(key, zero) - share * row[third.dof]
        weights = [graph.one if n == vanishing else w * pivot for n, w in enumerate(column.wrench)]
        wrench = [*state.moment, *state.force]
        wrench = [p + f * start for p, f in zip(wrench, column.wrench, strict=True)]
        inertia = state.inertia.articulated(graph).less(weights, column.wrench)
        if vanishing is not None:
            wrench[vanishing] = column.force
            inertia = inertia.without(graph, vanishing < 3, vanishing % 3)
        state.moment, state.force = tuple(wrench[:3]), tuple(wrench[3:])
        state.inertia = inertia
        self.records.setdefault((body, stage), []).append(
            _Record(dof=dof, start=start, weights=weights, couplings=couplings, vanishing=vanishing)
        )

    def _lift(self, state: _Carried, chain: list[Move]) -> None:
        """Everything to the parent's frame."""
        state.inertia = state.inertia.up(self.graph, chain)
        state.moment, state.force = wrench_up(chain, state.moment, state.force)
        for column in state.columns:
            moment, force = wrench_up(
                chain,
                tuple(column.wrench[:3]),
                tuple(column.wrench[3:]),
            )
            column.wrench = [*moment, *force]

    def _substitute_back(self) -> list[Node]:
        """Root to leaf: departures from the reference accelerations, then the sum of both."""
        zero = self.graph.zero
        found: dict[int, Any] = {}
        motion: list[tuple[Vector, Vector]] = []
        still: tuple[Vector, Vector] = ((zero,) * 3, (zero,) * 3)

        sums: dict[int, Any] = {}  # motion component plus joint acceleration, where known

        def solve(body: int, stage: str, angular: Vector, linear: Vector) -> None:
            for record in reversed(self.records.get((body, stage), [])):
                at = [*angular, *linear]
                if record.vanishing is not None:
                    at[record.vanishing] = zero
                value = record.start - dot(record.weights, at)
                for other, coupling in record.couplings.items():
                    value = value - coupling * found[other]
                if record.vanishing is not None:
                    sums[record.dof] = value
                    value = value - [*angular, *linear][record.vanishing]
                found[record.dof] = value

        for body in self.model.bodies:
            above = motion[body.parent] if body.parent >= 0 else still
            solve(body.index, ABOVE, *above)
            angular, linear = motion_down(self.chains[body.index], *above)
            solve(body.index, OWN, angular, linear)
            both = [list(angular), list(linear)]
            for dof in range(body.v.start, body.v.stop):
                turning, k = self._axes(dof)
                side = both[0 if turning else 1]
                side[k] = sums.get(dof, side[k] + found[dof])
            motion.append((tuple(both[0]), tuple(both[1])))
            solve(body.index, BEFORE, *motion[-1])
        return [self.reference.accelerations[k] + found[k] for k in range(self.model.robot.nv)]


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a >= b else (b, a)
