"""A folder of evidence as an examination would leave it, with easily recognised numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from discover.artifacts import write_arrays, write_json

DISTANCE = [1.0, 1.5, 2.0, 3.0]
AXES = ("q", "v", "tau", "joint")


def curve(axis: str, subject: str, inside: float, far: float) -> dict[str, Any]:
    error = [float(x) for x in np.geomspace(inside, far, len(DISTANCE))]
    return {
        "axis": axis,
        "subject": subject,
        "distance": DISTANCE,
        "error": error,
        "low": [0.8 * x for x in error],
        "high": [1.25 * x for x in error],
        "samples": 512,
    }


def curves(model: float = 0.008, law: float = 0.0005, growth: float = 60.0) -> list[dict[str, Any]]:
    found = []
    for axis, share in zip(AXES, (1.0, 0.5, 0.05, 0.8), strict=True):
        far = model * max(1.1, growth * share)
        found.append(curve(axis, "model against simulator", model, far))
        found.append(curve(axis, "law against simulator", law, 1.3 * law))
        found.append(curve(axis, "law against model", model, 1.01 * far))
    return found


def write_exam(
    directory: Path, *, name: str = "mlp", verdict: str = "undetermined", model: float = 0.008
) -> Path:
    evidence = [
        {
            "name": "far error",
            "value": 0.48,
            "interval": [0.41, 0.55],
            "null": None,
            "threshold": 0.05,
            "supports": ["lookup table"],
            "meaning": "the law | misses the model far out",
        }
    ]
    write_json(
        directory / "verdict.json",
        {
            "verdict": verdict,
            "confidence": 0.83,
            "resolution": {"region": 0.002, "far": 0.02},
            "reach": {"q": 1.31, "v": 1.94, "tau": 3.0, "joint": 1.38},
            "robot": "double_pendulum",
            "model": name,
            "region": {"q": 1.0, "v": 2.0, "tau": 5.0},
            "law": {"family": "rigid body", "complexity_bits": 61.0, "terms": []},
            "evidence": evidence,
            "queries": 5512,
            "seconds": 3.25,
            "versions": {"worldlaw": "0.1.0"},
            "seed": 7,
        },
    )
    write_json(directory / "evidence.json", evidence)
    write_json(directory / "law.json", {"family": "rigid body"})
    write_json(
        directory / "exam.json",
        {
            "curves": [],
            "notes": ["The model answers in float32."],
            "budget": "quick",
            "reach_limit": 3.0,
            "parameters": [
                {
                    "name": "m_1",
                    "value": 1.002,
                    "standard_error": 0.002,
                    "description": 1.0,
                },
                {
                    "name": "m·c_2",
                    "value": 0.61,
                    "standard_error": 0.01,
                    "description": 0.5,
                },
            ],
        },
    )
    write_json(directory / "accuracy.json", {"curves": curves(model=model)})
    write_json(
        directory / "formulas.json",
        {
            "law_intro": "Rigid body.",
            "formulas": [{"words": "Potential energy [J]:", "latex": r"V = -9.81 \cos q_1"}],
            "terms": [],
            "program": "outward: twist",
        },
    )
    write_json(
        directory / "training.json",
        {
            "history": [
                {"epoch": k, "train": 1 / (k + 1), "validation": 1.2 / (k + 1)} for k in range(20)
            ],
            "metrics": {"parameters": 12345, "epochs": 20, "seconds": 61.0},
            "notes": [],
        },
    )
    _write_forecast(directory)
    timings = [
        {
            "name": who,
            "batch": size,
            "dtype": "float64",
            "threads": 1,
            "note": "",
            "nanoseconds": ns / size + 100,
            "low": 90.0,
            "high": 1e6,
        }
        for who, ns in (("simulator, torch eager", 6e5), ("model", 9e4))
        for size in (1, 64, 4096)
    ]
    accuracy = [
        {"name": who, "kind": kind, "family": who, "radii": [1, 2, 3], "errors": errors}
        for who, kind, errors in (
            ("simulator, torch eager", "simulator", [1e-15, 2e-15, 2e-15]),
            ("model", "model", [0.0123, 0.4, None]),
        )
    ]
    machine = {"processor": "a test bench"}
    write_json(
        directory / "ledger.json", {"timings": timings, "machine": machine, "accuracy": accuracy}
    )
    return directory


def write_study(directory: Path) -> Path:
    for name, verdict, model in (
        ("simulator", "physics", 1e-15),
        ("table", "lookup table", 0.2),
        ("mlp", "undetermined", 0.008),
    ):
        write_exam(directory / name, name=name, verdict=verdict, model=model)
    write_json(
        directory / "study.json",
        {
            "name": "double_pendulum",
            "title": "Double pendulum",
            "robot": "double_pendulum",
            "models": [{"name": name} for name in ("simulator", "table", "mlp")],
        },
    )
    return directory


def _write_forecast(directory: Path) -> None:
    t = np.arange(201) * 0.02
    q = np.stack([np.sin(3 * t), 0.5 * np.cos(5 * t)], -1)
    energy = np.full(201, 3.2)
    away = np.stack([0.01 * s * np.exp(t) for s in (0.5, 1.0, 2.0)])
    write_arrays(
        directory / "forecast.npz",
        t=t,
        reference_q=q,
        reference_energy=energy,
        inside=np.abs(q).max(-1) < 0.99,
        model_q=q * (1 + 0.05 * t[:, None] ** 2),
        model_energy=energy + 0.2 * t,
        model_away=away,
        law_q=q,
        law_energy=energy - 0.004 * t,
        law_away=0.01 * away,
    )
    row = {
        "valid_time": 2.4,
        "valid_time_low": 2.0,
        "valid_time_high": 3.1,
        "never_failed": 0.1,
        "energy_drift": 0.3,
    }
    write_json(
        directory / "forecast.json",
        {
            "integrator": "Runge–Kutta 4",
            "dt": 0.02,
            "seconds": 4.0,
            "starts": 16,
            "threshold": 0.4,
            "energy_scale": 4.0,
            "reference_drift": 1e-9,
            "reference_step_error": 1e-8,
            "lyapunov_rate": 1.1,
            "inside_share": 0.8,
            "coordinates": ["shoulder", "elbow"],
            "subjects": {"model": row, "law": {**row, "valid_time": 4.0, "energy_drift": 0.01}},
        },
    )
