"""A law's step between observations as one straight-line program.

Decoding, controls, step and encoding are traced together. An angle that the network sees as cosine
and sine is never computed: the sines and cosines that the step needs follow from those by addition
theorems.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.laws.export.step_program import joint_forces, substep_nodes, turned_nodes
from discover.laws.extensions import LawExtension
from discover.laws.rigid_body.step_map import StepMap
from discover.observations.action import ActionLayout
from discover.observations.layout import ObservationLayout
from discover.observations.readings import Constant, Line, Rate, Wave
from kinematics import Robot
from kinematics.programs import Graph, Program, make_program
from kinematics.programs.angles import Pair, with_angle_pairs

Nodes = np.ndarray
_SIMPLE = (Line, Wave, Rate, Constant)


def observed_step(
    robot: Robot,
    extensions: tuple[LawExtension, ...],
    step: StepMap,
    observation: ObservationLayout,
    predicts: ObservationLayout,
    action: ActionLayout,
) -> Program | None:
    """(observation, action) -> next observation; None where a coordinate is seen other than once,
    as itself or as cosine and sine, or moves freely in space."""
    readings = (*observation.readings, *predicts.readings)
    if robot.quaternion_slices or not all(isinstance(r, _SIMPLE) for r in readings):
        return None
    seen = _Seen.of(robot, observation)
    if seen is None:
        return None
    graph = Graph()
    ports = {
        "observation": graph.inputs("o", observation.size),
        "action": graph.inputs("a", action.size),
    }
    scale, offset = (
        np.concatenate([getattr(c, name) for c in observation.channels])
        for name in ("scale", "offset")
    )
    raw = (ports["observation"] - offset) / scale
    q, v = graph.inputs("q", robot.nq), seen.velocities(raw)
    start = q.copy()  # stand for angles until their sines and cosines are known
    for k, (place, line) in seen.lines.items():
        start[k] = raw[place] - line.offset
    u = np.array([graph.zero] * len(action.names), dtype=object)
    u[action.index] = (ports["action"] - action.offset.numpy()) / action.scale.numpy()
    tau = joint_forces(robot, graph, u)
    x = start, v
    for _ in range(step.substeps):
        x = substep_nodes(robot, extensions, step, graph, *x, tau)
    out = _encoded(graph, predicts, turned_nodes(step, x[0]), x[1])
    turned = sorted(seen.waves)
    pairs = [seen.pair(k, raw) for k in turned]
    out = with_angle_pairs(graph, out, [q[k] for k in turned], pairs)
    return make_program("observed", graph, ports, out)


class _Seen:
    """Where each coordinate stands in an observation."""

    def __init__(self) -> None:
        # the numbers' places beside what they say
        self.lines: dict[int, tuple[int, Line]] = {}
        self.waves: dict[int, list[tuple[int, Wave]]] = {}
        self.rates: list[tuple[int, Rate]] = []

    @classmethod
    def of(cls, robot: Robot, observation: ObservationLayout) -> _Seen | None:
        seen = cls()
        for place, reading in enumerate(observation.readings):
            if isinstance(reading, Rate):
                seen.rates.append((place, reading))
            elif isinstance(reading, Line | Wave):
                k = _single(reading.row)
                if k is None or (isinstance(reading, Line) and k in seen.lines):
                    return None
                if isinstance(reading, Line):
                    seen.lines[k] = place, reading
                else:
                    seen.waves.setdefault(k, []).append((place, reading))
        both = set(seen.lines) & set(seen.waves)
        whole = set(seen.lines) | set(seen.waves) == set(range(robot.nq))
        phased = all(len(places) == 2 for places in seen.waves.values())
        if both or not whole or not phased or len(seen.rates) != robot.nv:
            return None
        try:
            for k in seen.waves:
                np.linalg.inv(seen._phases(k))
            seen.inverse = np.linalg.inv(np.stack([rate.row for _, rate in seen.rates]))
        except np.linalg.LinAlgError:
            return None
        return seen

    inverse: np.ndarray

    def _phases(self, k: int) -> np.ndarray:
        phases = np.array([wave.offset for _, wave in self.waves[k]])
        return np.stack([np.cos(phases), -np.sin(phases)], axis=-1)

    def pair(self, k: int, raw: Nodes) -> Pair:
        """Cosine and sine of a coordinate, of length one whatever a network made of them."""
        c, s = _clean(np.linalg.inv(self._phases(k))) @ raw[[p for p, _ in self.waves[k]]]
        length = 1.0 / (c * c + s * s) ** 0.5
        return c * length, s * length

    def velocities(self, raw: Nodes) -> Nodes:
        offsets = np.array([rate.offset for _, rate in self.rates])
        out: Nodes = self.inverse @ (raw[[p for p, _ in self.rates]] - offsets)
        return out


def _single(row: np.ndarray) -> int | None:
    """The coordinate that a row is, if it is one by itself."""
    at = np.flatnonzero(row)
    return int(at[0]) if len(at) == 1 and row[at[0]] == 1.0 else None


def _encoded(graph: Graph, layout: ObservationLayout, q: Nodes, v: Nodes) -> Nodes:
    rows: list[Any] = []
    for reading in layout.readings:
        if isinstance(reading, Constant):
            rows.append(graph.const(reading.number))
        elif isinstance(reading, Rate):
            rows.append(reading.row @ v + reading.offset)
        elif isinstance(reading, Line):
            rows.append(reading.row @ q + reading.offset)
        elif isinstance(reading, Wave):
            rows.append(_wave(reading, q))
    ends = (
        np.concatenate([getattr(c, name) for c in layout.channels])
        for name in ("scale", "offset", "low", "high")
    )
    out = np.empty(len(rows), dtype=object)
    for n, (x, scale, offset, low, high) in enumerate(zip(rows, *ends, strict=True)):
        y = x * float(scale) + float(offset)
        y = graph.call2("max", y, graph.const(low)) if np.isfinite(low) else y
        out[n] = graph.call2("min", y, graph.const(high)) if np.isfinite(high) else y
    return out


def _wave(reading: Wave, q: Nodes) -> Any:
    """cos(angle + phase), of the angle's own cosine and sine."""
    angle = reading.row @ q
    cosine, sine = _clean(np.array([np.cos(reading.offset), -np.sin(reading.offset)]))
    return float(cosine) * angle.cos() + float(sine) * angle.sin()


def _clean(x: np.ndarray) -> np.ndarray:
    """Quarter turns to the last digit."""
    return np.where(np.abs(x - np.round(x)) < 1e-15, np.round(x), x)
