"""A study can be killed at any moment and resumed: it ends with the same verdict."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import studies

from discover.artifacts import PART
from discover.study import experiment

DRIVER = Path(__file__).with_name("killed_run.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_killed_in_the_act_of_writing(whole: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, reference = whole
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(recipe), str(out), "1"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 4
    assert studies.verdicts(out) == studies.verdicts(reference)
    assert (out / "report.md").is_file()
    assert not list(out.rglob(f"*{PART}"))


@pytest.mark.slow
def test_killed_at_random_moments(whole: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, reference = whole
    out = tmp_path / "out"
    command = [sys.executable, "-m", "discover", "run", str(recipe), "--out", str(out)]
    rng = random.Random(11)
    for _ in range(2):
        process = subprocess.Popen([*command, "--resume"], env=ENVIRONMENT)
        time.sleep(rng.uniform(2.5, 6.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, "--resume"], env=ENVIRONMENT, check=True, timeout=200)
    assert studies.verdicts(out) == studies.verdicts(reference)


def test_a_finished_study_is_not_done_again(whole: tuple[Path, Path]) -> None:
    recipe, out = whole
    before = {
        p: p.stat().st_mtime_ns for p in out.rglob("*") if p.suffix in (".h5", ".safetensors")
    }
    verdicts = {p: p.stat().st_mtime_ns for p in out.glob("*/verdict.json")}
    lines: list[str] = []
    experiment.run(recipe, out, resume=True, say=lines.append, progress=False)
    assert sum("kept" in line for line in lines) == 4  # data, one table, two verdicts
    for path, stamp in {**before, **verdicts}.items():
        assert path.stat().st_mtime_ns == stamp, path
