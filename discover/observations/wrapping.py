"""`discover.wrap`: a network over observations and actions as a model that can be examined.

Everything may also stand in a TOML file, which keywords overrule.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import kinematics
from discover.errors import ModelError
from discover.laws.rigid_body.step_search import check_declared
from discover.models.external.networks import Kind, open_network
from discover.observations import plausibility
from discover.observations.action import ActionLayout
from discover.observations.environment import Environment
from discover.observations.layout import ObservationLayout
from discover.observations.model import TARGETS, ObservedModel
from discover.observations.normaliser import read_normaliser
from kinematics import Robot

_KIND = ("inputs", "answer", "hidden", "warm_up", "sequence", "batch", "dtype", "samples", "seed")
_OWN = (
    "observation", "predicts", "unobserved", "action", "normaliser", "target", "dt", "substeps",
    "integrator", "home", "name", "clip", "sanity",
)  # fmt: skip
KEYS = (*_OWN, *_KIND)


def wrap(
    net: Any,
    robot: Robot | Environment | str | os.PathLike[str],
    observation: Any = None,
    *,
    module: Any = None,
    sanity: bool | None = None,
    **declared: Any,
) -> ObservedModel:
    """A network (observation, action) -> next observation as a next-state model (q, v, u).

    net          a callable or PyTorch module, a path (`.onnx`, `.pt2`, TorchScript, `file.py:f`;
                 weights in `.safetensors` with `module`), or a list of them: an ensemble
    robot        a Robot, a path, or what `from_gymnasium` or `from_dm_control` read, which then
                 supplies observation, action, dt, substeps and integrator
    observation  channels in order (see `discover.observations.channels`), an ObservationLayout, or
                 the path of a TOML file with any of these keywords
    predicts     the channels that the network answers [the observation]
    unobserved   values of what no channel shows, see ObservationLayout
    action       the order and units of actions, see ActionLayout [the controls as they are]
    normaliser   means and standard deviations, see read_normaliser
    target       "next", or "difference": what is added to the observation
    dt           step [s]; substeps and integrator of the simulator that made the data, where known
    clip         whether observations beyond their limits are clipped when the network is asked, as
                 in use; by default it is asked there as if they went on, which is what an
                 examination wants to know
    home         a configuration (nq,) well inside the training data, for the checks
    sanity       ask a few states and compare the answers with what is declared [True]
    inputs, answer, hidden, warm_up, sequence, batch, dtype, samples, seed: see `Kind`

    Raises ModelError or CheckpointError, one line each.
    """
    environment = robot if isinstance(robot, Environment) else None
    body = robot if environment is None else environment.robot
    if not isinstance(body, Robot):
        body = kinematics.load(body)  # type: ignore[arg-type]
    options = _options(observation, {**declared, "sanity": sanity})
    layout = _observation(body, environment, options)
    predicts = layout
    if options.get("predicts") is not None:
        predicts = _layout(body, options["predicts"], options.get("unobserved"))
    if predicts.velocities_missing:
        raise ModelError(
            f"observation: it does not show {', '.join(predicts.velocities_missing)}, which a next "
            "state has; add the channel, or declare a value: unobserved = {'v(joint)' = 0.0} "
            "(a network that sees positions only is no model of the state)"
        )
    action, actuation = _action(body, environment, options)
    dt = options.get("dt", None if environment is None else environment.dt)
    _check_dt(dt)
    check_declared(options.get("integrator"), options.get("substeps"))
    assert dt is not None
    target = options.get("target", "next")
    if target not in TARGETS:
        raise ModelError(f"target: expected 'next' or 'difference', found {target!r}")
    kind = Kind(**{key: options[key] for key in _KIND if options.get(key) is not None})
    widths = {"observation": layout.size, "action": action.size}
    network = open_network(net, kind, widths, predicts.size, module=module)
    model = ObservedModel(
        network,
        body,
        observation=layout,
        predicts=predicts,
        action=action,
        normalisers=read_normaliser(options.get("normaliser"), {**widths, "target": predicts.size}),
        target=target,
        dt=float(dt),
        actuation=actuation,
        substeps=options.get("substeps", _of(environment, "substeps")),
        integrator=options.get("integrator", _of(environment, "integrator")),
        name=str(options.get("name") or _name(net)),
        clip=_flag(options, "clip", False),
    )
    model.notes += layout.notes
    model.notes += [] if environment is None else environment.notes
    if _flag(options, "sanity", True):
        model.notes += plausibility.check(model, options.get("home"))
    return model


def _flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise ModelError(f"{name}: expected true or false, found {value!r}")
    return value


def _of(environment: Environment | None, name: str) -> Any:
    return None if environment is None else getattr(environment, name)


def _name(net: Any) -> str:
    if isinstance(net, str | Path):
        return Path(str(net).rpartition(".py:")[0] or str(net)).stem
    if isinstance(net, list | tuple):
        return f"ensemble of {len(net)}"
    name = getattr(net, "__name__", type(net).__name__)
    return "model" if name == "<lambda>" else str(name)


def _options(observation: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords over the keys of a TOML file. Raises ModelError for unknown ones."""
    options: dict[str, Any] = {}
    if isinstance(observation, Path) or (
        isinstance(observation, str) and observation.endswith(".toml")
    ):
        options = read_toml(Path(observation))
    elif observation is not None:
        options["observation"] = observation
    options |= {key: value for key, value in declared.items() if value is not None}
    for key in options:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            mend = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(KEYS)}"
            raise ModelError(f"wrap: no keyword '{key}'; {mend}")
    return options


def read_toml(path: Path) -> dict[str, Any]:
    """The declaration in a TOML file; paths in it start at its folder."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"observation: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"observation: {path} is not TOML: {error}") from error
    for key in found:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            mend = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(KEYS)}"
            raise ModelError(f"{path}: no key '{key}'; {mend}")
    if isinstance(found.get("normaliser"), str):
        found["normaliser"] = path.parent / found["normaliser"]
    return found


def _observation(
    robot: Robot, environment: Environment | None, options: Mapping[str, Any]
) -> ObservationLayout:
    given = options.get("observation")
    if given is None and environment is not None:
        return environment.observation
    if given is None:
        raise ModelError(
            'wrap: expected an observation, such as ["cos", "sin", "v"], a TOML file of one, or an '
            "environment (discover.from_gymnasium, from_dm_control), found none"
        )
    return _layout(robot, given, options.get("unobserved"))


def _layout(robot: Robot, given: Any, unobserved: Any) -> ObservationLayout:
    if isinstance(given, ObservationLayout):
        if (given.robot.nq, given.robot.nv) != (robot.nq, robot.nv):
            raise ModelError(
                f"observation: its layout is that of {given.robot.name}, the robot is {robot.name}"
            )
        return given
    return ObservationLayout(robot, given, unobserved=unobserved)


def _action(
    robot: Robot, environment: Environment | None, options: Mapping[str, Any]
) -> tuple[ActionLayout, Any]:
    """The action, and the actuation that turns its controls into joint forces (None where they are
    the joint forces themselves)."""
    given = options.get("action")
    if given is None and environment is not None:
        return environment.action, environment.actuation
    actuation = robot.actuation if environment is None else environment.actuation
    if actuation is not None:
        return ActionLayout(actuation.names, _as_actuators(robot, actuation, given)), actuation
    order = _order(given)
    names = force_names(robot)
    if order is None or order == list(names):
        return ActionLayout(names, given), None
    unknown = [name for name in order if name not in names]
    if unknown:
        raise ModelError(
            f"action: expected joints of {robot.name}, found '{unknown[0]}'; they are "
            f"{', '.join(names)}"
        )
    # fewer controls than joints: the others are not driven at all
    arms = torch.eye(robot.nv, dtype=torch.float64)[[names.index(name) for name in order]]
    selection = kinematics.Actuation.of(arms, names=tuple(order))
    return ActionLayout(order, given), selection


def _order(given: Any) -> list[str] | None:
    order = given.get("order") if isinstance(given, Mapping) else given
    if isinstance(order, str):
        order = [order]
    if order is None or not isinstance(order, Sequence):
        return None
    return [str(name) for name in order]


def _as_actuators(robot: Robot, actuation: Any, given: Any) -> Any:
    """The declaration with joints replaced by the one actuator that drives each."""
    order = _order(given)
    if order is None:
        return given
    names = []
    for name in order:
        if name not in actuation.names and name in robot.joint_names:
            at = robot.v_slice(name)
            drives = [
                actuation.names[k] for k in range(actuation.nu) if actuation.arms[k, at].any()
            ]
            name = drives[0] if len(drives) == 1 else name
        names.append(name)
    return {**given, "order": names} if isinstance(given, Mapping) else names


def force_names(robot: Robot) -> tuple[str, ...]:
    """A name for each joint force: that of the joint, with a number where it has several."""
    names: list[str] = []
    for name in robot.independent_names:
        at = robot.v_slice(name)
        n = at.stop - at.start
        names += [name] if n == 1 else [f"{name}.{k}" for k in range(n)]
    return tuple(names)


def _check_dt(dt: Any) -> None:
    if isinstance(dt, bool) or not isinstance(dt, int | float) or not 0 < dt < math.inf:
        raise ModelError(
            f"dt: expected the step of the network in seconds, above zero, found {dt!r}; it is the "
            "time between an observation and the next (frame skip times the simulator's step)"
        )
