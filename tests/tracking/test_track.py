"""One examination a checkpoint: what is found follows the model, and nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pendulums import REGION, ROBOT, Pendulum, broken

import discover
from discover import cli
from discover.errors import ModelError, OutputError, RegionError
from discover.tracking import track as module

SCALES = {0: 0.5, 200: 0.8, 1000: 1.0}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> tuple[discover.Track, Path]:
    out = tmp_path_factory.mktemp("track") / "out"
    checkpoints = {**{s: Pendulum(x) for s, x in SCALES.items()}, 500: broken}
    return discover.track(checkpoints, ROBOT, REGION, out=out), out


def test_the_parameters_follow_the_checkpoints(tracked):
    track, _ = tracked
    assert [row["step"] for row in track.table] == [0, 200, 500, 1000]
    found = {p["step"]: p["value"] / p["description"] for p in track.parameters}
    assert found == pytest.approx(SCALES, abs=1e-9)
    good = [row for row in track.table if row["failure"] is None]
    assert {row["verdict"] for row in good} == {"physics"}
    assert all(row["error"] < 1e-9 and row["reach_q"] == track.reach_limit for row in good)


def test_a_checkpoint_that_cannot_be_asked_is_a_row(tracked):
    track, out = tracked
    row = track.table[2]
    assert "finite" in row["failure"]
    assert row["verdict"] is None
    assert "Not examined" in (out / "track.md").read_text()


def test_it_is_stored_and_read_back(tracked, tmp_path):
    track, out = tracked
    assert discover.Track.load(out) == track
    again = track.save(tmp_path / "copy")
    for name in ("track.json", "track.md", "track.png"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    json.loads((out / "track.json").read_text(), parse_constant=lambda x: pytest.fail(x))
    exam = discover.load(out / "checkpoints" / "step_200")
    assert exam.parameters[0]["value"] == track.rows[1].parameters[0]["value"]


def test_the_page_and_the_figure_say_it(tracked):
    track, out = tracked
    page = (out / "track.md").read_text()
    assert "**physics** at steps 0 to 1,000" in page
    assert all(f"\n| {step} |" in page for step in ("0", "200", "500", "1,000"))
    panels = track.figure().axes
    assert [p.get_title(loc="left").split()[0] for p in panels] == [
        "relative",
        "reach",
        "probability",
        "parameters",
    ]
    drawn = [line for line in panels[3].lines if len(line.get_xdata()) == 3]
    assert np.allclose(drawn[0].get_ydata(), list(SCALES.values()))
    assert "not examined" in str(track)


def test_a_second_call_examines_what_is_new_or_changed(tracked, monkeypatch):
    track, out = tracked
    asked = []

    def counted(model, robot, region, **options):
        asked.append(options["name"])
        return discover.examine(model, robot, region, **options)

    monkeypatch.setattr(module, "examine", counted)
    checkpoints = {s: Pendulum(x) for s, x in SCALES.items()}
    again = discover.track(checkpoints, ROBOT, REGION, out=out)
    assert asked == []
    assert [row.seconds for row in again.rows] == [r.seconds for r in track.rows if not r.failure]
    # another model at a step that was there, and a new step
    discover.track({**checkpoints, 200: Pendulum(0.7), 2000: Pendulum(1.1)}, ROBOT, REGION, out=out)
    assert asked == ["step 200", "step 2000"]
    # another question
    asked.clear()
    discover.track({0: Pendulum(0.5)}, ROBOT, REGION.scaled(1.5), out=out)
    assert asked == ["step 0"]
    # a damaged file
    (out / "checkpoints" / "step_0" / "evidence.json").write_text("[")
    discover.track({0: Pendulum(0.5)}, ROBOT, REGION.scaled(1.5), out=out)
    assert asked == ["step 0", "step 0"]


class Stopped(Pendulum):
    def __call__(self, q, v, tau):
        raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt) as cut:
        discover.track({0: Pendulum(1.0), 1: Stopped(1.0)}, ROBOT, REGION, out=out)
    (note,) = cut.value.__notes__
    assert "1 of 2" in note
    assert str(out) in note
    assert [row.step for row in discover.Track.load(out).rows] == [0]
    with pytest.raises(KeyboardInterrupt) as cut:
        discover.track({1: Stopped(1.0)}, ROBOT, REGION)
    assert "out=" in cut.value.__notes__[0]


def test_progress_is_told_of_every_checkpoint():
    told = []
    checkpoints = {0: Pendulum(1.0), 5: Pendulum(0.5)}
    discover.track(
        checkpoints, ROBOT, REGION, progress=lambda stage, queries: told.append((stage, queries))
    )
    assert {stage.split(":")[0] for stage, _ in told} == {"step 0", "step 5"}
    assert max(queries for _, queries in told) > 50


def test_bad_input_is_one_line(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    good = {0: Pendulum(1.0)}
    with pytest.raises(OutputError, match="other files"):
        discover.track(good, ROBOT, REGION, out=tmp_path)
    with pytest.raises(ModelError, match="none of 2"):
        discover.track({0: broken, 1: broken}, ROBOT, REGION)
    with pytest.raises(ModelError, match="budget"):
        discover.track(good, ROBOT, REGION, budget="huge")
    with pytest.raises(RegionError):
        discover.track(good, ROBOT, 1.0)
    with pytest.raises(RegionError):
        discover.track(good, ROBOT, discover.Region(q=[1.0, 1.0], v=1.0, tau=1.0))
    path = tmp_path / "net_1.onnx"
    (tmp_path / "net_2.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"no such file; beside it lies net_2\.onnx"):
        discover.track([path], ROBOT, REGION)
    with pytest.raises(OutputError, match="a track"):
        discover.Track.load(tmp_path)


FACTORIES = """
import kinematics

robot = kinematics.load("double_pendulum")

def net_10():
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)

def net_20():
    heavier = robot.replace(pi=2 * robot.pi)
    return lambda q, v, tau: kinematics.aba(heavier, q, v, tau)
"""


OBSERVING = """
import torch

def next_of(learned):
    def net(observation, action):
        q, v = torch.atan2(observation[:, 1:2], observation[:, :1]), observation[:, 2:]
        v = v + 0.01 * action / 0.5
        q = q + 0.01 * v
        return learned * (torch.cat((torch.cos(q), torch.sin(q), v), -1) - observation)
    return net

def net_0():
    return next_of(False)

def net_100():
    return next_of(True)
"""


def test_a_network_that_has_not_learned_yet_is_a_row(tmp_path, capsys):
    """The declaration is checked on the last checkpoint alone."""
    (tmp_path / "nets.py").write_text(OBSERVING)
    (tmp_path / "pendulum.xml").write_text(
        '<mujoco><option gravity="0 0 0"/><worldbody><body name="p"><joint name="hinge" '
        'axis="0 1 0"/><inertial pos="0 0 0" mass="1" diaginertia=".5 .5 .5"/></body>'
        "</worldbody></mujoco>"
    )
    (tmp_path / "layout.toml").write_text(
        'observation = ["cos", "sin", "v"]\ntarget = "difference"\ndt = 0.01\n'
    )
    (tmp_path / "region.toml").write_text("q = 2.0\nv = 2.0\ntau = 2.0\n")
    net = f"{tmp_path / 'nets.py'}:net_"
    options = ["--robot", str(tmp_path / "pendulum.xml"), "--region", str(tmp_path / "region.toml")]
    options += ["--observation", str(tmp_path / "layout.toml"), "--out", str(tmp_path / "out")]
    assert cli.main(["track", f"{net}0", f"{net}100", *options]) == 0
    first, last = discover.Track.load(tmp_path / "out").rows
    assert first.failure is None
    assert first.parameters == []
    assert last.verdict == "physics"
    options[-1] = str(tmp_path / "alone")
    assert cli.main(["track", f"{net}0", *options]) == 2
    assert "for one that has not learned" in capsys.readouterr().err
    layout = (tmp_path / "layout.toml").read_text()
    (tmp_path / "layout.toml").write_text(layout + "sanity = false\n")
    assert cli.main(["track", f"{net}0", *options]) == 0


def test_the_command(tmp_path, capsys):
    (tmp_path / "nets.py").write_text(FACTORIES)
    (tmp_path / "region.toml").write_text("q = 1.0\nv = 1.0\ntau = 2.0\n")
    out = tmp_path / "out"
    nets = [f"{tmp_path / 'nets.py'}:net_{k}" for k in (10, 20)]
    command = ["track", *nets, "--robot", "double_pendulum", "--region"]
    command += [str(tmp_path / "region.toml"), "--out", str(out)]
    assert cli.main(command) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.count("physics") == 2
    assert (out / "track.png").is_file()
    assert [row.step for row in discover.Track.load(out).rows] == [10, 20]
    assert cli.main([*command, "--steps", "1"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "one step a checkpoint" in told
