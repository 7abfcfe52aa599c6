"""PySR, on request only: it needs Julia, which it would download when it is first imported.

So it is never imported to see whether it is there, never by "auto", and where anything goes wrong
inside, one error says what to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import sympy

from discover.errors import RecipeError
from discover.laws.engines.contract import Engine, Front

_MEND = "install Julia (https://julialang.org) so that `julia` is on the path, or use 'operon'"


@dataclass(frozen=True, kw_only=True)
class PySR(Engine):
    """`iterations` of PySR with one process and a seed."""

    name = "pysr"
    iterations: int = 40
    download: bool = False  # whether PySR may fetch Julia itself

    @classmethod
    def available(cls) -> bool:
        """Whether PySR is installed and a Julia is here; imports and downloads nothing."""
        julia = os.environ.get("PYTHON_JULIAPKG_EXE") or shutil.which("julia")
        return find_spec("pysr") is not None and bool(julia)

    def fit(
        self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol], seed: int = 0
    ) -> Front:
        """See Engine.fit. Raises RecipeError, with the mend, for all that PySR may raise."""
        self.check(x, y, symbols)
        if not (self.available() or self.download):
            raise RecipeError(f"pysr: expected a Julia to run PySR with, found none: {_MEND}")
        names = [f"x{i + 1}" for i in range(len(symbols))]
        try:
            regressor = import_module("pysr").PySRRegressor(
                niterations=self.iterations,
                binary_operators=["+", "-", "*", "/"],
                unary_operators=["sin", "cos", "exp", "tanh", "sqrt", "abs"],
                random_state=seed,
                deterministic=True,
                parallelism="serial",
                progress=False,
                verbosity=0,
                temp_equation_file=True,
            )
            regressor.fit(x, y, variable_names=names)
            table = regressor.equations_
        except Exception as error:  # it is not ours: URLError, a bare Exception, Julia's own
            raise RecipeError(
                f"pysr: expected a fit, found {type(error).__name__}: "
                f"{str(error).splitlines()[0][:120] if str(error) else 'no message'}; {_MEND}"
            ) from error
        to_ours = {sympy.Symbol(n): s for n, s in zip(names, symbols, strict=True)}
        return Front.of(
            [
                (sympy.sympify(f).xreplace(to_ours), float(np.sqrt(loss)))
                for f, loss in zip(table["sympy_format"], table["loss"], strict=True)
            ]
        )
