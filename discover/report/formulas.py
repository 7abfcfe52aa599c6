"""The law's formulas for a report, kept as LaTeX beside the evidence.

Formulas are derived once, from law.json, and stored: rendering a report again derives nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discover.artifacts import read_json, write_json
from discover.records import number_to_json
from discover.report.stored import StoredExam
from kinematics import Robot
from kinematics.programs import trace

FORMULAS = "formulas.json"
WIDE = 4000  # characters of LaTeX above which a formula is no reading
PER_OPERATION = 20  # characters of LaTeX, in definitions that formulas share


def stored_formulas(stored: StoredExam) -> dict[str, Any]:
    """What the report prints of the law: formulas, terms, program (each may be empty)."""
    path = stored.directory / FORMULAS
    if path.exists():
        return {"front": [], "near": [], "points": [], **read_json(path, "a law's formulas")}
    if stored.law is None or not stored.law.get("kind"):
        empty: dict[str, Any] = {k: [] for k in ("formulas", "terms", "front", "near", "points")}
        return {**empty, "program": "", "law_intro": ""}
    from discover.laws import from_dict

    return write_formulas(from_dict(stored.law), stored.directory)


def write_formulas(law: Any, directory: Path) -> dict[str, Any]:
    """Derive what a report prints of `law`, store it in `directory`, and return it."""
    derived = derive(law)
    write_json(directory / FORMULAS, derived)
    return derived


def derive(law: Any) -> dict[str, Any]:
    """Formulas in LaTeX where they are short; terms and the program of every law."""
    import sympy

    from discover.laws.export.latex import aligned

    formulas = []
    robot = getattr(law, "robot", None)
    if robot is not None and _is_short(robot):
        intermediates = [
            {"words": "with", "latex": f"{sympy.latex(name)} = {sympy.latex(_short(value))}"}
            for name, value in law.intermediates
        ]
        for name, words, value in (
            ("H(q)", "Mass matrix [kg·m²]:", law.mass_matrix),
            ("V(q)", "Potential energy [J]:", law.potential),
            ("L(q, v)", "Lagrangian [J]:", law.lagrangian),
        ):
            latex = aligned(name, _short(value))
            if len(latex) <= WIDE:
                formulas.append({"words": words, "latex": latex})
        if formulas:
            formulas += intermediates
    terms = [f"${sympy.latex(_short(term))}$" for term in getattr(law, "terms", ())]
    return {
        "law_intro": _introduced(law, bool(terms)),
        "formulas": formulas,
        "terms": terms,
        "points": list(getattr(law, "symbol_notes", ())),
        "front": [_member(m) for m in getattr(law, "pareto_front", ())],
        "near": [
            {
                "formula": n.formula,
                "bits": number_to_json(n.bits),
                "question": n.query,
                "difference": number_to_json(n.difference),
            }
            for n in getattr(law, "near_ties", ())
        ],
        "program": str(law.program) if isinstance(getattr(law, "program", None), str) else "",
    }


def _is_short(robot: Robot) -> bool:
    """Whether formulas are flat, or the definitions that they share no longer than one of them."""
    from discover.laws.export.formulas import has_flat_formulas

    programs = (trace(robot, what) for what in ("crba", "bias", "potential"))
    return has_flat_formulas(robot) or PER_OPERATION * sum(p.arithmetic for p in programs) <= WIDE


def _introduced(law: Any, with_terms: bool) -> str:
    """The family and its equation of motion."""
    family = f"{law.family[:1].upper()}{law.family[1:]}"
    if getattr(law, "robot", None) is None:
        return f"{family}."
    if not getattr(law, "extra", ()):
        more = ", with the functions below" if with_terms else ""
        return f"{family}: H(q) a + bias(q, v) = τ{more}."
    return (
        f"{family}: H(q) a + bias(q, v) + terms = τ. A term is what the joint force τ has to "
        "supply: friction is positive along the motion."
    )


def _member(member: Any) -> dict[str, Any]:
    """A row of the Pareto front: terms beyond the rigid body, in LaTeX and as text, its errors."""
    import sympy

    rows = [(i, _short(row, 4)) for i, row in enumerate(member.expression) if row != 0]
    latex = [rf"${sympy.latex(row)}$ on joint {i + 1}" for i, row in rows]
    through = [e for x in getattr(member.law, "non_additive", ()) for e in x.equations]
    latex += [f"${sympy.latex(_short(e, 4))}$" for e in through]
    return {
        "words": ", ".join(latex) or "rigid body alone",
        "text": "; ".join(sympy.sstr(row) for row in (*(r for _, r in rows), *through))
        or "rigid body alone",
        "size": member.size,
        "inside": number_to_json(member.error_inside),
        "far": number_to_json(member.error_far),
    }


def _short(expression: Any, digits: int = 5) -> Any:
    """The same expression with its numbers rounded to what a reader can take in."""
    import sympy

    def rounded(value: Any) -> Any:
        return value.xreplace(
            {
                n: (sympy.Integer(0) if abs(n) < 1e-12 else sympy.Float(float(n), digits))
                for n in value.atoms(sympy.Float)
            }
        )

    if isinstance(expression, sympy.MatrixBase):
        return expression.applyfunc(rounded)
    return rounded(expression)
