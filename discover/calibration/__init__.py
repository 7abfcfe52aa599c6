"""Calibration: planted models of known mechanism are examined, verdicts compared with the truth.

`planted` holds the models; `running` examines them in several processes, one JSON record a model
(`records`); `fitting` fits the bounds of the verdict and the map from evidence to probabilities;
`scoring` counts, always with families or robots left out of the fit; `reporting` writes the report.
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
    more_robots: str | Path | None = None,
    adopt: bool = False,
    command: str = "discover calibrate",
    say: Callable[[str], None] = print,
) -> Path:
    """Examine the planted models, score the verdicts, write the report; returns its path.

    A run that was cut short goes on where it stopped.

    robots       only these settings; `quick` takes two robots and a tenth of their models
    share        first part (0 to 1) of the models, balanced over robots and mechanisms
    workers      processes of one thread each
    minutes      time after which no model is begun; the report is of those measured
    more_robots  folder of the robots of example-robot-data (or "installed"): ten of them are
                 examined as well and scored apart, with bounds fitted on the other robots alone
    adopt        write the fitted numbers into thresholds.toml, from where every verdict takes them
    Raises RecipeError for an unknown setting, RobotError for a folder without the robots.
    """
    from discover.calibration import fitting, records, reporting, running
    from discover.calibration.planted.catalogue import SETTINGS, folder_of_descriptions
    from discover.errors import RecipeError
    from discover.judgement import verdict

    unknown = [r for r in robots or () if r not in SETTINGS]
    if unknown:
        raise RecipeError(
            f"calibrate: expected a planted setting ({', '.join(SETTINGS)}), found {unknown[0]!r}"
        )
    out = Path(out)
    folder = None if more_robots is None else folder_of_descriptions(more_robots)
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
        say(f"nothing adopted: fewer than {fitting.FEWEST} planted models are measured")
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
