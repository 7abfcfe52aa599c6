"""The process in which PySR runs: samples as JSON on standard input, its equations on the output.

PySR starts Julia inside the process that imports it and changes its environment. Here that is a
process of its own, run as a script: it imports nothing of this package.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Fit what was given; anything that PySR prints goes to the errors."""
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import numpy as np
    import pysr

    regressor = pysr.PySRRegressor(**asked["options"])
    regressor.fit(np.array(asked["x"]), np.array(asked["y"]), variable_names=asked["names"])
    table = regressor.equations_
    rows = zip(table["sympy_format"], table["loss"], strict=True)
    json.dump([[str(formula), float(loss)] for formula, loss in rows], answers)
    answers.close()


if __name__ == "__main__":
    main()
