"""One JSON record of evidence a planted model.

A record holds everything that was measured, so that bounds and confidence can be fitted again
without queries. A model is examined again when the code that measures has changed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import discover
from discover.artifacts import read_json
from discover.blackbox.contract import Answers
from discover.calibration.planted.catalogue import PlantedCase
from discover.errors import ModelError
from discover.judgement.evidence import Evidence
from discover.judgement.thresholds import stored
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.records import Stored

_INSTRUMENT = ("blackbox", "probes", "laws", "examination")  # the rooms that measure evidence


@dataclass(frozen=True, kw_only=True)
class Record(Stored):
    """One planted model, its truth, and the verdict and evidence of its examination.

    departure   relative distance, in the region and without noise, from the closest rigid bodies
                with joint terms; None where the truth is no alternative law
    instrument  hash of the code that measured
    seconds, cpu  wall-clock and processor time [s]
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
    cpu: float | None = None

    @property
    def values(self) -> dict[str, float]:
        """Evidence by name."""
        return {e.name: e.value for e in self.evidence}


def load(out: Path) -> list[Record]:
    """All records of a calibration, by name."""
    found = sorted((out / "records").glob("*.json"))
    return [Record.from_dict(read_json(p, "a record of the calibration")) for p in found]


def examine(case: PlantedCase, *, budget: str, seed: int, code: str) -> Record:
    """One examination of one planted model."""
    planted, setting = case.planted, case.setting
    common: dict[str, Any] = {
        "name": case.name,
        "robot": case.robot,
        "nv": setting.nv,
        "kind": planted.kind,
        "truth": planted.truth,
        "strength": planted.strength,
        "noise": planted.noise,
        "edges": planted.edges,
        "departure": _departure(case) if planted.truth == "alternative law" else None,
        "budget": budget,
        "seed": seed,
        "instrument": code,
    }
    model = planted.model
    started = time.process_time()
    exam = discover.examine(
        model,
        setting.robot,
        setting.region,
        outputs=planted.outputs,
        dt=planted.dt,
        budget=budget,
        mechanism=False,
        seed=seed,
        name=planted.name,
        progress=False,
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
        cpu=time.process_time() - started,
    )


def _departure(case: PlantedCase) -> float | None:
    """Of the model without its noise from the closest rigid body with joint terms."""
    setting, model = case.setting, case.planted.model
    model = getattr(model, "model", model)  # a Noisy model keeps the one that it disturbs
    q, v, tau = setting.samples(max(120, 15 * setting.nv))
    answers = Answers(q=q, v=v, tau=tau, a=model(q, v, tau))
    if not bool(torch.isfinite(answers.a).all()):
        raise ModelError(f"the planted model {case.name} is not finite in its own region")
    cut = len(q) * 3 // 4
    family = Family.of(setting.robot, joint_terms(setting.robot))
    return fit(family, answers[:cut]).standardised_error(answers[cut:])


@functools.cache
def instrument() -> str:
    """A hash of the code that measures evidence, and of the sections of numbers that it reads.

    Comments, docstrings and layout are no part of it, for they measure nothing; nor are the bounds
    of the verdict, which judge evidence.
    """
    root = Path(discover.__file__).parent
    paths = [p for room in _INSTRUMENT for p in sorted((root / room).rglob("*.py"))]
    sources = [p.read_text() for p in paths]
    read = "".join(sources)
    numbers = {k: v for k, v in stored()["numbers"].items() if f'"{k}.' in read}
    code = "".join(map(_statements, sources)) + json.dumps(numbers, sort_keys=True)
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def _statements(source: str) -> str:
    """What a source says to the interpreter: its syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = ast.get_docstring(node, clean=False)
            node.body = node.body if words is None else node.body[1:]
    return ast.dump(tree)


def slug(name: str) -> str:
    """A file name for a planted model."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("%", "percent")).strip("-")
