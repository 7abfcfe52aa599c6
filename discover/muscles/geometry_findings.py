"""The findings about muscle geometry: a verdict and a law by muscle, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from discover.errors import ModelError
from discover.muscles.integrability import Integrability
from discover.muscles.path_laws import Block
from discover.records import Stored

ZERO, SLIGHT, CROSSES = "0", "slight", "crosses"


@dataclass(frozen=True, kw_only=True, eq=False)
class MusclePath(Stored):
    """One muscle.

    verdict     "physics" (a law of paths), "alternative law", "lookup table" or "undetermined"
    crosses     joints that it crosses; `slight` those on which its length depends a little, which
                a path seldom does and a network nearly always
    blocks      the law: L = centre + Σ blocks; `explained` the share of the region that it meets
    reach       half-widths up to which half of the questions still lie on one of its branches
    """

    name: str
    verdict: str
    reason: str
    crosses: tuple[int, ...]
    slight: tuple[int, ...]
    centre: float
    blocks: tuple[Block, ...]
    explained: float
    residual: float
    reach: float

    def __call__(self, q: Tensor) -> Tensor:
        """Lengths (n,) [m] at q (n, nv)."""
        out = torch.full((len(q),), self.centre, dtype=q.dtype)
        for block in self.blocks:
            out = out + block(q[:, list(block.joints)])
        return out

    @property
    def words(self) -> str:
        """The law in a few words."""
        parts = [
            "/".join(p.words for p in b.pieces) + f" over joints {', '.join(map(str, b.joints))}"
            for b in self.blocks
            if b.pieces
        ]
        return "; ".join(parts) or "no law"


@dataclass(frozen=True, kw_only=True, eq=False)
class PathLaw:
    """The laws of all muscles: `law(q) -> lengths (…, nm)`, differentiable; `law["name"]`."""

    paths: tuple[MusclePath, ...]

    def __call__(self, q: Any) -> Tensor:
        """Lengths [m]; NaN for muscles without a law."""
        q = torch.as_tensor(q, dtype=torch.float64)
        flat = q.reshape(-1, q.shape[-1])
        lost = torch.full((len(flat),), torch.nan, dtype=q.dtype)
        out = [path(flat) if path.explained > 0 else lost for path in self.paths]
        return torch.stack(out, -1).reshape(*q.shape[:-1], len(self.paths))

    @property
    def muscles(self) -> dict[str, MusclePath]:
        """By name."""
        return {path.name: path for path in self.paths}

    def __getitem__(self, name: str) -> MusclePath:
        return self.muscles[name]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class GeometryFindings(Stored):
    """What an examination of geometry found: `.muscles[i]`, `.verdict` (that of most muscles),
    `.law`, `.integrability`, `.crossing` (nm, nv) of "0", "slight" and "crosses"."""

    robot: str
    joints: tuple[str, ...]
    low: NDArray[Any]
    high: NDArray[Any]
    muscles: tuple[MusclePath, ...]
    integrability: Integrability
    noise: NDArray[Any]
    expected: NDArray[Any] | None
    limit: float
    notes: tuple[str, ...]
    questions: int
    seconds: float

    @property
    def verdicts(self) -> dict[str, str]:
        """By muscle."""
        return {m.name: m.verdict for m in self.muscles}

    @property
    def verdict(self) -> str:
        """That of all muscles where they agree; otherwise "undetermined"."""
        found = set(self.verdicts.values())
        return found.pop() if len(found) == 1 else "undetermined"

    @property
    def law(self) -> PathLaw:
        """Lengths by muscle; NaN where no law was found."""
        return PathLaw(paths=self.muscles)

    @property
    def crossing(self) -> list[list[str]]:
        """(nm, nv) of "0" (exactly none), "slight" and "crosses"."""
        return [
            [
                CROSSES if j in m.crosses else SLIGHT if j in m.slight else ZERO
                for j in range(len(self.joints))
            ]
            for m in self.muscles
        ]

    def muscle(self, name: str) -> MusclePath:
        """One muscle. Raises ModelError."""
        for m in self.muscles:
            if m.name == name:
                return m
        raise ModelError(
            f"expected a muscle among {', '.join(m.name for m in self.muscles)[:120]}, found "
            f"{name!r}; choose one"
        )
