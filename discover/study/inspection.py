"""`discover inspect DIR`: IPython with an examination and its law's formulas in scope."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from discover.artifacts import read_json
from discover.errors import OutputError
from discover.examination.result import Examination, load
from discover.judgement.verdict import in_words
from discover.mechanism.geometry.measures import pretty_measures
from discover.report.numbers import number, relative
from discover.report.stored import STUDY, VERDICT, read_exam
from discover.report.words import headline

if TYPE_CHECKING:
    from discover.mechanism.description import MechanismDescription


def open_session(directory: Path | str, model: str | None = None) -> None:
    """Start IPython on an examination's folder, or on one model of a study's folder."""
    from IPython import start_ipython
    from traitlets.config import Config

    scope, banner = prepare(directory, model)
    config = Config()
    config.TerminalInteractiveShell.banner1 = banner + "\n"
    config.TerminalInteractiveShell.separate_in = ""
    config.HistoryManager.enabled = False  # nothing is written to the reader's home
    start_ipython(argv=[], user_ns=scope, config=config)


def prepare(directory: Path | str, model: str | None = None) -> tuple[dict[str, Any], str]:
    """The names in scope and the banner that lists them. Raises OutputError."""
    import sympy

    import discover
    import kinematics

    folder = find(Path(directory), model)
    exam = load(folder)
    scope: dict[str, Any] = {
        "exam": exam,
        "robot": exam.robot,
        "law": exam.law,
        "discover": discover,
        "kinematics": kinematics,
        "sympy": sympy,
    }
    if exam.account is not None:
        scope["account"] = exam.account
    if exam.law is not None:
        scope |= formulas(exam.law)
    return scope, banner(exam, scope, headline(read_exam(folder)))


def find(directory: Path, model: str | None) -> Path:
    """The folder of one examination: the one given, or a model's in a study."""
    if (directory / VERDICT).exists() and model is None:
        return directory
    if not (directory / STUDY).exists():
        if model is not None and (directory / model / VERDICT).exists():
            return directory / model
        raise OutputError(
            f"expected {VERDICT} or {STUDY} in {directory}, found neither; "
            "give the folder that `discover run` or exam.save() wrote"
        )
    names = [entry["name"] for entry in read_json(directory / STUDY, "a study")["models"]]
    judged = [name for name in names if (directory / name / VERDICT).exists()]
    chosen = model or (judged[-1] if judged else "")
    if chosen not in judged:
        raise OutputError(
            f"expected a model of {', '.join(judged) or 'none'} in {directory}, "
            f"found {chosen or 'nothing'!r}"
        )
    return directory / chosen


def formulas(law: Any) -> dict[str, Any]:
    """The law's SymPy objects by their standard letters (H, bias, q, v, …)."""
    if not hasattr(law, "mass_matrix"):
        return {}
    objects = {
        "H": law.mass_matrix,
        "bias": law.bias,
        "potential": law.potential,
        "lagrangian": law.lagrangian,
        "terms": law.terms,
        "intermediates": law.intermediates,
    }
    return {**objects, **law.symbols}


def banner(exam: Examination, scope: dict[str, Any], sentence: str) -> str:
    """The verdict, the report's headline, the names in scope and what to try with them."""
    reach = ", ".join(f"{axis} {number(r)}" for axis, r in exam.reach.items())
    lines = [
        f"{exam.model}: {in_words(exam.verdict, exam.confidence, exam.evidence)}",
        sentence,
        f"reach in half-widths: {reach}; departures above {relative(float(exam.resolution))} "
        "of the spread of a would have shown",
        "",
        "in scope",
        "  exam         verdict, evidence, curves, parameters: exam.evidence, exam.notes",
        "  robot        the description that the model was compared with",
    ]
    if exam.account is not None:
        lines.append("  account      inferred tree, geometry, factors and recursion")
    if exam.law is not None:
        lines.append(f"  law          {exam.law.family}: law(q, v, tau) -> a, law.export('latex')")
    if "H" in scope:
        lines += [
            "  H, bias, potential, lagrangian, terms      SymPy, of the identified law",
            "  q, v, a, tau                               their symbols",
        ]
        if scope["intermediates"]:
            lines.append("  intermediates                              their common subexpressions")
    lines += ["  kinematics, discover, sympy", ""]
    if "H" in scope:
        lines += [
            "try",
            "  potential.diff(q[0])            the torque of gravity on the first joint",
            "  law.compile()                   the law as fast code",
            "  kinematics.simulate(law.robot, robot.neutral(), ...)",
        ]
    if exam.account is not None:
        lines += ["", *mechanism(exam.account)]
    return "\n".join(lines)


def mechanism(account: MechanismDescription) -> list[str]:
    """The inferred tree as an indented list, and the recursion as passes."""
    skeleton = account.skeleton
    children: dict[int, list[int]] = {}
    for j, p in enumerate(skeleton.parents):
        children.setdefault(p, []).append(j)

    def below(joint: int, depth: int) -> list[str]:
        kind = "revolute" if skeleton.turning[joint] else "prismatic"
        lines = [f"  {'  ' * depth}{skeleton.names[joint]} ({kind})"]
        for child in children.get(joint, ()):
            lines += below(child, depth + 1)
        return lines

    lines = ["the mechanism, inferred from the answers", "  base"]
    lines += [line for root in children.get(-1, ()) for line in below(root, 1)]
    if account.measures:
        lines += ["", "its geometry, each number with its standard error"]
        lines += pretty_measures(account.measures, skeleton.names).splitlines()
    if account.inverse:
        holds = "which the model computes" if account.equals else "the closest one; not the model's"
        lines += ["", f"its recursion, {holds}", *account.inverse.splitlines()]
    if account.forward is not None:
        count = account.forward.arithmetic["this one"]
        lines.append(f"forward: law.compile(), {count} multiplications, additions and divisions")
    return lines
