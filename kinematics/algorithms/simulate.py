"""Simulation over time, on the configuration manifold."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.algorithms.energy import (
    joint_momentum,
    kinetic_energy,
    momentum_rate,
    potential_energy,
)
from kinematics.algorithms.forward import aba
from kinematics.algorithms.manifold import integrate
from kinematics.contact.step import Touching
from kinematics.contact.step import step as contact_step
from kinematics.errors import RobotError
from kinematics.recursion.inputs import as_array, check_width, common_batch
from kinematics.robot.tree import Robot, check_robot

Step = Callable[[Robot, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """States at steps + 1 instants; ``a`` and ``tau`` at the same ones.

    q (steps+1, ..., nq), v, a and tau (steps+1, ..., nv), t (steps+1,) [s], energy (steps+1, ...)
    [J]. With a scene ``a`` is the mean acceleration over the step that follows, and there are
    gap, force and mode of its contacts at the same instants (see `kinematics.contact.step`).
    """

    q: Tensor
    v: Tensor
    a: Tensor
    tau: Tensor
    t: Tensor
    energy: Tensor
    gap: Tensor | None = None
    force: Tensor | None = None
    mode: Tensor | None = None


def simulate(
    robot: Robot,
    q0: Any,
    v0: Any,
    tau: Any,
    dt: float,
    steps: int,
    integrator: str = "rk4",
    scene: Any = None,
) -> Trajectory:
    """Simulate ``steps`` steps of ``dt`` [s] from q0 (..., nq), v0 (..., nv).

    ``tau`` is None (no torque), a constant (..., nv), an array (steps, ..., nv) held over each
    step, or a policy (q, v, t) -> tau evaluated once a step and held over it. ``integrator``:
    "semi_implicit_euler" (order 1), "rk4" (order 4) or "implicit_midpoint" (order 2, energy
    bounded over long times). ``scene``: a `kinematics.contact.Scene` whose law then makes the
    steps, as `kinematics.step` does, whatever the default integrator.
    """
    if not isinstance(integrator, str) or integrator not in STEPS:
        raise RobotError(
            f"expected an integrator among {', '.join(STEPS)}, found {integrator!r}; choose one"
        )
    if scene is not None and integrator == "implicit_midpoint":
        raise RobotError(
            "expected no integrator beside a scene, found 'implicit_midpoint'; contact has its own "
            "step, leave the integrator out"
        )
    check_robot(robot)
    dt, steps = _grid(dt, steps)
    q, v = as_array("q0", q0), as_array("v0", v0)
    check_width(robot, "q0", q, robot.nq)
    check_width(robot, "v0", v, robot.nv)
    dtype = torch.promote_types(q.dtype, v.dtype)
    q, v = q.to(dtype), v.to(dtype=dtype, device=q.device)
    batch = common_batch(("q0", "v0"), (tuple(q.shape[:-1]), tuple(v.shape[:-1])))
    torque = _torque(robot, tau, steps, v.expand(*batch, v.shape[-1]))
    first = torque(q, v, 0, 0.0)
    batch = common_batch(("q0 and v0", "tau"), (batch, tuple(first.shape[:-1])))
    q = q.expand(*batch, robot.nq).clone()
    v = v.expand(*batch, robot.nv).clone()
    q = integrate(robot, q, torch.zeros_like(v))

    step = STEPS[integrator]
    qs, vs, accelerations, taus = [q], [v], [], []
    met: list[Touching] = []
    for n in range(steps + 1):
        # after the last step the last force goes on being held
        held = torque(q, v, n if n < steps else max(steps - 1, 0), n * dt)
        held = held.expand(*batch, robot.nv)
        taus.append(held)
        if scene is not None:
            end_q, end_v, touched = contact_step(robot, scene, q, v, held, dt, details=True)
            met.append(touched)
            accelerations.append((end_v - v) / dt)
        else:
            accelerations.append(aba(robot, q, v, held))
            if n < steps:
                end_q, end_v = step(robot, q, v, held, dt)
        if n < steps:
            q, v = end_q, end_v
            qs.append(q)
            vs.append(v)
    all_q, all_v = torch.stack(qs), torch.stack(vs)
    return Trajectory(
        q=all_q,
        v=all_v,
        a=torch.stack(accelerations),
        tau=torch.stack(taus),
        t=torch.arange(steps + 1, dtype=dtype, device=q.device) * dt,
        energy=kinetic_energy(robot, all_q, all_v) + potential_energy(robot, all_q),
        **{
            name: torch.stack([getattr(x, name) for x in met])
            for name in ("gap", "force", "mode")
            if met
        },
    )


def semi_implicit_euler(
    robot: Robot, q: Tensor, v: Tensor, tau: Tensor, dt: float
) -> tuple[Tensor, Tensor]:
    """v' = v + a dt, q' = q ⊕ v' dt. Order 1."""
    v = v + aba(robot, q, v, tau) * dt
    return integrate(robot, q, v, dt), v


def rk4(robot: Robot, q: Tensor, v: Tensor, tau: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Runge-Kutta of order 4, in a chart about q (Munthe-Kaas). Order 4 on every joint."""

    def slope(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return chart_rate(robot, x, w), aba(robot, integrate(robot, q, x), w, tau)

    zero = torch.zeros_like(v)
    k1, l1 = slope(zero, v)
    k2, l2 = slope(dt / 2 * k1, v + dt / 2 * l1)
    k3, l3 = slope(dt / 2 * k2, v + dt / 2 * l2)
    k4, l4 = slope(dt * k3, v + dt * l3)
    move = dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return integrate(robot, q, move), v + dt / 6 * (l1 + 2 * l2 + 2 * l3 + l4)


def chart_rate(robot: Robot, x: Tensor, v: Tensor) -> Tensor:
    """ẋ of the chart q = q₀ ⊕ x when the body moves with v: the inverse right Jacobian on v.

    Truncated after the second bracket, which keeps order 4 for steps from x = O(dt).
    """
    if not robot.quaternion_slices:
        return v
    parts = []
    for joint in robot.independent_joints:
        kind, at = robot.kinds[joint], robot.v_slices[joint]
        own, rate = x[..., at], v[..., at]
        if kind in ("spherical", "free"):
            once = _bracket(own, rate)
            rate = rate + once / 2 + _bracket(own, once) / 12
        parts.append(rate)
    return torch.cat(parts, dim=-1)


def _bracket(x: Tensor, y: Tensor) -> Tensor:
    """Lie bracket of rotation vectors (..., 3) or of twists (..., 6)."""
    if x.shape[-1] == 3:
        return torch.linalg.cross(x, y)
    angular = torch.linalg.cross(x[..., :3], y[..., :3])
    linear = torch.linalg.cross(x[..., :3], y[..., 3:]) + torch.linalg.cross(x[..., 3:], y[..., :3])
    return torch.cat((angular, linear), dim=-1)


def implicit_midpoint(
    robot: Robot, q: Tensor, v: Tensor, tau: Tensor, dt: float
) -> tuple[Tensor, Tensor]:
    """The implicit midpoint rule in (q, p = H v), by fixed-point iteration. Order 2.

    Symplectic in canonical coordinates, so energy oscillates and does not drift; time-symmetric
    on quaternions. Converges for dt times the fastest rate below about one.
    """
    still = at_rest(robot)
    p, middle = joint_momentum(robot, q, v), v
    x = q
    for _ in range(MIDPOINT_ROUNDS):
        x = integrate(robot, q, middle, dt / 2)
        half = p + dt / 2 * (tau + momentum_rate(robot, x, middle))
        middle = aba(still, x, torch.zeros_like(v), half)
    x = integrate(robot, q, middle, dt / 2)
    end = integrate(robot, x, middle, dt / 2)
    final = p + dt * (tau + momentum_rate(robot, x, middle))
    return end, aba(still, end, torch.zeros_like(v), final)


def at_rest(robot: Robot) -> Robot:
    """The robot without gravity and passive forces: its aba at v = 0 is H⁻¹. Kept once made."""
    if "at rest" not in robot._cache:
        none = torch.zeros_like(robot.damping)
        robot._cache["at rest"] = robot.replace(
            gravity=torch.zeros_like(robot.gravity), damping=none, friction=none, stiffness=none
        )
    return robot._cache["at rest"]


MIDPOINT_ROUNDS = 10  # fixed, so that the step has no data-dependent branches
STEPS: dict[str, Step] = {
    "semi_implicit_euler": semi_implicit_euler,
    "rk4": rk4,
    "implicit_midpoint": implicit_midpoint,
}


def _grid(dt: Any, steps: Any) -> tuple[float, int]:
    """The step and their number; dt may be a tensor of one number."""
    try:
        width, count = float(dt), operator.index(steps)
    except (TypeError, ValueError):
        width, count = math.nan, 0
    if count < 0 or not 0 < width < math.inf:
        raise RobotError(
            "expected a whole number of steps >= 0 and a finite dt > 0, "
            f"found steps={steps!r}, dt={dt!r}; give a positive step"
        )
    return width, count


def _torque(
    robot: Robot, tau: Any, steps: int, like: Tensor
) -> Callable[[Tensor, Tensor, int, float], Tensor]:
    if tau is None:
        return lambda q, v, n, t: torch.zeros_like(v)
    if callable(tau) and not isinstance(tau, Tensor):
        return lambda q, v, n, t: _sized(robot, as_array("tau", tau(q, v, t)), like)
    held = _sized(robot, as_array("tau", tau), like)
    # (steps, ..., nv) is a sequence where its first axis cannot be one of the state's batch axes
    if held.ndim == like.ndim + 1:
        if held.shape[0] != steps:
            raise RobotError(
                f"expected tau of shape (steps={steps}, ..., {robot.nv}), "
                f"found {tuple(held.shape)}; give one torque a step"
            )
        return lambda q, v, n, t: held[n]
    return lambda q, v, n, t: held


def _sized(robot: Robot, tau: Tensor, like: Tensor) -> Tensor:
    check_width(robot, "tau", tau, robot.nv)
    return tau.to(dtype=like.dtype, device=like.device)
