"""Laws of a part of the answers: bodies fitted to those that they describe best.

Least trimmed squares (Rousseeuw 1984): the fit to all answers, then again and again to the best
three fifths of them, at last to all that are described about as well. Where the others are wild the
first fit is nowhere near; then fits to a few answers each, many of them, show which agree to
rounding (random sample consensus, Fischler & Bolles 1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.regimes import Scalar, coordinates
from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, design_of, fit, spread
from discover.laws.rigid_body.step_search import described_law, described_step

_EXACT_SHARE = threshold("regimes.exact_share")
_LARGE = threshold("regimes.large")
_SMALL = threshold("regimes.small")
_KEPT = 0.6  # of the answers, in a trimmed fit
_ROUNDS = 8  # of trimming
_SETTLED = 0.98  # of the error before: trimming has settled
_MIDDLE = 0.8  # of the half-width of a coordinate's interval
_FLOOR = 1e-9  # standardised: residuals below it are rounding
ROUNDING = 1e-7  # standardised: what a law may leave of a step that springs make stiff
_ROWS_A_NUMBER = 3  # answers for each parameter of a fit
_TRIALS = 200  # fits to a few answers each: of answers of which a fifth are wild, all find the rest
_AGREED = 1e-6  # of a joint force: what few answers leave uncertain of the others


@dataclass(frozen=True, kw_only=True, eq=False)
class Trimmed:
    """Bodies and joint terms, fitted to the answers that they describe best.

    seen   the answers, of steps as accelerations in their middle or at their start
    rows   (n,) root mean square of each residual, standardised by the median of |a|
    whole  root mean square of all residuals of a fit to all
    level  residual of the answers that are described: their root mean square, at least `floor`
    large  (n,) which residuals are much larger
    """

    law: Fit
    asked: Answers
    seen: Answers
    rows: Tensor
    whole: float
    level: float
    large: Tensor


def trimmed(session: QuerySession, answers: Answers, floor: float) -> Trimmed:
    """The closest of a few fits: of accelerations at the start of a step or in its middle, trimmed
    from all answers or from those whose coordinates keep away from both ends."""
    views = [answers]
    if answers.q_next is not None and answers.v_next is not None:
        way = kinematics.difference(session.robot, answers.q, answers.q_next)
        middle = kinematics.integrate(session.robot, answers.q, way, 0.5)
        mean = 0.5 * (answers.v + answers.v_next)
        views = [
            Answers(q=q, v=v, tau=answers.tau, a=answers.a)
            for q, v in ((answers.q, answers.v), (middle, mean))
        ]
    family = Family.of(session.robot, joint_terms(session.robot))
    everywhere = torch.ones(len(answers), dtype=torch.bool)
    starts = [everywhere]
    middle_rows = _away_from_ends(session, answers)
    if int(middle_rows.sum()) * session.robot.nv >= _ROWS_A_NUMBER * family.size:
        starts.append(middle_rows)
    agreeing = None if answers.q_next is not None else consensus(family, answers, session.seed)
    if agreeing is not None:
        starts.append(agreeing)
    fits = [_fitted(family, answers, x, rows, floor) for x in views for rows in starts]
    described = _described(session, answers, floor)
    if described is not None:
        return described
    return min(fits, key=lambda t: t.level / max(t.whole, 1e-300))


def _described(session: QuerySession, answers: Answers, floor: float) -> Trimmed | None:
    """The law that the description states, through the step that it asks for, where that is exact
    on many of the answers; else None. Long steps of springs need it: their first answers show no
    acceleration."""
    dt = session.blackbox.dt
    step = None if answers.q_next is None or dt is None else described_step(session.robot, dt)
    if step is None:
        return None
    law = described_law(session.robot, step, spread(answers))
    rows = sizes(law, answers)
    exact = rows <= ROUNDING * (1.0 + floor / _FLOOR)
    if float(exact.double().mean()) < _EXACT_SHARE:
        return None
    level = max(float(rows[exact].square().mean().sqrt()), floor)
    return Trimmed(
        law=law,
        asked=answers,
        seen=answers,
        rows=rows,
        whole=float(rows.square().mean().sqrt()),
        level=level,
        large=~exact,
    )


def consensus(family: Family, x: Answers, seed: int) -> Tensor | None:
    """Which answers (n,) the bodies that just a few of them show describe to rounding; None where
    no such bodies describe many more than those few.

    In joint forces, in which bodies are linear. All are described: then that was plain before.
    """
    finite = torch.isfinite(x.a).all(-1)
    columns = design_of(family, x).columns(torch.where(finite[:, None], x.a, 0.0))
    n, nv, p = columns.shape
    few = p // nv + 2
    if few >= n:
        return None
    unit = columns.square().mean((0, 2)).sqrt().clamp_min(1e-300)
    rest, size = ((y / unit) for y in (x.tau - columns @ family.described, x.tau))
    columns = columns / unit[:, None]
    generator = torch.Generator().manual_seed(seed + 149)
    picks = torch.rand(_TRIALS, n, generator=generator).argsort(-1)[:, :few]
    trials = torch.linalg.lstsq(
        columns[picks].flatten(1, 2), rest[picks].flatten(1, 2).unsqueeze(-1), driver="gelsy"
    ).solution.squeeze(-1)
    left = (torch.einsum("njp,tp->tnj", columns, trials) - rest).abs().amax(-1)
    exact = (left <= _AGREED * size.abs().amax(-1).median()) & finite
    best = exact[exact.sum(-1).argmax()]
    many = int(best.sum()) * nv >= _ROWS_A_NUMBER * p
    many &= float(best.double().mean()) >= _EXACT_SHARE
    return best if many and not bool(best.all()) else None


def _away_from_ends(session: QuerySession, x: Answers) -> Tensor:
    """Which answers (n,) stay in the middle of every coordinate's interval."""
    found = torch.ones(len(x), dtype=torch.bool)
    for scalar in coordinates(session.robot):
        high, low = (values_of(session, x, scalar, side) for side in (1, -1))
        ends = scalar(x.q).min(), scalar(x.q).max()
        centre, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
        found &= (high - centre <= _MIDDLE * half) & (low + centre <= _MIDDLE * half)
    return found


def _fitted(family: Family, asked: Answers, seen: Answers, start: Tensor, floor: float) -> Trimmed:
    """Fitted to the rows `start` (n,), trimmed to the best of them, then to all that are described
    about as well."""
    size = seen.a[start].abs().median(0).values
    scale = torch.where(size > 0, size, torch.ones_like(size))
    law = fit(family, seen[start], scale=scale)
    rows = sizes(law, seen)
    whole, kept = float(rows.square().mean().sqrt()), round(_KEPT * int(start.sum()))
    outside = torch.where(start, 0.0, float("inf"))
    level = float("inf")
    for _ in range(_ROUNDS):
        best = (rows + outside).argsort()[:kept]
        closer = fit(family, seen[best], scale=scale, start=law.theta)
        now = sizes(closer, seen)
        error = float((now + outside).sort().values[:kept].square().mean().sqrt())
        if not error < level:
            break
        settled = error > _SETTLED * level or error <= floor
        law, rows, level = closer, now, error
        if settled:
            break
    level = max(level, floor)
    for _ in range(2):
        good = rows <= _LARGE * level
        closer = fit(family, seen[good], scale=scale, start=law.theta, alone=True)
        now = sizes(closer, seen)
        again = max(float(now[good].square().mean().sqrt()), floor)
        if again > 2 * level:
            break
        law, rows, level = closer, now, again
    return Trimmed(
        law=law,
        asked=asked,
        seen=seen,
        rows=rows,
        whole=whole,
        level=level,
        large=rows > large_from(rows, level),
    )


def large_from(rows: Tensor, level: float) -> float:
    """The residual from which one is large: many times the level, and not small beside others that
    are, for the step of an unknown integrator leaves more at high speed."""
    above = rows[rows > _LARGE * level]
    typical = float(above.square().mean().sqrt()) if len(above) else 0.0
    return max(_LARGE * level, _SMALL * typical)


def sizes(law: Fit, answers: Answers) -> Tensor:
    rows = law.residual(answers).square().mean(-1).sqrt()
    return torch.where(torch.isfinite(rows), rows, torch.full_like(rows, 1e12))


def values_of(session: QuerySession, x: Answers, scalar: Scalar, side: int) -> Tensor:
    """side · scalar (n,): the larger of a state and of where its speed takes it within a step."""
    values = side * scalar(x.q)
    dt = session.blackbox.dt
    if x.q_next is None or dt is None:
        return values
    ahead = side * scalar(kinematics.integrate(session.robot, x.q, x.v, dt))
    return torch.maximum(values, ahead)


def ahead_of(session: QuerySession, law: Trimmed, x: Answers) -> list[Tensor]:
    """The configurations (n, nq) that states come to within their step: by the law, and where it
    knows no step, by their speed alone; none of models of accelerations."""
    dt, step = session.blackbox.dt, law.law.step
    if x.q_next is None or dt is None:
        return []
    if step is not None:
        q = law.law.family.step(law.law.theta, x.q, x.v, x.tau, step)[0]
        return [torch.where(torch.isfinite(q).all(-1, keepdim=True), q, x.q)]
    a = law.law.acceleration(x.q, x.v, x.tau)
    a = torch.where(torch.isfinite(a), a, torch.zeros_like(a))
    return [kinematics.integrate(session.robot, x.q, x.v + dt * y, dt) for y in (0 * a, a)]


def reached(scalar: Scalar, side: int, q: Tensor, ahead: Sequence[Tensor]) -> Tensor:
    """side · scalar (n,), as far as a step comes without the regime's force: no less than where it
    meets that force."""
    return torch.stack([side * scalar(x) for x in (q, *ahead)]).amax(0)


def seen_as(session: QuerySession, law: Trimmed, asked: Answers) -> Answers:
    """The answers seen as those of the trimmed fit: at their start, or in their middle."""
    if asked.q_next is None or asked.v_next is None:
        return asked
    q, v = asked.q, asked.v
    if law.seen.q is not law.asked.q:
        way = kinematics.difference(session.robot, asked.q, asked.q_next)
        q = kinematics.integrate(session.robot, asked.q, way, 0.5)
        v = 0.5 * (asked.v + asked.v_next)
    return Answers(q=q, v=v, tau=asked.tau, a=asked.a)
