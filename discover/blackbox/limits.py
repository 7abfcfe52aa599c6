"""Limits of a model: answers that are clipped at a value, and controls that are clipped inside it.

A limit is no force: it says what an answer cannot exceed, or from where on a control has no effect.
What lies within it is told from answers that lie at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.regimes import RegimeSummary

SAME = 1e-12  # relative: two answers that differ by less are one, but for rounding


class Limit(Protocol):
    """A limit of answers or controls."""

    @property
    def summary(self) -> RegimeSummary:
        """What is stored and told of it."""


@dataclass(frozen=True, kw_only=True)
class AnswerLimit:
    """A value that one of the model's answers does not exceed.

    output  "a", "v_next" or "q_next"; entry, its coordinate; name, that of the joint
    side    +1: not above the value, -1: not below it
    value   [rad/s² | m/s² of a, rad/s | m/s of v_next, rad | m of q_next]
    share   of the answers inside the region that lie at it
    """

    output: str
    entry: int
    name: str
    side: int
    value: float
    share: float = 0.0

    def met(self, x: Answers) -> Tensor:
        """Which answers (n,) lie at the limit."""
        y = getattr(x, self.output)[:, self.entry]
        return self.side * (y - self.value) >= -SAME * abs(self.value)

    @property
    def summary(self) -> RegimeSummary:
        """In words and numbers."""
        return RegimeSummary(
            scalar=f"{self.output}[{self.entry}] ({self.name})",
            side="above" if self.side > 0 else "below",
            threshold=self.value,
            share=self.share,
            kind="limit of the answers",
            force="none",
        )


@dataclass(frozen=True, kw_only=True)
class ControlLimit:
    """A value beyond which a control has no effect, whatever the state.

    control  "u" or, where the model takes joint forces, "tau"; entry and name, as above
    share    of the region's states whose control lies beyond it
    """

    control: str
    entry: int
    name: str
    side: int
    value: float
    share: float = 0.0

    @property
    def summary(self) -> RegimeSummary:
        """In words and numbers."""
        return RegimeSummary(
            scalar=f"{self.control}[{self.entry}] ({self.name})",
            side="above" if self.side > 0 else "below",
            threshold=self.value,
            share=self.share,
            kind="limit of the controls",
            force="none",
        )


def limits_of(limits: Sequence[Limit], *outputs: str) -> list[AnswerLimit]:
    """Those among them that are limits of the named outputs."""
    return [x for x in limits if isinstance(x, AnswerLimit) and x.output in outputs]


def at_limits(limits: Sequence[Limit], x: Answers, *outputs: str) -> Tensor:
    """Which answers (n,) lie at a limit of one of the named outputs."""
    hit = torch.zeros(len(x), dtype=torch.bool)
    for limit in limits_of(limits, *outputs):
        hit |= limit.met(x)
    return hit
