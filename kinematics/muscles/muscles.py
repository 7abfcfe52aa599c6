"""The muscles of a robot: paths, a law of force, and the limits of what goes in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles import activation, exponentials, millard, mixed, mujoco, tendon
from kinematics.muscles.curves import Forces
from kinematics.muscles.paths import Paths

# where the classes of force laws lie that a description may name
_CHAPTERS = (activation, exponentials, millard, mixed, mujoco, tendon)


@dataclass(frozen=True, kw_only=True, eq=False)
class Muscles:
    """nm muscles.

    paths       their paths, with their names and the wrap rule
    forces      their law of force, see `kinematics.muscles.curves.Forces`; None where only the
                geometry is known
    low, high   (nm,) limits of the excitations
    least, most (nm,) limits of the tensions [N], infinite where there are none
    excited     (nm,) whether activation follows excitation by its own dynamics; where it does not,
                it is the excitation
    """

    paths: Paths
    forces: Forces | None
    low: Tensor
    high: Tensor
    least: Tensor
    most: Tensor
    excited: tuple[bool, ...]

    def __post_init__(self) -> None:
        sizes = {n: tuple(getattr(self, n).shape) for n in ("low", "high", "least", "most")}
        sizes["excited"] = (len(self.excited),)
        if self.forces is not None:
            sizes["forces"] = (self.forces.nm,)
        wrong = [name for name, shape in sizes.items() if shape != (self.nm,)]
        if wrong:
            raise RobotError(
                f"expected {self.nm} muscles' {wrong[0]}, one each, found shape {sizes[wrong[0]]}; "
                "give one value a path"
            )

    @classmethod
    def of(
        cls,
        paths: Paths,
        forces: Forces | None = None,
        *,
        low: Any = 0.0,
        high: Any = 1.0,
        least: Any = -torch.inf,
        most: Any = torch.inf,
        excited: Any = True,
    ) -> Muscles:
        """Muscles of paths and a law of force; limits are numbers or one number a muscle."""

        def each(x: Any) -> Tensor:
            try:
                return torch.as_tensor(x, dtype=torch.float64).expand(paths.nm).clone()
            except (TypeError, ValueError, RuntimeError) as error:
                raise RobotError(
                    f"expected limits as numbers, one or one a muscle ({paths.nm}), found "
                    f"{str(x)[:60]!r}; give one a muscle"
                ) from error

        return cls(
            paths=paths,
            forces=forces,
            low=each(low),
            high=each(high),
            least=each(least),
            most=each(most),
            excited=tuple(bool(x) for x in each(excited)),
        )

    @property
    def nm(self) -> int:
        """Number of muscles."""
        return self.paths.nm

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return self.paths.names

    @property
    def wrap_rule(self) -> str:
        """The rule by which paths choose their way over surfaces, see `kinematics.muscles.wraps`;
        the same description has other lengths under another rule."""
        return self.paths.rule

    @property
    def nz(self) -> int:
        """Numbers of internal state: an activation a muscle, then the fibre lengths of those whose
        tendons stretch."""
        return self.nm + (self.forces.nf if self.forces is not None else 0)

    def __repr__(self) -> str:
        """One line: how many, the rule, the first names."""
        listed = ", ".join(self.names[:6]) + (", …" if self.nm > 6 else "")
        return f"Muscles({self.nm}, wrap_rule={self.wrap_rule!r}: {listed})"

    def on(self, paths: Paths) -> Muscles:
        """The same muscles along other paths."""
        return replace(self, paths=paths)

    def tension(self, length: Tensor, rate: Tensor, activation: Tensor, *fibre: Tensor) -> Tensor:
        """Tensions (..., nm) [N] at path lengths [m], rates [m/s] and activations, within their
        limits."""
        if self.forces is None:
            raise RobotError(
                "expected muscles with a law of force, found paths alone; give forces to Muscles.of"
            )
        pull = self.forces.force(length, rate, activation, *fibre)
        return torch.minimum(torch.maximum(pull, self.least.to(pull)), self.most.to(pull))

    def excitation(self, u: Tensor) -> Tensor:
        """Excitations (..., nm) within their limits."""
        return torch.minimum(torch.maximum(u, self.low.to(u)), self.high.to(u))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and words that strict JSON can hold."""
        return {
            "paths": self.paths.to_dict(),
            "forces": _encode(self.forces),
            "excited": list(self.excited),
            **{name: _encode(getattr(self, name)) for name in ("low", "high", "least", "most")},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Muscles:
        """The inverse of `to_dict`. RobotError where it names no law of force that we know."""
        return cls(
            paths=Paths.from_dict(record["paths"]),
            forces=_decode(record["forces"]),
            excited=tuple(bool(x) for x in record["excited"]),
            **{name: _decode(record[name]) for name in ("low", "high", "least", "most")},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SeparatePassive:
    """A law whose passive force has parameters of its own, as MuJoCo's gain and bias may: that of
    ``active`` (which has no passive force), plus that of ``passive`` at rest activation."""

    active: Any
    passive: Any

    @property
    def nm(self) -> int:
        """Number of muscles."""
        return self.active.nm

    @property
    def nf(self) -> int:
        """No fibre lengths."""
        return 0

    def force(self, length: Any, rate: Any, activation: Any, fibre: Tensor | None = None) -> Tensor:
        """Tension (..., nm) [N]."""
        pull = self.active.force(length, rate, activation)
        return pull + self.passive.force(length, rate, torch.zeros_like(pull))

    def activation_rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (..., nm) [1/s]."""
        return self.active.activation_rate(u, activation)

    def equilibrium(self, length: Any, activation: Any) -> Tensor:
        """No fibre lengths, (..., 0)."""
        return self.active.equilibrium(length, activation)

    def fibre_rate(self, length: Any, rate: Any, activation: Any, fibre: Any) -> Tensor:
        """No rates, (..., 0)."""
        return self.active.fibre_rate(length, rate, activation, fibre)


def _encode(x: Any) -> Any:
    """A value as lists and words: dataclasses by name and fields, infinities as text."""
    if isinstance(x, Tensor):
        return {"numbers": _encode(x.detach().cpu().double().tolist())}
    if is_dataclass(x) and not isinstance(x, type):
        held = {f.name: _encode(getattr(x, f.name)) for f in fields(x) if f.init}
        return {"class": type(x).__name__, "fields": held}
    if isinstance(x, list | tuple):
        return [_encode(y) for y in x]
    return str(x) if x in (torch.inf, -torch.inf) else x


def _decode(x: Any) -> Any:
    """The inverse of `_encode`; only classes of this folder are made."""
    if isinstance(x, dict) and "numbers" in x:
        return torch.tensor(_floats(x["numbers"]), dtype=torch.float64)
    if isinstance(x, dict):
        name = str(x["class"])
        known = {
            key: value
            for chapter in _CHAPTERS
            for key, value in vars(chapter).items()
            if is_dataclass(value) and isinstance(value, type)
        }
        known["SeparatePassive"] = SeparatePassive
        if name not in known:
            raise RobotError(
                f"expected a law of force among {', '.join(sorted(known))}, found {name[:60]!r}; "
                "write the description with Robot.to_dict"
            )
        return known[name](**{key: _decode(value) for key, value in x["fields"].items()})
    return tuple(_decode(y) for y in x) if isinstance(x, list) else x


def _floats(x: Any) -> Any:
    return [_floats(y) for y in x] if isinstance(x, list) else float(x)
