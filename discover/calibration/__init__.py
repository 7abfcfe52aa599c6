"""Calibration: the instrument is shown planted models, and its answers are held against the truth.

`running` examines the zoo, one JSON record a model; `fitting` turns strengths of cases into
probabilities; `scoring` counts, always on families and robots that were left out; `reporting`
writes it all down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


def calibrate(
    out: str | Path,
    *,
    quick: bool = False,
    robots: Sequence[str] | None = None,
    budget: str = "standard",
    seed: int = 0,
    share: float = 1.0,
    adopt: bool = False,
    command: str = "discover calibrate",
    say: Callable[[str], None] = print,
) -> Path:
    """Examine the zoo (going on where it was cut), score it, write the report; returns its path.

    `share` (0 to 1) takes the first part of the zoo, which mixes robots and mechanisms. `adopt`
    puts the fitted confidence into thresholds.toml, from where every verdict takes it.
    Raises RecipeError for a setting that the zoo does not have.
    """
    from discover import verdict
    from discover.calibration import fitting, reporting, running
    from discover.errors import RecipeError
    from discover.zoo.catalogue import SETTINGS

    unknown = [r for r in robots or () if r not in SETTINGS]
    if unknown:
        raise RecipeError(
            f"calibrate: expected settings of the zoo ({', '.join(SETTINGS)}), found {unknown[0]!r}"
        )
    out = Path(out)
    chosen = running.plan(quick=quick, robots=robots, share=share)
    records = running.run(chosen, out, budget=budget, seed=seed, say=say)
    if adopt:
        fitting.adopt(
            fitting.fit(records),
            Path(verdict.__file__).parent / "thresholds.toml",
            command=command,
            models=len(records),
            code=running.instrument(),
        )
    return reporting.report(records, out, command=command)
