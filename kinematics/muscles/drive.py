"""What muscles do at a checked state: tensions, joint forces, and rates of their internal state.

It stands below forward dynamics, which needs compiled programs of it (`kinematics.programs.muscles`
traces it over expression nodes), and which it must not import therefore.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kinematics.muscles.geometry import State, Strings, enter
from kinematics.robot.tree import Robot


def muscle_tensions(robot: Robot, q: Any, v: Any, u: Any, z: Any = None) -> Tensor:
    """Tensions (..., nm) [N], positive where muscles pull, of the same arguments as `forward`."""
    state = enter(robot, q=q, v=v, u=u, z=z)
    strings = Strings(state)
    return state.out(tension(state, strings, strings.rates(state.given["v"])))


def drive(state: State) -> tuple[Tensor, Tensor]:
    """Joint forces (B, nv) of the muscles and rates (B, nz) of their internal state; no rates where
    the state has no z."""
    strings, given, forces = Strings(state), state.given, state.muscles.forces
    speed = strings.rates(given["v"])
    tau = strings.joint_forces(tension(state, strings, speed))
    if "z" not in given or forces is None:
        return tau, tau[:, :0]
    muscles = state.muscles
    activation, fibre = given["z"][:, : muscles.nm], given["z"][:, muscles.nm :]
    rate = forces.activation_rate(muscles.excitation(given["u"]), activation)
    excited = torch.tensor(muscles.excited, device=rate.device)
    rates = [torch.where(excited, rate, torch.zeros_like(rate))]
    if forces.nf:
        active = _activation(state)
        rates.append(forces.fibre_rate(strings.lengths, speed, active, fibre))
    return tau, torch.cat(rates, -1)


def tension(state: State, strings: Strings, speed: Tensor) -> Tensor:
    """Tensions (B, nm) [N] of strings whose lengths change by ``speed`` (B, nm) [m/s]."""
    muscles = state.muscles
    fibre = (
        [state.given["z"][:, muscles.nm :]]
        if "z" in state.given and muscles.nz > muscles.nm
        else []
    )
    return muscles.tension(strings.lengths, speed, _activation(state), *fibre)


def _activation(state: State) -> Tensor:
    """Activations (B, nm): the state's, or the excitation where no dynamics lie between."""
    muscles, u = state.muscles, state.muscles.excitation(state.given["u"])
    if "z" not in state.given:
        return u
    excited = torch.tensor(muscles.excited, device=u.device)
    return torch.where(excited, state.given["z"][:, : muscles.nm], u)
