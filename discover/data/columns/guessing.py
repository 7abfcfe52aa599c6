"""What the columns of a log mean, told from their names: `q1`, `elbow_position`, `effort/wrist`.

What was told is always said; where names do not settle it, nothing is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discover.data.formats.registry import open_table
from discover.data.settings import Columns, LogLayout, Units
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
TIMES = ("time", "t", "timestamp", "timestamps", "stamp", "times", "clock", "seconds", "datetime")
TIME_UNITS = ("s", "ms", "us", "ns")
_SHOWN = 12  # columns that the refusal names


def guess(path: Path, robot: Robot | None = None) -> tuple[LogLayout, tuple[str, ...]]:
    """The layout of a file by the names of its columns, and a note that says so.

    Raises DatasetError where the names do not tell time, positions and joint forces of the same
    joints, and of all the robot's joints if there is a robot.
    """
    table, _ = open_table(path, "auto")
    names = list(table.columns)
    joints = [] if robot is None else list(robot.independent_names)
    groups = {what: _labelled(names, stems, joints) for what, stems in STEMS.items()}
    time, unit = _time(names)
    for by_label in groups["q"]:
        for forces in groups["tau"]:
            if set(forces) != set(by_label) or (joints and len(by_label) != len(joints)):
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
            return LogLayout(columns=columns, units=Units(time=unit)), (_note(columns),)
    raise DatasetError(
        f"recording {path}: expected columns whose names tell positions and joint forces"
        + (f" of {', '.join(joints)}" if joints else "")
        + f", found {_listed(names)}; say which is which in a file for --columns, such as "
        'columns = {time = "t", q = ["a"], tau = ["b"]}'
    )


def _labelled(
    names: Sequence[str], stems: Sequence[str], joints: Sequence[str]
) -> list[dict[str, str]]:
    """For each stem that occurs, its columns by joint: a number, a joint's name, or nothing."""
    found = []
    for stem in stems:
        by_label: dict[str, str] = {}
        for name in names:
            label = _label(name, stem, joints)
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
        if joint.lower() in low:
            rest = low.replace(joint.lower(), "", 1).strip(" _-./:[]()")
            if rest == stem:
                return joint
    if low == stem:
        return ""
    numbered = re.fullmatch(re.escape(stem) + r"[ _\-./:\[(]*(?:j|joint)?[ _]?(\d+)[\])]?", low)
    numbered = numbered or re.fullmatch(r"(?:j|joint)?[ _]?(\d+)[ _\-./:]" + re.escape(stem), low)
    if numbered:
        return numbered[1]
    named = re.fullmatch(re.escape(stem) + r"[/.:](.+)", low)
    return name[len(stem) + 1 :] if named and not joints else None


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


def _note(columns: Columns) -> str:
    parts = [f"time {columns.time}", f"q {', '.join(map(str, columns.q))}"]
    parts += [f"v {', '.join(map(str, columns.v))}"] if columns.v else []
    parts += [f"tau {', '.join(map(str, columns.tau))}"]
    return f"columns told from their names, in SI units: {'; '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    shown = [name for name in names if not name.isdecimal()] or list(names)
    more = f", … ({len(shown)} in all)" if len(shown) > _SHOWN else ""
    return (", ".join(shown[:_SHOWN]) + more) or "none"
