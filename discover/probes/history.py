"""History dependence: does an answer depend on the query before it?

A model with hidden state is no function of (q, v, tau). The same states are asked after other
states: what repeats in the same order, and not in another, is history and no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold

_FEW = 4  # states that tell whether answers repeat at all
_STATES = 8
# (rounds, times the variance of repeats that an effect must have): a look, and a second one
_LOOKS = ((1, threshold("probes.history_first")), (4, threshold("probes.history_confirmed")))
_SETTLING = (2, 6, 18)
_NO_BETTER = threshold("probes.history_not_settling")
_ROUNDING = 1e-5  # standardised: below this it is sums in another order


@dataclass(frozen=True, kw_only=True)
class History:
    """What the question before changes.

    by_row, by_call   root mean square change of the answers, in units of each joint's spread, when
                      the row before in the batch is another, and when the same row of the call
                      before is another; zero where nothing was seen
    """

    by_row: float = 0.0
    by_call: float = 0.0

    @property
    def kind(self) -> str | None:
        """Which question is remembered: that of the row before, of the call before, or none."""
        if max(self.by_row, self.by_call) == 0:
            return None
        return "row" if self.by_row >= self.by_call else "call"


def measure(session: QuerySession, answers: Answers, scale: Tensor) -> History:
    """Ask states of `answers` again, in their order and in another; little where all repeats."""
    few = answers[:_FEW]
    orders = torch.arange(len(few)), torch.arange(len(few) - 1, -1, -1)
    changes = [(_asked(session, few[order]) - few.a[order]) / scale for order in orders]
    if all(float(x.square().mean()) < _ROUNDING**2 for x in changes):
        return History()
    result = History()
    for rounds, above in _LOOKS:
        result = _look(session, answers[:_STATES], scale, rounds, above)
        if result.kind is None:
            break
    return result


def settled(session: QuerySession, kind: str, answers: Answers, scale: Tensor) -> QuerySession:
    """The session with every query repeated until its answer no longer changes.

    Two answers in a row after other queries are enough for a model that remembers one query; one
    that remembers its answers forgets little by little.
    """
    few = answers[:_FEW]
    for times in _SETTLING:
        repeated = session.with_history(kind, times)
        first = _asked(repeated, few)
        turned = few[torch.arange(len(few) - 1, -1, -1)]
        change = (_asked(repeated, turned).flip(0) - first) / scale
        size = float(change.square().mean().sqrt())
        if times == _SETTLING[0]:
            start = size
        # Noise does not become less by asking again.
        if size < _ROUNDING or (times > _SETTLING[0] and size > _NO_BETTER * start):
            break
    if size > _ROUNDING and size > _NO_BETTER * start:
        repeated = session.with_history(kind, _SETTLING[0])
    return repeated


def _look(session: QuerySession, x: Answers, scale: Tensor, rounds: int, above: float) -> History:
    n = len(x)
    generator = torch.Generator().manual_seed(session.seed + 59)
    _asked(session, x)
    repeats = torch.stack([_asked(session, x) for _ in range(rounds + 1)])  # each after itself
    base, noise = repeats.mean(0), float((repeats.var(0) / scale.square()).mean())
    others = session.draw("questions before", rounds * n)
    calls, rows = [], []
    for k in range(rounds):
        session.ask(*(t[k * n : (k + 1) * n] for t in others))
        calls.append(_asked(session, x) - base)
        order = torch.randperm(n, generator=generator)
        _asked(session, x[order])
        rows.append(_asked(session, x[order]) - base[order])
    expected = noise * (1.0 + 1.0 / (rounds + 1))
    return History(
        by_row=_beyond(rows, scale, expected, above), by_call=_beyond(calls, scale, expected, above)
    )


def _asked(session: QuerySession, x: Answers) -> Tensor:
    return session.ask(x.q, x.v, x.commands).a


def _beyond(changes: list[Tensor], scale: Tensor, expected: float, above: float) -> float:
    """The size of the changes beyond what noise makes; zero where they are no larger."""
    size = float((torch.stack(changes) / scale).square().mean())
    if not size > max(above * expected, _ROUNDING**2):
        return 0.0
    return (size - expected) ** 0.5
