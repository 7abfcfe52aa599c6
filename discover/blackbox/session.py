"""A query session: the model, where it is queried, how often, and the answers so far.

Every stage and every probe queries the model through a `QuerySession`, so that the same answers
serve all of them and the count is right. A session is a value: another budget, or a model whose
queries have to be repeated, is another session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, BlackBox, Dynamics
from discover.blackbox.limits import Limit, at_limits, limits_of
from discover.blackbox.regimes import AnyRegime, SmoothPart, entered
from discover.blackbox.sampling import AXES, Batch
from discover.blackbox.support import Box, Support, in_joint_forces
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many states may be asked.

    screen   for the first fit, which decides whether a law is exact
    inside   in the region, for fitting; half as many more are held out
    shell    in each shell and on each axis
    local    states at which finite differences are taken
    """

    screen: int
    inside: int
    shell: int
    local: int

    def times(self, factor: float) -> Budget:
        """More or fewer answers in the region and in the shells."""
        return replace(self, inside=round(factor * self.inside), shell=round(factor * self.shell))


__all__ = ["AXES", "BUDGETS", "Budget", "QuerySession"]

_STATES = ("q_next", "v_next")  # outputs that are the state that follows
_NEARER, _NEAREST = 0.75, 8  # of the distance of a shell, so many times over
_ROUNDS = 5  # in which states are asked in the place of those whose step enters a regime

BUDGETS = {
    "quick": Budget(screen=40, inside=100, shell=16, local=2),
    "standard": Budget(screen=50, inside=180, shell=16, local=1),
    "thorough": Budget(screen=50, inside=1000, shell=120, local=12),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class QuerySession:
    """One model under examination.

    blackbox        the model; robot, the tree it is compared with; support, where it was trained
    seed            every set of queries draws from its own stream of this seed
    answers         the cache: answers so far, by the name of the set. The same name and the same
                    number of queries give the same states, so that sessions may share it
    spare           answers to states drawn in the support that no law was fitted to: they are taken
                    before the model is asked (`lend`)
    label_noise     (nv,) standard deviation of the noise in the accelerations that the model was
                    trained on [rad/s² | m/s²], where it is known
    training        the samples that the model was trained on, where they are known
    step            how accelerations make the steps of a model that answers with next states
                    (`laws.rigid_body.step_map.StepMap`), once it is found
    regimes         where another force acts: no questions are put there, and answers whose step
                    enters one are dropped
    limits          of answers and controls; answers at a limit are dropped, those of accelerations
                    in the region only: further out, where many are, a law is held to the limit
    geometry_known  False where the robot's geometry was inferred and some of it is a guess: other
                    guesses may have possible bodies where this one has none
    """

    blackbox: BlackBox
    robot: Robot
    support: Support
    budget: Budget
    seed: int
    answers: dict[str, Answers] = field(default_factory=dict)
    spare: list[Answers] = field(default_factory=list)
    label_noise: Tensor | None = None
    training: Answers | None = None
    step: Any = None
    regimes: tuple[AnyRegime, ...] = ()
    limits: tuple[Limit, ...] = ()
    geometry_known: bool = True

    def with_budget(self, budget: Budget) -> QuerySession:
        """The same session, answers included, with another budget."""
        return replace(self, budget=budget)

    def with_history(self, kind: str, settling: int) -> QuerySession:
        """A session in which every query is put `settling` times in a row (`BlackBox.history`);
        answers that were given otherwise are dropped."""
        return replace(
            self, blackbox=self.blackbox.with_history(kind, settling), answers={}, spare=[]
        )

    def without(
        self, regimes: tuple[AnyRegime, ...], limits: tuple[Limit, ...] | None = None
    ) -> QuerySession:
        """The session outside all regimes and limits of its support (limits: by default those it
        has); answers so far are dropped."""
        limits = self.limits if limits is None else limits
        inner = self.support.inner if isinstance(self.support, SmoothPart) else self.support
        bounds = tuple((x.output, x.entry, x.side, x.value) for x in limits_of(limits, *_STATES))
        part = SmoothPart(
            robot=self.robot, inner=inner, regimes=regimes, bounds=bounds, dt=self._dt
        )
        return replace(self, support=part, regimes=regimes, limits=limits, answers={}, spare=[])

    def of_law(self, law: Dynamics) -> QuerySession:
        """A session in which a law that agrees with the model to the last digit is queried in its
        place: queries of a law cost nothing."""
        model = self.blackbox
        support = self.support
        if model.actuation is not None:
            support = Box(robot=self.robot, region=in_joint_forces(support.region, model.actuation))
        return replace(
            self,
            blackbox=BlackBox(law, model.nq, model.nv),
            support=support,
            answers=dict(self.answers),
            spare=[],
        )

    @property
    def controlled(self) -> bool:
        """Whether the model is asked with controls that are not the joint forces."""
        return self.blackbox.actuation is not None

    def forced(self, batch: Batch) -> Batch:
        """The states of a batch with the joint forces that its controls make."""
        actuation = self.blackbox.actuation
        return batch if actuation is None else batch._replace(tau=actuation.forces(batch.tau))

    def inside(self, name: str, n: int) -> Answers:
        """Answers to n states of the support, cached under `name`; only missing ones are asked."""

        def ask(stream: str, count: int) -> Answers:
            return self.blackbox.ask(*self.draw(stream, count))

        asked = self._smooth(ask, (*_STATES, "a"))

        def lent_or_asked(stream: str, count: int) -> Answers:
            lent = self._lent(count)
            missing = count - sum(map(len, lent))
            return Answers.concat([*lent, asked(stream, missing)] if missing else lent)

        return self._grown(name, n, lent_or_asked)

    def lend(self, *names: str) -> None:
        """Let other sets take these sets' answers in place of asking, each answer once."""
        self.spare.extend(self.answers[n] for n in names if n in self.answers)

    def _lent(self, n: int) -> list[Answers]:
        """At most n spare answers, which are then spare no more."""
        lent: list[Answers] = []
        while self.spare and n:
            first = self.spare.pop(0)
            if len(first) > n:
                self.spare.insert(0, first[n:])
            lent.append(first[:n])
            n -= len(lent[-1])
        return lent

    def shell(self, axis: str, inner: float, outer: float, n: int) -> Answers:
        """Answers to n states between `inner` and `outer` half-widths along an axis, cached.

        Far out a model may answer with NaN: such answers are kept.
        """

        def asking(nearer: float) -> Callable[[str, int], Answers]:
            def ask(stream: str, count: int) -> Answers:
                seed = self._stream(stream)
                batch = self.support.shell(axis, nearer * inner, nearer * outer, count, seed)
                return self.blackbox.ask(*batch, strict=False)

            return ask

        # Where a limit leaves no answer that far out, the nearest that it leaves are taken.
        further = [asking(_NEARER**i) for i in range(1, _NEAREST)] if self.limits else []
        return self._grown(
            f"{axis} {inner:g}-{outer:g}", n, self._smooth(asking(1.0), _STATES, further)
        )

    def _smooth(
        self,
        ask: Callable[[str, int], Answers],
        outputs: tuple[str, ...],
        further: Sequence[Callable[[str, int], Answers]] = (),
    ) -> Callable[[str, int], Answers]:
        """`ask` without the answers whose step enters a regime, or that lie at a limit of the named
        outputs; others are asked in their place, a few times over, then by `further`."""
        if not self.regimes and not self.limits:
            return ask

        def asked(stream: str, count: int) -> Answers:
            kept: list[Answers] = []
            missing = count
            for i, again in enumerate([ask] * _ROUNDS + list(further)):
                answers = again(stream if not i else f"{stream}, again {i}", missing)
                good = ~(entered(self.regimes, self.robot, answers, self._dt))
                good &= ~at_limits(self.limits, answers, *outputs)
                if bool(good.any()):
                    kept.append(answers[good])
                missing = count - sum(map(len, kept))
                if not missing:
                    break
            return Answers.concat(kept) if kept else answers

        return asked

    def entered(self, answers: Answers) -> Tensor:
        """Which answers (n,) start in a regime, or enter one within their step, or lie at a limit
        of the state that follows."""
        hit = entered(self.regimes, self.robot, answers, self._dt)
        return hit | at_limits(self.limits, answers, *_STATES)

    def permitted(self, batch: Batch) -> Batch:
        """The states of a batch, coordinates that lie beyond a limit moved before it."""
        part = self.support
        return part.folded(batch, self.seed) if isinstance(part, SmoothPart) else batch

    @property
    def _dt(self) -> float | None:
        return self.blackbox.dt if self.blackbox.outputs == "next_state" else None

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
        """n states of the support, not asked: the same name, the same states."""
        return self.support.inside(n, self._stream(name))

    def ask(self, q: Tensor, v: Tensor, tau: Tensor) -> Answers:
        """Answers to the states of a probe, not cached; NaN where the model raises."""
        return self.blackbox.ask(q, v, tau, strict=False)

    def move(self, q: Tensor, offset: Tensor) -> Tensor:
        """q moved by `offset` (…, nv) in the tangent space: for hinges, q + offset."""
        return kinematics.integrate(self.robot, q, offset, 1.0)

    def half_widths(self, group: str) -> Tensor:
        """Half-widths of the region in q or v (nv,), or in tau (nv,) or the controls (nu,)."""
        return getattr(self.support.region, group).half_width

    def _stream(self, name: str) -> int:
        """The seed of one set of queries: the same name and seed, the same states."""
        mix = torch.Generator().manual_seed(self.seed)
        base = int(torch.randint(0, 2**31 - 1, (1,), generator=mix))
        return (base + sum((i + 1) * ord(c) * 7919 for i, c in enumerate(name))) % (2**31 - 1)
