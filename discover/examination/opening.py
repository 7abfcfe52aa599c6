"""Opening a query session: arguments checked, and a robot inferred where none is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box, Recorded, Support
from discover.errors import ModelError, RegionError
from discover.mechanism.free_base import infer_free
from discover.mechanism.inference import Structure, coordinates_of, infer
from discover.mechanism.renumbering import renumbered
from discover.mechanism.stepping import infer_from_steps
from kinematics import Robot


def open_session(
    model: Callable,
    robot: Robot | str | None,
    region: Region,
    training_data: tuple | None,
    *,
    outputs: str,
    dt: float | None,
    budget: str,
    seed: int,
    within: str,
    label_noise: Any | None,
    root: str | None,
) -> tuple[QuerySession, Structure | None]:
    """The session of `discover.examine`, whose arguments these are; and what was inferred from the
    answers, where no robot is given. The model is then seen in the inferred numbering of its
    coordinates, parents before children.

    Raises ModelError and RegionError, each with one line.
    """
    if budget not in BUDGETS:
        raise ModelError(f"expected a budget of {sorted(BUDGETS)}, found {budget!r}")
    described = kinematics.load(robot) if isinstance(robot, str) else robot
    if root not in (None, "free") or (root and described is not None):
        raise ModelError(
            f"expected root='free' or none, and only without a robot, found {root!r}: a robot's "
            "description says what its root is"
        )
    inferred: Structure | None = None
    if described is None:
        nv = coordinates_of(region)
        bare = BlackBox(model, nv + (root == "free"), nv, outputs=outputs, dt=dt)
        steps = infer_from_steps if outputs == "next_state" else infer
        inferred = (infer_free if root == "free" else steps)(bare, region.resolve(nv), seed)
        model, region, training_data = renumbered(model, region, training_data, inferred.order)
        described = inferred.robot
    training = None if training_data is None else _training_answers(training_data, described)
    session = QuerySession(
        blackbox=BlackBox(model, described.nq, described.nv, outputs=outputs, dt=dt),
        robot=described,
        support=_support(within, described, region, training),
        budget=BUDGETS[budget],
        seed=seed,
        label_noise=_label_noise(label_noise, described.nv),
        training=training,
        geometry_known=inferred is None or inferred.geometry.known,
    )
    return session, inferred


def _support(within: str, robot: Robot, region: Region, training: Answers | None) -> Support:
    if within == "region":
        return Box(robot=robot, region=region.resolve(robot.nv))
    if within != "data":
        raise RegionError(f"expected within='region' or 'data', found {within!r}")
    if training is None:
        raise RegionError("within='data' needs training_data=(q, v, tau, a), found none")
    return Recorded.of(robot, training.q, training.v, training.tau)


def _training_answers(data: tuple, robot: Robot) -> Answers:
    """(q, v, tau, a) as the caller gave them, checked. Raises ModelError."""
    if len(data) != 4:
        raise ModelError(f"expected training_data as (q, v, tau, a), found {len(data)} arrays")
    q, v, tau, a = (torch.as_tensor(x, dtype=torch.float64) for x in data)
    nq, nv = robot.nq, robot.nv
    if q.shape[-1] != nq or any(x.shape != (len(q), nv) for x in (v, tau, a)):
        raise ModelError(
            f"expected training_data of shapes (n, {nq}), (n, {nv}), (n, {nv}), (n, {nv}), found "
            f"{', '.join(str(tuple(x.shape)) for x in (q, v, tau, a))}"
        )
    return Answers(q=q, v=v, tau=tau, a=a)


def _label_noise(given: Any | None, nv: int) -> Tensor | None:
    if given is None:
        return None
    noise = torch.as_tensor(given, dtype=torch.float64)
    if noise.shape != (nv,) or not bool((noise >= 0).all()) or not bool(noise.isfinite().all()):
        raise ModelError(
            f"expected label_noise of shape ({nv},), finite and not negative, found "
            f"{tuple(noise.shape)}: give one standard deviation a joint coordinate"
        )
    return noise
