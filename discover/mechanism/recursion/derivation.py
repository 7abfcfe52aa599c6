"""Forward dynamics derived from a recursion.

If the recursion, with its numbers, is inverse dynamics of rigid bodies, the forward program is that
of the inferred robot (`laws.export.elimination`). Any other recursion gives H column by column,
factored as LᵀDL along the tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

import kinematics
from discover.judgement.thresholds import threshold
from discover.laws.export.elimination import cheapest_program, sparsest_mechanism
from discover.mechanism.coordinates import configuration_order
from discover.mechanism.geometry.robots import robot_from_screws
from discover.mechanism.recursion.grammar import SOURCES, Block, joint
from discover.mechanism.recursion.passes import torch_forces, trace_recursion
from discover.mechanism.recursion.search import Recursion
from discover.mechanism.tree.floating import BASE_Q, FloatingTree
from discover.records import Stored
from kinematics import Robot
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import Mechanism, mechanism
from kinematics.programs.elimination.orders import ABOVE, BEFORE, Order
from kinematics.programs.elimination.search import named_order

ELIMINATION_ORDERS = {"aba": "articulated bodies", "crba": "composite bodies, LᵀDL"}
_SAME = 1e-9  # relative difference that rounding leaves
_NEARLY_WHOLE = threshold("mechanism.whole_coefficients")
_FIELDS = {"rotor": "armature", "drag": "damping", "spring": "stiffness"}


@dataclass(frozen=True, kw_only=True)
class ForwardProgram(Stored):
    """A program of forward dynamics.

    text         as passes over the tree
    operations   {"mul", "add", "div", "trig"} by program: "this one", the two classical orders,
                 and with a description the better of both on it
    """

    text: str
    operations: dict[str, dict[str, int]]

    @property
    def arithmetic(self) -> dict[str, int]:
        """Multiplications, additions and divisions together, by program."""
        return {n: sum(o[k] for k in ("mul", "add", "div")) for n, o in self.operations.items()}


def derive_forward(
    robot: Robot, recursion: Recursion, described: Robot | None = None
) -> ForwardProgram:
    """The forward program of a recursion.

    robot       the inferred mechanism as fitted (`InferredRobot.exact`)
    described   the robot's description, whose operations are counted beside
    """
    if not is_rigid_body(recursion):
        program = trace_recursion(recursion, "aba")
        return ForwardProgram(text=_COLUMNS, operations={"this one": program.operations})
    made = sparsest_mechanism(robot)
    order, program = cheapest_program(made)
    operations = {"this one": program.operations}
    for name, words in ELIMINATION_ORDERS.items():
        operations[words] = forward_dynamics(made, named_order(made, name)).operations
    if described is not None:
        tree = mechanism(described)
        both = [forward_dynamics(tree, named_order(tree, name)) for name in ELIMINATION_ORDERS]
        best = min(both, key=lambda p: p.arithmetic)
        operations["the description, better of both"] = best.operations
    return ForwardProgram(text=elimination_text(made, order), operations=operations)


def is_rigid_body(recursion: Recursion) -> bool:
    """Whether the recursion, with its numbers, equals inverse dynamics of rigid bodies on its
    tree, at random states and up to rounding or what noise leaves in its coefficients."""
    tree = recursion.tree
    gravity = -np.asarray(recursion.root_vector)[3:]
    if np.abs(recursion.root_vector[:3]).max() > 1e-6 * max(1.0, float(np.abs(gravity).max())):
        return False
    robot = robot_from_screws(
        tree, recursion.screws, recursion.parameters, gravity=gravity.tolist()
    )
    # The robot has its bodies, and so its coordinates, parents first.
    order = [i for body in tree.order for i, b in enumerate(tree.body_of) if b == body]
    for term in recursion.scalar_terms:
        form = term.block.form
        if term.block != Block(form, (joint(SOURCES[form]),), 0):
            return False  # not the joint's own motion
        numbers = term.numbers * (recursion.screws**2).sum(-1)
        if isinstance(tree, FloatingTree) and abs(numbers[0]) > _SAME * np.abs(numbers).max():
            return False
        values = torch.from_numpy(numbers[list(tree.body_of)][order])
        robot = robot.replace(**{_FIELDS[form]: values})
    rng = np.random.default_rng(0)
    v, a = (torch.from_numpy(rng.normal(size=(8, robot.nv))) for _ in range(2))
    q = torch.from_numpy(rng.normal(size=(8, robot.nq)))
    if isinstance(tree, FloatingTree):
        q[:, 3:BASE_Q] /= q[:, 3:BASE_Q].norm(dim=1, keepdim=True)
    back = [order.index(i) for i in range(robot.nv)]
    expected = kinematics.rnea(robot, q, v, a)[:, back]
    computed = torch_forces(
        recursion, q[:, configuration_order(back, robot.nq)], v[:, back], a[:, back]
    )
    difference = float((computed - expected).norm() / expected.norm())
    noise = _off_whole(recursion)
    return difference < max(_SAME, 5 * noise if noise < _NEARLY_WHOLE else 0.0)


def _off_whole(recursion: Recursion) -> float:
    """How far the coefficients are from whole numbers, which they are for rigid bodies."""
    c = np.asarray(recursion.coefficients)
    return float(np.abs(c - np.round(c)).max()) if len(c) else 0.0


_COLUMNS = """columns of H: the inward pass for a unit acceleration of each joint, at rest
bias: the inward pass with no acceleration
H = Lᵀ D L, from the leaves to the base (entries that the tree forbids are never touched)
a = L⁻¹ D⁻¹ L⁻ᵀ (tau - bias)"""


def elimination_text(made: Mechanism, order: Order) -> str:
    """The elimination in an order as passes over the tree."""
    names = [b.name for b in made.bodies]
    lines = ["outward, from the base to the leaves:"]
    lines += ["    T_i = X T_p + S v_i,   C_i = what velocities add to the acceleration of body i"]
    lines.append("inward, from the leaves to the base (inertia I, wrench W; to the parent I, W):")
    for body in reversed(made.bodies):
        leaving = [(j, stage) for j, (at, stage) in enumerate(order.places) if at == body.index]
        words = []
        for j, stage in sorted(leaving, reverse=True):
            words.append(f"{names[j]} leaves{_where(j, body.index, stage)}")
        if not words:
            at = names[order.places[body.index][0]]
            words = [f"{names[body.index]} is carried on as a column, to {at}"]
        lines.append(f"    {names[body.index]}: {'; '.join(words)}")
    lines.append("outward: accelerations, each joint's from its body's and those above it")
    lines.append("a joint leaves: D = Sᵀ I S + rotor,  I ← I - I S D⁻¹ Sᵀ I,  W ← W - I S D⁻¹ …")
    return "\n".join(lines)


def _where(joint: int, body: int, stage: str) -> str:
    if stage == ABOVE:
        return " in the parent's frame"
    if stage == BEFORE:
        return " before this joint is added"
    return "" if joint == body else " here, carried as a column till now"
