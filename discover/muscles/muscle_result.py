"""What `discover.examine_muscle` gives: findings, verdict and law; shown, saved and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from discover.artifacts import made, read_json, write_json
from discover.muscles.asking import AXES, Floor, MuscleRegion
from discover.muscles.families import FamilyLaw
from discover.muscles.fitting import Estimate, FamilyFit
from discover.muscles.structure import SplineLaw, Structure
from discover.records import Stored
from discover.report.numbers import half_widths, number, relative

FILE = "muscle.json"
ANSWERS = ("physics", "alternative law", "lookup table", "undetermined")


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve(Stored):
    """One curve of the sheet: the model's answers and the law's along one axis.

    axis, at    what varies [m | m/s | 1], and the activation there
    """

    axis: str
    at: float
    x: NDArray[Any]
    measured: NDArray[Any]
    fitted: NDArray[Any] | None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MuscleExamination(Stored):
    """The answer of `discover.examine_muscle`.

    verdict     "physics" (a Hill-type law of a family), "alternative law", "lookup table" or
                "undetermined"; `reason` says why
    family      the curves' family, or None
    parameters  with intervals of 95 %; `identified` is False where they are not told
    reach       half-widths along length and rate up to which the law holds; activation beyond
                [0, 1] is not asked, so its reach is that of the whole range, or None
    law         executable, in `.law`: of the family, or of splines for an alternative law
    fits        every family's closest member; `structure` inside, `far` in twice the region
    """

    verdict: str
    reason: str
    family: str | None
    region: MuscleRegion
    floor: Floor
    fits: tuple[FamilyFit, ...]
    structure: Structure
    far: Structure
    splines: SplineLaw
    reach: dict[str, float]
    limit: float
    curves: tuple[Curve, ...]
    notes: tuple[str, ...]
    questions: int
    seconds: float

    @property
    def best(self) -> FamilyFit:
        """The family that leaves least."""
        return self.fits[0]

    @property
    def law(self) -> FamilyLaw | SplineLaw | None:
        """The law, or None where there is none: `law(length, rate, activation) -> force [N]`."""
        if self.family is not None:
            return self.best.law
        return self.splines if self.verdict == "alternative law" else None

    @property
    def parameters(self) -> tuple[Estimate, ...]:
        """Those of the law's family; empty without one."""
        return self.best.estimates if self.family is not None else ()

    def parameter(self, name: str) -> Estimate:
        """One of them. Raises KeyError."""
        return {e.name: e for e in self.best.estimates}[name]

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
        from discover.muscles import page

        directory = made(directory)
        write_json(directory / FILE, self.to_dict())
        return page.write_muscle(self, directory)


def load_muscle(directory: Path | str) -> MuscleExamination:
    """What `save` wrote. Raises OutputError."""
    record: dict[str, Any] = read_json(Path(directory) / FILE, "an examination of a muscle")
    return MuscleExamination.from_dict(record)
