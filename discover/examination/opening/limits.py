"""Limits of a model that nobody declared: answers and controls that are clipped inside it.

A clipped answer repeats its extreme value to the last digit while all others differ. A lookup table
repeats many of its values, a resting joint all of them. A clipped control has no effect beyond one
value, whatever the state, and its full effect right before it: an actuator that saturates smoothly
has none there, a torque that fades with speed ends elsewhere in each state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.limits import SAME, AnswerLimit, ControlLimit, Limit, at_limits, limits_of
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.stepping import with_step
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.fit import spread
from discover.probes.reach import FARTHEST
from kinematics import Actuation, Robot

_REPEATS = whole("limits.repeats")
_OTHERS = whole("limits.others")
_DISTINCT = threshold("limits.distinct")
_COUNTED = whole("limits.counted")
_STATES = whole("limits.states")
_AROUND = whole("limits.around")
_TOLD = whole("limits.told")
_FLAT = threshold("limits.flat")
_FULL = threshold("limits.full_effect")
_ONE_VALUE = threshold("limits.one_value")
_HALVINGS = 30  # of the way from the centre of the controls to FARTHEST
_END = 0.9  # of FARTHEST: the answers there and at its end are compared
_BEFORE = 1e-3  # half-widths before a limit: where the control's effect is looked at


def with_limits(
    session: QuerySession,
    screen: Screen,
    integrator: str | None,
    substeps: int | None,
    *,
    lawful: bool,
) -> tuple[QuerySession, Screen] | None:
    """The session and first answers within all limits that the model shows, in the answers so far
    and along each control; None where these are none beside those that are known.

    integrator, substeps as in `with_step`; lawful, whether the first answers are those of a law to
    rounding: then more of them, further out, show where they are clipped.
    """
    if screen.history.kind is not None or screen.noise.random > 0:
        return None
    if lawful:
        session.shell("joint", 1.0, FARTHEST, _AROUND)
    answers = new_limits(session, session.answers.values())
    controls = clipped_controls(session.without(session.regimes, (*session.limits, *answers)))
    if not controls and not answers:
        return None
    if controls:
        session = _with_controls(session, controls)
    return within(session, (*controls, *answers), integrator, substeps)


def within(
    session: QuerySession,
    limits: tuple[Limit, ...],
    integrator: str | None,
    substeps: int | None,
) -> tuple[QuerySession, Screen]:
    """The session with these limits beside its own, and its first answers; of those of the answers
    with the share that they have in the region."""
    many = session.blackbox.ask(*session.draw("share of limits", _COUNTED))
    counted = tuple(
        replace(x, share=float(x.met(many).double().mean())) if isinstance(x, AnswerLimit) else x
        for x in limits
    )
    session = session.without(session.regimes, (*session.limits, *counted))
    return with_step(*screening(session), integrator, substeps)


def new_limits(session: QuerySession, sets: Iterable[Answers]) -> tuple[AnswerLimit, ...]:
    """The limits that these sets of answers show together, but for those that are known."""
    named = limits_of(session.limits, "a", "q_next", "v_next")
    known = {(x.output, x.entry, x.side) for x in named}
    found = clipped_answers(session.robot, Answers.concat(list(sets)))
    return tuple(x for x in found if (x.output, x.entry, x.side) not in known)


def clipped_answers(robot: Robot, x: Answers) -> tuple[AnswerLimit, ...]:
    """The limits that answers show by themselves; their share is not counted."""
    names = robot.independent_names
    columns: list[tuple[str, int, str, Tensor]] = []
    for name in names:
        if x.q_next is None or x.v_next is None:
            columns += [("a", j, name, x.a) for j in _entries(robot.v_slice(name))]
            continue
        columns += [("v_next", j, name, x.v_next) for j in _entries(robot.v_slice(name))]
        if robot.independent_kinds[names.index(name)] not in ("free", "spherical"):
            columns += [("q_next", j, name, x.q_next) for j in _entries(robot.q_slice(name))]
    return tuple(
        AnswerLimit(output=output, entry=j, name=name, side=side, value=side * value)
        for output, j, name, answers in columns
        for side in (1, -1)
        if (value := _repeated_extreme(side * answers[:, j])) is not None
    )


def _entries(at: slice) -> range:
    return range(at.start, at.stop)


def _repeated_extreme(y: Tensor) -> float | None:
    """The largest of the values (n,), where it alone is met again and again; else None."""
    y = y[torch.isfinite(y)]
    if not len(y):
        return None
    high, low = float(y.max()), float(y.min())
    same = SAME * max(abs(high), abs(low))
    if int((y >= high - same).sum()) < _REPEATS:
        return None
    rest = y[(y < high - same) & (y > low + same)].sort().values
    if len(rest) < _OTHERS:
        return None
    distinct = 1 + int((rest.diff() > same).sum())
    return high if distinct >= _DISTINCT * len(rest) else None


def clipped_controls(session: QuerySession) -> tuple[ControlLimit, ...]:
    """The controls, or joint forces, that have no effect beyond a value, as far out as laws are
    tested; but for limits that the actuation has already."""
    box = session.support.region.tau
    start, nu = session.draw("limits of controls", _STATES), len(box.low)
    ways = [(j, side) for j in range(nu) for side in (1, -1)]

    def asked(j: int, side: int, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = start.tau.clone()
        u[:, j] = box.centre[j] + side * at * box.half_width[j]
        return start.q, start.v, u

    def asked_at(of: list[tuple[int, int]], at: Tensor) -> Answers:
        states = [asked(j, side, x) for (j, side), x in zip(of, at, strict=True)]
        return session.ask(*(torch.cat(x) for x in zip(*states, strict=True)))

    def answers(of: list[tuple[int, int]], at: Tensor) -> Tensor:
        """(ways, states, nv) with each control at `at` (ways, states) half-widths."""
        return asked_at(of, at).a.reshape(len(of), _STATES, -1)

    def even(of: list, value: float) -> Tensor:
        return torch.full((len(of), _STATES), value, dtype=torch.float64)

    last = asked_at(ways, even(ways, FARTHEST))
    ends = last.a.reshape(len(ways), _STATES, -1)
    # An answer at its own limit says nothing of the control's.
    told = ~at_limits(session.limits, last, "a", "q_next", "v_next").reshape(len(ways), _STATES)
    near = answers(ways, even(ways, _END * FARTHEST))
    same = _FLAT * spread(session.inside("screen", session.budget.screen))
    still = ((ends - near).abs() <= same).all(-1)
    flat = (still | ~told).all(-1) & (told.sum(-1) >= _TOLD)
    ways = [w for w, yes in zip(ways, flat.tolist(), strict=True) if yes]
    if not ways:
        return ()
    ends, told = ends[flat], told[flat]
    low, high = even(ways, -1.0), even(ways, _END * FARTHEST)
    moves = (((answers(ways, low) - ends).abs() > same).any(-1) | ~told).all(-1)
    for _ in range(_HALVINGS):
        # Where effects end at values far apart, as between the cells of a table, is no limit.
        last_end = low.masked_fill(~told, -torch.inf).amax(-1)
        one = last_end - high.masked_fill(~told, torch.inf).amin(-1) <= _ONE_VALUE
        ways = [w for w, yes in zip(ways, one.tolist(), strict=True) if yes]
        if not ways:
            return ()
        low, high, ends, told, moves = (x[one] for x in (low, high, ends, told, moves))
        middle = 0.5 * (low + high)
        held = ((answers(ways, middle) - ends).abs() <= same).all(-1)
        low, high = torch.where(held, low, middle), torch.where(held, middle, high)
    # The control's full effect sets in right before the limit, as far before it and twice as far.
    ones = [(answers(ways, high - k * _BEFORE) - ends).abs().amax(-1) for k in (1, 2)]
    reference = (answers(ways, low - 0.5) - answers(ways, low - 0.5 - _BEFORE)).abs().amax(-1)
    full = (ones[0] > _FULL * reference) & (ones[1] > 2 * _FULL * reference)
    abrupt = (full | ~told).all(-1)
    at = [row[yes] for row, yes in zip(high, told, strict=True)]
    one_value = torch.tensor([float(x.max() - x.min()) <= _ONE_VALUE for x in at])
    return tuple(
        limit
        for (j, side), x, yes in zip(ways, at, moves & abrupt & one_value, strict=True)
        if yes and (limit := _control_limit(session, j, side, float(x.mean()))) is not None
    )


def _control_limit(session: QuerySession, j: int, side: int, at: float) -> ControlLimit | None:
    """The limit of control j at so many half-widths; None where the actuation has it."""
    actuation, box = session.blackbox.actuation, session.support.region.tau
    centre, half = float(box.centre[j]), float(box.half_width[j])
    value = centre + side * at * half
    if actuation is None:
        name, control = _joint_of(session.robot, j), "tau"
    else:
        name, control = actuation.names[j], "u"
        known = float((actuation.high if side > 0 else actuation.low)[j])
        if side * (value - known) >= -_ONE_VALUE * half:
            return None
    share = min(max((1.0 - at) / 2.0, 0.0), 1.0)
    return ControlLimit(control=control, entry=j, name=name, side=side, value=value, share=share)


def _joint_of(robot: Robot, j: int) -> str:
    """The joint that velocity coordinate j belongs to."""
    return next(n for n in robot.independent_names if j in _entries(robot.v_slice(n)))


def _with_controls(session: QuerySession, limits: tuple[ControlLimit, ...]) -> QuerySession:
    """The session whose controls, or joint forces, act within these limits."""
    actuation = session.blackbox.actuation
    if actuation is None:
        names = tuple(f"tau{j + 1}" for j in range(session.robot.nv))
        actuation = Actuation.of([1.0] * session.robot.nv, names=names)
    low, high = actuation.low.clone(), actuation.high.clone()
    for x in limits:
        (high if x.side > 0 else low)[x.entry] = x.value
    limited = replace(actuation, low=low, high=high)
    return replace(session, blackbox=session.blackbox.with_actuation(limited))
