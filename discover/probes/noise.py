"""The noise floor: how far repeated answers differ, and to which precision answers are given.

Measured before anything is classified. A model that repeats itself to the last bit is
deterministic; answers that are all float32 numbers, or lie on a grid, put a floor under every
residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold

_CHANGED = threshold("probes.batch_matters")
_ONCE = 4  # states asked a second time, to see whether answers repeat at all
_REPEATS = 6
_POINTS = 8
_CALLS = 4  # of the same batch, to see whether answers repeat from call to call
_PRECISION = {torch.bfloat16: 2**-9, torch.float16: 2**-11, torch.float32: 6e-8}
_JITTER = 1e-5  # standardised: a spread of repeated answers below this is rounding


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Sizes of a standardised residual below which it says nothing.

    random    spread of repeated answers, in units of each joint's spread in the region
    rounding  quantisation or float32 rounding of the answers, in the same units
    sigma     (nv,) the standard deviation of repeated answers, in the answers' own units
    labels    noise of the training labels, where it is known, in the same units as random
    by_batch  how much the answer to a state changes with the other states of its batch; zero where
              nothing beyond noise and rounding was seen
    """

    random: float
    rounding: float
    sigma: Tensor
    labels: float = 0.0
    by_batch: float = 0.0

    @property
    def own(self) -> float:
        """The larger of the floors of the model's own answers."""
        return max(self.random, self.rounding)

    @property
    def level(self) -> float:
        """The largest of all floors."""
        return max(self.own, self.labels)


def measure(session: QuerySession, inside: Answers, scale: Tensor) -> NoiseFloor:
    """The floor from repeats at a few states, the grid of the answers and their precision.

    inside  answers in the region; scale (nv,) their spread
    """
    rounding, labels = _rounding(inside, scale), _label_noise(session, scale)
    once = _change(session, inside[:_ONCE], scale)
    if once < _JITTER:
        # None, or sums in another order, as for another size of batch: precision, not noise.
        still, rounding = torch.zeros_like(scale), max(rounding, once)
        return NoiseFloor(random=0.0, rounding=rounding, sigma=still, labels=labels)
    few = inside[:_POINTS]
    answers = _repeated(session, few)
    sigma = answers.var(0).mean(0).sqrt()
    # Answered among other states before, without the spread of repeats in one call.
    expected = sigma / scale * (1 + 1 / _REPEATS) ** 0.5
    apart = _beyond((answers.mean(0) - few.a) / scale, expected, rounding)
    if apart > 0:
        calls = torch.stack([answers, *(_repeated(session, few) for _ in range(_CALLS - 1))])
        between = calls.mean(1).var(0).mean(0).sqrt()
        if _beyond((calls.mean(1).mean(0) - few.a) / scale, (between + sigma) / scale, rounding):
            return NoiseFloor(random=0.0, rounding=rounding, sigma=0 * scale, by_batch=apart)
        sigma = calls.flatten(0, 1).var(0).mean(0).sqrt()
    random = float((sigma / scale).square().mean().sqrt())
    if random < _JITTER:
        still = torch.zeros_like(scale)
        return NoiseFloor(random=0.0, rounding=max(rounding, random), sigma=still, labels=labels)
    return NoiseFloor(random=random, rounding=rounding, sigma=sigma, labels=labels)


def _repeated(session: QuerySession, few: Answers) -> Tensor:
    """Answers to the same states several times over, in one call: (_REPEATS, n, nv)."""
    states = (x.repeat(_REPEATS, 1) for x in (few.q, few.v, few.commands))
    return session.ask(*states).a.reshape(_REPEATS, len(few), -1)


def _beyond(change: Tensor, expected: Tensor, rounding: float) -> float:
    """The size of a standardised change of answers, zero where `expected` (nv,) or rounding makes
    as much."""
    size = float(change.square().mean().sqrt())
    noise = float(expected.square().mean().sqrt())
    return size if size > max(_CHANGED * noise, 3 * rounding, _JITTER) else 0.0


def _label_noise(session: QuerySession, scale: Tensor) -> float:
    """The known noise of the training labels, standardised; zero where it is unknown."""
    if session.label_noise is None:
        return 0.0
    return float((session.label_noise / scale).square().mean().sqrt())


def _change(session: QuerySession, few: Answers, scale: Tensor) -> float:
    """The standardised size of what a second question changes in a few answers; zero in none."""
    again = session.ask(few.q, few.v, few.commands)
    return float(((again.a - few.a) / scale).square().mean().sqrt())


def _rounding(inside: Answers, scale: Tensor) -> float:
    """The standardised rounding of the answers, zero for full float64."""
    observed = inside.a if inside.v_next is None else inside.v_next
    step = _grid(observed)
    if step is not None:
        unit = step if inside.v_next is None else step * _amplification(inside)
        return float((unit / 12**0.5 / scale).square().mean().sqrt())
    precision = _precision(observed)
    if precision is not None:
        unit = observed.abs().mean(0) * precision
        if inside.v_next is not None:
            unit = unit * _amplification(inside)
        # Such a program rounds at every operation, not only at its output.
        return float(10 * (unit / scale).square().mean().sqrt())
    return 0.0


def _precision(observed: Tensor) -> float | None:
    """Half a unit in the last place of the shortest floating-point format that holds all answers,
    relative; None where only float64 does."""
    for dtype, precision in _PRECISION.items():
        if torch.equal(observed, observed.to(dtype).double()):
            return precision
    return None


def _amplification(inside: Answers) -> float:
    """1 / dt, recovered from a = (v' - v) / dt."""
    assert inside.v_next is not None
    change = (inside.v_next - inside.v).abs().amax()
    return float(inside.a.abs().amax() / change) if change > 0 else 1.0


def _grid(answers: Tensor) -> Tensor | None:
    """The spacing (nv,) if every joint's answers sit on a coarse uniform grid, else None."""
    steps = []
    for column in answers.T:
        values = torch.unique(column)
        gaps = values.diff()
        if len(gaps) < 2:
            return None
        step = gaps.min()
        spread = values[-1] - values[0]
        # Hundreds of values must be integer multiples of a step that is not mere rounding.
        if step < 1e-5 * spread:
            return None
        ratio = gaps / step
        if float((ratio - ratio.round()).abs().max()) > 1e-3:
            return None
        steps.append(step)
    return torch.stack(steps)
