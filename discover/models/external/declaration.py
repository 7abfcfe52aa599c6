"""A user's declaration of a model: order, scaling and units of its inputs, and its outputs.

Given as keywords to `discover.models.load`, or in a TOML file beside the model (`model.onnx` →
`model.toml`); keywords win. Nothing is guessed from the weights.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from discover.errors import ModelError
from discover.models.contract import OUTPUTS, Outputs
from discover.models.layout import Layout

INPUTS = ("q", "v", "tau")
Order = tuple[tuple[str, ...], ...]
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
ANSWERS = {"acceleration": ("a",), "next_state": ("q", "v"), "increment": ("q", "v")}


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The model is given (x - shift) / scale for each input x, and its answer y is taken as
    y * scale + shift, in the units declared by `angles`."""

    outputs: Outputs = "acceleration"
    """"acceleration": a; "next_state": q and v after dt; "increment": what q and v gain in dt."""
    dt: float | None = None
    """Step [s] of next states and increments."""
    order: Order | None = None
    """The inputs in the order of the call, by default by clear names in the file, or q, v, tau
    where it has none. An entry is a name, or several whose numbers stand side by side:
    [["q", "v"], "tau"] is an observation and an action. What the model does not take is left out.
    """
    joined: bool = False
    """One tensor with the inputs side by side, instead of three tensors."""
    dtype: str | None = None
    """"float32", "float64", "float16" or "bfloat16" where the file does not say."""
    angles: str = "rad"
    """"rad" or "deg": the unit of every angle that goes in or comes out."""
    input_shift: Mapping[str, Any] = field(default_factory=dict)
    input_scale: Mapping[str, Any] = field(default_factory=dict)
    output_shift: Mapping[str, Any] = field(default_factory=dict)
    output_scale: Mapping[str, Any] = field(default_factory=dict)
    """Per input q, v, tau and per output a (or q, v for steps): a number or one a coordinate."""
    nq: int | None = None
    nv: int | None = None
    kinds: tuple[str, ...] | None = None
    """Joint kinds in order, where there are quaternions or lengths among the coordinates."""
    home: tuple[float, ...] | None = None
    """A configuration well inside what the model was trained on; the sanity pass asks around it."""

    def __post_init__(self) -> None:
        if self.outputs not in OUTPUTS:
            raise ModelError(f"outputs: expected {_or(OUTPUTS)}, found '{self.outputs}'")
        if self.outputs != "acceleration" and not (self.dt is not None and self.dt > 0):
            raise ModelError(
                f"outputs '{self.outputs}' need the model's step: expected dt > 0 in seconds, "
                f"found {self.dt}"
            )
        if self.order is not None:
            entries = ((part,) if isinstance(part, str) else tuple(part) for part in self.order)
            object.__setattr__(self, "order", tuple(entries))
            parts = [name for part in self.order for name in part]
            if not parts or not set(parts) <= set(INPUTS) or len(set(parts)) < len(parts):
                raise ModelError(f"order: expected q, v and tau, at most once each, found {parts}")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ModelError(f"dtype: expected {_or(DTYPES)}, found '{self.dtype}'")
        if self.angles not in ("rad", "deg"):
            raise ModelError(f"angles: expected 'rad' or 'deg', found '{self.angles}'")
        for name, allowed in (
            ("input_shift", INPUTS),
            ("input_scale", INPUTS),
            ("output_shift", ANSWERS[self.outputs]),
            ("output_scale", ANSWERS[self.outputs]),
        ):
            for key, value in getattr(self, name).items():
                if key not in allowed:
                    raise ModelError(f"{name}: expected a key among {_or(allowed)}, found '{key}'")
                numbers = torch.as_tensor(value, dtype=torch.float64)
                if not bool(torch.isfinite(numbers).all()):
                    raise ModelError(f"{name}.{key}: expected finite numbers, found {value}")
                if name.endswith("scale") and bool((numbers == 0).any()):
                    raise ModelError(f"{name}.{key}: expected no zero, found {value}")

    def layout(self) -> Layout | None:
        """The layout, where nv or the joint kinds are declared."""
        if self.kinds is not None:
            layout = Layout.of(self.kinds, range(-1, len(self.kinds) - 1))
            for name, declared, implied in (("nq", self.nq, layout.nq), ("nv", self.nv, layout.nv)):
                if declared is not None and declared != implied:
                    raise ModelError(
                        f"{name}: the joint kinds make {implied}, declared is {declared}"
                    )
            return layout
        if self.nv is None:
            return None
        if self.nq is not None and self.nq != self.nv:
            raise ModelError(
                f"nq = {self.nq} and nv = {self.nv} differ: declare the kinds of the joints"
            )
        return Layout.plain(self.nv)


def declare(path: Path, options: Mapping[str, Any]) -> Declaration:
    """The declaration of the model at `path`: its TOML neighbour, overruled by `options`."""
    declared: dict[str, Any] = {}
    beside = path.with_suffix(".toml")
    if beside.is_file():
        try:
            declared = tomllib.loads(beside.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{beside}: expected TOML, found {error}") from error
        if {"study", "model"} <= declared.keys():
            declared = {}  # a recipe of the same name, which declares its models itself
    declared |= {key: value for key, value in options.items() if value is not None}
    valid = [f.name for f in fields(Declaration)]
    for key, value in declared.items():
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1) or valid
            raise ModelError(
                f"declaration of {path.name}: no key '{key}'; did you mean '{near[0]}'?"
            )
        if isinstance(value, list):
            declared[key] = tuple(value)
        if isinstance(value, torch.dtype):
            declared[key] = str(value).removeprefix("torch.")
    try:
        return Declaration(**declared)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"declaration of {path.name}: {error}; see discover.models.load"
        ) from error


def _or(names: Any) -> str:
    return " or ".join(f"'{name}'" for name in names)
