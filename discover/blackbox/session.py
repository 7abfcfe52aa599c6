"""The questions put to one model: where, how many, and the answers so far.

An `Interview` holds the respondent, the robot's tree, the region and the budget. Every probe asks
through it, so that the same answers serve all of them and the count is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.sampling import Batch
from discover.blackbox.support import Support
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many questions a stage may ask.

    screen   the first fit, that decides whether an exact law is at hand
    inside   answers in the region, for fitting; as many again are held out
    shell    answers in each shell and on each axis
    local    points at which finite differences are taken
    """

    screen: int
    inside: int
    shell: int
    local: int

    def times(self, factor: float) -> Budget:
        """More or fewer answers in the region and in the shells."""
        return replace(self, inside=round(factor * self.inside), shell=round(factor * self.shell))


BUDGETS = {
    "quick": Budget(screen=40, inside=100, shell=16, local=2),
    "standard": Budget(screen=50, inside=180, shell=16, local=1),
    "thorough": Budget(screen=50, inside=1000, shell=120, local=12),
}
AXES = ("joint", "q", "v", "tau")


@dataclass(kw_only=True)
class QuerySession:
    """One model under questioning.

    respondent  the model; robot, the tree it is held against; support, where it was trained
    seed        every set of questions draws from its own stream of this seed
    answers     what was asked so far, by the name of the set
    label_noise (nv,) standard deviation of the noise in the accelerations that the model was
                trained on, where it is known
    geometry_known  False where the robot's geometry was inferred and some of it is a guess: other
                guesses may have possible bodies where this one has none
    """

    blackbox: BlackBox
    robot: Robot
    support: Support
    budget: Budget
    seed: int
    answers: dict[str, Answers] = field(default_factory=dict)
    label_noise: Tensor | None = None
    geometry_known: bool = True

    def inside(self, name: str, n: int) -> Answers:
        """n questions inside the support, kept under `name`; only what is missing is asked."""

        def ask(stream: str, count: int) -> Answers:
            return self.blackbox.ask(*self.draw(stream, count))

        return self._grown(name, n, ask)

    def shell(self, axis: str, inner: float, outer: float, n: int) -> Answers:
        """n questions between `inner` and `outer` half-widths along an axis, kept as above.

        Far out a model may answer with NaN: such answers are kept, for they are answers.
        """

        def ask(stream: str, count: int) -> Answers:
            batch = self.support.shell(axis, inner, outer, count, self._stream(stream))
            return self.blackbox.ask(*batch, strict=False)

        return self._grown(f"{axis} {inner:g}-{outer:g}", n, ask)

    def _grown(self, name: str, n: int, ask: Callable[[str, int], Answers]) -> Answers:
        held = self.answers.get(name)
        if held is None:
            held = ask(name, n)
        elif len(held) < n:
            more = ask(f"{name} from {len(held)}", n - len(held))
            held = Answers.concat([held, more])
        self.answers[name] = held
        return held

    def draw(self, name: str, n: int) -> Batch:
        """n states of the support, not asked yet; the same name, the same states."""
        return self.support.inside(n, self._stream(name))

    def ask(self, q: Tensor, v: Tensor, tau: Tensor) -> Answers:
        """Questions of a probe's own, not kept."""
        return self.blackbox.ask(q, v, tau, strict=False)

    def move(self, q: Tensor, offset: Tensor) -> Tensor:
        """q moved by `offset` (…, nv) in the tangent space: for hinges, q + offset."""
        return kinematics.integrate(self.robot, q, offset, 1.0)

    def half_widths(self, group: str) -> Tensor:
        """Half-widths of the region in q, v or tau (nv,)."""
        return getattr(self.support.region, group).half_width

    def _stream(self, name: str) -> int:
        """A seed for one set of questions: the same name and seed, the same questions."""
        mix = torch.Generator().manual_seed(self.seed)
        base = int(torch.randint(0, 2**31 - 1, (1,), generator=mix))
        return (base + sum((i + 1) * ord(c) * 7919 for i, c in enumerate(name))) % (2**31 - 1)
