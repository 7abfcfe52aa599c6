"""Recorded transitions of a robot: states, controls, and what followed.

As arrays by name, in a tuple, or in a file (NumPy's .npz, HDF5, Parquet): q, v, u or tau, and a,
or q_next and v_next; or what a wrapped network sees: obs, action, next_obs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers, unwrapped
from discover.data.formats.table import ENDINGS
from discover.errors import DatasetError
from kinematics import Actuation, Robot

_OBSERVED = {
    "obs": ("obs", "observation", "observations"),
    "action": ("action", "actions"),
    "next_obs": ("next_obs", "next_observation", "next_observations"),
}
_STATES = ("q", "v", "u", "tau", "a", "q_next", "v_next")
_KEYS = "q, v, u or tau, and a or q_next, v_next (or obs, action, next_obs)"
# Which format the ending of a file says, of those that hold arrays by name.
_FORMATS = {
    ending: format_
    for ending, format_ in ENDINGS.items()
    if format_ in ("npz", "hdf5", "parquet") and ending != ".npy"
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Transitions:
    """N transitions: q (N, nq) and v (N, nv), the commands (N, nu) (joint forces, or `controls`),
    and the acceleration a (N, nv), or the state one step later, q_next (N, nq) and v_next (N, nv).
    """

    q: Tensor
    v: Tensor
    commands: Tensor
    controls: bool
    a: Tensor | None = None
    q_next: Tensor | None = None
    v_next: Tensor | None = None

    def __len__(self) -> int:
        return len(self.q)

    def answers(self, actuation: Actuation | None, outputs: str, dt: float | None) -> Answers:
        """The transitions as a model would have answered them. Raises DatasetError where they do
        not hold what such a model answers."""
        nu = self.v.shape[-1] if actuation is None else actuation.nu
        if self.commands.shape[-1] != nu:
            raise DatasetError(
                f"data: expected {nu} {'joint forces' if actuation is None else 'controls'} a "
                f"transition, found {self.commands.shape[-1]}"
            )
        a = self.a
        if outputs == "next_state":
            if self.q_next is None or self.v_next is None or dt is None:
                raise DatasetError(
                    "data: expected q_next and v_next, of a model of next states, found a: give "
                    "the states one step later"
                )
            a = (self.v_next - self.v) / dt
        elif a is None:
            raise DatasetError(
                "data: expected accelerations a, of a model of accelerations, found q_next and "
                "v_next only: give a"
            )
        tau = self.commands if actuation is None else actuation.forces(self.commands)
        steps = outputs == "next_state"
        return Answers(
            q=self.q,
            v=self.v,
            tau=tau,
            a=a,
            q_next=self.q_next if steps else None,
            v_next=self.v_next if steps else None,
            u=None if actuation is None else self.commands,
        )


def read_transitions(
    given: Any, robot: Robot, model: Any = None, *, controlled: bool = False
) -> Transitions:
    """Transitions from a mapping, a tuple (q, v, u, a) or (q, v, u, q_next, v_next), or a file.

    Observations and actions are read as states and controls by the `model` that takes them
    (`discover.wrap`). What a tuple commands are controls of a `controlled` model, else joint
    forces. Raises DatasetError, one line.
    """
    if isinstance(given, Transitions):
        return given
    named = _named(given, controlled)
    observed = {
        name: next((named[k] for k in keys if k in named), None) for name, keys in _OBSERVED.items()
    }
    if "q" not in named and observed["obs"] is not None:
        named, controls = _seen(observed, model)
    else:
        controls = "u" in named
        if controls and "tau" in named:
            raise DatasetError(
                "data: expected one of u (controls) and tau (joint forces), found both"
            )
    return _checked(named, controls, robot)


def _named(given: Any, controlled: bool) -> dict[str, Any]:
    if isinstance(given, str | os.PathLike):
        return _file(Path(given))
    if isinstance(given, Mapping):
        return {str(k): v for k, v in given.items()}
    if isinstance(given, tuple | list) and len(given) in (4, 5):
        commands = "u" if controlled else "tau"
        ends = ("a",) if len(given) == 4 else ("q_next", "v_next")
        names = ("q", "v", commands, *ends)
        return dict(zip(names, given, strict=True))
    found = f"{len(given)} arrays" if isinstance(given, tuple | list) else type(given).__name__
    raise DatasetError(
        f"data: expected a mapping with {_KEYS}, a tuple (q, v, u, a) or (q, v, u, q_next, "
        f"v_next), or a file of {', '.join(_FORMATS)}, found {found}"
    )


def _file(path: Path) -> dict[str, Any]:
    ending = path.suffix.lower()
    format_ = _FORMATS.get(ending)
    if format_ is None:
        raise DatasetError(
            f"data {path}: expected a file of {', '.join(_FORMATS)}, found one of "
            f"{ending or 'no ending'!r}"
        )
    if not path.is_file():
        raise DatasetError(f"data {path}: expected a file, found none; check the path")
    try:
        if format_ == "npz":
            with np.load(path, allow_pickle=False) as stored:
                return {k: stored[k] for k in stored.files}
        # Both readers are imported late: most examinations are given no file.
        if format_ == "parquet":
            import pandas as pd

            return _columns(pd.read_parquet(path))
        import h5py

        with h5py.File(path, "r") as file:
            return {k: x[()] for k, x in file.items() if isinstance(x, h5py.Dataset)}
    except Exception as error:  # readers of broken files raise whatever they like
        found = " ".join(str(error).split())[:160]
        raise DatasetError(f"data {path}: not readable as {ending}: {found}") from error


def _columns(table: Any) -> dict[str, Any]:
    """Columns of lists as they stand; q[0], q[1], … as the matrix q."""
    found: dict[str, Any] = {}
    for column in map(str, table.columns):
        name, _, rest = column.partition("[")
        values = table[column].to_numpy()
        if rest.endswith("]") and rest[:-1].isdecimal():
            found.setdefault(name, {})[int(rest[:-1])] = values
        else:
            found[column] = np.stack(list(values)) if values.dtype == object else values
    for name, columns in found.items():
        if isinstance(columns, dict):
            if sorted(columns) != list(range(len(columns))):
                raise ValueError(f"columns of {name} are not numbered from 0 on")
            found[name] = np.stack([columns[k] for k in sorted(columns)], -1)
    return found


def _seen(observed: Mapping[str, Any], model: Any) -> tuple[dict[str, Any], bool]:
    missing = [name for name, x in observed.items() if x is None]
    if missing:
        raise DatasetError(f"data: expected obs, action and next_obs, found no {missing[0]}")
    if not (hasattr(model, "states") and hasattr(model, "controls")):
        raise DatasetError(
            "data: expected q and v, found observations, which this model cannot read as states: "
            "wrap it with discover.wrap(…, observation=…)"
        )
    q, v = model.states(_numbers("obs", observed["obs"]))
    q_next, v_next = model.states(_numbers("next_obs", observed["next_obs"]), (q, v))
    q, q_next = _spread_unseen(q, q_next, getattr(model, "unseen", None))
    u = model.controls(_numbers("action", observed["action"]))
    controls = getattr(model, "actuation", None) is not None
    named = {"q": q, "v": v, "q_next": q_next, "v_next": v_next, "u" if controls else "tau": u}
    return named, controls


def _spread_unseen(q: Tensor, q_next: Tensor, unseen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both states moved by up to 1 rad or m along what the model does not see, as how far a robot
    has walked: they are known up to that, and say nothing where all stand still. Of robots with
    quaternions as they are."""
    if unseen is None or not bool(unseen.any()) or q.shape[-1] != len(unseen):
        return q, q_next
    draw = torch.Generator().manual_seed(0)
    moved = 2 * torch.rand(q.shape, generator=draw, dtype=q.dtype) - 1
    moved = torch.where(unseen, moved, torch.zeros_like(moved))
    return q + moved, q_next + moved


def _checked(named: Mapping[str, Any], controls: bool, robot: Robot) -> Transitions:
    x = {k: _numbers(k, named[k]) for k in _STATES if k in named}
    commands = x.pop("u" if controls else "tau", None)
    ends = "a" in x or {"q_next", "v_next"} <= set(x)
    if "q" not in x or "v" not in x or commands is None or not ends:
        raise DatasetError(f"data: expected {_KEYS}, found {', '.join(named) or 'nothing'}")
    n = len(x["q"])
    widths = {"q": robot.nq, "q_next": robot.nq}
    for name, values in x.items():
        if tuple(values.shape) != (n, widths.get(name, robot.nv)):
            raise DatasetError(
                f"data: expected {name} of shape ({n}, {widths.get(name, robot.nv)}) for "
                f"{robot.name}, found {tuple(values.shape)}"
            )
    if commands.ndim != 2 or len(commands) != n:
        raise DatasetError(
            f"data: expected {'u' if controls else 'tau'} of shape ({n}, …), found "
            f"{tuple(commands.shape)}"
        )
    if not n:
        raise DatasetError("data: expected transitions, found no rows")
    for name, values in {**x, "commands": commands}.items():
        bad = ~torch.isfinite(values).all(-1)
        if bool(bad.any()):
            raise DatasetError(
                f"data: expected finite numbers, found {int(bad.sum())} of {n} rows of {name} with "
                "NaN or infinity: leave them out"
            )
    if "q_next" in x:
        x["q_next"] = unwrapped(robot, x["q"], x["q_next"])
    return Transitions(commands=commands, controls=controls, **x)


def _numbers(name: str, given: Any) -> Tensor:
    try:
        x = torch.as_tensor(np.asarray(given) if not isinstance(given, Tensor) else given)
        x = x.detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DatasetError(
            f"data: expected {name} as an array of numbers, found {type(given).__name__}"
        ) from error
    return x[:, None] if x.ndim == 1 else x
