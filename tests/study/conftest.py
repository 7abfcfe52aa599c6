"""One small study, run once, that several tests look at or compare with."""

from __future__ import annotations

from pathlib import Path

import pytest
import studies

from discover.study import experiment


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe, and the folder of a run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    recipe = studies.write_recipe(directory, studies.SIMULATOR, studies.TABLE)
    out = directory / "out"
    experiment.run(recipe, out, say=lambda line: None, progress=False)
    return recipe, out
