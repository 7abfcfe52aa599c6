"""What `discover.examine_geometry` gives: findings, a verdict and a law by muscle; shown, saved and
loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from discover.artifacts import made, read_json, write_json
from discover.errors import ModelError
from discover.muscles.integrability import Integrability
from discover.muscles.path_laws import Block
from discover.records import Stored
from discover.report.numbers import count, half_widths, number, relative

FILE = "geometry.json"
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
class GeometryExamination(Stored):
    """The answer of `discover.examine_geometry`: `.muscles[i]`, `.verdict` (that of most muscles),
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

    def __repr__(self) -> str:
        tally = ", ".join(f"{k} {n}" for k, n in Counter(self.verdicts.values()).most_common())
        lines = [f"geometry of {count(len(self.muscles), 'muscle')} of {self.robot}: {tally}"]
        for m in self.muscles[:40]:
            jump = float(self.integrability.jumps[self.muscles.index(m)])
            told = f", jumps {number(1e3 * jump)} mm" if jump > 0 else ""
            lines.append(
                f"  {m.name:<16} {m.verdict}: {m.reason}{told}; reach "
                f"{half_widths(m.reach, self.limit)}"
            )
        if self.integrability.given:
            worst = float(self.integrability.apart.max())
            lines.append(f"  moment arms apart from -∂L/∂q by up to {relative(worst)}")
        lines += [f"  note: {n}" for n in self.notes]
        lines.append(f"  {self.questions:,} questions, {self.seconds:.1f} s of processor time")
        return "\n".join(lines)

    def save(self, directory: Path | str) -> Path:
        """Write geometry.json, geometry.md and its figures; returns the page. OutputError."""
        from discover.muscles import page

        directory = made(directory)
        write_json(directory / FILE, self.to_dict())
        return page.write_geometry(self, directory)


def load_geometry(directory: Path | str) -> GeometryExamination:
    """What `save` wrote. Raises OutputError."""
    record = read_json(Path(directory) / FILE, "an examination of muscle geometry")
    return GeometryExamination.from_dict(record)
