"""Minari and LeRobot data sets, by stand-ins with the structure of the packages."""

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import kinematics
from discover.data import recordings
from discover.data.settings import Recording
from discover.errors import DatasetError

N, STEP = 400, 0.01


def motion(episode):
    t = STEP * np.arange(N + 1)
    q = np.stack([np.sin(3 * t + episode), 0.5 * np.cos(2 * t)], 1)
    return q, np.gradient(q, STEP, axis=0), np.stack([np.sin(t), np.cos(t + episode)], 1)


@pytest.fixture
def minari(monkeypatch):
    """`minari.load_dataset` -> total_episodes, iterate_episodes -> EpisodeData."""

    @dataclass
    class EpisodeData:
        id: int
        observations: object
        actions: np.ndarray
        rewards: np.ndarray
        terminations: np.ndarray
        truncations: np.ndarray
        infos: dict

    def iterate_episodes(numbers=None):
        for k in numbers:
            q, v, tau = motion(k)
            seen = {"observation": np.hstack([q, v]), "desired_goal": np.zeros((N + 1, 3))}
            ends = np.zeros(N, bool)
            yield EpisodeData(k, seen, tau[:N], np.zeros(N), ends, ends, {})

    module = ModuleType("minari")
    module.load_dataset = lambda name: SimpleNamespace(
        total_episodes=3, iterate_episodes=iterate_episodes
    )
    monkeypatch.setitem(sys.modules, "minari", module)
    columns = {"time": "index", "q": [f"observations/observation[{k}]" for k in (0, 1)]}
    return {"format": "minari", "columns": {**columns, "tau": ["actions[0]", "actions[1]"]}}


@pytest.fixture
def lerobot(monkeypatch):
    """`LeRobotDataset(name)` -> num_episodes, hf_dataset with columns over all episodes."""

    class Frames:
        def __init__(self):
            parts = [motion(k) for k in range(3)]
            self.columns = {
                "observation.state": np.concatenate([p[0][:N] for p in parts]).astype("float32"),
                "action": np.concatenate([p[2][:N] for p in parts]).astype("float32"),
                "timestamp": np.tile(STEP * np.arange(N), 3),
                "episode_index": np.repeat(np.arange(3), N),
                "task": np.array(["draw"] * 3 * N),
            }
            self.column_names = list(self.columns)

        def with_format(self, kind):
            assert kind == "numpy"
            return self

        def __getitem__(self, key):
            return self.columns[key]

    module = ModuleType("lerobot.datasets.lerobot_dataset")
    module.LeRobotDataset = lambda name: SimpleNamespace(num_episodes=3, hf_dataset=Frames())
    for name in ("lerobot", "lerobot.datasets"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "lerobot.datasets.lerobot_dataset", module)
    columns = {"time": "timestamp", "q": ["observation.state[0]", "observation.state[1]"]}
    return {"format": "lerobot", "columns": {**columns, "tau": ["action[0]", "action[1]"]}}


def read(told, **changes):
    entries = {"folder": "some/data-v0", "train": ["0", "1"], "test": ["2"], **told, **changes}
    robot = kinematics.load("double_pendulum")
    return recordings.read(Recording.model_validate(entries, strict=False), robot)


@pytest.mark.parametrize("library", ["minari", "lerobot"])
def test_episodes_come_through_as_recorded(library, request):
    told = request.getfixturevalue(library)
    if library == "minari":
        told["scale"] = {"time": STEP}
    data = read(told)
    assert data.dt == pytest.approx(STEP)
    rows = data.part("test")
    t = rows.t.numpy()
    np.testing.assert_allclose(rows.q[:, 0], np.sin(3 * t + 2), atol=2e-3)
    np.testing.assert_allclose(rows.tau[:, 1], np.cos(t + 2), atol=2e-3)
    assert list(data.metadata["files"]) == ["0", "1", "2"]


def test_what_is_wrong_is_said_in_one_line(minari):
    with pytest.raises(DatasetError, match="episode below 3, found 7"):
        read(minari, test=["7"])
    with pytest.raises(DatasetError, match="episodes by their numbers"):
        read(minari, test=["log.csv"])
    minari["columns"]["q"][0] = "observations/observed[0]"
    with pytest.raises(DatasetError, match="did you mean 'observations/observation"):
        read(minari)


@pytest.mark.parametrize("library", ["minari", "lerobot"])
def test_a_missing_package_names_its_mend(library, request, monkeypatch):
    told = request.getfixturevalue(library)
    for name in [n for n in sys.modules if n.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DatasetError, match=f"pip install.*{library}"):
        read(told)
