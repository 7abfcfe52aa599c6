"""A law's structured program: passes over the tree as text, and the programs that run."""

from __future__ import annotations

from typing import Any

from discover.laws.export import straight_line
from discover.laws.export.elimination import forward_program
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.terms import Term
from kinematics import Robot
from kinematics.programs import CompiledProgram, Program, compile_program, trace


class PassProgram(str):
    """The passes as text (it is a string), with the programs derived from them.

    found   whether the passes were found in a model's answers; else they are the family's own
    """

    robot: Robot
    extra: tuple[Term, ...]
    nonlinearities: tuple[StaticNonlinearity, ...]
    trigonometry: SurrogateTrigonometry | None
    found: bool

    def __new__(
        cls,
        text: str,
        robot: Robot,
        extra: tuple[Term, ...] = (),
        nonlinearities: tuple[StaticNonlinearity, ...] = (),
        trigonometry: SurrogateTrigonometry | None = None,
        *,
        found: bool = False,
    ) -> PassProgram:
        self = super().__new__(cls, text)
        self.robot, self.extra, self.nonlinearities, self.trigonometry = (
            robot,
            extra,
            nonlinearities,
            trigonometry,
        )
        self.found = found
        return self

    @property
    def inverse(self) -> Program:
        """(q, v, a) -> tau of the bodies, straight-line."""
        return trace(self.robot, "rnea")

    @property
    def forward(self) -> Program:
        """(q, v, tau) -> a, straight-line: joints eliminated in the cheapest order found."""
        if not self.found or self.extra or self.nonlinearities or self.trigonometry is not None:
            return straight_line.program(
                self.robot, self.extra, self.nonlinearities, self.trigonometry
            )
        return forward_program(self.robot)

    def compile(self, dtype: str = "float64", threads: int = 1) -> CompiledProgram:
        """The forward program as machine code, (q, v, tau) -> a on arrays."""
        content: dict[str, Any] = {
            "program": str(self),
            "robot": self.robot.to_dict(),
            "extra": [t.to_dict() for t in self.extra],
            "channels": [c.to_dict() for c in self.nonlinearities],
            "turns": None if self.trigonometry is None else self.trigonometry.to_dict(),
        }
        return compile_program(lambda: self.forward, content=content, dtype=dtype, threads=threads)
