"""The page of a designed motion, made from the content of motion.json and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discover.artifacts import write_text
from discover.report.numbers import listing, number, relative
from discover.report.style import FAINT, LAW, MUTED, house_style, new_figure, save

PAGE = "motion.md"
_PANELS = 8
_WORDS = (("q", "[rad | m]"), ("v", "[1/s]"), ("a", "[1/s²]"))

Record = Mapping[str, Any]


def write(record: Record, table: NDArray[np.float64], directory: Path) -> Path:
    """Write the page and its figure; returns the page's path. Raises OutputError."""
    with house_style():
        save(courses(record, table), directory / "figures" / "motion.png")
    return write_text(directory / PAGE, page(record))


def as_text(record: Record) -> str:
    """The result for a terminal."""
    return "\n".join([headline(record), "", *(f"- {x}" for x in remarks(record))])


def headline(record: Record) -> str:
    """One sentence: how much more it shows than a random motion."""
    before = np.array(record["before"], dtype=float)
    after = _errors(record, "designed")
    known = f"{len(record['after_logs'])} logs" if record["after_logs"] else "the description"
    text = (
        f"One period of {record['motion']['period']:g} s is expected to bring the standard errors "
        f"of the base parameters of {record['robot_name']} to {relative(_middle(after / before))} "
        f"(median) of what {known} leave" + ("" if record["after_logs"] else "s")
    )
    if record["random"] is None:
        return text + "."
    ratio = _middle(_errors(record, "random") / before)
    return f"{text}; a random motion within the same limits, to {relative(ratio)}."


def remarks(record: Record) -> list[str]:
    """What else a reader should know, in sentences."""
    random = record["random"]
    beside = f", of a random motion {_condition(random)}" if random is not None else ""
    out = [
        f"The condition number of the base regressor is {_condition(record['designed'])}{beside} "
        "(columns scaled to a typical body; the design maximises information, not this number)."
    ]
    if random is not None:
        more = float(record["designed"]["gain"]) - float(random["gain"])
        out.append(
            f"It gains {number(float(record['designed']['gain']))} nats of log det, "
            f"{number(more)} more than the random motion."
        )
    ratio = _errors(record, "designed") / np.array(record["before"], dtype=float)
    hidden = [n for n, x in zip(record["parameters"], ratio, strict=True) if x > 0.9]
    if hidden:
        out.append(
            f"{len(hidden)} of {len(ratio)} base parameters stay as they were: "
            + listing([f"`{x}`" for x in hidden[:4]], "and")
            + (" and others." if len(hidden) > 4 else ".")
        )
    return [
        *out,
        *(f"{note[:1].upper()}{note[1:]}." for note in record["notes"]),
        "Collisions with itself or the surroundings were not checked: play it slowly first.",
    ]


def page(record: Record) -> str:
    """The page in Markdown."""
    parts = [
        f"# A motion that shows {record['robot_name']}",
        f"> **{headline(record)}**",
        "\n".join(f"- {x}" for x in remarks(record)),
        "`motion.csv` holds time, positions, velocities and accelerations of one period, which "
        "begins and ends at rest in the same pose and may be repeated: *n* periods divide the "
        "errors by √*n*. In Python: `discover.ExcitingMotion.load(DIRECTORY).motion.at(times)`.",
        "![Positions, velocities and accelerations, with their limits](figures/motion.png)",
        "## Limits",
        _limit_table(record),
        "Share of each limit that the motion may use, and the largest effort that it needs by the "
        "robot's own parameters [rad, rad/s, rad/s², N·m; of sliders m, m/s, m/s², N].",
        "## Expected standard errors",
        _error_table(record),
        "## How it was made",
        "\n".join(f"- {x}" for x in _made(record)),
    ]
    return "\n\n".join(parts) + "\n"


def _made(record: Record) -> list[str]:
    known = listing(record["after_logs"], "and") or "the description, to within a typical body"
    return [
        f"Fourier series of {len(record['motion']['sine'][0])} harmonics (Swevers et al. 1997), by "
        "quasi-Newton search for the largest gain of information (log det) about the base "
        "parameters, friction, offset and rotor of every joint being fitted beside them",
        f"noise: {_by_joint(record, 'noise')}, in {number(float(record['rate']))} independent "
        "samples a second",
        f"known before: {known}",
        f"{record['seconds']:.0f} s, seed {record['seed']}",
    ]


def courses(record: Record, table: NDArray[np.float64]) -> Figure:
    """q, v, a of each joint over a period, and the limits that it keeps."""
    joints: Sequence[str] = record["joints"]
    n = len(joints)
    shown = min(n, _PANELS)
    figure = new_figure(9.5, 0.8 + 1.1 * shown)
    grid = figure.subplots(shown, 3, squeeze=False, sharex=True)
    limits = {
        key: np.array(record["limits"][key], dtype=float)
        for key in ("low", "high", "velocity", "acceleration")
    }
    ends = (
        (limits["low"], limits["high"]),
        (-limits["velocity"], limits["velocity"]),
        (-limits["acceleration"], limits["acceleration"]),
    )
    for j in range(shown):
        for k, (letter, unit) in enumerate(_WORDS):
            panel = grid[j, k]
            panel.plot(table[:, 0], table[:, 1 + k * n + j], color=LAW, linewidth=1.1)
            for end in ends[k]:
                if np.isfinite(end[j]):
                    panel.axhline(end[j], color=MUTED, linewidth=0.7, linestyle="--")
            panel.grid(axis="y", color=FAINT, linewidth=0.6)
            if j == 0:
                panel.set_title(f"{letter} {unit}")
        grid[j, 0].set_ylabel(joints[j][-14:], rotation=0, ha="right", va="center")
    for panel in grid[-1]:
        panel.set_xlabel("time [s]")
    return figure


def _limit_table(record: Record) -> str:
    keys = ("low", "high", "velocity", "acceleration", "effort")
    lines = ["| joint | " + " | ".join(keys) + " | needs |", "|---|" + "--:|" * 6]
    for j, joint in enumerate(record["joints"]):
        cells = [number(float(record["limits"][key][j])) for key in keys]
        lines.append(f"| {joint} | {' | '.join(cells)} | {number(float(record['effort'][j]))} |")
    return "\n".join(lines)


def _error_table(record: Record) -> str:
    random = record["random"]
    head = ["before", *(["random motion"] if random is not None else []), "this motion"]
    lines = ["| base parameter | " + " | ".join(head) + " |", "|---|" + "--:|" * len(head)]
    for k, name in enumerate(record["parameters"]):
        values = [record["before"][k]]
        values += [random["errors"][k]] if random is not None else []
        values += [record["designed"]["errors"][k]]
        lines.append(f"| `{name}` | {' | '.join(number(float(x), 2) for x in values)} |")
    return "\n".join(lines)


def _by_joint(record: Record, key: str) -> str:
    pairs = zip(record["joints"], record[key], strict=True)
    return ", ".join(f"{joint} {number(float(x), 2)}" for joint, x in pairs)


def _errors(record: Record, key: str) -> NDArray[np.float64]:
    return np.array(record[key]["errors"], dtype=float)


def _condition(showing: Record) -> str:
    value = float(showing["condition"])
    return number(value) if np.isfinite(value) else "infinite"


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.median(values))
