"""Limits of a model that nobody declared: answers and controls that are clipped inside it.

A clipped answer repeats its extreme value to the last digit while all others differ. A lookup table
repeats many of its values, a resting joint all of them. A clipped control has no effect beyond one
value, whatever the state, and its full effect right before it: an actuator that saturates smoothly
has none there, a torque that fades with speed ends elsewhere in each state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.limits import SAME, AnswerLimit, ControlLimit, Limit, at_limits, limits_of
from discover.blackbox.sampling import Batch
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
_SCOUTS = whole("limits.scouts")
_AROUND = whole("limits.around")
_TOLD = whole("limits.told")
_FLAT = threshold("limits.flat")
_FULL = threshold("limits.full_effect")
_ONE_VALUE = threshold("limits.one_value")
_PRECISION = 4e-9  # half-widths, to which a limit of a control is located
_END = 0.9  # of FARTHEST: the answers there and at its end are compared
_BEFORE = 1e-3  # half-widths before a limit: where the control's effect is looked at

Way = tuple[int, int]  # (which control, +1 or -1: outward)


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
    scale = spread(screen.answers)
    known = session.without(session.regimes, (*session.limits, *answers)) if answers else session
    controls = clipped_controls(known, scale)
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
    of_answers = [x for x in limits if isinstance(x, AnswerLimit)]
    if of_answers:
        many = session.blackbox.ask(*session.draw("share of limits", _COUNTED))
        of_answers = [replace(x, share=float(x.met(many).double().mean())) for x in of_answers]
    of_controls = [x for x in limits if not isinstance(x, AnswerLimit)]
    limits = (*session.limits, *of_controls, *of_answers)
    return with_step(*screening(session.without(session.regimes, limits)), integrator, substeps)


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


def clipped_controls(session: QuerySession, scale: Tensor) -> tuple[ControlLimit, ...]:
    """The controls, or joint forces, that have no effect beyond a value, as far out as laws are
    tested; but for limits that the actuation has already.

    scale  (nv,) spread of the model's accelerations in the region

    A few states are followed out first: of most models their answers change to the end, or end at
    values far apart, and the others need not be asked.
    """
    nu = len(session.support.region.tau.low)
    start, same = session.draw("limits of controls", _STATES), _FLAT * scale
    found = dict.fromkeys(((j, side) for j in range(nu) for side in (1, -1)), torch.nan)
    for states, least in ((slice(_SCOUTS), 0), (slice(None), _TOLD)):
        outward = _Outward(session, Batch(*(x[states] for x in start)), same)
        found = outward.ends_of_effects(found, least)
        if not found:
            return ()
    limits = (_control_limit(session, j, side, at) for (j, side), at in found.items())
    return tuple(x for x in limits if x is not None)


@dataclass(frozen=True)
class _Outward:
    """States from which controls are followed outward, each along its own axis.

    start  the states; same (nv,), a change of the answers [rad/s² | m/s²] that is none
    """

    session: QuerySession
    start: Batch
    same: Tensor

    def ends_of_effects(self, about: Mapping[Way, float], least: int) -> dict[Way, float]:
        """The one value [half-widths] at which a control's effect ends in all states, for each of
        the ways that has one; NaN where no state tells.

        about  the ways, each with the value near which it ends in other states, or NaN
        least  so many states must tell of it
        """
        ways, near = list(about), torch.tensor(list(about.values()), dtype=torch.float64)
        shape = (len(ways), len(self.start.q))
        last = self._asked(ways, torch.full(shape, FARTHEST, dtype=torch.float64))
        ends = last.a.reshape(*shape, -1)
        # An answer at its own limit says nothing of the control's.
        told = ~at_limits(self.session.limits, last, "a", "q_next", "v_next").reshape(shape)
        low, high = near - 2 * _ONE_VALUE, near + 2 * _ONE_VALUE
        low = low.nan_to_num(-1.0)[:, None].expand(shape)
        high = high.nan_to_num(_END * FARTHEST)[:, None].expand(shape)
        before_end = self._answers(ways, torch.full_like(low, _END * FARTHEST))
        still = self._same(before_end, ends)
        open_ = (still | ~told).all(-1) & (told.sum(-1) >= least) & ~self._silent(ways, ends)
        precision = _ONE_VALUE / 4 if bool(near.isnan().any()) else _PRECISION
        ways, low, high, ends, told = _those(open_, ways, low, high, ends, told)
        if not ways:
            return {}
        low, high = self._by_slope(ways, low, high, ends, precision)
        open_ = torch.ones(len(ways), dtype=torch.bool)
        for _ in range(math.ceil(math.log2(float((high - low).max()) / precision))):
            # Where effects end at values far apart, as between the cells of a table, is no limit.
            nearest = high.masked_fill(~told, torch.inf).amin(-1)
            open_ &= low.masked_fill(~told, -torch.inf).amax(-1) - nearest <= _ONE_VALUE
            ways, low, high, ends, told = _those(open_, ways, low, high, ends, told)
            if not ways:
                return {}
            middle = 0.5 * (low + high)
            held = self._same(self._answers(ways, middle), ends)
            low, high = torch.where(held, low, middle), torch.where(held, middle, high)
            open_ = torch.ones(len(ways), dtype=torch.bool)
        abrupt = (self._abrupt(ways, low, high, ends) | ~told).all(-1)
        found = {}
        for way, row, tells, yes in zip(ways, high, told, abrupt.tolist(), strict=True):
            at = row[tells]
            if yes and (not len(at) or float(at.max() - at.min()) <= _ONE_VALUE):
                found[way] = float(at.mean())
        return found

    def _by_slope(
        self, ways: Sequence[Way], low: Tensor, high: Tensor, ends: Tensor, precision: float
    ) -> tuple[Tensor, Tensor]:
        """`low` and `high` (ways, states) about the value at which an answer reaches its end that
        is affine up to there, as accelerations are in forces; as they were where it is not."""
        step = (high - low) / 8
        first, second = self._answers(ways, low - step), self._answers(ways, low)
        slope = second - first  # a step's worth
        size = slope.square().sum(-1)
        steps = ((ends - second) * slope).sum(-1) / torch.where(size > 0, size, torch.ones(1))
        at = low + (steps * step).nan_to_num()
        at = at.clamp(low + precision, high - precision)
        before, behind = self._answers(ways, at - precision), self._answers(ways, at + precision)
        affine = ~self._same(before, ends) & self._same(behind, ends)
        return torch.where(affine, at - precision, low), torch.where(affine, at + precision, high)

    def _asked(self, ways: Sequence[Way], at: Tensor) -> Answers:
        """Answers with one control each at `at` (ways, states) half-widths, the others as drawn."""
        box, u = self.session.support.region.tau, self.start.tau.repeat(len(ways), 1, 1)
        for rows, (j, side), x in zip(u, ways, at, strict=True):
            rows[:, j] = box.centre[j] + side * x * box.half_width[j]
        q, v = (x.repeat(len(ways), 1) for x in (self.start.q, self.start.v))
        return self.session.ask(q, v, u.flatten(0, 1))

    def _answers(self, ways: Sequence[Way], at: Tensor) -> Tensor:
        """Their accelerations (ways, states, nv)."""
        return self._asked(ways, at).a.reshape(len(ways), len(self.start.q), -1)

    def _same(self, one: Tensor, other: Tensor) -> Tensor:
        """Which answers (…, nv) are the same but for rounding (…)."""
        return ((one - other).abs() <= self.same).all(-1)

    def _silent(self, ways: Sequence[Way], ends: Tensor) -> Tensor:
        """The ways (n,) that end in the answers in which the opposite ones end, too: out there the
        control has no effect, and had none if it acted within limits."""
        at = {way: i for i, way in enumerate(ways)}
        opposite = torch.tensor([at.get((j, -side), i) for i, (j, side) in enumerate(ways)])
        alone = opposite == torch.arange(len(ways))
        return self._same(ends, ends[opposite]).all(-1) & ~alone

    def _abrupt(self, ways: Sequence[Way], low: Tensor, high: Tensor, ends: Tensor) -> Tensor:
        """Whether the control's full effect sets in right before its limit: as far before it and
        twice as far, beside the effect further in (ways, states)."""
        before = [self._answers(ways, high - k * _BEFORE) for k in (1, 2)]
        once, twice = ((x - ends).abs().amax(-1) for x in before)
        further = [self._answers(ways, low - 0.5 - k * _BEFORE) for k in (0, 1)]
        full = (further[0] - further[1]).abs().amax(-1)
        moves = ~self._same(before[0], ends) & ~self._same(*further)
        return moves & (once > _FULL * full) & (twice > 2 * _FULL * full)


def _those(
    chosen: Tensor, ways: Sequence[Way], *values: Tensor
) -> tuple[list[Way], Tensor, Tensor, Tensor, Tensor]:
    """The chosen (n,) of the ways, and their rows of the values."""
    kept = [w for w, yes in zip(ways, chosen.tolist(), strict=True) if yes]
    low, high, ends, told = (x[chosen] for x in values)
    return kept, low, high, ends, told


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
