"""What a run redoes, keeps and refuses. The stages are replaced by small stand-ins here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import studies

from discover.artifacts import read_json
from discover.errors import ModelError, OutputError, RecipeError
from discover.evaluation import measure
from discover.report import rendering
from discover.study import experiment, stages


class Counter:
    """Counts the calls of a stage, and can make one fail."""

    def __init__(self, stage: Any) -> None:
        self.stage, self.calls, self.failure = stage, [], None  # type: ignore[var-annotated]

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls.append(next((x for x in given if isinstance(x, str)), ""))
        if self.failure is not None:
            raise self.failure
        return self.stage(*given, **named)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter]:
    """Stages that count; what is measured and drawn after the verdict is left out for speed."""
    monkeypatch.setattr(measure, "measure", lambda *given, **options: [])
    monkeypatch.setattr(rendering, "_draw_exam", lambda *given: {})
    found = {
        name: Counter(getattr(stages, name))
        for name in ("sample_dataset", "train_model", "examine_model")
    }
    for name, counter in found.items():
        monkeypatch.setattr(stages, name, counter)
    return found


def run(recipe: Path, out: Path, **options: Any) -> experiment.Outcome:
    return experiment.run(recipe, out, say=lambda line: None, progress=False, **options)


def test_a_study_from_recipe_to_report(whole: tuple[Path, Path]) -> None:
    _, out = whole
    verdicts = studies.verdicts(out)
    assert verdicts["simulator"]["verdict"] == "physics"
    assert verdicts["table"]["verdict"] != "physics"
    manifest = read_json(out / "manifest.json")
    assert manifest["seed"] == 3
    assert manifest["recipe"]["data"]["samples"] == 300
    assert set(manifest["versions"]) >= {"worldlaw", "torch", "numpy"}
    assert manifest["dataset"] is not None
    assert (out / "report.md").is_file()
    for name in ("simulator", "table"):
        assert (out / name / "report.md").is_file()
        assert (out / name / "figures" / "errors.png").is_file()


def test_a_failure_keeps_what_was_finished(tmp_path: Path, counted: dict[str, Counter]) -> None:
    recipe = studies.write_recipe(tmp_path, studies.SIMULATOR)
    counted["examine_model"].failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "out")
    counted["examine_model"].failure = None
    run(recipe, tmp_path / "out", resume=True)
    assert len(counted["sample_dataset"].calls) == 1


def test_another_model_leaves_the_first_as_it_is(
    tmp_path: Path, counted: dict[str, Counter]
) -> None:
    run(studies.write_recipe(tmp_path, studies.SIMULATOR), tmp_path / "out")
    more = studies.write_recipe(tmp_path, studies.SIMULATOR, studies.TABLE)
    outcome = run(more, tmp_path / "out", resume=True)
    assert counted["examine_model"].calls == ["simulator", "table"]
    assert list(outcome.exams) == ["simulator", "table"]


def test_what_depends_on_a_change_is_redone(tmp_path: Path, counted: dict[str, Counter]) -> None:
    recipe = studies.write_recipe(tmp_path, studies.TABLE)
    original = counted["examine_model"].stage

    def quick(recipe: Any, name: str, model: Any, robot: Any, dataset: Any, **more: Any) -> Any:
        return original(recipe, name, stages.simulator(robot), robot, dataset, **more)

    counted["examine_model"].stage = quick
    run(recipe, tmp_path / "out")
    run(recipe, tmp_path / "out", resume=True, overrides=["data.samples=200"])
    assert [len(counted[name].calls) for name in counted] == [2, 2, 2]
    run(recipe, tmp_path / "out", resume=True, overrides=["data.samples=200"])
    assert [len(counted[name].calls) for name in counted] == [2, 2, 2]


def test_a_damaged_result_is_made_again(tmp_path: Path, counted: dict[str, Counter]) -> None:
    recipe, out = studies.write_recipe(tmp_path), tmp_path / "out"
    run(recipe, out)
    whole = (out / "dataset.h5").read_bytes()
    (out / "dataset.h5").write_bytes(whole[:-100])
    run(recipe, out, resume=True)
    assert (out / "dataset.h5").read_bytes() == whole
    assert len(counted["sample_dataset"].calls) == 2
    assert len(counted["examine_model"].calls) == 1  # the same data came out


def test_without_resume_all_is_done_again(tmp_path: Path, counted: dict[str, Counter]) -> None:
    recipe = studies.write_recipe(tmp_path)
    run(recipe, tmp_path / "out")
    run(recipe, tmp_path / "out")
    assert len(counted["examine_model"].calls) == 2


@pytest.mark.slow
def test_without_resume_results_of_another_recipe_are_kept(
    tmp_path: Path, counted: dict[str, Counter]
) -> None:
    recipe, out = studies.write_recipe(tmp_path, studies.TABLE, studies.SIMULATOR), tmp_path / "out"
    run(recipe, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for change, words in (
        ("data.samples=200", "data.samples: 300 there, 200 here"),
        ("study.seed=4", "study.seed: 3 there, 4 here"),
        ("model.table.neighbours=2", "model.table"),
    ):
        with pytest.raises(OutputError, match=rf"{words}.*--resume") as refused:
            run(recipe, out, overrides=[change])
        assert "\n" not in str(refused.value)
    studies.write_recipe(tmp_path, studies.SIMULATOR)
    with pytest.raises(OutputError, match=r"model\.table"):
        run(recipe, out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    studies.write_recipe(tmp_path, studies.TABLE, studies.SIMULATOR)
    run(recipe, out, resume=True, overrides=["study.seed=4"])  # nothing of seed 3 is used again
    assert [len(counted[name].calls) for name in counted] == [2, 4, 4]
    lines: list[str] = []
    experiment.run(recipe, out, overrides=["study.seed=4"], say=lines.append, progress=False)
    assert "made again" in lines[0]


def test_another_study_is_not_overwritten(tmp_path: Path) -> None:
    recipe, out = studies.write_recipe(tmp_path), tmp_path / "out"
    run(recipe, out)
    before = (out / "report.md").read_bytes()
    recipe.write_text(recipe.read_text().replace('"small"', '"other"'))
    for resume in (False, True):
        with pytest.raises(OutputError, match="expected the study 'other'"):
            run(recipe, out, resume=resume)
    assert (out / "report.md").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="other files"):
        run(studies.write_recipe(tmp_path), tmp_path / "home")
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"schema": 1, "stud')
    with pytest.raises(OutputError, match=r"manifest.json, found damaged JSON"):
        run(studies.write_recipe(tmp_path), out, resume=True)


def raises(q: Any, v: Any, tau: Any) -> Any:
    return 1 / 0


def mutates(q: Any, v: Any, tau: Any) -> Any:
    q += 1
    return tau


@pytest.mark.parametrize(("bad", "words"), [(raises, "ZeroDivisionError"), (mutates, "in place")])
def test_a_model_that_misbehaves_is_named_and_the_others_are_kept(
    tmp_path: Path, counted: dict[str, Counter], bad: Any, words: str
) -> None:
    recipe = studies.write_recipe(tmp_path, studies.SIMULATOR, studies.TABLE)
    original = counted["examine_model"].stage

    def broken(recipe: Any, name: str, model: Any, *given: Any, **more: Any) -> Any:
        return original(recipe, name, bad if name == "table" else model, *given, **more)

    counted["examine_model"].stage = broken
    with pytest.raises(ModelError, match=words):
        run(recipe, tmp_path / "out")
    assert list(studies.verdicts(tmp_path / "out")) == ["simulator"]


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    from discover.study.recipes import load

    recipe = load(studies.write_recipe(tmp_path))
    with pytest.raises(RecipeError, match="expected a model of simulator, found 'gnn'"):
        stages.train_model(recipe, "gnn", None, None)  # type: ignore[arg-type]
