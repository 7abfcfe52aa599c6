"""The stages of a study as plain functions: load, sample, train, examine, report.

`discover run` calls exactly these, in this order; a script of your own can do the same, or leave
out what it does not need. None of them knows of folders, manifests or resuming: see `experiment`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from discover.blackbox.region import Region
from discover.errors import ModelError, RecipeError
from discover.study.recipes import Recipe

if TYPE_CHECKING:
    from discover.data.dataset import Dataset
    from discover.examination.result import Examination
    from kinematics import Robot

CONTROL, FILE = "simulator", "file"  # the kinds of model that are not trained here


def load_robot(source: Recipe | str | Path) -> Robot:
    """The robot of a recipe, or of a path or bundled name. Raises RobotError."""
    import kinematics

    if not isinstance(source, Recipe):
        return kinematics.load(source)
    entry = source.robot
    options: dict[str, Any] = {"joint_terms": True} if entry.joint_terms else {}
    if entry.root is not None:
        options["root"] = entry.root
    return kinematics.load(entry.source, **options)


def sample_dataset(recipe: Recipe, robot: Robot) -> Dataset:
    """The recipe's data: drawn from the simulator, or read from recordings. Raises DatasetError."""
    from discover.study.collect import collect

    return collect(recipe, robot)


def region_of(recipe: Recipe, robot: Robot, dataset: Dataset) -> Region:
    """The region to examine: the recipe's, or where the training trajectories went."""
    from discover.study import collect

    return collect.region_of(dataset).resolve(robot.nv).scaled(recipe.examine.factor)


def train_model(
    recipe: Recipe,
    name: str,
    robot: Robot,
    dataset: Dataset,
    *,
    out: Path | str | None = None,
    device: str | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Callable[..., Any]:
    """The recipe's model of that name, trained; or the control, or a model read from its file.

    out: where to keep the model and what resuming needs. What was measured while training is in
    `model.card` of a trained model.
    """
    from discover import models
    from discover.training.loop import TrainingConfig
    from discover.training.train import train

    entry = next((m for m in recipe.model if m.name == name), None)
    if entry is None:
        names = ", ".join(m.name for m in recipe.model)
        raise RecipeError(f"recipe: expected a model of {names}, found {name!r}")
    if entry.kind == CONTROL:
        return simulator(robot, outputs=dataset.outputs, dt=dataset.dt)
    if entry.kind == FILE:
        if entry.path is None:
            raise RecipeError(f"model.{name}.path: expected a file for kind 'file', found nothing")
        model = load_model(entry.path, robot, region_of(recipe, robot, dataset))
        if model.outputs != dataset.outputs:
            raise ModelError(
                f"model.{name}: expected a model that answers {dataset.outputs}, as the data do, "
                f"found one that answers {model.outputs}; set data.outputs"
            )
        return model
    settings = recipe.training(name)
    model = models.build(
        entry.kind,
        robot.nq,
        robot.nv,
        entry.options,
        kinds=robot.kinds,
        parents=robot.parents,
        outputs=dataset.outputs,  # type: ignore[arg-type]
        dt=dataset.dt if dataset.outputs == "next_state" else None,
        seed=recipe.study.seed,
    )
    return train(
        model,
        dataset,
        out=out,
        seed=recipe.study.seed,
        device=device or settings.device or "auto",
        devices=settings.devices or 1,
        budget_s=settings.budget_s,
        resume=resume,
        progress=progress,
        tensorboard=Path(out) / "tensorboard" if settings.tensorboard and out is not None else None,
        config=TrainingConfig(**settings.descent),
        card={"robot": robot.name, "dataset": dataset.hash, "name": name},
    ).model


def load_model(
    path: Path | str,
    robot: Robot | None,
    region: Region | None = None,
    *,
    outputs: str | None = None,
    dt: float | None = None,
    root: str | None = None,
) -> Any:
    """Somebody's model from its file, checked against the robot; has `.outputs` and `.dt`.

    Without a robot, nv is that of the region's vectors and every coordinate is a number; with
    root="free" the first seven numbers of q are a free base's.

    What the model answers is read from its own declaration where `outputs` and `dt` are not given.
    Raises ModelError or CheckpointError.
    """
    from discover import models

    told = {"outputs": outputs, "dt": dt}
    declared: dict[str, Any] = {key: value for key, value in told.items() if value is not None}
    if Path(path).suffix != ".safetensors":  # ours declare themselves
        if robot is not None:
            declared |= {"nq": robot.nq, "nv": robot.nv, "kinds": robot.kinds}
        elif region is not None:
            from discover.mechanism.inference import coordinates_of

            nv = coordinates_of(region)
            declared |= {"nq": nv + (root == "free"), "nv": nv}
        if region is not None and declared["nq"] == declared["nv"]:
            declared["home"] = tuple(region.resolve(declared["nv"]).q.centre.tolist())
        return models.load(path, **declared)
    model = models.load(path, **declared)
    if robot is not None and (model.layout.nq, model.layout.nv) != (robot.nq, robot.nv):
        raise ModelError(
            f"{path}: expected a model of {robot.nv} joint coordinates (those of {robot.name}), "
            f"found {model.layout.nv}"
        )
    return models.load(path, outputs="next_state") if model.outputs == "increment" else model


def simulator(
    robot: Robot, *, outputs: str = "acceleration", dt: float | None = None
) -> Callable[..., Any]:
    """The reference simulator as a black box: the control of every study."""
    import kinematics

    @functools.lru_cache(maxsize=4)
    def own(dtype: torch.dtype, device: torch.device) -> Robot:
        """The robot where the question is; kept, since a new one must be prepared anew."""
        return robot.to(dtype=dtype, device=device)

    def acceleration(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(own(q.dtype, q.device), q, v, tau)

    if outputs == "acceleration":
        return acceleration

    if dt is None:
        raise ModelError("a control that answers next states: expected dt > 0, found none")

    def step(q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        path = kinematics.simulate(own(q.dtype, q.device), q, v, tau, dt, 1, integrator="rk4")
        return path.q[1], path.v[1]

    return step


def examine_model(
    recipe: Recipe, name: str, model: Callable[..., Any], robot: Robot, dataset: Dataset
) -> Examination:
    """Ask the model what it has learned; the answer is an `Examination`. Raises ModelError."""
    import discover

    entry = next(m for m in recipe.model if m.name == name)
    recorded = recipe.recording is not None
    return discover.examine(
        model,
        robot,
        region_of(recipe, robot, dataset),
        training_data=training_rows(dataset)
        if recorded or entry.kind not in (CONTROL, FILE)
        else None,
        within="data" if recorded else "region",
        label_noise=dataset.metadata["noise"]["a"] if recorded else None,
        outputs=dataset.outputs,
        dt=dataset.dt if dataset.outputs == "next_state" else None,
        budget=recipe.examine.budget,
        # a network's tree costs tens of thousands of questions: by choice only, by `examine`
        mechanism=True if entry.kind == CONTROL and recipe.examine.budget != "quick" else None,
        seed=recipe.study.seed,
        name=name,
    )


def training_rows(dataset: Dataset) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """(q, v, tau, a) of the training part; None where the data hold next states only."""
    rows = dataset.part("train")
    return None if rows.a is None else (rows.q, rows.v, rows.tau, rows.a)


def write_report(exam: Examination, directory: Path | str) -> Path:
    """Keep an examination in a folder, with its report; returns the report's path."""
    from discover.report import render

    return render(exam.save(directory, report=False))
