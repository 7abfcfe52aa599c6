"""Examine the zoo, one JSON record of evidence a model, so that a run goes on where it was cut.

A record holds all that was measured: thresholds and confidence can be fitted again without a
single new question. A record is made anew when the instrument's own files have changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import discover
from discover.artifacts import read_json, write_json
from discover.dynamics import Answers
from discover.errors import ModelError
from discover.evidence import Evidence, number_from_json, number_to_json
from discover.laws.family import Family
from discover.laws.fit import fit
from discover.laws.terms import joint_terms
from discover.zoo.catalogue import SETTINGS, Cage, cages

_QUICK = ("double pendulum", "spatial chain of 2")
_INSTRUMENT = (
    "screening.py",
    "competition.py",
    "conclusion.py",
    "departures.py",
    "findings.py",
    "interview.py",
    "sampling.py",
    "support.py",
    "dynamics.py",
)
_PARTS = ("probes", "laws")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one planted model is, and what the instrument found.

    `departure` is how far the model, without its noise, is in the region from the closest rigid
    body with joint terms (relative); None where nobody needs it. `instrument` is a hash of the
    code that measured.
    """

    name: str
    robot: str
    nv: int
    kind: str
    truth: str | None
    strength: str
    noise: str
    edges: dict[str, float]
    departure: float | None
    answer: str
    confidence: float
    evidence: list[Evidence]
    reach: dict[str, float]
    resolution: tuple[float, float]
    queries: int
    seconds: float
    budget: str
    seed: int
    instrument: str

    def to_dict(self) -> dict[str, Any]:
        record = asdict(self)
        record["evidence"] = [e.to_dict() for e in self.evidence]
        record["resolution"] = [number_to_json(x) for x in self.resolution]
        record["departure"] = number_to_json(self.departure)
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Record:
        known = dict(record)
        known["evidence"] = [Evidence.from_dict(e) for e in record["evidence"]]
        first, second = record["resolution"]
        known["resolution"] = (number_from_json(first), number_from_json(second))
        if record["departure"] is not None:
            known["departure"] = number_from_json(record["departure"])
        return cls(**known)

    @property
    def values(self) -> dict[str, float]:
        """Evidence by name."""
        return {e.name: e.value for e in self.evidence}


def plan(
    *, quick: bool = False, robots: Iterable[str] | None = None, share: float = 1.0
) -> list[Cage]:
    """Which planted models are examined: all of small robots, a spread of those of large ones.

    Noisy copies are thinned, and larger robots are thinned more, by a rule that depends on names
    alone: every mechanism meets several robots. `share` (0 to 1) takes the first part of the plan,
    which is in an order that mixes robots and mechanisms.
    """
    chosen = list(robots) if robots is not None else list(_QUICK if quick else SETTINGS)
    listed = cages(chosen)
    place = {cage.name: _fraction(cage.name) / _share(cage, quick) for cage in listed}
    kept = [cage for cage in listed if place[cage.name] < share]
    return sorted(kept, key=lambda cage: place[cage.name])


def _share(cage: Cage, quick: bool) -> float:
    nv = cage.setting.nv
    share = 1.0 if nv <= 3 else 0.3 if nv <= 5 else 0.16 if nv <= 7 else 0.07
    if cage.planted.noise != "clean" and cage.planted.truth != "physics":
        share *= 0.35
    return share * (0.25 if quick else 1.0)


def _fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8


def run(
    chosen: Iterable[Cage],
    out: Path,
    *,
    budget: str = "standard",
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> list[Record]:
    """Examine the chosen models; what is on disk and measured by the same code is kept."""
    code = instrument()
    listed = list(chosen)
    records = []
    for k, cage in enumerate(listed):
        path = out / "records" / f"{_slug(cage.name)}.json"
        record = _kept(path, code, budget, seed)
        if record is None:
            record = examine(cage, budget=budget, seed=seed, code=code)
            write_json(path, record.to_dict())
            right = "" if record.truth is None else "" if record.answer == record.truth else "  <--"
            say(
                f"{k + 1}/{len(listed)} {record.name}: {record.answer} ({record.confidence:.2f}), "
                f"{record.queries} queries, {record.seconds:.1f} s{right}"
            )
        records.append(record)
    return records


def _kept(path: Path, code: str, budget: str, seed: int) -> Record | None:
    if not path.exists():
        return None
    record = Record.from_dict(read_json(path, "a record of the calibration"))
    same = (record.instrument, record.budget, record.seed) == (code, budget, seed)
    return record if same else None


def load(out: Path) -> list[Record]:
    """All records of a calibration, by name."""
    found = sorted((out / "records").glob("*.json"))
    return [Record.from_dict(read_json(p, "a record of the calibration")) for p in found]


def examine(cage: Cage, *, budget: str, seed: int, code: str) -> Record:
    """One examination of one planted model."""
    planted, setting = cage.planted, cage.setting
    common: dict[str, Any] = {
        "name": cage.name,
        "robot": cage.robot,
        "nv": setting.nv,
        "kind": planted.kind,
        "truth": planted.truth,
        "strength": planted.strength,
        "noise": planted.noise,
        "edges": planted.edges,
        "departure": _departure(cage) if planted.truth == "alternative law" else None,
        "budget": budget,
        "seed": seed,
        "instrument": code,
    }
    model = planted.model
    exam = discover.examine(
        model,
        setting.robot,
        setting.region,
        outputs=planted.outputs,
        dt=planted.dt,
        budget=budget,
        seed=seed,
        name=planted.name,
    )
    return Record(
        **common,
        answer=exam.verdict,
        confidence=exam.confidence,
        evidence=exam.evidence,
        reach=exam.reach,
        resolution=(exam.resolution.region, exam.resolution.far),
        queries=exam.queries,
        seconds=exam.seconds,
    )


def _departure(cage: Cage) -> float | None:
    """Of the model without its noise from the closest rigid body with joint terms."""
    setting, model = cage.setting, cage.planted.model
    model = getattr(model, "model", model)  # a Noisy model keeps the one that it disturbs
    q, v, tau = setting.samples(max(120, 60 * setting.nv // 2))
    answers = Answers(q=q, v=v, tau=tau, a=model(q, v, tau))
    if not bool(torch.isfinite(answers.a).all()):
        raise ModelError(f"the planted model {cage.name} is not finite in its own region")
    cut = len(q) * 3 // 4
    family = Family.of(setting.robot, joint_terms(setting.robot))
    return fit(family, answers[:cut]).standardised_error(answers[cut:])


def instrument() -> str:
    """A hash of the code that measures evidence; thresholds are no part of it."""
    root = Path(discover.__file__).parent
    paths = [root / name for name in _INSTRUMENT]
    for part in _PARTS:
        paths += sorted((root / part).rglob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("%", "percent")).strip("-")
