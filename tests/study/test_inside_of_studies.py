"""A study looks into its networks where its recipe asks for it, and shows it beside the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import studies

from discover.artifacts import read_json
from discover.errors import RecipeError
from discover.inside.result import load
from discover.report.stored import INSIDE
from discover.study import experiment, recipes

ASKED = '\n[inside]\nvariables = ["roles"]\nseeds = 1\nbudget_s = 1\n'


def test_nobody_looks_unless_the_recipe_asks(tmp_path: Path) -> None:
    recipe = recipes.load(studies.write_recipe(tmp_path, studies.MLP))
    assert recipe.inside is None
    assert "inside" not in recipe.to_dict()
    asked = recipes.load(studies.write_recipe(tmp_path, ASKED, studies.MLP)).inside
    assert asked is not None
    assert (asked.variables, asked.seeds, asked.budget_s) == (("roles",), 1, 1.0)


@pytest.mark.parametrize(
    ("key", "said"), [('variables = ["energy"]', "variables"), ("budget_s = 0", "budget_s")]
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, key: str, said: str) -> None:
    path = studies.write_recipe(tmp_path, f"\n[inside]\n{key}\n", studies.MLP)
    with pytest.raises(RecipeError, match=said):
        recipes.load(path)


@pytest.mark.slow
def test_what_was_found_stands_after_the_verdict_of_a_network_alone(tmp_path: Path) -> None:
    path = studies.write_recipe(tmp_path, ASKED, studies.MLP, studies.SIMULATOR)
    out = tmp_path / "out"
    experiment.run(path, out, say=lambda line: None, progress=False)
    found = load(out / "mlp" / INSIDE.parent)
    assert found.claim("uses", "H") is not None
    assert not (out / "simulator" / INSIDE).exists()
    text = (out / "mlp" / "report.md").read_text()
    assert text.index("### ") < text.index("## Inside") < text.index("## How it was made")
    assert "## Inside" not in (out / "simulator" / "report.md").read_text()
    assert "inside" not in read_json(out / "mlp" / "verdict.json")
    lines: list[str] = []
    experiment.run(path, out, say=lines.append, progress=False, resume=True)
    assert not any(line.startswith("inside") for line in lines)  # kept
