"""`discover bench published`: held to published figures, on data of our own simulator.

Two tasks that later papers compare with: the free double pendulum of the Lagrangian network, and
the two-joint characters of the deep Lagrangian network. How we read the papers stands in the
report, since neither gives every number that would be needed to repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discover.artifacts import read_json, write_json, write_text
from discover.bench import characters, swinging
from discover.bench.models import machine
from discover.report.numbers import number

FOLDER = Path("reports") / "published"
TASKS = {"characters": characters.measure, "swinging": swinging.measure}


def main(*, out: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Run what is not measured yet, and write report.md."""
    folder = Path(out) if out is not None else FOLDER
    found = {}
    for name, measure in TASKS.items():
        path = folder / f"{name}.json"
        if not path.exists():
            say(f"{name} ...")
            write_json(path, measure(say) | {"machine": machine()})
        found[name] = read_json(path)
        write_text(folder / "report.md", report(found))
    say(f"report: {folder / 'report.md'}")


def report(found: dict[str, dict[str, Any]]) -> str:
    """The tasks that are measured as Markdown, beside the published figures."""
    machines = sorted({told["machine"] for told in found.values()})
    lines = [
        "# Held to published figures",
        "",
        f"Measured by `discover bench published` on {' and '.join(machines)}; simulated here.",
    ]
    if "swinging" in found:
        lines += ["", *_swinging(found["swinging"])]
    if "characters" in found:
        lines += ["", *_characters(found["characters"])]
    return "\n".join(lines) + "\n"


def _swinging(told: dict[str, Any]) -> list[str]:
    lines = [
        "## The free double pendulum (Cranmer et al. 2020)",
        "",
        swinging.READING,
        "",
        "| model | energy off, here | published | error of a on fresh states | samples | "
        "parameters | epochs | training [s] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in told["models"].items():
        published = swinging.PUBLISHED.get(row["kind"])
        lines.append(
            f"| {name} | **{number(row['energy_error'], 2)}** | "
            f"{'–' if published is None else f'{published:g}'} | "
            f"{number(100 * row['acceleration_error'], 2)} % | {told['samples']:,} | "
            f"{row['parameters']:,} | {row['epochs']} | {row['train_s']:.0f} |"
        )
    return [
        *lines,
        "",
        f"The simulator itself, stepped in the same way, is off by {number(told['own'], 2)}. Every "
        f"model had {swinging.TRAIN_S:g} s of wall clock. A network whose accelerations are still "
        "off by percents after so few epochs has not been trained to its end: its figure says what "
        "this effort gives, not what the family can do.",
    ]


def _characters(told: dict[str, Any]) -> list[str]:
    lines = [
        "## Characters drawn by two joints (Lutter et al. 2019)",
        "",
        characters.READING,
        "",
        "| mean squared error | here [(N·m)²] | published | mean square of the torque itself | "
        "share |",
        "|---|---|---|---|---|",
    ]
    for name, row in told["parts"].items():
        lines.append(
            f"| {name} | **{row['mse']:.1e}** | {characters.PUBLISHED[name]:.1e} | "
            f"{number(row['meansquare'])} | {row['mse'] / row['meansquare']:.1e} |"
        )
    return [
        *lines,
        "",
        f"{told['train']:,} training samples, {told['test']:,} test samples, "
        f"{told['parameters']:,} parameters, {told['train_s']:.0f} s of training "
        f"({told['epochs']} epochs).",
    ]
