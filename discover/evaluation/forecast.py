"""Forecasts: a `Dynamics` integrated in time, and its error, energy drift and divergence rate.

Model, law and simulator are integrated by the same scheme from the same starts, so that the
forecasts differ only by the accelerations. Models of next states are iterated, and compared with
the iterated step maps of simulator and law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Dynamics
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, distance, sample

if TYPE_CHECKING:
    from kinematics import Robot


VALID = 0.4  # a forecast holds until its error reaches this share of the motion's own spread
FAIR = 0.5  # the share of its time that the reference should spend in the region
STAY, SHORTEST = 4.0, 0.4  # a horizon that is cut: so many stays in the region, at least [s]
TWIN = 1e-7  # how far apart the twin starts are from which the rate of divergence is read


StepMap = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Roll = Callable[[Tensor, Tensor, int], "Forecast"]  # from starts q0, v0 over so many steps


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A batch of trajectories: t (T,) [s], q (T, B, nq), v (T, B, nv), energy (T, B) [J].

    The energy is computed from the robot's description, on the same scale for all forecasts.
    """

    t: Tensor
    q: Tensor
    v: Tensor
    energy: Tensor


def forecast(
    dynamics: Dynamics, robot: Robot, q0: Tensor, v0: Tensor, *, dt: float, steps: int
) -> Forecast:
    """Runge–Kutta of fourth order with no joint forces, from q0 (B, nq), v0 (B, nv).

    The scheme of `kinematics.simulate`, with any `Dynamics` in the simulator's place.
    """
    from kinematics import integrate, kinetic_energy, potential_energy
    from kinematics.algorithms.simulate import chart_rate

    tau = torch.zeros_like(v0)
    zero = torch.zeros_like(v0)

    def slope(q: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        a = torch.as_tensor(dynamics(integrate(robot, q, x), w, tau))
        return chart_rate(robot, x, w), a.to(v0)

    q, v = q0, v0
    path = [(q, v)]
    with torch.no_grad():
        for _ in range(steps):
            k1, a1 = slope(q, zero, v)
            k2, a2 = slope(q, dt / 2 * k1, v + dt / 2 * a1)
            k3, a3 = slope(q, dt / 2 * k2, v + dt / 2 * a2)
            k4, a4 = slope(q, dt * k3, v + dt * a3)
            q = integrate(robot, q, dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
            v = v + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
            path.append((q, v))
        qs, vs = (torch.stack(column) for column in zip(*path, strict=True))
        energy = kinetic_energy(robot, qs, vs) + potential_energy(robot, qs)
    return Forecast(t=dt * torch.arange(steps + 1, dtype=v0.dtype), q=qs, v=vs, energy=energy)


def iterate(
    step: StepMap, robot: Robot, q0: Tensor, v0: Tensor, *, dt: float, steps: int
) -> Forecast:
    """A map (q, v, tau) -> (q, v) after dt [s], applied `steps` times with no joint forces.

    Quaternions are brought back to unit length after every step, as any user would.
    """
    from kinematics import kinetic_energy, potential_energy

    tau = torch.zeros_like(v0)
    state = (q0, v0)
    path = [state]
    with torch.no_grad():
        for _ in range(steps):
            q, v = (torch.as_tensor(x).to(v0) for x in step(*state, tau))
            state = (_unit_quaternions(robot, q), v)
            path.append(state)
        qs, vs = (torch.stack(column) for column in zip(*path, strict=True))
        energy = kinetic_energy(robot, qs, vs) + potential_energy(robot, qs)
    return Forecast(t=dt * torch.arange(steps + 1, dtype=v0.dtype), q=qs, v=vs, energy=energy)


def _unit_quaternions(robot: Robot, q: Tensor) -> Tensor:
    for where in robot.quaternion_slices:
        q = q.clone()
        q[:, where] = torch.nn.functional.normalize(q[:, where], dim=-1)
    return q


def divergence(robot: Robot, reference: Forecast, other: Forecast) -> Tensor:
    """How far `other` is from `reference`, (T, B), in units of the reference motion's own spread.

    Positions are compared on the configuration manifold; every coordinate of position and velocity
    is divided by its root mean square excursion over all reference trajectories.
    """
    from kinematics import difference

    start = reference.q[0].expand_as(reference.q)
    excursion = difference(robot, start, reference.q)
    gap_q = difference(robot, reference.q, other.q)
    gap_v = other.v - reference.v
    parts = []
    for gap, motion in ((gap_q, excursion), (gap_v, reference.v)):
        spread = motion.square().mean((0, 1)).sqrt()
        parts.append(gap / torch.where(spread > 0, spread, torch.ones_like(spread)))
    away = torch.cat(parts, dim=-1).square().mean(-1).sqrt()
    return torch.nan_to_num(away, nan=torch.inf, posinf=torch.inf)


def valid_time(t: Tensor, away: Tensor) -> Tensor:
    """When each forecast (T, B) first leaves `VALID`, (B,) [s]; the horizon where it never does."""
    failed = away > VALID
    first = torch.where(failed.any(0), failed.int().argmax(0), len(t) - 1)
    return t[first]


def divergence_rate(robot: Robot, reference: Forecast, twin: Forecast) -> float:
    """Mean rate [1/s] at which two trajectories that start `TWIN` apart separate."""
    away = divergence(robot, reference, twin)
    rate = torch.log(away[-1] / away[1]) / (reference.t[-1] - reference.t[1])
    return float(rate.mean())


def compare_forecasts(
    subjects: dict[str, Dynamics],
    reference: Dynamics,
    robot: Robot,
    region: Region,
    *,
    starts: int = 16,
    dt: float = 0.01,
    seconds: float = 4.0,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compare forecasts of subjects and reference from the same starts, in the region's inner half.

    Where the reference's own motions are outside the region most of the time, the horizon is cut
    to a few times their stay in it. Returns a table (valid times, energy drift, divergence
    rate; JSON-able) and arrays to draw (the first start's trajectories, and the spread over all
    starts).
    """
    batch = sample(region.scaled(0.5), robot, starts, seed)

    def along(dynamics: Dynamics, dt: float, seconds: float) -> Forecast:
        steps = round(seconds / dt)
        return forecast(dynamics, robot, batch.q, batch.v, dt=dt, steps=steps)

    true = along(reference, dt, seconds)
    cut = horizon(robot, region, true)
    if cut < seconds:
        dt *= cut / seconds
        true = along(reference, dt, cut)
    half = along(reference, dt / 2, cut)

    def roller(dynamics: Dynamics) -> Roll:
        def roll(q: Tensor, v: Tensor, steps: int) -> Forecast:
            return forecast(dynamics, robot, q, v, dt=dt, steps=steps)

        return roll

    rollers = {name: roller(dynamics) for name, dynamics in subjects.items()}
    table, drawn = _judge(rollers, roller(reference), true, robot, region)
    table |= {
        "integrator": "Runge–Kutta 4",
        "asked_seconds": seconds,
        "reference_step_error": float(divergence(robot, true, _every_other(half))[-1].mean()),
    }
    return table, drawn


def compare_step_maps(
    subjects: dict[str, StepMap],
    reference: StepMap,
    robot: Robot,
    region: Region,
    *,
    dt: float,
    starts: int = 16,
    seconds: float = 4.0,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The same for models of next states: maps over dt [s], compared with the reference's own map.

    The step is the models' own, so a horizon that is cut has fewer of them.
    """
    batch = sample(region.scaled(0.5), robot, starts, seed)
    true = iterate(reference, robot, batch.q, batch.v, dt=dt, steps=max(2, round(seconds / dt)))
    steps = max(2, round(horizon(robot, region, true) / dt))
    cut = slice(0, steps + 1)
    true = Forecast(t=true.t[cut], q=true.q[cut], v=true.v[cut], energy=true.energy[cut])

    def roller(step: StepMap) -> Roll:
        def roll(q: Tensor, v: Tensor, steps: int) -> Forecast:
            return iterate(step, robot, q, v, dt=dt, steps=steps)

        return roll

    rollers = {name: roller(step) for name, step in subjects.items()}
    table, drawn = _judge(rollers, roller(reference), true, robot, region)
    return table | {"integrator": "its own step map", "asked_seconds": seconds}, drawn


def horizon(robot: Robot, region: Region, path: Forecast) -> float:
    """The horizon [s]: the whole path; or, where most of it is outside the region, a few times the
    median stay in it. Long after the exit, a forecast shows chaos and little else."""
    seconds = float(path.t[-1])
    inside = _inside(robot, region, path)
    if float(inside.double().mean()) >= FAIR:
        return seconds
    return min(seconds, max(SHORTEST, STAY * float(_first_exit(path.t, inside).median())))


def _judge(
    subjects: dict[str, Roll], reference: Roll, true: Forecast, robot: Robot, region: Region
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Table and arrays of every subject, rolled out along the true path from the same starts."""
    inside, steps = _inside(robot, region, true), len(true.t) - 1
    exchanged = (true.energy - true.energy[0]).abs()
    twin = reference(true.q[0], true.v[0] + TWIN, steps)
    swing = _kinetic_swing(robot, true)
    drawn: dict[str, np.ndarray] = {
        "t": true.t.numpy(),
        "reference_q": true.q[:, 0].numpy(),
        "reference_energy": true.energy[:, 0].numpy(),
        "inside": inside[:, 0].numpy(),
    }
    table: dict[str, Any] = {
        "dt": float(true.t[1]),
        "seconds": float(true.t[-1]),
        "starts": true.q.shape[1],
        "threshold": VALID,
        "energy_scale": swing,
        "reference_drift": float(exchanged[-1].mean() / swing),
        "lyapunov_rate": divergence_rate(robot, true, twin),
        "inside_share": float(inside.double().mean()),
        "subjects": {},
    }
    for name, roll in subjects.items():
        predicted = roll(true.q[0], true.v[0], steps)
        away = divergence(robot, true, predicted)
        holds = valid_time(true.t, away)
        drift = (predicted.energy - true.energy).abs() / swing
        drawn[f"{name}_q"] = predicted.q[:, 0].numpy()
        drawn[f"{name}_energy"] = predicted.energy[:, 0].numpy()
        drawn[f"{name}_away"] = np.quantile(
            away.numpy(), [0.25, 0.5, 0.75], axis=1, method="nearest"
        )
        table["subjects"][name] = {
            "valid_time": float(holds.median()),
            "valid_time_low": float(holds.quantile(0.25)),
            "valid_time_high": float(holds.quantile(0.75)),
            "never_failed": float((away <= VALID).all(0).double().mean()),
            "energy_drift": float(drift[-1].median()),
        }
    return table, drawn


def _kinetic_swing(robot: Robot, path: Forecast) -> float:
    """The scale of energies in a motion: its largest kinetic energy, mean over starts."""
    from kinematics import kinetic_energy

    return float(kinetic_energy(robot, path.q, path.v).amax(0).mean())


def _inside(robot: Robot, region: Region, path: Forecast) -> Tensor:
    """Which states of the path (T, B) are in the region."""
    flat_v = path.v.reshape(-1, path.v.shape[-1])
    states = Batch(path.q.reshape(-1, path.q.shape[-1]), flat_v, torch.zeros_like(flat_v))
    away = distance(region, robot, states)
    return torch.maximum(away.q, away.v).reshape(path.energy.shape) <= 1


def _first_exit(t: Tensor, inside: Tensor) -> Tensor:
    """When each trajectory first leaves the region, (B,) [s]; the horizon where it never does."""
    left = ~inside
    return t[torch.where(left.any(0), left.int().argmax(0), len(t) - 1)]


def _every_other(path: Forecast) -> Forecast:
    return Forecast(t=path.t[::2], q=path.q[::2], v=path.v[::2], energy=path.energy[::2])
