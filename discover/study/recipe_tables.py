"""The tables of a recipe: their keys, types, defaults and what they mean.

All are constant and closed: a key that is not here is an error, except among the options of a
model, which the model's own family checks.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from discover.blackbox.region import Region
from discover.errors import RegionError


class Section(BaseModel):
    """A table of a recipe: constant, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Study(Section):
    """What the study is called, and the seed from which every draw follows."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    seed: int = Field(default=0, ge=0)


class RobotEntry(Section):
    """Which robot: a bundled name, or a path (a relative one starts at the recipe's folder)."""

    source: str
    root: Literal["fixed", "free"] | None = None
    joint_terms: bool = False


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


class Data(Section):
    """States drawn from the simulator; `validation` and `test` are fractions of the samples.

    noise is the standard deviation of what is added to the labels of training and validation, as a
    fraction of each coordinate's root mean square. dt [s] is the step of next states and rollouts.
    """

    design: Literal["box", "sobol", "full_circle", "hole", "trajectories"] = "box"
    samples: PositiveInt = 10_000
    noise: float = Field(default=0.0, ge=0.0)
    validation: float = Field(default=0.1, ge=0.0, lt=1.0)
    test: float = Field(default=0.1, ge=0.0, lt=1.0)
    outputs: Literal["acceleration", "next_state"] = "acceleration"
    dt: PositiveFloat = 0.01
    hole: float = Field(default=0.5, gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Data:
        if self.validation + self.test >= 1:
            raise ValueError("expected validation + test below 1, found nothing left to train on")
        return self


class Columns(Section):
    """Which columns of a log are what; the lists have one entry a joint coordinate.

    v may be left out. tau is the joint force that acted (measured, if it was). In HDF5 a column is
    the path of a vector, or of a matrix with the column's place after it: `arm/q[0]`.
    """

    time: str
    q: tuple[str, ...] = Field(min_length=1)
    v: tuple[str, ...] | None = None
    tau: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _agree(self) -> Columns:
        lengths = {len(names) for names in (self.q, self.v, self.tau) if names is not None}
        if len(lengths) > 1:
            raise ValueError("expected as many columns for q as for v and tau")
        return self


class Scale(Section):
    """What a column is multiplied with to reach s, rad or m, rad/s or m/s, N·m or N."""

    time: PositiveFloat = 1.0
    q: float | tuple[float, ...] = 1.0
    v: float | tuple[float, ...] = 1.0
    tau: float | tuple[float, ...] = 1.0


class Smoothing(Section):
    """A Savitzky–Golay filter: polynomials of `order` over `window` samples (odd), in true time.

    q, v and tau go through the same filter, so that the equation of motion goes on holding between
    them. acceleration = "q": v and a are derivatives of q. "v": a is the derivative of v.
    """

    window: int = Field(default=41, ge=3)
    order: int = Field(default=3, ge=1)
    acceleration: Literal["q", "v"] = "q"

    @model_validator(mode="after")
    def _fit(self) -> Smoothing:
        if self.window % 2 == 0 or self.window <= self.order:
            raise ValueError(
                f"expected an odd window above the order, found window {self.window} "
                f"and order {self.order}"
            )
        if self.acceleration == "q" and self.order < 2:
            raise ValueError("expected an order of at least 2 for accelerations from q")
        return self


class Recording(Section):
    """Logs of a real machine, one file a trajectory; relative folders start at the working folder.

    train and test name files in the folder; for the formats "minari" and "lerobot" the folder is
    the data set's name, and they name its episodes by number. validation is the fraction of each
    training file, at its end, that is kept for early stopping. every keeps each n-th sample after
    filtering. unwrap joins angles that were recorded modulo a full turn. delay [s] is how much
    later joint forces were recorded than they acted, offset what they show when nothing acts: both
    are taken out.
    """

    folder: str = ""
    format: Literal["csv", "parquet", "hdf5", "minari", "lerobot"] = "csv"
    train: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = ()
    validation: float = Field(default=0.15, ge=0.0, lt=1.0)
    every: PositiveInt = 1
    unwrap: bool = False
    delay: float = 0.0
    offset: float | tuple[float, ...] = 0.0
    columns: Columns
    scale: Scale = Scale()
    smoothing: Smoothing = Smoothing()

    @model_validator(mode="after")
    def _is_split(self) -> Recording:
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise ValueError(f"expected each file in train or in test, found {both[0]} in both")
        return self


class Train(Section):
    """The training loop; what is not given is left to the loop's own defaults.

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


class ModelEntry(Section):
    """A world model: its kind, and options that belong to the kind (`options`).

    The kinds are "simulator" (the control), "file" (with path) and the families of
    `discover.models`. The family itself checks its options. train has what this model wants
    otherwise than `[train]` says.
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


class Examine(Section):
    """How hard to look. factor widens the region that is examined against the one of the data."""

    budget: Literal["quick", "standard", "thorough"] = "standard"
    factor: PositiveFloat = 1.0


class Report(Section):
    """What the report shows beside the verdict: the rollout's length [s], and the time ledger."""

    rollout_s: PositiveFloat = 5.0
    ledger: bool = True
