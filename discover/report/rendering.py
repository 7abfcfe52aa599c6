"""Rendering: report.md and its figures, from what is stored in a folder and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from discover.artifacts import write_text
from discover.errors import OutputError
from discover.report import (
    evidence_words,
    figures,
    law_figures,
    matrix_figures,
    structure,
    style,
    tables,
    tree_figures,
    words,
)
from discover.report.formulas import stored_formulas
from discover.report.numbers import count, distance, half_widths, listing, number, relative, seconds
from discover.report.pareto import pareto
from discover.report.recorded import held_against
from discover.report.stored import STUDY, VERDICT, StoredExam, read_exam, read_study

REPORT = "report.md"
FIGURES = (
    "errors",
    "laws",
    "samples",
    "forecast",
    "training",
    "ledger",
    "trees",
    "joints",
    "zeros",
)


def render(directory: Path | str) -> Path:
    """Write report.md and figures/; see `discover.report.render`."""
    directory = Path(directory)
    if (directory / STUDY).exists():
        return _render_study(directory)
    if (directory / VERDICT).exists():
        return _render_exam(read_exam(directory))
    raise OutputError(
        f"expected {VERDICT} or {STUDY} in {directory}, found neither; "
        "give the folder that `discover run` or exam.save() wrote"
    )


def _render_exam(stored: StoredExam) -> Path:
    verdict = stored.verdict
    columns, rows = tables.reach(stored)
    parameters = tables.parameters(stored)
    deciding, describing = tables.evidence(stored)
    undetermined = verdict["verdict"] == "undetermined"
    requirements = evidence_words.requirements(stored) if undetermined else []
    context: dict[str, Any] = {
        "title": _title(stored),
        "verdict": verdict,
        "verdict_words": words.VERDICTS.get(verdict["verdict"], verdict["verdict"]),
        "headline": words.headline(stored),
        "confidence": number(verdict.get("confidence"), 2),
        "resolution": words.resolution(
            verdict.get("resolution_by_place", verdict.get("resolution"))
        ),
        "law_family": _family(stored),
        "queries": f"{int(verdict.get('queries') or 0):,}",
        "seconds": seconds(verdict.get("seconds")),
        "region": tables.region(stored),
        "commanded": "controls u" if stored.controlled else "joint forces τ",
        "answer": words.answer(stored),
        "notes": _notes(stored, bool(requirements)),
        "requirements": requirements,
        "runner_up": evidence_words.runner_up(requirements),
        "error_columns": columns,
        "reach_rows": rows,
        "furthest": distance(stored.furthest),
        "parameter_rows": parameters,
        "parameter_words": words.parameters(stored.exam.get("parameters") or []),
        "parameters_folded": len(parameters) > tables.FOLD,
        "held_out": tables.held_out(stored),
        "recordings": tables.recordings(stored),
        "forecast": tables.forecast(stored),
        "ledger": tables.ledger(stored),
        "evidence": deciding,
        "descriptive": describing,
        "means": [x.format(tree=stored.tree) for x in words.MEANS.get(verdict["verdict"], [])],
        "means_not": words.MEANS_NOT.get(verdict["verdict"], []),
        "limits": words.LIMITS,
        "made": tables.lines_of(stored.manifest, _made(stored)),
        "structure": structure.section(stored.mechanism),
        "bodies": structure.bodies(stored.mechanism, stored.law),
        "parts": tables.parts(stored),
        "inside": tables.inside(stored),
        "gradients": tables.gradients(stored),
        **stored_formulas(stored),
    }
    context["front_rows"] = tables.front(context["front"])
    context["near_rows"] = tables.near(context["near"])
    context["figures"] = dict.fromkeys(FIGURES) | _draw_exam(stored, context["front"])
    return write_text(stored.directory / REPORT, _fill("model.md.j2", context))


def _render_study(directory: Path) -> Path:
    study, exams = read_study(directory)
    for stored in exams:
        _render_exam(stored)
    simulated = any(s.error("model against simulator", "q", far=True) is not None for s in exams)
    furthest = max((s.furthest for s in exams), default=1.0)
    figure = None
    if any(stored.curves for stored in exams) and simulated:
        path = directory / "figures" / "comparison.png"
        style.save(figures.comparison({s.name: s.curves for s in exams}), path)
        figure = path.relative_to(directory).as_posix()
    context = {
        "title": study.get("title") or study["name"],
        "opening": _opening(study, exams),
        "rows": [_study_row(stored) for stored in exams],
        "simulated": simulated,
        "recorded": any(s.recordings for s in exams),
        "furthest": distance(furthest),
        "caption": _caption(simulated),
        "figure": figure,
        "limits": words.LIMITS,
        "held_against": held_against.section(directory),
        "recordings_meaning": words.RECORDED_MEANING if any(s.recordings for s in exams) else "",
        "made": tables.lines_of(exams[0].manifest if exams else None),
    }
    return write_text(directory / REPORT, _fill("study.md.j2", context))


def _draw_exam(stored: StoredExam, front: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Draw what there are numbers for; the figures' paths relative to the report, by name."""
    drawn: dict[str, Figure] = {}
    folder = stored.directory / "figures"
    if stored.curves:
        drawn["errors"] = figures.errors(
            stored.curves, stored.verdict.get("reach") or {}, stored.controlled
        )
    if stored.forecast is not None and stored.forecast_drawn:
        joints = stored.forecast.get("coordinates", ())
        drawn["forecast"] = figures.forecasts(stored.forecast_drawn, stored.forecast, joints)
    if stored.ledger is not None and stored.ledger.get("accuracy"):
        drawn["ledger"] = pareto({"": stored.ledger})
    history = (stored.training or {}).get("history") or []
    if len(history) > 1:
        drawn["training"] = figures.training(history)
    drawn |= _draw_structure(stored.mechanism)
    law = stored.law or {}
    of_law = {
        "laws": law_figures.laws(front, law.get("account") or []),
        "samples": law_figures.samples(law.get("samples") or []),
    }
    drawn |= {name: figure for name, figure in of_law.items() if figure is not None}
    for name, figure in drawn.items():
        style.save(figure, folder / f"{name}.png")
    return {name: f"figures/{name}.png" for name in drawn}


def _draw_structure(mechanism: Mapping[str, Any] | None) -> dict[str, Figure]:
    """The inferred tree, its joints in space and the zeros that it predicts."""
    if mechanism is None:
        return {}
    inferred, described = mechanism["skeleton"], mechanism["described"]
    differs = (mechanism["comparison"] or {}).get("differs") or []
    drawn = {"trees": tree_figures.trees(structure.shown(mechanism), described, differs)}
    if mechanism["good"]:
        drawn["joints"] = tree_figures.skeletons(inferred, described)
    if mechanism["sparsity"] is not None:
        names = structure.coordinates(mechanism)
        drawn["zeros"] = matrix_figures.zeros(mechanism["sparsity"], names)
    return drawn


def _fill(template: str, context: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("discover.report", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, and every text in it is our own or passed through `cell`
    )
    text = environment.get_template(template).render(context)
    return _tidy(text)


def _tidy(text: str) -> str:
    """No trailing blanks, never more than one empty line."""
    lines: list[str] = []
    for line in (raw.rstrip() for raw in text.splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines).strip() + "\n"


def _title(stored: StoredExam) -> str:
    robot = stored.verdict.get("robot")
    robot = robot.get("name") if isinstance(robot, dict) else robot
    if stored.robot_inferred:
        return f"What {stored.name} has learned about a robot without a description"
    return f"What {stored.name} has learned" + (f" about {robot}" if robot else "")


def _family(stored: StoredExam) -> str:
    law = stored.verdict.get("law") or stored.law
    if not law:
        return "none"
    bits = law.get("complexity_bits")
    length = f", description length {number(bits)} bits" if bits else ""
    return f"{law.get('family', 'unknown')}{length}"


def _notes(stored: StoredExam, explained: bool) -> list[str]:
    """The examination's notes; without those that the table of requirements says better."""
    notes = stored.exam.get("notes") or []
    return [note for note in notes if not (explained and "is held back most by" in note)]


def _made(stored: StoredExam) -> list[str]:
    lines = []
    if stored.exam.get("budget"):
        lines.append(
            f"Examined with budget *{stored.exam['budget']}*, seed {stored.verdict.get('seed')}"
        )
    metrics = (stored.training or {}).get("metrics") or {}
    if metrics:
        facts = [f"{metrics['parameters']:,} parameters"] if metrics.get("parameters") else []
        if metrics.get("train_samples"):
            facts.append(f"{metrics['train_samples']:,} training samples")
        if metrics.get("epochs"):
            facts.append(f"{metrics['epochs']} epochs")
        if metrics.get("validation_error") is not None:
            facts.append(f"validation error {relative(metrics['validation_error'])}")
        if metrics.get("seconds") is not None:
            facts.append(f"trained in {seconds(metrics['seconds'])}")
        lines.append("Model: " + ", ".join(facts))
    lines.extend(f"Training: {note}" for note in (stored.training or {}).get("notes", ()))
    return lines


def _study_row(stored: StoredExam) -> dict[str, Any]:
    reach = stored.verdict.get("reach") or {}
    limit = stored.exam.get("reach_limit")
    errors = {
        "inside": stored.error("model against simulator", "joint", far=False),
        "far": stored.error("model against simulator", "q", far=True),
        "law": stored.error("law against simulator", "q", far=True),
    }
    return {
        "name": stored.name,
        "link": f"{stored.directory.name}/{REPORT}",
        "verdict": stored.verdict["verdict"],
        "confidence": number(stored.verdict.get("confidence"), 2),
        "headline": words.headline(stored),
        "answer": words.answer(stored),
        **{axis: half_widths(reach.get(axis), limit) for axis in ("q", "v", "tau", "joint")},
        **{name: relative(error) for name, error in errors.items()},
        "unseen": words.recorded(stored) or dict.fromkeys(("model", "law", "description"), ""),
    }


def _opening(study: dict[str, Any], exams: list[StoredExam]) -> str:
    names: dict[str, list[str]] = {}
    for stored in exams:
        names.setdefault(stored.verdict["verdict"], []).append(f"**{stored.name}**")
    verdicts = [f"{verdict} for {listing(models)}" for verdict, models in names.items()]
    robot = study.get("robot", "the robot")
    return (
        f"{count(len(exams), 'model')} of *{robot}*, each examined as a black box. "
        f"The verdicts: {listing(verdicts)}."
    )


def _caption(simulated: bool) -> str:
    text = (
        "Confidence: probability of that verdict; of *undetermined*, that the evidence settles no "
        "answer. Reach: distance from the centre of the region, "
        "in half-widths, up to which the best law fitted in the region describes the *model*. A "
        "half-width is the distance from the centre of the region to its face: 1 is the edge of "
        "the region."
    )
    if simulated:
        text += (
            " Errors are root mean squares relative to the acceleration, against the *simulator*."
        )
    return text
