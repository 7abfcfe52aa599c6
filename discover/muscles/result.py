"""What `discover.examine_muscle` and `discover.examine_geometry` give: findings, shown, saved and
loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discover.artifacts import made, read_json, write_json
from discover.muscles import page
from discover.muscles.asking import AXES
from discover.muscles.geometry_findings import GeometryFindings
from discover.muscles.muscle_findings import MuscleFindings
from discover.report.numbers import count, half_widths, number, relative

MUSCLE, GEOMETRY = "muscle.json", "geometry.json"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MuscleExamination(MuscleFindings):
    """The answer of `discover.examine_muscle`; its fields are those of `MuscleFindings`."""

    def __repr__(self) -> str:
        lines = [f"{self.verdict}: {self.reason}"]
        lines += [
            f"  {f.family:<17} residual {relative(f.residual)}, worst {relative(f.worst)}"
            + (", curves adapted" if f.adapted else "")
            for f in self.fits
        ]
        s, far = self.structure, self.far
        lines += [
            f"  free splines      residual {relative(s.free)}; in twice the region "
            f"{relative(far.free)}",
            f"  not affine in activation {relative(s.not_affine)}, no product of length and rate "
            f"{relative(s.not_a_product)}, noise {relative(self.floor.noise)}",
        ]
        for e in self.parameters:
            told = "" if e.identified else "  not identified"
            lines.append(
                f"  {e.name:<17} {number(e.value)} {e.unit} ({number(e.low)} … {number(e.high)})"
                f"{told}"
            )
        reach = ", ".join(
            f"{name} {half_widths(self.reach[name], self.limit)}"
            for name in AXES
            if name in self.reach
        )
        lines.append(f"  reach in half-widths: {reach}")
        lines += [f"  note: {n}" for n in self.notes]
        lines.append(f"  {self.questions:,} questions, {self.seconds:.1f} s of processor time")
        return "\n".join(lines)

    def save(self, directory: Path | str) -> Path:
        """Write muscle.json, muscle.md and its figure; returns the page. Raises OutputError."""
        directory = made(directory)
        write_json(directory / MUSCLE, self.to_dict())
        return page.write_muscle(self, directory)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class GeometryExamination(GeometryFindings):
    """The answer of `discover.examine_geometry`; its fields are those of `GeometryFindings`."""

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
        directory = made(directory)
        write_json(directory / GEOMETRY, self.to_dict())
        return page.write_geometry(self, directory)


def load_muscle(directory: Path | str) -> MuscleExamination:
    """What `save` wrote. Raises OutputError."""
    record: dict[str, Any] = read_json(Path(directory) / MUSCLE, "an examination of a muscle")
    return MuscleExamination.from_dict(record)


def load_geometry(directory: Path | str) -> GeometryExamination:
    """What `save` wrote. Raises OutputError."""
    record = read_json(Path(directory) / GEOMETRY, "an examination of muscle geometry")
    return GeometryExamination.from_dict(record)
