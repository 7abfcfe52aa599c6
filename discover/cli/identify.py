"""`discover identify`: from the logs of a machine to its law, and to the motion to record next."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from discover.cli.app import app, say

# Nothing else of the project is imported up here, so that `discover --help` answers at once.


class TorqueUnit(StrEnum):
    newton_metres = "N·m"
    unknown = "unknown"


@app.command()
def identify(
    robot: Annotated[str, typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME.")],
    logs: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or patterns; pos.csv+torque.csv is one log."),
    ] = None,
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
    payload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=LOG[,KG]",
            help="A log, or a pattern, recorded with a tool or weight; its mass, where known [kg].",
        ),
    ] = None,
    lock: Annotated[
        list[str] | None,
        typer.Option(metavar="JOINT=VALUE", help="A joint that was held, and where [rad, m]."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Viscous and Coulomb friction, offset and rotor; no choice."),
    ] = False,
    design: Annotated[
        bool,
        typer.Option("--design", help="Design a motion that shows what the logs, if any, do not."),
    ] = False,
    period: Annotated[float, typer.Option(help="Of the designed motion [s].")] = 10.0,
    velocity: Annotated[
        float | None, typer.Option(help="Its limit for all joints [rad/s, m/s; the robot's].")
    ] = None,
    acceleration: Annotated[
        float | None, typer.Option(help="Its limit for all joints [rad/s², m/s²; none].")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Pose where it begins and ends, commas between [rad, m; sought]."),
    ] = None,
    budget: Annotated[float, typer.Option(help="For the design [s].")] = 20.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write law, robot, report.md and figures; motion.csv."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the tests of what is left, and of the design.")] = 0,
) -> None:
    """Identify bodies and drives of a robot from logs of positions and torques; with --design,
    design the motion to record (next)."""
    import discover
    import kinematics
    from discover.cli.logs import locked

    body = kinematics.load(robot, lock=locked(lock or ()))
    found = None
    if logs:
        found = _identified(
            logs, body, columns, test, delay, torque_unit.value, loads(payload), plain, out, seed
        )
    elif not design:
        raise typer.BadParameter("expected logs or --design, found neither; name the logs")
    if not design:
        return
    from discover.report.recorded import exciting as motions

    motion = discover.design_motion(
        body if found is None else found,
        period=period,
        velocity=velocity,
        acceleration=acceleration,
        start=None if start is None else _numbers(start),
        budget_s=budget,
        seed=seed,
    )
    say(motions.as_text(motion.to_dict()))
    if out is not None:
        directory = out / "motion" if found is not None else out
        motion.save(directory)
        say(f"motion: {directory / 'motion.csv'}, {directory / motions.PAGE}")


def _identified(
    logs: list[str],
    body: Any,
    columns: Path | None,
    test: list[str] | None,
    delay: float | None,
    torque_unit: Any,
    payload: Any,
    plain: bool,
    out: Path | None,
    seed: int,
) -> Any:
    """The identification, told and saved."""
    import discover
    from discover.report.recorded import identification as pages

    found = discover.identify(
        logs,
        body,
        layout=columns,
        test=test,
        delay=delay,
        torque_unit=torque_unit,
        payload=payload,
        select=not plain,
        seed=seed,
    )
    say(pages.as_text(found.to_dict()))
    if out is not None:
        found.save(out)
        say(f"report: {out / pages.PAGE}")
    return found


def loads(settings: list[str] | None) -> dict[str, Any] | None:
    """Payloads by label from "tool=loaded_*.csv,1.5"; one label may stand before several logs.
    Raises typer.BadParameter."""
    out: dict[str, Any] = {}
    for setting in settings or ():
        label, equals, rest = setting.partition("=")
        pattern, comma, mass = rest.rpartition(",")
        pattern = pattern if comma else rest
        entry = out.setdefault(label.strip(), {"logs": []})
        entry["logs"].append(pattern.strip())
        try:
            if comma:
                entry["mass"] = float(mass)
        except ValueError:
            equals = ""
        if not (equals and label.strip() and pattern.strip()):
            raise typer.BadParameter(
                "--payload: expected LABEL=LOG or LABEL=LOG,KG, such as tool=loaded_*.csv,1.5, "
                f"found {setting!r}"
            )
    return out or None


def _numbers(text: str) -> list[float]:
    """Numbers with commas between. Raises typer.BadParameter."""
    try:
        return [float(x) for x in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"--start: expected numbers with commas between, found {text!r}"
        ) from None
