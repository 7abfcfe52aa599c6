"""Models from files in a recipe: checked before anything is computed, and as declared there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import studies
import torch

from discover.errors import ModelError, RecipeError
from discover.evaluation import measure
from discover.report import rendering
from discover.study import experiment, recipes, stages

MODEL = """
def build():
    def model(u, x, w):
        acceleration = u - x.sin()
        return x + 0.01 * w, w + 0.01 * acceleration
    return model
"""


def write(folder: Path, text: str, models: tuple[str, ...] = ()) -> Path:
    path = studies.write_recipe(folder, *models, f'\n[[model]]\nname = "mine"\n{text}\n')
    (folder / "theirs.py").write_text(MODEL)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "file"\npath = "a.onnx"\ndtt = 0.1', "unknown key model.mine.dtt; did you"),
        ('kind = "file"\npath = "a.onnx"\nwidth = 8', r"unknown key model.mine.width; .*outputs"),
        ('kind = "file"\npath = "a.onnx"\nnv = 2', "unknown key model.mine.nv"),
        ('kind = "file"', r"model.mine.path: expected a file for kind 'file', found nothing"),
        ('kind = "mlp"\npath = "a.onnx"', r"model.mine.path: expected a path for kind 'file' only"),
        ('kind = "simulator"\nwidth = 8', r"unknown key model.mine.width; \(keys of kind"),
    ],
)
def test_a_key_that_the_kind_does_not_have_is_refused_on_reading(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        recipes.load(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "file"\npath = "gone.onnx"', r"model.mine.path: expected a model at .*gone.onnx"),
        ('kind = "file"\npath = "gone.py:make"', r"expected a model at .*gone.py \("),
        ('kind = "mlp"\nwidht = 8', "no option 'widht'; did you mean 'width'"),
        ('kind = "mpl"', "model 'mpl' unknown; expected one of simulator, file, table"),
    ],
)
def test_what_is_wrong_with_the_last_model_is_told_before_any_work(
    tmp_path: Path, text: str, words: str
) -> None:
    recipe = write(tmp_path, text, (studies.TABLE,))
    with pytest.raises(ModelError, match=words) as caught:
        experiment.run(recipe, tmp_path / "out", say=lambda line: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


DECLARED = 'kind = "file"\npath = "theirs.py:build"\norder = ["tau", "q", "v"]\n'


def test_a_file_beside_the_recipe_is_found_and_its_declaration_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    text = f'{DECLARED}outputs = "next_state"\ndt = 0.01'
    path = write(tmp_path / "study", text)
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = recipes.load(path, ["data.outputs=next_state", "data.samples=50"])
    robot = stages.load_robot(recipe)
    data = stages.sample_dataset(recipe, robot)
    model: Any = stages.train_model(recipe, "mine", robot, data)
    assert (model.outputs, model.dt) == ("next_state", 0.01)
    q, v, tau = torch.rand(3, 5, 2, dtype=torch.float64)
    assert torch.allclose(model(q, v, tau)[1], v + 0.01 * (tau - q.sin()))
    again = recipes.Recipe.from_dict(recipe.to_dict())
    assert again.model == recipe.model


def test_a_recipe_of_the_same_name_is_no_declaration(tmp_path: Path) -> None:
    path = write(tmp_path, f'{DECLARED}outputs = "next_state"\ndt = 0.01')
    recipe = recipes.load(path.rename(tmp_path / "theirs.toml"))
    robot = stages.load_robot(recipe)
    model = stages.load_model(str(recipe.model[0].path), robot, **recipe.model[0].options)
    assert model.dt == 0.01


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "declared outputs 'acceleration' have 2 columns, found 2 \\+ 2"),
        ('outputs = "next_state"\ndt = 0.02', "declared dt|steps of 0.01 s, as the data's"),
        ('outputs = "next_state"', "expected dt > 0 in seconds"),
    ],
)
def test_a_file_that_answers_something_else_is_told_before_others_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setattr(measure, "measure", lambda *given, **options: [])
    monkeypatch.setattr(rendering, "_draw_exam", lambda *given: {})
    path = write(tmp_path, DECLARED + text, (studies.TABLE,))
    lines: list[str] = []
    settings = ["data.outputs=next_state", "data.samples=50"]
    with pytest.raises(ModelError, match=words):
        experiment.run(path, tmp_path / "out", overrides=settings, say=lines.append)
    assert not any("trained" in line for line in lines)
