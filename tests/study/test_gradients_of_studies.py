"""A recipe's `[gradients]`: measured beside the verdict, shown after it, not measured twice."""

import pytest
import studies

from discover.cli import main
from discover.gradient_quality.result import load

ASKED = "\n[gradients]\nradii = [0.1, 0.3]\nstarts = 8\npairs = 32\n"


@pytest.mark.slow
def test_a_study_measures_gradients_where_its_recipe_asks(tmp_path, capsys):
    out = tmp_path / "out"
    recipe = studies.write_recipe(tmp_path, ASKED, studies.MLP)
    assert main(["run", str(recipe), "--out", str(out)]) == 0
    report = load(out / "mlp" / "gradients")
    text = (out / "mlp" / "report.md").read_text()
    assert "## Where can it be used for optimisation?" in text
    assert report.sentence in text
    assert (out / "mlp" / "gradients" / "gradient_cosines.png").exists()
    capsys.readouterr()
    assert main(["run", str(recipe), "--out", str(out), "--resume"]) == 0
    assert not any(x.startswith("gradients") for x in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("wrong", ["starts = 1", "radii = []", "radius = [1.0]"])
def test_what_a_recipe_cannot_ask(tmp_path, capsys, wrong):
    path = studies.write_recipe(tmp_path, f"\n[gradients]\n{wrong}\n", studies.MLP)
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "gradients" in capsys.readouterr().err
