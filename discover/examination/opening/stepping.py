"""The step of a model of next states: its integrator and sub-steps, found or declared."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch

import kinematics
from discover import numerics
from discover.blackbox.session import QuerySession
from discover.errors import ModelError
from discover.examination.opening.screen import Screen
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.step_map import scheme_named
from discover.laws.rigid_body.step_search import check_declared, find_step

_CONSISTENT = threshold("examination.displacement_consistent")
_EXACT = threshold("examination.exact")
_FACTOR = threshold("examination.dt_factor")
_FOLLOWED = threshold("examination.displacement_followed")
_NEXT_SKIP = threshold("examination.dt_factor_followed")


def with_step(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen]:
    """The session and the first answers with the step map that explains them best; unchanged for a
    model of accelerations.

    integrator, substeps restrict the search to what is declared. Raises ModelError where
    configurations say that dt is another.
    """
    dt = session.blackbox.dt
    if session.blackbox.outputs != "next_state" or dt is None:
        return session, screen
    _check_dt(session, screen, dt)
    search = functools.partial(
        find_step,
        session.robot,
        screen.fitting,
        screen.held_out,
        dt,
        scale=screen.scale,
        floor=screen.level,
    )
    choice = search(scheme=scheme_named(integrator), substeps=substeps)
    if (integrator or substeps) and choice.error > _EXACT:
        free = search()
        if free.error <= max(_EXACT, 2 * screen.level) and free.step != choice.step:
            raise ModelError(
                f"declared {choice.step} leaves {choice.error:.2g} of the spread of a, while "
                f"{free.step} leaves {free.error:.2g}: leave integrator and substeps out, or "
                "declare that one"
            )
    session = replace(session, step=choice.step)
    return session, replace(screen, session=session, step=choice)


def check_step(outputs: str, integrator: object, substeps: object) -> None:
    """That a declared integrator and number of sub-steps make sense. Raises ModelError."""
    if integrator is None and substeps is None:
        return
    if outputs != "next_state":
        raise ModelError(
            "expected integrator and substeps with outputs='next_state' only, found outputs="
            f"{outputs!r}: accelerations take no step"
        )
    check_declared(integrator, substeps)


def _check_dt(session: QuerySession, screen: Screen, dt: float) -> None:
    """ModelError if configurations move as in a step of another length."""
    x = screen.answers
    assert x.q_next is not None
    assert x.v_next is not None
    moved = kinematics.difference(session.robot, x.q, x.q_next)
    mean = 0.5 * dt * (x.v + x.v_next)
    size = mean.square().mean(0).sqrt().clamp_min(1e-300)
    # where a velocity is thrown over within the step, as by contacts, neither end says the way
    steady = ((x.v_next - x.v).abs() <= x.v.abs()).flatten()
    if not bool(steady.any()):
        return
    a = (moved / size).flatten()[steady]
    # the mean velocity may be that of either end, as Euler's, or any in between
    ends = torch.stack([(dt * v / size).flatten()[steady] for v in (x.v, x.v_next)], dim=-1)
    if not bool(torch.isfinite(ends).all()) or not bool(torch.isfinite(a).all()):
        return
    weights = numerics.least_squares(ends, a)
    factor = float(weights.sum())
    left = float((a - ends @ weights).square().sum() / a.square().sum().clamp_min(1e-300))
    exactly = left < _CONSISTENT and abs(factor - 1.0) > _FACTOR
    # a network's displacements follow the velocities less exactly than a simulator's
    roughly = left < _FOLLOWED and not 1 / _NEXT_SKIP < factor < _NEXT_SKIP
    if exactly or roughly:
        raise ModelError(
            f"declared dt = {dt:g} s, but configurations move by {factor:.4g} times the mean "
            f"velocity times dt: the step looks like {abs(factor) * dt:.4g} s; check dt (a frame "
            "skip multiplies the simulator's own)"
        )
