"""The fifteen-line script of the README does what `discover run` does."""

from __future__ import annotations

from pathlib import Path

import pytest
import studies

import discover


@pytest.mark.slow
def test_the_stages_by_hand_give_the_same_verdict(whole: tuple[Path, Path], tmp_path: Path) -> None:
    path, out = whole

    recipe = discover.load_recipe(path)
    robot = discover.load_robot(recipe)
    dataset = discover.sample_dataset(recipe, robot)
    for entry in recipe.model:
        model = discover.train_model(recipe, entry.name, robot, dataset)
        exam = discover.examine_model(recipe, entry.name, model, robot, dataset)
        discover.write_report(exam, tmp_path / entry.name)
        assert (tmp_path / entry.name / "report.md").is_file()

    assert studies.verdicts(tmp_path) == studies.verdicts(out)
