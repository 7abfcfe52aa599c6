"""The pages of muscle examinations, as Markdown with figures, from the findings alone."""

from __future__ import annotations

from pathlib import Path

from discover.artifacts import write_text
from discover.muscles import figures
from discover.muscles.geometry_findings import GeometryFindings
from discover.muscles.muscle_findings import MuscleFindings
from discover.report.numbers import count, half_widths, number, relative
from discover.report.style import save

MUSCLE, GEOMETRY = "muscle.md", "geometry.md"
SHEET, ARMS, MAP = "force_sheet.png", "moment_arms.png", "integrability.png"


def write_muscle(exam: MuscleFindings, directory: Path) -> Path:
    """The page of a force law and its figure; returns the page's path. Raises OutputError."""
    save(figures.force_sheet(exam), directory / SHEET)
    return write_text(directory / MUSCLE, muscle_page(exam))


def muscle_page(exam: MuscleFindings) -> str:
    """The page of a force law."""
    lines = [f"# Force of a muscle: {exam.verdict}", "", f"{_capital(exam.reason)}.", ""]
    if exam.law is not None:
        lines += [f"Law: `{exam.law.formula}`", ""]
    lines += [f"![Force over length and rate, and what each family leaves]({SHEET})", ""]
    lines += ["## Families side by side", "", "| family | curves | residual | worst |"]
    lines += ["|---|---|--:|--:|"]
    lines += [
        f"| {f.family} | {'adapted' if f.adapted else 'standard'} | {relative(f.residual)} | "
        f"{relative(f.worst)} |"
        for f in exam.fits
    ]
    lines += [
        f"| free splines | free | {relative(exam.structure.free)} | "
        f"{relative(exam.structure.worst)} |",
        f"| free splines, twice the region | free | {relative(exam.far.free)} | "
        f"{relative(exam.far.worst)} |",
        "",
        "Residuals are root mean squares in shares of the force, at answers that were not fitted. "
        f"Noise of the answers: {relative(exam.floor.noise)}; not affine in activation: "
        f"{relative(exam.structure.not_affine)}; no product of length and rate: "
        f"{relative(exam.structure.not_a_product)} (pennation makes some).",
    ]
    if exam.parameters:
        lines += ["", "## Parameters", "", "| | value | 95 % | |", "|---|--:|---|---|"]
        lines += [
            f"| {e.name} [{e.unit}] | {number(e.value)} | {number(e.low)} … {number(e.high)} | "
            f"{'' if e.identified else 'not identified'} |"
            for e in exam.parameters
        ]
    lines += ["", "## Where not to use it", ""]
    lines += [
        f"- beyond {half_widths(x, exam.limit)} half-widths along {name}"
        for name, x in exam.reach.items()
    ]
    lines += [f"- {n}" for n in exam.notes]
    return "\n".join(lines) + "\n"


def write_geometry(exam: GeometryFindings, directory: Path) -> Path:
    """The page of muscle paths and its figures; returns the page's path. Raises OutputError."""
    save(figures.moment_arms(exam), directory / ARMS)
    save(figures.integrability_map(exam), directory / MAP)
    return write_text(directory / GEOMETRY, geometry_page(exam))


def geometry_page(exam: GeometryFindings) -> str:
    """The page of muscle paths."""
    lines = [f"# Muscle geometry of {exam.robot}", ""]
    lines += [
        f"{_capital(count(len(exam.muscles), 'muscle'))} over "
        f"{count(len(exam.joints), 'joint')}, asked {exam.questions:,} times.",
        "",
        "| muscle | verdict | law | explained | reach | jumps [mm] |",
        "|---|---|---|--:|--:|--:|",
    ]
    for m, jump in zip(exam.muscles, exam.integrability.jumps, strict=True):
        jumped = number(1e3 * float(jump)) if jump > 0 else ""
        lines.append(
            f"| {m.name} | {m.verdict} | {m.words if m.blocks else 'constant'} | "
            f"{relative(m.explained)} | {half_widths(m.reach, exam.limit)} | {jumped} |"
        )
    lines += ["", f"![Moment arms, muscle by joint]({ARMS})", ""]
    lines += [f"![Where moment arms are no slopes, and jumps]({MAP})", ""]
    lines += ["## Why", ""]
    lines += [f"- {m.name}: {m.reason}" for m in exam.muscles]
    lines += ["", "## Notes", "", *(f"- {n}" for n in exam.notes)]
    return "\n".join(lines) + "\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
