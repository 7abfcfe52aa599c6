"""Errors on recorded trajectories carry the name of the log that they were measured on."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

import kinematics
from discover.data import dataset, recordings
from discover.data.settings import Recording
from discover.evaluation.measure import on_recordings

LENGTHS = {"zulu.csv": 300, "mike.csv": 340, "alfa.csv": 380, "kilo.csv": 420}


def test_names_survive_storing_whatever_the_order_of_the_logs(tmp_path: Path) -> None:
    """Metadata are stored with sorted keys; every log is told by its length here."""
    for name, n in LENGTHS.items():
        t = 0.002 * np.arange(n)
        columns = {f"{x}{k}": np.sin((k + 1 + len(x)) * t) for x in ("q", "tau") for k in (0, 1)}
        pd.DataFrame({"t": t, **columns}).to_csv(tmp_path / name, index=False)
    settings = {
        "folder": str(tmp_path),
        "train": ["mike.csv"],
        "test": ["zulu.csv", "alfa.csv", "kilo.csv"],
        "columns": {"time": "t", "q": ["q0", "q1"], "tau": ["tau0", "tau1"]},
    }
    robot = kinematics.load("double_pendulum")
    data = recordings.read(Recording.model_validate(settings, strict=False), robot)
    trimmed = Recording.model_validate(settings, strict=False).smoothing.window - 1

    def still(q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(tau)

    for kept in (data, dataset.load(data.save(tmp_path / "data.h5"))):
        rows = on_recordings(still, None, robot, kept)["trajectories"]
        found = {row["name"]: row["samples"] for row in rows}
        assert found == {name: LENGTHS[name] - trimmed for name in settings["test"]}
