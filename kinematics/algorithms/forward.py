"""Forward dynamics for numbers: the recursion, or its straight-line program where that is faster.

A recursion over arrays makes few calls on large arrays, which suits graphics cards, small batches
of large trees and gradients with respect to inertial parameters. On a CPU other batches are faster,
large ones several times, through the straight-line program of the same algorithm: many calls on
columns that stay in cache, numpy's up to WIDE states and torch's beyond. A single state of a chain
is fastest as plain floats.

Which of the two answers depends on the robot and the batch size alone, never on earlier calls, so
that the same question gets the same bits. The price is a trace, tens of milliseconds for an arm, at
the first call of each new robot; `kinematics.algorithms.aba.aba` is the recursion without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from torch import Tensor

from kinematics.algorithms.aba import accelerations
from kinematics.algorithms.rnea import rnea
from kinematics.arrays import Array
from kinematics.programs.compile import robot_program
from kinematics.programs.program import Program, ProgramError
from kinematics.programs.source.python import column_function
from kinematics.recursion.inputs import Inputs, enter, plain
from kinematics.robot.random import random_state
from kinematics.robot.tree import Robot

LARGE = 512  # states from which columns beat the recursion where gradients are recorded
WIDE = 2048  # states up to which numpy's columns beat torch's
COLUMN = 4096  # states a column: some sixty columns then fit the cache

# Costs in microseconds, of one core of 2025; only their ratios matter. A program's operation, and
# each state it is done on; a level of the recursion, and each body of each state.
_OPERATION, _OPERATION_STATE = 0.34, 0.34 / 600
_LEVEL, _BODY_STATE = 80.0, 0.6
_FLOAT = 0.04  # an operation on plain floats
_USUAL = 300  # operations a body, where the program is not made yet

_FIELDS = (
    "gravity",
    "armature",
    "damping",
    "friction",
    "stiffness",
    "spring_reference",
    "tree_rotation",
    "tree_offset",
    "axes",
)


def aba(robot: Robot, q: Any, v: Any, tau: Any, f_ext: Any = None) -> Array:
    """Forward dynamics: the accelerations (..., nv) [rad/s² | m/s²] that ``tau`` causes.

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], tau (..., nv) [N·m | N]; f_ext (..., nb, 6)
    is the wrench on each body in its own frame about its origin, moment then force [N·m, N].
    Featherstone (2008), table 7.1. Robots with mimic joints are solved through their mass matrix.
    Raises RobotError on wrong shapes.
    """
    inputs = enter(robot, q, v, tau=tau, f_ext=f_ext)
    if inputs.count and inputs.parameters.shape[0] == 1 and f_ext is None and not robot.mimic:
        answer = _by_program(inputs)
        if answer is not None:
            return answer
    return inputs.run(accelerations)


def _by_program(inputs: Inputs) -> Array | None:
    """Accelerations by the straight-line program; None where the recursion is faster, or alone
    applies."""
    robot, count, q = inputs.robot, inputs.count, inputs.public["q"]
    numbers = inputs.result_dtype is not None or (
        isinstance(q, Tensor) and plain([inputs.public[name] for name in ("q", "v", "tau")])
    )
    levels = _levels(robot)
    if not numbers:
        large = count >= LARGE and _columns_suit(q)
        straight = _straight_line(robot) if large else None
        return None if straight is None else straight.many(inputs, "torch")
    if count == 1:
        if inputs.result_dtype is None or _FLOAT * _USUAL * robot.nb > _LEVEL * levels:
            return None
        straight = _straight_line(robot)
        return None if straight is None else straight.one(inputs)
    if not _columns_win(_USUAL * robot.nb / 3, robot.nb, levels, count):
        return None  # even a program of few operations would not be worth making
    straight = _straight_line(robot)
    if straight is None or not _columns_win(straight.size, robot.nb, levels, count):
        return None
    return straight.many(inputs, "numpy" if count <= WIDE else "torch")


def _columns_win(operations: float, nb: int, levels: int, count: int) -> bool:
    """Whether columns of that many operations are expected to beat the recursion."""
    columns = operations * (_OPERATION + _OPERATION_STATE * min(count, WIDE))
    return columns < _LEVEL * levels + _BODY_STATE * nb * min(count, WIDE)


def _levels(robot: Robot) -> int:
    """The depth of the tree."""
    if "levels" not in robot._cache:
        depth: list[int] = []
        for parent in robot.parents:
            depth.append(1 if parent < 0 else depth[parent] + 1)
        robot._cache["levels"] = max(depth)
    return robot._cache["levels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _StraightLine:
    """The straight-line program of one robot, as functions, and the parameters it was made from."""

    program: Program
    size: int  # operations
    pi: Tensor
    versions: tuple[int, ...]
    functions: dict[str, Callable[..., list[Any]]] = field(default_factory=dict)

    def function(self, module: str) -> Callable[..., list[Any]]:
        """The program over "numpy" or "torch" columns or over floats ("math")."""
        if module not in self.functions:
            self.functions[module] = column_function(self.program, module)
        return self.functions[module]

    def holds(self, robot: Robot) -> bool:
        """Whether the robot's tensors are still what they were (they may be changed in place)."""
        return self.versions == _versions(robot) and torch.equal(self.pi, robot.pi)

    def one(self, inputs: Inputs) -> Array:
        """A single state, as floats."""
        x = inputs.public
        state = [*x["q"][0].tolist(), *x["v"][0].tolist(), *x["tau"][0].tolist()]
        try:
            a = self.function("math")(*state)
        except (ValueError, ZeroDivisionError, OverflowError):  # infinite angles, singular bodies
            return inputs.run(accelerations)
        return torch.tensor(a, dtype=inputs.result_dtype).reshape(*inputs.batch, -1)

    def many(self, inputs: Inputs, module: str) -> Array:
        """A batch, column by column."""
        of = self._numpy if module == "numpy" else self._torch
        parts = []
        for start in range(0, inputs.count, COLUMN):
            parts.append(of([inputs.public[n][start : start + COLUMN] for n in ("q", "v", "tau")]))
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return whole if len(inputs.batch) == 1 else whole.reshape(*inputs.batch, -1)

    def _torch(self, rows: list[Tensor]) -> Tensor:
        table = torch.cat(rows, -1).T.contiguous()
        a = self.function("torch")(*table.unbind(0))
        size = rows[0].shape[:1]
        return torch.stack([torch.as_tensor(x, dtype=table.dtype).expand(size) for x in a], -1)

    def _numpy(self, rows: list[Array]) -> Tensor:
        arrays = [x.detach().numpy() if isinstance(x, Tensor) else x for x in rows]
        table = np.ascontiguousarray(np.concatenate(arrays, axis=1).T)
        out = np.empty((table.shape[1], rows[1].shape[1]), dtype=table.dtype)
        with np.errstate(all="ignore"):  # infinite states give nan, as they do in torch
            for k, x in enumerate(self.function("numpy")(*table)):
                out[:, k] = x
        return torch.from_numpy(out)


_STRAIGHT_LINES: WeakKeyDictionary[Robot, _StraightLine] = WeakKeyDictionary()
_NOT_STRAIGHT: WeakSet[Robot] = WeakSet()


def _straight_line(robot: Robot) -> _StraightLine | None:
    """The straight-line program; None where parameters are differentiated or singular."""
    found = _STRAIGHT_LINES.get(robot)
    if found is not None and found.holds(robot):
        return found
    if robot in _NOT_STRAIGHT or not _fixed(robot):
        return None
    try:
        program = robot_program(robot, "aba", order="aba")
    except ProgramError:  # bodies without inertia (nan, as it should be), springs of ball joints
        _NOT_STRAIGHT.add(robot)
        return None
    made = _StraightLine(
        program=program,
        size=sum(program.operations.values()),
        pi=robot.pi.clone(),
        versions=_versions(robot),
    )
    if not _as_exact(robot, made):
        _NOT_STRAIGHT.add(robot)
        return None
    _STRAIGHT_LINES[robot] = made
    return made


def _as_exact(robot: Robot, made: _StraightLine) -> bool:
    """Whether the program loses no more digits than the recursion, at fixed far states.

    Expanded formulas may cancel where the recursion does not (seen: four digits on one arm).
    """
    q, v, a = random_state(robot, 4, q=100.0, v=50.0, a=50.0)
    with torch.no_grad():
        tau = rnea(robot, q, v, a)
        inputs = enter(robot, q, v, tau=tau)
        error = (made.many(inputs, "numpy") - a).abs().max()
        usual = (inputs.run(accelerations) - a).abs().max()
    return not bool(error > max(10 * float(usual), 1e-11 * float(a.abs().max())))


def _fixed(robot: Robot) -> bool:
    """Whether the robot is numbers that nothing is differentiated by, one set for all states."""
    if robot.pi.ndim != 2:
        return False
    tensors = [robot.pi, *(getattr(robot, name) for name in _FIELDS)]
    return not any(isinstance(x, np.ndarray) or x.requires_grad for x in tensors)


def _versions(robot: Robot) -> tuple[int, ...]:
    return tuple(getattr(robot, name)._version for name in _FIELDS)


def _columns_suit(q: Array) -> bool:
    """A CPU batch of ordinary tensors, not being traced or transformed."""
    return (
        isinstance(q, Tensor)
        and q.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
    )
