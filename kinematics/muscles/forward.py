"""Forward dynamics from excitations: what muscles, or other actuators, make of a state.

    a = H⁻¹ (Rᵀ F(L, dL/dt, z) - bias),     ż = (activation dynamics, fibre rates)

Torques are the special case without muscles. Where tendons are rigid, z are the activations alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.algorithms.forward import aba
from kinematics.algorithms.manifold import integrate
from kinematics.errors import RobotError
from kinematics.muscles.drive import drive
from kinematics.muscles.geometry import State, enter
from kinematics.recursion.inputs import as_array
from kinematics.robot.tree import Robot, check_robot


def forward(robot: Robot, q: Any, v: Any, u: Any, z: Any = None) -> Tensor | tuple[Tensor, Tensor]:
    """Accelerations a (..., nv) [rad/s² | m/s²] of controls u; with z, (a, dz/dt).

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s]. With muscles u (..., nm) are excitations and
    z (..., nz) the internal state: activations (nm), then lengths [m] of the fibres whose tendons
    stretch. Without z, u are the activations and those fibres are in equilibrium at rest. Robots
    without muscles take u through their ``actuation``, or as joint forces where they have none, and
    have no z. Raises RobotError on wrong shapes.
    """
    check_robot(robot)
    if robot.muscles is None:
        if z is not None:
            raise RobotError(
                f"expected no internal state z of {robot.name}, which has no muscles, found one; "
                "leave it out"
            )
        tau = u if robot.actuation is None else robot.actuation(q, v, u)
        return aba(robot, q, v, tau)
    state = enter(robot, q=q, v=v, u=u, z=z)
    a, rate = _forward(state)
    return state.out(a) if z is None else (state.out(a), state.out(rate))


def _forward(state: State) -> tuple[Tensor, Tensor]:
    """Accelerations (B, nv) and rates (B, nz) of a checked state."""
    tau, rate = drive(state)
    return aba(state.robot, state.given["q"], state.given["v"], tau), rate


@dataclass(frozen=True, kw_only=True)
class MuscleTrajectory:
    """States at steps + 1 instants: q (steps+1, ..., nq), v (steps+1, ..., nv), z (steps+1, ...,
    nz), t (steps+1,) [s]."""

    q: Tensor
    v: Tensor
    z: Tensor
    t: Tensor


def simulate_muscles(
    robot: Robot, q0: Any, v0: Any, u: Any, z0: Any, dt: float, steps: int
) -> MuscleTrajectory:
    """Simulate ``steps`` steps of ``dt`` [s] from q0 (..., nq), v0 (..., nv), z0 (..., nz).

    u (..., nm) are excitations that are held, or (q, v, z, t) -> u, asked once a step. The scheme
    is semi-implicit Euler: z' = z + ż dt, v' = v + a dt, q' = q ⊕ v' dt, with a and ż of the step's
    beginning. Order 1; MuJoCo's own, but for joint damping, which is explicit here.
    """
    q, v, z = (as_array(name, x) for name, x in (("q0", q0), ("v0", v0), ("z0", z0)))
    if not (isinstance(steps, int) and steps >= 0 and 0 < float(dt) < torch.inf):
        raise RobotError(
            f"expected a whole number of steps >= 0 and a finite dt > 0, found {steps!r} and "
            f"{dt!r}; give a positive step"
        )
    held = u if callable(u) and not isinstance(u, Tensor) else lambda *_: u
    qs, vs, zs = [q], [v], [z]
    for n in range(steps):
        a, rate = forward(robot, q, v, held(q, v, z, n * dt), z)
        z, v = z + rate * dt, v + a * dt
        q = integrate(robot, q, v, dt)
        qs.append(q)
        vs.append(v)
        zs.append(z)
    shape = torch.broadcast_shapes(*(x.shape[:-1] for x in (qs[-1], vs[-1], zs[-1])))

    def stack(xs: list[Tensor]) -> Tensor:
        return torch.stack([x.expand(*shape, x.shape[-1]) for x in xs])

    t = torch.arange(steps + 1, dtype=qs[-1].dtype, device=qs[-1].device) * dt
    return MuscleTrajectory(q=stack(qs), v=stack(vs), z=stack(zs), t=t)
