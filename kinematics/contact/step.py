"""One step of a robot in a scene: motion, contact, joint limits and dry friction at once.

Steps follow MuJoCo's semi-implicit Euler: constrained acceleration at (q, v), then v, then q with
the new v. The linear velocity of a free body is advanced along fixed axes; along the body's own,
which turn, it would be another scheme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import torch
from torch import Tensor

from kinematics.algorithms.crba import crba
from kinematics.algorithms.forward import aba
from kinematics.contact.geometry import contacts
from kinematics.contact.law import Hard, Soft
from kinematics.contact.newton import solve
from kinematics.contact.rows import Rows, Situation, rows
from kinematics.errors import RobotError
from kinematics.recursion.inputs import as_array, check_width, common_batch, normalise
from kinematics.robot.tree import Robot, check_robot
from kinematics.spatial import rotations as rot

MODES = ("free", "impact", "sliding", "sticking")
FREE, IMPACT, SLIDING, STICKING = range(4)
_EASED = 1e6  # compliance at which hard problems start, over their own
_APPROACH = 2.0  # speeds that free motion gains in a step, beyond which a contact is an impact


@dataclass(frozen=True, kw_only=True)
class Touching:
    """What a step met at its start, and the forces over it.

    gap (..., nc) [m] of the scene's candidate contacts, infinite where there is none; force
    (..., nc, 3) [N] along normal and tangents, on the second body; mode (..., nc) index in MODES;
    joint_force (..., nv) [N·m | N] of joint limits and dry friction; iterations (...) of Newton.
    """

    gap: Tensor
    force: Tensor
    mode: Tensor
    joint_force: Tensor
    iterations: Tensor


@overload
def step(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, dt: float,
    *, details: Literal[False] = False,
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
@overload
def step(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, dt: float, *, details: Literal[True]
) -> tuple[Tensor, Tensor, Touching]: ...  # fmt: skip
def step(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, dt: float, *, details: bool = False
) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Touching]:
    """The state (q, v) after ``dt`` [s] under joint forces ``tau``, touching by the scene's law.

    q (..., nq) [rad | m], v (..., nv), tau (..., nv) [N·m | N] or None. Joint damping acts at the
    end of the step, and soft contact is stepped by RK4, where robot.stepping says so. With
    ``details`` also what was touched (`Touching`). Differentiable in states, forces and inertial
    parameters: gaps, jacobians and the solution of the problem, not the choice of contacts.
    Raises RobotError on wrong shapes, on numbers that are not finite, and on dt <= 0.
    """
    q, v, tau, dt = entered(robot, scene, q, v, tau, dt)
    batch = q.shape[:-1]
    law = scene.law if scene.law is not None else Soft()
    scheme = robot.stepping.integrator if robot.stepping is not None else "semi_implicit_euler"
    if scheme == "rk4" and isinstance(law, Soft):
        q, v, touched = _rk4(robot, scene, law, q, v, tau, dt)
    else:
        implicit = {"implicit_damping": 1, "implicit_velocity": 2}.get(scheme, 0)
        q, v, touched = _euler(robot, scene, law, q, v, tau, dt, implicit)
    if not details:
        return q, v
    shaped = {n: x.reshape((*batch, *x.shape[1:])) for n, x in vars(touched).items()}
    return q, v, Touching(**shaped)


def entered(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, dt: Any
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Checked, of one dtype and device, expanded over all batch axes."""
    check_robot(robot)
    if not hasattr(scene, "law") or not hasattr(scene, "nc"):
        raise RobotError(
            f"expected a Scene second, found {type(scene).__name__}; make one by "
            "kinematics.contact.Scene or kinematics.contact.load"
        )
    q, v = as_array("q", q), as_array("v", v)
    tau = torch.zeros_like(v) if tau is None else as_array("tau", tau)
    try:
        width = float(dt)
    except (TypeError, ValueError):
        width = math.nan
    if not 0 < width < math.inf:
        raise RobotError(f"expected a finite dt > 0, found {dt!r}; give a positive step")
    for name, x, size in (("q", q, robot.nq), ("v", v, robot.nv), ("tau", tau, robot.nv)):
        check_width(robot, name, x, size)
        if not bool(x.isfinite().all()):
            raise RobotError(f"expected finite numbers as {name}, found nan or infinity; mend them")
    dtype = torch.promote_types(torch.promote_types(q.dtype, v.dtype), tau.dtype)
    if dtype not in (torch.float32, torch.float64):
        raise RobotError(f"expected states in float32 or float64, found {dtype}; convert them")
    shapes = [tuple(x.shape[:-1]) for x in (q, v, tau)] + [tuple(robot.pi.shape[:-2])]
    batch = common_batch(("q", "v", "tau", "robot.pi"), shapes)
    q, v, tau = (
        x.to(dtype=dtype, device=q.device).expand(*batch, x.shape[-1]) for x in (q, v, tau)
    )
    return (normalise(robot, q) if robot.quaternion_slices else q), v, tau, width


def without_dry_friction(robot: Robot) -> Robot:
    """The robot whose dry friction is left to the constraints. Kept once made."""
    if not bool((robot.friction != 0).any()):
        return robot
    if "no dry friction" not in robot._cache:
        none = torch.zeros_like(robot.friction)
        robot._cache["no dry friction"] = robot.replace(friction=none)
    return robot._cache["no dry friction"]


def situation(
    robot: Robot, scene: Any, law: Soft | Hard, q: Tensor, v: Tensor, tau: Tensor, dt: float
) -> Situation:
    """Inertia, unconstrained acceleration and contacts at states with any batch axes."""
    smooth = without_dry_friction(robot) if getattr(scene, "limits", True) else robot
    free = aba(smooth, q, v, tau) + turning(robot, v)
    mass = crba(smooth, q)
    met = contacts(robot, scene, q)
    nv, nc = robot.nv, met.gap.shape[-1]
    count = v.numel() // nv
    return Situation(
        robot=robot,
        scene=scene,
        law=law,
        q=q.reshape(count, robot.nq),
        v=v.reshape(count, nv),
        mass=mass.reshape(count, nv, nv),
        free=free.reshape(count, nv),
        dt=dt,
        gap=met.gap.reshape(count, nc),
        present=met.present.reshape(count, nc),
        jacobian=met.jacobian.reshape(count, nc, 3, nv),
    )


def _euler(
    robot: Robot, scene: Any, law: Soft | Hard, q: Tensor, v: Tensor, tau: Tensor, dt: float,
    implicit: int,
) -> tuple[Tensor, Tensor, Touching]:  # fmt: skip
    s = situation(robot, scene, law, q, v, tau, dt)
    damped = _damped(robot, s.mass, dt, implicit)
    if isinstance(law, Hard):
        if damped is not None:
            s = replace(s, mass=damped, free=_solve(damped, s.mass @ s.free[..., None]))
        x, touched = _constrained(s)
        after = x
    else:
        x, touched = _constrained(s)
        after = s.v + dt * (x if damped is None else _solve(damped, s.mass @ x[..., None]))
    return *advance(robot, q, after.reshape(v.shape), dt), touched


def _damped(robot: Robot, mass: Tensor, dt: float, implicit: int) -> Tensor | None:
    """Mass plus dt times what acts against velocity at the end of the step; None if nothing."""
    total = mass.new_zeros(mass.shape[1:])
    if implicit:
        total = total + torch.diag(robot.damping.to(mass))
    if implicit > 1 and robot.actuation is not None:
        total = total + robot.actuation.damping.to(mass)
    return mass + dt * total if bool((total != 0).any()) else None


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve(matrix, right)[..., 0]


def _constrained(s: Situation) -> tuple[Tensor, Touching]:
    """The solution (B, nv) of the situation's problem, an acceleration or velocity, and details."""
    hard = isinstance(s.law, Hard)
    made = rows(s)
    eased = 1.0
    if isinstance(s.law, Hard):
        eased = 10.0 ** round(math.log10(min(_EASED, 1 / s.law.regularisation)))
    solution = solve(made.problem, eased=eased)
    nc = s.gap.shape[1]
    force = made.contact_forces(solution.forces, nc)
    joint_force = made.joint_forces(solution.forces)
    if hard:
        force, joint_force = force / s.dt, joint_force / s.dt
    held = made.sticking(solution.forces, solution.zones, nc)
    touched = Touching(
        gap=torch.where(s.present, s.gap, torch.inf),
        force=force,
        mode=_modes(s, made, force, held),
        joint_force=joint_force,
        iterations=solution.iterations,
    )
    return solution.x, touched


def _modes(s: Situation, made: Rows, force: Tensor, held: Tensor) -> Tensor:
    """Free, impact (approaching faster than free motion gains in two steps), sliding, sticking."""
    with torch.no_grad():
        approach = -s.rates()[..., 0]
        gained = torch.matmul(s.jacobian[..., 0, :], s.free[..., None])[..., 0].abs()
        mode = torch.where(held, STICKING, SLIDING)
        mode = torch.where(approach > _APPROACH * s.dt * gained + 1e-9, IMPACT, mode)
        return torch.where(force[..., 0] > 0, mode, FREE)


def _rk4(
    robot: Robot, scene: Any, law: Soft, q: Tensor, v: Tensor, tau: Tensor, dt: float
) -> tuple[Tensor, Tensor, Touching]:
    """Runge-Kutta of order 4 with contact in every stage: velocities along fixed axes, turns in a
    chart about q (Munthe-Kaas), as MuJoCo has it since 4.0."""
    start = fixed(robot, q, v)
    rates, slopes, first = [], [], None
    at, rate, moved_by = q, start, torch.zeros_like(v)
    for share in (0.5, 0.5, 1.0, None):
        own = turned(robot, at, rate)
        x, touched = _constrained(situation(robot, scene, law, at, own, tau, dt))
        first = first or touched
        rates.append(_chart_rate(robot, moved_by, rate))
        slopes.append(fixed(robot, at, x.reshape(v.shape)))
        if share is not None:
            moved_by = share * dt * rates[-1]
            at, rate = moved(robot, q, moved_by, 1.0), start + share * dt * slopes[-1]
    weights = (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    gained = torch.stack([w * x for w, x in zip(weights, slopes, strict=True)]).sum(0)
    travelled = torch.stack([w * x for w, x in zip(weights, rates, strict=True)]).sum(0)
    at = moved(robot, q, travelled, dt)
    assert first is not None
    return at, turned(robot, at, start + dt * gained), first


def _chart_rate(robot: Robot, x: Tensor, v: Tensor) -> Tensor:
    """The rate of the coordinates x about a fixed configuration at velocity v along fixed axes."""
    if not robot.quaternion_slices:
        return v
    parts = []
    for joint in robot.independent_joints:
        at = robot.v_slices[joint]
        own, by = v[..., at], x[..., at]
        if robot.kinds[joint] in ("free", "spherical"):
            turn = rot.left_jacobian_inverse(-by[..., :3], own[..., :3])
            own = torch.cat((turn, own[..., 3:]), -1)
        parts.append(own)
    return torch.cat(parts, -1)


def advance(robot: Robot, q: Tensor, v: Tensor, dt: Any) -> tuple[Tensor, Tensor]:
    """(q', v') after moving with v (..., nv), given in the frames at q, along fixed axes for dt."""
    along = fixed(robot, q, v)
    q = moved(robot, q, along, dt)
    return q, turned(robot, q, along)


def turning(robot: Robot, v: Tensor) -> Tensor:
    """What the linear acceleration of a free joint gains in axes that do not turn: ω × v."""
    parts = []
    for joint in robot.independent_joints:
        own = v[..., robot.v_slices[joint]]
        if robot.kinds[joint] == "free":
            spin = torch.linalg.cross(own[..., :3], own[..., 3:])
            parts.append(torch.cat((torch.zeros_like(spin), spin), -1))
        else:
            parts.append(torch.zeros_like(own))
    return torch.cat(parts, -1)


def fixed(robot: Robot, q: Tensor, v: Tensor) -> Tensor:
    """v (..., nv) with the linear parts of free joints in the parent's frame."""
    return _rotated(robot, q, v, back=False)


def turned(robot: Robot, q: Tensor, v: Tensor) -> Tensor:
    """The inverse of `fixed`."""
    return _rotated(robot, q, v, back=True)


def _rotated(robot: Robot, q: Tensor, v: Tensor, *, back: bool) -> Tensor:
    if "free" not in robot.kinds:
        return v
    parts = []
    for joint in robot.independent_joints:
        own = v[..., robot.v_slices[joint]]
        if robot.kinds[joint] == "free":
            quaternion = q[..., robot.q_slices[joint]][..., 3:]
            if back:
                quaternion = rot.quaternion_conjugate(quaternion)
            own = torch.cat((own[..., :3], rot.rotate_by_quaternion(quaternion, own[..., 3:])), -1)
        parts.append(own)
    return torch.cat(parts, -1)


def moved(robot: Robot, q: Tensor, v: Tensor, dt: Any) -> Tensor:
    """q after moving for dt with v, whose free joints have linear parts in the parent's frame."""
    if not robot.quaternion_slices:
        return q + v * dt
    parts = []
    for joint in robot.independent_joints:
        own, rate = q[..., robot.q_slices[joint]], v[..., robot.v_slices[joint]] * dt
        if robot.kinds[joint] == "free":
            parts.append(own[..., :3] + rate[..., 3:])
        if robot.kinds[joint] in ("free", "spherical"):
            quaternion = rot.quaternion_product(own[..., -4:], rot.exp_quaternion(rate[..., :3]))
            parts.append(quaternion / quaternion.norm(dim=-1, keepdim=True))
        else:
            parts.append(own + rate)
    return torch.cat(parts, -1)
