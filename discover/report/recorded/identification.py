"""The report of an identification: a page that a laboratory could send to whoever owns the robot.

All of it is made from the content of identification.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discover.artifacts import write_text
from discover.judgement.thresholds import threshold
from discover.report.numbers import listing, number, relative
from discover.report.style import FAINT, INK, LAW, MODEL, MUTED, house_style, new_figure, save
from kinematics.robot.tree import PARAMETERS

PAGE = "report.md"
YARDSTICKS = ("zero", "description", "least squares", "identified")
_LISTED = 60  # base parameters on the page; all are in the record
_ELASTIC = "elastic joint"
_PANELS = 7  # joints in a figure
_SHOWN = threshold("identification.unexplained_least")
_SURE = threshold("identification.unexplained_sure")

Record = Mapping[str, Any]


def write(record: Record, directory: Path) -> Path:
    """Write the page and its figures; returns the page's path. Raises OutputError."""
    figures = directory / "figures"
    with house_style():
        save(courses(record), figures / "torques.png")
        save(drives(record), figures / "drives.png")
        save(residuals(record), figures / "residuals.png")
    return write_text(directory / PAGE, page(record))


def as_text(record: Record) -> str:
    """The result for a terminal."""
    lines = [headline(record), ""]
    lines += ["joint".ljust(20) + "".join(f"{y:>15}" for y in YARDSTICKS)]
    for joint in record["joints"]:
        errors = _over_logs(record, joint, "errors")
        lines.append(joint[:19].ljust(20) + "".join(f"{number(errors[y]):>15}" for y in YARDSTICKS))
    lines += ["", *(f"- {sentence}" for sentence in remarks(record))]
    return "\n".join(lines)


def headline(record: Record) -> str:
    """One sentence: how well the law predicts what it has not seen, and beside what."""
    errors, moving = _pooled(record, "errors"), _pooled(record, "when_moving")
    return (
        f"The law predicts the joint forces of {record['robot_name']} to "
        f"{relative(errors['identified'])} of their root mean square where they were held out "
        f"({relative(moving['identified'])} while the joints move); least squares to "
        f"{relative(errors['least squares'])}, the description to "
        f"{relative(errors['description'])}."
    )


def page(record: Record) -> str:
    """The page in Markdown."""
    parts = [
        f"# The law of {record['robot_name']}, from its logs",
        f"> **{headline(record)}**",
        "\n".join(f"- {sentence}" for sentence in remarks(record)),
        "## How far off, by joint",
        _error_table(record),
        "Root mean square errors of the joint force over the held-out logs [N·m or N], all after "
        "the same filter, least squares too. *zero* "
        "predicts nothing, so it is the size of the torque itself; *description* is the robot's "
        "file with its own joint terms; *least squares* is base parameters with viscous and "
        "Coulomb friction, offset and rotor of every joint; *moving* is the identified law over "
        "the samples in which the joint moves: at rest, friction may be anything up to its limit, "
        "and no law of the state can tell what it is.",
        "![Joint forces over time, measured and predicted](figures/torques.png)",
        "## The drives",
        _drive_table(record),
        "Friction, offset and rotor of every joint, and the terms that held-out logs asked for "
        "besides; a force is coefficient times formula, on the left side of *H a + bias + forces "
        "= τ*. The *load* h + g + c is what the bodies ask of a joint. ± is the standard error by "
        "leaving out pieces of time." + _along_motion(record),
        "![What the drives take, against velocity](figures/drives.png)",
        "## What is left",
        _left(record),
        "![Residual against velocity, position and load](figures/residuals.png)",
        "## The bodies",
        _excited(record),
        _parameter_table(record),
        *_payloads(record),
        "## Take it home",
        "`robot.urdf` and `robot.xml` are the robot as these formats can state it: possible "
        "bodies, rotors, viscous and Coulomb friction, fitted by themselves; `law.json` "
        "has every term. In Python:",
        '```python\nimport discover\n\nident = discover.Identification.load("DIRECTORY")\n'
        "a = ident.law(q, v, tau)\n```",
        "## How it was made",
        "\n".join(f"- {x}" for x in _made(record)),
    ]
    return "\n\n".join(parts) + "\n"


def _along_motion(record: Record) -> str:
    """What presliding and elastic joints mean, where a joint has them."""
    kinds = {p["kind"] for p in record["friction"]}
    out = ""
    if _ELASTIC in kinds:
        out += (
            " *elastic joint*: d is what a unit of compliance changes in the joint forces, since "
            "the link stands behind the motor, and its encoder, by load over stiffness; the "
            "coefficient is the compliance, one over the stiffness [rad/(N·m) or m/N]. The "
            "predictions here have it; the law's joints are rigid."
        )
    if "presliding" not in kinds:
        return out
    return out + (
        " *presliding over δ*: after a reversal friction builds up over a way of about δ [rad or "
        "m], dz/dq = (1 - z sign(dq)) / δ (Dahl 1976). The predictions here have it; the law, a "
        "function of (q, v, τ), keeps its limit, Coulomb friction."
    )


def _elastic(term: Record) -> str:
    """The stiffness of a joint that gives way, in a sentence."""
    compliance, error = float(term["value"]), float(term["error"])
    if not compliance > 0:
        return f"between motor and link {term['joints'][0]} is as good as rigid"
    return (
        f"between motor and link {term['joints'][0]} gives way: its stiffness is "
        f"{number(1 / compliance)} ± {number(error / compliance**2, 2)} N·m/rad (N/m for sliders)"
    )


def _matters(note: str) -> bool:
    """Whether a note on how logs were read changes what the figures mean."""
    return any(word in note for word in ("payload", "left out", "held"))


def remarks(record: Record) -> list[str]:
    """What a reader should know first, in sentences."""
    out = [_capital(_delay(record))]
    if record["torque_scale"]["applied"]:
        out.append(_capital(_scale(record)))
    out += [_capital(_elastic(p)) for p in record["friction"] if p["kind"] == _ELASTIC]
    out += [_capital(_payload(p)) for p in record.get("payloads", ())]
    out += [_capital(note) for note in record["notes"] if _matters(note)]
    left = _clear(record)
    if left:
        what = listing([f"{d['quantity']} of {d['joint']}" for d in left[:3]], "and")
        size = relative(_pooled(record, "errors")["identified"])
        out.append(
            f"What is left, {size} of the torque, still depends on the {what}: a function of that "
            f"would explain up to {100 * left[0]['share']:.0f} % more of a joint's residual."
        )
    else:
        out.append("No dependence is left in the residual that a test on unseen time would show.")
    errors = _pooled(record, "errors")
    if errors["description"] > 3:
        out.append(
            f"The description is off by {number(errors['description'], 2)} times the torque: are "
            "units (degrees?), zeros, gears and the order of joints right? --columns says them."
        )
    if errors["identified"] > 1.05 * errors["least squares"]:
        out.append(
            "Least squares does better where it was held out: more logs would tell which terms to "
            "trust; --plain leaves all of them out."
        )
    weak = [p for p in record["parameters"] if not p["shown"]]
    if weak:
        out.append(
            f"{len(weak)} of {len(record['parameters'])} base parameters are not shown by these "
            "logs; they stay near the description."
        )
    worst = max(
        record["joints"],
        key=lambda j: _ratio(_over_logs(record, j, "errors")),
    )
    ratio = _ratio(_over_logs(record, worst, "errors"))
    if ratio > 0.5:
        out.append(
            f"On {worst} the law leaves {relative(ratio)} of the torque: hardly a law there."
        )
    return out


def _made(record: Record) -> list[str]:
    kept = record["held_out"]
    same = set(kept) == set(record["logs"])
    out = [
        f"logs: {listing(record['logs'], 'and')}; held out: "
        + ("the last part of each" if same else listing(kept, "and")),
        record["smoothing"],
        _delay(record),
        _scale(record),
        "joints are weighted by the noise of their residual: "
        + ", ".join(
            f"{j} {number(x)}" for j, x in zip(record["joints"], record["noise"], strict=True)
        ),
        record["possible"],
        f"{record['seconds']:.0f} s, seed {record['seed']}",
    ]
    return [*out, *record["notes"]]


def _delay(record: Record) -> str:
    late = record["alignment"]
    if late["delay"]:
        return f"a delay of {1e3 * late['delay']:.3g} ms of the torques was taken out"
    if abs(late["found"]) < 1e-9:
        return "the torques show no delay"
    why = late.get("reason") or "does not clearly lower the error where it was not fitted"
    return f"no delay was taken out: the lag that fits best, {1e3 * late['found']:.3g} ms, {why}"


def _scale(record: Record) -> str:
    scale = record["torque_scale"]
    if not scale["applied"]:
        return "torques were taken as N·m (N for sliders)"
    factors = ", ".join(
        f"{j} {number(float(x))} ± {number(float(e), 2)}"
        for j, x, e in zip(record["joints"], scale["factor"], scale["error"], strict=True)
    )
    by = scale.get("settled_by", "the description's bodies")
    return (
        f"the logs' unit of torque was unknown; factors to N·m: {factors}. They are settled by "
        f"{by} (± is the fit's alone: an error in what is known goes straight into them): motion "
        "alone shows ratios only, so every mass and friction here is as right as these are"
    )


def _payload(found: Record) -> str:
    """What was carried, in a sentence."""
    values, errors = ([float(x) for x in found[key]] for key in ("values", "errors"))
    logs = listing(found["logs"], "and")
    if not math.isfinite(values[0]):
        return f"{found['label']} on {found['link']} ({logs}): this arm's motion shows no mass"
    words = (
        f"{found['label']} on {found['link']} ({logs}) weighs {number(values[0])} ± "
        f"{number(errors[0], 2)} kg"
    )
    if found["mass_stated"] is not None:
        words += f" ({number(found['mass_stated'])} kg were stated)"
    known = [k for k in range(1, 4) if math.isfinite(values[k]) and found["shown"][k]]
    if known and found["shown"][0]:
        axes = listing([f"{'xyz'[k - 1]} {number(values[k] / values[0])} m" for k in known], "and")
        words += f"; its centre is at {axes} of the link"
    return words


def _payloads(record: Record) -> list[str]:
    """The section on payloads; none where nothing was carried."""
    out: list[str] = []
    for found in record.get("payloads", ()):
        lines = [
            "| parameter [kg, kg·m, kg·m²] | value | ± | shown |",
            "|---|--:|--:|---|",
        ]
        for name, value, error, shown in zip(
            PARAMETERS, found["values"], found["errors"], found["shown"], strict=True
        ):
            if math.isfinite(float(value)):
                lines.append(
                    f"| {name} | {number(float(value))} | {number(float(error), 2)} | "
                    f"{'yes' if shown else 'no'} |"
                )
        held = float(found["held_out"])
        told = (
            "No log that carried it was held out."
            if not math.isfinite(held)
            else f"Where they were held out, the law leaves {relative(held)} of the joint forces "
            f"of logs that carried it, and {relative(float(found['without']))} if it takes the arm "
            "to carry nothing."
        )
        out += [
            f"## Payload: {found['label']}",
            _capital(_payload(found)),
            "\n".join(lines),
            f"In the frame of {found['link']}, about its origin; what this arm's motion cannot "
            f"show by itself is left out. {told} Law, `robot.urdf` and the tables above are the "
            "bare arm's.",
        ]
    return out


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _excited(record: Record) -> str:
    e = record["excitation"]
    condition = float(e["condition"])
    words = (
        f"The motion shows {e['shown']} of {e['parameters']} base parameters; the condition number "
        f"of its regressor is {number(condition)} (below about 100 is good)."
    )
    if e["weakest"] and not condition < 100:
        words += f" It shows least of {listing(['`' + x + '`' for x in e['weakest']], 'and')}."
    return words


def _left(record: Record) -> str:
    lines = [
        "| joint | quantity | share of the residual it explains, unseen | ± |",
        "|---|---|--:|--:|",
    ]
    for d in record["unexplained"][:8]:
        share, error = (f"{100 * float(d[key]):.0f} %" for key in ("share", "error"))
        lines.append(f"| {d['joint']} | {d['quantity']} | {share} | {error} |")
    lines += [
        "",
        "A flexible function of each quantity, beside the joint's own velocity, fitted to the "
        "residual of some blocks of time and tested on the others. Below zero: nothing there.",
    ]
    return "\n".join(lines)


def _clear(record: Record) -> list[Record]:
    return [
        d
        for d in record["unexplained"]
        if float(d["share"]) > max(_SURE * float(d["error"]), _SHOWN)
    ]


def _error_table(record: Record) -> str:
    head = ["joint", *YARDSTICKS, "moving", "identified / zero"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for joint in record["joints"]:
        errors = _over_logs(record, joint, "errors")
        moving = _over_logs(record, joint, "when_moving")["identified"]
        cells = [number(errors[y]) for y in YARDSTICKS]
        lines.append(
            f"| {joint} | {' | '.join(cells)} | {number(moving)} | {relative(_ratio(errors))} |"
        )
    logs = list(dict.fromkeys(e["log"] for e in record["errors"] if e["held_out"]))
    if len(logs) > 1:
        lines += ["", "| log | " + " | ".join(YARDSTICKS) + " |", "|---|" + "--:|" * 4]
        for log in logs:
            errors = _pooled(record, "errors", log)
            cells = [relative(errors[y]) for y in YARDSTICKS]
            lines.append(f"| {log} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _drive_table(record: Record) -> str:
    if not record["friction"]:
        return "Held-out logs ask for no term of the drives."
    lines = ["| term | coefficient [SI] | ± | formula |", "|---|--:|--:|---|"]
    for p in record["friction"]:
        lines.append(
            f"| {p['name']} | {number(p['value'])} | {number(p['error'], 2)} | `{p['formula']}` |"
        )
    return "\n".join(lines)


def _parameter_table(record: Record) -> str:
    lines = [
        "| base parameter [kg, kg·m, kg·m²] | value | ± | description | shown |",
        "|---|--:|--:|--:|---|",
    ]
    for p in record["parameters"][:_LISTED]:
        lines.append(
            f"| `{p['name']}` | {number(p['value'])} | {number(p['error'], 2)} | "
            f"{number(p['described'])} | {'yes' if p['shown'] else 'no'} |"
        )
    return "\n".join(lines)


def _over_logs(record: Record, joint: str, key: str) -> dict[str, float]:
    """Root mean square over the held-out logs."""
    rows = [e[key] for e in record["errors"] if e["held_out"] and e["joint"] == joint]
    return {y: _rms([float(r[y]) for r in rows]) for y in YARDSTICKS}


def _pooled(record: Record, key: str, log: str | None = None) -> dict[str, float]:
    rows = [e[key] for e in record["errors"] if e["held_out"] and (log is None or e["log"] == log)]
    size = _rms([float(r["zero"]) for r in rows]) or math.nan  # a log without torque has no share
    return {y: _rms([float(r[y]) for r in rows]) / size for y in YARDSTICKS}


def _rms(values: Sequence[float]) -> float:
    known = [x for x in values if math.isfinite(x)]
    return math.sqrt(sum(x * x for x in known) / len(known)) if known else math.nan


def _ratio(errors: Mapping[str, float]) -> float:
    return errors["identified"] / errors["zero"] if errors["zero"] > 0 else math.nan


# ---- figures ------------------------------------------------------------------------------------


def courses(record: Record) -> Figure:
    """Measured and predicted joint forces over time: the first held-out log, one panel a joint."""
    name, trace = next(iter(record["traces"].items()))
    joints = trace["joints"][:_PANELS]
    figure = new_figure(9.5, 1.5 + 1.15 * len(joints))
    panels = figure.subplots(len(joints), 1, sharex=True, squeeze=False)[:, 0]
    for j, (panel, joint) in enumerate(zip(panels, joints, strict=True)):
        time = np.array(trace["time"], dtype=float)
        tau, law = (np.array(trace[k][j], dtype=float) for k in ("tau", "identified"))
        panel.plot(time, tau, color=MUTED, linewidth=2.2, alpha=0.55)
        panel.plot(time, law, color=LAW, linewidth=1.0)
        panel.fill_between(time, tau - law, color=MODEL, alpha=0.5, linewidth=0)
        panel.set_ylabel(_short(joint), rotation=0, ha="right", va="center")
        panel.grid(axis="y", color=FAINT, linewidth=0.6)
    panels[0].set_title(
        f"joint forces of {name} [N·m | N], filtered: measured (grey), law (blue), difference (red)"
    )
    panels[-1].set_xlabel("time [s]")
    return figure


def drives(record: Record) -> Figure:
    """What the torque exceeds the bodies' by, against velocity: measured, and by the law."""

    def draw(panel: Axes, part: dict[str, np.ndarray]) -> None:
        panel.scatter(
            part["v"], part["tau"] - part["bodies"], s=3, color=MUTED, alpha=0.25, linewidth=0
        )
        panel.scatter(
            part["v"], part["identified"] - part["bodies"], s=2, color=LAW, alpha=0.6, linewidth=0
        )
        panel.set_xlabel("velocity [rad/s | m/s]")

    return _by_joint(
        record, draw, "joint force beyond the bodies' [N·m | N]: measured (grey), law (blue)"
    )


def residuals(record: Record) -> Figure:
    """The residual against velocity, position and load: a missing term shows as a shape."""
    joints = list(record["joints"])[:_PANELS]
    figure = new_figure(9.5, 0.8 + 1.35 * len(joints))
    grid = figure.subplots(len(joints), 3, squeeze=False)
    for j, joint in enumerate(joints):
        part = _joined(record, j)
        left = part["tau"] - part["identified"]
        for panel, key in zip(grid[j], ("v", "q", "bodies"), strict=True):
            panel.scatter(part[key], left, s=2, color=MUTED, alpha=0.3, linewidth=0)
            _medians(panel, part[key], left)
            panel.axhline(0, color=INK, linewidth=0.5)
        grid[j, 0].set_ylabel(_short(joint), rotation=0, ha="right", va="center")
    for panel, title in zip(
        grid[0],
        (
            "against velocity [rad/s | m/s]",
            "against position [rad | m]",
            "against load [N·m | N]",
        ),
        strict=True,
    ):
        panel.set_title(title)
    figure.align_ylabels(grid[:, 0])
    figure.suptitle("What the law leaves [N·m | N]", x=0.01, ha="left", fontsize=10)
    return figure


def _medians(panel: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """The median of y in bins of x with equally many points."""
    order = np.argsort(x)
    groups = [g for g in np.array_split(order, 24) if len(g) > 4]
    at = [float(np.median(x[g])) for g in groups]
    panel.plot(at, [float(np.median(y[g])) for g in groups], color=MODEL, linewidth=1.3)


def _by_joint(record: Record, draw: Any, title: str) -> Figure:
    joints = list(record["joints"])[:_PANELS]
    columns = min(4, len(joints))
    rows = math.ceil(len(joints) / columns)
    figure = new_figure(2.5 * columns + 0.6, 2.2 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for panel in grid.flat[len(joints) :]:
        panel.set_visible(False)
    for j, joint in enumerate(joints):
        draw(grid.flat[j], _joined(record, j))
        grid.flat[j].set_title(_short(joint))
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _joined(record: Record, j: int) -> dict[str, np.ndarray]:
    """The traces of one joint, all held-out logs behind each other."""
    keys = ("q", "v", "tau", "identified", "bodies")
    traces = record["traces"].values()
    return {key: np.concatenate([np.array(t[key][j], dtype=float) for t in traces]) for key in keys}


def _short(name: str) -> str:
    return name if len(name) <= 14 else "…" + name[-13:]
