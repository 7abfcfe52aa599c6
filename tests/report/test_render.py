"""Reports come from stored numbers alone, say what these say, and are the same each time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import planted
import pytest

from discover.artifacts import read_json, write_json
from discover.errors import OutputError
from discover.report import render


def test_report_says_what_the_stored_numbers_say(tmp_path: Path) -> None:
    text = render(planted.write_exam(tmp_path)).read_text()
    assert "### UNDETERMINED" in text
    assert "**0.83**" in text
    assert "5,512 questions" in text
    assert "| configuration q | 1.31 | 48 % | 48 % | 0.065 % |" in text
    assert "| joint force τ | ≥ 3.00 |" in text  # the search ended there, not the law
    assert "11 standard errors apart" in text
    assert "740 times as much" in text
    assert "The model answers in float32." in text


def test_no_model_law_or_oracle_is_loaded(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    program = (
        "import sys, discover.report\n"
        f"discover.report.render({str(tmp_path)!r})\n"
        "absent = ('discover.models', 'discover.laws', 'discover.examination.examine', 'sympy', "
        "'pinocchio')\n"
        "sys.exit(f'{found}' if (found := [m for m in absent if m in sys.modules]) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_inside_stands_after_the_verdict_and_changes_nothing(tmp_path: Path) -> None:
    before = render(planted.write_exam(tmp_path)).read_text()
    assert "## Inside" not in before
    claim = {"kind": "uses", "subject": "H", "answer": "yes", "words": "Swapped | apart."}
    write_json(tmp_path / "inside" / "inside.json", {"claims": [claim], "seconds": 61.0})
    after = render(tmp_path).read_text()
    assert "| uses | H | yes | Swapped \\| apart. |" in after
    assert after.index("### UNDETERMINED") < after.index("## Inside")
    start, end = after.index("## Inside"), after.index("## What this verdict means")
    assert after[:start] + after[end:] == before


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = planted.write_study(tmp_path_factory.mktemp("study"))
    render(directory)
    return directory


def test_same_evidence_same_bytes(study: Path, tmp_path: Path) -> None:
    first, second = study, planted.write_study(tmp_path)
    render(second)
    made = sorted(p.relative_to(first) for p in first.rglob("*") if p.suffix in (".md", ".png"))
    assert len(made) > 8
    for path in made:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path


def test_every_link_and_figure_of_a_study_is_there(study: Path) -> None:
    for report in study.rglob("report.md"):
        targets = re.findall(r"\]\(([^)]+)\)", report.read_text())
        assert targets
        for target in targets:
            assert (report.parent / target).is_file(), f"{report}: {target}"


def test_tables_are_whole(study: Path) -> None:
    """Every row of a table has as many cells as its head, whatever the texts contain."""
    for report in study.rglob("report.md"):
        width = None
        for line in report.read_text().splitlines():
            row = line.removeprefix("> ")
            if not row.startswith("|"):
                width = None
                continue
            cells = len(re.findall(r"(?<!\\)\|", row))
            width = width or cells
            assert cells == width, f"{report}: {line}"


def test_a_lookup_table_is_not_called_physics(tmp_path: Path) -> None:
    text = render(planted.write_exam(tmp_path, verdict="lookup table")).read_text()
    assert "LOOKUP TABLE" in text
    assert "rigid-body mechanism" not in text


def test_a_law_that_holds_inside_only_is_told_beside_the_verdict(tmp_path: Path) -> None:
    planted.write_exam(tmp_path, verdict="lookup table")
    verdict = read_json(tmp_path / "verdict.json", "a verdict")
    verdict["law"] = {**(verdict.get("law") or {}), "family": "x", "terms": ["0.3*v1*Abs(v1)"]}
    write_json(tmp_path / "verdict.json", verdict)
    text = render(tmp_path).read_text()
    assert "LOOKUP TABLE" in text
    assert "*Inside the region* its answers follow rigid bodies with `0.3*v1*Abs(v1)`" in text


def test_a_law_that_is_wrong_is_not_recommended(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    write_json(tmp_path / "accuracy.json", {"curves": planted.curves(law=0.5)})
    text = render(tmp_path).read_text()
    assert "recommended over the model" not in text
    assert "no substitute" in text


def test_answers_that_are_not_finite_are_said_and_drawn(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    curves = planted.curves()
    for name in ("error", "low", "high"):
        curves[0][name][-1] = None
    write_json(tmp_path / "accuracy.json", {"curves": curves})
    assert "no finite answer" in render(tmp_path).read_text()


def test_recordings_have_their_own_table_and_caution(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    trajectory = {
        "name": "trajectory_04.csv",
        "model_error": 0.61,
        "torque_errors": {"law": [0.129, 0.133], "description": [0.2, 0.113]},
        "torque_size": [0.025, 0.295],
    }
    write_json(
        tmp_path / "recordings.json",
        {
            "joints": ["shoulder", "elbow"],
            "torque_subjects": ["law", "description"],
            "trajectories": [trajectory],
            "processing": ["two filters", "time alignment: 7.5 ± 0.3 ms; offsets: shoulder +0.1"],
        },
    )
    text = render(tmp_path).read_text()
    assert "How the logs were read:\n\n- two filters\n- time alignment: 7.5 ± 0.3 ms" in text
    assert "| trajectory_04.csv | 61 % | 0.129 | 0.133 | 0.200 | 0.113 | 0.0250 | 0.295 |" in text
    assert "There is no simulator behind recordings" in text


@pytest.mark.parametrize("kept_aside", [True, False])
def test_a_recorded_study_without_a_law_has_a_report(tmp_path: Path, kept_aside: bool) -> None:
    """A model for which no law was found, beside one with a law; with test logs and without."""
    planted.write_study(tmp_path)
    for name in ("simulator", "table", "mlp"):
        has_law = name == "simulator"
        errors = {"description": [0.2, 0.113]} | ({"law": [0.129, 0.133]} if has_law else {})
        trajectory = {
            "name": "elbow.csv",
            "model_error": 0.61,
            "law_error": 0.3 if has_law else None,
            "torque_errors": errors,
            "torque_size": [0.025, 0.295],
        }
        record = {
            "joints": ["shoulder", "elbow"],
            "torque_subjects": list(errors) if kept_aside else [],
            "trajectories": [trajectory] if kept_aside else [],
            "processing": [],
        }
        write_json(tmp_path / name / "recordings.json", record)
        (tmp_path / name / "accuracy.json").unlink()
        if not has_law:
            verdict = read_json(tmp_path / name / "verdict.json")
            write_json(tmp_path / name / "verdict.json", {**verdict, "law": None})
            write_json(tmp_path / name / "law.json", None)
            (tmp_path / name / "formulas.json").unlink()
    text = render(tmp_path).read_text()
    row = next(line for line in text.splitlines() if line.startswith("| [table]"))
    assert row.endswith("| 61 % | – | 0.20 and 0.11 |" if kept_aside else "| – | – | – |"), row
    assert ("those of the description" in text) == kept_aside
    assert ("joint forces of the description by" in text) == kept_aside


def test_a_folder_without_evidence_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"verdict.json or study.json") as caught:
        render(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_evidence_is_named(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    whole = (tmp_path / "exam.json").read_text()
    (tmp_path / "exam.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(OutputError, match=r"exam.json, found damaged JSON"):
        render(tmp_path)
    assert read_json(tmp_path / "verdict.json")["queries"] == 5512


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    planted.write_exam(tmp_path)
    whole = (tmp_path / "forecast.npz").read_bytes()
    (tmp_path / "forecast.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OutputError, match=r"forecast.npz, found a damaged file"):
        render(tmp_path)
