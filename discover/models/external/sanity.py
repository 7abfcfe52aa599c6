"""Checks of a model's answers against its declaration.

Each names what was declared, what the answers look like, and the mend. The thresholds are
wide: a badly trained model passes, a wrong declaration does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from discover.errors import ModelError
from discover.models.external.declaration import Declaration
from discover.models.layout import Layout, advance, displacement

ROWS = 256
HALF = {"q": 0.3, "v": 0.5, "tau": 1.0}
WRONG_STEP = 3.0
"""dt is doubted where displacements are so many times v·dt, or so many times less."""
DECLARED = "in a TOML file beside the model, or to discover.models.load"


def neutral(layout: Layout) -> Tensor:
    """The configuration with zero angles and lengths and unturned quaternions."""
    q = torch.zeros(layout.nq, dtype=torch.float64)
    for kind, iq, _ in layout.joints():
        if kind in ("spherical", "free"):
            q[iq.stop - 4] = 1.0
    return q


def questions(layout: Layout, home: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """Fixed random states q (ROWS, nq), v, tau (ROWS, nv) around `home`."""
    draw = torch.Generator().manual_seed(7)
    start = neutral(layout) if home is None else torch.as_tensor(home, dtype=torch.float64)
    if start.shape != (layout.nq,):
        raise ModelError(f"home: expected {layout.nq} numbers, found {tuple(start.shape)}")
    dq, v, tau = (
        half * (2 * torch.rand(ROWS, layout.nv, generator=draw, dtype=torch.float64) - 1)
        for half in HALF.values()
    )
    return advance(layout, start.expand(ROWS, -1), dq), v, tau


def check(model: Callable[..., Any], layout: Layout, declared: Declaration) -> None:
    """Raise ModelError, one line, where the answers contradict the declaration."""
    q, v, tau = questions(layout, declared.home)
    whole = _ask(model, q, v, tau)
    again = _ask(model, q, v, tau)
    if any(not torch.equal(a, b) for a, b in zip(whole, again, strict=True)):
        raise ModelError(
            "the model answers the same question differently each time; call .eval() before "
            "exporting (dropout left on?)"
        )
    few = _ask(model, q[:5], v[:5], tau[:5])
    for a, b in zip(whole, few, strict=True):
        size = a.abs().max().clamp_min(1e-12)
        if bool((a[:5] - b).abs().max() > 1e-3 * size):
            raise ModelError(
                "the model's answer to a state depends on the other states in the batch; call "
                ".eval() before exporting (batch normalisation in training mode?)"
            )
    if all(bool((a.std(dim=0) == 0).all()) for a in whole):
        raise ModelError(
            "the model answers every state alike; store its weights, or declare input_scale "
            f"{DECLARED}"
        )
    if declared.outputs == "acceleration":
        _check_acceleration(whole[0], v, declared)
    else:
        _check_step(q, v, whole, layout, declared)


def _ask(model: Callable[..., Any], q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, ...]:
    try:
        with torch.no_grad():
            answer = model(q, v, tau)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # not our code: it may raise anything
        lines = str(error).strip().splitlines() or [""]
        raise ModelError(
            f"the model raised {type(error).__name__} on {len(q)} states with nq={q.shape[-1]}, "
            f"nv={v.shape[-1]}: {lines[0][:160]}; give the model's own robot, or declare order and "
            f"joined {DECLARED}"
        ) from error
    parts = answer if isinstance(answer, tuple) else (answer,)
    for part in parts:
        if len(part) != len(q):
            raise ModelError(
                f"the model answers {len(part)} rows to {len(q)} states; it must take batches"
            )
        if not bool(torch.isfinite(part).all()):
            raise ModelError(
                "the model answers NaN or infinity in states around zero or its home; mend it, or "
                f"declare home, input_scale or output_scale {DECLARED}"
            )
    return parts


def _slope(y: Tensor, x: Tensor) -> float:
    """The slope of y against x, joint by joint; their median."""
    y, x = y - y.mean(dim=0), x - x.mean(dim=0)
    return float(((y * x).sum(dim=0) / x.square().sum(dim=0)).median())


def _likeness(y: Tensor, x: Tensor) -> float:
    """The correlation of y and x, joint by joint; the least of them."""
    y, x = y - y.mean(dim=0), x - x.mean(dim=0)
    below = (y.square().sum(dim=0) * x.square().sum(dim=0)).sqrt().clamp_min(1e-300)
    return float(((y * x).sum(dim=0) / below).min())


def _check_acceleration(a: Tensor, v: Tensor, declared: Declaration) -> None:
    if _likeness(a, v) > 0.98 and 0.8 < _slope(a, v) < 1.25:
        raise ModelError(
            "declared outputs 'acceleration', but the answers are nearly v itself: they look like "
            "next velocities; train or wrap the model to give (q_next, v_next) and declare "
            "outputs='next_state' and dt"
        )


def _check_step(
    q: Tensor, v: Tensor, answer: tuple[Tensor, ...], layout: Layout, declared: Declaration
) -> None:
    assert declared.dt is not None  # the declaration refuses steps without dt
    q_next, v_next = answer
    moved = displacement(layout, q, q_next)
    gained = v_next - v
    start = displacement(layout, q[:1].expand_as(q), q)  # how the states differ among themselves
    carried = _slope(moved + start, start)
    if declared.outputs == "increment" and carried > 1.5 and _slope(gained, v) > 0.5:
        raise ModelError(
            "declared outputs 'increment', but the answers follow the state itself: they look "
            "like next states; declare outputs='next_state'"
        )
    if declared.outputs == "next_state" and carried < 0.5 and _slope(v_next, v) < 0.5:
        raise ModelError(
            "declared outputs 'next_state', but the answers do not follow the state: they look "
            "like increments or accelerations; declare outputs='increment' or 'acceleration'"
        )
    ratio = _slope(moved, v) / declared.dt
    if not 1 / WRONG_STEP < ratio < WRONG_STEP:
        raise ModelError(
            f"declared dt = {declared.dt:g} s, but displacements are {ratio:.3g} times v·dt: the "
            f"step looks like {abs(ratio) * declared.dt:.3g} s; check dt, or declare order, "
            f"input_scale or home {DECLARED}"
        )
