"""Steps of a law as machine code: batches of states, many steps at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.laws.export import straight_line
from discover.laws.export.step_program import step_program
from discover.laws.extensions import LawExtension
from discover.laws.rigid_body.step_map import IMPLICIT, StepMap, advance
from kinematics import Robot
from kinematics.programs import CompiledProgram, ProgramError, compile_trace

State = tuple[Any, Any]
LARGEST = 20_000  # operations of a step that are compiled as one: seconds


def step_of(own: StepMap | None, dt: float | None) -> StepMap:
    """A law's own step, or one of dt [s]: its own scheme over dt, Runge–Kutta's fourth without one.

    Raises ModelError where neither is known.
    """
    if dt is None:
        if own is None:
            raise ModelError(
                "expected dt for a law that was taken from accelerations, found none; "
                "law.step(q, v, u, dt=0.01)"
            )
        return own
    try:
        width = float(dt)
    except (TypeError, ValueError):
        width = np.nan
    if not 0 < width < np.inf:
        raise ModelError(f"expected a step dt > 0 in seconds, found {dt!r}")
    return StepMap(scheme="rk4", dt=width) if own is None else replace(own, dt=width)


class CompiledStep:
    """(q, v, u) -> (q', v') on NumPy arrays, one step of a law.

    Robots with too many operations for one program have their accelerations compiled, and the
    scheme runs over tensors.
    """

    def __init__(
        self,
        robot: Robot,
        extensions: Sequence[LawExtension],
        step: StepMap,
        dtype: str = "float64",
    ) -> None:
        self.robot, self.step, self.dtype = robot, step, np.dtype(dtype)
        self.nu = robot.nv if robot.actuation is None else robot.actuation.nu
        self.program: CompiledProgram | None = None
        whole = straight_line.program(robot, extensions)
        stages = step.evaluations // step.substeps
        if sum(whole.operations.values()) * stages <= LARGEST:
            self.program = compile_trace(
                step_program(robot, extensions, step, joined=True), dtype=dtype
            )
            return
        if step.scheme in IMPLICIT:
            raise ModelError("too long for an implicit step as one program")
        self._accelerations = compile_trace(whole, dtype=dtype)

    def __call__(self, q: np.ndarray, v: np.ndarray, u: np.ndarray, steps: int = 1) -> State:
        """The state `steps` steps later, the controls held."""
        batch = _common(q, v, u)
        x = np.empty((*batch, self.robot.nq + self.robot.nv), dtype=self.dtype)
        x[..., : self.robot.nq], x[..., self.robot.nq :] = q, v
        held = np.empty((*batch, self.nu), dtype=self.dtype)
        held[...] = u
        x = self.advance(x, held, steps)
        return x[..., : self.robot.nq], x[..., self.robot.nq :]

    def advance(self, x: np.ndarray, u: np.ndarray, steps: int = 1) -> np.ndarray:
        """The same of states x (…, nq + nv), which stay as they are."""
        if self.program is None:
            return self._with_accelerations(x, u, steps)
        nq = self.robot.nq
        for _ in range(steps):
            for _ in range(self.step.substeps):
                x = self.program(x, u)
            if self.step.turns:
                x = np.concatenate([self.step.within_turns(x[..., :nq]), x[..., nq:]], axis=-1)
        return x

    def _with_accelerations(self, x: np.ndarray, u: np.ndarray, steps: int) -> np.ndarray:
        actuation, nq = self.robot.actuation, self.robot.nq
        q, v = (torch.from_numpy(y).reshape(-1, y.shape[-1]) for y in (x[..., :nq], x[..., nq:]))
        held = torch.from_numpy(u).reshape(-1, self.nu)
        tau = held if actuation is None else actuation.forces(held)
        for _ in range(steps):
            q, rate = advance(self.step, self.robot, self._accelerations, q, v, tau)
            q, v = self.step.within_turns(q), v + self.step.dt * rate
        return torch.cat([q, v], dim=-1).reshape(x.shape).numpy()


def compiled_step(
    robot: Robot, extensions: Sequence[LawExtension], step: StepMap, dtype: str
) -> CompiledStep | None:
    """The compiled step; None where the law has none: springs of ball joints, implicit steps of
    other forces."""
    try:
        return CompiledStep(robot, extensions, step, dtype)
    except (ModelError, ProgramError):
        return None


class Steppable(Protocol):
    """What this module needs of a law; see `portable.PortableLaw`."""

    robot: Robot

    @property
    def extensions_without_memory(self) -> tuple[LawExtension, ...]: ...
    @property
    def compiled_steps(self) -> dict[tuple[StepMap, str], CompiledStep | None]: ...
    def eager_step(
        self, q: Tensor, v: Tensor, tau: Tensor, step: StepMap
    ) -> tuple[Tensor, Tensor]: ...


def step(
    law: Steppable, q: Tensor, v: Tensor, u: Tensor, step: StepMap, steps: int
) -> tuple[Tensor, Tensor]:
    """The state (q', v') after so many steps of a law from q (…, nq), v (…, nv) under controls u
    held. Raises ModelError."""
    robot = law.robot
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ModelError(f"expected a whole number of steps from 1 on, found {steps!r}")
    nu = robot.nv if robot.actuation is None else robot.actuation.nu
    for name, x, n in (("q", q, robot.nq), ("v", v, robot.nv), ("u", u, nu)):
        if x.shape[-1:] != (n,):
            raise ModelError(
                f"{name}: expected last axis {n} ({robot.name}), found shape {tuple(x.shape)}"
            )
    try:
        batch = _common(q, v, u)
    except ValueError:
        found = ", ".join(str(tuple(x.shape)) for x in (q, v, u))
        raise ModelError(f"expected q, v and u with one batch, found {found}") from None
    if for_machine_code(q, v, u):
        name = str(q.dtype).removeprefix("torch.")
        key = step, name
        if key not in law.compiled_steps:
            law.compiled_steps[key] = compiled_step(
                robot, law.extensions_without_memory, step, name
            )
        compiled = law.compiled_steps[key]
        if compiled is not None:
            after = compiled(q.detach().numpy(), v.detach().numpy(), u.detach().numpy(), steps)
            return torch.from_numpy(after[0]), torch.from_numpy(after[1])
    q, v, u = (x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (q, v, u))
    tau = u if robot.actuation is None else robot.actuation.forces(u)
    for _ in range(steps):
        q, v = law.eager_step(q, v, tau, step)
    return q.reshape(*batch, -1), v.reshape(*batch, -1)


def _common(*arrays: Any) -> tuple[int, ...]:
    """The batch axes that the arrays broadcast to. Raises ValueError."""
    first, *others = (tuple(x.shape[:-1]) for x in arrays)
    same = all(shape == first for shape in others)
    return first if same else np.broadcast_shapes(first, *others)


def for_machine_code(*tensors: Tensor) -> bool:
    """Numbers on the processor in a precision that is compiled, through which no gradient flows."""
    return not followed(*tensors) and all(
        x.device.type == "cpu" and x.dtype in (torch.float64, torch.float32) for x in tensors
    )


def followed(*tensors: Tensor) -> bool:
    """Whether torch follows what is computed from these: for gradients, vmap or compilation."""
    if torch._C._functorch.peek_interpreter_stack() is not None or torch.compiler.is_compiling():
        return True
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


_MUJOCO = {
    "semi_implicit_euler": "Euler",
    "implicit_damping": "Euler",
    "rk4": "RK4",
    "implicit_velocity": "implicit",
}


def mujoco_options(step: StepMap | None) -> dict[str, Any]:
    """The options of an MJCF that make MuJoCo take a sub-step, where it has the scheme."""
    if step is None or step.scheme not in _MUJOCO:
        return {}
    return {"timestep": step.h, "integrator": _MUJOCO[step.scheme]}
