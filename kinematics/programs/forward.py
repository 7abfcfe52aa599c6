"""Compiled forward dynamics of robots with muscles: two programs behind the call of
`kinematics.forward`.

Without an internal state z the controls are activations, with one they are excitations; these are
different functions, and each is compiled when it is first wanted (the one with z at once, so that
what cannot be compiled is said by `kinematics.compile`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from kinematics.programs.compiler.compiled import CompiledProgram
from kinematics.programs.program import ProgramError


class CompiledForward:
    """`kinematics.forward` as machine code.

    ``forward(q, v, u) -> a`` (..., nv), and of robots with muscles
    ``forward(q, v, u, z) -> (a, dz/dt)``, for numpy arrays or torch tensors of any leading axes.
    ``rates`` and ``plain`` are the two `CompiledProgram` (with z the answers stand side by side,
    nv + nz of them); ``operations``, ``instructions`` and ``source`` are those of the first that
    there is.
    """

    def __init__(
        self, made: Callable[[bool], CompiledProgram], *, name: str, nv: int, nz: int, nf: int
    ) -> None:
        self._made, self.name = made, name
        self.nv, self.nz, self.nf = nv, nz, nf
        _ = self.main

    @cached_property
    def plain(self) -> CompiledProgram:
        """The program without z. ProgramError where tendons stretch: their equilibrium is found
        by halving, too long for straight-line code."""
        if self.nf:
            raise ProgramError(
                f"{self.name}: expected z, since {self.nf} tendons stretch, found none; give "
                "activations and fibre lengths, or call kinematics.forward"
            )
        return self._made(False)

    @cached_property
    def rates(self) -> CompiledProgram:
        """The program with z."""
        if not self.nz:
            raise ProgramError(
                f"{self.name}: expected no z of a robot without muscles, found one; leave it out"
            )
        return self._made(True)

    @property
    def main(self) -> CompiledProgram:
        """The program with z, or of a robot without muscles the one there is."""
        return self.rates if self.nz else self.plain

    @property
    def operations(self) -> dict[str, int]:
        """Arithmetic of one evaluation of `main`."""
        return self.main.operations

    @property
    def instructions(self) -> int:
        """Machine operations of one evaluation of `main`."""
        return self.main.instructions

    def source(self, language: str = "llvm") -> str:
        """`main` as text, see `CompiledProgram.source`."""
        return self.main.source(language)

    def __repr__(self) -> str:
        return f"CompiledForward({self.main!r})"

    def __call__(self, q: Any, v: Any, u: Any, z: Any = None) -> Any:
        """Accelerations (..., nv), and with z (..., nz) also its rates (..., nz)."""
        if z is None:
            return self.plain(q, v, u)
        both = self.rates(q, v, u, z)
        return both[..., : self.nv], both[..., self.nv :]
