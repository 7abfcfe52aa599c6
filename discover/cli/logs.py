"""`discover data`: what is in the logs of a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import app, say

# Nothing else of the project is imported up here, so that `discover --help` answers at once.


@app.command()
def data(
    logs: Annotated[
        list[str],
        typer.Argument(help="Files, folders or patterns; pos.csv+torque.csv is one log."),
    ],
    robot: Annotated[
        str | None,
        typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME: delays, names of joints."),
    ] = None,
    columns: Annotated[
        Path | None,
        typer.Option(help="TOML of what the columns mean [told from their names]."),
    ] = None,
    lock: Annotated[
        list[str] | None,
        typer.Option(metavar="JOINT=VALUE", help="A joint that was held, and where [rad, m]."),
    ] = None,
    root: Annotated[str | None, typer.Option(help="'free' puts a URDF on a free base.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write report.md and its figures.")
    ] = None,
) -> None:
    """Say what is in logs: rates, gaps, noise, saturation, delays, coverage."""
    from discover.data.reading import read_logs, with_logged_joints
    from discover.data.survey import survey
    from discover.errors import RecipeError
    from discover.report.recorded import logs as pages

    body = None
    held: tuple[str, ...] = ()
    if robot is None and (lock or root):
        raise RecipeError("expected --robot beside --lock and --root, found none; name the robot")
    if robot is not None:
        import kinematics

        body = kinematics.load(robot, root=root, lock=locked(lock or ()))
        body, held = with_logged_joints(logs, body, columns)
    found = read_logs(logs, body, columns)
    found[0] = replace(found[0], notes=(*held, *found[0].notes))
    surveyed, motions = survey(found, body)
    say(pages.as_text(surveyed))
    if out is not None:
        pages.write(surveyed, found, motions, out)
        say(f"report: {out / pages.PAGE}")


def locked(settings: list[str] | tuple[str, ...]) -> dict[str, float]:
    """Joints and their positions from "joint=0.3". Raises RecipeError."""
    from discover.errors import RecipeError

    held = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        try:
            held[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise RecipeError(
                f"expected JOINT=VALUE for --lock, such as elbow=0.5, found {setting!r}"
            )
    return held
