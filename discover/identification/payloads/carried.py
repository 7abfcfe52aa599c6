"""Logs of one arm with different payloads: which log carried what, and the bodies for all of them.

A payload is one rigid body on a link, so in the logs that carried it the joint forces are those of
the arm's bodies and ten columns more: the columns of that link, times the payload's own mass, first
moment and inertia. Bodies and drives of the arm are shared by all logs; the difference between
loaded and bare logs shows the payload's parameters one by one, where those of the last link are
mixed with its neighbours'. Khalil, Gautier & Lemoine (2007), Identification of the payload inertial
parameters of industrial manipulators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

import kinematics
from discover.data.logs import Log
from discover.data.settings import Payload
from discover.errors import DatasetError
from discover.identification.design import Bodies
from discover.identification.exciting.information import LogInformation
from discover.identification.samples import Samples
from kinematics import Robot
from kinematics.robot.random import random_state
from kinematics.robot.tree import PARAMETERS

Array = NDArray[np.float64]
_STATES = 60  # random ones, from which it is seen what a motion can show of a payload
_SAME = 1e-9  # relative; a column that differs less from a combination of others is one


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A payload: its label, the link that it is fixed to with the number of that body, its known
    mass [kg] or None, and the names of the logs that carried it."""

    label: str
    link: str
    body: int
    mass: float | None
    logs: frozenset[str]


def carried_by(
    payload: Mapping[str, Any] | None, train: Sequence[Log], kept: Sequence[Log], robot: Robot
) -> tuple[Carried, ...]:
    """The payloads by label (see `discover.data.settings.Payload`), with the logs that they name.

    Raises DatasetError where a link or a log is not there, a log would carry two payloads, or all
    logs of the fit, or none of them, carry one: only a difference shows a payload.
    """
    out: list[Carried] = []
    of_log: dict[str, str] = {}
    for label, given in (payload or {}).items():
        stated = _stated(label, given)
        logs = [log for pattern in stated.logs for log in _named(label, pattern, [*train, *kept])]
        for log in logs:
            if of_log.setdefault(log.name, label) != label:
                raise DatasetError(
                    f"payload.{label}: expected one payload a log, found {log.name} in "
                    f"{of_log[log.name]!r} too; name it once"
                )
        link = outermost(robot) if stated.link is None else stated.link
        if link not in robot.body_names:
            raise DatasetError(
                f"payload.{label}.link: expected a moving body of {robot.name} "
                f"({', '.join(robot.body_names)}), found {link!r}"
            )
        out.append(
            Carried(
                label=label,
                link=link,
                body=robot.body_names.index(link),
                mass=stated.mass,
                logs=frozenset(log.name for log in logs),
            )
        )
    fitted = {log.name for log in train}
    for load in out:
        if not load.logs & fitted:
            raise DatasetError(
                f"payload.{load.label}: expected logs with it among those that are fitted, found "
                "it in held-out logs only; give one for the fit"
            )
    if out and fitted <= set(of_log):
        raise DatasetError(
            "payload: expected at least one log of the fit that carried nothing, found a payload "
            "in all of them; what is always carried is part of its link: leave it out"
        )
    return tuple(out)


def _stated(label: str, given: Any) -> Payload:
    try:
        return given if isinstance(given, Payload) else Payload.model_validate(given, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["payload", label, *(str(x) for x in first["loc"])])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = f"unknown key (keys: {', '.join(Payload.model_fields)})"
        raise DatasetError(f"{where}: {reason}") from error


def _named(label: str, pattern: str, logs: Sequence[Log]) -> list[Log]:
    """The logs of a pattern. Raises DatasetError where there is none."""
    found = [log for log in logs if _is(log, pattern)]
    if not found:
        names = ", ".join(log.name for log in logs)
        raise DatasetError(
            f"payload.{label}: expected a log called {pattern!r}, found {names}; give the name of "
            "a log, a pattern or a folder"
        )
    return found


def _is(log: Log, pattern: str) -> bool:
    pattern = pattern.rstrip("/")
    words = (log.name, PurePosixPath(log.name).stem, log.path)
    if any(fnmatchcase(word, pattern) for word in words):
        return True
    return any(fnmatchcase(f"/{log.path}", f"*/{end}") for end in (pattern, f"{pattern}/*"))


def outermost(robot: Robot) -> str:
    """The body at the end of the longest chain, the first of several."""
    depth: list[int] = []
    for parent in robot.parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return robot.body_names[depth.index(max(depth))]


@dataclass(frozen=True, kw_only=True)
class LoadedBodies(Bodies):
    """The bodies of an arm, and payloads in some of its logs.

    Base parameters are those of the arm, `arm.size` of them, then of each payload in turn: rows of
    `matrix` over the arm's ten parameters a body and ten more a payload. kept: which of its ten
    columns stand for a payload.
    """

    arm: Bodies
    loads: tuple[Carried, ...]
    kept: tuple[tuple[int, ...], ...]

    @classmethod
    def with_loads(cls, robot: Robot, loads: Sequence[Carried]) -> Bodies:
        """Of a description; plain bodies where nothing was carried."""
        arm = Bodies.of(robot)
        if not loads:
            return arm
        shown = [_shown(arm.robot, load) for load in loads]
        units = arm.units[:10]
        spreads = [matrix * units for _, matrix in shown]
        whole = scipy.linalg.block_diag(arm.matrix, *(matrix for _, matrix in shown))
        names = [
            _name(row, load.label)
            for (_, matrix), load in zip(shown, loads, strict=True)
            for row in matrix
        ]
        return cls(
            robot=arm.robot,
            base=replace(
                arm.base,
                matrix=torch.from_numpy(whole),
                rank=len(whole),
                names=(*arm.base.names, *names),
            ),
            matrix=whole,
            described=np.concatenate([arm.described, np.zeros(len(names))]),
            spread=scipy.linalg.block_diag(arm.spread, *(x @ x.T for x in spreads)),
            arm=arm,
            loads=tuple(loads),
            kept=tuple(kept for kept, _ in shown),
        )

    @property
    def pi(self) -> Array:
        """The arm's described parameters (nb, 10), and zeros (10,) a payload: described as none."""
        return np.vstack([self.arm.pi, np.zeros((len(self.loads), 10))])

    def columns(self, samples: Samples) -> Array:
        """The base regressor (N, nv, k): of the arm, and of each payload in the rows of its
        logs."""
        Y = kinematics.regressor(self.robot, samples.q, samples.v, samples.a).numpy()
        parts = [Y[..., list(self.arm.base.independent)]]
        for load, kept in zip(self.loads, self.kept, strict=True):
            columns = Y[..., [10 * load.body + c for c in kept]]
            parts.append(columns * in_logs(samples, load.logs)[:, None, None])
        return np.ascontiguousarray(np.concatenate(parts, axis=2))

    def rows_of(self, number: int) -> slice:
        """Where the base parameters of a payload stand."""
        begin = self.arm.size + sum(len(kept) for kept in self.kept[:number])
        return slice(begin, begin + len(self.kept[number]))


def in_logs(samples: Samples, names: frozenset[str]) -> NDArray[np.bool_]:
    """Which rows (N,) are of these logs."""
    return np.array([name in names for name in samples.names])[samples.log]


def of_arm(shown: LogInformation, bodies: Bodies) -> LogInformation:
    """What logs say of the arm's base parameters, where those of payloads are unknown."""
    if not isinstance(bodies, LoadedBodies):
        return shown
    k = bodies.arm.size
    A, B, D = shown.matrix[:k, :k], shown.matrix[:k, k:], shown.matrix[k:, k:]
    return replace(shown, matrix=A - B @ np.linalg.pinv(D, hermitian=True) @ B.T)


def folded(samples: Samples, loads: Sequence[Carried]) -> Samples:
    """The samples with folds from which every payload is known: where all logs of a load lie in
    one fold, their blocks are dealt out to all folds."""
    fold = samples.fold.copy()
    count = int(fold.max()) + 1
    for load in loads:
        rows = in_logs(samples, load.logs)
        if len(np.unique(fold[rows])) == 1:
            place = np.unique(samples.block[rows], return_inverse=True)[1]
            fold[rows] = place * count // (int(place.max()) + 1)
    return replace(samples, fold=fold)


def _shown(robot: Robot, load: Carried) -> tuple[tuple[int, ...], Array]:
    """Which of a payload's ten columns are no combination of those before (mass first, then first
    moments), and the base parameters (k, 10) that they stand for."""
    states = random_state(robot, _STATES, seed=0)
    Y = kinematics.regressor(robot, *states)[..., 10 * load.body : 10 * load.body + 10]
    y = Y.reshape(-1, 10).numpy()
    norms = np.linalg.norm(y, axis=0)
    acts = norms > _SAME * norms.max()
    kept: list[int] = []
    basis = np.zeros((len(y), 0))
    for c in np.flatnonzero(acts):
        column = y[:, c] / norms[c]
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        if np.linalg.norm(left) > np.sqrt(_SAME):
            kept.append(int(c))
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
    matrix = np.linalg.lstsq(y[:, kept], np.where(acts, y, 0.0), rcond=None)[0]
    matrix[np.abs(matrix) < np.sqrt(_SAME)] = 0.0
    matrix[:, kept] = np.eye(len(kept))
    return tuple(kept), matrix


def _name(row: Array, label: str) -> str:
    leader = int(np.flatnonzero(row == 1.0)[0])
    words = [f"{PARAMETERS[leader]}[{label}]"]
    for c in np.flatnonzero(row):
        if c != leader:
            size = "" if abs(abs(row[c]) - 1) < _SAME else f"{abs(row[c]):.6g} "
            words.append(f"{'-' if row[c] < 0 else '+'} {size}{PARAMETERS[c]}[{label}]")
    return " ".join(words)
