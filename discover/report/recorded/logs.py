"""What is in the logs of a machine: the tables of `discover data`, its page and its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from discover.artifacts import write_json, write_text
from discover.data.logs import Log
from discover.data.motions import Motion
from discover.data.survey import JointSurvey, LogSurvey, Survey, position_of
from discover.judgement.thresholds import threshold
from discover.report.numbers import count, number, seconds
from discover.report.style import FAINT, LAW, MODEL, MUTED, SERIES, house_style, new_figure, save

PAGE, RECORD = "report.md", "survey.json"
_DRAWN = 6000  # samples of a log in a figure
_MOST_JOINTS = 8  # in a figure


def write(survey: Survey, logs: Sequence[Log], motions: Sequence[Motion], directory: Path) -> Path:
    """The page, its figures and the record they rest on, in a folder. Raises OutputError."""
    figures = directory / "figures"
    with house_style():
        save(coverage(survey, motions), figures / "coverage.png")
        for k, (log, motion) in enumerate(zip(logs, motions, strict=True)):
            save(course(survey.logs[k], log, motion), figures / f"log_{k + 1}.png")
    write_json(directory / RECORD, survey.to_dict())
    return write_text(directory / PAGE, page(survey))


def as_text(survey: Survey) -> str:
    """The tables for a terminal."""
    blocks = [_aligned(clocks(survey))]
    for log in survey.logs:
        if len(survey.logs) > 1 and log.joints != survey.logs[0].joints:
            blocks.append(f"{log.name}:")
        blocks.append(_aligned(joints(log)))
    blocks.append("\n".join(findings(survey)))
    return "\n\n".join(blocks)


def page(survey: Survey) -> str:
    """The page in Markdown."""
    lines = ["# What is in the logs", ""]
    if survey.robot:
        lines += [f"Robot: {survey.robot}.", ""]
    lines += [_markdown(clocks(survey)), "", *(f"- {x}" for x in findings(survey)), ""]
    lines += [
        "## Coverage",
        "",
        "Velocity against position, joint by joint, all logs.",
        "",
        "![Velocity against position of each joint](figures/coverage.png)",
        "",
    ]
    for k, log in enumerate(survey.logs):
        lines += [f"## {log.name}", "", _markdown(joints(log)), ""]
        lines += [f"- {note}" for note in log.notes]
        if log.scalars:
            held = ", ".join(f"{key} = {_scalar(x)}" for key, x in list(log.scalars.items())[:20])
            lines.append(f"- beside the columns: {held}")
        lines += ["", f"![Course of {log.name}](figures/log_{k + 1}.png)", ""]
    lines += [
        "Noise is the standard deviation of what the filter takes out of a sample; vibrations "
        "slower than its window are not in it. Velocities and accelerations are the filter's.",
        "",
    ]
    return "\n".join(lines)


def clocks(survey: Survey) -> list[list[str]]:
    """One row a log: its clock, and the delay of its joint forces."""
    head = ["log", "samples", "duration", "rate [Hz]", "steps [ms]", "gaps", "forces late by"]
    rows = [head]
    for log in survey.logs:
        clock = log.clock
        steps = f"{1e3 * clock.least:.3g} … {1e3 * clock.greatest:.3g}"
        gaps = "none" if not clock.gaps else f"{clock.gaps}, ≤ {seconds(clock.longest_gap)}"
        late = number(None)
        if log.delay is not None and log.delay_error is not None:
            sure = f" ± {1e3 * log.delay_error:.1f}" if math.isfinite(log.delay_error) else ""
            late = f"{1e3 * log.delay:.1f}{sure} ms"
        rows.append(
            [log.name, f"{clock.samples:,}", f"{clock.duration:.4g} s", f"{1 / clock.step:.5g}",
             f"{1e3 * clock.step:.4g}" + (f" ({steps})" if clock.uneven else ""), gaps, late]
        )  # fmt: skip
    return rows


def joints(log: LogSurvey) -> list[list[str]]:
    """One row a joint: how far it went, how noisy it is."""
    head = ["joint", "q", "v", "a", "tau", "noise q", "noise tau", "repeats", "flat", "rests"]
    rows = [head]
    for joint in log.joints:
        flat = joint.saturated_low + joint.saturated_high
        rows.append(
            [joint.name, *(_range(getattr(joint, x)) for x in ("q", "v", "a", "tau")),
             number(joint.noise_q, 2), number(joint.noise_tau, 2), f"{joint.repeated:.0%}",
             f"{flat:.1%}" if flat else "–", f"{joint.rests:.0%}"]
        )  # fmt: skip
    return rows


def findings(survey: Survey) -> list[str]:
    """What a reader should know before fitting anything, in sentences."""
    said = [survey.choice]
    said += [survey.alignment] if survey.alignment else []
    for log in survey.logs:
        clock = log.clock
        said += [note for note in log.notes if "left out" in note or "held" in note]
        if clock.uneven:
            said.append(
                f"{log.name}: uneven steps, {1e3 * clock.least:.3g} to "
                f"{1e3 * clock.greatest:.3g} ms"
            )
        if clock.gaps:
            said.append(f"{log.name}: {count(clock.gaps, 'gap')}, the longest "
                        f"{seconds(clock.longest_gap)}")  # fmt: skip
        kept = [joint for joint in log.joints if joint.repeated > threshold("data.held")]
        if kept:
            longest = max(joint.hold for joint in kept)
            said.append(
                f"{log.name}: positions of {_names(kept)} repeat in motion (kept for {longest:g} "
                "samples): the encoder is coarser or slower than the log"
            )
        flat = [joint for joint in log.joints if joint.saturated_low or joint.saturated_high]
        if flat:
            said.append(
                f"{log.name}: joint forces of {_names(flat)} are flat at their extreme: saturated?"
            )
        still = [j for j in log.joints if j.rests > 1 - threshold("data.moving")]
        if still:
            said.append(f"{log.name}: {_names(still)} hardly moves")
    return said


def coverage(survey: Survey, motions: Sequence[Motion]) -> Figure:
    """Velocity against position, one panel a joint."""
    names = [joint.name for joint in survey.logs[0].joints][:_MOST_JOINTS]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(2.4 * columns + 0.4, 2.1 * rows + 0.3)
    for k, name in enumerate(names):
        panel = figure.add_subplot(rows, columns, k + 1)
        for motion, colour in zip(motions, _colours(len(motions)), strict=True):
            place = position_of(k, free=motion.q.shape[1] != motion.v.shape[1])
            thin = slice(None, None, max(1, len(motion.time) // _DRAWN))
            panel.plot(motion.q[thin, place], motion.v[thin, k], color=colour, linewidth=0.5)
        panel.set_title(name)
        panel.set_xlabel("position")
        panel.set_ylabel("velocity" if k % columns == 0 else "")
        panel.grid(color=FAINT, linewidth=0.6)
    return figure


def course(survey: LogSurvey, log: Log, motion: Motion) -> Figure:
    """Position, velocity and joint force against time; as recorded, and after the filter."""
    names = [joint.name for joint in survey.joints][:_MOST_JOINTS]
    figure = new_figure(7.6, 1.25 * len(names) + 0.6)
    thin = slice(None, None, max(1, len(log.time) // _DRAWN))
    for k, name in enumerate(names):
        place = position_of(k, free=log.q.shape[1] != log.tau.shape[1])
        shown = (
            ("position", log.q[thin, place], motion.q[:, place]),
            ("velocity", None if log.v is None else log.v[thin, k], motion.v[:, k]),
            ("joint force", log.tau[thin, k], motion.tau[:, k]),
        )
        for column, (title, raw, filtered) in enumerate(shown):
            panel = figure.add_subplot(len(names), 3, 3 * k + column + 1)
            if raw is not None:
                panel.plot(log.time[thin], raw, color=MODEL if column else MUTED, linewidth=0.4)
            panel.plot(motion.time, filtered, color=LAW, linewidth=0.8)
            panel.grid(color=FAINT, linewidth=0.6)
            if k == 0:
                panel.set_title(title)
            if column == 0:
                panel.set_ylabel(name)
            if k == len(names) - 1:
                panel.set_xlabel("time [s]")
    return figure


def _colours(n: int) -> list[Any]:
    return [SERIES[1 + k % (len(SERIES) - 1)] for k in range(n)]


def _names(listed: Sequence[JointSurvey]) -> str:
    return ", ".join(joint.name for joint in listed)


def _range(extremes: Sequence[float]) -> str:
    return f"{number(extremes[0])} … {number(extremes[1])}"


def _scalar(x: float | str) -> str:
    return x if isinstance(x, str) else f"{x:g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(word.replace('|', '/') for word in row)} |" for row in lines)
