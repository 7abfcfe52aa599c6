"""PySR, on request only: it needs Julia, which it would download when it is first imported.

So it is never imported to see whether it is there, never by "auto", and only in a process of its
own: whatever goes wrong inside, this process is as before, and one error says what to do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import sympy

from discover.errors import CheckpointError, RecipeError
from discover.laws.expressions import parse_expression
from discover.laws.regression.engines.contract import Engine, Front

_MEND = "install Julia (https://julialang.org) so that `julia` is on the path, or use 'operon'"
_SCRIPT = Path(__file__).with_name("pysr_process.py")


@dataclass(frozen=True, kw_only=True)
class PySR(Engine):
    """`iterations` of PySR with one process and a seed, `seconds` at most [as long as it takes]."""

    name = "pysr"
    iterations: int = 40
    seconds: float | None = None
    download: bool = False  # whether PySR may fetch Julia itself

    @classmethod
    def available(cls) -> bool:
        """Whether PySR is installed and a Julia is here; imports and downloads nothing."""
        return find_spec("pysr") is not None and _julia()

    def fit(
        self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol], seed: int = 0
    ) -> Front:
        """See Engine.fit. Raises RecipeError, with the mend, for all that PySR may raise."""
        self.check(x, y, symbols)
        if not (self.available() or self.download):
            raise RecipeError(f"pysr: expected a Julia to run PySR with, found none: {_MEND}")
        names = [f"x{i + 1}" for i in range(len(symbols))]
        options = {
            "niterations": self.iterations,
            "binary_operators": ["+", "-", "*", "/"],
            "unary_operators": ["sin", "cos", "exp", "tanh", "sqrt", "abs"],
            "random_state": seed,
            "deterministic": True,
            "parallelism": "serial",
            "progress": False,
            "verbosity": 0,
            "temp_equation_file": True,
        }
        asked = {"x": x.tolist(), "y": y.tolist(), "names": names, "options": options}
        to_ours = dict(zip(names, symbols, strict=True))
        try:
            # -P: the script's own folder is no place to import from.
            told = subprocess.run(
                [sys.executable, "-P", str(_SCRIPT)],
                input=json.dumps(asked), capture_output=True, text=True, timeout=self.seconds,
            )  # fmt: skip
            if told.returncode:
                raise RecipeError(_last_line(told.stderr) or f"exit status {told.returncode}")
            functions = {"sqrt": sympy.sqrt, "abs": sympy.Abs}
            rows = [
                (parse_expression(t, to_ours, functions), r) for t, r in json.loads(told.stdout)
            ]
        except subprocess.TimeoutExpired:
            raise RecipeError(
                f"pysr: expected a fit within {self.seconds:g} s, found none: give it more "
                "seconds, fewer iterations, or use 'operon'"
            ) from None
        except (RecipeError, CheckpointError, ValueError, TypeError) as error:
            raise RecipeError(f"pysr: expected a fit, found {str(error)[:160]}; {_MEND}") from None
        return Front.of([(formula, float(np.sqrt(loss))) for formula, loss in rows])


def _julia() -> bool:
    """Whether a Julia is named, on the path, or where PySR once put one."""
    if os.environ.get("PYTHON_JULIAPKG_EXE") or shutil.which("julia"):
        return True
    project = os.environ.get("PYTHON_JULIAPKG_PROJECT") or Path(sys.prefix) / "julia_env"
    return (Path(project) / "pyjuliapkg" / "install" / "bin" / "julia").exists()


def _last_line(text: str) -> str:
    """What an error says: the last line of a traceback, or the first of several of its own."""
    lines = text.strip().splitlines()
    start = max((k for k, x in enumerate(lines) if x.startswith("  ")), default=-1)
    return next((x for x in lines[start + 1 :] if x.strip()), lines[-1] if lines else "")
