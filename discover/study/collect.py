"""From a recipe to its data set, be it simulated or recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from discover.blackbox.region import Region
from discover.data import recordings, simulated
from discover.data.dataset import Dataset
from discover.errors import RecipeError
from discover.study.recipes import Recipe
from discover.study.tomltext import write
from kinematics import Robot


def collect(recipe: Recipe, robot: Robot) -> Dataset:
    """The data of a recipe; its metadata hold the resolved recipe and the region (`region_of`)."""
    told = {"study": recipe.study.name, "recipe": _own_part(recipe)}
    given = recipe.region.build() if recipe.region is not None else None
    if recipe.data is not None and given is not None:
        return simulated.generate(recipe.data, given, robot, recipe.study.seed, **told)
    if recipe.recording is None:
        raise RecipeError("recipe: expected [data] with [region], or [recording], found neither")
    dataset = recordings.read(recipe.recording, robot, seed=recipe.study.seed, **told)
    dataset = recordings.aligned(dataset, robot)
    region = given.resolve(robot.nv) if given is not None else recordings.support(dataset)
    return replace(dataset, metadata={**dataset.metadata, "region": region.to_dict()})


def _own_part(recipe: Recipe) -> str:
    """The tables that decide the data; where the logs lie on this machine is not among them."""
    tables = recipe.to_dict()
    own = ("study", "robot", "region", "data", "recording")
    chosen: dict[str, Any] = {key: tables[key] for key in own if key in tables}
    if "recording" in chosen:
        chosen["recording"] = {**chosen["recording"], "folder": ""}
    return write(chosen)


def region_of(dataset: Dataset) -> Region:
    """The region that the data set's metadata name."""
    return Region.from_dict(dataset.metadata["region"])
