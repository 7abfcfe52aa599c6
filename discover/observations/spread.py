"""Ensembles of models, and whether what a model says of its own error is true: does its spread rise
where it departs from its law?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

import kinematics
from discover.blackbox.support import Box, Recorded
from discover.errors import ModelError
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.step_map import StepMap, advance
from kinematics import Robot, WorldlawError

SHELLS = ((0.0, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 3.0))
BINS = 10


class Ensemble:
    """Models of the same kind, (q, v, u) -> a or -> (q_next, v_next), that answer with their mean.

    robot: needed where steps turn bodies freely, whose orientations have no plain mean.
    Raises ModelError where the members differ in outputs or dt.
    """

    def __init__(self, members: Sequence[Callable], robot: Robot | None = None) -> None:
        if len(members) < 2:
            raise ModelError(f"expected at least two members, found {len(members)}")
        for name in ("outputs", "dt"):
            found = {getattr(m, name, None) for m in members}
            if len(found) > 1:
                raise ModelError(f"expected members of one {name}, found {sorted(map(str, found))}")
        self.members, self.robot = list(members), robot
        first = members[0]
        self.outputs = getattr(first, "outputs", "acceleration")
        self.dt = getattr(first, "dt", None)
        self.actuation = getattr(first, "actuation", None)
        self.substeps = getattr(first, "substeps", None)
        self.integrator = getattr(first, "integrator", None)
        self.name = f"ensemble of {len(members)}"

    def __call__(self, q: Any, v: Any, u: Any) -> Any:
        answers = [m(q, v, u) for m in self.members]
        if self.outputs == "acceleration":
            return torch.stack([torch.as_tensor(a) for a in answers]).mean(0)
        v_next = torch.stack([torch.as_tensor(a[1]) for a in answers]).mean(0)
        ends = [torch.as_tensor(a[0]) for a in answers]
        if self.robot is None:
            return torch.stack(ends).mean(0), v_next
        moves = torch.stack([kinematics.difference(self.robot, ends[0], end) for end in ends])
        return kinematics.integrate(self.robot, ends[0], moves.mean(0)), v_next

    def spread(self, q: Any, v: Any, u: Any) -> Tensor:
        """Standard deviation of the members' accelerations (…, nv) [rad/s² | m/s²]; of steps, that
        of the next velocities over dt."""
        answers = [m(q, v, u) for m in self.members]
        if self.outputs == "acceleration":
            return torch.stack([torch.as_tensor(a) for a in answers]).std(0)
        assert self.dt is not None  # next states have one
        return torch.stack([torch.as_tensor(a[1]) for a in answers]).std(0) / self.dt


@dataclass(frozen=True)
class SpreadRow:
    """One group of questions. spread and departure are root mean squares in units of the law's own
    accelerations inside; correlation is Spearman's within the group."""

    group: str
    questions: int
    spread: float
    departure: float
    correlation: float


@dataclass(frozen=True)
class SpreadReport:
    """Predicted spread against departure from the law.

    correlation  Spearman's, over all questions; inside: over those of the support alone
    rises        whether the spread can be taken for a warning (correlation above a fixed bound)
    by_distance  one row a distance from the support
    by_spread    one row a tenth of the questions, from the smallest spread to the largest
    """

    correlation: float
    inside: float
    rises: bool
    by_distance: tuple[SpreadRow, ...]
    by_spread: tuple[SpreadRow, ...]

    def __str__(self) -> str:
        first, last = self.by_distance[0], self.by_distance[-1]
        return (
            f"the spread {'rises' if self.rises else 'does not rise'} where the model departs from "
            f"its law (rank correlation {self.correlation:.2f}, inside {self.inside:.2f}); inside "
            f"spread {first.spread:.2g} for departure {first.departure:.2g}, at {last.group} "
            f"{last.spread:.2g} for {last.departure:.2g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON and figures."""
        return asdict(self)


def spread_against_departure(
    model: Any, law: Callable, support: Box | Recorded, *, n: int = 200, seed: int = 0
) -> SpreadReport:
    """How a model's spread goes with its departure from a law, inside a support and beyond.

    model    has `spread(q, v, u)` (…, nv): an Ensemble, an ObservedModel, an ensemble of ours
    law      (q, v, u) -> as the model answers; a law of accelerations (of joint forces, where the
             model has an actuation) is stepped by Runge–Kutta for a model of steps
    support  where questions are drawn: a Box or Recorded (blackbox.support)
    n        questions a distance. Raises ModelError for a model that says nothing of its error.
    """
    if not callable(getattr(model, "spread", None)):
        raise ModelError(
            f"expected a model with spread(q, v, u), found {type(model).__name__}; wrap a list of "
            "networks, or one with a variance head"
        )
    groups = []
    for k, (inner, outer) in enumerate(SHELLS):
        drawn = (
            support.inside(n, seed) if k == 0 else support.shell("joint", inner, outer, n, seed + k)
        )
        state = drawn[:3]
        own, lawful = (_acceleration(x, model, support.robot, state) for x in (model, law))
        groups.append((model.spread(*state), own - lawful, lawful))
    scale = groups[0][2].square().mean(0).sqrt().clamp_min(1e-12)
    spreads = [_size(s / scale) for s, _, _ in groups]
    departures = [_size(d / scale) for _, d, _ in groups]
    distances = tuple(
        _row("inside" if k == 0 else f"{inner:g}–{outer:g} half-widths", s, d)
        for k, ((inner, outer), s, d) in enumerate(zip(SHELLS, spreads, departures, strict=True))
    )
    s, d = np.concatenate(spreads), np.concatenate(departures)
    order = np.argsort(s)
    tenths = tuple(
        _row(f"tenth {k + 1}", s[rows], d[rows])
        for k, rows in enumerate(np.array_split(order, BINS))
    )
    correlation = _rank_correlation(s, d)
    return SpreadReport(
        correlation=correlation,
        inside=_rank_correlation(spreads[0], departures[0]),
        rises=correlation > threshold("observations.spread_rises"),
        by_distance=distances,
        by_spread=tenths,
    )


def _acceleration(answering: Callable, model: Any, robot: Robot, state: Any) -> Tensor:
    """Accelerations (n, nv); of steps, the change of velocity over dt."""
    q, v, u = state
    actuation = getattr(model, "actuation", None)
    law = answering is not model
    with torch.no_grad():
        if not law or _answers_steps(answering, q, v, u):
            answer = answering(q, v, u)
            if isinstance(answer, tuple | list):
                return (torch.as_tensor(answer[1]).to(v) - v) / model.dt
            return torch.as_tensor(answer).to(v)
        tau = u if actuation is None else actuation(q, v, u)
        if getattr(model, "outputs", "acceleration") == "acceleration":
            return torch.as_tensor(answering(q, v, tau)).to(v)
        step = StepMap(scheme="rk4", dt=model.dt, substeps=getattr(model, "substeps", None) or 1)
        return advance(step, robot, answering, q, v, tau)[1]


def _answers_steps(law: Callable, q: Tensor, v: Tensor, u: Tensor) -> bool:
    """Whether a law gives next states; one that takes joint forces may refuse the controls."""
    try:
        return isinstance(law(q[:1], v[:1], u[:1]), tuple | list)
    except (WorldlawError, RuntimeError, ValueError):
        return False


def _size(x: Tensor) -> np.ndarray:
    return np.asarray(x.square().mean(-1).sqrt().numpy())


def _row(group: str, spread: np.ndarray, departure: np.ndarray) -> SpreadRow:
    def rms(x: np.ndarray) -> float:
        return float(np.sqrt(np.mean(x**2)))

    return SpreadRow(
        group, len(spread), rms(spread), rms(departure), _rank_correlation(spread, departure)
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's; 0 where one of the two does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)
