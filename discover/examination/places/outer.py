"""Laws beyond a surface: what a model answers where the law of its region holds no more.

Each candidate is fitted to the answers that it describes best (least trimmed squares), for some of
them lie between the two laws. A constant is among them: a model that answers the same everywhere
out there has stopped, as a table does, and that is no second law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.examination.fits import MAX_TERMS
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import joint_terms, library
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.laws.search.selection import select

_KEPT = threshold("places.kept")
_PLAINER = threshold("places.plainer")
_ROUNDS = 4  # of trimming
_ROWS_A_NUMBER = 2.0  # answers for each number of a candidate
_LEVELS = [0.9 + 0.1 * i for i in range(17)]  # half-widths, at which a coordinate may stop
_SCANNED = 80  # answers on which that level is looked for
_FINER = (0.03, 0.01, 0.003, 0.001)  # steps about the best of them

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class OuterLaw:
    """A law of the answers beyond a surface.

    words     what kind of law
    predict   (q, v, tau) -> a
    error     on held-out answers beyond, the best of them (relative, see `row_errors`)
    constant  whether it answers the same to everything
    stopped   whether it is the law before it at states that stop somewhere
    """

    words: str
    predict: Predict
    error: float = torch.inf
    constant: bool = False
    stopped: bool = False


def row_errors(predict: Predict, x: Answers, scale: Tensor) -> Tensor:
    """Errors (n,), root mean squares over joints in units of `scale`, relative to answers that are
    larger than that; infinite where law or model are not finite."""
    off = ((x.a - predict(x.q, x.v, x.tau)) / scale).square().mean(-1).sqrt()
    size = (x.a / scale).square().mean(-1).sqrt().clamp_min(1.0)
    return torch.nan_to_num(off / size, nan=torch.inf, posinf=torch.inf)


def best_rms(rows: Tensor, share: float) -> float:
    """Root mean square of the best share of errors."""
    count = max(1, round(share * len(rows)))
    return float(rows.sort().values[:count].square().mean().sqrt())


def outer_law(
    session: QuerySession,
    inner: Fit,
    x: Answers,
    held_out: Answers,
    unit: Tensor,
    floor: float,
    enough: float,
    stopped: bool = True,
) -> OuterLaw:
    """The plainest law that describes the answers x beyond a surface about as well as any, or to
    `floor`; listed forces are looked for where none errs by less than `enough` on `held_out`. Both
    are in units (nv,) of `unit`, the spread of such answers.

    stopped  whether states that stop somewhere are tried, which takes as long as all the rest
    """

    def tested(law: OuterLaw) -> OuterLaw:
        return replace(law, error=best_rms(row_errors(law.predict, held_out, unit), _KEPT))

    found = [tested(law) for law in _candidates(session, inner, x, stopped)]
    if min(f.error for f in found) > enough:
        listed = _with_listed_terms(session, inner, x, held_out)
        found += [] if listed is None else [tested(listed)]
    least = min(f.error for f in found)
    return next(f for f in found if f.error <= max(_PLAINER * least, floor))


def _candidates(session: QuerySession, inner: Fit, x: Answers, stopped: bool) -> Iterator[OuterLaw]:
    """The candidates, the plainest first."""
    enough = len(x) / _ROWS_A_NUMBER
    yield _polynomial(session, x, inner.scale, 0)
    yield _factor(inner, x)
    if stopped:
        yield from _stopped(session, inner, x.evenly(_SCANNED))
    width = 3 * x.v.shape[-1]
    if enough >= width + 1:
        yield _polynomial(session, x, inner.scale, 1)
    family = Family.of(session.robot, joint_terms(session.robot))
    if enough * x.v.shape[-1] >= family.size:
        yield _of_bodies(_trimmed_fit(family, inner, x))
    if enough >= (width + 1) * (width + 2) / 2:
        yield _polynomial(session, x, inner.scale, 2)


def _trimmed(rows: Tensor) -> Tensor:
    """The best rows, `_KEPT` of them."""
    return rows.argsort()[: max(1, round(_KEPT * len(rows)))]


def _inputs(session: QuerySession, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Offsets of q from the neutral configuration, v and tau (n, 3 nv); the first two in
    half-widths."""
    neutral = session.robot.neutral().to(q).expand(len(q), -1)
    offset = kinematics.difference(session.robot, neutral, q)
    return torch.cat([offset / session.half_widths("q"), v / session.half_widths("v"), tau], -1)


def _polynomial(session: QuerySession, x: Answers, scale: Tensor, degree: int) -> OuterLaw:
    """Accelerations that are a polynomial in q, v and tau: of degree 0 a constant."""
    unit = _inputs(session, x.q, x.v, x.tau).abs().amax(0).clamp_min(1e-300)

    def columns(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        one = torch.ones(len(q), 1).to(q)
        z = torch.cat([one, _inputs(session, q, v, tau) / unit], -1)[:, : None if degree else 1]
        if degree < 2:
            return z
        i, j = torch.triu_indices(z.shape[1], z.shape[1])
        return z[:, i] * z[:, j]

    Z, y = columns(x.q, x.v, x.tau), x.a / scale
    size = y.square().mean(-1).sqrt().clamp_min(1.0)
    keep, b = torch.arange(len(x)), y[: Z.shape[1]]
    for _ in range(_ROUNDS):
        weighted = Z / size[:, None], y / size[:, None]
        b = torch.linalg.lstsq(*(w[keep] for w in weighted), driver="gelsd").solution
        keep = _trimmed((y - Z @ b).square().mean(-1).sqrt() / size)
    return OuterLaw(
        words=("a constant", "a law linear in q, v and tau", "a law quadratic in q, v and tau")[
            degree
        ],
        predict=lambda q, v, tau: scale * (columns(q, v, tau) @ b),
        constant=not degree,
    )


def _factor(inner: Fit, x: Answers) -> OuterLaw:
    """The law of the region times a number."""
    p, y = inner.predict(x.q, x.v, x.tau) / inner.scale, x.a / inner.scale
    size = y.square().mean(-1).sqrt().clamp_min(1.0)
    keep, factor = torch.arange(len(x)), 1.0
    p = torch.nan_to_num(p, nan=0.0, posinf=0.0, neginf=0.0)
    for _ in range(_ROUNDS):
        # Equal weights for relative errors.
        a, b = (p / size[:, None])[keep], (y / size[:, None])[keep]
        factor = float((a * b).sum() / a.square().sum().clamp_min(1e-300))
        keep = _trimmed((y - factor * p).square().mean(-1).sqrt() / size)
    return OuterLaw(
        words=f"{factor:.4g} times the accelerations of the law before it",
        predict=lambda q, v, tau: factor * inner.predict(q, v, tau),
        constant=abs(factor) < _NOTHING,
    )


def _stopped(session: QuerySession, inner: Fit, x: Answers) -> Iterator[OuterLaw]:
    """The law of the region at states whose coordinates stop at a level: all of a group, or one."""
    groups = ("q", "v") if session.controlled else ("q", "v", "tau")
    nv = x.v.shape[-1]
    places: list[tuple[str, int | None]] = [(g, None) for g in groups]
    if nv > 1:
        places += [(g, j) for g in groups for j in range(nv)]
    for group, joint in places:
        if session.half_widths(group).numel() not in (1, nv):
            continue
        stopped = _Stopped(session=session, inner=inner, group=group, joint=joint)

        def error(level: float, stopped: _Stopped = stopped) -> float:
            return best_rms(row_errors(stopped.at(level), x, inner.scale), _KEPT)

        best = min(_LEVELS, key=error)
        for step in _FINER:
            best = min((best + i * step for i in range(-3, 4)), key=error)
        where = group if joint is None else f"{group}[{joint}]"
        yield OuterLaw(
            words=f"the law before it, with {where} stopped at {best:.3g} half-widths",
            predict=stopped.at(best),
            stopped=True,
        )


@dataclass(frozen=True, kw_only=True)
class _Stopped:
    """A law at states of which one group, or one joint of it, stops at a level [half-widths]."""

    session: QuerySession
    inner: Fit
    group: str
    joint: int | None

    def at(self, level: float) -> Predict:
        """The law's predictions, stopped at `level`."""
        session, robot = self.session, self.session.robot
        side = getattr(session.support.region, self.group)

        def predict(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
            neutral = robot.neutral().to(q).expand(len(q), -1)
            moved = {"q": kinematics.difference(robot, neutral, q), "v": v, "tau": tau}
            x = moved[self.group]
            ends = (side.centre - level * side.half_width, side.centre + level * side.half_width)
            held = torch.maximum(torch.minimum(x, ends[1]), ends[0])
            if self.joint is not None:
                held = torch.where(torch.arange(x.shape[-1]) == self.joint, held, x)
            moved[self.group] = held
            back = kinematics.integrate(robot, neutral, moved["q"], 1.0)
            return self.inner.predict(back, moved["v"], moved["tau"])

        return predict


def _trimmed_fit(family: Family, inner: Fit, x: Answers) -> Fit:
    """The member of a family that is closest to the answers that it describes best."""
    law = fit(family, x, scale=inner.scale)
    for _ in range(_ROUNDS - 1):
        keep = _trimmed(row_errors(law.predict, x, inner.scale))
        law = fit(family, x[keep], scale=inner.scale, start=law.theta, alone=True)
    return law


def _of_bodies(law: Fit, among: str = "") -> OuterLaw:
    return OuterLaw(words="other bodies" + among, predict=law.predict)


def _with_listed_terms(
    session: QuerySession, inner: Fit, x: Answers, held_out: Answers
) -> OuterLaw | None:
    """Bodies and listed forces, on the answers that bodies describe best."""
    start = _trimmed_fit(inner.family, inner, x)
    near, tested = (s[_trimmed(row_errors(start.predict, s, inner.scale))] for s in (x, held_out))
    if len(near) * x.v.shape[-1] < _ROWS_A_NUMBER * start.family.size or not len(tested):
        return None
    law = select(start, near, tested, library(session.robot), floor=_FLOOR, limit=MAX_TERMS).fit
    names = ", ".join(t.name for t in law.family.terms)
    return _of_bodies(law, f" with {names}" if names else "")


_NOTHING = 1e-3  # a factor below it leaves nothing
_FLOOR = 1e-9  # standardised: rounding
