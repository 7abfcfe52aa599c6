"""`discover identify`: from the logs of a machine to its law."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import app, say

# Nothing else of the project is imported up here, so that `discover --help` answers at once.


class TorqueUnit(StrEnum):
    newton_metres = "N·m"
    unknown = "unknown"


@app.command()
def identify(
    logs: Annotated[
        list[str],
        typer.Argument(help="Files, folders or patterns; pos.csv+torque.csv is one log."),
    ],
    robot: Annotated[str, typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME.")],
    test: Annotated[
        list[str] | None,
        typer.Option(help="Logs that nothing may be fitted to [the last quarter of each log]."),
    ] = None,
    columns: Annotated[
        Path | None,
        typer.Option(help="TOML of what the columns mean [told from their names]."),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(help="Of the torques behind the motion [s; estimated]."),
    ] = None,
    torque_unit: Annotated[
        TorqueUnit,
        typer.Option(help="'unknown' for currents or volts: the robot's bodies settle the factor."),
    ] = TorqueUnit.newton_metres,
    lock: Annotated[
        list[str] | None,
        typer.Option(metavar="JOINT=VALUE", help="A joint that was held, and where [rad, m]."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Viscous and Coulomb friction, offset and rotor; no choice."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write law, robot, report.md and figures.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Identify bodies and drives of a robot from logs of positions and torques."""
    import discover
    import kinematics
    from discover.cli.logs import locked
    from discover.report.recorded import identification as pages

    body = kinematics.load(robot, lock=locked(lock or ()))
    found = discover.identify(
        logs,
        body,
        layout=columns,
        test=test,
        delay=delay,
        torque_unit=torque_unit.value,
        select=not plain,
        seed=seed,
    )
    say(pages.as_text(found.to_dict()))
    if out is not None:
        found.save(out)
        say(f"report: {out / pages.PAGE}")
