"""Forward dynamics for numbers: the recursion, or its straight-line reading where that is faster.

A recursion over tensors makes few torch calls on large arrays, which suits graphics cards, small
batches and gradients with respect to inertial parameters. On a CPU a large batch is several times
faster through the straight-line program of the same algorithm: a thousand calls on columns that
stay in cache. A single state is fastest as plain floats.

Which reading answers depends on the robot and the batch size alone, never on earlier calls, so
that the same question gets the same bits. The price is a trace, tens of milliseconds for an arm, at
the first call of each new robot; `kinematics.aba.aba` is the recursion without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from torch import Tensor

from kinematics.aba import accelerations
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.programs.evaluation import lean_function
from kinematics.programs.program import ProgramError
from kinematics.tree import Robot

LARGE = 512  # states from which columns beat the recursion
COLUMN = 4096  # states a column: some sixty columns then fit the cache

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
    given = enter(robot, q, v, tau=tau, f_ext=f_ext)
    if given.parameters.shape[0] == 1 and f_ext is None and not robot.mimic:
        single = given.back is not None and given.count == 1
        large = given.count >= LARGE and _columns_suit(given.public["q"])
        if single or large:
            straight = _straight(robot)
            if straight is not None:
                return straight.one(given) if single else straight.many(given)
    return given.run(accelerations)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Straight:
    """The two straight-line readings of one robot, and the parameters they were made from."""

    columns: Callable[..., list[Any]]
    floats: Callable[..., list[Any]]
    pi: Tensor
    versions: tuple[int, ...]

    def holds(self, robot: Robot) -> bool:
        """Whether the robot's tensors are still what they were (they may be changed in place)."""
        return self.versions == _versions(robot) and torch.equal(self.pi, robot.pi)

    def one(self, given: Inputs) -> Array:
        """A single state, as floats."""
        x = given.public
        state = [*x["q"][0].tolist(), *x["v"][0].tolist(), *x["tau"][0].tolist()]
        try:
            a = self.floats(*state)
        except (ValueError, ZeroDivisionError, OverflowError):  # infinite angles, singular bodies
            return given.run(accelerations)
        return torch.tensor(a, dtype=given.back).reshape(*given.batch, -1)

    def many(self, given: Inputs) -> Array:
        """A batch, column by column."""
        parts = []
        for start in range(0, given.count, COLUMN):
            rows = [given.public[n][start : start + COLUMN] for n in ("q", "v", "tau")]
            table = torch.cat(rows, -1).T.contiguous()
            a = self.columns(*table.unbind(0))
            size = rows[0].shape[:1]
            parts.append(
                torch.stack([torch.as_tensor(x, dtype=table.dtype).expand(size) for x in a], -1)
            )
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return whole if len(given.batch) == 1 else whole.reshape(*given.batch, -1)


_made: WeakKeyDictionary[Robot, _Straight] = WeakKeyDictionary()
_singular: WeakSet[Robot] = WeakSet()


def _straight(robot: Robot) -> _Straight | None:
    """The straight-line readings; None where parameters are differentiated or singular."""
    found = _made.get(robot)
    if found is not None and found.holds(robot):
        return found
    if robot in _singular or not _fixed(robot):
        return None
    from kinematics.programs.door import robot_program  # which traces, and so imports aba

    try:
        program = robot_program(robot, "aba", order="aba")
    except ProgramError:  # bodies without inertia (nan, as it should be), springs of ball joints
        _singular.add(robot)
        return None
    made = _Straight(
        columns=lean_function(program, "torch"),
        floats=lean_function(program, "math"),
        pi=robot.pi.clone(),
        versions=_versions(robot),
    )
    _made[robot] = made
    return made


def _fixed(robot: Robot) -> bool:
    """Whether the robot is numbers that nothing is differentiated by."""
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
