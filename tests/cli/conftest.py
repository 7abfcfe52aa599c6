"""A study that is over in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.studies import RECIPE, SIMULATOR


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE + SIMULATOR)
    return path
