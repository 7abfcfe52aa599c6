"""Calibration: the instrument is shown planted models, and its answers are held against the truth.

`running` examines the zoo in many processes, one JSON record a model (`records`); `fitting` turns
evidence into probabilities, every bound included; `scoring` counts, always on families and robots
that were left out; `reporting` writes it all down.
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
    workers: int = 1,
    minutes: float | None = None,
    unused: str | Path | None = None,
    adopt: bool = False,
    command: str = "discover calibrate",
    say: Callable[[str], None] = print,
) -> Path:
    """Examine the zoo (going on where it was cut), score it, write the report; returns its path.

    `share` (0 to 1) takes the first part of the zoo, balanced over robots and mechanisms; `workers`
    processes share the work; after `minutes` no model is begun, and the report is of those done.
    `unused` is a folder of example-robot-data's robots (or "installed"): ten of them are examined
    as well, and scored apart with numbers that were fitted on the zoo alone. `adopt` puts the
    fitted numbers into thresholds.toml, from where every verdict takes them.
    Raises RecipeError for a setting that the zoo does not have, RobotError for a folder without
    the robots.
    """
    from discover.calibration import fitting, records, reporting, running
    from discover.calibration.planted.catalogue import SETTINGS, folder_of_descriptions
    from discover.errors import RecipeError
    from discover.judgement import verdict

    unknown = [r for r in robots or () if r not in SETTINGS]
    if unknown:
        raise RecipeError(
            f"calibrate: expected settings of the zoo ({', '.join(SETTINGS)}), found {unknown[0]!r}"
        )
    out = Path(out)
    folder = None if unused is None else folder_of_descriptions(unused)
    chosen = running.plan(quick=quick, robots=robots, share=share, folder=folder)
    done = running.run(
        chosen,
        out,
        folder=folder,
        budget=budget,
        seed=seed,
        workers=workers,
        minutes=minutes,
        say=say,
    )
    known = [r for r in done.records if r.robot in SETTINGS]
    if adopt and sum(r.truth is not None for r in known) < fitting.FEWEST:
        say(f"nothing adopted: fewer than {fitting.FEWEST} models of the zoo are measured")
    elif adopt:
        fitting.adopt(
            fitting.fit(known),
            Path(verdict.__file__).parent / "thresholds.toml",
            command=command,
            models=len(known),
            code=records.instrument(),
        )
    if done.left:
        say(f"{len(done.left)} models are left: the same command goes on with them")
    return reporting.report(done, out, command=command)
