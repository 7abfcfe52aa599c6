"""The layout of an observation from an environment's answers: which of its numbers are angles,
cosines, velocities, places, constants.

The environment is put into random states and asked for its observation. Each number is compared
with what a channel can say, exactly: no table of tasks is needed, and what agrees with nothing is
filled by the environment itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.judgement.thresholds import threshold, whole
from discover.observations.environment import random_states
from discover.observations.expressions import in_words
from discover.observations.frames import Bodies, rotation_of
from discover.observations.layout import ObservationLayout
from kinematics import Robot
from kinematics.robot.joints import QUATERNION

Ask = Callable[[Tensor, Tensor], np.ndarray]
Declared = dict[str, Any]
_AXES = "xyz"
_FEW = 8  # numbers between the limits of a clipped one, to say what it is
_ALIKE = 0.999  # correlation that a number has with what it is, rounded or not
_SPEEDS = (2.0, 300.0)  # the second is beyond what anybody clips at


class Recogniser:
    """One environment's numbers, `ask(q, v)` (n, size), against the states that it was put in."""

    def __init__(self, robot: Robot, ask: Ask, seed: int = 0) -> None:
        self.robot, self.ask = robot, ask
        rng = np.random.default_rng(seed)
        n = whole("observations.states")
        (self.q, self.v), (far_q, far_v) = (random_states(robot, n, rng, s) for s in _SPEEDS)
        self.y = self._asked(self.q, self.v)
        self.far_v, self.far_y = far_v, self._asked(far_q, far_v)
        self.far_q = far_q
        self.size = self.y.shape[1]
        # observations that were rounded to float32 agree with a channel to fewer digits
        self.coarse = bool((self.y.astype(np.float32) == self.y).all())
        again = self._asked(self.q[:8], self.v[:8])
        self.steady = (again == self.y[:8]).all(0)
        self.spread = np.maximum(np.ptp(self.y, axis=0), 1e-300)
        self.tolerance = threshold(
            "observations.agrees_coarse" if self.coarse else "observations.agrees"
        )
        self.rounding, self.step, self.ratio = (
            (1e-5, 1e-2, threshold("observations.slope_ratio_coarse"))
            if self.coarse
            else (1e-11, 1e-4, threshold("observations.slope_ratio"))
        )
        still = self._asked(self.q, torch.zeros_like(self.v))
        self.of_q = (np.abs(still - self.y) <= self.tolerance * self.spread).all(0)
        self.single = [j for j in robot.independent_joints if robot.kinds[j] not in QUATERNION]
        self.names = [robot.joint_names[j] for j in self.single]
        self._slopes: np.ndarray | None = None

    def _asked(self, q: Tensor, v: Tensor) -> np.ndarray:
        y = np.asarray(self.ask(q, v), dtype=np.float64)
        if y.ndim != 2 or not np.isfinite(y).all():
            raise ModelError(
                "the environment's observation is not finite at random states; declare the "
                "observation yourself: wrap(…, observation=[…])"
            )
        return y

    def found(self) -> list[Declared | None]:
        """A channel of one number for each, None where nothing agrees."""
        out: list[Declared | None] = [self._one(k) for k in range(self.size)]
        self._points(out)
        return out

    def _one(self, k: int) -> Declared | None:
        if not self.steady[k]:
            return None
        if np.ptp(self.y[:, k]) == 0 and np.ptp(self.far_y[:, k]) == 0:
            return {"constant": [float(self.y[0, k])]}
        for test in (self._line, self._rate, self._wave, self._wrapped, self._part):
            channel = test(k)
            if channel is not None:
                return channel
        return None

    # ---- one number at a time -------------------------------------------------------------------

    def _fit(
        self, x: np.ndarray, far: np.ndarray, k: int
    ) -> tuple[np.ndarray, list[float] | None] | None:
        """(coefficients, clip) where y = clip(x · coefficients) to rounding, else None."""
        y = self.y[:, k]
        low, high = self.far_y[:, k].min(), self.far_y[:, k].max()
        inside = (y > low) & (y < high)
        if inside.sum() <= 2 * x.shape[1]:
            return None
        c, *_ = np.linalg.lstsq(x[inside], y[inside], rcond=None)
        c = _tidied(c, self.rounding)
        if np.abs(x[inside] @ c - y[inside]).max() > self.tolerance * self.spread[k]:
            return None
        predicted, seen = far @ c, self.far_y[:, k]
        tolerance = self.tolerance * np.ptp(predicted)
        if np.abs(predicted - seen).max() <= tolerance:
            return c, None
        beyond = np.abs(predicted - seen) > tolerance
        if np.abs(np.clip(predicted, low, high) - seen).max() > tolerance:
            return None
        # a side where nothing was cut shows no limit
        sides = [float(low) if (beyond & (predicted < low)).any() else -np.inf,
                 float(high) if (beyond & (predicted > high)).any() else np.inf]  # fmt: skip
        return c, sides

    def _line(self, k: int) -> Declared | None:
        if not self.of_q[k]:
            return None
        one = np.ones((len(self.q), 1))
        columns = [self.robot.q_slices[j].start for j in self.single]
        fitted = self._fit(
            np.hstack((self.q.numpy()[:, columns], one)),
            np.hstack((self.far_q.numpy()[:, columns], one)),
            k,
        )
        return None if fitted is None else self._combined("q", *fitted)

    def _rate(self, k: int) -> Declared | None:
        if self.of_q[k]:
            return None
        one = np.ones((len(self.q), 1))
        columns = [self.robot.v_slices[j].start for j in self.single]
        fitted = self._fit(
            np.hstack((self.v.numpy()[:, columns], one)),
            np.hstack((self.far_v.numpy()[:, columns], one)),
            k,
        )
        return None if fitted is None else self._combined("v", *fitted)

    def _combined(self, kind: str, c: np.ndarray, clip: list[float] | None) -> Declared | None:
        """A sum of coordinates; one joint's with a factor is a scale."""
        row, offset = c[:-1], float(c[-1])
        if not row.any():
            return None
        options: Declared = {}
        if np.count_nonzero(row) == 1 and float(np.abs(row).max()) != 1.0:
            options["scale"] = float(row[np.flatnonzero(row)[0]])
            row = np.where(row != 0, 1.0, 0.0)
        if offset and (kind == "v" or options):
            options["offset"] = offset
            offset = 0.0
        text = in_words(self.names, row.tolist(), offset)
        return {kind: [text], **options, **({} if clip is None else {"clip": clip})}

    def _part(self, k: int) -> Declared | None:
        """Components of quaternions, orientations, places and velocities of free bodies; entries of
        rotation matrices."""
        candidates, values, far_values = self._known_parts
        y = self.y[:, k]
        low, high = self.far_y[:, k].min(), self.far_y[:, k].max()
        x = values[(y > low) & (y < high)]
        y = y[(y > low) & (y < high)]
        if len(y) < _FEW:
            return None
        x, y = x - x.mean(0), y - y.mean()
        likeness = np.abs(y @ x) / np.maximum(np.sqrt((x**2).sum(0) * (y @ y)), 1e-300)
        for place in np.flatnonzero(likeness > _ALIKE):
            declared, near, far = candidates[place], values[:, place], far_values[:, place]
            fitted = self._fit(_with_one(near), _with_one(far), k)
            if fitted is None:
                continue
            (scale, offset), clip = fitted
            options: Declared = {} if clip is None else {"clip": clip}
            options |= {} if scale == 1 else {"scale": float(scale)}
            options |= {} if offset == 0 else {"offset": float(offset)}
            return {**declared, **options}
        return None

    @functools.cached_property
    def _known_parts(self) -> tuple[list[Declared], np.ndarray, np.ndarray]:
        near = self._candidates(self.q, self.v)
        far = self._candidates(self.far_q, self.far_v)
        values, far_values = (np.stack([x for _, x in c], axis=1) for c in (near, far))
        return [declared for declared, _ in near], values, far_values

    def _candidates(self, q: Tensor, v: Tensor) -> list[tuple[Declared, np.ndarray]]:
        robot = self.robot
        out: list[tuple[Declared, Tensor]] = []
        bodies = Bodies(robot, q)
        for j in robot.independent_joints:
            if robot.kinds[j] not in QUATERNION:
                continue
            name, x, y = robot.joint_names[j], q[:, robot.q_slices[j]], v[:, robot.v_slices[j]]
            turn = rotation_of(x[:, -4:])
            for c, letter in enumerate("wxyz"):
                out.append(({"quaternion": [name], "order": letter}, x[:, -4:][:, c]))
            vectors = {("angular_velocity", "body"): y[:, :3]}
            vectors["angular_velocity", "world"] = _turned(turn, y[:, :3])
            if robot.kinds[j] == "free":
                vectors["linear_velocity", "body"] = y[:, 3:]
                vectors["linear_velocity", "world"] = _turned(turn, y[:, 3:])
                vectors["position", "world"] = x[:, :3]
                vectors["position", "body"] = _turned(turn.mT, x[:, :3])
            for (kind, axes), x3 in vectors.items():
                for c, letter in enumerate(_AXES):
                    out.append(({kind: [name], "axes": axes, "components": letter}, x3[:, c]))
        for body in range(robot.nb):
            turn = bodies.turn(body)
            for a in range(3):
                for b in range(3):
                    declared = {
                        "rotation": [robot.body_names[body]], "entries": [_AXES[a] + _AXES[b]]
                    }  # fmt: skip
                    out.append((declared, turn[:, a, b]))
        return [(declared, x.numpy()) for declared, x in out]

    def _slope(self, k: int) -> np.ndarray:
        """Derivatives (few states, joints) of a number with respect to single coordinates."""
        if self._slopes is None:
            few = whole("observations.slope_states")
            q, v = self.q[:few], self.v[:few]
            columns = []
            for j in self.single:
                step = torch.zeros(self.robot.nq, dtype=torch.float64)
                step[self.robot.q_slices[j].start] = self.step
                ahead, behind = self._asked(q + step, v), self._asked(q - step, v)
                columns.append((ahead - behind) / (2 * self.step))
            self._slopes = np.stack(columns, axis=1)  # (few, joints, size)
        return self._slopes[:, :, k]

    def _whole_row(self, k: int) -> np.ndarray | None:
        """The sum of coordinates that a number is a function of, up to a factor: slopes keep their
        ratios."""
        slopes = self._slope(k)
        size = np.abs(slopes).max()
        if not self.single or size == 0:
            return None
        state, lead = np.unravel_index(np.abs(slopes).argmax(), slopes.shape)
        row = slopes[state] / slopes[state, lead]
        rounded = np.round(row)
        if np.abs(row - rounded).max() > self.ratio:
            return None
        rest = slopes - slopes[:, [lead]] * rounded
        if np.abs(rest).max() > self.ratio * size:
            return None
        return rounded if rounded[np.flatnonzero(rounded)[0]] > 0 else -rounded

    def _wave(self, k: int) -> Declared | None:
        row = self._whole_row(k) if self.of_q[k] else None
        if row is None:
            return None
        for frequency in (1.0, 0.5):  # quaternions of planar bodies have half angles
            channel = self._cosine(k, frequency * row)
            if channel is not None:
                return channel
        return None

    def _cosine(self, k: int, row: np.ndarray) -> Declared | None:
        columns = [self.robot.q_slices[j].start for j in self.single]
        angle, far_angle = (x.numpy()[:, columns] @ row for x in (self.q, self.far_q))
        basis, far = (
            np.stack((np.cos(x), np.sin(x), np.ones_like(x)), axis=1) for x in (angle, far_angle)
        )
        fitted = self._fit(basis, far, k)
        if fitted is None:
            return None
        (c, s, offset), clip = fitted
        options: Declared = {} if clip is None else {"clip": clip}
        options |= {} if offset == 0 else {"offset": float(offset)}
        if s == 0 or c == 0:
            kind, factor, phase = ("cos", c, 0.0) if s == 0 else ("sin", s, 0.0)
        else:
            kind, factor, phase = "cos", float(np.hypot(c, s)), float(-np.arctan2(s, c))
        options |= {} if factor == 1 else {"scale": float(factor)}
        return {kind: [in_words(self.names, row.tolist(), phase)], **options}

    def _wrapped(self, k: int) -> Declared | None:
        if not self.of_q[k] or not self.single:
            return None
        slopes = np.median(self._slope(k), axis=0)
        row = np.round(slopes)
        if np.abs(slopes - row).max() > self.ratio or not row.any():
            return None
        columns = [self.robot.q_slices[j].start for j in self.single]
        rest = self.y[:, k] - self.q.numpy()[:, columns] @ row
        turn = 2 * np.pi
        offset = float(rest[0] - turn * np.round(rest[0] / turn))
        turns = (rest - offset) / turn
        if np.abs(turns - np.round(turns)).max() > self.tolerance or np.ptp(self.y[:, k]) > turn:
            return None
        starts = (-np.pi, 0.0)
        inside = [
            s for s in starts if s - 1e-9 <= self.y[:, k].min() <= self.y[:, k].max() <= s + turn
        ]
        if not inside:
            return None
        text = in_words(self.names, row.tolist(), 0.0 if abs(offset) < 1e-9 else offset)
        return {"wrapped": [text], **({} if inside[0] == -np.pi else {"start": inside[0]})}

    # ---- places of points -----------------------------------------------------------------------

    def _points(self, out: list[Declared | None]) -> None:
        """Fill in numbers that are a world coordinate of a point fixed to a body, or the difference
        of two such."""
        left = [k for k in range(self.size) if out[k] is None and self.of_q[k] and self.steady[k]]
        if not left:
            return
        bodies = Bodies(self.robot, self.q)
        places = [(bodies.turn(b).numpy(), bodies.place(b).numpy()) for b in range(self.robot.nb)]
        numbers = range(self.robot.nb)
        pairs: list[tuple[int, int | None, float]] = [
            (b, None, sign) for sign in (1.0, -1.0) for b in numbers
        ]
        pairs += [(a, b, 1.0) for a in numbers for b in numbers if a != b]
        for a, b, sign in pairs:
            for axis in range(3):
                base = places[a][1][:, axis]
                basis = [places[a][0][:, axis]]
                if b is not None:
                    base = base - places[b][1][:, axis]
                    basis.append(-places[b][0][:, axis])
                x = np.hstack((*basis, np.ones((len(base), 1))))
                y = sign * self.y[:, left] - base[:, None]
                c = np.linalg.lstsq(x, y, rcond=1e-10)[0]
                good = np.abs(x @ c - y).max(0) <= self.tolerance * self.spread[left]
                for i in np.flatnonzero(good):
                    out[left[i]] = self._point(a, b, axis, sign, _tidied(c[:, i], self.rounding))
                left = [k for k, ok in zip(left, good, strict=True) if not ok]
                if not left:
                    return

    def _point(self, a: int, b: int | None, axis: int, sign: float, c: np.ndarray) -> Declared:
        declared: Declared = {
            "point": [self.robot.body_names[a]],
            "at": c[:3].tolist(),
            "components": _AXES[axis],
        }
        if b is not None:
            declared |= {"less": self.robot.body_names[b], "less_at": c[3:6].tolist()}
        declared |= {} if sign > 0 else {"scale": -1.0}
        return declared | ({} if c[-1] == 0 else {"offset": sign * float(c[-1])})


def recognise(
    robot: Robot, ask: Ask, filling: Callable[[list[int]], Callable[[Tensor, Tensor], Tensor]]
) -> ObservationLayout:
    """The layout of an environment's observation. `ask(q, v)` gives observations (n, size);
    `filling(places)` a function for the numbers that no channel says."""
    found = Recogniser(robot, ask).found()
    fill = _Shared(filling([k for k, channel in enumerate(found) if channel is None]))
    channels: list[Declared] = []
    filled = 0
    for channel in found:
        if channel is None:
            last = channels[-1] if channels else {}
            size = last["size"] if "filled" in last else 0
            if size:
                channels.pop()
            start = filled - size
            filled += 1
            channels.append({"filled": _Columns(fill, start, filled), "size": filled - start})
        elif not (channels and _joined(channels[-1], channel)):
            channels.append(channel)
    for channel in channels:
        values = channel.get("constant", ())
        if len(values) > 1 and len(set(values)) == 1:
            channel |= {"constant": values[0], "size": len(values)}
    return ObservationLayout(robot, channels)


class _Shared:
    """A function of states that several channels ask for the same batch: it is asked once."""

    def __init__(self, fill: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.fill = fill
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, q: Tensor, v: Tensor) -> Tensor:
        if self._last is None or self._last[0] is not q or self._last[1] is not v:
            self._last = (q, v, self.fill(q, v))
        return self._last[2]


class _Columns:
    """Some of a function's columns."""

    def __init__(self, fill: _Shared, start: int, stop: int) -> None:
        self.fill, self.columns = fill, slice(start, stop)

    def __call__(self, q: Tensor, v: Tensor) -> Tensor:
        return self.fill(q, v)[..., self.columns]


_PER_NUMBER = {"quaternion": "order", "position": "components", "linear_velocity": "components",
               "angular_velocity": "components", "rotation": "entries", "point": "components",
               "gravity": "components"}  # fmt: skip


def _joined(before: Declared, channel: Declared) -> bool:
    """Whether `channel` was put into the one before, which says the same of other joints or
    components."""
    kind = next(iter(channel))
    if next(iter(before)) != kind or kind == "filled":
        return False
    listed = _PER_NUMBER.get(kind)
    ignored = {kind} if listed is None else {listed}
    if {k: v for k, v in before.items() if k not in ignored} != {
        k: v for k, v in channel.items() if k not in ignored
    }:
        return False
    if listed is None:
        before[kind] = [*before[kind], *channel[kind]]
        return True
    if listed == "entries":
        before[listed] = [*before[listed], *channel[listed]]
        return True
    if set(before[listed]) & set(channel[listed]):
        return False
    before[listed] = before[listed] + channel[listed]
    return True


def _turned(turn: Tensor, x: Tensor) -> Tensor:
    return (turn @ x.unsqueeze(-1)).squeeze(-1)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.stack((x, np.ones_like(x)), axis=1)


def _tidied(c: np.ndarray, rounding: float) -> np.ndarray:
    """Coefficients within rounding of a number of few digits, as that number."""
    out = np.array(c)
    for k, x in enumerate(c):
        for digits in range(10):
            near = round(float(x), digits)
            if abs(float(x) - near) < rounding * max(1.0, abs(float(x))):
                out[k] = near
                break
    return out + 0.0  # no negative zeros
