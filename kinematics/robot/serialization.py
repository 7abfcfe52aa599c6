"""A robot as plain lists and words that JSON keeps exactly, and back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, asdict, fields
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles.muscles import Muscles
from kinematics.robot.actuation import Actuation, Stepping
from kinematics.robot.joints import Mimic


def describe(robot: Any) -> dict[str, Any]:
    """The fields of ``robot`` as lists, words and numbers."""
    out: dict[str, Any] = {}
    for f in fields(robot):
        if not f.init:
            continue
        value = getattr(robot, f.name)
        if isinstance(value, Tensor):
            value = _encode(value.detach().cpu().to(torch.float64).tolist())
        if f.name in ("actuation", "muscles", "stepping") and value is None:
            continue  # as in descriptions that were written before robots had them
        if isinstance(value, Actuation | Muscles):
            value = value.to_dict()
        if isinstance(value, Stepping):
            value = asdict(value)
        if f.name == "mimic":
            value = [asdict(m) for m in value]
        out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def fields_of(
    cls: type[Any], description: dict[str, Any], arrays: Collection[str]
) -> dict[str, Any]:
    """The fields that ``describe`` wrote down; RobotError where it did not write this.

    ``cls`` is the robot's dataclass, ``arrays`` names its fields that are tensors.
    """
    if not isinstance(description, dict):
        raise RobotError(
            f"expected a dictionary of a Robot's fields, found {type(description).__name__}; "
            "write the description with Robot.to_dict"
        )
    known = {f.name: f for f in fields(cls) if f.init}
    unknown = [name for name in description if name not in known]
    if unknown:
        raise RobotError(
            f"expected the fields of a Robot, found unknown {', '.join(map(str, unknown))}; "
            "write the description with Robot.to_dict"
        )
    missing = [n for n, f in known.items() if n not in description and f.default is MISSING]
    if missing:
        raise RobotError(
            f"expected every field of a Robot, found none of {', '.join(missing)}; "
            "write the description with Robot.to_dict"
        )
    return {name: _field(name, value, name in arrays) for name, value in description.items()}


def _field(name: str, value: Any, is_array: bool) -> Any:
    try:
        if is_array:
            return torch.tensor(_decode(value), dtype=torch.float64)
        if name in ("joint_names", "body_names", "kinds", "notes"):
            return tuple(str(x) for x in value)
        if name == "parents":
            return [int(x) for x in value]
        if name == "mimic":
            return tuple(Mimic(**m) for m in value)
        if name == "actuation":
            return Actuation.from_dict(value)
        if name == "muscles":
            return Muscles.from_dict(value)
        if name == "stepping":
            return Stepping(**value)
        return float(value) if name == "friction_speed" else str(value)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise RobotError(
            f"expected {name} as Robot.to_dict writes it, found one that cannot be read "
            f"({' '.join(str(error).split())[:120]}); write it again"
        ) from error


def _encode(value: Any) -> Any:
    """Infinities as strings: strict JSON has no number for them."""
    if isinstance(value, list):
        return [_encode(x) for x in value]
    return str(value) if value in (float("inf"), float("-inf")) else value


def _decode(value: Any) -> Any:
    return [_decode(x) for x in value] if isinstance(value, list) else float(value)
