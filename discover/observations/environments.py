"""`from_gymnasium` and `from_dm_control`: robot, observation, action and step of an environment.

Both read from the environment's own answers: its MuJoCo model, its observations of states that it
is put into, and the controls that it sets for an action. Neither library is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from discover.errors import ModelError
from discover.judgement.thresholds import threshold, whole
from discover.observations.action import ActionLayout
from discover.observations.environment import (
    Asker,
    Coordinates,
    Environment,
    World,
    random_states,
)
from discover.observations.layout import ObservationLayout
from discover.observations.recognition import recognise
from kinematics import Robot
from kinematics.formats.mjcf import robot_from_compiled

_INSTEAD = "wrap(net, robot, observation=[…], dt=…) declares it by hand"


def from_gymnasium(env: Any) -> Environment:
    """What a Gymnasium environment on MuJoCo says of itself; the second argument of `wrap`.

    Wrappers that change observations or actions are followed. The environment is reset, and asked
    at random states. Raises ModelError, one line, where it cannot be read.
    """
    inner = getattr(env, "unwrapped", env)
    model: Any = getattr(inner, "model", None)
    data: Any = getattr(inner, "data", None)
    skip, look = getattr(inner, "frame_skip", None), getattr(inner, "_get_obs", None)
    if not (hasattr(model, "qpos0") and hasattr(data, "qpos") and skip and callable(look)):
        raise ModelError(
            f"expected a Gymnasium environment on MuJoCo (with model, data, frame_skip and "
            f"_get_obs), found {type(inner).__name__}; {_INSTEAD}"
        )
    wrappers = []
    layer = env
    while layer is not inner and hasattr(layer, "env"):
        wrappers.append(layer)
        layer = layer.env

    def observe() -> np.ndarray:
        seen = look()
        for wrapper in reversed(wrappers):
            change = getattr(wrapper, "observation", None)
            if callable(change):
                seen = change(seen)
        return _flat(seen)

    def act(action: np.ndarray) -> np.ndarray:
        env.step(np.asarray(action, dtype=env.action_space.dtype))
        return np.array(data.ctrl)

    _hold_statistics(wrappers)
    env.reset(seed=0)
    space = env.action_space
    if not (hasattr(space, "low") and np.ndim(space.low) == 1):
        raise ModelError(
            f"expected a box of actions, found {space}; an environment of discrete actions has no "
            f"controls: {_INSTEAD}"
        )
    spec = getattr(env, "spec", None)
    world = World(
        name=str(getattr(spec, "id", None) or type(inner).__name__),
        model=model,
        data=data,
        frame_skip=int(skip),
        observe=observe,
        act=act,
        action_low=np.asarray(space.low, dtype=float),
        action_high=np.asarray(space.high, dtype=float),
    )
    return _read(world, env.reset)


def from_dm_control(env: Any) -> Environment:
    """What an environment of dm_control's suite says of itself; the second argument of `wrap`.

    Observations are flattened in the order of the dictionary that it gives. Raises ModelError, one
    line, where it cannot be read.
    """
    physics, task = getattr(env, "physics", None), getattr(env, "task", None)
    look = getattr(task, "get_observation", None)
    step = getattr(env, "control_timestep", None)
    if physics is None or not callable(look) or not callable(step):
        raise ModelError(
            "expected an environment of dm_control's suite (with physics and "
            f"task.get_observation), found {type(env).__name__}; {_INSTEAD}"
        )
    env.reset()
    model, data = physics.model.ptr, physics.data.ptr

    def act(action: np.ndarray) -> np.ndarray:
        env.step(action)
        return np.array(data.ctrl)

    spec = env.action_spec()
    limits = [np.broadcast_to(x, spec.shape).astype(float) for x in (spec.minimum, spec.maximum)]
    name = f"{type(task).__module__.rpartition('.')[2]} {type(task).__name__}".strip()
    world = World(
        name=name,
        model=model,
        data=data,
        frame_skip=max(1, round(step() / float(model.opt.timestep))),
        observe=lambda: _flat(look(physics)),
        act=act,
        action_low=limits[0],
        action_high=limits[1],
    )
    return _read(world, env.reset)


def _flat(seen: Any) -> np.ndarray:
    """Numbers of an array, or of a dictionary in its order."""
    parts = list(seen.values()) if isinstance(seen, Mapping) else [seen]
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in parts])


def _hold_statistics(wrappers: list[Any]) -> None:
    """Running means of normalising wrappers stay as they are while they are asked."""
    for wrapper in wrappers:
        if hasattr(wrapper, "update_running_mean"):
            wrapper.update_running_mean = False


def _read(world: World, reset: Callable[[], Any]) -> Environment:
    action, still = _action(world, reset)
    varied = _of_an_episode(world, reset)  # the last reset: from here on all stays as it is now
    places = {joint: float(world.data.qpos[world.model.jnt_qposadr[joint]]) for joint in still}
    robot, coordinates, layout = _layout(world, {})
    # what neither moves nor shows its velocity (a target on slides) is no part of the robot
    hidden = {k for places in layout.determination.missing_v.values() for k in places}
    sources = robot.coupling.v_source
    locked = {
        joint: value
        for joint, value in places.items()
        if sources[coordinates.places_v.index(int(world.model.jnt_dofadr[joint]))] in hidden
    }
    notes = []
    if varied.any():
        labels = [layout.labels[k] for k in np.flatnonzero(varied)[:3]]
        notes.append(
            f"{world.name}: {int(varied.sum())} of {layout.size} observed numbers are those of an "
            f"episode (a goal, or the like: {', '.join(labels)}, …); they are taken as after one "
            "reset"
        )
    if locked:
        robot, coordinates, layout = _layout(world, locked)
        names = [world.model.joint(joint).name or f"joint {joint}" for joint in locked]
        notes.append(
            f"{world.name}: {', '.join(names)} do not move and show no velocity; they are taken as "
            "fixed where the environment's reset puts them"
        )
    assert robot.stepping is not None  # an MJCF always has one
    ask = Asker(world, coordinates)
    error = _check(ask, layout)
    notes += [f"{world.name}: {note}" for note in robot.notes]
    notes += _what_else(ask, layout, world)
    return Environment(
        world=world,
        robot=robot,
        coordinates=coordinates,
        observation=layout,
        action=action,
        actuation=robot.actuation,
        dt=world.frame_skip * float(world.model.opt.timestep),
        substeps=world.frame_skip,
        integrator=robot.stepping.integrator,
        error=error,
        name=world.name,
        notes=notes,
    )


def _layout(
    world: World, locked: Mapping[int, float]
) -> tuple[Robot, Coordinates, ObservationLayout]:
    """The robot with these joints locked, and the observation of its states."""
    robot = robot_from_compiled(world.model, world.name, world.name, tree_only=True, locked=locked)
    coordinates = Coordinates(robot, world.model, locked)
    ask = Asker(world, coordinates)
    return robot, coordinates, recognise(robot, ask, ask.filling)


def _check(ask: Asker, layout: ObservationLayout) -> float:
    """The layout against the environment, at states that recognition has not seen."""
    rng = np.random.default_rng(1)
    q, v = random_states(ask.robot, whole("observations.check_states"), rng, 20.0)
    own = ask(q, v)
    spread = np.maximum(np.ptp(own, axis=0), 1.0)
    error = float((np.abs(layout.observe(q, v).numpy() - own) / spread).max())
    coarse = bool((own.astype(np.float32) == own).all())
    if error > threshold("observations.check_coarse" if coarse else "observations.check"):
        where = int((np.abs(layout.observe(q, v).numpy() - own) / spread).max(0).argmax())
        raise ModelError(
            f"{ask.world.name}: observed number {where} was read as {layout.labels[where]}, which "
            f"is {error:.2g} off at other states; {_INSTEAD}"
        )
    return error


def _what_else(ask: Asker, layout: ObservationLayout, world: World) -> list[str]:
    """What changes observations besides the state: the last controls."""
    rng = np.random.default_rng(2)
    q, v = random_states(ask.robot, 4, rng, 1.0)
    u = rng.uniform(world.action_low.min(), world.action_high.max(), size=(4, world.model.nu))
    moved = np.abs(ask(q, v, u) - ask(q, v)).max(0) > 0
    notes = []
    if world.model.na:
        notes.append(
            f"{world.name}: its actuators have {world.model.na} internal states, which are no part "
            "of (q, v); observed, they are filled as after a reset"
        )
    if not moved.any():
        return notes
    labels = [layout.labels[k] for k in np.flatnonzero(moved)[:3]]
    return [
        *notes,
        f"{world.name}: {int(moved.sum())} of {layout.size} observed numbers depend on the last "
        f"controls ({', '.join(labels)}, …); they are filled as without any",
    ]


def _action(world: World, reset: Callable[[], Any]) -> tuple[ActionLayout, list[int]]:
    """The action by the controls that the environment sets: each control is one action, scaled;
    and the hinges and slides that never moved meanwhile, by number.

    Raises ModelError where controls are anything else of the action."""
    low = np.where(np.isfinite(world.action_low), world.action_low, -1.0)
    high = np.where(np.isfinite(world.action_high), world.action_high, 1.0)
    rng = np.random.default_rng(3)
    n = 2 * len(low) + 4
    actions = rng.uniform(low, high, size=(n, len(low)))
    controls = []
    moved = np.zeros(world.model.nv, dtype=bool)
    for action in actions:
        reset()
        controls.append(world.act(action))
        moved |= np.array(world.data.qvel) != 0
    still = [
        joint
        for joint in range(world.model.njnt)
        if world.model.jnt_type[joint] >= 2 and not moved[world.model.jnt_dofadr[joint]]
    ]
    return _affine(world, actions, np.stack(controls)), still


def _of_an_episode(world: World, reset: Callable[[], Any]) -> np.ndarray:
    """Which observed numbers differ from one reset to another at the same state (size,)."""
    seen = []
    for _ in range(2):
        reset()
        data = world.data
        kept = np.array(data.qpos), np.array(data.qvel)
        # what is on joints of its own, as many goals are, stays with the state
        data.qpos[:], data.qvel[:] = world.model.qpos0, 0.0
        _bring_up_to_date(world)
        seen.append(np.array(world.observe(), dtype=np.float64).ravel())
        data.qpos[:], data.qvel[:] = kept
        _bring_up_to_date(world)
    return np.asarray(seen[0] != seen[1])


def _bring_up_to_date(world: World) -> None:
    """Bring what MuJoCo derives of a state up to date."""
    import mujoco

    mujoco.mj_forward(world.model, world.data)


def _affine(world: World, actions: np.ndarray, u: np.ndarray) -> ActionLayout:
    """The layout of actions (n, size) that set controls (n, nu)."""
    names = [world.model.actuator(k).name or f"u{k + 1}" for k in range(world.model.nu)]
    x = np.hstack((actions, np.ones((len(u), 1))))
    c = np.linalg.lstsq(x, u, rcond=None)[0]
    loose = threshold("observations.action_agrees")  # many action spaces are float32
    size = np.abs(u).max(initial=1e-300)
    c = np.where(np.abs(c) < loose * max(1.0, np.abs(c).max(initial=0.0)), 0.0, c)
    gains = c[:-1] != 0
    if (
        np.abs(x @ c - u).max(initial=0.0) > loose * size
        or (gains.sum(0) > 1).any()
        or (gains.sum(1) != 1).any()
    ):
        raise ModelError(
            f"{world.name}: expected each action to set one control, found another map; give "
            "action = {order = […], scale = …} to wrap"
        )
    index = [int(np.flatnonzero(row)[0]) for row in c[:-1]]
    gain = np.array([c[a, k] for a, k in enumerate(index)])
    near = np.round(gain)
    gain = np.where(np.abs(gain - near) < loose, near, gain)
    offset = -c[-1, index] / gain  # u = gain · action + shift
    given: dict[str, Any] = {"order": [names[k] for k in index]}
    if (gain != 1).any():
        given["scale"] = (1 / gain).tolist()
    if offset.any():
        given["offset"] = offset.tolist()
    return ActionLayout(names, given)
