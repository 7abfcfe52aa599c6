"""The result of an examination: verdict, evidence, law, reach; stored as plain JSON.

`save` writes a folder that `load` reads back and that `discover report` renders again, without the
model, the simulator or the training data.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from discover.artifacts import made, read_json, write_json
from discover.blackbox.regimes import RegimeSummary
from discover.blackbox.region import Region
from discover.blackbox.session import QuerySession
from discover.errors import OutputError
from discover.examination.places.record import JointApart, Places
from discover.examination.transitions.errors import HeldOut
from discover.judgement.evidence import Evidence, Name
from discover.judgement.thresholds import threshold
from discover.judgement.verdict import Verdict, in_words, judge
from discover.laws import Law, RigidBodyLaw, from_dict
from discover.laws.export.header import words_of
from discover.laws.provenance import Provenance
from discover.mechanism.description import MechanismDescription
from discover.probes.reach import FARTHEST, ErrorCurve
from discover.records import from_json, number_from_json, number_to_json
from kinematics import Robot

AXES = ("q", "v", "tau")
_FAR_ERRORS = (
    Name.REFIT_ERROR_FAR,
    Name.SELF_EXTRAPOLATION,
    Name.EXTENDED_ERROR_FAR,
    Name.BEST_ERROR_FAR,
)
_FAR_ERRORS_OF_ANY_LAW = (Name.EXTENDED_ERROR_FAR, Name.BEST_ERROR_FAR)
_LAWFUL = ("physics", "alternative law")
_RIGID_BODY = "rigid body"
_PHYSICS = "physics"
_STRUCTURE = threshold("examination.structure_holds")
_STRUCTURE_OF = {
    "v": ("quadratic_bias", "power"),
    "tau": ("tau_affinity", "symmetry", "v_independence"),
}
_ROUNDING = 1e-6  # relative: ratios of smaller errors are no growth
_ERRORS = (Name.BEST_ERROR_INSIDE, Name.LAW_ERROR_INSIDE)


class Resolution(float):
    """The smallest relative departure from the verdict that the queries could have shown.

    As a number, the coarser of the two; `region` is what could be seen inside, `far` outside.
    """

    region: float
    far: float

    def __new__(cls, region: float, far: float) -> Resolution:
        self = super().__new__(cls, max(region, far))
        self.region, self.far = region, far
        return self

    def __repr__(self) -> str:
        return f"{self.region:.2g} in the region, {self.far:.2g} far out"


@dataclass(frozen=True, kw_only=True, repr=False)
class Examination:
    """What was found out about one model.

    verdict, confidence   the answer and its probability (`probabilities` has all four); of
                          "undetermined" that the evidence settles none of the other three
    reach                 half-widths along q, v, tau and all together ("joint") up to which the
                          law describes the model; searched to `reach_limit`
    resolution            see Resolution
    law                   the best law found, or None
    evidence, curves      what the verdict rests on, and error against distance
    parameters            identified base parameters beside those of the description
    structure             local identities, descriptive only
    account               the tree, geometry, factors and recursion that the answers show, where
                          they were looked for
    notes                 plain sentences for the reader
    law_from              which answers the law was fitted to, in words
    regimes               joint limits, contacts and resets: where they are, how often; left out of
                          the law and of all other numbers
    held_out              errors of model, law and simulator on the transitions of `data`
    places                two laws, each on its side of a surface, where the model follows two
    apart                 the joint that alone follows no law, where all others follow one
    """

    verdict: str
    confidence: float
    probabilities: dict[str, float]
    reach: dict[str, float]
    resolution: Resolution
    law: Law | None
    evidence: list[Evidence]
    queries: int
    seconds: float
    seed: int
    budget: str
    region: Region
    robot: Robot
    model: str
    outputs: str
    dt: float | None
    versions: dict[str, str]
    curves: list[ErrorCurve] = field(default_factory=list)
    parameters: list[dict[str, Any]] = field(default_factory=list)
    structure: dict[str, float] = field(default_factory=dict)
    account: MechanismDescription | None = None
    notes: list[str] = field(default_factory=list)
    reach_limit: float = FARTHEST
    law_from: str = ""
    regimes: list[RegimeSummary] = field(default_factory=list)
    held_out: HeldOut | None = None
    places: Places | None = None
    apart: JointApart | None = None

    def save(self, directory: str | Path, *, report: bool = True) -> Path:
        """Write verdict.json, law.json, evidence.json, exam.json and, with `report`, report.md and
        its figures (`discover report` writes these later just the same).

        Returns the directory. Raises OutputError where it cannot be written.
        """
        from discover.report import render

        directory = made(directory)
        (directory / "formulas.json").unlink(missing_ok=True)  # those of an earlier law
        write_json(directory / "law.json", self._law_record())
        write_json(directory / "evidence.json", [e.to_dict() for e in self.evidence])
        write_json(directory / "exam.json", self._exam_record())
        # Last, for a verdict.json says that the examination is whole.
        write_json(directory / "verdict.json", self.verdict_record())
        if report:
            render(directory)
        return directory

    @property
    def by_axis(self) -> dict[str, dict[str, Any]]:
        """{"q": {"verdict", "reach", "error"}, "v": …, "tau": …}: how far the law goes along each
        axis alone [half-widths], its relative error at the end of the curve, and the verdict that
        follows if only this axis was left: what the law misses far out along others counts no more
        than what it misses along this one.

        *Physics* and *alternative law* are about the model on all axes, each of which was tested:
        they stand on every one, and reach and error say how far. The curves are those of the law:
        only where it is a rigid body do they say anything of rigid bodies.

        Where the model follows two laws, those axes along which it passes from one to the other
        have "inside", what the first one is, and "outside", the other in words, as well. Where one
        joint alone follows no law, each axis says so of it and of the others."""
        values: dict[Any, float] = {e.name: e.value for e in self.evidence}
        everywhere = self.verdict if self.verdict in _LAWFUL else None
        rigid = self.law is not None and self.law.family == _RIGID_BODY
        out: dict[str, dict[str, Any]] = {}
        for curve in self.curves:
            if curve.axis not in AXES or curve.subject != "law against model":
                continue
            error = curve.error[-1]
            names = _FAR_ERRORS if rigid else _FAR_ERRORS_OF_ANY_LAW
            alone = {n: min(values[n], error) for n in names if n in values}
            if rigid:
                growth = max(1.0, error / max(curve.error[0], _ROUNDING))
                for name in (Name.RESIDUAL_GROWTH, Name.GAIN):
                    alone[name] = min(values.get(name, 1.0), growth)
            along = _PHYSICS if curve.axis in self.lawful_axes else judge(values | alone).answer
            out[curve.axis] = {
                "verdict": everywhere or along,
                "reach": self.reach.get(curve.axis),
                "error": error,
            }
            if self.places is not None and curve.axis in self.places.groups:
                out[curve.axis] |= {"inside": self.places.inside, "outside": self.places.told}
            if self.apart is not None:
                out[curve.axis] |= self.apart.told
        return out

    @property
    def lawful_axes(self) -> list[str]:
        """The axes along which a model that is no law everywhere is physics nevertheless: a rigid
        body goes on describing it to the farthest shell, or the answers have the structure of
        mechanics there at every configuration, whatever they are along q. None of models that are
        a law."""
        if self.verdict in _LAWFUL:
            return []
        rigid = self.law is not None and self.law.family == _RIGID_BODY
        table = self.verdict not in (*_LAWFUL, "undetermined")
        held = {
            axis: table and all(self.structure.get(name, math.inf) <= _STRUCTURE for name in names)
            for axis, names in _STRUCTURE_OF.items()
        }
        return [
            axis
            for axis in AXES
            if (rigid and self.reach.get(axis, 0.0) >= self.reach_limit) or held.get(axis, False)
        ]

    def verdict_record(self) -> dict[str, Any]:
        """The content of verdict.json."""
        law = None
        if self.law is not None:
            law = {
                "family": self.law.family,
                "complexity_bits": self.law.complexity.bits,
                "terms": [str(t) for t in getattr(self.law, "terms", [])],
                "parameters": {row["name"]: row["value"] for row in self.parameters},
            }
        return {
            "verdict": self.verdict,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
            "resolution": number_to_json(float(self.resolution)),
            "resolution_by_place": {
                "region": number_to_json(self.resolution.region),
                "far": number_to_json(self.resolution.far),
            },
            "reach": self.reach,
            "robot": self.robot.name,
            "model": self.model,
            "region": self.region.to_dict(),
            "law": law,
            "regimes": [x.to_dict() for x in self.regimes],
            "held_out": None if self.held_out is None else self.held_out.to_dict(),
            "evidence": [e.to_dict() for e in self.evidence],
            "queries": self.queries,
            "seconds": self.seconds,
            "versions": self.versions,
            "seed": self.seed,
        }

    def _law_record(self) -> dict[str, Any] | None:
        if self.law is None:
            return None
        return {
            **self.law.to_dict(),
            "family": self.law.family,
            "complexity": asdict(self.law.complexity),
        }

    def _exam_record(self) -> dict[str, Any]:
        return {
            "budget": self.budget,
            "outputs": self.outputs,
            "dt": self.dt,
            "reach_limit": self.reach_limit,
            "robot": self.robot.to_dict(),
            "curves": [c.to_dict() for c in self.curves],
            "parameters": self.parameters,
            "structure": {k: number_to_json(v) for k, v in self.structure.items()},
            "account": None if self.account is None else self.account.to_dict(),
            "notes": self.notes,
            "law_from": self.law_from,
            "places": None if self.places is None else self.places.to_dict(),
            "apart": None if self.apart is None else self.apart.to_dict(),
        }

    @functools.cached_property
    def _summary(self) -> str:
        reach = ", ".join(
            f"{axis} {'≥ ' if r >= self.reach_limit else ''}{r:.2g}×"
            for axis, r in self.reach.items()
        )
        answer = in_words(self.verdict, self.confidence, self.evidence)
        part = self.places or self.apart
        if part is not None:
            answer = f"{self.verdict} as a whole: {part.headline}"
        elif self.verdict == "lookup table" and (along := self.lawful_axes):
            answer += f": of {' and '.join(a for a in AXES if a not in along)}"
            answer += f", physics in {' and '.join(along)}"
        return (
            f"**{self.model}**: {answer}; "
            f"reach {reach}; resolution {self.resolution!r}; {self.queries} queries in "
            f"{self.seconds:.1f} s"
        )

    def __str__(self) -> str:
        return self._summary.replace("**", "")

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        rows = ["| evidence | value | supports |", "|---|---|---|"]
        rows += [f"| {e.name} | {e.value:.3g} | {', '.join(e.supports)} |" for e in self.evidence]
        return "\n".join([self._summary, "", *rows, "", *self.notes])


def with_origin(
    law: Law | None,
    session: QuerySession,
    verdict: Verdict,
    evidence: Sequence[Evidence],
    *,
    model: Any,
    name: str,
) -> Law | None:
    """The law with its provenance, with the controls that the model was asked with, with the turn
    within which it told angles, and with the interface of a model over observations for
    `as_model`."""
    if not isinstance(law, RigidBodyLaw):
        return law
    found = {e.name: e.value for e in evidence}
    step, turns = law.step_map, session.blackbox.turns
    return replace(
        law,
        step_map=replace(step, turns=turns) if step is not None and turns else step,
        robot=law.robot.replace(actuation=session.blackbox.actuation),
        provenance=Provenance(
            model=name,
            verdict=f"{verdict.answer} (confidence {verdict.confidence:.2f})",
            error=next((found[key] for key in _ERRORS if key in found), None),
            region=words_of(session.support.region),
            date=time.strftime("%Y-%m-%d"),
            version=metadata.version("worldlaw"),
        ),
        interface=model if hasattr(model, "states") and hasattr(model, "controls") else None,
    )


def load(directory: str | Path) -> Examination:
    """The examination that `save` wrote. Raises OutputError or CheckpointError, one line each."""
    directory = Path(directory)
    verdict = read_json(directory / "verdict.json", "a verdict")
    exam = read_json(directory / "exam.json", "an examination")
    law = read_json(directory / "law.json", "a law")
    evidence = read_json(directory / "evidence.json", "evidence")
    try:
        place = verdict["resolution_by_place"]
        return Examination(
            verdict=verdict["verdict"],
            confidence=verdict["confidence"],
            probabilities=verdict["probabilities"],
            reach=verdict["reach"],
            resolution=Resolution(*(number_from_json(place[k]) for k in ("region", "far"))),
            law=None if law is None else from_dict(law),
            evidence=[Evidence.from_dict(e) for e in evidence],
            queries=verdict["queries"],
            seconds=verdict["seconds"],
            seed=verdict["seed"],
            budget=exam["budget"],
            region=Region.from_dict(verdict["region"]),
            robot=Robot.from_dict(exam["robot"]),
            model=verdict["model"],
            outputs=exam["outputs"],
            dt=exam["dt"],
            versions=verdict["versions"],
            curves=[ErrorCurve.from_dict(c) for c in exam["curves"]],
            parameters=exam["parameters"],
            structure={k: number_from_json(v) for k, v in exam["structure"].items()},
            account=from_json(MechanismDescription, exam.get("account")),
            notes=exam["notes"],
            reach_limit=exam["reach_limit"],
            law_from=exam["law_from"],
            regimes=from_json(list[RegimeSummary], verdict.get("regimes", [])),
            held_out=from_json(HeldOut, verdict.get("held_out")),
            places=from_json(Places, exam.get("places")),
            apart=from_json(JointApart, exam.get("apart")),
        )
    except (KeyError, TypeError) as error:
        raise OutputError(
            f"expected a whole examination in {directory}, found one without {error}: "
            "examine the model again"
        ) from error
