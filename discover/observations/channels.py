"""Channels of an observation, as a user writes them, and the numbers that each stands for.

A channel is a word ("cos"), a word with arguments ("cos(shoulder, elbow)") or a mapping with
options ({"v": ["shoulder", "elbow"], "clip": 10}). Without arguments it means all joints.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.errors import ModelError
from discover.observations.expressions import combination, unknown_joint
from discover.observations.readings import (
    Constant,
    Filled,
    GravityPart,
    Line,
    PlacePart,
    PointPart,
    QuaternionPart,
    Rate,
    Reading,
    TurnPart,
    TwistPart,
    Wave,
    Wrapped,
)
from kinematics import Robot
from kinematics.robot.joints import QUATERNION

_CALL = re.compile(r"\s*([A-Za-z_]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_AXES = "xyz"
_QUARTER = -math.pi / 2  # sin x = cos(x - π/2)
SHARED = ("scale", "offset", "clip")


@dataclass(frozen=True, eq=False)
class Channel:
    """Numbers that stand side by side: clip(scale · reading + offset, low, high).

    `declared` is what the user wrote, as a mapping. low and high are infinite without clipping.
    """

    declared: Mapping[str, Any]
    readings: tuple[Reading, ...]
    scale: np.ndarray
    offset: np.ndarray
    low: np.ndarray
    high: np.ndarray


def channel(robot: Robot, given: Any) -> Channel:
    """A channel as written. Raises ModelError, one line, where it does not fit the robot."""
    kind, arguments, options = _split(given)
    make, allowed = _KINDS[kind]
    for key in options:
        if key not in (*allowed, *SHARED):
            near = difflib.get_close_matches(key, (*allowed, *SHARED), n=1)
            mend = f"did you mean '{near[0]}'?" if near else f"it has {_listed(allowed)}"
            raise ModelError(f"observation: channel '{kind}' has no option '{key}'; {mend}")
    own = {key: value for key, value in options.items() if key in allowed}
    readings = tuple(make(robot, arguments, **own))
    if not readings:
        raise ModelError(f"observation: channel '{kind}' holds no number for {robot.name}")
    n = len(readings)
    scale = _numbers(kind, "scale", options.get("scale", 1.0), n)
    if not scale.all():
        raise ModelError(f"observation: scale of '{kind}': expected no zero, found {scale}")
    low, high = _bounds(kind, options.get("clip"), n)
    offset = _numbers(kind, "offset", options.get("offset", 0.0), n)
    declared = {kind: arguments if arguments is not None else "all", **options}
    return Channel(declared, readings, scale, offset, low, high)


def _split(given: Any) -> tuple[str, Any, dict[str, Any]]:
    """(kind, arguments or None for all, options)."""
    if isinstance(given, str):
        found = _CALL.fullmatch(given)
        word, inside = found.groups() if found else (given, None)
        kind = _kind(word)
        if inside is None:
            return kind, None, {}
        return kind, [part.strip() for part in inside.split(",") if part.strip()], {}
    if isinstance(given, Mapping):
        kinds = [key for key in given if key in _KINDS]
        if len(kinds) != 1:
            found_keys = ", ".join(map(str, given)) or "nothing"
            raise ModelError(
                f"observation: expected one kind of channel in a mapping, found {found_keys}; "
                f"the kinds are {_listed(_KINDS)}"
            )
        options = {str(key): value for key, value in given.items() if key != kinds[0]}
        arguments = given[kinds[0]]
        if isinstance(arguments, str):
            arguments = None if arguments == "all" else [arguments]
        return kinds[0], arguments, options
    raise ModelError(
        f"observation: expected a channel as text or a mapping, found {type(given).__name__}; "
        'write "cos(shoulder)" or {"cos": ["shoulder"]}'
    )


def _kind(word: str) -> str:
    if word in _KINDS:
        return word
    near = difflib.get_close_matches(word, _KINDS, n=1)
    mend = f"did you mean '{near[0]}'?" if near else f"the kinds are {_listed(_KINDS)}"
    raise ModelError(f"observation: no kind of channel '{word}'; {mend}")


def _numbers(kind: str, name: str, given: Any, n: int) -> np.ndarray:
    try:
        values = np.broadcast_to(np.asarray(given, dtype=np.float64), (n,))
    except (TypeError, ValueError):
        raise ModelError(
            f"observation: {name} of '{kind}': expected a number or {n} of them, found {given!r}"
        ) from None
    if np.isnan(values).any() or (name != "clip" and not np.isfinite(values).all()):
        raise ModelError(f"observation: {name} of '{kind}': expected finite numbers, found {given}")
    return values


def _bounds(kind: str, given: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A number is a half-width about zero, a pair is (low, high), each a number or one each."""
    if given is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    pair = given if isinstance(given, Sequence) and not isinstance(given, str) else None
    if pair is not None and len(pair) != 2:
        raise ModelError(
            f"observation: clip of '{kind}': expected a number or (low, high), found {given!r}"
        )
    high = _numbers(kind, "clip", given if pair is None else pair[1], n)
    low = -high if pair is None else _numbers(kind, "clip", pair[0], n)
    if not (low < high).all():
        raise ModelError(f"observation: clip of '{kind}': expected low < high, found {given!r}")
    return low, high


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


# ---- joints with one coordinate ---------------------------------------------------------------


def _texts(arguments: Any) -> list[str]:
    if isinstance(arguments, str) or not isinstance(arguments, Sequence):
        arguments = [arguments]
    for part in arguments:
        if not isinstance(part, str):
            raise ModelError(
                f"observation: expected names or sums of names, found {part!r}; "
                'write ["shoulder", "shoulder + elbow"]'
            )
    return list(arguments)


def _single(robot: Robot) -> list[str]:
    """The joints with one coordinate."""
    kinds = zip(robot.independent_names, robot.independent_kinds, strict=True)
    return [name for name, kind in kinds if kind not in QUATERNION]


def _joint(robot: Robot, name: str) -> int | None:
    return robot.joint_names.index(name) if name in robot.joint_names else None


def _configuration(robot: Robot, arguments: Any) -> list[Reading]:
    out: list[Reading] = []
    for text in robot.independent_names if arguments is None else _texts(arguments):
        joint = _joint(robot, text)
        kind = robot.kinds[joint] if joint is not None else None
        if joint is not None and kind in QUATERNION:
            at = robot.q_slices[joint]
            for k in range(at.start, at.stop - 4):
                row = np.zeros(robot.nq)
                row[k] = 1.0
                out.append(Line(f"position({text}).{_AXES[k - at.start]}", row))
            out += [QuaternionPart(f"quaternion({text}).{'wxyz'[c]}", joint, c) for c in range(4)]
            continue
        sum_ = combination(robot, text)
        out.append(Line(f"q({text})", sum_.q_row, sum_.offset))
    return out


def _wrapped(robot: Robot, arguments: Any, start: float = -math.pi) -> list[Reading]:
    begin = float(_numbers("wrapped", "start", start, 1)[0])
    sums = [combination(robot, t) for t in _turning(robot, arguments)]
    return [Wrapped(f"wrapped({s.text})", s.q_row, s.offset, begin) for s in sums]


def _turning(robot: Robot, arguments: Any) -> list[str]:
    """Texts given, or all joints that turn about one axis."""
    if arguments is not None:
        return _texts(arguments)
    kinds = zip(robot.independent_names, robot.independent_kinds, strict=True)
    return [name for name, kind in kinds if kind in ("revolute", "continuous")]


def _trigonometric(*shifts: tuple[str, float]) -> Callable[..., list[Reading]]:
    def make(robot: Robot, arguments: Any) -> list[Reading]:
        return [
            Wave(f"{word}({text})", s.q_row, s.offset + shift)
            for text in _turning(robot, arguments)
            for s in [combination(robot, text)]
            for word, shift in shifts
        ]

    return make


def _velocity(robot: Robot, arguments: Any) -> list[Reading]:
    out: list[Reading] = []
    for text in robot.independent_names if arguments is None else _texts(arguments):
        joint = _joint(robot, text)
        if joint is not None and robot.kinds[joint] in QUATERNION:
            at = robot.v_slices[joint]
            parts = ("angular_velocity", "linear_velocity")
            for k in range(at.stop - at.start):
                label = f"{parts[k // 3]}({text}).{_AXES[k % 3]}"
                out.append(Rate(label, np.eye(robot.nv)[at.start + k]))
            continue
        sum_ = combination(robot, text)
        out.append(Rate(f"v({text})", sum_.v_row))
    return out


def _mujoco_velocity(robot: Robot, arguments: Any) -> list[Reading]:
    out: list[Reading] = []
    for text in robot.independent_names if arguments is None else _texts(arguments):
        joint = _joint(robot, text)
        if joint is not None and robot.kinds[joint] == "free":
            out += _twist("linear_velocity", 3)(robot, [text], axes="world")
            out += _twist("angular_velocity", 0)(robot, [text], axes="body")
        else:
            out += _velocity(robot, [text])
    return out


# ---- bodies that move freely --------------------------------------------------------------------


def _freely(robot: Robot, arguments: Any, kinds: Sequence[str]) -> list[int]:
    """The joints of these kinds, named by themselves or by their bodies; all without a name."""
    able = [j for j in robot.independent_joints if robot.kinds[j] in kinds]
    if arguments is None:
        if not able:
            raise ModelError(
                f"observation: {robot.name} has no joint that turns freely; load the robot with "
                "root='free', or use q and v"
            )
        return able
    out = []
    for text in _texts(arguments):
        found = [j for j in able if text in (robot.joint_names[j], robot.body_names[j])]
        if not found:
            raise ModelError(unknown_joint(robot, text, text) + f" (one that is {_listed(kinds)})")
        out += found
    return out


def _components(kind: str, given: Any, letters: str = _AXES) -> list[int]:
    text = given if isinstance(given, str) else ""
    if not text or not set(text) <= set(letters) or len(set(text)) < len(text):
        raise ModelError(
            f"observation: components of '{kind}': expected letters of '{letters}', found {given!r}"
        )
    return [letters.index(c) for c in text]


def _in_body(kind: str, axes: Any) -> bool:
    if axes not in ("world", "body"):
        raise ModelError(
            f"observation: axes of '{kind}': expected 'world' or 'body', found {axes!r}"
        )
    return axes == "body"


def _quaternion(
    robot: Robot, arguments: Any, order: str = "wxyz", positive: bool = False
) -> list[Reading]:
    letters = _components("quaternion", order, "wxyz")
    return [
        QuaternionPart(f"quaternion({robot.joint_names[j]}).{'wxyz'[c]}", j, c, bool(positive))
        for j in _freely(robot, arguments, QUATERNION)
        for c in letters
    ]


def _position(
    robot: Robot, arguments: Any, axes: str = "world", components: str = _AXES
) -> list[Reading]:
    out: list[Reading] = []
    seen_from_body = _in_body("position", axes)
    for j in _freely(robot, arguments, ("free",)):
        for c in _components("position", components):
            label = f"position({robot.joint_names[j]}).{_AXES[c]}"
            row = np.eye(robot.nq)[robot.q_slices[j].start + c]
            out.append(PlacePart(label, j, c) if seen_from_body else Line(label, row))
    return out


def _twist(kind: str, start: int) -> Callable[..., list[Reading]]:
    def make(
        robot: Robot, arguments: Any, axes: str = "body", components: str = _AXES
    ) -> list[Reading]:
        out: list[Reading] = []
        in_body = _in_body(kind, axes)
        for j in _freely(robot, arguments, ("free",) if start else QUATERNION):
            for c in _components(kind, components):
                label = f"{kind}({robot.joint_names[j]}).{_AXES[c]}"
                row = np.eye(robot.nv)[robot.v_slices[j].start + start + c]
                out.append(Rate(label, row) if in_body else TwistPart(label, j, c, start))
        return out

    return make


# ---- any body -----------------------------------------------------------------------------------


def _body(robot: Robot, text: Any) -> int:
    """A body by its name or that of its joint; -1 for the world."""
    names = (robot.body_names, robot.joint_names)
    for known in names:
        if text in known:
            return known.index(text)
    if text in ("world", robot.base_name):
        return -1
    near = difflib.get_close_matches(str(text), robot.body_names, n=1)
    mend = f"did you mean '{near[0]}'?" if near else f"they are {', '.join(robot.body_names)}"
    raise ModelError(f"observation: expected a body of {robot.name}, found {text!r}; {mend}")


def _bodies(robot: Robot, arguments: Any, kind: str) -> list[int]:
    if arguments is None:
        raise ModelError(f"observation: '{kind}' needs a body; write {kind}({robot.body_names[0]})")
    bodies = [_body(robot, text) for text in _texts(arguments)]
    if -1 in bodies:
        raise ModelError(f"observation: '{kind}' of the world never changes; use 'constant'")
    return bodies


def _gravity(robot: Robot, arguments: Any, components: str = _AXES) -> list[Reading]:
    return [
        GravityPart(f"gravity({robot.body_names[b]}).{_AXES[c]}", b, c)
        for b in _bodies(robot, arguments, "gravity")
        for c in _components("gravity", components)
    ]


def _rotation(robot: Robot, arguments: Any, entries: Any = None) -> list[Reading]:
    entries = [a + b for a in _AXES for b in _AXES] if entries is None else entries
    pairs = [entries] if isinstance(entries, str) else entries
    for pair in pairs:
        if not isinstance(pair, str) or len(pair) != 2 or not set(pair) <= set(_AXES):
            raise ModelError(
                f"observation: entries of 'rotation': expected pairs as 'xx', 'zx', found {pair!r}"
            )
    return [
        TurnPart(f"rotation({robot.body_names[b]}).{p}", b, _AXES.index(p[0]), _AXES.index(p[1]))
        for b in _bodies(robot, arguments, "rotation")
        for p in pairs
    ]


def _point(
    robot: Robot,
    arguments: Any,
    at: Any = (0.0, 0.0, 0.0),
    components: str = _AXES,
    less: Any = None,
    less_at: Any = (0.0, 0.0, 0.0),
) -> list[Reading]:
    places = [tuple(_numbers("point", "at", x, 3).tolist()) for x in (at, less_at)]
    other = None if less is None else (_body(robot, less), places[1])
    return [
        PointPart(f"point({robot.body_names[b]}).{_AXES[c]}", b, places[0], c, other)
        for b in _bodies(robot, arguments, "point")
        for c in _components("point", components)
    ]


def _constant(robot: Robot, arguments: Any, size: int | None = None) -> list[Reading]:
    try:
        values = np.ravel(np.asarray(0.0 if arguments is None else arguments, dtype=np.float64))
    except (TypeError, ValueError):
        raise ModelError(
            f"observation: 'constant': expected numbers, found {arguments!r}"
        ) from None
    if size is not None:
        values = _numbers("constant", "size", values if len(values) > 1 else values[0], size)
    return [Constant(f"constant {x:g}", float(x)) for x in values]


def _filled(robot: Robot, arguments: Any, size: int | None = None) -> list[Reading]:
    if not callable(arguments) or not isinstance(size, int) or size < 1:
        raise ModelError(
            "observation: 'filled' needs a function (q, v) -> (…, size) and its size; write "
            '{"filled": function, "size": 3}, from Python'
        )
    return [Filled(f"filled {k}", arguments, k, size) for k in range(size)]


_KINDS: dict[str, tuple[Callable[..., list[Reading]], tuple[str, ...]]] = {
    "q": (_configuration, ()),
    "qpos": (_configuration, ()),
    "wrapped": (_wrapped, ("start",)),
    "cos": (_trigonometric(("cos", 0.0)), ()),
    "sin": (_trigonometric(("sin", _QUARTER)), ()),
    "cos_sin": (_trigonometric(("cos", 0.0), ("sin", _QUARTER)), ()),
    "sin_cos": (_trigonometric(("sin", _QUARTER), ("cos", 0.0)), ()),
    "v": (_velocity, ()),
    "qvel": (_mujoco_velocity, ()),
    "quaternion": (_quaternion, ("order", "positive")),
    "position": (_position, ("axes", "components")),
    "linear_velocity": (_twist("linear_velocity", 3), ("axes", "components")),
    "angular_velocity": (_twist("angular_velocity", 0), ("axes", "components")),
    "gravity": (_gravity, ("components",)),
    "rotation": (_rotation, ("entries",)),
    "point": (_point, ("at", "components", "less", "less_at")),
    "constant": (_constant, ("size",)),
    "filled": (_filled, ("size",)),
}
KINDS = tuple(_KINDS)
