"""What the columns of a log mean, told from their names: `q1`, `elbow_position`, `effort/wrist`,
with their units where these stand behind: `yaw_pos [deg]`, `tau_1 (N·m)`.

What was told is always said; where names do not settle it, nothing is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discover.data.columns.coordinates import UNITS
from discover.data.formats.registry import open_table
from discover.data.settings import Column, Columns, LogLayout, Units
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

# in the order of preference, for a file may hold the same thing twice
STEMS = {
    "q": (
        "q", "q_meas", "actual_q", "qpos", "pos_meas", "position", "positions", "pos",
        "joint_position", "joint_positions", "joint_pos", "angle", "theta", "observation.state",
    ),
    "v": (
        "v", "dq", "dq_meas", "qd", "actual_qd", "qvel", "vel_meas", "velocity", "velocities",
        "vel", "joint_velocity", "joint_velocities", "joint_vel", "speed", "omega",
    ),
    "tau": (
        "tau", "tau_meas", "tau_j", "torque_meas", "measured_torque", "torque", "torques", "trq",
        "effort", "efforts", "joint_torque", "joint_torques", "joint_effort", "force", "f",
    ),
}  # fmt: skip
_SPELT = {  # units as people write them, without blanks, dots and case
    "rad": "rad", "radian": "rad", "radians": "rad", "deg": "deg", "degree": "deg",
    "degrees": "deg", "°": "deg", "rev": "rev", "mrad": "mrad", "m": "m", "cm": "cm", "mm": "mm",
    "rad/s": "rad/s", "rads^-1": "rad/s", "rads-1": "rad/s", "rad/sec": "rad/s", "deg/s": "deg/s",
    "°/s": "deg/s", "degs^-1": "deg/s", "deg/sec": "deg/s", "rpm": "rpm", "rev/s": "rev/s",
    "m/s": "m/s", "cm/s": "cm/s", "mm/s": "mm/s", "nm": "N*m", "n*m": "N*m", "newtonmetres": "N*m",
    "mnm": "mN*m", "nmm": "N*mm", "ncm": "N*cm", "kgfcm": "kgf*cm", "n": "N", "kn": "kN", "a": "A",
    "ma": "mA", "v": "V", "%": "%",
}  # fmt: skip
_UNIT = re.compile(r"(?P<name>.*?\S)[ _]*[\[(](?P<unit>[^\[\]()]*)[\])]\s*\Z")
_SUFFIX = re.compile(r"(?P<name>.*[^_])_(?P<unit>rad|deg|Nm|nm)\Z")
_COMMANDED = ("cmd", "command", "des", "desired", "ref", "reference", "target", "set", "goal",
              "error", "err", "motor")  # fmt: skip
TIMES = ("time", "t", "timestamp", "timestamps", "stamp", "times", "clock", "seconds", "datetime")
TIME_UNITS = ("s", "ms", "us", "ns")
_SHOWN = 12  # columns that the refusal names


def guess(
    path: Path, robot: Robot | None = None, parts: Mapping[str, Path] | None = None
) -> tuple[LogLayout, tuple[str, ...]]:
    """The layout of a file by the names of its columns, or of a log in several files by theirs,
    and a note that says so. Where columns name only some of the robot's joints, the layout does.

    Raises DatasetError where the names do not tell time, positions and joint forces of the same
    joints, named ones if there are fewer than the robot has.
    """
    files = parts or {"": path}
    columns_of = {part: list(open_table(file, "auto")[0].columns) for part, file in files.items()}
    split = {
        f"{part}:{name}" if part else name: _with_unit(name)
        for part, names in columns_of.items()
        for name in names
    }
    names = list(split)
    joints = [] if robot is None else list(robot.independent_names)
    groups = {what: _labelled(split, what, joints) for what in STEMS}
    time, unit = _times(columns_of)
    for by_label in groups["q"]:
        for forces in groups["tau"]:
            some = bool(joints) and set(by_label) < set(joints)
            if set(forces) != set(by_label) or not (
                some or not joints or len(by_label) == len(joints)
            ):
                continue
            labels = _ordered(list(by_label), joints)
            speeds = next((x for x in groups["v"] if set(x) == set(by_label)), None)
            columns = Columns(
                time=time,
                q=tuple(by_label[x] for x in labels),
                v=None if speeds is None else tuple(speeds[x] for x in labels),
                tau=tuple(forces[x] for x in labels),
            )
            if time is None:
                raise DatasetError(
                    f"recording {path}: expected a column of times, found none among "
                    f"{_listed(names)}; give a rate [Hz] in a file for --columns"
                )
            kinds = None
            if robot is not None:
                by_name = dict(zip(joints, robot.independent_kinds, strict=True))
                kinds = [by_name[x] for x in labels] if some else list(robot.independent_kinds)
            units = Units(
                time=unit,
                q=_units("q", columns.q, split, kinds),
                v=None if columns.v is None else _units("v", columns.v, split, kinds),
                tau=_units("tau", columns.tau, split, kinds),
            )
            named = tuple(labels) if some else None
            return LogLayout(columns=columns, units=units, joints=named), (_note(columns, units),)
    raise DatasetError(
        f"recording {path}: expected columns whose names tell positions and joint forces"
        + (f" of {', '.join(joints)}" if joints else "")
        + f", found {_listed(names)}; say which is which in a file for --columns, such as "
        'columns = {time = "t", q = ["a"], tau = ["b"]}'
    )


def _times(
    columns_of: Mapping[str, Sequence[str]],
) -> tuple[Column | dict[str, Column] | None, str]:
    """The column of times and its unit; of several files one a file, or one for all. Files without
    one share the first one's; one in another unit tells nothing."""
    found = {part: _time(names) for part, names in columns_of.items()}
    told = {part: (name, unit) for part, (name, unit) in found.items() if name is not None}
    units = {unit for _, unit in told.values()}
    if not told or len(units) > 1:
        return None, "s"
    names = {name for name, _ in told.values()}
    if len(names) == 1:
        return names.pop(), units.pop()
    return {part: name for part, (name, _) in told.items()}, units.pop()


def speaks(names: Sequence[str], robot: Robot | None = None) -> bool:
    """Whether any name tells positions or joint forces."""
    joints = [] if robot is None else list(robot.independent_names)
    split = {name: _with_unit(name) for name in names}
    return any(_labelled(split, what, joints) for what in ("q", "tau"))


def _with_unit(name: str) -> tuple[str, str | None]:
    """A column's name without its unit, and the unit; `q[0]` and `q(joint)` have none."""
    for pattern in (_UNIT, _SUFFIX):
        match = pattern.match(name)
        if match is not None:
            unit = _spelt(match["unit"])
            if unit is not None:
                return match["name"], unit
    return name, None


def _spelt(unit: str) -> str | None:
    plain = re.sub(r"[\s·.⋅]", "", unit)
    if plain == "MNm":  # millions of them are no joint's
        return None
    return _SPELT.get(plain.lower())


def _units(
    what: str,
    columns: Sequence[str | int],
    split: Mapping[str, tuple[str, str | None]],
    joints: Sequence[str] | None,
) -> tuple[str, ...] | None:
    """The units that stand in the names, one a column; SI where a column among them has none.
    joints are their kinds, hinges where they are not known."""
    units = [split[str(c)][1] for c in columns]
    if not any(units):
        return None
    kinds = ["revolute"] * len(units) if joints is None else joints
    si = {"q": ("m", "rad"), "v": ("m/s", "rad/s"), "tau": ("N", "N*m")}[what]
    return tuple(unit or si[kind != "prismatic"] for unit, kind in zip(units, kinds, strict=True))


def _labelled(
    names: Mapping[str, tuple[str, str | None]], what: str, joints: Sequence[str]
) -> list[dict[str, str]]:
    """For each stem that occurs, its columns by joint: a number, a joint's name, or nothing. A
    column whose unit is of something else does not count."""
    found = []
    for stem in STEMS[what]:
        by_label: dict[str, str] = {}
        for name, (plain, unit) in names.items():
            if unit is not None and unit not in UNITS[what]:
                continue
            label = _label(plain, stem, joints)
            if label is not None:
                by_label.setdefault(label, name)
        if by_label:
            if len(by_label) > 1:
                by_label.pop("", None)
            found.append(by_label)
    return found


def _label(name: str, stem: str, joints: Sequence[str]) -> str | None:
    """The joint in a column's name beside the stem, None where the name has another stem."""
    low = name.lower()
    for joint in joints:
        for word in _words(joint):
            if word in low:
                rest = low.replace(word, "", 1).strip(" _-./:[]()")
                if rest == stem:
                    return joint
    if low == stem:
        return ""
    numbered = re.fullmatch(re.escape(stem) + r"[ _\-./:\[(]*(?:j|joint)?[ _]?(\d+)[\])]?", low)
    numbered = numbered or re.fullmatch(r"(?:j|joint)?[ _]?(\d+)[ _\-./:]" + re.escape(stem), low)
    if numbered:
        return numbered[1]
    if joints:
        return None
    named = re.fullmatch(re.escape(stem) + r"[/.:](.+)", low)
    if named:
        return name[len(stem) + 1 :]
    before = re.fullmatch(r"([a-z][a-z0-9]*)[ _\-./:]" + re.escape(stem), low)
    return before[1] if before and before[1] not in _COMMANDED else None


def _words(joint: str) -> list[str]:
    """A joint's name as columns may have it: `yaw` of `yaw_joint` as well."""
    low = joint.lower()
    short = re.sub(r"(^joint[ _\-]|[ _\-]joint$)", "", low)
    return [low] if short == low or not short or short.isdecimal() else [low, short]


def _ordered(labels: list[str], joints: Sequence[str]) -> list[str]:
    """Labels in the order of the joints they name, or by number, or as they stand in the file."""
    if joints and set(labels) <= set(joints):
        return [joint for joint in joints if joint in labels]
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=int)
    return labels


def _time(names: Sequence[str]) -> tuple[str | None, str]:
    """The column of times and its unit, by a suffix such as `_ms`."""
    low = {name.lower(): name for name in names}
    for word in TIMES:
        if word in low:
            return low[word], "s"
        for unit in TIME_UNITS:
            for form in (
                f"{word}_{unit}",
                f"{word} [{unit}]",
                f"{word}[{unit}]",
                f"{word} ({unit})",
            ):
                if form in low:
                    return low[form], unit
    return None, "s"


def _note(columns: Columns, units: Units) -> str:
    parts = [f"time {columns.time}" + (f" [{units.time}]" if units.time != "s" else "")]
    in_si = units.time == "s"
    for what, names, given in (
        ("q", columns.q, units.q),
        ("v", columns.v, units.v),
        ("tau", columns.tau, units.tau),
    ):
        if names:
            told = [given] * len(names) if isinstance(given, str | None) else list(given)
            in_si = in_si and not any(told)
            words = [
                str(name) if unit is None else f"{_with_unit(str(name))[0]} [{unit}]"
                for name, unit in zip(names, told, strict=True)
            ]
            parts.append(f"{what} {', '.join(words)}")
    where = ", in SI units" if in_si else "; in SI units where none is said"
    return f"columns told from their names{where}: {'; '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    shown = [name for name in names if not name.isdecimal()] or list(names)
    more = f", … ({len(shown)} in all)" if len(shown) > _SHOWN else ""
    return (", ".join(shown[:_SHOWN]) + more) or "none"
