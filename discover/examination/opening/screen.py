"""The opening of an examination: a query session, and what its first answers show.

Arguments are checked and a robot is inferred where none is given; then history dependence, noise
floor and a first fit are taken from a few dozen answers.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box, Recorded, Support
from discover.data.transitions import Transitions, read_transitions
from discover.errors import ModelError, RegionError
from discover.examination.metrics import fit_answers
from discover.examination.opening.arguments import (
    actuation_of,
    check_choices,
    check_model,
    load_described,
)
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, spread
from discover.laws.rigid_body.step_search import StepChoice
from discover.mechanism.coordinates import renumbered
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.inference import (
    InferredRobot,
    coordinates_of,
    infer_robot,
    infer_robot_from_steps,
)
from discover.observations.environment import Environment
from discover.probes import history, noise
from discover.probes.history import History
from discover.probes.noise import NoiseFloor
from discover.progress import stage, watch
from kinematics import Actuation, Robot


def open_session(
    model: Callable,
    robot: Robot | Environment | str | os.PathLike[str] | None,
    region: Region | None,
    training_data: tuple | Mapping | None,
    *,
    data: Any | None,
    outputs: str,
    dt: float | None,
    budget: str,
    seed: int,
    within: str,
    label_noise: Any | None,
    root: str | None,
    mechanism: bool | None,
    actuation: Actuation | None,
) -> tuple[QuerySession, InferredRobot | None, Answers | None]:
    """The session of `discover.examine`, whose arguments these are; what was inferred from the
    answers, where no robot is given; and the held-out transitions, where `data` is. The model is
    then seen in the inferred numbering of its coordinates, parents before children.

    Raises ModelError, RegionError and DatasetError, each with one line.
    """
    check_model(model, robot)
    described = load_described(robot, root)
    held_out = None if data is None else _transitions(data, described, model, region, actuation)
    if region is None and held_out is not None:
        assert described is not None
        region = _spanned(described, held_out)
    check_choices(region=region, outputs=outputs, budget=budget, seed=seed, mechanism=mechanism)
    assert region is not None
    inferred: InferredRobot | None = None
    if described is None:
        nv = coordinates_of(region)
        bare = BlackBox(model, nv + (root == "free"), nv, outputs=outputs, dt=dt)
        watch(bare)
        stage("tree and geometry from the answers")
        steps = infer_robot_from_steps if outputs == "next_state" else infer_robot
        inferred = (infer_free_base if root == "free" else steps)(bare, region.resolve(nv), seed)
        model, region, training_data = renumbered(model, region, training_data, inferred.order)
        described = inferred.robot
    actuation = actuation_of(model, described, region, actuation, inferred is not None)
    training = (
        None if training_data is None else _training_answers(training_data, described, actuation)
    )
    answers = None if held_out is None else held_out.answers(actuation, outputs, dt)
    recorded = training if answers is None else answers
    session = QuerySession(
        blackbox=BlackBox(
            model,
            described.nq,
            described.nv,
            outputs=outputs,
            dt=dt,
            actuation=actuation,
            robot=described,
        ),
        robot=described,
        support=_support(within, described, region, recorded, actuation),
        budget=BUDGETS[budget],
        seed=seed,
        label_noise=_label_noise(label_noise, described.nv),
        training=training,
        geometry_known=inferred is None or inferred.geometry.known,
    )
    watch(session.blackbox)
    return session, inferred, answers


def _transitions(
    data: Any,
    robot: Robot | None,
    model: Callable,
    region: Region | None,
    actuation: Actuation | None,
) -> Transitions:
    if robot is None:
        raise ModelError(
            "expected a robot with data, found none: its coordinates say what the transitions "
            "mean; give its description"
        )
    own = actuation if actuation is not None else getattr(model, "actuation", None)
    controlled = own is not None or (region is not None and region.u is not None)
    return read_transitions(data, robot, model, controlled=controlled)


_STILL = 1e-9  # of the largest: what varies less does not


def _spanned(robot: Robot, data: Transitions) -> Region:
    """The box that 99 % of each coordinate of the transitions span. Raises RegionError where one
    does not vary."""
    commands = ("u" if data.controls else "tau", data.commands)
    for name, x in (("q", data.q), ("v", data.v), commands):
        still = (x.amax(0) - x.amin(0) <= _STILL * x.abs().amax().clamp_min(_STILL)).nonzero()
        if len(still) and (name != "q" or robot.nq == robot.nv):
            raise RegionError(
                f"region: expected data in which everything varies, found {name}[{int(still[0])}] "
                "to be constant: give region=discover.Region(…)"
            )
    return Recorded.of(robot, data.q, data.v, data.commands, controls=data.controls).region


def _support(
    within: str,
    robot: Robot,
    region: Region,
    recorded: Answers | None,
    actuation: Actuation | None,
) -> Support:
    if within == "region":
        nu = robot.nv if actuation is None else actuation.nu
        return Box(robot=robot, region=region.resolve(robot.nv, nu))
    if within != "data":
        raise RegionError(f"expected within='region' or 'data', found {within!r}")
    if recorded is None:
        raise RegionError(
            "within='data' needs data=… (transitions) or training_data=(q, v, tau, a), found none"
        )
    controls = actuation is not None
    return Recorded.of(robot, recorded.q, recorded.v, recorded.commands, controls=controls)


def _training_answers(data: tuple | Mapping, robot: Robot, actuation: Actuation | None) -> Answers:
    """(q, v, tau, a) as the caller gave them, in this order or by name, checked; controls u in the
    place of tau where the model takes them. Raises ModelError."""
    names = ("q", "v", "tau" if actuation is None else "u", "a")
    expected = f"expected training_data as ({', '.join(names)})"
    if isinstance(data, Mapping):
        if set(data) != set(names):
            raise ModelError(f"{expected} or with these keys, found {', '.join(map(str, data))}")
        data = tuple(data[name] for name in names)
    if not isinstance(data, tuple | list):
        raise ModelError(f"{expected}, found {type(data).__name__}")
    if len(data) != 4:
        raise ModelError(f"{expected}, found {len(data)} arrays")
    q, v, tau, a = (
        _numbers(x, f"{name} of training_data") for name, x in zip(names, data, strict=True)
    )
    nv = robot.nv
    widths = (robot.nq, nv, nv if actuation is None else actuation.nu, nv)
    sized = zip((q, v, tau, a), widths, strict=True)
    if q.ndim != 2 or any(x.shape != (len(q), n) for x, n in sized):
        raise ModelError(
            f"expected training_data of shapes {', '.join(f'(n, {n})' for n in widths)}, found "
            f"{', '.join(str(tuple(x.shape)) for x in (q, v, tau, a))}"
        )
    if not len(q) or not all(bool(x.isfinite().all()) for x in (q, v, tau, a)):
        found = "NaN or infinity" if len(q) else "no rows"
        raise ModelError(f"{expected} of finite numbers, found {found}")
    if actuation is None:
        return Answers(q=q, v=v, tau=tau, a=a)
    return Answers(q=q, v=v, tau=actuation.forces(tau), a=a, u=tau)


def _label_noise(given: Any | None, nv: int) -> Tensor | None:
    if given is None:
        return None
    noise = _numbers(given, "label_noise")
    if noise.shape != (nv,) or not bool((noise >= 0).all()) or not bool(noise.isfinite().all()):
        raise ModelError(
            f"expected label_noise of shape ({nv},), finite and not negative, found "
            f"{_shown(noise)}: give one standard deviation a joint coordinate"
        )
    return noise


def _numbers(given: Any, name: str) -> Tensor:
    """An array, list or tensor as float64 on the processor, without its gradients."""
    try:
        return torch.as_tensor(given, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"expected {name} as an array of numbers, found {type(given).__name__} that is none "
            f"({' '.join(str(error).split())[:100]})"
        ) from error


def _shown(x: Tensor) -> str:
    return str(x.tolist()) if x.ndim == 1 and len(x) <= 8 else f"shape {tuple(x.shape)}"


_ROUNDING = 1e-10  # standardised: a residual below this is rounding, whatever was measured


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The first answers of a session, and what they show.

    answers  in the region; scale (nv,) their spread in each joint [rad/s² | m/s²]
    noise    the model's noise floor
    history  whether answers depend on the query before
    step     how accelerations make its steps, of a model of next states, once that was sought
    """

    session: QuerySession
    answers: Answers
    scale: Tensor
    noise: NoiseFloor
    history: History
    step: StepChoice | None = None

    @functools.cached_property
    def first(self) -> Fit:
        """Rigid bodies fitted to the first four fifths of the answers; fitted on first use, for a
        constant model needs none."""
        family = Family.of(self.session.robot)
        start = None if self.step is None else self.step.fit.theta[: family.size]
        return fit_answers(self.session, family, self.fitting, self.scale, start=start)

    @property
    def fitting(self) -> Answers:
        """The answers that the first fit was made to."""
        return self.answers[: len(self.answers) * 4 // 5]

    @property
    def held_out(self) -> Answers:
        """The others."""
        return self.answers[len(self.answers) * 4 // 5 :]

    @property
    def gate(self) -> float:
        """The standardised residual below which a law leaves nothing but rounding."""
        return max(self.noise.rounding, _ROUNDING)

    @property
    def level(self) -> float:
        """The same, with noise."""
        return max(self.gate, self.noise.random)


def screening(session: QuerySession) -> tuple[QuerySession, Screen]:
    """The session to go on with, and the first answers.

    Where an answer depends on the query before, the session returned repeats every query until its
    answer has settled: all that follows then describes the settled model. Raises ModelError where
    an answer depends on the other states of its batch.
    """
    answers = _first_answers(session)
    scale = spread(answers)
    dependence = history.measure(session, answers, scale)
    if dependence.kind is not None:
        session = history.settled(session, dependence.kind, answers, scale)
        answers = _first_answers(session)
        scale = spread(answers)
    floor = noise.measure(session, answers, scale)
    if floor.by_batch > 0:
        raise ModelError(
            "the model's answer to a state depends on the other states of its batch (it changes by "
            f"{floor.by_batch:.2g} of the spread of a), so that it is no function of (q, v, tau): "
            "call model.eval() where it has batch normalisation, and let it normalise with fixed "
            "statistics"
        )
    return session, Screen(
        session=session, answers=answers, scale=scale, noise=floor, history=dependence
    )


def _first_answers(session: QuerySession) -> Answers:
    """As many as the budget has, and three times as many numbers as a law has parameters."""
    robot = session.robot
    rows = 3 * (Family.of(robot).size + len(joint_terms(robot))) // robot.nv
    return session.inside("screen", max(session.budget.screen, rows))
