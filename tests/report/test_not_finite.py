"""Figures of numbers that are not finite: what there is to draw is drawn, without an error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest

from discover.artifacts import read_json, write_json
from discover.report import figures, law_figures, matrix_figures, render, style, track
from discover.report.pareto import pareto

WRONG = (math.inf, math.nan)
STORED = ("inf", "nan")  # as JSON holds them


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(figure: Any, tmp_path: Path) -> None:
    assert style.save(figure, tmp_path / "figure.png").stat().st_size > 1000


def spoiled(curve: dict[str, Any], wrong: float, places: slice) -> dict[str, Any]:
    changed = dict(curve)
    for name in ("error", "low", "high"):
        values = np.array(curve[name])
        values[places] = wrong
        changed[name] = values.tolist()
    return changed


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("places", [slice(2, None), slice(0, 1), slice(1, 2), slice(None)])
@pytest.mark.slow
def test_error_curves(tmp_path: Path, wrong: float, places: slice) -> None:
    curves = [spoiled(c, wrong, places) for c in planted.curves()]
    reach = {"q": wrong, "v": 1.5, "tau": None, "joint": 3.0}
    drawn(figures.errors(curves, reach), tmp_path)
    drawn(figures.comparison({"mlp": curves, "simulator": planted.curves()}), tmp_path)


@pytest.mark.parametrize("wrong", WRONG)
def test_forecasts_and_training(tmp_path: Path, wrong: float) -> None:
    planted.write_exam(tmp_path)
    table = read_json(tmp_path / "forecast.json")
    with np.load(tmp_path / "forecast.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    for share in (2, 1):  # the second half; of model and law all
        for name in arrays:
            if name not in ("t", "inside") and (share == 2 or not name.startswith("reference")):
                rows = arrays[name].T if name.endswith("away") else arrays[name]
                rows[len(rows) - len(rows) // share :] = wrong
        drawn(figures.forecasts(arrays, {**table, "energy_scale": wrong}), tmp_path)
    history = [{"epoch": k, "train": wrong, "validation": 0.5 if k else wrong} for k in range(4)]
    drawn(figures.training(history), tmp_path)
    drawn(figures.training([{"epoch": k, "train": wrong} for k in range(4)]), tmp_path)


@pytest.mark.parametrize("wrong", [*STORED, *WRONG])
def test_figures_of_the_law(tmp_path: Path, wrong: Any) -> None:
    part = {"name": "gravity", "term": False, "contribution": 1.5}
    front = [{"size": k, "inside": wrong, "far": "inf", "text": "v1"} for k in range(2)]
    found = law_figures.laws(front, [part, {**part, "contribution": wrong}])
    assert found is not None
    drawn(found, tmp_path)
    assert law_figures.laws(front, [{**part, "contribution": wrong}]) is None
    for model in ([[1.0, wrong], [wrong, 2.0]], [[wrong, wrong], [wrong, wrong]]):
        term = {"name": "drag", "joint": 1, "along": "v1", "values": [0.1, wrong]}
        terms = [{**term, "force": [wrong, 1.0]}]
        place = {"where": "far", "model": model, "law": model, "terms": terms}
        found = law_figures.samples([place])
        assert found is not None
        drawn(found, tmp_path)
    H = [[1.0, wrong], [wrong, 1.0]]
    drawn(matrix_figures.zeros({"H": H, "L": H, "allowed": [[1, 0], [1, 1]]}, ["a", "b"]), tmp_path)


@pytest.mark.parametrize("wrong", [*STORED, *WRONG])
def test_tracks_and_ledgers(tmp_path: Path, wrong: Any) -> None:
    parameter = {"name": "m1", "value": wrong, "standard_error": wrong, "description": 1.0}
    row = {
        "failure": "",
        "error": wrong,
        "error_far": wrong,
        "reach": dict.fromkeys(planted.AXES, wrong),
        "probabilities": {"physics": 1.0},
        "parameters": [parameter, {**parameter, "name": "m2", "description": None}],
    }
    rows = [{**row, "step": 0.0}, {**row, "step": 10.0}]
    drawn(track.figure({"rows": rows, "reach_limit": 3.0}), tmp_path)
    timing = {"batch": 1, "name": "law", "nanoseconds": 5.0}
    entry = {"name": "law", "family": "law", "kind": "law", "errors": [wrong, wrong]}
    drawn(pareto({"": {"timings": [timing], "accuracy": [entry]}}), tmp_path)


def test_a_report_of_a_law_without_a_simulator_whose_model_is_infinite_outside(
    tmp_path: Path,
) -> None:
    planted.write_exam(tmp_path)
    (tmp_path / "accuracy.json").unlink()
    exam = read_json(tmp_path / "exam.json")
    curve = planted.curve("v", "law against model", 1e-15, 1e-15)
    bad = {name: [*curve[name][:2], "inf", "inf"] for name in ("error", "low", "high")}
    exam["curves"] = [planted.curve(a, "law against model", 1e-15, 1e-15) for a in ("q", "tau")]
    exam["curves"] += [{**curve, **bad}, {**curve, **bad, "axis": "joint"}]
    write_json(tmp_path / "exam.json", exam)
    assert "no finite answer" in render(tmp_path).read_text()
