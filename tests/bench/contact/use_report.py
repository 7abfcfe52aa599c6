"""The page of the six tasks: which gradients are right, and who lowers the cost most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discover.artifacts import write_text
from discover.gradient_quality.records import EXACT, FIRST_ORDER, MODEL
from discover.gradient_quality.result import GradientReport
from tests.bench.contact.methods import SIGMA
from tests.bench.contact.tasks import TASKS

Record = dict[str, Any]
KINDS = ("plain", "smoothed")


def write(records: Sequence[Record], out: Path) -> Path:
    """Write report.md; returns its path."""
    lines = [
        "# Is a learned model worth having for optimisation through contact?",
        "",
        _answer(records),
        "",
        "Networks (two layers of 128, SiLU) are trained for one step on "
        f"{records[0]['rows']:,} transitions, *plain*, or *smoothed* with targets averaged over "
        f"{records[0]['copies']} noisy question(s) each. Made by "
        "`python -m tests.bench.contact.use`.",
        "",
        "## Gradients",
        "",
        "Median cosine with the simulator's smoothed gradient of the task's cost (worst tenth), at "
        "the σ where it is best, and the longest step that keeps its promise [half-widths of the "
        "controls]. Ceiling: what the sample allows.",
        "",
        "| task | one-step error | model, plain | model, smoothed | exact | first order | "
        "ceiling |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_gradients(r) for r in records]
    lines += [
        "",
        "## Costs",
        "",
        f"Median over {records[0]['starts']} starts of the best cost that the simulator has shown "
        f"within {records[0]['budget']} simulated roll-outs a start. In brackets: with the "
        "questions of the training taken out of the same number, all starts sharing one network. "
        "Bold: the best of its row with everything paid for.",
        "",
    ]
    named = [n for n in records[0]["costs"] if not n.endswith(", training paid")]
    lines += ["| task | " + " | ".join(named) + " |", "|---|" + "--:|" * len(named)]
    lines += [_costs(r, named) for r in records]
    lines += [
        "",
        "## How to read it",
        "",
        "- Adam with one rate for all; the same starts and the same first controls (none). Other "
        "rates and budgets may order close methods otherwise.",
        "- Contact is MuJoCo's soft law, stepped by `kinematics.step`; the goal has no price on "
        "controls, which would hide dead gradients.",
        f"- {len(records)} of {len(TASKS)} tasks have been measured; simulators' methods smooth "
        f"with σ = {SIGMA:g}, and no other σ was tried.",
        "- One network a kind and task, one seed: differences of less than a third say little.",
    ]
    return write_text(out / "report.md", "\n".join(lines) + "\n")


def paid(record: Record, name: str) -> float:
    """Median cost of a method with everything paid for."""
    key = f"{name}, training paid"
    return float(np.median(record["costs"].get(key, record["costs"][name])))


def _answer(records: Sequence[Record]) -> str:
    won, lost = [], []
    for r in records:
        names = [n for n in r["costs"] if not n.endswith(", training paid")]
        learned = min(paid(r, n) for n in names if "(" in n)
        simulated = min(paid(r, n) for n in names if "(" not in n)
        (won if learned < simulated else lost).append(r["task"])
    return (
        f"**With its training paid for, a learned model reaches the lowest cost in {len(won)} of "
        f"{len(records)} tasks ({', '.join(won) or 'none'}); simulator methods in {len(lost)} "
        f"({', '.join(lost) or 'none'}).**"
    )


def _gradients(record: Record) -> str:
    reports = {k: GradientReport.from_dict(record["gradients"][k]) for k in KINDS}
    cells = [_best(reports[k], MODEL) for k in KINDS]
    cells += [_best(reports["plain"], c) for c in (EXACT, FIRST_ORDER)]
    top = np.nanmin(list(reports["plain"].ceiling.values()))
    errors = " / ".join(f"{100 * record['error'][k]:.1f} %" for k in KINDS)
    return f"| {record['task']} | {errors} | {' | '.join(cells)} | {top:.2f} |"


def _best(report: GradientReport, contender: str) -> str:
    best = max(report.of(contender), key=lambda a: np.nan_to_num(a.cosine, nan=-2))
    text = f"{best.cosine:.2f} ({best.cosine_p10:.2f}) at {best.sigma:g}".replace("-", "−")
    radius = report.useful_radius.get(contender)
    return text if radius is None else f"{text}; step {radius:g}"


def _costs(record: Record, names: Sequence[str]) -> str:
    best = min(paid(record, n) for n in names)
    cells = []
    for n in names:
        free, full = float(np.median(record["costs"][n])), paid(record, n)
        text = f"{full:.3g}" if "(" not in n else f"{free:.3g} ({full:.3g})"
        cells.append(f"**{text}**" if full == best else text)
    return f"| {record['task']} | {' | '.join(cells)} |"
