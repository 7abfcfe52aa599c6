"""The stages of a study as plain functions: load, sample, train, examine, report.

`discover run` calls exactly these, in this order; a script of your own can do the same, or leave
out what it does not need. None of them knows of folders, manifests or resuming: see `experiment`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit
from torch import Tensor

from discover.blackbox.region import Region
from discover.errors import ModelError, RecipeError, RobotError
from discover.evaluation.simulators.reference import simulator
from discover.study.recipe_tables import CONTROL, FILE, Gradients, Inside
from discover.study.recipes import Recipe, file_of

if TYPE_CHECKING:
    from discover.data.dataset import Dataset
    from discover.examination.result import Examination
    from discover.gradient_quality.result import GradientReport
    from discover.inside.result import InsideReport
    from discover.study.recipe_tables import ModelEntry
    from kinematics import Robot


def load_robot(source: Recipe | str | Path, root: str | None = None) -> Robot:
    """The robot of a recipe, or of a path or bundled name, there with root="free" on a free base.
    Raises RobotError."""
    import kinematics

    if not isinstance(source, Recipe):
        return kinematics.load(source, root=root)
    entry = source.robot
    options: dict[str, Any] = {"joint_terms": True} if entry.joint_terms else {}
    if entry.root is not None:
        options["root"] = entry.root
    robot = kinematics.load(entry.source, lock=entry.lock, gravity=entry.gravity, **options)
    if entry.armature is None:
        return robot
    return robot.replace(armature=_armature(robot, entry.armature))


def _armature(robot: Robot, given: float | Sequence[float] | Mapping[str, float]) -> list[float]:
    """Reflected rotor inertia of each joint coordinate. Raises RobotError where it does not fit."""
    if not isinstance(given, Mapping):
        values = [given] * robot.nv if isinstance(given, float) else list(given)
        if len(values) != robot.nv:
            raise RobotError(
                f"expected {robot.nv} values of robot.armature for {robot.name}, found "
                f"{len(values)}; give one number, one a joint coordinate, or them by joint"
            )
        return values
    values = robot.armature.tolist()
    for joint, value in given.items():
        at = robot.v_slice(joint)
        values[at] = [value] * (at.stop - at.start)
    return values


def sample_dataset(recipe: Recipe, robot: Robot) -> Dataset:
    """The recipe's data: drawn from the simulator, or read from recordings. Raises DatasetError."""
    from discover.data import recordings, simulated

    more = {"study": recipe.study.name, "recipe": _tables_of_the_data(recipe)}
    region = recipe.region.build() if recipe.region is not None else None
    if recipe.data is not None and region is not None:
        return simulated.generate(recipe.data, region, robot, recipe.study.seed, **more)
    if recipe.recording is None:
        raise RecipeError("recipe: expected [data] with [region], or [recording], found neither")
    dataset = recordings.read(recipe.recording, robot, seed=recipe.study.seed, **more)
    dataset = recordings.aligned(dataset, robot)
    region = region.resolve(robot.nv) if region is not None else recordings.support(dataset)
    return replace(dataset, metadata={**dataset.metadata, "region": region.to_dict()})


def _tables_of_the_data(recipe: Recipe) -> str:
    """The tables that decide the data, as TOML; the folder of the logs on this machine is not
    among them."""
    tables = recipe.to_dict()
    names = ("study", "robot", "region", "data", "recording")
    kept = {name: tables[name] for name in names if name in tables}
    if "recording" in kept:
        kept["recording"] = {**kept["recording"], "folder": ""}
    return tomlkit.dumps(kept)


def region_of(recipe: Recipe, robot: Robot, dataset: Dataset) -> Region:
    """The region to examine: the recipe's, or where the training trajectories went."""
    return dataset.region.resolve(robot.nv).scaled(recipe.examine.factor)


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

    out: where to keep the model and what resuming needs. The metrics of the training are in
    `model.card`.
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
        return _model_of_file(entry, robot, dataset, region_of(recipe, robot, dataset))
    settings = recipe.training(name)
    model = models.build_for(
        robot,
        entry.kind,
        entry.options,
        outputs=dataset.outputs,
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


def check_models(recipe: Recipe) -> None:
    """Kinds, options and files of all models, before any is trained. Raises ModelError."""
    from discover import models
    from discover.models.contract import read_config

    for entry in recipe.model:
        if entry.kind == FILE and not file_of(str(entry.path)).is_file():
            raise ModelError(
                f"model.{entry.name}.path: expected a model at {file_of(str(entry.path))} (a "
                "relative path starts at the recipe's folder), found no such file"
            )
        if entry.kind in (CONTROL, FILE):
            continue
        if entry.kind not in models.FAMILIES:
            kinds = ", ".join((CONTROL, FILE, *models.FAMILIES))
            raise ModelError(f"model '{entry.kind}' unknown; expected one of {kinds}")
        read_config(entry.kind, models.FAMILIES[entry.kind].config_schema, entry.options)


def _model_of_file(entry: ModelEntry, robot: Robot, dataset: Dataset, region: Region) -> Any:
    """The model of an entry of kind "file"; it must answer what the data hold."""
    assert entry.path is not None  # the recipe's table refuses it
    model = load_model(entry.path, robot, region, **entry.options)
    if model.outputs != dataset.outputs:
        raise ModelError(
            f"model.{entry.name}: expected a model that answers {dataset.outputs}, as the data do, "
            f"found one that answers {model.outputs}; set model.outputs and dt, or data.outputs"
        )
    if model.outputs == "next_state" and not math.isclose(model.dt, dataset.dt or 0.0):
        raise ModelError(
            f"model.{entry.name}: expected a model of steps of {dataset.dt} s, as the data's, "
            f"found dt = {model.dt}; set data.dt"
        )
    return model


def load_model(
    path: Path | str,
    robot: Robot | None,
    region: Region | None = None,
    *,
    outputs: str | None = None,
    dt: float | None = None,
    root: str | None = None,
    **declaration: Any,
) -> Any:
    """A user's model from its file, checked against the robot; has `.outputs` and `.dt`.

    Without a robot, nv is that of the region's vectors and every coordinate is a number; with
    root="free" the first seven numbers of q are a free base's.

    `outputs` and `dt` are read from the model's own declaration where they are not given;
    `declaration` are more fields of `discover.models.external.declaration.Declaration`. With
    `observation`, a layout's TOML file, it is a network over observations, see `discover.wrap`.
    Raises ModelError or CheckpointError.
    """
    if declaration.get("observation") is not None:
        return _observing(path, robot, region, outputs=outputs, dt=dt, **declaration)
    from discover import models

    options = {"outputs": outputs, "dt": dt, **declaration}
    declared: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if Path(path).suffix != ".safetensors":  # ours declare themselves
        if robot is not None:
            declared |= {"nq": robot.nq, "nv": robot.nv, "kinds": robot.independent_kinds}
        elif region is not None:
            from discover.mechanism.inference import coordinates_of

            nv = coordinates_of(region)
            declared |= {"nq": nv + (root == "free"), "nv": nv}
        if region is not None and declared["nq"] == declared["nv"] and "home" not in declared:
            declared["home"] = tuple(region.resolve(declared["nv"]).q.centre.tolist())
        return models.load(path, **declared)
    model = models.load(path, **declared)
    if robot is not None and (model.layout.nq, model.layout.nv) != (robot.nq, robot.nv):
        raise ModelError(
            f"{path}: expected a model of {robot.nv} joint coordinates (those of {robot.name}), "
            f"found {model.layout.nv}"
        )
    return models.load(path, outputs="next_state") if model.outputs == "increment" else model


def _observing(
    path: Path | str,
    robot: Robot | None,
    region: Region | None,
    *,
    observation: Any,
    outputs: str | None,
    dt: float | None,
    **declaration: Any,
) -> Any:
    """A network over observations from its file. Raises ModelError or CheckpointError."""
    from discover.observations.wrapping import wrap

    if robot is None:
        raise ModelError(
            f"{path}: expected a robot for a network over observations, found none; give the URDF "
            "or MJCF whose joints the layout names"
        )
    if outputs not in (None, "next_state"):
        raise ModelError(
            f"{path}: a network over observations answers next states, asked was '{outputs}'; "
            "leave outputs out"
        )
    if region is not None and robot.nq == robot.nv and "home" not in declaration:
        driven = robot.actuation if region.u is not None else None
        nu = None if driven is None else driven.nu
        declaration["home"] = tuple(region.resolve(robot.nv, nu).q.centre.tolist())
    return wrap(path, robot, Path(observation), dt=dt, **declaration)


def examine_model(
    recipe: Recipe,
    name: str,
    model: Callable[..., Any],
    robot: Robot,
    dataset: Dataset,
    *,
    progress: bool | None = None,
) -> Examination:
    """Examine the model on the recipe's region and budget. progress: a line that says where it
    stands, by default only on a terminal. Raises ModelError."""
    from discover.examination.examine import examine

    entry = next(m for m in recipe.model if m.name == name)
    recorded = dataset.recorded
    return examine(
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
        # inferring a network's tree takes tens of thousands of queries: only on request
        mechanism=True if entry.kind == CONTROL and recipe.examine.budget != "quick" else None,
        seed=recipe.study.seed,
        name=name,
        progress=progress,
    )


def look_inside_model(
    recipe: Recipe,
    name: str,
    model: Any,
    robot: Robot,
    dataset: Dataset,
    progress: bool | None = None,
) -> InsideReport:
    """What the network does with the variables of the equation of motion, where the recipe asks.
    Raises ModelError where there is nothing to look into."""
    from discover.inside.look_inside import look_inside

    asked = recipe.inside or Inside()
    return look_inside(
        model,
        robot,
        region_of(recipe, robot, dataset),
        variables=asked.variables,
        seeds=asked.seeds,
        budget_s=asked.budget_s,
        seed=recipe.study.seed,
        name=name,
        progress=progress,
    )


def gradients_of_model(
    recipe: Recipe,
    name: str,
    model: Any,
    robot: Robot,
    dataset: Dataset,
    progress: bool | None = None,
) -> GradientReport:
    """Where the model's gradients are those of the simulator, smoothed, as the recipe asks."""
    from discover.gradient_quality.measure import gradients

    asked = recipe.gradients or Gradients()
    return gradients(
        model,
        None,
        region_of(recipe, robot, dataset),
        asked.radii,
        robot=robot,
        outputs=model.outputs,
        dt=model.dt,
        starts=asked.starts,
        pairs=asked.pairs,
        seed=recipe.study.seed,
        name=name,
        progress=progress,
    )


def training_rows(dataset: Dataset) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """(q, v, tau, a) of the training part; None where the data hold next states only."""
    rows = dataset.part("train")
    return None if rows.a is None else (rows.q, rows.v, rows.tau, rows.a)


def write_report(exam: Examination, directory: Path | str) -> Path:
    """Store an examination in a folder, with its report; returns the report's path."""
    from discover.report import render

    return render(exam.save(directory, report=False))
