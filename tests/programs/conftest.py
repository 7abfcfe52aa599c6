"""Robots and states for the tests of programs."""

from __future__ import annotations

import pytest
from program_samples import mixed_robot

import kinematics


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Every test compiles into a cache of its own."""
    monkeypatch.setenv("WORLDLAW_CACHE", str(tmp_path / "kernels"))


@pytest.fixture(params=["double_pendulum", "panda", "mixed"])
def robot(request):
    if request.param == "mixed":
        return mixed_robot()
    return kinematics.load(request.param)
