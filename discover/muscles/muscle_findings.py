"""The findings about one muscle's force: verdict, law, parameters, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from discover.muscles.asking import Floor, MuscleRegion
from discover.muscles.families import FamilyLaw
from discover.muscles.fitting import Estimate, FamilyFit
from discover.muscles.structure import SplineLaw, Structure
from discover.records import Stored

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
class MuscleFindings(Stored):
    """What an examination of a muscle's force found.

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
