"""Regimes: parts of the state space, beyond a threshold of one scalar, where another force acts.

A joint beyond its limit, a body below the floor; a joint so slow that dry friction may hold it. A
smooth law holds on the other side of all thresholds; `SmoothPart` draws its questions there, and
answers whose step enters a regime are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.judgement.thresholds import threshold
from discover.records import Stored
from kinematics import Robot, difference, integrate


class Scalar(Protocol):
    """A function of the configuration that a threshold can be set on."""

    @property
    def name(self) -> str:
        """In words: "q[1] (elbow)", "height of foot"."""

    @property
    def entry(self) -> int | None:
        """The entry of q that it is; None where it is a function of several."""

    def __call__(self, q: Tensor) -> Tensor:
        """q (n, nq) -> (n,) [rad | m]."""


@dataclass(frozen=True, kw_only=True)
class Coordinate:
    """One entry of the configuration: an angle, a length, a component of a base's position."""

    entry: int
    name: str

    def __call__(self, q: Tensor) -> Tensor:
        return q[..., self.entry]


def coordinates(robot: Robot) -> list[Coordinate]:
    """The entries of q that are angles or lengths; not quaternions, nor mimic joints."""
    found = []
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        at = robot.q_slice(name)
        if kind == "spherical":
            continue
        if kind == "free":
            found += [
                Coordinate(entry=at.start + k, name=f"q[{at.start + k}] ({name}, {axis})")
                for k, axis in enumerate("xyz")
            ]
        else:
            found += [
                Coordinate(entry=k, name=f"q[{k}] ({name})") for k in range(at.start, at.stop)
            ]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Regime:
    """States in which `side` · scalar(q) exceeds `side` · threshold, and another force acts.

    scalar     what the threshold is set on
    side       +1: above the threshold, -1: below it
    threshold  where the force begins [rad | m]
    guard      how close to the threshold no question is put either, in the scalar's units
    share      of the states of the support that lie in it
    jumps      whether states there are followed by unrelated ones (resets), and no force acts
    described  the joint limit that the robot's description has there, if any
    """

    scalar: Scalar
    side: int
    threshold: float
    guard: float
    share: float = 0.0
    jumps: bool = False
    described: float | None = None

    def excess(self, q: Tensor) -> Tensor:
        """How far states lie beyond the threshold (n,), negative before it [rad | m]."""
        return self.side * (self.scalar(q) - self.threshold)

    @property
    def bound(self) -> float:
        """The last value at which questions are put."""
        return self.threshold - self.side * self.guard

    @property
    def place(self) -> tuple[str, int]:
        """What tells it from other regimes."""
        return self.scalar.name, self.side

    @property
    def extent(self) -> float:
        """The larger, the less is left of the support."""
        return -self.side * self.bound

    @property
    def summary(self) -> RegimeSummary:
        """What is stored and told of it."""
        return RegimeSummary(
            scalar=self.scalar.name,
            side="above" if self.side > 0 else "below",
            threshold=self.threshold,
            share=self.share,
            kind="reset" if self.jumps else "limit or contact",
            force="none" if self.jumps else "negative" if self.side > 0 else "positive",
            described=self.described,
        )


@dataclass(frozen=True, kw_only=True)
class Standstill:
    """Speeds of a joint below which dry friction may hold it: its force is then no function of the
    state, but what keeps the joint still, as far as its size goes.

    A soft constraint (MuJoCo's `frictionloss`) wants a joint at rest within some time T, and pulls
    against v + T a: it may hold a joint that would be slow before T is over, or turn round.

    entry, name  the entry of v, and in words, as "v[2] (hinge)"
    speed        [rad/s | m/s] below which no question is put, and no answer is the smooth law's
    ahead        T [s], from the start of a step
    share        of the answers in the support that dry friction may have held
    """

    entry: int
    name: str
    speed: float
    ahead: float = 0.0
    share: float = 0.0

    def slow(self, v: Tensor) -> Tensor:
        """Which states (n,) are too slow for a question, whatever their forces."""
        return v[..., self.entry].abs() <= self.speed

    def held(self, x: Answers) -> Tensor:
        """Which answers (n,) dry friction may have held."""
        return slowest_speed(x, self.entry, self.ahead) <= self.speed

    @property
    def place(self) -> tuple[str, int]:
        """What tells it from other regimes."""
        return self.name, 0

    @property
    def extent(self) -> float:
        """The larger, the less is left of the support."""
        return self.speed

    @property
    def summary(self) -> RegimeSummary:
        """What is stored and told of it."""
        speed = f"|{self.name}|"
        least = f"least {speed} within {1e3 * self.ahead:.3g} ms" if self.ahead else speed
        return RegimeSummary(
            scalar=least,
            side="below",
            threshold=self.speed,
            share=self.share,
            kind="dry friction",
            force="none",
        )


def slowest_speed(x: Answers, entry: int, ahead: float) -> Tensor:
    """The lowest |v + t a| (n,) of a velocity, t from 0 to `ahead` [s]: 0 where it changes sign."""
    first = x.v[:, entry]
    last = first + ahead * x.a[:, entry]
    speed = torch.minimum(first.abs(), last.abs())
    return torch.where(first * last <= 0, torch.zeros_like(speed), speed)


AnyRegime = Regime | Standstill


@dataclass(frozen=True, kw_only=True)
class RegimeSummary(Stored):
    """A regime in words and numbers.

    scalar     what its threshold is set on, as "q[1] (elbow)"
    side       "above" or "below" the threshold [rad | m]
    share      of the states of the region that lie in it
    kind       "limit or contact"; "reset": followed by unrelated states; "dry friction": it may
               hold the joint; "limit of the answers", or "of the controls": values beyond it are
               not given, or have no effect
    force      the sign of the force along the scalar: "positive", "negative" or "none"
    described  the joint limit that the robot's description has there, if any
    """

    scalar: str
    side: str
    threshold: float
    share: float
    kind: str
    force: str
    described: float | None = None

    def __str__(self) -> str:
        """In a sentence."""
        where = f"{self.scalar} {'>' if self.side == 'above' else '<'} {self.threshold:.4g}"
        if self.kind == "limit of the answers":
            bound = "more" if self.side == "above" else "less"
            return (
                f"Clipped answers: {self.scalar} is never {bound} than {self.threshold:.4g}, which "
                f"{self.share:.1%} of the answers in the region are exactly. The law is of the "
                "others."
            )
        if self.kind == "limit of the controls":
            return (
                f"Clipped controls: {where} has no further effect, in {self.share:.1%} of the "
                "states of the region. The law takes it as its limit."
            )
        if self.kind == "dry friction":
            return (
                f"Dry friction may hold a joint where {where}, in {self.share:.1%} of the states "
                "of the region. The law, in which it has its full size at any speed, and all "
                "numbers are of the other states."
            )
        what = (
            "states are followed by unrelated ones (a reset)"
            if self.kind == "reset"
            else f"a {self.force} force along it sets in (a limit or a contact)"
        )
        return (
            f"Another regime: where {where}{self._named}, {what}, in {self.share:.1%} of the "
            "states of the region. The law and all numbers are of the other states."
        )

    @property
    def _named(self) -> str:
        if self.described is None:
            return ""
        return f" (the joint limit of the description, {self.described:.4g})"


def placed(regimes: Sequence[AnyRegime]) -> list[Regime]:
    """Those of them that configurations lie in."""
    return [x for x in regimes if isinstance(x, Regime)]


def standstills(regimes: Sequence[AnyRegime]) -> list[Standstill]:
    """Those of them that velocities lie in."""
    return [x for x in regimes if isinstance(x, Standstill)]


def beyond(regimes: Sequence[AnyRegime], q: Tensor, guarded: bool = True) -> Tensor:
    """Which configurations lie in a regime (n,), or closer to it than its guard."""
    hit = torch.zeros(len(q), dtype=torch.bool)
    for regime in placed(regimes):
        hit |= regime.excess(q) > (-regime.guard if guarded else 0.0)
    return hit


def entered(regimes: Sequence[AnyRegime], robot: Robot, x: Answers, dt: float | None) -> Tensor:
    """Which answers (n,) start in a regime or enter it within their step."""
    hit = beyond(regimes, x.q)
    for still in standstills(regimes):
        hit |= still.slow(x.v) | still.held(x)
    if dt is not None and x.q_next is not None:
        hit |= beyond(regimes, integrate(robot, x.q, x.v, dt))
        finite = torch.isfinite(x.q_next).all(-1)
        hit |= beyond(regimes, torch.where(finite[:, None], x.q_next, x.q))
    return hit


def jumps(robot: Robot, x: Answers, dt: float) -> Tensor:
    """Which steps (n,) go further than any speed of theirs could carry them: no motion, but a
    reset."""
    assert x.q_next is not None
    assert x.v_next is not None
    way = difference(robot, x.q, x.q_next).abs()
    speed = torch.maximum(x.v.abs(), x.v_next.abs())
    typical = speed.median(0).values
    return (way > _FURTHER * dt * torch.maximum(speed, typical)).any(-1)


def unrelated(robot: Robot, x: Answers, dt: float, rows: Tensor) -> Tensor:
    """Which of the steps `rows` (n,) are resets: they end where a start is drawn, whatever was
    before.

    Where its speed leads to, such a step is no nearer than many others that have nothing to do with
    it; a body that a stop or the ground has thrown back is. Among steps that go further than any
    speed could carry them, most of which are resets, a reset that ends nearby is one as well.
    """
    assert x.q_next is not None
    at = rows.nonzero().flatten()
    if not len(at):
        return rows
    chart = robot.neutral().to(x.q_next).expand(len(x), -1)
    ends = difference(robot, chart, x.q_next)
    size = ends.std(0).clamp_min(1e-300)
    there = integrate(robot, x.q[at], x.v[at], dt)
    own = (difference(robot, there, x.q_next[at]) / size).square().sum(-1).sqrt()
    others = (ends / size)[:: max(1, len(ends) // _OTHERS)]
    apart = torch.cdist(difference(robot, chart[at], there) / size, others)
    alone = (apart < own[:, None]).double().mean(-1) > _UNRELATED
    far = jumps(robot, x, dt)[at]
    if float(alone[far].double().sum()) > 0.5 * float(far.sum()):
        alone |= far
    found = torch.zeros_like(rows)
    found[at[alone]] = True
    return found


def _within(
    x: Tensor, way: Tensor, low: float | None, high: float | None, generator: torch.Generator
) -> Tensor:
    """Values (n,), moved where they, or they and their way (n,), lie beyond an end."""
    over = torch.zeros(len(x), dtype=torch.bool)
    if high is not None:
        over |= torch.maximum(x, x + way) > high
    if low is not None:
        over |= torch.minimum(x, x + way) < low
    if low is not None and high is not None:
        bottom, top = low - way.clamp(max=0), high - way.clamp(min=0)
        unit = torch.rand(len(x), generator=generator, dtype=x.dtype)
        moved = bottom + unit * (top - bottom)
    elif high is not None:
        moved = 2 * high - x - 2 * way.clamp(min=0)
    else:
        assert low is not None
        moved = 2 * low - x - 2 * way.clamp(max=0)
    return torch.where(over, moved, x)


_FURTHER = threshold("regimes.jump")
_UNRELATED = threshold("regimes.unrelated")
_OTHERS = 2000  # recorded ends that those of candidates are compared with
_ROUNDS = 24  # in which states are drawn again where they lie in a regime
_SHORTER = 0.8  # of the free interval: the longest way of a step


@dataclass(frozen=True, kw_only=True)
class SmoothPart:
    """A support without its regimes.

    A speed at which dry friction may hold a joint is mirrored at its end. A coordinate that lies
    beyond its limit is mirrored at it, or, between two limits, drawn anew
    between them: along it there is no further out. So is a speed beyond the limit of the speeds
    that follow. Other states that lie in a regime are drawn again.
    """

    robot: Robot
    inner: Any  # the support
    regimes: tuple[AnyRegime, ...]
    bounds: tuple[tuple[str, int, int, float], ...] = ()  # of answers: output, entry, side, value
    dt: float | None = None

    @property
    def region(self) -> Region:
        """The box that spans the support, regimes included."""
        return self.inner.region

    def inside(self, n: int, seed: int) -> sampling.Batch:
        """n states of the support outside all regimes."""
        return self._drawn(n, seed, self.inner.inside)

    def shell(self, axis: str, inner: float, outer: float, n: int, seed: int) -> sampling.Batch:
        """The same between two distances, as far as the limits let coordinates go."""

        def draw(count: int, stream: int) -> sampling.Batch:
            return self.inner.shell(axis, inner, outer, count, stream)

        return self._drawn(n, seed, draw)

    def _drawn(
        self, n: int, seed: int, draw: Callable[[int, int], sampling.Batch]
    ) -> sampling.Batch:
        batch = self.folded(draw(n, seed), seed)
        for i in range(1, _ROUNDS):
            again = self._hit(batch)
            if not bool(again.any()):
                return batch
            fresh = self.folded(draw(n, seed + 7919 * i), seed + i)
            batch = sampling.Batch(
                *(torch.where(again[:, None], y, x) for x, y in zip(batch, fresh, strict=True))
            )
        rows = (~self._hit(batch)).nonzero().flatten()
        if not len(rows):
            return batch
        # The same states again, where no others were found.
        rows = rows[torch.arange(n) % len(rows)]
        return sampling.Batch(*(x[rows] for x in batch))

    def _hit(self, batch: sampling.Batch) -> Tensor:
        hit = beyond(self.regimes, batch.q)
        if self.dt is not None:
            hit |= beyond(self.regimes, integrate(self.robot, batch.q, batch.v, self.dt))
        return hit

    def folded(self, batch: sampling.Batch, seed: int) -> sampling.Batch:
        """Coordinates beyond their limits, or whose step leads there, moved before them."""
        generator = torch.Generator().manual_seed(seed % (2**31 - 1))
        q, v = batch.q.clone(), batch.v.clone()
        limits: dict[int, list[float | None]] = {}
        speeds: dict[int, list[float | None]] = {}
        for still in standstills(self.regimes):
            x = v[:, still.entry]
            faster = torch.where(x < 0, -1.0, 1.0) * (2 * still.speed - x.abs())
            v[:, still.entry] = torch.where(still.slow(v), faster, x)
        for regime in placed(self.regimes):
            if regime.scalar.entry is not None:
                ends = limits.setdefault(regime.scalar.entry, [None, None])
                ends[regime.side > 0] = regime.bound
        for output, entry, side, value in self.bounds:
            held = limits if output == "q_next" else speeds
            held.setdefault(entry, [None, None])[side > 0] = value
        for entry, (low, high) in speeds.items():
            no_way = torch.zeros(len(v), dtype=v.dtype)
            v[:, entry] = _within(v[:, entry], no_way, low, high, generator)
        for entry, (low, high) in limits.items():
            at = self._speed_of(entry)
            way = torch.zeros(len(q), dtype=q.dtype)
            if at is not None and self.dt is not None:
                if low is not None and high is not None:
                    most = _SHORTER * (high - low) / self.dt
                    v[:, at] = v[:, at].clamp(-most, most)
                way = self.dt * v[:, at]
            q[:, entry] = _within(q[:, entry], way, low, high, generator)
        return sampling.Batch(q, v, batch.tau)

    def _speed_of(self, entry: int) -> int | None:
        """The entry of v that is the rate of an entry of q; None on a free base."""
        for name, kind in zip(
            self.robot.independent_names, self.robot.independent_kinds, strict=True
        ):
            at = self.robot.q_slice(name)
            if at.start <= entry < at.stop:
                return None if kind in ("free", "spherical") else self.robot.v_slice(name).start
        return None
