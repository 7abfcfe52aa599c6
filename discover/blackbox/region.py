"""The region of states in which a model is examined: a box in q, v and the controls."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from discover.errors import RegionError

GROUPS = ("q", "v", "tau")


class Bounds(NamedTuple):
    """The sides of a box, `low < high`, both of shape () or (nv,), in the units of the group."""

    low: Tensor
    high: Tensor

    @property
    def centre(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def half_width(self) -> Tensor:
        return (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A box of configurations, velocities and joint forces, or of controls in their place.

    Each of q [rad | m], v [rad/s | m/s] and tau [N·m | N] is one of

    - a scalar: the half-width about zero of every coordinate;
    - a list, array or tensor of shape (nv,): half-widths about zero, one a coordinate;
    - a pair `(low, high)` of scalars or of (nv,) sequences. A pair is a *tuple* of two, a list of
      two sequences, an array of shape (2, nv), or a mapping with the keys `low` and `high`.

    So for two joints `(-1.0, 2.0)` is a pair and `[1.0, 2.0]` are half-widths. Coordinates of free
    and spherical joints are offsets in the tangent space at the neutral configuration:
    q = integrate(robot, neutral, offset).

    Where a model is asked with controls that are not the joint forces themselves (motors with
    gears, fewer of them than joints, servos), `u` is given in the place of `tau`, one value a
    control, in the controls' own units. It then stands in `region.tau` as well.

    After construction `region.q`, `.v` and `.tau` are `Bounds(low, high)` of float64 tensors;
    `resolve(nv)` widens scalars to (nv,). Raises RegionError where a side is not finite, the
    region is inside out, or lengths do not agree.
    """

    q: Any
    v: Any
    tau: Any = None
    u: Any = None

    def __post_init__(self) -> None:
        if (self.tau is None) == (self.u is None):
            found = "neither" if self.tau is None else "both"
            raise RegionError(
                f"region: expected one of tau (joint forces) and u (controls), found {found}"
            )
        commanded = "u" if self.tau is None else "tau"
        for group, name in zip(GROUPS, ("q", "v", commanded), strict=True):
            object.__setattr__(self, group, _bounds(name, getattr(self, name)))
        if self.u is not None:
            object.__setattr__(self, "u", self.tau)
        counted = GROUPS if self.u is None else GROUPS[:2]
        lengths = {g: getattr(self, g).low.shape[0] for g in counted if getattr(self, g).low.ndim}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{g} has {n}" for g, n in lengths.items())
            raise RegionError(
                f"region: expected one length for {', '.join(counted[:-1])} and {counted[-1]}, "
                f"found {found}; give each a scalar or one value a joint coordinate"
            )

    @property
    def nv(self) -> int | None:
        """How many velocity coordinates the region's vectors have; None if it has scalars only."""
        for group in GROUPS if self.u is None else GROUPS[:2]:
            low = getattr(self, group).low
            if low.ndim:
                return int(low.shape[0])
        return None

    @property
    def nu(self) -> int | None:
        """How many controls the region names; None where it has a scalar for all of them."""
        return int(self.tau.low.shape[0]) if self.tau.low.ndim else None

    def resolve(self, nv: int, nu: int | None = None) -> Region:
        """The same region with every side of shape (nv,), that of the controls (nu,), which is nv
        unless it is given; RegionError where it does not fit."""
        if nv < 1:
            raise RegionError(f"region: expected at least one joint coordinate, found nv = {nv}")
        if self.nv is not None and self.nv != nv:
            raise RegionError(
                f"region: expected {nv} values a vector (the robot's nv), found {self.nv}; "
                "give a scalar or one value a joint coordinate"
            )
        commands = nv if nu is None else nu
        if self.nu is not None and self.nu != commands:
            raise RegionError(
                f"region: expected {commands} controls, found {self.nu}; give a scalar or one "
                "value a control"
            )
        sides = {}
        for group, name, n in zip(GROUPS, self._names, (nv, nv, commands), strict=True):
            bounds = getattr(self, group)
            sides[name] = (bounds.low.expand(n).clone(), bounds.high.expand(n).clone())
        return Region(**sides)

    @property
    def _names(self) -> tuple[str, str, str]:
        return GROUPS if self.u is None else (*GROUPS[:2], "u")

    def scaled(self, factor: float, groups: Sequence[str] = GROUPS) -> Region:
        """The region widened `factor`-fold about its centre, in the named groups only."""
        sides = {}
        for group, name in zip(GROUPS, self._names, strict=True):
            bounds = getattr(self, group)
            k = factor if group in groups else 1.0
            half = bounds.half_width * k
            sides[name] = (bounds.centre - half, bounds.centre + half)
        return Region(**sides)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for TOML and JSON; `from_dict` gives the same region back."""
        return {n: _plain(getattr(self, g)) for g, n in zip(GROUPS, self._names, strict=True)}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Region:
        """From a mapping with exactly the keys q, v and tau, or q, v and u."""
        if set(entries) not in (set(GROUPS), {*GROUPS[:2], "u"}):
            found = ", ".join(map(str, entries)) or "nothing"
            raise RegionError(
                f"region: expected the keys q, v and tau (or u, of controls), found {found}"
            )
        return cls(**entries)

    @classmethod
    def from_toml(cls, path: str | Path) -> Region:
        """From a TOML file with q, v and tau (or u) at its top level or in a table `[region]`."""
        try:
            entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RegionError(f"region: cannot read {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RegionError(f"region: {path} is not TOML: {error}") from error
        return cls.from_dict(entries.get("region", entries))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Region):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))

    def __repr__(self) -> str:
        sides = ", ".join(f"{g}={_show(v)}" for g, v in self.to_dict().items())
        return f"Region({sides})"


def _bounds(group: str, given: Any) -> Bounds:
    if isinstance(given, Bounds):
        low, high = given
    elif isinstance(given, Mapping):
        if set(given) != {"low", "high"}:
            raise RegionError(
                f"region.{group}: expected the keys low and high, found {_show(list(given))}"
            )
        low, high = given["low"], given["high"]
    elif _is_pair(given):
        low, high = given[0], given[1]
    else:
        high = _numbers(group, given)
        low = -high
        if bool((high <= 0).any()):
            raise RegionError(
                f"region.{group}: expected half-widths above zero, found {_show(high.tolist())}"
            )
    low, high = _numbers(group, low), _numbers(group, high)
    if low.ndim and high.ndim and low.shape != high.shape:
        raise RegionError(
            f"region.{group}: expected low and high of one length, "
            f"found {low.shape[0]} and {high.shape[0]}"
        )
    low, high = torch.broadcast_tensors(low, high)
    if not bool((low < high).all()):
        raise RegionError(
            f"region.{group}: expected low < high in every coordinate, found low = "
            f"{_show(low.tolist())}, high = {_show(high.tolist())}; a tuple of two is a pair "
            "(low, high), half-widths are a scalar or a list"
        )
    return Bounds(low.clone(), high.clone())


def _is_pair(given: Any) -> bool:
    if isinstance(given, Tensor | np.ndarray):
        return given.ndim == 2 and given.shape[0] == 2
    if isinstance(given, tuple):
        return len(given) == 2
    if isinstance(given, list) and len(given) == 2:
        return all(np.ndim(_detached(side)) == 1 for side in given)
    return False


def _detached(given: Any) -> Any:
    return given.detach().cpu().numpy() if isinstance(given, Tensor) else given


def _numbers(group: str, given: Any) -> Tensor:
    """A float64 tensor of shape () or (nv,), finite."""
    try:
        values = np.array(_detached(given), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RegionError(
            f"region.{group}: expected numbers, found {_show(given)}; "
            "give a half-width, a list of half-widths, or a pair (low, high)"
        ) from error
    if values.ndim > 1 or values.size == 0:
        raise RegionError(
            f"region.{group}: expected a scalar or one value a joint coordinate, "
            f"found an array of shape {values.shape}"
        )
    if isinstance(given, bool) or not np.isfinite(values).all():
        raise RegionError(f"region.{group}: expected finite numbers, found {_show(given)}")
    return torch.from_numpy(values)


def _plain(bounds: Bounds) -> Any:
    low, high = bounds.low.tolist(), bounds.high.tolist()
    if torch.equal(bounds.low, -bounds.high):
        return high
    return {"low": low, "high": high}


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else str(value)
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
