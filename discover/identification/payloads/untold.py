"""Payloads that nobody told of: a log whose residual is that of a body on the last link.

Logs of one arm that was loaded in some of them are fitted by an arm in between, and each log's
residual is then that of a body on the outermost link, of a positive or negative mass. In each log
by itself the ten columns of that link are fitted to the residual of some pieces of time and tested
on the others, as `unexplained` does it with other quantities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import kinematics
from discover.identification.design import Bodies
from discover.identification.moments import Moments
from discover.identification.payloads.carried import Carried, LoadedBodies, outermost
from discover.identification.samples import Samples
from discover.identification.unexplained import Dependence
from discover.judgement.thresholds import threshold, whole

Array = NDArray[np.float64]
_FOLDS = whole("identification.folds")
_SURE = threshold("identification.payload_sure")
_LEAST = threshold("identification.payload_least")
_ROWS = 2000  # of a log


@dataclass(frozen=True, kw_only=True)
class _OneLog:
    name: str
    share: float
    error: float
    mass: float
    mass_error: float


def untold_payloads(
    parts: tuple[tuple[Samples, Array], ...], bodies: Bodies, noise: Array
) -> tuple[list[Dependence], list[str]]:
    """What a body on the outermost link in one log would explain of its residual, where that is
    clear; and a sentence that names logs which differ by one.

    parts: samples and their residuals (N, nv), fitted and held out; noise (nv,) of each joint
    [N·m | N]. Nothing is looked for where payloads were told, or in a single log.
    """
    names = {name for samples, _ in parts for name in samples.names}
    if isinstance(bodies, LoadedBodies) or len(names) < 2:
        return [], []
    link = outermost(bodies.robot)
    body = Carried(
        label="it", link=link, body=bodies.robot.body_names.index(link), mass=None, logs=frozenset()
    )
    kept = LoadedBodies.with_loads(bodies.robot, [body])
    assert isinstance(kept, LoadedBodies)
    columns = [10 * body.body + c for c in kept.kept[0]]
    spread = kept.spread[bodies.size :, bodies.size :]
    prior = np.linalg.inv(spread + 1e-12 * np.trace(spread) * np.eye(len(spread)))
    has_mass = kept.kept[0][0] == 0
    found: dict[str, _OneLog] = {}
    for samples, residual in parts:
        for name in samples.names:
            one = _in_log(samples, residual, name, bodies, columns, prior, noise)
            if one is not None:
                found.setdefault(name, one)
    logs = list(found.values())
    clear = [x for x in logs if x.share > max(_SURE * x.error, _LEAST)]
    said = [
        Dependence(joint=link, quantity=f"a body on it in {x.name}", share=x.share, error=x.error)
        for x in clear
    ]
    if not clear or not has_mass or len(logs) < 2:
        return said, []
    lightest = min(logs, key=lambda x: x.mass)
    heavier = [
        x
        for x in logs
        if x.mass - lightest.mass > _SURE * np.hypot(x.mass_error, lightest.mass_error)
        and (x in clear or lightest in clear)
    ]
    if not heavier:
        return said, []
    more = ", ".join(f"{x.name} (about {x.mass - lightest.mass:.2g} kg more)" for x in heavier)
    return said, [
        f"beside {lightest.name} the residual of these logs is that of a body on {link}: {more}. "
        'Were they recorded with a tool or a payload? payload = {"tool": ["LOG", …]} '
        "(--payload tool=LOG) says so"
    ]


def _in_log(
    samples: Samples,
    residual: Array,
    name: str,
    bodies: Bodies,
    columns: list[int],
    prior: Array,
    noise: Array,
) -> _OneLog | None:
    """Of one log, in folds of its own time; None where it is too short for them."""
    rows = samples.of_log(name)
    rows = rows[:: max(1, len(rows) // _ROWS)]
    if len(rows) < _FOLDS * len(columns):
        return None
    few = samples.rows(rows)
    Y = kinematics.regressor(bodies.robot, few.q, few.v, few.a).numpy()[..., columns]
    fold = np.arange(len(rows)) * _FOLDS // len(rows)
    weight = few.moving / noise
    moments = Moments.of(Y, residual[rows], weight, fold, prior)
    before = moments.yy / np.maximum(moments.count, 1.0)
    all_of_it = list(range(len(columns)))
    after = moments.held_out(all_of_it, np.arange(_FOLDS))
    gain = (before - after) / max(float(before.mean()), 1e-300)
    masses = np.array(
        [moments.solve(all_of_it, (np.arange(_FOLDS) != k) * 1.0)[0] for k in range(_FOLDS)]
    )
    return _OneLog(
        name=name,
        share=float(gain.mean()),
        error=float(gain.std(ddof=1) / _FOLDS**0.5),
        mass=float(moments.solve(all_of_it)[0]),
        mass_error=float(masses.std() * np.sqrt(_FOLDS - 1)),  # jackknife
    )
