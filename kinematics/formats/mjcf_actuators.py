"""Actuators and step options of a compiled MJCF, read from MuJoCo's own answers.

The map from controls to joint forces is measured: MuJoCo is asked for ``qfrc_actuator`` at random
states and controls, and what does not agree with constant lever arms, a gain, an offset and linear
servo terms (sites, tendons that wrap, filters) is named as not read. Muscles are read elsewhere
(mjcf_muscles.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kinematics.muscles.muscles import Muscles
from kinematics.robot.actuation import Actuation, Stepping
from kinematics.robot.tree import Robot

_STATES = 6
_AGREES = 1e-9  # of the largest joint force: what the last digits of its sums leave


def actuation_of(model: Any, muscles: Muscles | None = None) -> tuple[Actuation | None, list[str]]:
    """What the model's controls do to its joints; None, with a note, where it cannot be said, and
    where they are ``muscles``."""
    import mujoco

    if not model.nu:
        return None, []
    if muscles is not None:
        others = len(model.actuator_trntype) - muscles.nm
        why = f"left out: {others} actuators beside {muscles.nm} muscles"
        return None, [why] if others else []
    reason = _unreadable(model)
    if reason is not None:
        return None, [f"left out: {model.nu} actuators ({reason}); forces act on the joints"]
    data = mujoco.MjData(model)
    free = _unlimited(model)
    rng = np.random.default_rng(0)

    def force(q: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
        data.qpos[:], data.qvel[:], data.ctrl[:] = q, v, u
        mujoco.mj_forward(free, data)
        return np.array(data.qfrc_actuator)

    rest, still = np.array(model.qpos0), np.zeros(model.nv)
    none, units = np.zeros(model.nu), np.eye(model.nu)
    base = force(rest, still, none)
    pull = np.array([force(rest, still, unit) - base for unit in units])  # (nu, nv)
    slides = model.nq == model.nv
    stiffness, damping = np.zeros((model.nv, model.nv)), np.zeros((model.nv, model.nv))
    for j in range(model.nv):
        step = np.zeros(model.nv)
        step[j] = 1.0
        damping[j] = base - force(rest, step, none)
        if slides:
            stiffness[j] = base - force(rest + step, still, none)
    constant = base + (rest @ stiffness if slides else 0.0)
    for _ in range(_STATES):
        q, v = _configuration(model, rng), rng.normal(size=model.nv)
        u = rng.normal(size=model.nu)
        expected = constant + u @ pull - v @ damping - (q @ stiffness if slides else 0.0)
        asked = force(q, v, u)
        if not np.abs(asked - expected).max() <= _AGREES * (np.abs(asked).max() + 1.0):
            why = "their forces are not linear in control and state with constant lever arms"
            return None, [f"left out: {model.nu} actuators ({why}); forces act on the joints"]
    return _as_actuation(model, pull, constant, stiffness, damping)


def _unreadable(model: Any) -> str | None:
    """Why the actuators are no map from controls to joint forces; None where they are."""
    import mujoco

    if model.na:
        return "they have internal states"
    if np.any(model.actuator_delay if hasattr(model, "actuator_delay") else 0):
        return "they act with a delay"
    if model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_ACTUATION):
        return "switched off by a flag"
    return None


def _unlimited(model: Any) -> Any:
    """A copy of the model without limits on controls and forces, and without all else that costs
    time."""
    import copy

    import mujoco

    free = copy.copy(model)
    free.actuator_ctrllimited[:] = 0
    free.actuator_forcelimited[:] = 0
    free.jnt_actfrclimited[:] = 0
    free.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    return free


def _configuration(model: Any, rng: np.random.Generator) -> np.ndarray:
    import mujoco

    q = np.array(model.qpos0)
    mujoco.mj_integratePos(model, q, rng.normal(size=model.nv), 1.0)
    return q


def _as_actuation(
    model: Any,
    pull: np.ndarray,
    constant: np.ndarray,
    stiffness: np.ndarray,
    damping: np.ndarray,
) -> tuple[Actuation | None, list[str]]:
    """The measured map with the model's limits, one row an actuator."""
    import mujoco

    nu, notes = model.nu, []
    limited = np.array(model.actuator_ctrllimited, dtype=bool)
    low, high = (np.where(limited, model.actuator_ctrlrange[:, k], s * np.inf)
                 for k, s in ((0, -1), (1, 1)))  # fmt: skip
    if model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL):
        low, high = np.full(nu, -np.inf), np.full(nu, np.inf)
    bounded = np.array(model.actuator_forcelimited, dtype=bool)
    gain = np.array(model.actuator_gainprm[:, 0])
    servo = bool(np.any(stiffness) or np.any(damping))
    if (bounded.any() or np.any(model.jnt_actfrclimited)) and servo:
        notes.append("left out: force limits of servos")
        bounded[:] = False
    # a limit on the force is one on the control, where the force does not depend on the state
    least, most = (np.where(bounded, model.actuator_forcerange[:, k], s * np.inf)
                   for k, s in ((0, -1), (1, 1)))  # fmt: skip
    if np.any(model.jnt_actfrclimited) and not servo:
        arms_a_joint = np.count_nonzero(pull, axis=0)
        arms_an_actuator = np.count_nonzero(pull, axis=1)
        if arms_a_joint.max(initial=0) > 1 or arms_an_actuator.max(initial=0) > 1:
            notes.append("left out: force limits of joints with several actuators")
        else:
            for joint in np.flatnonzero(model.jnt_actfrclimited):
                dof = int(model.jnt_dofadr[joint])
                for k in np.flatnonzero(pull[:, dof]):
                    arm = pull[k, dof] / (gain[k] or 1.0)
                    ends = np.sort(model.jnt_actfrcrange[joint] / arm)
                    least[k], most[k] = max(least[k], ends[0]), min(most[k], ends[1])
    scale = np.where(gain == 0, 1.0, gain)

    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float64)

    arms = pull / scale[:, None]
    # the constant part of the forces belongs to actuators' offsets: those that give it
    offset = np.linalg.lstsq(arms.T, constant, rcond=None)[0] if np.any(constant) else np.zeros(nu)
    if not np.allclose(offset @ arms, constant, atol=1e-9 * (1 + np.abs(constant).max())):
        return None, [*notes, f"left out: {nu} actuators (offsets that no control gives)"]
    names = tuple(
        mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, k) or f"u{k + 1}" for k in range(nu)
    )
    return Actuation(
        names=names,
        arms=tensor(arms),
        gain=tensor(scale),
        offset=tensor(offset),
        low=tensor(low),
        high=tensor(high),
        force_low=tensor(least),
        force_high=tensor(most),
        stiffness=tensor(stiffness),
        damping=tensor(damping),
    ), notes


def of_independent(actuation: Actuation, robot: Robot) -> tuple[Actuation | None, list[str]]:
    """The actuation of a full tree as one of the independent joints of ``robot``: with q_full =
    G q + g, arms G and servos Gᵀ K G. None, with a note, where a servo holds a joint that follows
    another at an angle of its own."""
    coupling = robot.coupling
    G = torch.zeros(actuation.nv, robot.nv, dtype=torch.float64)
    G[torch.arange(actuation.nv), torch.as_tensor(coupling.v_source)] = torch.as_tensor(
        coupling.v_scale
    )
    if actuation.stiffness.any() and np.any(coupling.q_offset):
        return None, [f"left out: {actuation.nu} actuators (servos of joints that follow others)"]
    reduced = replace(
        actuation,
        arms=actuation.arms @ G,
        stiffness=G.T @ actuation.stiffness @ G,
        damping=G.T @ actuation.damping @ G,
    )
    return reduced, []


def stepping_of(model: Any) -> Stepping | None:
    """The step of the model's options; its Euler treats joint damping implicitly, unless a flag
    says otherwise, and its "implicitfast" that of servos too."""
    import mujoco

    scheme = mujoco.mjtIntegrator
    damped = bool(np.any(model.dof_damping))
    # the third number of an actuator's bias multiplies the velocity
    slowed = damped or bool(np.any(model.actuator_biasprm[:, 2]))
    flags = mujoco.mjtDisableBit.__members__
    explicit = flags.get("mjDSBL_EULERDAMP")
    implicit = damped and not (explicit and model.opt.disableflags & int(explicit))
    names = {
        int(scheme.mjINT_EULER): "implicit_damping" if implicit else "semi_implicit_euler",
        int(scheme.mjINT_RK4): "rk4",
        int(scheme.mjINT_IMPLICIT): "implicit_velocity",
        int(scheme.mjINT_IMPLICITFAST): "implicit_damping" if slowed else "semi_implicit_euler",
    }
    # An integrator of a later MuJoCo is a step that we do not know; its forces are the same.
    name = names.get(int(model.opt.integrator))
    return None if name is None else Stepping(timestep=float(model.opt.timestep), integrator=name)
