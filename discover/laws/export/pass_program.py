"""A law's structured program: passes over the tree as text, and the programs that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discover.laws.export import straight_line
from discover.laws.export.elimination import forward_program
from discover.laws.extensions import LawExtension, of_kind, records_of
from discover.laws.extensions.terms import Term
from kinematics import Robot
from kinematics.programs import CompiledProgram, Program, compile_program, trace


class PassProgram(str):
    """The passes as text (it is a string), with the programs derived from them.

    identified   whether the passes were identified from a model's answers; if not, they are the
                 recursion of every rigid-body law
    """

    robot: Robot
    extensions: tuple[LawExtension, ...]
    identified: bool

    def __new__(
        cls,
        text: str,
        robot: Robot,
        extensions: Sequence[LawExtension] = (),
        *,
        identified: bool = False,
    ) -> PassProgram:
        self = super().__new__(cls, text)
        self.robot, self.extensions, self.identified = robot, tuple(extensions), identified
        return self

    @property
    def inverse(self) -> Program:
        """(q, v, a) -> tau of the bodies, straight-line."""
        return trace(self.robot, "rnea")

    @property
    def forward(self) -> Program:
        """(q, v, tau) -> a, straight-line.

        For an identified recursion joints are eliminated in the cheapest order that is found.
        """
        if not self.identified or self.extensions:
            return straight_line.program(self.robot, self.extensions)
        return forward_program(self.robot)

    def compile(self, dtype: str = "float64", threads: int = 1) -> CompiledProgram:
        """The forward program as machine code, (q, v, tau) -> a on arrays."""
        content: dict[str, Any] = {
            "program": str(self),
            "robot": self.robot.to_dict(),
            **records_of(self.extensions),
        }
        return compile_program(lambda: self.forward, content=content, dtype=dtype, threads=threads)


def passes(robot: Robot, extensions: Sequence[LawExtension] = ()) -> str:
    """The recursion of every rigid-body law on the robot's tree, and what the law adds, as text."""
    lines = ["tree:"]
    for i, (name, kind, parent) in enumerate(
        zip(robot.joint_names, robot.kinds, robot.parents, strict=True)
    ):
        above = "base" if parent < 0 else robot.joint_names[parent]
        lines.append(f"  {i + 1}  {name} ({kind}) on {above}")
    lines += [
        "outward, from the base:",
        "  twist_i = X_i twist_p + S_i v_i",
        "  acc_i   = X_i acc_p + S_i a_i + twist_i × S_i v_i          (acc_base = -gravity)",
        "  f_i     = I_i acc_i + twist_i ×* I_i twist_i",
        "inward, from the leaves:",
        "  tau_i   = S_iᵀ f_i + joint terms",
        "  f_p    += X_iᵀ f_i",
    ]
    terms = of_kind(extensions, Term)
    if terms:
        lines.append(
            "terms, added to tau_i as the joint terms are (the joint force has to supply them):"
        )
        lines += [f"  {t.description}" for t in terms]
    lines += [f"{x.label}: {x.description}" for x in extensions if not x.additive]
    return "\n".join(lines)
