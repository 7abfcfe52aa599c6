"""The command line: what it prints, its exit status, and one clear line for every bad input."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import discover
import kinematics
from discover import cli

REGION = "q = 1.0\nv = 1.0\ntau = 2.0\n"
MODELS = """
import torch

def good():
    return lambda q, v, tau: tau

def raises():
    def model(q, v, tau):
        raise RuntimeError("first line\\nsecond line")
    return model

def pendulum():
    import kinematics

    robot = kinematics.load("double_pendulum")
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)

def observing():
    return lambda observation, action: observation

def nan():
    return lambda q, v, tau: tau * float("nan")

def wrong_shape():
    return lambda q, v, tau: tau[:, :1]
"""


ARM = """<mujoco><worldbody><body><joint name="a" axis="0 1 0"/><geom size=".1" pos="0 0 .3"/>
<body pos="0 0 .5"><joint name="b" axis="0 1 0"/><geom size=".1" pos="0 0 .3"/></body></body>
</worldbody><actuator><motor joint="b"/></actuator></mujoco>"""


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail with bad input; returns its one line."""

    def run(*arguments: object, status: int = 2) -> str:
        assert cli.main([str(a) for a in arguments]) == status
        printed = capsys.readouterr().err
        assert printed.startswith("discover: ")
        assert printed.endswith("\n")
        assert printed.count("\n") == 1
        assert "Traceback" not in printed
        return printed

    return run


def examine(tmp_path: Path, model: str, region: str = REGION, robot: str = "double_pendulum"):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "region.toml").write_text(region)
    return (
        "examine",
        *("--model", f"{tmp_path / 'models.py'}:{model}"),
        *("--robot", robot),
        *("--region", tmp_path / "region.toml"),
        *("--out", tmp_path / "exam"),
        *("--budget", "quick"),
    )


# ---- what works ------------------------------------------------------------------------------


def test_run_report_and_status(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["run", str(recipe), "--out", str(out), "--set", "data.samples=200"]) == 0
    printed = capsys.readouterr().out
    assert "simulator  physics" in printed
    assert "200 samples" in printed
    first = (out / "report.md").read_bytes()
    (out / "report.md").unlink()
    assert cli.main(["report", str(out)]) == 0
    assert (out / "report.md").read_bytes() == first


def test_a_model_without_a_robot(
    tmp_path: Path, complaint: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of coordinates is enough; together with a robot it is one too many."""
    with_robot = examine(tmp_path, "pendulum")
    alone = [str(a) for a in with_robot if a not in ("--robot", "double_pendulum")]
    assert cli.main([*alone, "--nv", "2"]) == 0
    assert "physics" in capsys.readouterr().out
    assert "leave --nv out" in complaint(*with_robot, "--nv", "2")
    assert "add --outputs next_state" in complaint(*with_robot, "--dt", "0.01")
    assert discover.load(tmp_path / "exam").model == "pendulum"  # the factory's name


def test_transitions_say_where_to_ask_and_what_the_errors_are(
    tmp_path: Path, complaint: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a region, the box is that of the data."""
    robot = kinematics.load("double_pendulum")
    unit = np.random.default_rng(0).uniform(-1, 1, size=(300, 6))
    q, v, tau = unit[:, :2], 2 * unit[:, 2:4], 5 * unit[:, 4:]
    a = kinematics.aba(robot, q, v, tau)
    np.savez(tmp_path / "data.npz", q=q, v=v, tau=tau, a=a)
    command = [str(a) for a in examine(tmp_path, "pendulum")]
    at = command.index("--region")
    without = [*command[:at], *command[at + 2 :]]
    data = ["--data", str(tmp_path / "data.npz"), "--within", "data"]
    assert cli.main([*without, *data]) == 0
    assert "physics" in capsys.readouterr().out
    exam = discover.load(tmp_path / "exam")
    assert exam.held_out is not None
    assert exam.held_out.transitions == 300
    assert max(error.model for error in exam.held_out.errors) < 1e-9
    assert exam.region.v.high.tolist() == pytest.approx([2.0, 2.0], rel=0.05)
    other = ["--out", str(tmp_path / "other")]
    assert "found none" in complaint(*without, *other, "--data", tmp_path / "nowhere.npz")
    assert "neither" in complaint(*without, *other)


def test_a_region_of_joint_forces_for_a_model_of_controls(
    tmp_path: Path, complaint: Callable[..., str]
) -> None:
    """One motor on two joints: as joint forces, one number or one a joint, it cannot be meant."""
    (tmp_path / "arm.xml").write_text(ARM)
    (tmp_path / "layout.toml").write_text('observation = ["q", "v"]\ndt = 0.01\nsanity = false\n')
    for tau in ("1.0", "[1.0, 1.0]"):
        region = f"q = 1.0\nv = 1.0\ntau = {tau}\n"
        command = examine(tmp_path, "observing", region, robot=str(tmp_path / "arm.xml"))
        told = complaint(*command, "--observation", tmp_path / "layout.toml")
        assert "expected u, the 1 controls of this model, in its region, found tau" in told


@pytest.mark.parametrize("kind", ["robots", "recipes", "models", "probes"])
def test_list(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    expected = {
        "robots": "panda",
        "recipes": "double_pendulum",
        "models": "mlp",
        "probes": "memory",
    }
    assert any(line.startswith(expected[kind]) for line in lines)
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)  # a name, and what it is


def test_the_former_name_of_an_option_is_not_in_the_help(capsys) -> None:
    assert cli.main(["calibrate", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--more-robots" in text
    assert "unused" not in text


def test_help_is_there_and_starts_nothing_heavy() -> None:
    program = (
        "import sys; from discover import cli; cli.main(['--help'])\n"
        "sys.exit(bool({'torch', 'sympy', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("run", "examine", "calibrate", "bench", "inspect", "report", "list"):
        assert command in done.stdout


# ---- bad input: one line, status 2 -------------------------------------------------------------


def test_a_missing_recipe(complaint: Callable[..., str]) -> None:
    assert "double_pendulum" in complaint("run", "dubble_pendulum")


def test_a_malformed_recipe(complaint: Callable[..., str], recipe: Path) -> None:
    recipe.write_text("[study\nname = 3")
    assert "not TOML" in complaint("run", recipe)


def test_an_unknown_recipe_key(complaint: Callable[..., str], recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("samples", "sampels"))
    assert "did you mean 'samples'" in complaint("run", recipe)


def test_a_setting_that_is_none(complaint: Callable[..., str], recipe: Path) -> None:
    complaint("run", recipe, "--set", "data.samples")
    complaint("run", recipe, "--set", "data.samples=many")


def test_a_region_inside_out(complaint: Callable[..., str], recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("q = 1.0", "q = {low = 1.0, high = -1.0}"))
    assert "low < high" in complaint("run", recipe)
    arguments = examine(tmp_path, "good", REGION.replace("1.0", "-1.0"))
    assert "above zero" in complaint(*arguments)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("raises", "RuntimeError"),
        ("nan", "NaN"),
        ("wrong_shape", "shape"),
        ("absent", "absent"),
    ],
)
def test_a_model_that_misbehaves(
    complaint: Callable[..., str], tmp_path: Path, model: str, words: str
) -> None:
    message = complaint(*examine(tmp_path, model))
    assert words in message
    assert "check input_scale" not in message  # no option of the command
    assert not (tmp_path / "exam" / "verdict.json").exists()


def test_a_missing_model_and_a_pickle(complaint: Callable[..., str], tmp_path: Path) -> None:
    arguments = list(examine(tmp_path, "good"))
    arguments[2] = tmp_path / "nowhere.pt2"
    assert "nowhere.pt2" in complaint(*arguments)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    arguments[2] = tmp_path / "model.pkl"
    complaint(*arguments)


def test_a_missing_and_a_malformed_robot(complaint: Callable[..., str], tmp_path: Path) -> None:
    complaint(*examine(tmp_path, "good", robot="pandaa"))
    (tmp_path / "bad.urdf").write_text("<robot name='x'><link name='a'>")
    complaint(*examine(tmp_path, "good", robot=str(tmp_path / "bad.urdf")))


def test_a_model_of_another_robot(complaint: Callable[..., str], tmp_path: Path) -> None:
    assert "own robot" in complaint(*examine(tmp_path, "pendulum", robot="planar_3r"))


def test_a_folder_of_something_else(
    complaint: Callable[..., str], recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "exam").mkdir()
    (tmp_path / "exam" / "thesis.tex").write_text("years of work")
    complaint("run", recipe, "--out", tmp_path / "exam")
    complaint(*examine(tmp_path, "good"))
    assert [p.name for p in (tmp_path / "exam").iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written(
    complaint: Callable[..., str], recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "another --out" in complaint("run", recipe, "--out", tmp_path / "file" / "out")
    assert "another --out" in complaint("run", recipe, "--out", "/proc/discover")


def test_a_report_of_nothing(complaint: Callable[..., str], tmp_path: Path) -> None:
    assert "verdict.json" in complaint("report", tmp_path)
    assert "verdict.json" in complaint("inspect", tmp_path)


def test_a_truncated_data_set_or_checkpoint_where_no_run_can_mend_it(
    complaint: Callable[..., str], recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    arguments = list(examine(tmp_path, "good"))
    arguments[2] = tmp_path / "model.safetensors"
    assert "truncated" in complaint(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("run",),
        ("run", "panda", "--device", "abacus"),
        ("run", "panda", "--frobnicate"),
        ("list", "unicorns"),
        ("bench", "unicorns"),
    ],
)
def test_usage(complaint: Callable[..., str], arguments: tuple[str, ...]) -> None:
    complaint(*arguments)


def test_what_comes_later_says_so(complaint: Callable[..., str]) -> None:
    assert "a planted setting" in complaint("calibrate", "--robot", "no such robot")


# ---- failures of ours --------------------------------------------------------------------------


def test_a_failure_of_ours_is_one_line_and_debug_shows_more(
    complaint: Callable[..., str],
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from discover.study import experiment

    def broken(*given: object, **named: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(experiment, "run", broken)
    assert "--debug" in complaint("run", recipe, status=1)
    assert cli.main(["run", str(recipe), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_warnings_are_told_on_a_line_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from discover.study import listings

    def warned() -> list[tuple[str, str]]:
        warnings.warn("left out:\n  armature", stacklevel=1)
        return []

    shown = warnings.showwarning
    monkeypatch.setitem(listings.LISTINGS, "robots", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main(["list", "robots"]) == 0
    assert warnings.showwarning is shown
    assert capsys.readouterr().err == "discover: warning: left out: armature\n"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import discover

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == discover.__version__
