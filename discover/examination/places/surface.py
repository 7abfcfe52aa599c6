"""Surfaces between two laws: the one quantity whose level tells which of them a model follows.

Between a state that follows one law and a state that follows the other there is a crossing on the
straight line that joins them, found by bisection. A quantity that is the same at all crossings is
what the surface is a level of: a coordinate, the size of a group of them, a norm, the kinetic
energy. Which states lie beyond that level must then agree with which law they follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from operator import itemgetter

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import GROUPS, Batch
from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.fit import Fit

_ONE_LEVEL = threshold("places.one_level")
_SEPARABLE = threshold("places.separable")
_PAIRS, _HALVINGS = 20, 7  # crossings, and the queries that each takes
_FEWEST = 6  # crossings from which a level is read
_MIDDLE = 0.1  # of the quantiles of a quantity at the crossings, cut off on both sides
_AS_GOOD = 1.5  # times the least spread at the crossings: as good a level


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a surface may be a level of.

    name    in words, as "|v[2]|" or "size of v"
    groups  of q, v and tau, on which it depends
    unit    of its values
    values  answers -> (n,)
    """

    name: str
    groups: tuple[str, ...]
    unit: str
    values: Callable[[Answers], Tensor]


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A level of one quantity, beyond which another law holds.

    side    +1 where the other law holds above the level, -1 where below
    spread  of the quantity at the crossings, over its spread in all answers
    width   of the change from one law to the other, on the scale of the quantity: that of a
            logistic function; 0 where it is too sharp to be seen
    """

    quantity: Quantity
    level: float
    side: int
    spread: float
    width: float = 0.0

    def excess(self, x: Answers) -> Tensor:
        """How far beyond the surface states lie (n,), negative before it."""
        return self.side * (self.quantity.values(x) - self.level)

    def share(self, x: Answers) -> Tensor:
        """What of the other law the answers have (n,), from 0 to 1."""
        excess = self.excess(x)
        return torch.sigmoid(excess / self.width) if self.width else (excess > 0).to(excess)


def quantities(session: QuerySession, law: Fit) -> list[Quantity]:
    """All quantities that are tried, the plainest first. Of a model with controls they are those of
    q and v: its laws are of joint forces."""
    names, nv = session.robot.independent_names, session.robot.nv
    groups = GROUPS[:2] if session.controlled else GROUPS
    found = []

    def add(name: str, some: tuple[str, ...], measure: Callable[[Tensor], Tensor]) -> None:
        def values(x: Answers) -> Tensor:
            return measure(torch.cat(list(offsets(session, x, some).values()), -1))

        found.append(Quantity(name=name, groups=some, unit="half-widths", values=values))

    for group in groups:
        several = session.half_widths(group).numel()
        joints = several == len(names) == nv
        for j in range(several):
            called = f"{group}[{j}]" + (f" ({names[j]})" if joints else "")
            add(called, (group,), itemgetter((slice(None), j)))
            add(f"|{called}|", (group,), partial(_size_of_one, j))
    sets = [some for n in (1, 2, 3) for some in combinations(groups, n)]
    for some in sets:
        words = " and ".join(", ".join(some).rsplit(", ", 1))
        for label, measure in _SIZES.items():
            add(f"{label} of {words}", some, measure)

    def energy(x: Answers) -> Tensor:
        H, _ = law.family.inertia_and_bias(law.theta, x.q, 0 * x.v, 0 * x.tau)
        return 0.5 * torch.einsum("ni,nij,nj->n", x.v, H, x.v)

    def power(x: Answers) -> Tensor:
        return (x.tau * x.v).sum(-1)

    found.append(Quantity(name="kinetic energy", groups=("q", "v"), unit="J", values=energy))
    if not session.controlled:
        found.append(Quantity(name="power", groups=("v", "tau"), unit="W", values=power))
    return found


def _size_of_one(j: int, z: Tensor) -> Tensor:
    return z[:, j].abs()


_SIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "largest": lambda z: z.abs().amax(-1),
    "root mean square": lambda z: z.square().mean(-1).sqrt(),
    "sum of sizes": lambda z: z.abs().sum(-1),
}


def offsets(
    session: QuerySession, x: Answers, groups: tuple[str, ...] = GROUPS
) -> dict[str, Tensor]:
    """Where states lie about the region's centre, by group, in half-widths."""
    neutral = session.robot.neutral().to(x.q).expand(len(x.q), -1)
    moved = {"q": kinematics.difference(session.robot, neutral, x.q), "v": x.v, "tau": x.commands}
    sides = {g: getattr(session.support.region, g) for g in groups}
    return {g: (moved[g] - sides[g].centre) / sides[g].half_width for g in groups}


def crossings(
    session: QuerySession, first: Answers, second: Answers, beyond: Callable[[Answers], Tensor]
) -> tuple[Answers, Answers]:
    """(the answers at the crossings, all answers on the way there): on lines from states `first` to
    states `second`, between which `beyond` (answers -> (n,) bool) changes."""
    generator = torch.Generator().manual_seed(session.seed + 211)
    n = _PAIRS
    rows = [torch.randint(len(x), (n,), generator=generator) for x in (first, second)]
    starts, ends = (
        torch.cat(list(offsets(session, x[r]).values()), -1)
        for x, r in zip((first, second), rows, strict=True)
    )
    low, high = torch.zeros(n, 1).to(starts), torch.ones(n, 1).to(starts)
    asked = []
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        x = session.ask(*placed(session, starts + middle * (ends - starts)))
        asked.append(x)
        hit = beyond(x)[:, None]
        low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
    at = placed(session, starts + 0.5 * (low + high) * (ends - starts))
    forced = session.forced(at)
    blank = torch.full_like(at.v, torch.nan)
    u = at.tau if session.controlled else None
    return Answers(q=at.q, v=at.v, tau=forced.tau, a=blank, u=u), Answers.concat(asked)


def placed(session: QuerySession, z: Tensor) -> Batch:
    """The states at offsets (n, 2 nv + nu) from the region's centre, in half-widths."""
    nv = session.robot.nv
    region = session.support.region
    parts = dict(zip(GROUPS, (z[:, :nv], z[:, nv : 2 * nv], z[:, 2 * nv :]), strict=True))
    moved = {g: getattr(region, g).centre + getattr(region, g).half_width * parts[g] for g in parts}
    neutral = session.robot.neutral().to(z).expand(len(z), -1)
    q = kinematics.integrate(session.robot, neutral, moved["q"], 1.0)
    return Batch(q, moved["v"], moved["tau"])


def surface_of(
    candidates: list[Quantity], at: Answers, x: Answers, other: Tensor
) -> Surface | None:
    """The level of one quantity that is the same at all crossings `at`, and beyond which lie those
    of the answers x that follow the other law (`other` (n,)); None without one."""
    if len(at) < _FEWEST or not bool(other.any()) or bool(other.all()):
        return None
    found = []
    for quantity in candidates:
        here, all_ = quantity.values(at), quantity.values(x)
        ends = torch.quantile(here, torch.tensor([_MIDDLE, 1 - _MIDDLE]).to(here))
        spread = float((ends[1] - ends[0]) / all_.std().clamp_min(1e-300))
        level = float(here.median())
        side = 1 if float(all_[other].median()) > level else -1
        right = ((side * (all_ - level) > 0) == other).double().mean()
        if spread <= _ONE_LEVEL and float(right) >= _SEPARABLE:
            found.append(
                (float(right), Surface(quantity=quantity, level=level, side=side, spread=spread))
            )
    if not found:
        return None
    least = min(s.spread for _, s in found)
    good = [(r, s) for r, s in found if s.spread <= _AS_GOOD * least]
    best = max(r for r, _ in good)
    return next(s for r, s in good if r == best)


def width_of(surface: Surface, x: Answers, share: Tensor) -> tuple[float, float]:
    """(level, width) of the logistic change from one law to the other, from what of the other law
    the answers have (n,): where that is neither next to nothing nor next to all."""
    between = (share > _PARTLY) & (share < 1 - _PARTLY)
    if int(between.sum()) < _FEWEST:
        return surface.level, 0.0
    s, y = surface.excess(x)[between], torch.logit(share[between])
    # The width is regressed on the logit, of which outliers are few, by medians of slopes.
    ds, dy = s[:, None] - s[None], y[:, None] - y[None]
    apart = dy.abs() > 1.0
    if not bool(apart.any()):
        return surface.level, 0.0
    width = float((ds[apart] / dy[apart]).median())
    if width <= 0:
        return surface.level, 0.0
    shift = float((s - width * y).median())
    return surface.level + surface.side * shift, width


_PARTLY = 0.02  # of one law, in answers from which the change from one to the other is read
