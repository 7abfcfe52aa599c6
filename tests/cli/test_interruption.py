"""Studies that are cut short, by a full disk or by Ctrl-C: nothing is lost, and they go on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from discover import cli

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def on_a_full_disk(recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A run whose files may not grow beyond 16 kB: the data set does not fit."""

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))

    command = [sys.executable, "-m", "discover", "run", str(recipe), "--out", str(out)]
    return subprocess.run(
        command, preexec_fn=small_disk, capture_output=True, text=True, env=ENVIRONMENT
    )


@pytest.mark.slow
def test_a_full_disk(recipe: Path, tmp_path: Path) -> None:
    """One line says what did not fit, and what was written before stays whole."""
    out = tmp_path / "out"
    done = on_a_full_disk(recipe, out)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "dataset.h5" in done.stderr
    assert sorted(p.name for p in out.iterdir()) == [
        "experiment.toml",
        "manifest.json",
        "robot.json",
    ]


@pytest.mark.slow
def test_resuming_finishes_where_the_disk_was_full(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    on_a_full_disk(recipe, out)
    assert cli.main(["run", str(recipe), "--out", str(out), "--resume"]) == 0


def test_interrupted_while_python_executes_a_string(tmp_path: Path) -> None:
    """Imports make dataclasses from strings; a Ctrl-C just then must not cost the exit status."""
    (tmp_path / "unlucky.py").write_text(
        "import sys\n"
        "import discover.cli\n"
        "cli = sys.modules['discover.cli.app']\n"
        "def app(**_): exec('raise KeyboardInterrupt')\n"
        "cli.app = app\n"
        "sys.exit(cli.main([]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "unlucky"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "discover: interrupted\n")


@pytest.mark.slow
def test_interrupted(recipe: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with status 130 and a line that says how to go on; what was finished stays."""
    out = tmp_path / "out"
    recipe.write_text(recipe.read_text().replace("300", "60000"))
    process = subprocess.Popen(
        [sys.executable, "-m", "discover", "run", str(recipe), "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # shells start background jobs with Ctrl-C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    manifest = out / "manifest.json"
    patience = time.monotonic() + 60
    while not (manifest.exists() and '"load"' in manifest.read_text()):
        assert time.monotonic() < patience
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--out {out} --resume" in told
    assert told.count("\n") == 1
    assert (out / "robot.json").exists()
