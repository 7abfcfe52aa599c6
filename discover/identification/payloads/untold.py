"""Payloads that nobody told of: logs whose residual is that of a body on the last link.

Logs of one arm that was loaded in some of them are fitted by an arm in between: each log's residual
is then that of a body on the outermost link, of a positive or negative mass. A body in each log by
itself says which logs are the heavier; then one body, the same for all of these, is fitted to the
residual of some pieces of time and tested on the others. Drives differ from log to log as well,
warm or cold, so that what counts is the gain over friction, offset and rotors of each log's own;
and ten columns explain a little of anything, so that it must be most of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import kinematics
from discover.identification.design import Bodies
from discover.identification.moments import Moments
from discover.identification.payloads.carried import Carried, LoadedBodies, outermost
from discover.identification.payloads.found import own_drives
from discover.identification.samples import Samples
from discover.identification.unexplained import Dependence
from discover.judgement.thresholds import threshold, whole

Array = NDArray[np.float64]
_FOLDS = whole("identification.folds")
_SURE = threshold("identification.payload_sure")
_LEAST = threshold("identification.payload_least")
_ROWS = 1500  # of a log


@dataclass(frozen=True, kw_only=True)
class _Log:
    """Moments of one log's residual, with columns of the body and of drives of its own."""

    name: str
    fitted: bool
    rows: int
    moments: Moments

    def mass(self, kept: Array) -> float:
        """Of a body in this log alone, from the folds of time kept (F,)."""
        return float(self.moments.solve(range(self.moments.G.shape[1]), kept)[0])


def untold_payloads(
    parts: Sequence[tuple[Samples, Array]], bodies: Bodies, noise: Array
) -> tuple[list[Dependence], list[str]]:
    """What one body on the outermost link of some logs explains of the residual, and a sentence
    that names these logs; both empty where that is not clear.

    parts: samples and residuals (N, nv), fitted and held out; noise (nv,) of each joint [N·m | N].
    Nothing is looked for where payloads were told, or in a single log.
    """
    names = {name for samples, _ in parts for name in samples.names}
    if isinstance(bodies, LoadedBodies) or len(names) < 2:
        return [], []
    link = outermost(bodies.robot)
    body = Carried(
        label="it", link=link, body=bodies.robot.body_names.index(link), mass=None, logs=frozenset()
    )
    loaded = LoadedBodies.with_loads(bodies.robot, [body])
    assert isinstance(loaded, LoadedBodies)
    if not loaded.kept[0] or loaded.kept[0][0] != 0:
        return [], []  # no motion of this arm shows a mass
    logs = _logs(parts, loaded, noise)
    if len(logs) < 2:
        return [], []
    every = np.ones(_FOLDS)
    ordered = sorted(logs, key=lambda log: log.mass(every))
    masses = np.array([log.mass(every) for log in ordered])
    at = int(np.diff(masses).argmax()) + 1
    light, heavy = ordered[:at], ordered[at:]
    share, error, mass, mass_error = _one_body(light, heavy, loaded)
    if not share > max(_SURE * error, _LEAST) or not mass > _SURE * mass_error:
        return [], []
    said = [
        Dependence(joint=link, quantity=f"load in {log.name}", share=share, error=error)
        for log in heavy
    ]
    return said, [
        f"beside {', '.join(sorted(x.name for x in light))}, the residual of "
        f"{', '.join(sorted(x.name for x in heavy))} is that of a body on {link} that weighs "
        f"about {mass:.2g} kg more: were they recorded with a tool or a payload? "
        'payload = {"tool": ["LOG", …]} (--payload tool=LOG) says so'
    ]


def _logs(parts: Sequence[tuple[Samples, Array]], loaded: LoadedBodies, noise: Array) -> list[_Log]:
    """All logs that are long enough, each once: the fitted part of one that was split."""
    columns = [10 * loaded.loads[0].body + c for c in loaded.kept[0]]
    spread = loaded.spread[loaded.arm.size :, loaded.arm.size :]
    n = len(columns)
    prior = np.linalg.inv(spread + 1e-12 * np.trace(spread) * np.eye(n))
    out: dict[str, _Log] = {}
    for number, (samples, residual) in enumerate(parts):
        for name in samples.names:
            rows = samples.of_log(name)
            rows = rows[:: max(1, len(rows) // _ROWS)]
            if name in out or len(rows) < 2 * _FOLDS * n:
                continue
            few = samples.rows(rows)
            Y = kinematics.regressor(loaded.robot, few.q, few.v, few.a).numpy()[..., columns]
            X = np.concatenate([Y, own_drives(few, loaded)], axis=2)
            whole = np.zeros((X.shape[2],) * 2)
            whole[:n, :n] = prior
            fold = np.arange(len(rows)) * _FOLDS // len(rows)
            moments = Moments.of(X, residual[rows], few.moving / noise, fold, whole)
            out[name] = _Log(name=name, fitted=number == 0, rows=len(rows), moments=moments)
    return list(out.values())


def _one_body(
    light: Sequence[_Log], heavy: Sequence[_Log], loaded: LoadedBodies
) -> tuple[float, float, float, float]:
    """The share of all logs' residual that one body explains where it was not fitted, its standard
    error over folds; its mass and the jackknife's error [kg].

    The arm was fitted between the two kinds of logs: the body acts on the heavy ones by the share
    of the light ones among the fitted rows, and on the light ones by minus the rest. Drives are
    each log's own, so they are eliminated log by log.
    """
    n = len(loaded.kept[0])
    fitted = [sum(log.rows for log in logs if log.fitted) for logs in (light, heavy)]
    between = fitted[1] / max(sum(fitted), 1)
    logs = [(log, -between) for log in light] + [(log, 1 - between) for log in heavy]
    costs, bodies_, before = np.zeros(_FOLDS), np.zeros((_FOLDS, n)), np.zeros(_FOLDS)
    for k in range(_FOLDS):
        kept = np.ones(_FOLDS)
        kept[k] = 0.0
        G, c = np.zeros((n, n)), np.zeros(n)
        drives = []
        for log, factor in logs:
            A, b = _in_units(log.moments, kept)
            inner = np.linalg.pinv(A[n:, n:], hermitian=True)
            drives.append((inner @ b[n:], inner @ A[n:, :n] * factor))
            G += factor**2 * (A[:n, :n] - A[:n, n:] @ inner @ A[n:, :n])
            c += factor * (b[:n] - A[:n, n:] @ inner @ b[n:])
        bodies_[k] = np.linalg.solve(G + 1e-9 * np.diag(np.diag(G)), c)
        out = 1.0 - kept
        for (log, factor), (alone, lean) in zip(logs, drives, strict=True):
            A, b = _in_units(log.moments, out)
            yy = float(log.moments.yy[k])
            for store, body in ((before, np.zeros(n)), (costs, bodies_[k])):
                theta = np.concatenate([factor * body, alone - lean @ body])
                store[k] += yy - 2 * theta @ b + theta @ A @ theta
    gain = (before - costs) / max(float(before.mean()), 1e-300)
    mass = bodies_[:, 0]
    return (
        float(gain.mean()),
        float(gain.std(ddof=1) / _FOLDS**0.5),
        float(mass.mean()),
        float(mass.std() * np.sqrt(_FOLDS - 1)),
    )


def _in_units(moments: Moments, folds: Array) -> tuple[Array, Array]:
    """Sums of the moments over folds of time, in the columns' own units."""
    size = np.where(np.isfinite(moments.size), moments.size, 0.0)
    G = np.tensordot(folds, moments.G, 1) * size[:, None] * size
    return G, (folds @ moments.c) * size
