"""Held-out transitions: how well model, law and described simulator predict them.

The share of the box that they fill says how much of it they can speak for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.limits import at_limits
from discover.blackbox.regimes import Regime, entered, jumps, unrelated
from discover.blackbox.sampling import sample
from discover.blackbox.session import QuerySession
from discover.examination.opening.regimes import regimes_of_transitions
from discover.examination.transitions.errors import HeldOut, JointError
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.step_search import described_law, described_step

_TYPICAL = threshold("data.typical_distance")
_FEWEST_TO_FILL = whole("data.fewest_to_fill")
_POINTS = 2048  # of the box, in which its filled share is counted
_MOST = 20_000  # transitions that a model is asked

Predicted = tuple[Tensor | None, Tensor]  # (q_next of a model of next states, a)


def held_out(session: QuerySession, data: Answers, law: Any, *, described: bool) -> HeldOut:
    """Errors of model, law and, where the robot is `described`, simulator on transitions.

    session  that of the model, with its regimes and its step
    law      the law that describes it best where it was trained
    """
    n, dt = len(data), session.blackbox.dt
    filled = share_filled(session, data)
    steps = session.blackbox.outputs == "next_state"
    reset = begun = torch.zeros(n, dtype=torch.bool)
    if steps and dt is not None:
        reset = unrelated(session.robot, data, dt, jumps(session.robot, data, dt))
    kept = data[~reset]
    own: tuple[Regime, ...] = ()
    begun = begun[~reset]
    if len(kept) >= _FEWEST:
        own, stray, begun = regimes_of_transitions(session, kept)
        if steps and dt is not None:
            far = unrelated(session.robot, kept, dt, stray & ~begun)
            reset[(~reset).nonzero().flatten()[far]] = True
            kept, begun = data[~reset], begun[~far]
    limited = begun | entered((*session.regimes, *own), session.robot, kept, dt if steps else None)
    limited |= at_limits(session.limits, kept, *(("q_next", "v_next") if steps else ("a",)))
    used = kept[~limited].evenly(_MOST)
    errors, simulated = [], ""
    if len(used):
        answers = session.ask(used.q, used.v, used.commands)
        model = (answers.q_next, answers.a)
        others: dict[str, Predicted] = {}
        if isinstance(law, Fit):
            others["law"] = _predicted(law, used)
        if described:
            step = None if dt is None or not steps else described_step(session.robot, dt)
            step = step or session.step
            simulator = described_law(session.robot, step, torch.ones_like(used.a[0]))
            others["simulator"] = _predicted(simulator, used)
            simulated = f"{session.robot.name} as described" + (f"; {step}" if step else "")
        errors = _errors(session, used, model, others)
    return HeldOut(
        transitions=n,
        asked=len(used),
        filled=filled,
        resets=float(reset.double().mean()),
        limits=float(limited.sum()) / n,
        regimes=[regime.summary for regime in own],
        errors=errors,
        simulator=simulated,
    )


_FEWEST = 50  # transitions in which regimes can be told


def _predicted(law: Fit, x: Answers) -> Predicted:
    a = law.predict(x.q, x.v, x.tau)
    if x.q_next is None or law.step is None:
        return None, a
    return law.family.step(law.theta, x.q, x.v, x.tau, law.step)[0], a


def _errors(
    session: QuerySession, x: Answers, model: Predicted, others: dict[str, Predicted]
) -> list[JointError]:
    """By joint: of accelerations, or of the changes that a step makes."""
    robot = session.robot
    quantities: list[tuple[str, Tensor, Callable[[Predicted], Tensor | None]]] = [
        ("acceleration" if x.q_next is None else "velocity change", x.a, lambda p: p[1])
    ]
    if x.q_next is not None:
        way = kinematics.difference(robot, x.q, x.q_next)
        quantities.append(
            (
                "displacement",
                way,
                lambda p: None if p[0] is None else kinematics.difference(robot, x.q, p[0]),
            )
        )
    rows = []
    for quantity, recorded, of in quantities:
        for name in robot.independent_names:
            at = robot.v_slice(name)

            def error(p: Predicted | None, at: slice = at, recorded=recorded, of=of):
                value = None if p is None else of(p)
                return None if value is None else _relative(value[:, at], recorded[:, at])

            rows.append(
                JointError(
                    joint=name,
                    quantity=quantity,
                    model=error(model),
                    law=error(others.get("law")),
                    simulator=error(others.get("simulator")),
                )
            )
    return rows


def _relative(value: Tensor, reference: Tensor) -> float:
    size = float(reference.square().mean().sqrt())
    error = float((value - reference).square().mean().sqrt())
    return error / size if size > 0 else (0.0 if error == 0 else float("inf"))


def share_filled(session: QuerySession, data: Answers) -> float | None:
    """The share of the box that recorded states fill (see `HeldOut.filled`), by Sobol points."""
    if len(data) < _FEWEST_TO_FILL:
        return None
    from scipy.spatial import cKDTree  # imported late: only where data are given

    states = _in_half_widths(session, data.q, data.v, data.commands)
    tree = cKDTree(states)
    between = tree.query(states, k=2)[0][:, 1]
    near = torch.quantile(torch.from_numpy(between), _TYPICAL)
    points = sample(session.support.region, session.robot, _POINTS, session.seed, "sobol")
    distance = tree.query(_in_half_widths(session, *points))[0]
    return float((torch.from_numpy(distance) <= near).double().mean())


def _in_half_widths(session: QuerySession, q: Tensor, v: Tensor, commands: Tensor):
    neutral = session.robot.neutral().to(torch.float64).expand(len(q), -1)
    groups = {
        "q": kinematics.difference(session.robot, neutral, q),
        "v": v,
        "tau": commands,
    }
    region = session.support.region
    return torch.cat(
        [
            (x - getattr(region, g).centre) / getattr(region, g).half_width
            for g, x in groups.items()
        ],
        -1,
    ).numpy()
