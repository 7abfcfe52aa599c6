"""What a report shows beside the verdict: error curves, forecasts, time ledger, test recordings.

Measured after the verdict, which uses none of it: here the simulator, or recordings that were kept
aside, serve as the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.artifacts import write_arrays, write_json
from discover.blackbox.contract import BlackBox, Dynamics, relative_error
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch
from discover.evaluation import accuracy, forecast, line_up, time_ledger
from discover.evaluation.simulators.reference import simulator
from discover.laws import RigidBodyLaw
from discover.probes.reach import ErrorCurve
from kinematics import Robot

if TYPE_CHECKING:
    from discover.data.dataset import Dataset

STEPS, LEAST_DT = 400, 0.005  # a forecast has at most so many steps, none shorter [s]


def measure(
    model: Callable[..., Any],
    law: Any | None,
    robot: Robot,
    region: Region,
    dataset: Dataset,
    out: Path,
    *,
    rollout_s: float = 5.0,
    ledger: bool = True,
    seed: int = 0,
) -> list[Path]:
    """Measure model and law, write JSON and arrays to `out`, and return the files' paths.

    Where the data are simulated, model and law are compared with the simulator (error curves, and
    forecasts over rollout_s seconds); where they are recorded, with the test trajectories. ledger:
    whether the time ledger is measured.
    """
    steps = dataset.outputs == "next_state"
    dt = dataset.dt if steps else None
    answered = accelerations(model, robot, outputs=dataset.outputs, dt=dt)
    written = []
    if dataset.recorded:
        table = on_recordings(answered, law, robot, dataset)
        written.append(write_json(out / "recordings.json", table))
    else:
        reference = accelerations(
            simulator(robot, outputs=dataset.outputs, dt=dt), robot, outputs=dataset.outputs, dt=dt
        )
        curves = error_curves(answered, law, reference, robot, region, dt=dt, seed=seed)
        stored = [{**asdict(curve), "samples": accuracy.SAMPLES} for curve in curves]
        written.append(write_json(out / "accuracy.json", {"curves": stored}))
        table, drawn = forecasts(model, law, robot, region, dt=dt, seconds=rollout_s, seed=seed)
        table["coordinates"] = coordinates(robot)
        written.append(write_json(out / "forecast.json", table))
        written.append(write_arrays(out / "forecast.npz", **drawn))
    if ledger:
        contenders = line_up.on_the_processor(robot, model, law)
        timings = time_ledger.measure(contenders, robot, region, seed=seed)
        entries: dict[str, Any] = {"machine": time_ledger.machine(), "timings": timings}
        if not dataset.recorded:  # outside of recordings the true accelerations are unknown
            true = kinematics.compile(robot, "aba")

            def answer(batch: Batch) -> np.ndarray:
                return np.asarray(true(*(x.numpy() for x in batch)))

            entries["accuracy"] = time_ledger.errors(contenders, answer, robot, region, seed=seed)
        written.append(write_json(out / "ledger.json", entries))
    return written


def error_curves(
    model: Dynamics,
    law: Any | None,
    reference: Dynamics,
    robot: Robot,
    region: Region,
    *,
    dt: float | None = None,
    seed: int = 0,
) -> list[ErrorCurve]:
    """Error curves of model and law against the simulator, and of the law against the model."""
    questions = accuracy.shells(region, robot, seed=seed)
    of_reference = accuracy.answers(reference, questions)
    of_model = accuracy.answers(model, questions)
    curves = accuracy.compare(
        of_model, of_reference, questions, subject="model against simulator", seed=seed
    )
    if law is not None:
        if dt is not None:
            law = accelerations(law.step, robot, outputs="next_state", dt=dt)
        of_law = accuracy.answers(law, questions)
        for other, subject in (
            (of_reference, "law against simulator"),
            (of_model, "law against model"),
        ):
            curves += accuracy.compare(of_law, other, questions, subject=subject, seed=seed)
    return curves


def forecasts(
    model: Callable[..., Any],
    law: Any | None,
    robot: Robot,
    region: Region,
    *,
    dt: float | None,
    seconds: float,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Forecasts of model and law against the simulator; with dt they are step maps, compared with
    the simulator's own."""
    if dt is not None:
        maps = {"model": step_map(model, robot, dt)}
        if law is not None:
            maps["law"] = law.step
        control = simulator(robot, outputs="next_state", dt=dt)
        return forecast.compare_step_maps(
            maps, control, robot, region, dt=dt, seconds=seconds, seed=seed
        )
    subjects = {"model": accelerations(model, robot, outputs="acceleration", dt=None)}
    if law is not None:
        subjects["law"] = compiled(law.compile())
    return forecast.compare_forecasts(
        subjects,
        compiled(kinematics.compile(robot, "aba")),
        robot,
        region,
        seconds=seconds,
        dt=max(seconds / STEPS, LEAST_DT),
        seed=seed,
    )


def step_map(model: Callable[..., Any], robot: Robot, dt: float) -> forecast.StepMap:
    """A model of next states as a map (q, v, tau) -> (q, v), checked by a `BlackBox`."""
    blackbox = BlackBox(model, robot.nq, robot.nv, outputs="next_state", dt=dt)

    def step(q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        answers = blackbox.ask(q, v, tau, strict=False)
        assert answers.q_next is not None  # a black box of next states gives both
        assert answers.v_next is not None
        return answers.q_next, answers.v_next

    return step


def accelerations(
    model: Callable[..., Any], robot: Robot, *, outputs: str, dt: float | None
) -> Dynamics:
    """Any model as a `Dynamics`: of a step map, the change of velocity divided by dt."""
    blackbox = BlackBox(model, robot.nq, robot.nv, outputs=outputs, dt=dt)

    def answer(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return blackbox.ask(q, v, tau, strict=False).a

    return answer


def compiled(program: Callable[..., Any]) -> Dynamics:
    """A compiled program on NumPy arrays as a `Dynamics`, fast enough for long forecasts."""

    def answer(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return torch.from_numpy(program(q.numpy(), v.numpy(), tau.numpy()))

    return answer


def on_recordings(
    model: Dynamics, law: Any | None, robot: Robot, dataset: Dataset
) -> dict[str, Any]:
    """Errors on each test trajectory: of the model's accelerations, and of the law's joint forces.

    A law's joint force at the recorded acceleration is tau + H_law (a - a_law(q, v, tau)), which
    is its inverse dynamics wherever its terms do not depend on a or tau.
    """
    rows = dataset.part("test")
    files = dataset.metadata.get("files", {})
    names = {entry["trajectory"]: name for name, entry in files.items() if "trajectory" in entry}
    trajectories: list[dict[str, Any]] = []
    for index in rows.trajectory.unique(sorted=True).tolist():
        part = rows.select(rows.trajectory == index)
        assert part.a is not None  # recordings are data sets of accelerations
        forces = {"description": kinematics.rnea(robot, part.q, part.v, part.a)}
        if isinstance(law, RigidBodyLaw):  # a constant has no bodies, and no forces
            H = kinematics.crba(law.robot, part.q)
            gap = (part.a - law(part.q, part.v, part.tau)).unsqueeze(-1)
            forces = {"law": part.tau + (H @ gap).squeeze(-1), **forces}
        trajectories.append(
            {
                "name": names.get(index, f"trajectory {index}"),
                "samples": len(part),
                "model_error": relative_error(model(part.q, part.v, part.tau), part.a),
                "law_error": None
                if law is None
                else relative_error(law(part.q, part.v, part.tau), part.a),
                "torque_errors": {who: _rms(x - part.tau) for who, x in forces.items()},
                "torque_size": _rms(part.tau),
            }
        )
    return {
        "joints": coordinates(robot),
        "torque_subjects": list(trajectories[0]["torque_errors"]) if trajectories else [],
        "trajectories": trajectories,
        "processing": dataset.metadata.get("processing", []),
    }


def coordinates(robot: Robot) -> list[str]:
    """A name for each position coordinate: the joint's, with a number where it has several."""
    names = []
    for joint in robot.independent_names:
        at = robot.q_slice(joint)
        size = at.stop - at.start
        names += [joint] if size == 1 else [f"{joint}[{k}]" for k in range(size)]
    return names


def _rms(x: Tensor) -> list[float]:
    return np.sqrt(torch.mean(x.double().square(), 0).numpy()).tolist()
