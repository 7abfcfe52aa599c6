"""The tables of a recipe: their keys, types, defaults and what they mean.

All are constant and closed: a key that is not here is an error, except among the options of a
model, which the model's own family checks.
"""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any, Literal

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from discover.blackbox.region import Region
from discover.data.settings import Section
from discover.errors import RegionError


class Study(Section):
    """What the study is called, and the seed from which every draw follows."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    seed: int = Field(default=0, ge=0)


class RobotEntry(Section):
    """Which robot: a bundled name, or a path (a relative one starts at the recipe's folder).

    lock: joints that are held, at their positions [rad | m]. gravity (3,) [m/s²] in the base's
    frame, of a robot on a wall or a ceiling. armature [kg·m² | kg]: reflected rotor inertia, one
    number, one a joint coordinate, or by joint; it stands instead of the description's.
    """

    source: str
    root: Literal["fixed", "free"] | None = None
    joint_terms: bool = False
    lock: dict[str, float | tuple[float, ...]] | None = None
    gravity: tuple[float, float, float] | None = None
    armature: float | tuple[float, ...] | dict[str, float] | None = None


class Sides(Section):
    """The sides of a box."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]


Extent = float | tuple[float, ...] | tuple[tuple[float, ...], tuple[float, ...]] | Sides


class RegionEntry(Section):
    """Half-widths about zero (a number, or a list: one a coordinate), or low and high."""

    q: Extent
    v: Extent
    tau: Extent

    @model_validator(mode="after")
    def _is_a_region(self) -> RegionEntry:
        try:
            self.build()
        except RegionError as error:
            raise ValueError(str(error)) from error
        return self

    def build(self) -> Region:
        return Region.from_dict(self.model_dump(mode="json"))


class Train(Section):
    """The training loop; keys that are not given take the loop's defaults (`TrainingConfig`).

    budget_s [s] is a guard for slow machines: where it shortens the training, another machine ends
    with another network. device is "auto", "cpu" or "cuda", devices how many of them share each
    batch. rollout is how many steps of its own a model of steps is trained on. compile lets
    torch.compile build the step. tensorboard writes event files beside the model, where that
    package is installed.
    """

    epochs: PositiveInt | None = None
    budget_s: PositiveFloat | None = None
    batch: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: float | None = Field(default=None, ge=0.0)
    patience: int | None = Field(default=None, ge=0)
    precision: Literal["float32", "float64", "bf16"] | None = None
    rollout: PositiveInt | None = None
    compile: bool | None = None
    device: str | None = None
    devices: PositiveInt | None = None
    tensorboard: bool | None = None

    @property
    def descent(self) -> dict[str, Any]:
        """The options of the training loop that are given, without device and time budget."""
        kept = {"device", "devices", "budget_s", "tensorboard"}
        return self.model_dump(exclude=kept, exclude_none=True)


CONTROL, FILE = "simulator", "file"  # the kinds of models that are not trained
OBSERVATION = "observation"  # the key of a file's model that names its layout


class ModelEntry(Section):
    """A world model: its kind, and options that belong to the kind (`options`).

    The kinds are "simulator" (the control), "file" and the families of `discover.models`. A file
    has a path (a relative one starts at the recipe's folder), and its options are the fields of
    `models.external.declaration.Declaration` that the robot does not settle, or `observation`, the
    TOML file (beside the recipe) of a network over observations. A family checks its own options.
    train: changes to `[train]` for this model.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    kind: str
    path: str | None = None
    train: Train = Train()

    @property
    def options(self) -> dict[str, Any]:
        """The keys that only the model's family understands, such as width and depth."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ModelEntry:
        where = f"model.{self.name}"
        if self.kind != FILE and self.path is not None:
            raise ValueError(
                f"{where}.path: expected a path for kind 'file' only, found kind {self.kind!r}"
            )
        if self.kind == FILE and self.path is None:
            raise ValueError(f"{where}.path: expected a file for kind 'file', found nothing")
        if self.kind not in (FILE, CONTROL):
            return self  # the family knows its options
        allowed = ["name", "path", OBSERVATION, *_declarable()] if self.kind == FILE else ["name"]
        for key in self.options:
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(
                    f"unknown key {where}.{key}; {hint}(keys of kind {self.kind!r}: "
                    f"{', '.join(allowed)})"
                )
        return self


def _declarable() -> list[str]:
    """What a recipe may declare of a model in a file; the robot settles its coordinates."""
    from discover.models.external.declaration import Declaration

    return [f.name for f in fields(Declaration) if f.name not in ("nq", "nv", "kinds")]


class Examine(Section):
    """Budget of queries, and the factor by which the data's region is widened to be examined."""

    budget: Literal["quick", "standard", "thorough"] = "standard"
    factor: PositiveFloat = 1.0


class Report(Section):
    """What the report shows beside the verdict: the rollout's length [s], and the time ledger."""

    rollout_s: PositiveFloat = 5.0
    ledger: bool = True


class Inside(Section):
    """A look inside every network, beside its verdict: what is asked, starts of a fit, and seconds
    of processor time a network. Without this table nobody looks."""

    variables: tuple[Literal["roles", "factors"], ...] = Field(
        default=("roles", "factors"), min_length=1
    )
    seeds: PositiveInt = 3
    budget_s: PositiveFloat = 300.0


class Gradients(Section):
    """The gradients of every model against the simulator's, smoothed, beside its verdict: lengths
    in half-widths of the region, starts, and antithetic pairs. Without this table nobody measures.
    """

    radii: tuple[PositiveFloat, ...] = Field(default=(0.01, 0.03, 0.1, 0.3, 1.0), min_length=1)
    starts: int = Field(default=24, ge=2)
    pairs: int = Field(default=512, ge=2)
