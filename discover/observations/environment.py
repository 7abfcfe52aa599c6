"""What an environment of somebody's library says about the models that were trained in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.observations.action import ActionLayout
from discover.observations.frames import from_mujoco_velocity, to_mujoco_velocity
from discover.observations.layout import ObservationLayout
from kinematics import Robot


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """An environment on MuJoCo, reduced to what can be asked of it.

    model, data   MuJoCo's, the environment's own
    observe       () -> the observation of the data as they stand, flat
    act           action -> controls (nu,) as the environment sets them
    """

    name: str
    model: Any
    data: Any
    frame_skip: int
    observe: Callable[[], np.ndarray]
    act: Callable[[np.ndarray], np.ndarray]
    action_low: np.ndarray
    action_high: np.ndarray


class Coordinates:
    """Between a robot's states and those of the MuJoCo model that it was read from, of which some
    joints (`locked`, by number, at a value) are no joints of the robot, and some mimic others.

    Raises ModelError where the model's coordinates are not those of the robot's tree.
    """

    def __init__(self, robot: Robot, model: Any, locked: Mapping[int, float]) -> None:
        self.robot = robot
        self.rest = np.array(model.qpos0)
        self.nv = int(model.nv)
        places_q: list[int] = []
        places_v: list[int] = []
        for joint in range(model.njnt):
            at_q, at_v = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
            if joint in locked:
                self.rest[at_q] = locked[joint]
                continue
            nq, nv = _SIZES[int(model.jnt_type[joint])]
            places_q += range(at_q, at_q + nq)
            places_v += range(at_v, at_v + nv)
        tree = robot.unmimicked
        if (len(places_q), len(places_v)) != (tree.nq, tree.nv):
            raise ModelError(
                f"{robot.name}: expected the coordinates of its MuJoCo model to be those of a "
                f"tree, found {len(places_q)} for {tree.nq}; wrap(net, robot, observation=[…], "
                "dt=…) declares them by hand"
            )
        self.places_q, self.places_v = places_q, places_v

    def to_mujoco(self, q: Tensor, v: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(qpos (n, model's nq), qvel (n, model's nv)) of q (n, nq), v (n, nv)."""
        coupling = self.robot.coupling
        source_q, source_v = coupling.q_source, coupling.v_source
        qpos = np.tile(self.rest, (len(q), 1))
        qvel = np.zeros((len(q), self.nv))
        qpos[:, self.places_q] = q.numpy()[:, source_q] * coupling.q_scale + coupling.q_offset
        ours = to_mujoco_velocity(self.robot, q, v).numpy()
        qvel[:, self.places_v] = ours[:, source_v] * coupling.v_scale
        return qpos, qvel

    def from_mujoco(self, qpos: np.ndarray, qvel: np.ndarray) -> tuple[Tensor, Tensor]:
        """The inverse of `to_mujoco`; of mimic joints, their drivers' coordinates count."""
        full_q, full_v = qpos[:, self.places_q], qvel[:, self.places_v]
        tree, robot = self.robot.unmimicked, self.robot
        own_q = np.empty((len(qpos), robot.nq))
        own_v = np.empty((len(qpos), robot.nv))
        for joint in robot.independent_joints:
            own_q[:, robot.q_slices[joint]] = full_q[:, tree.q_slices[joint]]
            own_v[:, robot.v_slices[joint]] = full_v[:, tree.v_slices[joint]]
        q = torch.from_numpy(own_q)
        return q, from_mujoco_velocity(robot, q, torch.from_numpy(own_v))


_SIZES = {0: (7, 6), 1: (4, 3), 2: (1, 1), 3: (1, 1)}  # of MuJoCo's kinds of joints


@dataclass(frozen=True, kw_only=True, eq=False)
class Environment:
    """Robot, layouts and step of an environment; the second argument of `discover.wrap`.

    observation  what its observation holds; `observation.declaration()` writes it down
    error        largest difference between the layout's observation and the environment's own, at
                 states of a check of its own, in units of the number's spread
    notes        what could not be read, or holds in smooth motion only, a line each
    """

    world: World
    robot: Robot
    coordinates: Coordinates
    observation: ObservationLayout
    action: ActionLayout
    actuation: Any
    dt: float
    substeps: int
    integrator: str
    error: float
    name: str
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"Environment({self.name}: {self.robot.name}, {self.observation.size} observed "
            f"numbers, {self.action.size} actions, dt = {self.substeps} x "
            f"{self.dt / self.substeps:g} s, {self.integrator})"
        )

    def simulator(self, contacts: bool = False) -> Simulator:
        """The environment's own step as a next-state model: the truth that a network learned."""
        return Simulator(self, contacts)


class Simulator:
    """An environment's own physics, (q, v, u) -> (q_next, v_next), one state after the other.

    contacts: with contacts and joint limits as the environment has them; without, free motion.
    """

    outputs = "next_state"

    def __init__(self, environment: Environment, contacts: bool = False) -> None:
        import copy

        import mujoco

        self.environment = environment
        self.dt, self.substeps = environment.dt, environment.substeps
        self.actuation, self.integrator = environment.actuation, environment.integrator
        self.name = f"{environment.name}'s simulator"
        self._model = copy.copy(environment.world.model)
        if not contacts:
            self._model.opt.disableflags |= smooth_flags()
        self._data = mujoco.MjData(self._model)

    def __call__(self, q: Any, v: Any, u: Any) -> tuple[Tensor, Tensor]:
        import mujoco

        coordinates = self.environment.coordinates
        q, v, u = (torch.as_tensor(x).to(torch.float64) for x in (q, v, u))
        batch = np.broadcast_shapes(q.shape[:-1], v.shape[:-1], u.shape[:-1])
        q, v, u = (x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (q, v, u))
        qpos, qvel = coordinates.to_mujoco(q, v)
        data = self._data
        for x, y, z in zip(qpos, qvel, u.numpy(), strict=True):
            mujoco.mj_resetData(self._model, data)
            data.qpos[:], data.qvel[:], data.ctrl[:] = x, y, z
            mujoco.mj_step(self._model, data, nstep=self.substeps)
            x[:], y[:] = data.qpos, data.qvel
        q_next, v_next = coordinates.from_mujoco(qpos, qvel)
        return q_next.reshape(*batch, -1), v_next.reshape(*batch, -1)


def smooth_flags() -> int:
    """MuJoCo's flags that leave out contacts and joint limits."""
    import mujoco

    flags = mujoco.mjtDisableBit
    return int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_LIMIT)


def random_states(
    robot: Robot, n: int, rng: np.random.Generator, speed: float
) -> tuple[Tensor, Tensor]:
    """States all over: angles within a turn (or their limits), lengths within a metre, any
    orientation; velocities of this size."""
    q = np.empty((n, robot.nq))
    for joint in robot.independent_joints:
        at, kind = robot.q_slices[joint], robot.kinds[joint]
        if kind in ("spherical", "free"):
            q[:, at] = rng.normal(size=(n, at.stop - at.start))
            quaternion = q[:, at.stop - 4 : at.stop]
            quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
            continue
        half = 1.0 if kind == "prismatic" else np.pi
        low = max(float(robot.lower[at.start]), -half)
        high = min(float(robot.upper[at.start]), half)
        low, high = (low, high) if low < high else (-half, half)
        q[:, at] = rng.uniform(low, high, size=(n, 1))
    v = rng.uniform(-speed, speed, size=(n, robot.nv))
    return torch.from_numpy(q), torch.from_numpy(v)


class Asker:
    """Observations of an environment at chosen states, in smooth motion and at given controls."""

    def __init__(self, world: World, coordinates: Coordinates) -> None:
        self.world, self.coordinates = world, coordinates
        self.robot = coordinates.robot

    def __call__(self, q: Tensor, v: Tensor, u: np.ndarray | None = None) -> np.ndarray:
        """(n, size) at q (n, nq), v (n, nv), controls (n, nu) or none. The environment's data are
        left as they were found."""
        import mujoco

        model, data = self.world.model, self.world.data
        kept = [np.array(x) for x in (data.qpos, data.qvel, data.ctrl, data.qacc_warmstart)]
        flags = int(model.opt.disableflags)
        out = []
        try:
            model.opt.disableflags = flags | smooth_flags()
            for row, (x, y) in enumerate(zip(*self.coordinates.to_mujoco(q, v), strict=True)):
                data.qpos[:], data.qvel[:] = x, y
                data.ctrl[:] = 0.0 if u is None else u[row]
                mujoco.mj_forward(model, data)
                mujoco.mj_rnePostConstraint(model, data)
                out.append(np.array(self.world.observe(), dtype=np.float64).ravel())
        finally:
            model.opt.disableflags = flags
            data.qpos[:], data.qvel[:], data.ctrl[:], data.qacc_warmstart[:] = kept
            mujoco.mj_forward(model, data)
        return np.stack(out)

    def filling(self, columns: list[int]) -> Callable[[Tensor, Tensor], Tensor]:
        """The environment's own numbers in these places, as a function of states."""

        def filled(q: Tensor, v: Tensor) -> Tensor:
            flat = self(q.reshape(-1, q.shape[-1]), v.reshape(-1, v.shape[-1]))
            return torch.from_numpy(flat[:, columns]).reshape(*q.shape[:-1], len(columns))

        return filled
