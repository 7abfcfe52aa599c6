"""Regions that another force covers: contacts or limits nearly everywhere, no smooth part to judge.

Where next to no answer of a region is a law's, no fit can find one there, and what contacts answer
looks like a table. But a simulator goes on being the law of its description where nothing touches:
in few states of the region, or beside it. By chance no answer is that to rounding, so a few show
it. Needs a description whose parameters are right, and of steps one that says how they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.regimes import Coordinate, coordinates
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen
from discover.examination.opening.trimmed import ROUNDING, sizes
from discover.examination.outcome import Outcome
from discover.examination.result import Resolution
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.step_map import StepMap, scheme_named
from discover.laws.rigid_body.step_search import described_law, described_step
from discover.probes.reach import curves, relative

_EXACT_SHARE = threshold("regimes.exact_share")
_NOTHING = threshold("examination.law_kept")
_STATES = whole("regimes.states")
_FEWEST = whole("regimes.fewest")
_SCOUTS = whole("regimes.scouts")
_FURTHER = 32  # states in the direction in which scouts met the law
_FROM, _TO = 1.0, 3.0  # half-widths by which a state is moved along one coordinate


@dataclass(frozen=True, kw_only=True)
class Beside:
    """States beside the region, further along one coordinate, in which the law holds.

    side   +1 or -1; at the first value of the coordinate, on the way out, at which it was met
    count  of the `asked` states
    """

    coordinate: Coordinate
    side: int
    at: float
    count: int
    asked: int

    def __str__(self) -> str:
        sign = ">" if self.side > 0 else "<"
        return f"{self.coordinate.name} {sign} {self.at:.3g} ({self.count} of {self.asked} states)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Covered:
    """A region of which the description's law is exact on few answers or none, and is elsewhere.

    law     that law, through the step that the description asks for
    level   what it leaves where it holds [spread of a]
    share   of the `asked` states of the region in which it holds
    beside  where it was met beside the region, the most often first
    """

    law: Fit
    level: float
    share: float
    asked: int
    beside: tuple[Beside, ...]

    @property
    def sentences(self) -> list[str]:
        """What is said of it."""
        places = ["in the others"] if self.share else []
        places += [f"beside it, where {x}" for x in self.beside]
        some = "more of those states"
        if self.beside:
            first = self.beside[0]
            way = "above" if first.side > 0 else "below"
            some = f"states where {first.coordinate.name} is {way} {first.at:.3g}"
        return [
            f"Another regime covers the region: in {1 - self.share:.1%} of {self.asked} states "
            "other forces act than the description's (contacts, joint limits), while "
            f"{'; '.join(places)}, the answers are its law to rounding. There is no smooth part to "
            "judge here.",
            f"What would settle it: a region with {some}, in which nothing touches.",
        ]


def covered_region(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> Covered | None:
    """What covers the region of a model without a law there; None where the description's law
    explains many of its answers, or is met nowhere about it."""
    if screen.noise.random > 0 or screen.history.kind is not None or not session.geometry_known:
        return None
    step = _stated_step(session, integrator, substeps)
    if session.blackbox.outputs == "next_state" and step is None:
        return None
    law = described_law(session.robot, step, screen.scale)
    left = sizes(law, screen.answers)
    if float(left.median()) <= _NOTHING:
        return None
    floor = ROUNDING * max(1.0, screen.level / _FLOOR)
    answers = screen.answers
    if bool((left <= floor).any()):
        answers = session.inside("regimes", _STATES)
        left = sizes(law, answers)
    exact = left <= floor
    share = float(exact.double().mean())
    if share >= _EXACT_SHARE:
        return None
    beside, met = _beside(session, law, floor)
    left = torch.cat([left[exact], met])
    if len(left) < _FEWEST:
        return None
    level = max(float(left.square().mean().sqrt()), screen.gate)
    return Covered(law=law, level=level, share=share, asked=len(answers), beside=beside)


_FLOOR = 1e-9  # standardised: the rounding for which ROUNDING stands


def _stated_step(
    session: QuerySession, integrator: str | None, substeps: int | None
) -> StepMap | None:
    """The step that the description asks for, or that was declared."""
    dt = session.blackbox.dt
    if session.blackbox.outputs != "next_state" or dt is None:
        return None
    scheme = scheme_named(integrator)
    if scheme is not None and substeps is not None:
        return StepMap(scheme=scheme, dt=dt, substeps=substeps)
    return described_step(session.robot, dt)


def _beside(session: QuerySession, law: Fit, floor: float) -> tuple[tuple[Beside, ...], Tensor]:
    """Where beside the region the law is met, and what it leaves there: few states are asked in
    each direction, more in those in which one is the law's."""
    ways = [(x, side, k) for x, k in _moved_along(session) for side in (1, -1)]
    found, met = [], [torch.zeros(0, dtype=torch.float64)]
    for x, side, k in ways:
        seen = [_further(session, x, side, k, _SCOUTS)]
        exact = sizes(law, seen[0]) <= floor
        if not bool(exact.any()):
            continue
        seen.append(_further(session, x, side, k, _FURTHER))
        answers = Answers.concat(seen)
        left = sizes(law, answers)
        exact = left <= floor
        values = side * x(answers.q[exact])
        met.append(left[exact])
        found.append(
            Beside(
                coordinate=x,
                side=side,
                at=side * float(values.min()),
                count=int(exact.sum()),
                asked=len(answers),
            )
        )
    return tuple(sorted(found, key=lambda b: -b.count / b.asked)), torch.cat(met)


def _moved_along(session: QuerySession) -> Sequence[tuple[Coordinate, int]]:
    """The coordinates, each with the velocity that moves it alone."""
    robot = session.robot
    placed = {}
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        q, v = robot.q_slice(name), robot.v_slice(name)
        # a free joint's velocity is angular first
        first = v.start + 3 if kind == "free" else v.start
        placed.update({q.start + i: first + i for i in range(3 if kind == "free" else 1)})
    return [(x, placed[x.entry]) for x in coordinates(robot) if x.entry in placed]


def _further(session: QuerySession, x: Coordinate, side: int, k: int, n: int) -> Answers:
    """Answers to n states of the region, moved along one coordinate out of it."""
    batch = session.draw(f"beside {x.name} {side}, {n}", n)
    generator = torch.Generator().manual_seed(session.seed + 151 + n)
    way = _FROM + (_TO - _FROM) * torch.rand(n, generator=generator, dtype=torch.float64)
    offset = torch.zeros(n, session.robot.nv, dtype=torch.float64)
    offset[:, k] = side * way * session.half_widths("q")[k]
    return session.ask(session.move(batch.q, offset), batch.v, batch.tau)


def covered_outcome(session: QuerySession, screen: Screen, covered: Covered) -> Outcome:
    """The outcome for such a region: nothing in it speaks for a table, and no law is told."""
    law, answers = covered.law, screen.answers
    drawn = curves(session, law, answers)
    error = relative(law, answers)
    return Outcome(
        session=session,
        law=law,
        values={
            Name.LAW_ERROR_INSIDE: error,
            Name.BEST_ERROR_INSIDE: covered.level,
            Name.REPEATABILITY: screen.noise.random,
            Name.RESOLUTION: error,
        },
        curves=drawn,
        law_from="the description",
        resolution=Resolution(error, max(c.error[-1] for c in drawn.values())),
        notes=covered.sentences,
        covered=1 - covered.share,
    )
