"""Bags of ROS 1 and ROS 2: `sensor_msgs/JointState` messages as columns, read by `rosbags`.

The package is pure Python and needs no ROS; it is imported when a bag is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from discover.data.formats.table import Dialect, Table

INSTALL = "pip install rosbags"
TYPE = "sensor_msgs/msg/JointState"
FIELDS = ("position", "velocity", "effort")


def read_bag(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """Columns `time` [s], `position/joint`, `velocity/joint` and `effort/joint` of one topic.

    time is the header's stamp, or where those are not set, when the message was recorded. Joints
    that are published in separate messages are interpolated onto the messages of the joints that
    come first among `wanted`. Raises ValueError where there is no such topic, or several.
    """
    states = _messages(path, dialect.topic)
    groups: dict[tuple[str, ...], list[tuple[int, Any]]] = {}
    for stamp, message in states:
        groups.setdefault(tuple(message.name), []).append((stamp, message))
    tables = [_columns(names, messages) for names, messages in groups.items()]
    return _joined(_merged(tables), wanted)


def _messages(path: Path, topic: str | None) -> list[tuple[int, Any]]:
    """The joint states of a topic with their stamps [ns], in the order of time."""
    try:
        highlevel, stores = import_module("rosbags.highlevel"), import_module("rosbags.typesys")
    except ImportError as error:
        raise ValueError(
            f"bags need the package rosbags, which is not installed: {INSTALL}"
        ) from error
    try:
        store = stores.get_typestore(stores.Stores.ROS2_HUMBLE)
        with highlevel.AnyReader([path], default_typestore=store) as reader:
            of_type = [c for c in reader.connections if c.msgtype == TYPE]
            topics = sorted({c.topic for c in of_type})
            chosen = _topic(topics, topic, sorted({c.topic for c in reader.connections}))
            states = []
            for connection, received, raw in reader.messages(
                connections=[c for c in of_type if c.topic == chosen]
            ):
                message = reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp
                ns = int(stamp.sec) * 10**9 + int(stamp.nanosec)
                states.append((ns or int(received), message))
    except ValueError:
        raise
    except Exception as error:  # rosbags raises classes of its own for damaged bags
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not states:
        raise ValueError(f"topic {chosen!r} holds no messages")
    return sorted(states, key=lambda state: state[0])


def _topic(topics: list[str], wish: str | None, every: list[str]) -> str:
    if wish is not None and wish not in topics:
        raise ValueError(
            f"expected a topic of {TYPE}, found {wish!r}; there are {', '.join(topics) or 'none'}"
        )
    if not topics:
        raise ValueError(f"expected a topic of {TYPE}, found {', '.join(every) or 'nothing'}")
    if wish is None and len(topics) > 1:
        raise ValueError(f"expected one topic of {TYPE}, found {', '.join(topics)}; name it: topic")
    return wish or topics[0]


def _columns(names: tuple[str, ...], messages: list[tuple[int, Any]]) -> dict[str, Any]:
    """The columns of messages that all name the same joints in the same order. Stamps [ns] are
    whole numbers, since a second of today needs more digits than a float has."""
    out: dict[str, Any] = {"stamp": np.array([stamp for stamp, _ in messages], dtype=np.int64)}
    for field in FIELDS:
        values = [np.asarray(getattr(message, field), dtype=float) for _, message in messages]
        if all(len(x) == len(names) for x in values) and names:
            matrix = np.stack(values)
            out |= {f"{field}/{name}": matrix[:, k] for k, name in enumerate(names)}
    return out


def _merged(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tables of the same columns as one: a publisher may change the order of its joints."""
    by_columns: dict[frozenset[str], list[dict[str, Any]]] = {}
    for table in tables:
        by_columns.setdefault(frozenset(table), []).append(table)
    merged = []
    for same in by_columns.values():
        whole = {key: np.concatenate([table[key] for table in same]) for key in same[0]}
        order = np.argsort(whole["stamp"], kind="stable")
        merged.append({key: values[order] for key, values in whole.items()})
    return merged


def _joined(tables: list[dict[str, Any]], wanted: Sequence[str]) -> Table:
    """All tables on the stamps of the one that holds the first wanted joint column."""
    joints = [name for name in wanted if name.split("/")[0] in FIELDS]
    first = next((t for name in joints for t in tables if name in t), tables[0])
    others = [t for t in tables if t is not first and (not joints or set(joints) & set(t))]
    low = max([t["stamp"][0] for t in (first, *others)])
    high = min([t["stamp"][-1] for t in (first, *others)])
    kept = (first["stamp"] >= low) & (first["stamp"] <= high)
    if not kept.any():
        raise ValueError("the joints' messages have no time in common")
    stamps = first["stamp"][kept]
    origin = stamps[0]
    columns: dict[str, Any] = {"time": (stamps - origin) * 1e-9}
    columns |= {key: values[kept] for key, values in first.items() if key != "stamp"}
    notes = ["time is the stamp of the messages"]
    for other in others:
        clock = (other["stamp"] - origin) * 1e-9
        for key, values in other.items():
            if key != "stamp" and key not in columns:
                columns[key] = np.interp(columns["time"], clock, values)
        held = sorted({key.split("/", 1)[1] for key in other if key != "stamp"})
        notes.append(f"{', '.join(held)} came in messages of their own and were interpolated")
    return Table(columns=columns, notes=tuple(notes))
