"""What the tests of data share."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def two_joints() -> SimpleNamespace:
    """As much of a robot as reading and storing data asks for."""
    return SimpleNamespace(
        name="two joints",
        nq=2,
        nv=2,
        joint_names=["shoulder", "elbow"],
        kinds=("revolute", "revolute"),
        independent_names=("shoulder", "elbow"),
        independent_kinds=("revolute", "revolute"),
    )


@pytest.fixture
def recordings_folder() -> Path:
    """The real double pendulum's logs; the marker `recordings` selects the tests that need them."""
    folder = os.environ.get("WORLDLAW_RECORDINGS")
    if not folder:
        pytest.skip("WORLDLAW_RECORDINGS is not set: the recordings do not come with the project")
    if not (Path(folder) / "trajectory_00.csv").is_file():
        pytest.fail(f"WORLDLAW_RECORDINGS={folder} holds no trajectory_00.csv")
    return Path(folder)
