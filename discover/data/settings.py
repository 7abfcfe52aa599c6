"""Settings of a data set: states drawn from the simulator, or logs of a real machine.

A recipe's tables `[data]` and `[recording]` are these classes. All are constant, and a key that is
not here is refused.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Section(BaseModel):
    """A table of settings: constant; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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
    """The columns of a log; the lists have one entry a joint coordinate.

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
    """Factors from a column's unit to s, rad or m, rad/s or m/s, N·m or N."""

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
