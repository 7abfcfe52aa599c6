"""The report of `discover bench networks`: verdicts and reach over the seeds, with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from discover.calibration.scoring import Share
from discover.judgement.evidence import Evidence
from discover.judgement.verdict import judge
from discover.records import number_from_json
from discover.report import style
from discover.report.numbers import number
from tests.bench.trials import machines_of

VERDICTS = {
    "physics": style.LAW,
    "alternative law": "#2b8a5b",
    "lookup table": style.MODEL,
    "undetermined": style.SIMULATOR,
}
AXES = {"joint": "together", "q": "configuration q", "v": "velocity v", "tau": "joint force τ"}
Rows = Sequence[dict[str, Any]]


def write(rows: Rows, asked: int, folder: Path) -> str:
    """Markdown, with figures drawn into `folder`; `rows` are the records of `asked` trials."""
    good = [judged(row) for row in rows if "refused" not in row]
    lines = [
        "# What trained networks have learned",
        "",
        f"{len(rows)} of {asked} networks are trained and examined, by `discover bench networks` "
        f"on {machines_of(rows)}; a network is examined as any black box is (budget *quick*), "
        "in the box that it was trained on. *Narrow* is half the wide box in every direction; the "
        "*full circle* turns every joint all the way; the *hole* leaves out the inner half of the "
        "configurations; *trajectories* follow smooth random joint forces. What a network has "
        "learned is not known beforehand, so nothing here is scored. Shares have 95 % Wilson "
        "intervals; medians over the seeds have 95 % intervals of order statistics (the whole "
        "range, where there are fewer than six). Reach: how many half-widths of its own box the "
        "law found goes on describing the network, at most "
        f"{max((r['reach_limit'] for r in good), default=3.0):g}.",
    ]
    for robot in sorted({row["robot"] for row in good}):
        mine = [row for row in good if row["robot"] == robot]
        counts = sorted({row["samples"] for row in mine})
        seconds = sorted({row["budget"] for row in mine})
        lines += ["", f"## {robot.replace('_', ' ').capitalize()}", ""]
        lines.append(
            f"{len(mine)} networks, at most {' or '.join(f'{s:g}' for s in seconds)} s of training "
            "each, a thread each."
        )
        lines += ["", *_crossing(mine), "", *_by_family(mine)]
        style.save(verdicts(mine), folder / f"{robot}_verdicts.png")
        lines += ["", f"![Verdicts by family, coverage and samples]({robot}_verdicts.png)"]
        if len(counts) > 1:
            style.save(reaches(mine), folder / f"{robot}_reach.png")
            lines += ["", f"![Reach of each axis against samples]({robot}_reach.png)"]
        lines += ["", *_table(mine)]
    refused = [row for row in rows if "refused" in row]
    if refused:
        lines += ["", f"{len(refused)} networks could not be trained or examined:", ""]
        lines += [f"- {row['id']}: {row['refused']}" for row in refused]
    return "\n".join(lines) + "\n"


def judged(row: dict[str, Any]) -> dict[str, Any]:
    """A record with the verdict that its evidence has by the thresholds of today."""
    values = {name: number_from_json(x) for name, x in row["evidence"].items()}
    said = judge(Evidence(name=n, value=x, interval=(x, x)) for n, x in values.items())
    return {**row, "verdict": said.answer, "confidence": said.confidence}


def _crossing(rows: Rows) -> list[str]:
    """In words: does any network cross from table to physics, and where?"""
    called = [row for row in rows if row["verdict"] == "physics"]
    sentences = [f"Called *physics*: {Share(count=len(called), total=len(rows))}."]
    crossed, dominant = [], []
    for (family, coverage), mine in _groups(rows, "family", "coverage"):
        by_count = _groups(mine, "samples")
        shares = [(count, _share(group, "physics")) for (count,), group in by_count]
        most = [count for count, share in shares if share.value >= 0.5]
        if most:
            dominant.append(f"{family} on {coverage} (from {most[0]:,} samples)")
        elif any(share.count for _, share in shares):
            crossed.append(f"{family} on {coverage}")
    if dominant:
        sentences.append(f"At least half of the seeds cross to physics: {'; '.join(dominant)}.")
    if crossed:
        sentences.append(f"Some seeds do, fewer than half: {'; '.join(crossed)}.")
    if not called:
        sentences.append("No network crosses from table to physics here.")
    else:
        kinds = {row["family"] for row in called}
        none = [family for (family,), _ in _groups(rows, "family") if family not in kinds]
        if none:
            sentences.append(f"Never, at any coverage or count: {'; '.join(none)}.")
    return [" ".join(sentences)]


def _by_family(rows: Rows) -> list[str]:
    lines = [f"| family | networks | {' | '.join(VERDICTS)} |", f"|---|---|{'---|' * 4}"]
    for (family,), mine in _groups(rows, "family"):
        cells = [_percent(_share(mine, verdict)) for verdict in VERDICTS]
        lines.append(f"| {family} | {len(mine)} | {' | '.join(cells)} |")
    return lines


def _table(rows: Rows) -> list[str]:
    head = ["family", "coverage", "samples", "seeds", "verdicts", "physics", "error in its box"]
    head += [f"reach {axis}" for axis in AXES]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for (family, coverage, samples), mine in _groups(rows, "family", "coverage", "samples"):
        counts = [(sum(r["verdict"] == verdict for r in mine), verdict) for verdict in VERDICTS]
        said = ", ".join(f"{n} {verdict}" for n, verdict in sorted(counts, reverse=True) if n)
        cells = [family, coverage, f"{samples:,}", str(len(mine)), said]
        cells.append(_percent(_share(mine, "physics")))
        cells.append(_middle([100 * r["errors"]["joint"][0] for r in mine], " %"))
        cells += [_middle([r["reach"].get(axis) for r in mine], "") for axis in AXES]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def median(values: Sequence[float | None]) -> tuple[float, float, float]:
    """(low, median, high): order statistics that hold the true median in 95 % of cases; the whole
    range where there are fewer than six values. None counts as zero reach."""
    x = np.sort([0.0 if value is None else float(value) for value in values])
    n = len(x)
    rank = int(binom.ppf(0.025, n, 0.5))
    while rank > 0 and binom.cdf(rank - 1, n, 0.5) > 0.025:
        rank -= 1
    rank = max(rank, 1)
    return float(x[rank - 1]), float(np.median(x)), float(x[n - rank])


def verdicts(rows: Rows) -> Any:
    """Stacked bars: a panel for each coverage, bars for families, side by side for the samples."""
    kinds = [family for (family,), _ in _groups(rows, "family")]
    coverages = [coverage for (coverage,), _ in _groups(rows, "coverage")]
    counts = sorted({row["samples"] for row in rows})
    with style.house_style():
        width = min(10.0, 3.5 + 0.45 * len(kinds) * len(counts))
        drawing = style.new_figure(width, 0.9 + 1.25 * len(coverages))
        panels = drawing.subplots(len(coverages), 1, sharex=True, squeeze=False)[:, 0]
        for panel, coverage in zip(panels, coverages, strict=True):
            for (i, family), (j, count) in itertools.product(enumerate(kinds), enumerate(counts)):
                mine = [
                    row
                    for row in rows
                    if (row["family"], row["coverage"], row["samples"]) == (family, coverage, count)
                ]
                bottom, x = 0.0, i * (len(counts) + 1) + j
                for verdict, colour in VERDICTS.items():
                    share = _share(mine, verdict).value if mine else 0.0
                    panel.bar(x, share, bottom=bottom, color=colour, width=0.85, linewidth=0)
                    bottom += share
            panel.set_title(coverage)
            panel.set_ylim(0, 1)
            panel.set_yticks([0, 0.5, 1], ["0", "", "all"])
            panel.tick_params(axis="x", length=0)
        ticks, names = [], []
        for (i, family), (j, count) in itertools.product(enumerate(kinds), enumerate(counts)):
            ticks.append(i * (len(counts) + 1) + j)
            middle = j == (len(counts) - 1) // 2
            names.append(_short(count) + (f"\n{family}" if middle else ""))
        panels[-1].set_xticks(ticks, names)
        handles = [panels[0].bar(0, 0, color=c, label=v) for v, c in VERDICTS.items()]
        drawing.legend(handles=handles, loc="outside upper right", ncols=4, frameon=False)
    return drawing


def reaches(rows: Rows) -> Any:
    """Reach against samples: a row for each coverage, a column for each axis, a line a family."""
    coverages = [coverage for (coverage,), _ in _groups(rows, "coverage")]
    counts = sorted({row["samples"] for row in rows})
    top = max(row["reach_limit"] for row in rows)
    with style.house_style():
        drawing = style.new_figure(11.0, 0.8 + 1.9 * len(coverages))
        panels = drawing.subplots(
            len(coverages), len(AXES), sharex=True, sharey=True, squeeze=False
        )
        for (i, coverage), (j, (axis, title)) in itertools.product(
            enumerate(coverages), enumerate(AXES.items())
        ):
            panel, ends = panels[i, j], []
            panel.axhspan(0, 1, color=style.REGION, zorder=0, linewidth=0)
            here = [row for row in rows if row["coverage"] == coverage]
            for k, ((family,), mine) in enumerate(_groups(here, "family")):
                colour = style.SERIES[k % len(style.SERIES)]
                found = [
                    (count[0], *median([r["reach"].get(axis) for r in group]))
                    for count, group in _groups(mine, "samples")
                ]
                x = np.array([f[0] for f in found]) * 1.07 ** (k - 2)  # bars side by side
                low, middle, high = (np.array([f[m] for f in found]) for m in (1, 2, 3))
                panel.vlines(x, low, high, color=colour, alpha=0.45, linewidth=2.2)
                panel.plot(x, middle, "o-", color=colour, markersize=3, linewidth=1.2)
                ends.append((float(x[-1]), float(middle[-1]), family, colour))
            panel.set_xscale("log")
            panel.set_xticks(counts, [_short(c) for c in counts])
            panel.minorticks_off()
            panel.set_ylim(0, 1.04 * top)
            if i == 0:
                panel.set_title(title)
            if j == 0:
                panel.set_ylabel(coverage)
            if j == len(AXES) - 1:
                style.end_labels(panel, ends, gap=0.13, size=7.5)
        drawing.supxlabel("samples", fontsize=9)
        drawing.supylabel("reach [half-widths of its own box; shaded: inside]", fontsize=9)
    return drawing


def _groups(rows: Rows, *keys: str) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    """Rows by their values of `keys`, in order of first sight; sample counts ascend."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    ordered: Callable[[dict[str, Any]], int] = lambda row: row["samples"]  # noqa: E731
    for row in sorted(rows, key=ordered) if keys == ("samples",) else rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(found.items())


def _share(rows: Rows, verdict: str) -> Share:
    return Share(count=sum(row["verdict"] == verdict for row in rows), total=len(rows))


def _percent(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.0%} ({low:.0%}–{high:.0%})".replace("%", " %")


def _middle(values: Sequence[float | None], unit: str) -> str:
    low, middle, high = median(values)
    return f"{number(middle, 2)}{unit} ({number(low, 2)}–{number(high, 2)})"


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else f"{count:,}"
