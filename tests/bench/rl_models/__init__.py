"""Networks trained on transitions of four tasks, examined, and their laws in 30-step roll-outs.

    discover bench rl_models [--out DIR]

Records are stored task by task; delete one to have it measured again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discover.artifacts import value_hash, write_text
from discover.report.style import save
from tests.bench.rl_models import measurement, networks
from tests.bench.rl_models.report import figure, report
from tests.bench.rl_models.tasks import TASKS
from tests.bench.trials import run_trials

FOLDER = Path("reports") / "rl_models"


def main(*, out: Path | None = None, say: Callable[[str], None] = print, workers: int = 1) -> None:
    """Measure the missing tasks and write README.md with its figure."""
    folder = Path(out) if out is not None else FOLDER
    rows = run_trials(_trials(), measurement.measure, folder, workers, say)
    save(figure(rows), folder / "rollouts.png")
    write_text(folder / "README.md", report(rows))
    say(f"report: {folder / 'README.md'}")


def _trials() -> list[dict[str, Any]]:
    settings = [networks.MEMBERS, networks.WIDTH, networks.BATCH, networks.STEPS]
    return [
        {
            "id": name,
            "identity": value_hash([name, task.episodes, task.steps, task.amplitude, *settings]),
        }
        for name, task in TASKS.items()
    ]
