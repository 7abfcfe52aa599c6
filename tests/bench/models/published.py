"""`discover bench published`: comparison with published figures, on data of our own simulator.

Two tasks that later papers compare with: energy of the free double pendulum (Lagrangian neural
networks) and handwriting of a two-joint arm (deep Lagrangian networks). The report states how we
read the papers, since neither gives every number that is needed to repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discover.artifacts import value_hash, write_text
from discover.report.numbers import number
from tests.bench.models import handwriting, pendulum_energy
from tests.bench.trials import machines_of, run_trials

FOLDER = Path("reports") / "published"
# Names of the tasks in stored records.
HANDWRITING, PENDULUM = "characters", "swinging"


def main(
    *,
    out: Path | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
    device: str = "cpu",
    budget: float | None = None,
) -> None:
    """Run the tasks that are not stored yet and write report.md.

    workers: networks trained at once. device: where. budget: seconds of training each.
    """
    folder = Path(out) if out is not None else FOLDER
    rows = run_trials(_trials(device, budget), measure, folder, workers, say)
    write_text(folder / "report.md", report(rows))
    say(f"report: {folder / 'report.md'}")


def _trials(device: str, budget: float | None) -> list[dict[str, Any]]:
    tasks = [(PENDULUM, name) for name in pendulum_energy.CONTENDERS] + [(HANDWRITING, "DeLaN")]
    return [
        {
            "id": f"{task}.{name.lower().replace(' ', '_')}",
            "task": task,
            "name": name,
            "device": device,
            "budget": budget
            or (pendulum_energy.TRAIN_S if task == PENDULUM else handwriting.TRAIN_S),
            "identity": value_hash([task, name, pendulum_energy.settings(), budget]),
        }
        for task, name in tasks
    ]


def measure(trial: dict[str, Any]) -> dict[str, Any]:
    """One network on one task."""
    training: dict[str, Any] = {"device": trial["device"], "train_s": trial["budget"]}
    if trial["task"] == PENDULUM:
        return pendulum_energy.measure(trial["name"], **training)
    return handwriting.measure(**training)


def report(rows: list[dict[str, Any]]) -> str:
    """The tasks as Markdown, beside the published figures."""
    lines = [
        "# Comparison with published figures",
        "",
        f"Measured by `discover bench published` on {machines_of(rows)}; simulated here.",
        "",
        *_pendulum([row for row in rows if row["task"] == PENDULUM]),
    ]
    for row in rows:
        if row["task"] == HANDWRITING:
            lines += ["", *_handwriting(row)]
    return "\n".join(lines) + "\n"


def _pendulum(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## The free double pendulum (Cranmer et al. 2020)",
        "",
        pendulum_energy.READING,
        "",
        "| model | energy off, here | published | error of a on test motions | samples | "
        "parameters | epochs | training [s] | on |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        published = pendulum_energy.PUBLISHED.get(row["kind"])
        lines.append(
            f"| {row['name']} | **{number(row['energy_error'], 2)}** | "
            f"{'–' if published is None else f'{published:g}'} | "
            f"{number(100 * row['acceleration_error'], 2)} % | {row['samples']:,} | "
            f"{row['parameters']:,} | {row['epochs']} | {row['train_s']:.0f} | "
            f"{row['trained_on']} |"
        )
    return [
        *lines,
        "",
        f"The simulator itself, stepped in the same way, is off by {number(rows[0]['own'], 2)}. A "
        "network whose accelerations are still "
        "off by percents after so few epochs has not been trained to its end: its figure says what "
        "this effort gives, not what the family can do.",
    ]


def _handwriting(told: dict[str, Any]) -> list[str]:
    lines = [
        "## Characters drawn by two joints (Lutter et al. 2019)",
        "",
        handwriting.READING,
        "",
        "| mean squared error | here [(N·m)²] | published | mean square of the torque itself | "
        "share |",
        "|---|---|---|---|---|",
    ]
    for name, row in told["parts"].items():
        lines.append(
            f"| {name} | **{row['mse']:.1e}** | {handwriting.PUBLISHED[name]:.1e} | "
            f"{number(row['meansquare'])} | {row['mse'] / row['meansquare']:.1e} |"
        )
    return [
        *lines,
        "",
        f"{told['train']:,} training samples, {told['test']:,} test samples, "
        f"{told['parameters']:,} parameters, {told['train_s']:.0f} s of training "
        f"({told['epochs']} epochs).",
    ]
