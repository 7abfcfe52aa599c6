"""The page and the figure of trained world models, from stored records only."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discover.report.numbers import number
from discover.report.style import LAW, MODEL, SIMULATOR, house_style, log_errors, new_figure
from tests.bench.rl_models import networks
from tests.bench.rl_models.tasks import HELD_LONGEST, TASKS
from tests.bench.trials import machines_of

_COLOURS = {"network": MODEL, "law": LAW, "simulator without contacts": SIMULATOR}
_SHOWN = (1, 5, 10, 20, 30)  # steps of the table
_EXACT = 1e-5  # of the spread: the figure is cut there
_ROUNDING = 1e-9

Record = Mapping[str, Any]


def report(rows: Sequence[Record]) -> str:
    """README.md."""
    lines = [
        "# World models trained in the example",
        "",
        f"Made by `discover bench rl_models` on {machines_of(rows)}, one thread each.",
        "",
        f"Transitions of random actions (each held for 1 to {HELD_LONGEST} steps; of the inverted "
        "double pendulum a tenth, of Reacher three tenths of what is allowed, which would drive "
        f"them against their stops) are learned by an ensemble of {networks.MEMBERS} plain "
        f"networks with two hidden layers of {networks.WIDTH}: normalised observation and action "
        f"→ normalised change of the observation, {networks.STEPS:,} steps of Adam each. Held-out "
        "episodes are the data of the examination and the truth of the roll-outs, which go on "
        "where a task ends an episode. The environments are the libraries' own, contacts and "
        "joint limits on; the acrobot is dm_control's (swingup).",
        "",
        "The glue, whole:",
        "",
        "```python",
        textwrap.dedent(rows[0]["glue"]).strip(),
        "```",
        "",
        "## Verdicts",
        "",
        "One-step errors are root mean squares on held-out transitions, relative to those of the "
        "changes that a step makes; *smooth* is the environment's own step with contacts and "
        "joint limits off. Reach is in half-widths of the box that the data span.",
        "",
        "| task | transitions | verdict | reach q, v, u | step | network | law | smooth | "
        "box filled | training [s] | examination [s] |",
        "|---|--:|---|---|---|--:|--:|--:|--:|--:|--:|",
        *(_line(row) for row in _ordered(rows)),
        "",
        "## Roll-outs of 30 steps",
        "",
        "![Distance to the simulator by step, of network, law and smooth simulator](rollouts.png)",
        "",
        "Median distance to the simulator (root mean square over observed numbers, each in units "
        "of its spread in the training data; 1 is as far as another state of the data). Shaded "
        f"in the figure, which is cut at {number(_EXACT, 1)}: the middle half of the roll-outs.",
        "",
        "| task | who | " + " | ".join(f"step {k}" for k in _SHOWN) + " |",
        "|---|---|" + "--:|" * len(_SHOWN),
        *(line for row in _ordered(rows) for line in _roll_out_lines(row)),
        "",
        "## What the examinations say",
        "",
    ]
    for row in _ordered(rows):
        lines += [f"### {row['id']}", "", *(f"- {note}" for note in row["notes"]), ""]
        lines += [*_parameters(row), ""]
    return "\n".join(lines).rstrip() + "\n"


def figure(rows: Sequence[Record]) -> Figure:
    """A panel a task: distance to the simulator against steps, logarithmic."""
    with house_style():
        drawn = new_figure(7.2, 5.4)
        panels = drawn.subplots(2, 2, squeeze=False).flatten()
        for axes, row in zip(panels, _ordered(rows), strict=False):
            _panel(axes, row)
        for axes in panels[len(rows) :]:
            axes.set_visible(False)
        panels[0].legend(frameon=False, fontsize=7.5, loc="lower right")
        return drawn


def _panel(axes: Axes, row: Record) -> None:
    levels = []
    for name, errors in row["errors"].items():
        steps = range(1, len(errors["median"]) + 1)
        low, middle, high = (
            [max(x, _EXACT) for x in errors[key]] for key in ("low", "median", "high")
        )
        axes.plot(steps, middle, color=_COLOURS[name], label=name)
        axes.fill_between(steps, low, high, color=_COLOURS[name], alpha=0.15, linewidth=0)
        levels += [min(middle), max(middle)]
    axes.axhline(1.0, color=SIMULATOR, linewidth=0.7, linestyle=":")
    log_errors(axes, min(levels), max(levels))
    axes.set_title(row["id"])
    axes.set_xlabel("step")
    axes.set_ylabel("distance to the simulator")


def _ordered(rows: Sequence[Record]) -> list[Record]:
    return sorted(rows, key=lambda row: list(TASKS).index(row["id"]))


def _line(row: Record) -> str:
    def one_step(name: str) -> str:
        return _percent(row["errors"][name]["one_step"]) if name in row["errors"] else "–"

    reach = ", ".join(f"{row['reach'][axis]:.2g}" for axis in ("q", "v", "tau"))
    filled = "–" if row["filled"] is None else _percent(row["filled"])
    return (
        f"| {row['id']} | {row['transitions']:,} | {row['verdict']} ({row['confidence']:.2f}) | "
        f"{reach} | {row['step'] or '–'} | {one_step('network')} | {one_step('law')} | "
        f"{one_step('simulator without contacts')} | {filled} | {row['train_s']:.0f} | "
        f"{row['examine_s']:.0f} |"
    )


def _roll_out_lines(row: Record) -> list[str]:
    return [
        f"| {row['id']} | {name} | "
        + " | ".join(number(errors["median"][k - 1], 2) for k in _SHOWN)
        + " |"
        for name, errors in row["errors"].items()
    ]


def _parameters(row: Record) -> list[str]:
    if not row["parameters"]:
        return []
    lines = ["| parameter | identified | ± | description |", "|---|--:|--:|--:|"]
    for p in row["parameters"]:
        values = (p["value"], p["standard_error"], p["description"])
        cells = [
            "–" if x is None or not math.isfinite(x) else number(x, 3 if k != 1 else 1)
            for k, x in enumerate(values)
        ]
        lines.append(f"| {p['name']} | " + " | ".join(cells) + " |")
    return lines


def _percent(share: float) -> str:
    return "exact" if share < _ROUNDING else f"{number(100 * share, 2)} %"
