"""The layout of an observation: from a state to the numbers that a network sees, and back.

Back, a state is predicted first (from the state before, by its velocity, or as declared) and then
corrected by the smallest change that agrees with the numbers. So angles that only show as cosine
and sine stay on their turn, and what is not observed goes on as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.errors import ModelError
from discover.observations.channels import Channel, channel
from discover.observations.determination import Determination
from discover.observations.readings import Filled, Part, View
from kinematics import Robot

State = tuple[Tensor, Tensor]


class ObservationLayout:
    """An ordered list of channels over a robot's state.

    channels     as written by a user (see `channels`), or one of them
    unobserved   a value for what the channels do not show: {"rootx": 0.0, "v(rootx)": 0.0}; of a
                 free joint its seven numbers. By default positions are the neutral ones.

    `observe(q, v)` gives (…, size); `state(observation)` gives (q, v). `undetermined` lists what
    the observation leaves open. Raises ModelError, one line.
    """

    def __init__(
        self,
        robot: Robot,
        channels: Any,
        *,
        unobserved: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(channels, str | Mapping):
            channels = [channels]
        if not isinstance(channels, Sequence) or not channels:
            raise ModelError(
                f"observation: expected a list of channels, found {channels!r}; write "
                '["cos", "sin", "v"]'
            )
        self.robot = robot
        self.channels: tuple[Channel, ...] = tuple(channel(robot, given) for given in channels)
        self.readings = tuple(r for c in self.channels for r in c.readings)
        self.size = len(self.readings)
        self.labels = tuple(r.label for r in self.readings)
        self._scale, self._offset, self._low, self._high = (
            torch.as_tensor(np.concatenate([getattr(c, name) for c in self.channels]))
            for name in ("scale", "offset", "low", "high")
        )
        self._groups = _grouped(self.readings)
        self.determination = Determination(robot, self.readings)
        self.unobserved = dict(unobserved or {})
        self._home = self._declared_state()
        self.undetermined = self.determination.undetermined
        self.velocities_missing = tuple(
            what
            for what, places in self.determination.missing_v.items()
            if not all(k in self._declared_v for k in places)
        )

    def __repr__(self) -> str:
        shown = ", ".join(self.labels[:8]) + (", …" if self.size > 8 else "")
        return f"ObservationLayout({self.size} numbers: {shown})"

    @property
    def notes(self) -> list[str]:
        """What the observation does not say, a line each."""
        lines = []
        if self.undetermined:
            lines.append(
                f"the observation does not determine {', '.join(self.undetermined)}: over a step "
                "it goes on by its velocity, elsewhere it is taken as declared or neutral"
            )
        cut = [
            label
            for label, low, high in zip(self.labels, self._low, self._high, strict=True)
            if bool(low.isfinite() | high.isfinite())
        ]
        if cut:
            limits = torch.maximum(self._low.abs(), self._high.abs())
            at = limits[limits.isfinite()].min()
            lines.append(
                f"{len(cut)} observed numbers are clipped ({', '.join(cut[:3])}"
                f"{', …' if len(cut) > 3 else ''}, from {at:g} on): the network has seen nothing "
                "beyond; keep the region within"
            )
        filled = sum(isinstance(r, Filled) for r in self.readings)
        if filled:
            lines.append(f"{filled} of {self.size} observed numbers are filled by a function")
        return lines

    def declaration(self) -> list[dict[str, Any]]:
        """The channels as mappings, which `ObservationLayout` reads again."""
        return [dict(c.declared) for c in self.channels]

    # ---- from states to observations ----------------------------------------------------------

    def observe(self, q: Any, v: Any, *, clip: bool = True) -> Tensor:
        """The observation (…, size) of q (…, nq), v (…, nv), in float64; clip=False as if numbers
        went on beyond their limits."""
        raw = self.raw(*self._checked(q, v))
        seen = raw * self._scale.to(raw) + self._offset.to(raw)
        if not clip:
            return seen
        return torch.minimum(torch.maximum(seen, self._low.to(raw)), self._high.to(raw))

    def raw(self, q: Tensor, v: Tensor) -> Tensor:
        """The observed numbers (…, size) before scaling and clipping."""
        view = View(self.robot, q, v)
        out = q.new_empty(*q.shape[:-1], self.size)
        for kind, places in self._groups:
            rows = [self.readings[k] for k in places]
            out[..., places] = kind.values(rows, view)
        return out

    def _checked(self, q: Any, v: Any) -> State:
        q, v = (torch.as_tensor(x).to(torch.float64) for x in (q, v))
        for name, x, n in (("q", q, self.robot.nq), ("v", v, self.robot.nv)):
            if x.shape[-1:] != (n,):
                raise ModelError(
                    f"{name}: expected last axis {n} (that of {self.robot.name}), found shape "
                    f"{tuple(x.shape)}"
                )
        batch = np.broadcast_shapes(q.shape[:-1], v.shape[:-1])
        return q.expand(*batch, q.shape[-1]), v.expand(*batch, v.shape[-1])

    # ---- from observations to states ----------------------------------------------------------

    def state(
        self,
        observation: Any,
        before: tuple[Any, Any] | None = None,
        dt: float | None = None,
        share: float = 0.5,
    ) -> State:
        """The state q (…, nq), v (…, nv) that an observation (…, size) shows.

        before, dt: the state dt seconds earlier, where there is one; then what is not observed goes
        on from it by the velocity v + share·(v_next - v): a half for smooth motion, (n + 1)/(2 n)
        for n semi-implicit Euler steps. Numbers beyond their clipping are taken as they are.
        """
        y = torch.as_tensor(observation).to(torch.float64)
        if y.shape[-1:] != (self.size,):
            raise ModelError(
                f"observation: expected {self.size} numbers, found shape {tuple(y.shape)}"
            )
        raw = (y - self._offset.to(y)) / self._scale.to(y)
        know = self.determination
        if before is None:
            q, v = (x.to(y).expand(*y.shape[:-1], -1) for x in self._home)
            q = know.configuration(raw, q, principal=True)
            return q, know.velocity(raw, q, v)
        if dt is None:
            raise ModelError("observation: the state before needs the step dt between the two")
        q0, v0 = self._checked(*before)
        v = know.velocity(raw, q0, v0)
        q = q0
        for _ in range(1 if know.orientations_known else 2):
            predicted = kinematics.integrate(self.robot, q0, v0 + share * (v - v0), dt)
            q = know.configuration(raw, predicted)
            v = know.velocity(raw, q, v0)
        if know.missing_v:
            moved = kinematics.difference(self.robot, q0, q) / dt
            seen = torch.as_tensor(know.q_seen_of_v).to(y.device)
            open_ = torch.as_tensor(know.v_open).to(y.device)
            v = torch.where(open_ & seen, moved, v)
        return q, v

    def _declared_state(self) -> State:
        """The neutral state with the declared values of what is not observed."""
        robot = self.robot
        q = robot.neutral().detach().cpu().to(torch.float64)
        v = torch.zeros(robot.nv, dtype=torch.float64)
        self._declared_v: set[int] = set()
        for name, value in self.unobserved.items():
            velocity = name.startswith("v(") and name.endswith(")")
            joint = name[2:-1] if velocity else name
            if joint not in robot.independent_names:
                raise ModelError(
                    f"unobserved: expected joints of {robot.name} or 'v(joint)', found '{name}'; "
                    f"they are {', '.join(robot.independent_names)}"
                )
            at = robot.v_slice(joint) if velocity else robot.q_slice(joint)
            target = v if velocity else q
            numbers = torch.as_tensor(value, dtype=torch.float64)
            if numbers.ndim > 1 or numbers.numel() not in (1, at.stop - at.start):
                raise ModelError(
                    f"unobserved.{name}: expected {at.stop - at.start} numbers, found {value!r}"
                )
            if not bool(numbers.isfinite().all()):
                raise ModelError(f"unobserved.{name}: expected finite numbers, found {value!r}")
            target[at] = numbers
            if velocity:
                self._declared_v |= set(range(at.start, at.stop))
        return q, v


def _grouped(readings: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """Places of the numbers by kind, each kind evaluated at once."""
    groups: dict[type, list[int]] = {}
    for k, reading in enumerate(readings):
        kind = Part if isinstance(reading, Part) else type(reading)
        groups.setdefault(kind, []).append(k)
    return list(groups.items())
