"""The delay of the joint forces behind the motion, judged where the fit has not looked.

Torques pass through other filters and buses than encoders. Every lag on a grid is tried with the
standard law (the bodies' regressor, viscous and Coulomb friction, offset and rotor of each joint),
the joints weighted by the noise that this law leaves them as recorded. Of the lags that its fit
cannot tell apart, the one is taken that predicts best the folds of time that were not fitted. The
description's masses are not used, only its tree and geometry. (Weighted by the size of the torques
instead, a small joint whose friction has hysteresis would speak for all.)

Friction that builds up over a distance after each reversal (presliding) looks like a delay, but
only there. A delay is believed where samples show it that move clearly, in one direction, for as
long as the delay would last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discover.data.motions import Motion
from discover.data.torque_prediction import torque_columns
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Load = tuple[int, frozenset[str]]  # the number of a body, and the motions in which it carried one

ALIGNMENT = "time alignment"  # how the result begins among the steps of the processing
LEAST_ROWS = 50  # shorter logs say nothing about a delay
_WIDEST = threshold("delay.widest")
_LAGS = whole("delay.lags")
_ROWS = whole("delay.rows")
_FOLDS = whole("delay.folds")
_CLEARLY = threshold("delay.clearly_moving")
_LEAST_GAIN = threshold("delay.gain")
_SURE = threshold("delay.sure")
_MOVING = threshold("data.moving")
_SAME_LAG = 1e-7  # s
_AT_THE_END = "is the last that was tried"
_RIDGE = 1e-9  # of the mean square of the columns: base parameters are fewer than parameters


@dataclass(frozen=True, kw_only=True)
class Delay(Stored):
    """Delay of the joint forces behind the motion, and their offsets.

    delay      [s] what is to be taken out: `found` where that helps on unseen time, else zero
    found      [s] the lag of the least residual, and its standard error (jackknife over folds of
    error      time); NaN where it was given
    lags, errors (L,)  the lags that were tried [s], and the held-out root mean square at each over
               that as recorded
    offset, offset_error (nv,)  joint force at rest that the fit finds [N·m | N]
    unexplained, unexplained_as_given  held-out error at `found`, and as recorded, over the joint
               forces' own standard deviation (root mean square over joints)
    reason     why a lag that fits best is not believed, in words
    """

    delay: float
    found: float
    lags: Array
    errors: Array
    error: float = float("nan")
    offset: Array | None = None
    offset_error: Array | None = None
    unexplained: float = float("nan")
    unexplained_as_given: float = float("nan")
    reason: str = ""

    @property
    def clear(self) -> bool:
        """Whether there is surely a delay, by two standard errors."""
        return self.delay != 0.0 and not abs(self.delay) <= _SURE * self.error

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; with `clear`, for who reads it only."""
        return super().to_dict() | {"clear": self.clear}

    @classmethod
    def from_dict(cls, record: Any) -> Delay:
        """The inverse of `to_dict`."""
        return super().from_dict({k: x for k, x in record.items() if k != "clear"})

    def sentence(self, names: Sequence[str]) -> str:
        """The result in words, for the metadata of a data set and its report."""
        spread = f" ± {1e3 * self.error:.1f}" if np.isfinite(self.error) else ""
        if self.clear:
            told = (
                f"joint forces lag the motion by {1e3 * self.found:.1f}{spread} ms; set "
                f"recording.delay = {self.found:.4f}, which leaves {self.unexplained:.1%} of them "
                f"unexplained instead of {self.unexplained_as_given:.1%}"
            )
        elif self.delay:
            told = (
                f"joint forces lag the motion by {1e3 * self.found:.1f}{spread} ms, which is not "
                "told apart from none"
            )
        else:
            told = (
                f"no delay of the joint forces: the lag that fits best, {1e3 * self.found:.1f}"
                f"{spread} ms, {self.reason}"
            )
        if self.offset is not None and self.offset_error is not None:
            offsets = ", ".join(
                f"{name} {x:+.3g}" + (f" ± {e:.2g}" if np.isfinite(e) else "")
                for name, x, e in zip(names, self.offset, self.offset_error, strict=True)
            )
            told += f"; offsets: {offsets}"
        return f"{ALIGNMENT}: {told}"


def given_delay(seconds: float) -> Delay:
    """One that the caller knows."""
    return Delay(delay=seconds, found=seconds, lags=np.array([seconds]), errors=np.ones(1))


def find_delay(
    motions: Sequence[Motion],
    robot: Robot,
    loads: Sequence[Load] = (),
    widest: float | None = None,
) -> Delay:
    """Of all the logs together; motions as recorded, smoothed by one filter.

    loads: bodies that carried something in some of the logs. No lag is tried beyond `widest` [s] or
    an eighth of the shortest log; left out, it is 80 ms, and twice as much as long as the last lag
    fits best.
    """
    longest = min(float(m.time[-1] - m.time[0]) for m in motions) / 8
    if widest is not None:
        return _found(motions, robot, loads, min(widest, longest))
    widest = min(_WIDEST, longest)
    found = _found(motions, robot, loads, widest)
    while found.reason == _AT_THE_END and widest < longest:
        widest = min(2 * widest, longest)
        found = _found(motions, robot, loads, widest)
    return found


def _found(motions: Sequence[Motion], robot: Robot, loads: Sequence[Load], widest: float) -> Delay:
    speed = np.sqrt(np.mean(np.concatenate([m.v**2 for m in motions]), axis=0))
    trial = _Trial.of(motions, robot, loads, widest, _MOVING * speed, 0.0)
    lags = np.linspace(-1, 1, 2 * _LAGS + 1) * widest
    costs = _Costs.of(trial, lags)
    found, error = costs.best, costs.error
    as_recorded = costs.held_out[0.0]
    reason = ""
    if abs(found) >= widest * (1 - 1e-9):
        reason = _AT_THE_END
    elif not _better(as_recorded, costs.held_out[found]):
        reason = "does not clearly lower the error where it was not fitted"
    if not reason:
        clearly = _Trial.of(motions, robot, loads, widest, _CLEARLY * speed, 1.5 * abs(found))
        reason, found, error = _confirmed(clearly, found, error)
    held_out = dict(sorted(costs.held_out.items()))
    size = float(as_recorded.sum())
    unexplained, _, _ = trial.fit(found)
    as_given, _, _ = trial.fit(0.0)
    _, offset, offset_error = trial.fit(0.0 if reason else found)
    return Delay(
        delay=0.0 if reason else found,
        found=found,
        error=error,
        lags=np.array(list(held_out)),
        errors=np.sqrt([x.sum() / size if size > 0 else 1.0 for x in held_out.values()]),
        offset=offset,
        offset_error=offset_error,
        unexplained=unexplained,
        unexplained_as_given=as_given,
        reason=reason,
    )


def _confirmed(clearly: _Trial, found: float, error: float) -> tuple[str, float, float]:
    """A reason against a lag, by the samples that clearly move alone among lags up to half as long
    again; and the lag with its error: theirs, where the two contradict each other."""
    if not clearly.enough:
        return "rests on reversals alone: no joint moves on for long enough", found, error
    reach = 1.5 * abs(found)
    lags = np.linspace(-reach, reach, 2 * (_LAGS // 2) + 1)
    costs = _Costs.of(clearly, lags)
    best, spread = costs.best, costs.error
    helps = _better(costs.held_out[0.0], costs.held_out[best])
    if not helps or abs(best) <= spread:  # both by a standard error
        return (
            "does not show beyond reversals, where friction with memory looks alike",
            found,
            error,
        )
    if abs(best) >= reach * (1 - 1e-9) or best * found < 0:
        return "is not that of the samples that clearly move", found, error
    if abs(best - found) <= _SURE * np.hypot(spread, error):
        return "", found, error  # of more samples, and not contradicted
    return "", best, spread


def _better(now: Array, then: Array) -> bool:
    """Whether held-out costs `then` (F,) are lower than `now` by more than a standard error over
    folds, and enough to matter."""
    gain = now - then
    if gain.mean() <= _LEAST_GAIN * now.mean():
        return False
    return bool(gain.mean() > gain.std(ddof=1) / len(gain) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class _Costs:
    """What was measured of each lag: `held_out` (F,), and `left` (F + 1,), the square that a fit
    leaves of its own rows, without each fold in turn and then of all."""

    held_out: dict[float, Array]
    left: dict[float, Array]

    @classmethod
    def of(cls, trial: _Trial, lags: Array) -> _Costs:
        """At a grid of lags, then on a finer grid about the least, and where a parabola has it."""
        costs = cls(held_out={}, left={})
        costs._add(trial, lags)
        width = float(lags[1] - lags[0])
        coarse = costs._least
        finer = np.linspace(coarse - width, coarse + width, 9)[1:-1]
        costs._add(trial, finer[(finer > lags[0]) & (finer < lags[-1])])
        costs._add(trial, np.array([costs._lowest(-1)]))
        return costs

    def _add(self, trial: _Trial, lags: Array) -> None:
        known = np.array(list(self.left))
        new = np.array(
            [x for x in lags.tolist() if not np.any(np.abs(known - x) < _SAME_LAG)]  # as good as
        )
        if len(new):
            held_out, left = trial.costs(new)
            self.held_out.update(zip(new.tolist(), held_out, strict=True))
            self.left.update(zip(new.tolist(), left, strict=True))

    @property
    def best(self) -> float:
        """Of the lags that a fit cannot tell apart, within a standard error of the one that leaves
        least, the one that predicts best what was not fitted."""
        least, room = self._least, self.error
        near = [lag for lag in self.left if abs(lag - least) <= room]
        return min(near, key=lambda lag: float(self.held_out[lag].sum()))

    @property
    def _least(self) -> float:
        """The lag that leaves least."""
        return min(self.left, key=lambda lag: float(self.left[lag][-1]))

    @property
    def error(self) -> float:
        """The standard error of the lag that leaves least, by leaving out folds; a grid cannot tell
        apart what lies between its points better than a share of their distance."""
        folds = len(self.left[self._least]) - 1
        places = np.array([self._lowest(k) for k in range(folds)])
        near = np.sort(np.abs(np.array(list(self.left)) - self._least))[1]
        return float(max(places.std() * np.sqrt(folds - 1), 0.02 * near))

    def _lowest(self, fold: int) -> float:
        """The minimum of a parabola through the lowest point and its neighbours, without a fold or
        (-1) with all."""
        lags = np.array(sorted(self.left))
        total = np.array([self.left[lag][fold] for lag in lags.tolist()])
        k = int(np.clip(total.argmin(), 1, len(lags) - 2))
        x, y = lags[k - 1 : k + 2] - lags[k], total[k - 1 : k + 2]
        after, before = (y[2] - y[1]) / x[2], (y[0] - y[1]) / x[0]
        bend = (after - before) / (x[2] - x[0])
        slope = after - bend * x[2]
        shift = -slope / (2 * bend) if bend > 0 else x[int(y.argmin())]
        return float(lags[k] + np.clip(shift, x[0], x[2]))


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """The rows of all logs on which lags are compared: columns X (N, nv, p) in units of their
    norms, weights (N, nv), folds (N,), and the motions to take shifted joint forces from."""

    motions: Sequence[Motion]
    rows: list[NDArray[np.int64]]
    X: Array
    weight: Array
    fold: NDArray[np.int64]
    norms: Array
    nv: int

    @classmethod
    def of(
        cls,
        motions: Sequence[Motion],
        robot: Robot,
        loads: Sequence[Load],
        room: float,
        speed: Array,
        around: float,
    ) -> _Trial:
        """Rows at least `room` [s] from both ends; a joint counts where it is faster than `speed`
        (nv,) in one direction for `around` [s] before and after."""
        total = sum(len(m.time) for m in motions)
        every = max(1, round(total / _ROWS))
        rows, parts, moving = [], [], []
        for m in motions:
            inside = (m.time >= m.time[0] + room) & (m.time <= m.time[-1] - room)
            at = np.flatnonzero(inside)[::every]
            X = torque_columns(robot, m.q[at], m.v[at], m.a[at])
            carried = [X[:, :, 10 * b : 10 * b + 10] * float(m.name in names) for b, names in loads]
            parts.append(np.concatenate([*carried, X], axis=2))  # offsets stay last
            rows.append(at)
            moving.append(_moving(m, speed, around)[at])
        X, moves = np.concatenate(parts), np.concatenate(moving)
        norms = np.sqrt(np.square(X).sum(axis=(0, 1)))
        norms[norms == 0] = 1.0
        several = len(motions) >= _FOLDS // 2
        number = np.concatenate([np.full(len(at), k) for k, at in enumerate(rows)])
        count = min(_FOLDS, len(motions)) if several else _FOLDS
        fold = (
            number * count // len(motions)
            if several
            else np.arange(len(number)) * _FOLDS // len(number)
        )
        trial = cls(
            motions=motions, rows=rows, X=X / norms, weight=moves.astype(np.float64), fold=fold,
            norms=norms, nv=X.shape[1],
        )  # fmt: skip
        return trial._by_noise()

    @property
    def enough(self) -> bool:
        """Whether some joint moves in as many rows as the fit has columns of a joint, fold by
        fold."""
        return bool((self.weight > 0).sum(axis=0).max() > 2 * self.X.shape[2])

    def _by_noise(self) -> _Trial:
        """The weights over the standard deviation of what the law leaves of each joint as
        recorded; joints whose force never changes do not count."""
        tau = self.tau(0.0)
        changes = np.ptp(tau, axis=0) > 1e-9 * np.maximum(np.abs(tau).max(axis=0), 1e-300)
        mask = (self.weight > 0) & changes
        sigma = np.where(changes, tau.std(axis=0), 1.0)
        for _ in range(2):
            weight = mask / sigma
            theta = self._solve(weight, tau[None], None)[:, 0]
            left = (tau - self.X @ theta) * mask
            sigma = np.sqrt((left**2).sum(axis=0) / np.maximum(mask.sum(axis=0), 1))
            sigma = np.where(changes, np.maximum(sigma, 1e-6 * max(float(sigma.max()), 1e-300)), 1)
        return _Trial(**{**vars(self), "weight": mask / sigma})

    def tau(self, lag: float) -> Array:
        """Joint forces (N, nv) of `lag` [s] later. The filter is linear, so shifting what it
        smoothed is smoothing what was shifted."""
        parts: list[Array] = [
            np.stack([np.interp(m.time[at] + lag, m.time, x) for x in m.tau.T], axis=1)
            for m, at in zip(self.motions, self.rows, strict=True)
        ]
        return np.concatenate(parts)

    def _solve(self, weight: Array, taus: Array, out: int | None) -> Array:
        """Coefficients (p, L) of fits to joint forces (L, N, nv), without one fold."""
        used = weight if out is None else weight * (self.fold != out)[:, None]
        G, c = self._moments(used, taus)
        G[np.diag_indices_from(G)] += _RIDGE * np.trace(G) / len(G) + 1e-300
        return np.asarray(np.linalg.solve(G, c), dtype=np.float64)

    def _moments(self, weight: Array, taus: Array) -> tuple[Array, Array]:
        x = (self.X * weight[:, :, None]).reshape(-1, self.X.shape[2])
        y = (taus * weight).reshape(len(taus), -1)
        return x.T @ x, x.T @ y.T

    def costs(self, lags: Array) -> tuple[Array, Array]:
        """Weighted squares of the residual at each lag: in each fold, left out of the fit (L, F),
        and of the fits' own rows, without each fold and then of all (L, F + 1)."""
        taus = np.stack([self.tau(float(lag)) for lag in lags])
        count = int(self.fold.max()) + 1
        parts = []
        for k in range(count):
            at = self.fold == k
            x = (self.X[at] * self.weight[at][:, :, None]).reshape(-1, self.X.shape[2])
            y = (taus[:, at] * self.weight[at]).reshape(len(lags), -1)
            parts.append((x.T @ x, x.T @ y.T, (y**2).sum(axis=1)))
        G, c, yy = (np.sum([part[n] for part in parts], axis=0) for n in range(3))
        held_out, left = np.empty((len(lags), count)), np.empty((len(lags), count + 1))
        for k, (G_out, c_out, yy_out) in enumerate([*parts, (0 * G, 0 * c, 0 * yy)]):
            gram, side = G - G_out, c - c_out
            ridge = _RIDGE * np.trace(gram) / len(gram) + 1e-300
            theta = np.linalg.solve(gram + ridge * np.eye(len(gram)), side)  # (p, L)
            left[:, k] = yy - yy_out - 2 * (theta * side).sum(0) + (theta * (gram @ theta)).sum(0)
            if k < count:
                inner = (theta * (G_out @ theta)).sum(0)
                held_out[:, k] = yy_out - 2 * (theta * c_out).sum(0) + inner
        return np.maximum(held_out, 0.0), np.maximum(left, 0.0)  # of rounding

    def fit(self, lag: float) -> tuple[float, Array, Array]:
        """The share that is unexplained where it was not fitted; offsets (nv,) and their
        jackknife's errors."""
        tau = self.tau(lag)
        count = int(self.fold.max()) + 1
        mask = self.weight > 0
        left = np.zeros_like(tau)
        offsets = []
        for k in range(count):
            theta = self._solve(self.weight, tau[None], k)[:, 0]
            at = self.fold == k
            left[at] = tau[at] - self.X[at] @ theta
            offsets.append((theta / self.norms)[-self.nv :])
        size = tau.var(axis=0)
        shares = [
            np.mean(left[mask[:, j], j] ** 2) / size[j] for j in range(self.nv)
            if mask[:, j].any() and size[j] > 0
        ]  # fmt: skip
        spread = np.std(offsets, axis=0) * np.sqrt(count - 1)
        theta = self._solve(self.weight, tau[None], None)[:, 0]
        share = float(np.sqrt(np.mean(shares))) if shares else float("nan")
        offset = (theta / self.norms)[-self.nv :]
        return share, offset.astype(np.float64), spread.astype(np.float64)


def _moving(motion: Motion, speed: Array, around: float) -> Mask:
    """Where each joint (N, nv) is faster than `speed` (nv,), in the same direction from `around`
    [s] before to `around` after."""
    way = np.sign(motion.v) * (np.abs(motion.v) > speed)
    if not around:
        return way != 0
    first = np.searchsorted(motion.time, motion.time - around)
    last = np.searchsorted(motion.time, motion.time + around, side="right") - 1
    changes = np.cumsum(np.vstack([np.zeros(way.shape[1]), np.diff(way, axis=0) != 0]), axis=0)
    return (way != 0) & (changes[last] == changes[first])
