"""`discover bench models`: every family of world models on three robots, one table a robot.

The robots are the double pendulum, the Panda, and a quadruped on a free base without contact. Every
family gets the same samples and the same wall clock. Records are stored family by family, so that a
run that was cut short goes on; delete a record to have it measured again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discover.artifacts import value_hash, write_text
from discover.report.style import save
from tests.bench.models import families
from tests.bench.models.families import FAMILIES
from tests.bench.models.families_report import figure, report
from tests.bench.trials import alternate, run_trials

FOLDER = Path("reports") / "models"


def main(
    *,
    out: Path | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
    device: str = "cpu",
    budget: float = families.TRAIN_S,
) -> None:
    """Measure the missing families and write report.md with a figure for each robot.

    workers  families measured at once, a thread each
    device   where the models of the larger robots are trained
    budget   wall-clock seconds of training for a family
    """
    folder = Path(out) if out is not None else FOLDER
    rows = run_trials(_trials(device, budget), run, folder, workers, say)
    chosen = families.arenas()
    results = {a.name: [row for row in rows if row["arena"] == a.name] for a in chosen}
    for arena in chosen:
        results[arena.name].sort(key=lambda row: list(FAMILIES).index(row["family"]))
        save(figure(arena, results[arena.name]), folder / f"{arena.name}.png")
    write_text(folder / "report.md", report(chosen, results))
    say(f"report: {folder / 'report.md'}")


def _trials(device: str, budget: float) -> list[dict[str, Any]]:
    """A trial for each family and robot; the largest robots, which take longest, first."""
    groups = []
    for arena in sorted(families.arenas(), key=lambda a: -a.robot.nv):
        known = {
            "settings": families.settings(),
            "robot": arena.robot.to_dict(),
            "region": arena.region.resolve(arena.robot.nv).to_dict(),
            "dt": arena.dt,
            "examined": arena.examined,
            "budget": budget,
        }
        groups.append(
            [
                {
                    "id": f"{arena.name}." + "".join(c if c.isalnum() else "_" for c in f.lower()),
                    "arena": arena.name,
                    "family": f,
                    "device": device,
                    "budget": budget,
                    "identity": value_hash({**known, "family": [f, *FAMILIES[f]]}),
                }
                for f in FAMILIES
            ]
        )
    return alternate(groups)


def run(trial: dict[str, Any]) -> dict[str, Any]:
    """Measure one family on one robot."""
    (arena,) = (a for a in families.arenas() if a.name == trial["arena"])
    return families.measure(arena, trial["family"], trial["device"], trial["budget"])
