"""The page of a look inside: claims in words, the table, figures; made from the report alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from discover.artifacts import write_text
from discover.inside import figures
from discover.inside.records import Findings, Row
from discover.judgement.thresholds import threshold
from discover.report.numbers import count, relative
from discover.report.style import save

PAGE, HEAT_MAP, WINDOWS = "inside.md", "inside_map.png", "inside_windows.png"
MINUS = "−"


def write(report: Findings, directory: Path) -> Path:
    """Write the page and its figures; returns the page's path. Raises OutputError."""
    save(figures.heat_map(report), directory / HEAT_MAP)
    if report.windows:
        save(figures.window_bars(report), directory / WINDOWS)
    return write_text(directory / PAGE, page(report))


def page(report: Findings) -> str:
    """The page as Markdown."""
    parts = [
        f"# Inside {report.network}",
        "",
        *section(report),
        "",
        "## Table",
        "",
        *_table(report),
    ]
    parts += ["", "## How this was measured", "", *_method(report)]
    return "\n".join(parts) + "\n"


def section(report: Findings) -> list[str]:
    """Claims and figures, without a heading: what another report shows after its verdict."""
    lines = [
        f"Robot {report.robot}, {count(report.joints, 'joint')}; the network's error in the region "
        f"is {relative(report.error)}. The claims below are about what happens inside the network. "
        "They are no answer of the verdict on its behaviour and change none.",
        "",
        "| claim | about | answer | in words |",
        "|---|---|---|---|",
    ]
    lines += [f"| {c.kind} | {c.subject} | {c.answer} | {c.words} |" for c in report.claims]
    lines += ["", f"![S and S_r of every variable at every site]({HEAT_MAP})"]
    if report.windows:
        lines += ["", f"![Sites at which each variable can be exchanged]({WINDOWS})"]
    for factorisation, tau in report.order.items():
        said = "not told" if tau is None else f"{tau:.2f}".replace("-", MINUS)
        lines += ["", f"Kendall's τ between windows and recursion, {factorisation}: {said}."]
    return lines


COLUMNS = {
    "k": "k",
    "r2": "R²",
    "r2_control": "R² control",
    "r2_untrained": "R² untrained",
    "S": "S",
    "S_all": "S, all directions",
    "placebo": "placebo",
    "untrained": "untrained",
    "random": "random",
    "whole": "whole layer",
    "other_robot": "other robot",
    "ceiling": "V alone",
    "S_r": "S_r",
    "contrast": "nearest rival",
}


def _table(report: Findings) -> Iterable[str]:
    yield "| variable | site | " + " | ".join(COLUMNS.values()) + " | flags |"
    yield "|---|---|" + "---|" * (len(COLUMNS) + 1)
    for row in report.table:
        cells = " | ".join(_cell(row, name) for name in COLUMNS)
        yield f"| {row.variable} | {row.site} | {cells} | {', '.join(row.flags)} |"


def _cell(row: Row, name: str) -> str:
    value = getattr(row, name)
    if value is None:
        return ""
    text = (
        f"{value:d}" if name == "k" else f"{value:.3f}" if name.startswith("r2") else f"{value:.2f}"
    )
    return text.replace("-", MINUS)


def _method(report: Findings) -> Iterable[str]:
    yield (
        f"{report.pairs:,} pairs of states to fit on, others to choose width and start by and to "
        f"measure on; {report.steps} steps of Adam a fit after a trial, from "
        f"{count(report.seeds, 'start')}; {report.seconds:.0f} s of processor time, seed "
        f"{report.seed}. Negatives climb with effort: the budget belongs to every figure."
    )
    yield ""
    yield (
        "S is the share of the predicted change of the accelerations that an exchange of k "
        "directions between two states meets; S_r the same against the nearest rival "
        f"factorisation. Used: S from {threshold('inside.uses'):g} on, placebo at most "
        f"{threshold('inside.placebo'):g}, and {threshold('inside.untrained'):g} times less missed "
        "than in the same network with scrambled weights and a fitted readout; where V's values "
        f"alone foretell more than {threshold('inside.vacuous'):g} of the change, of what is left. "
        "The bias force may be read in directions that the output does not read apart. At sites "
        "where a trial was beaten by another site's, S is that of the trial. Followed: S_r from "
        f"{threshold('inside.follows'):g} on, rivals at most {threshold('inside.rival'):g}. These "
        "bounds come from the planted networks that they were tried on, and are not calibrated."
    )
    if report.notes:
        yield ""
        yield from (f"- {n}" for n in report.notes)
