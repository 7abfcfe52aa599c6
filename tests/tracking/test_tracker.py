"""A callback of a training loop: the training goes on as it would have without."""

from __future__ import annotations

import pytest
import torch
from pendulums import REGION, ROBOT, Pendulum, broken
from test_loggers import Run, Writer

import discover
import kinematics
from discover.errors import ModelError, OutputError


class Scaled(torch.nn.Module):
    """A pendulum with a mass to be learned; dropout acts in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, q, v, tau):
        robot = ROBOT.replace(pi=ROBOT.pi * self.scale)
        return self.dropout(kinematics.aba(robot, q, v, tau))


def trained(steps: int, tracker=None) -> tuple[float, Scaled]:
    torch.manual_seed(0)
    net = Scaled()
    callback = tracker(net) if tracker else None
    descent = torch.optim.Adam(net.parameters(), 0.02)
    for step in range(steps):
        if callback is not None:
            callback(step)
        q, v, tau = torch.rand(3, 32, 1, dtype=torch.float64) * 2 - 1
        wanted = Pendulum(1.0)(q, v, tau)
        descent.zero_grad()
        (net(q, v, tau) / 2 - wanted).square().mean().backward()
        descent.step()
        assert net.dropout.training
    return float(net.scale.detach()), net


@pytest.mark.slow
def test_the_training_is_not_disturbed():
    alone, _ = trained(12)
    trackers = []

    def watched(net):
        trackers.append(discover.Tracker(net, ROBOT, REGION, every=6))
        return trackers[0]

    with_callback, _ = trained(12, watched)
    assert with_callback == alone
    track = trackers[0].track
    assert [row.step for row in track.rows] == [0, 6]
    # each examination saw the weights of its own step, in evaluation mode
    masses = [p["value"] / p["description"] for p in track.parameters]
    assert masses[0] == pytest.approx(0.5, abs=1e-9)
    assert masses[1] != pytest.approx(0.5, abs=1e-3)


def test_examinations_are_due_every_so_many_steps():
    model = Pendulum(1.0)
    tracker = discover.Tracker(model, ROBOT, REGION, every=100)
    due = [step for step in (30, 60, 99, 100, 150, 350, 399, 400) if tracker(step) is not None]
    assert due == [30, 100, 350, 400]


def test_a_failure_is_a_row_and_loggers_hear_of_it():
    writer, run = Writer(), Run()
    tracker = discover.Tracker(broken, ROBOT, REGION, tensorboard=writer, wandb=run)
    row = tracker(0)
    assert "finite" in row.failure
    assert writer.words["worldlaw/verdict", 0] == row.failure
    assert run.logged[0]["worldlaw/verdict"] == row.failure


def test_a_resumed_training_goes_on_in_its_folder(tmp_path):
    out = tmp_path / "out"
    with discover.Tracker(Pendulum(0.5), ROBOT, REGION, every=10, out=out) as tracker:
        tracker(0)
        tracker(10)
    with discover.Tracker(Pendulum(1.0), ROBOT, REGION, every=10, out=out) as tracker:
        tracker(11)  # not due: the first training was examined at 10
        tracker(20)
    assert [row.step for row in discover.Track.load(out).rows] == [0, 10, 20]
    assert (out / "track.md").is_file()
    with discover.Tracker(Pendulum(1.0), ROBOT, REGION, every=10, out=out) as tracker:
        tracker(0)  # a training from the start
    assert [row.step for row in discover.Track.load(out).rows] == [0]


def test_bad_input_is_said_before_the_training(tmp_path):
    for every in (0, -1, True, "often"):
        with pytest.raises(ModelError, match="above 0"):
            discover.Tracker(Pendulum(1.0), ROBOT, REGION, every=every)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(OutputError):
        discover.Tracker(Pendulum(1.0), ROBOT, REGION, out=tmp_path)
    with pytest.raises(ModelError, match="SummaryWriter"):
        discover.Tracker(Pendulum(1.0), ROBOT, REGION, tensorboard=3)


@pytest.mark.slow
def test_a_wrapped_module_is_asked_as_it_stands():
    class Net(torch.nn.Module):
        """(q, v, action) -> the change of (q, v)."""

        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

        def forward(self, observation, action):
            robot = ROBOT.replace(pi=ROBOT.pi * self.gain)
            q, v = observation[..., :1], observation[..., 1:]
            a = kinematics.aba(robot, q, v, action)
            return torch.cat([0.01 * (v + 0.01 * a), 0.01 * a], -1)

    net = Net()
    layout = {"observation": ["q", "v"], "target": "difference", "dt": 0.01}
    model = discover.wrap(net, ROBOT, **layout, substeps=1, integrator="semi_implicit_euler")
    tracker = discover.Tracker(model, ROBOT, REGION, every=1)
    tracker(0)
    with torch.no_grad():
        net.gain.fill_(2.0)
    tracker(1)
    masses = [p["value"] / p["description"] for p in tracker.track.parameters]
    assert masses == pytest.approx([0.5, 2.0], rel=1e-6)
