"""The headline follows from the stored curves, and an open verdict says what would settle it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

import discover
from discover.artifacts import read_json, write_json
from discover.judgement.verdict import rules
from discover.report import evidence_words, render, style, words
from discover.report.stored import StoredExam, midpoints, read_exam

TOLERANCE = 0.05
REPORTS = Path(__file__).parents[2] / "reports"


def an_exam(errors: list[float], reach: float, verdict: str = "lookup table") -> StoredExam:
    """An examination with the same error curve and reach on every axis."""
    curve = {"subject": "law against model", "distance": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0]}
    curves = [{**curve, "axis": axis, "error": errors} for axis in planted.AXES]
    return StoredExam(
        directory=Path("mlp"),
        verdict={"verdict": verdict, "reach": dict.fromkeys(planted.AXES, reach)},
        evidence=[],
        law={"family": "rigid body", "domain": {"tolerance": TOLERANCE}},
        exam={"curves": curves, "reach_limit": 3.0},
    )


errors = st.lists(st.floats(1e-12, 10.0), min_size=6, max_size=6)


@given(errors, st.floats(0.0, 3.0))
def test_no_departure_is_promised_later_than_the_curve_shows(errors, reach):
    stored = an_exam(errors, reach)
    for axis, end in words.departures(stored).items():
        curve = stored.curve("law against model", axis)
        within = [e <= TOLERANCE for e in curve["error"]]
        if end is None:
            assert all(within)
        elif end > 0:
            assert all(ok for x, ok in zip(midpoints(curve), within, strict=True) if 1.1 * x < end)


@given(errors, st.floats(0.0, 3.0))
def test_a_headline_is_one_sentence_with_the_error_in_the_region(errors, reach):
    sentence = words.headline(an_exam(errors, reach))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert words.relative(errors[0]) in sentence
    assert sentence.startswith("No law") == (reach == 0 or errors[0] > TOLERANCE)


@pytest.mark.parametrize(
    ("errors", "reach", "text"),
    [
        ([1e-9] * 6, 3.0, "outside along its worst axis, as far as it was asked (3 half-widths)."),
        ([0.002] * 3 + [0.5] * 3, 1.5, "departs from that law at 1.5 half-widths in q, v, τ and"),
        ([0.002] + [0.5] * 5, 1.01, "at the edge of the region in q, v, τ and all three"),
        ([0.3] * 6, 0.0, "not even in the region: the best is off by 30 % there."),
    ],
)
def test_headlines(errors, reach, text):
    assert text in words.headline(an_exam(errors, reach))


def test_without_curves_the_headline_is_the_verdict():
    stored = StoredExam(
        directory=Path("mlp"), verdict={"verdict": "physics"}, evidence=[], law=None, exam={}
    )
    assert words.headline(stored) == "mlp: it answers as a rigid-body mechanism."


def test_an_examination_and_its_folder_have_the_same_headline(tmp_path):
    exam = discover.load(REPORTS / "double_pendulum" / "delan")
    exam.save(tmp_path, report=False)
    stored = read_exam(tmp_path)
    in_memory = StoredExam(
        directory=Path(),
        verdict=exam.verdict_record(),
        evidence=[e.to_dict() for e in exam.evidence],
        law=json.loads((tmp_path / "law.json").read_text()),
        exam=json.loads((tmp_path / "exam.json").read_text()),
    )
    assert words.headline(in_memory) == words.headline(stored)
    assert "departs from that law at 1.1 half-widths in all three" in words.headline(stored)


def test_every_requirement_of_a_verdict_has_words():
    for rule in rules():
        entry = evidence_words.words(rule.evidence)
        assert entry.unit, rule.evidence
        assert entry.meaning, rule.evidence


def an_open_exam(directory: Path, values: dict[str, float]) -> StoredExam:
    """An undetermined examination with these values as its evidence."""
    planted.write_exam(directory)
    evidence = [{"name": n, "value": x, "interval": [x, x]} for n, x in values.items()]
    write_json(directory / "evidence.json", evidence)
    verdict = read_json(directory / "verdict.json")
    shares = {"lookup table": 0.01, "physics": 0.3, "alternative law": 0.09, "undetermined": 0.6}
    write_json(directory / "verdict.json", {**verdict, "probabilities": shares})
    return read_exam(directory)


PHYSICS_OR_NOT = ("physics", "lookup table", "alternative law")
PHYSICS = {
    "refit error far out": 1e-3,
    "law error in the region": 1e-3,
    "residual growth": 1.0,
    "low-dimensional predictability": 0.0,
    "gain of extra terms": 1.0,
    "cost of possible parameters": 1.0,
    "resolution": 1e-3,
}


def test_an_open_verdict_names_the_runner_up_and_what_would_settle_it(tmp_path):
    noisy = an_open_exam(tmp_path, {**PHYSICS, "resolution": 0.8})
    rows = evidence_words.requirements(noisy)
    assert [row["answer"] for row in rows] == ["physics", "alternative law", "lookup table"]
    assert rows[0]["requirement"] == "resolution"
    assert rows[0]["measured"].startswith("0.800")
    bound = float(rows[0]["needed"].removeprefix("below "))
    factor = float(rows[0]["settle"].split()[-1])
    assert rows[0]["settle"].startswith("noise smaller by a factor of")
    assert factor == pytest.approx(0.8 / bound, rel=0.05)
    assert rows[2]["measured"] == "not measured"
    text = render(tmp_path).read_text()
    assert "## What would settle it" in text
    assert "*physics* comes closest (probability 30 %)" in text


def test_answers_that_are_equally_improbable_are_not_ranked_by_it(tmp_path):
    stored = an_open_exam(tmp_path, {**PHYSICS, "residual growth": 9.0})
    shares = {**dict.fromkeys(PHYSICS_OR_NOT, 0.0040251), "undetermined": 0.988}
    shares["lookup table"] = 0.0040249  # told alike
    verdict = {**read_json(tmp_path / "verdict.json"), "probabilities": shares}
    write_json(tmp_path / "verdict.json", verdict)
    rows = evidence_words.requirements(read_exam(tmp_path))
    assert stored.verdict["verdict"] == "undetermined"
    assert rows[0]["answer"] == "physics"  # as `in_words` and the repr of an examination say
    text = evidence_words.runner_up(rows)
    assert "comes closest" not in text
    assert "none of *physics*, *alternative law* and *lookup table*" in text


def test_a_resolution_as_large_as_the_answers_is_told_in_words():
    text = words.resolution({"region": 0.002, "far": 0.63})
    assert text == (
        "0.20 % in the region, far out no law smaller than the model itself would have shown (63 %)"
    )
    text = words.resolution({"region": 0.002, "far": float("inf")})
    assert text == "0.20 % in the region, far out none, for not all answers are finite"


def test_a_law_that_is_left_calls_for_a_narrower_region(tmp_path):
    rows = evidence_words.requirements(an_open_exam(tmp_path, {**PHYSICS, "residual growth": 90.0}))
    assert rows[0]["requirement"] == "growth of the residual"
    assert re.match(r"a region 0\.44 times as wide in q and v: .* 1\.31 ", rows[0]["settle"])


@pytest.mark.slow
def test_every_report_says_what_the_instrument_cannot_do(tmp_path):
    planted.write_study(tmp_path)
    render(tmp_path)
    for report in tmp_path.rglob("report.md"):
        text = report.read_text()
        assert "## Limits" in text
        for limit in words.LIMITS:
            assert limit in text


def test_a_half_width_is_explained_in_the_box_at_the_top(tmp_path):
    text = render(planted.write_exam(tmp_path)).read_text()
    assert "half-widths: q 1 rad or m; v 2 rad/s or m/s; τ 5 N·m or N" in text
    assert text.index("A *half-width* is") < text.index("| confidence")
    assert all(limit in text[text.index("## Limits") :] for limit in words.LIMITS)


def test_each_figure_is_drawn_once(tmp_path, monkeypatch):
    exam = discover.load(REPORTS / "double_pendulum" / "delan")
    drawn: Counter[Path] = Counter()
    save = style.save

    def counted(figure, path):
        drawn[path] += 1
        return save(figure, path)

    monkeypatch.setattr(style, "save", counted)
    report = discover.write_report(exam, tmp_path)
    figures = set((tmp_path / "figures").iterdir())
    assert report == tmp_path / "report.md"
    assert set(drawn) == figures
    assert set(drawn.values()) == {1}


def test_the_name_of_the_region_keeps_clear_of_the_lines():
    with style.house_style():
        panel = style.new_figure(3, 3).subplots()
    style.log_errors(panel, 1e-3, 1.0)
    style.label_region(panel, [0.8, 0.006])
    place = panel.texts[0].get_position()[1]
    lines = [panel.transAxes.inverted().transform(panel.transData.transform((0, y)))[1]
             for y in (0.8, 0.006)]  # fmt: skip
    assert min(abs(place - line) for line in lines) > 0.15
