"""Long examinations show where they are, on a terminal only, and say how to go on after Ctrl-C."""

from __future__ import annotations

import io
import re
import sys

import pytest

import discover
import kinematics
from discover import cli
from discover.progress import reported, stage, watch

ROBOT = kinematics.random_tree(1, seed=3)
REGION = discover.Region(q=1.0, v=1.0, tau=2.0)


def pendulum(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_function_is_told_the_stages_in_order():
    told = []
    exam = discover.examine(
        pendulum, ROBOT, REGION, budget="quick", progress=lambda *where: told.append(where)
    )
    stages, queries = zip(*told, strict=True)
    assert stages[0] == "noise and repeatability"
    assert stages[-1] == "tree, geometry and recursion"
    assert list(queries) == sorted(queries)
    assert 0 < queries[-1] <= exam.queries


@pytest.mark.slow
def test_hypotheses_are_named():
    def noisy_table(q, v, tau):
        return (3 * q).round() + v.abs() - tau.sign()

    told = []
    discover.examine(
        noisy_table, ROBOT, REGION, budget="quick", progress=lambda s, n: told.append(s)
    )
    assert "listed laws" in told
    assert "every hypothesis" in told


@pytest.mark.parametrize(("progress", "shown"), [(None, True), (True, True), (False, False)])
def test_a_terminal_gets_a_line(monkeypatch, capsys, progress, shown):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    discover.examine(pendulum, ROBOT, REGION, budget="quick", progress=progress)
    assert ("examination" in terminal.getvalue()) is shown
    assert capsys.readouterr().out == ""


def test_elsewhere_nothing_is_written(capfd):
    discover.examine(pendulum, ROBOT, REGION, budget="quick")
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_leaves_a_note_of_one_line():
    calls = []

    def stopped(q, v, tau):
        calls.append(len(q))
        if sum(calls) > 60:
            raise KeyboardInterrupt
        return (3 * q).round() + v.abs() - tau.sign()

    with pytest.raises(KeyboardInterrupt) as cut:
        discover.examine(stopped, ROBOT, REGION, budget="quick")
    (note,) = cut.value.__notes__
    assert re.match(r"examination cut short in \w.*, after \d+ queries and \d+ s; ", note)
    assert "begin again" in note
    assert "\n" not in note


def test_the_command_line_says_it_with_the_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "stopped.py").write_text(
        "from discover import progress\n"
        "def make():\n"
        "    def model(q, v, tau):\n"
        "        if progress._CURRENT.get() is not None:  # not while the file is opened\n"
        "            raise KeyboardInterrupt\n"
        "        return tau\n"
        "    return model\n"
    )
    (tmp_path / "region.toml").write_text("q = 1.0\nv = 1.0\ntau = 2.0\n")
    arguments = ["examine", "--model", f"{tmp_path}/stopped.py:make", "--robot", "double_pendulum"]
    arguments += ["--region", f"{tmp_path}/region.toml", "--out", f"{tmp_path}/out"]
    monkeypatch.setattr(sys, "argv", ["discover", *arguments])
    assert cli.main(arguments) == 130
    told = capsys.readouterr().err
    assert told.startswith("discover: interrupted; examination cut short in ")
    assert told.endswith(f"discover {' '.join(arguments)}\n")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Asked:
    queries = 7


def test_outside_of_reported_work_nothing_happens():
    stage("anything")
    watch(Asked())

    @reported("work", "go on")
    def work(progress=None):
        watch(Asked())
        watch(Asked())  # a second black box: its queries are added
        stage("the end")

    told = []
    work(progress=lambda *where: told.append(where))
    assert told == [("the end", 14)]
    stage("anything")
    assert told == [("the end", 14)]
