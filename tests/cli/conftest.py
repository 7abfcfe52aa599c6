"""A study that is over in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

RECIPE = """
[study]
name = "small"
[robot]
source = "double_pendulum"
[region]
q = 1.0
v = 1.0
tau = 2.0
[data]
samples = 300
[examine]
budget = "quick"
[report]
rollout_s = 0.2
ledger = false
[[model]]
name = "simulator"
kind = "simulator"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path
