"""Recipes: the description of a study, read from TOML into constant, typed tables.

An unknown key, a value of the wrong type or a missing table is a RecipeError of one line that names
the place and the nearest valid key. Recipes do not inherit from each other.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import Field, ValidationError, field_validator, model_validator

from discover.artifacts import read_toml
from discover.data.settings import Data, Recording, Section
from discover.errors import RecipeError
from discover.study.overrides import override
from discover.study.recipe_tables import (
    OBSERVATION,
    Examine,
    Gradients,
    Inside,
    ModelEntry,
    RegionEntry,
    Report,
    RobotEntry,
    Study,
    Train,
)


class Recipe(Section):
    """A whole study. Either `[data]` with `[region]`, or `[recording]` (then the region is where
    the training trajectories went, unless one is given)."""

    study: Study
    robot: RobotEntry
    region: RegionEntry | None = None
    data: Data | None = None
    recording: Recording | None = None
    model: tuple[ModelEntry, ...] = Field(min_length=1)
    train: Train = Train()
    examine: Examine = Examine()
    report: Report = Report()
    inside: Inside | None = None
    gradients: Gradients | None = None

    @field_validator("model")
    @classmethod
    def _names_differ(cls, entries: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
        names = [entry.name for entry in entries]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"expected a different name for each model, found {twice[0]!r} twice")
        return entries

    @model_validator(mode="after")
    def _has_one_source(self) -> Recipe:
        if (self.data is None) == (self.recording is None):
            found = "neither" if self.data is None else "both"
            raise ValueError(f"expected one table of [data] and [recording], found {found}")
        if self.data is not None and self.region is None:
            raise ValueError("expected a table [region] beside [data], found none")
        return self

    def training(self, model: str) -> Train:
        """How the named model is trained: `[train]` with the model's own changes."""
        entry = next((m for m in self.model if m.name == model), None)
        if entry is None:
            names = ", ".join(m.name for m in self.model)
            raise RecipeError(f"recipe: expected a model of {names}, found {model!r}")
        return self.train.model_copy(update=entry.train.model_dump(exclude_none=True))

    def to_dict(self) -> dict[str, Any]:
        """Every value, defaults included, as plain tables that TOML and JSON can hold."""
        tables: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        for holder in (tables, *tables["model"]):
            if not holder["train"]:
                del holder["train"]
        return tables

    def to_toml(self) -> str:
        return tomlkit.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any], origin: str = "recipe") -> Recipe:
        """Check nested tables; origin stands at the head of the error, should there be one."""
        try:
            return cls.model_validate_json(json.dumps(tables, default=str))
        except ValidationError as error:
            raise RecipeError(f"{origin}: {_first(error)}") from error


def load(source: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """Read a recipe from a TOML file or by the name of a bundled one; settings are `a.b=value`."""
    path = find(source)
    tables = read_toml(path, "recipe", RecipeError)
    recipe = Recipe.from_dict(override(tables, settings), f"recipe {path.name}")
    return recipe.model_copy(
        update={
            "robot": _beside(recipe.robot, path.parent),
            "model": tuple(_model_beside(entry, path.parent) for entry in recipe.model),
        }
    )


def find(source: str | Path) -> Path:
    """The file of a recipe, given its path or a bundled name such as `panda`."""
    path = Path(source)
    if path.is_file():
        return path
    bundled = bundled_recipes()
    if str(source) in bundled:
        return bundled[str(source)]
    near = difflib.get_close_matches(path.stem, bundled, n=1)
    mend = f"did you mean {near[0]!r}?" if near else f"bundled are {', '.join(bundled) or 'none'}"
    raise RecipeError(f"recipe: no file and no bundled recipe is called {str(source)!r}; {mend}")


def bundled_recipes() -> dict[str, Path]:
    """The recipes that come with the project, by name."""
    return {path.stem: path for path in sorted((datasets_root() / "recipes").glob("*.toml"))}


def datasets_root() -> Path:
    """Where recipes, robots and cards lie: in the installed package, or beside it in a clone."""
    package = Path(__file__).resolve().parent.parent
    installed, clone = package / "_datasets", package.parent / "datasets"
    if installed.is_dir():
        return installed
    if clone.is_dir() and (package.parent / "pyproject.toml").is_file():
        return clone
    raise RecipeError(
        f"expected the bundled recipes in {installed} or {clone}, found neither; reinstall worldlaw"
    )


def _beside(robot: RobotEntry, folder: Path) -> RobotEntry:
    """A robot file named relative to its recipe, made absolute if it is there."""
    path = folder / robot.source
    if Path(robot.source).suffix in (".urdf", ".xml") and path.is_file():
        return robot.model_copy(update={"source": str(path.resolve())})
    return robot


def _model_beside(entry: ModelEntry, folder: Path) -> ModelEntry:
    """A model's files named relative to its recipe, made absolute."""
    if entry.path is None:
        return entry
    found = {"path": entry.path}
    layout = entry.options.get(OBSERVATION)
    if isinstance(layout, str):
        found[OBSERVATION] = layout
    # `file.py:factory` included
    absolute = {key: str((folder / Path(x).expanduser()).resolve()) for key, x in found.items()}
    return entry.model_copy(update=absolute)


def file_of(path: str | Path) -> Path:
    """The file of a model's path, which may have a factory's name behind it: `file.py:factory`."""
    file, _, _ = str(path).rpartition(":")
    return Path(file if file.endswith(".py") else path)


def _first(error: ValidationError) -> str:
    """The first validation error, in one line."""
    found = error.errors(include_url=False)[0]
    keys = [part for part in found["loc"] if not _is_choice(part)]
    place = ".".join(str(key) for key in keys)
    if found["type"] == "extra_forbidden":
        return _unknown(keys, place)
    if found["type"] == "missing":
        return f"expected {place}, found nothing; add it"
    message = found["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if found["type"] == "value_error":
        return f"{place}: {message}" if place and not message.startswith(place) else message
    shown = " ".join(repr(found["input"]).split())
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{place}: {message.replace('input should', 'the value should')}, found {shown}"


def _is_choice(part: int | str) -> bool:
    """Whether a part of an error's place is a member of a union that pydantic tried, not a key."""
    return isinstance(part, str) and ("[" in part or part in ("float", "Sides"))


def _unknown(keys: list[int | str], place: str) -> str:
    table: Any = Recipe
    for key in keys[:-1]:
        if isinstance(key, str):
            table = _table_of(table.model_fields[key].annotation) or table
    valid = list(table.model_fields)
    near = difflib.get_close_matches(str(keys[-1]), valid, n=1, cutoff=0.0)
    return f"unknown key {place}; did you mean {near[0]!r}? (keys here: {', '.join(valid)})"


def _table_of(annotation: Any) -> type[Section] | None:
    """The table type inside an annotation such as `Data | None` or `tuple[ModelEntry, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        table = _table_of(argument)
        if table is not None:
            return table
    return None
