"""What a motion may do: ranges, speeds, accelerations and efforts of a robot's joints.

A description may leave any of them open. What is missing is filled in, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.errors import DatasetError
from discover.judgement.thresholds import threshold
from discover.records import Stored
from kinematics import Robot

Array = NDArray[np.float64]

_SHARE = threshold("exciting.share_of_limits")
_ANGLE = threshold("exciting.angle")
_LENGTH = threshold("exciting.length")
_TURNING = threshold("exciting.turning")
_SLIDING = threshold("exciting.sliding")
_STILL = 1e-9  # of a range [rad | m]: no range


@dataclass(frozen=True, kw_only=True)
class MotionLimits(Stored):
    """low, high (nv,) of positions [rad | m], and greatest velocity, acceleration and effort (nv,),
    inf where there is none; held are joints that cannot move; notes say what was filled in."""

    low: Array
    high: Array
    velocity: Array
    acceleration: Array
    effort: Array
    notes: tuple[str, ...] = ()

    @property
    def held(self) -> NDArray[np.bool_]:
        """Joints (nv,) without a range or without a speed."""
        return (self.high - self.low <= _STILL) | (self.velocity <= 0)

    def excess(self, q: Array, v: Array, a: Array, tau: Array | None = None) -> float:
        """The largest ratio of a value (…, nv) to its limit; at most 1 where all are kept. Ranges
        count from their middle."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        moves = ~self.held
        ratios = [
            np.abs(q - middle)[..., moves] / half[moves],
            np.abs(v)[..., moves] / self.velocity[moves],
            np.abs(a)[..., moves] / self.acceleration[moves],
        ]
        if tau is not None:
            ratios.append(np.abs(tau) / self.effort)
        return max(float(x.max(initial=0.0)) for x in ratios)


def motion_limits(
    robot: Robot,
    *,
    position: tuple[ArrayLike, ArrayLike] | None = None,
    velocity: ArrayLike | None = None,
    acceleration: ArrayLike | None = None,
    effort: ArrayLike | None = None,
) -> MotionLimits:
    """The robot's own limits, or those that are given (numbers, or one a joint), and some share of
    each, so that a controller that tracks the motion does not meet them.

    Raises DatasetError for limits that no joint can have.
    """
    notes: list[str] = []
    names, kinds = robot.independent_names, robot.independent_kinds
    slides = np.array([kind == "prismatic" for kind in kinds])
    low, high = _ranges(robot, position, slides, notes)
    speed = _one_a_joint(robot.velocity_limit if velocity is None else velocity, robot, "velocity")
    open_ended = ~np.isfinite(speed)
    if open_ended.any():
        speed = np.where(open_ended, np.where(slides, _SLIDING, _TURNING), speed)
        notes.append(
            f"no velocity limit is known of {_named(names, open_ended)}: taken as {_TURNING:g} "
            f"rad/s of hinges, {_SLIDING:g} m/s of sliders; give velocity = … for others"
        )
    most = _one_a_joint(robot.effort_limit if effort is None else effort, robot, "effort")
    unstated = most <= 0
    if unstated.any():
        most = np.where(unstated, np.inf, most)
        notes.append(
            f"the effort limit of {_named(names, unstated)} is 0, which is taken for none stated"
        )
    hardest = np.full(robot.nv, np.inf) if acceleration is None else acceleration
    kept = MotionLimits(
        low=(low + high) / 2 - _SHARE * (high - low) / 2,
        high=(low + high) / 2 + _SHARE * (high - low) / 2,
        velocity=_SHARE * speed,
        acceleration=_SHARE * _one_a_joint(hardest, robot, "acceleration"),
        effort=_SHARE * most,
    )
    for name, still, fast in zip(names, high - low <= _STILL, speed, strict=True):
        if still or fast <= 0:
            why = "its range is empty" if still else "its velocity limit is 0"
            notes.append(
                f"{name} cannot move ({why}): it is held, and what only its motion would show "
                "stays unknown"
            )
    if kept.held.all():
        raise DatasetError(
            f"design: expected a joint of {robot.name} that can move, found none; give position = "
            "(low, high) and velocity = …"
        )
    return MotionLimits(**{**vars(kept), "notes": tuple(notes)})


def _ranges(
    robot: Robot,
    given: tuple[ArrayLike, ArrayLike] | None,
    slides: NDArray[np.bool_],
    notes: list[str],
) -> tuple[Array, Array]:
    """Low and high ends (nv,), with open ones closed."""
    ends = (robot.lower, robot.upper) if given is None else given
    low, high = (_one_a_joint(x, robot, "position") for x in ends)
    if np.any(high < low):
        j = int(np.argmax(high < low))
        raise DatasetError(
            f"design: expected a lower limit below the upper one, found {low[j]:g} and {high[j]:g} "
            f"of {robot.independent_names[j]}"
        )
    width = np.where(slides, _LENGTH, _ANGLE)
    below, above = ~np.isfinite(low), ~np.isfinite(high)
    if (below | above).any():
        notes.append(
            f"no range is known of {_named(robot.independent_names, below | above)}: taken as "
            f"±{_ANGLE:.3g} rad of hinges, ±{_LENGTH:g} m of sliders; give position = (low, high) "
            "for others"
        )
    filled_low = np.where(below, np.where(above, -width, high - 2 * width), low)
    filled_high = np.where(above, np.where(below, width, low + 2 * width), high)
    return filled_low, filled_high


def _one_a_joint(values: ArrayLike, robot: Robot, what: str) -> Array:
    """Values (nv,) from one number or one a joint. Raises DatasetError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != robot.nv) or np.isnan(array).any():
        raise DatasetError(
            f"design: expected one {what} limit, or {robot.nv} (one a joint), found "
            f"{array.tolist()}"
        )
    return np.broadcast_to(array, (robot.nv,)).copy()


def _named(names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    if chosen.all() and len(names) > 3:
        return "all joints"
    return ", ".join(n for n, x in zip(names, chosen, strict=True) if x)
