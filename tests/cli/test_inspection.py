"""`discover inspect`: what is in scope is what was found, and the banner says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sympy
import torch

import discover
import kinematics
from discover.artifacts import write_json
from discover.errors import OutputError
from discover.evaluation.simulators.reference import simulator
from discover.study import inspection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=1.0, tau=2.0)
    exam = discover.examine(simulator(robot), robot, region, budget="quick", name="control")
    directory = tmp_path_factory.mktemp("study")
    exam.save(directory / "control")
    write_json(directory / "study.json", {"name": "s", "models": [{"name": "control"}]})
    return directory


def test_scope_holds_the_law_and_its_formulas(folder: Path) -> None:
    scope, banner = inspection.prepare(folder / "control")
    assert scope["exam"].verdict == "physics"
    q = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    at = dict(zip(scope["q"], q[0].tolist(), strict=True))
    H = torch.tensor(scope["H"].subs(at).tolist(), dtype=torch.float64)
    torch.testing.assert_close(H, kinematics.crba(scope["robot"], q)[0], rtol=1e-8, atol=1e-8)
    assert isinstance(scope["potential"], sympy.Expr)
    for name in ("exam", "law", "robot", "H, bias, potential", "q, v, a, tau"):
        assert name in banner


def test_a_study_opens_the_model_that_is_asked_for(folder: Path) -> None:
    assert inspection.find(folder, None) == folder / "control"
    assert inspection.find(folder, "control") == folder / "control"
    with pytest.raises(OutputError, match="expected a model of control"):
        inspection.find(folder, "mlp")


@pytest.mark.slow
def test_the_session_itself(folder: Path) -> None:
    """A real IPython, fed from a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "discover", "inspect", str(folder)],
        input="print('size', H.shape, potential.free_symbols <= set(q))\nexit\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "control: physics" in done.stdout
    assert "size (2, 2) True" in done.stdout


def test_notebooks_show_the_examination_and_the_law(folder: Path) -> None:
    exam = discover.load(folder / "control")
    assert "physics" in exam._repr_markdown_()
    assert exam.law is not None
    assert exam.law._repr_markdown_()  # type: ignore[attr-defined]
    for told in (repr(exam), repr(exam.law)):  # what a session prints is a line
        assert "\n" not in told
        assert len(told) < 300
        assert "'double_pendulum', rigid body" in repr(exam.law)
