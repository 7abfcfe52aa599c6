"""Settings of a data set: states drawn from the simulator, or logs of a real machine.

A recipe's tables `[data]` and `[recording]` are these classes. All are constant, and a key that is
not here is refused.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

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


Column = str | Annotated[int, Field(ge=0)]


class Base(Section):
    """The columns of a free base: position (3) [m] in the world, unit quaternion (4) in `order`,
    and its twist, or none: angular (3) [rad/s] and linear (3) [m/s] in the frame of body or world.
    """

    position: tuple[Column, Column, Column]
    quaternion: tuple[Column, Column, Column, Column]
    order: Literal["wxyz", "xyzw"] = "wxyz"
    angular: tuple[Column, Column, Column] | None = None
    linear: tuple[Column, Column, Column] | None = None
    frame: Literal["body", "world"] = "body"

    @model_validator(mode="after")
    def _has_a_whole_twist(self) -> Base:
        if (self.angular is None) != (self.linear is None):
            raise ValueError("expected both of angular and linear, or neither, found one")
        return self


class Columns(Section):
    """The columns of a log; the lists have one entry a joint coordinate.

    A column is a name, or a number from 0 where the file has no header. v may be left out, time too
    where `rate` is given. tau is the joint force that acted (measured, if it was). In HDF5, NumPy
    and MATLAB files a column is the path of a vector, or of a matrix with the column's place after
    it: `arm/q[0]`. Of a log in several files, `part:column`; time is then one column a part, or
    one for all. "= a * (b - c)" computes a column from others and from the file's scalars.
    """

    time: Column | dict[str, Column] | None = None
    q: tuple[Column, ...] = ()
    v: tuple[Column, ...] | None = None
    tau: tuple[Column, ...] = ()
    base: Base | None = None

    @model_validator(mode="after")
    def _agree(self) -> Columns:
        lengths = {len(names) for names in (self.q, self.v, self.tau) if names is not None}
        if len(lengths) > 1:
            raise ValueError("expected as many columns for q as for v and tau")
        if not self.q and self.base is None:
            raise ValueError("expected at least one column of q, found none")
        return self


class Scale(Section):
    """Factors from a column's unit to s, rad or m, rad/s or m/s, N·m or N."""

    time: PositiveFloat = 1.0
    q: float | tuple[float, ...] = 1.0
    v: float | tuple[float, ...] = 1.0
    tau: float | tuple[float, ...] = 1.0


class Units(Section):
    """Units of the columns in words, one for all coordinates or one each; `Scale` comes on top."""

    time: str = "s"
    q: str | tuple[str, ...] | None = None
    v: str | tuple[str, ...] | None = None
    tau: str | tuple[str, ...] | None = None


class Smoothing(Section):
    """A Savitzky–Golay filter: polynomials of `order` over `window` samples (odd), in true time.

    q, v and tau go through the same filter, so that the equation of motion goes on holding between
    them. acceleration = "q": v and a are derivatives of q. "v": a is the derivative of v.
    window = "auto" is chosen from the training logs by cross-validation.
    """

    window: Annotated[int, Field(ge=3)] | Literal["auto"] = 41
    order: int = Field(default=3, ge=1)
    acceleration: Literal["q", "v"] = "q"

    @model_validator(mode="after")
    def _fit(self) -> Smoothing:
        if self.window != "auto" and (self.window % 2 == 0 or self.window <= self.order):
            raise ValueError(
                f"expected an odd window above the order, found window {self.window} "
                f"and order {self.order}"
            )
        if self.acceleration == "q" and self.order < 2:
            raise ValueError("expected an order of at least 2 for accelerations from q")
        return self


class Payload(Section):
    """What some of the logs carried beside the robot: a tool, a weight, one rigid body.

    logs  their names, or patterns such as "loaded_*": of a name (with or without its ending), or
          of the end of its path ("loaded/*", or the folder "loaded")
    link  the body that it is fixed to; left out, the last of the longest chain
    mass  [kg], where it is known: then it settles the factors of currents or volts

    One pattern, or a list of them, stands for a table with `logs` alone.
    """

    logs: tuple[str, ...] = Field(min_length=1)
    link: str | None = None
    mass: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_patterns(cls, given: Any) -> Any:
        if isinstance(given, str | list | tuple):
            given = {"logs": given}
        if isinstance(given, dict) and isinstance(given.get("logs"), str):
            given = {**given, "logs": (given["logs"],)}
        return given


Format = Literal[
    "auto", "csv", "parquet", "hdf5", "npz", "json", "mat", "rosbag", "minari", "lerobot"
]


class LogLayout(Section):
    """What the columns of a log mean: `--columns FILE.toml`, or the keys of `[recording]`.

    format     how files are read; "auto" goes by their endings
    columns    which column is what; joints names the joints they belong to, in their order (all
               of the robot's, in its order, where it is left out)
    rate       [Hz] of a log without a time column
    units, scale   from the columns to SI units
    reduction  motor to joint, where motors were logged: a gear a joint, or the matrix R with
               motor angle = R · joint angle; joint force = Rᵀ · motor force
    zero       what is added to each joint position after that [rad | m]
    offset     joint force that the log shows when nothing acts [N·m | N]; it is taken out
    delay      [s] how much later joint forces were recorded than they acted; it is taken out
    unwrap     joins angles that were recorded modulo a full turn
    files      one log in several files, by part: a file name in the log's folder, or a pattern such
               as "{log}_pos.csv"
    separator, decimal, header   of text; found out where they are left out
    topic      of a ROS bag with several topics of joint states
    repeated   rows with the time of the row before: "refuse", or take the "mean" of such rows
    payload    which logs carried what, by its label: for `discover identify`
    """

    format: Format = "auto"
    columns: Columns
    joints: tuple[str, ...] | None = None
    rate: PositiveFloat | None = None
    units: Units = Units()
    scale: Scale = Scale()
    reduction: tuple[float, ...] | tuple[tuple[float, ...], ...] | None = None
    zero: float | tuple[float, ...] = 0.0
    offset: float | tuple[float, ...] = 0.0
    delay: float = 0.0
    unwrap: bool = False
    files: dict[str, str] | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    topic: str | None = None
    repeated: Literal["refuse", "mean"] = "mean"
    payload: dict[str, Payload] | None = None

    @model_validator(mode="after")
    def _has_a_clock(self) -> LogLayout:
        if (self.columns.time is None) == (self.rate is None):
            found = "neither" if self.rate is None else "both"
            raise ValueError(f"expected one of columns.time and rate, found {found}")
        return self


class Recording(LogLayout):
    """Logs of a real machine, one a trajectory; relative folders start at the working folder, and
    may begin with an environment variable, $NAME, or with ~.

    train and test name files in the folder; for the formats "minari" and "lerobot" the folder is
    the data set's name, and they name its episodes by number. validation is the fraction of each
    training file, at its end, that is kept for early stopping. every keeps each n-th sample after
    filtering.
    """

    folder: str = ""
    repeated: Literal["refuse", "mean"] = "refuse"
    train: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = ()
    validation: float = Field(default=0.15, ge=0.0, lt=1.0)
    every: PositiveInt = 1
    smoothing: Smoothing = Smoothing()

    @property
    def place(self) -> str:
        """The folder with variables of the environment filled in; "" where one of them is not set,
        or none was named."""
        found = os.path.expandvars(self.folder)
        if "$" in found and found == self.folder:
            return ""
        named = self.format in ("minari", "lerobot")
        return found if named else os.path.expanduser(found)

    @model_validator(mode="after")
    def _is_split(self) -> Recording:
        if self.payload:
            raise ValueError(
                "expected logs of one load, found payload: a world model is not told what a log "
                "carried; `discover identify` takes such logs"
            )
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise ValueError(f"expected each file in train or in test, found {both[0]} in both")
        return self
