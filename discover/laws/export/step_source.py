"""The step of a law as source text: one sub-step, straight-line, and the loop over it."""

from __future__ import annotations

from discover.errors import LawError
from discover.laws.rigid_body.step_map import StepMap
from kinematics.programs import Program

TARGETS = ("python", "torch", "jax", "c")


def step_source(
    program: Program, step: StepMap, nq: int, target: str, turns: Program | None = None
) -> str:
    """`step(q, v, tau or u)` in a language of TARGETS, from the program of a sub-step and that
    which brings angles within one turn after the last, where there is one.

    Raises LawError for another language.
    """
    if target not in TARGETS:
        raise LawError(f"expected a target of {', '.join(TARGETS)} for a step, found {target!r}")
    control = program.ports[-1]
    source = program.source(target)
    if turns is not None:
        source += "\n\n" + turns.source(target)
    if target == "c":
        nv = program.outputs.size - nq
        return source + _c_loop(step, nq, nv, control.name, turns is not None)
    last = "q" if turns is None else "within_turns(q)"
    return source + (
        f"\n\ndef step(q, v, {control.name}):\n"
        f'    """(q, v) after {step.dt!r} s, {control.name} held."""\n'
        f"    for _ in range({step.substeps}):\n"
        f"        x = substep(q, v, {control.name})\n"
        f"        q, v = x[..., :{nq}], x[..., {nq}:]\n"
        f"    return {last}, v\n"
    )


def _c_loop(step: StepMap, nq: int, nv: int, control: str, turns: bool) -> str:
    """In place, since a state is small; one state a call."""
    return "\n".join(
        [
            f"/* q[{nq}] and v[{nv}] of one state after {step.dt!r} s, {control} held */",
            f"void step(double *q, double *v, const double *{control})",
            "{",
            f"    double x[{nq + nv}];",
            f"    for (int k = 0; k < {step.substeps}; ++k) {{",
            f"        substep_one(q, v, {control}, x);",
            f"        for (int i = 0; i < {nq}; ++i) q[i] = x[i];",
            f"        for (int i = 0; i < {nv}; ++i) v[i] = x[{nq} + i];",
            "    }",
            *(_C_TURNS.format(nq=nq).splitlines() if turns else ()),
            "}",
            "",
        ]
    )


_C_TURNS = """\
    within_turns_one(q, x);
    for (int i = 0; i < {nq}; ++i) q[i] = x[i];"""
