"""Rows in TensorBoard and in Weights & Biases, which are imported where they are used only."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from discover.errors import ModelError
from discover.tracking.loggers import scalars
from discover.tracking.result import Track
from discover.tracking.rows import Row

ROWS = (
    Row(
        step=0.0,
        name="first",
        verdict="lookup table",
        confidence=0.9,
        probabilities={"physics": 0.1, "lookup table": 0.9},
        error=0.2,
        error_far=float("inf"),
        reach={"q": 1.2, "v": 0.5},
        queries=100,
        seconds=1.0,
    ),
    Row(step=10.0, name="second", failure="expected finite accelerations"),
    Row(
        step=20.0,
        name="third",
        verdict="physics",
        confidence=0.99,
        error=1e-9,
        family="rigid body",
        bits=100.0,
        parameters=[{"name": "m[a]", "value": 2.0, "standard_error": 0.1, "description": None}],
    ),
)
TRACK = Track(
    rows=ROWS, robot="arm", region={}, budget="quick", seed=0, reach_limit=3.0, versions={}
)


class Writer:
    def __init__(self, folder=None):
        self.folder, self.numbers, self.words, self.closed = folder, {}, {}, False

    def add_scalar(self, name, value, step):
        self.numbers[name, step] = value

    def add_text(self, name, text, step):
        self.words[name, step] = text

    def close(self):
        self.closed = True


def test_what_is_not_finite_is_left_out():
    names = scalars(ROWS[0])
    assert names["law error in the region"] == 0.2
    assert "law error far out" not in names
    assert scalars(ROWS[1]) == {}


def test_a_writer_gets_every_number_at_its_step():
    writer = Writer()
    TRACK.to_tensorboard(writer, prefix="exam")
    assert writer.numbers["exam/confidence", 20] == 0.99
    assert writer.numbers["exam/reach/q", 0] == 1.2
    assert writer.numbers["exam/parameter/m[a]", 20] == 2.0
    assert writer.words["exam/verdict", 10] == "expected finite accelerations"
    assert not writer.closed  # it is the caller's


def test_a_folder_opens_a_writer_and_closes_it(monkeypatch, tmp_path):
    opened = []
    package = ModuleType("torch.utils.tensorboard")
    package.SummaryWriter = lambda folder: opened.append(Writer(folder)) or opened[-1]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    TRACK.to_tensorboard(tmp_path)
    assert opened[0].folder == str(tmp_path)
    assert opened[0].closed
    assert ("worldlaw/confidence", 0) in opened[0].numbers


def test_event_files_can_be_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    TRACK.to_tensorboard(tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    read = events.Scalars("worldlaw/confidence")
    assert [(e.step, round(e.value, 6)) for e in read] == [(0, 0.9), (20, 0.99)]


class Run:
    def __init__(self):
        self.metrics, self.logged = [], []

    def define_metric(self, name, step_metric):
        self.metrics.append((name, step_metric))

    def log(self, numbers):
        self.logged.append(numbers)


def test_a_run_gets_every_row_against_its_own_step():
    run = Run()
    TRACK.to_wandb(run)
    assert run.metrics == [("worldlaw/*", "worldlaw/step")]
    assert [row["worldlaw/step"] for row in run.logged] == [0, 10, 20]
    assert run.logged[2]["worldlaw/verdict"] == "physics"


def test_the_active_run_is_taken(monkeypatch):
    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run))
    TRACK.to_wandb()
    assert len(run.logged) == 3
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    with pytest.raises(ModelError, match=r"wandb\.init"):
        TRACK.to_wandb()


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModelError, match=r"worldlaw\[tensorboard\]"):
        TRACK.to_tensorboard(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModelError, match="pip install wandb"):
        TRACK.to_wandb()


def test_what_cannot_log_is_refused():
    with pytest.raises(ModelError, match="SummaryWriter"):
        TRACK.to_tensorboard(object())
    with pytest.raises(ModelError, match="with log"):
        TRACK.to_wandb(object())
