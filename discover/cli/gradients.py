"""`discover gradients`: whether a model's gradients can be used for optimisation, and how far."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import Outputs, app, say
from discover.cli.arguments import called

# Nothing else of the project is imported up here, so that `discover --help` answers at once.


@app.command()
def gradients(
    model: Annotated[str, typer.Option(help="PATH of a model, or file.py:factory.")],
    robot: Annotated[str, typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME.")],
    region: Annotated[Path, typer.Option(help="TOML with q, v and tau (or u): the unit of steps.")],
    out: Annotated[Path, typer.Option(help="Where to write gradients.md, .json and figures.")],
    truth: Annotated[
        str | None,
        typer.Option(help="The simulator, as file.py:factory or PATH [the robot's own dynamics]."),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(
            help="file.py:factory of cost(q, v, u) on roll-outs (B, K+1, nq), (B, K+1, nv), "
            "(B, K, nu) [one answer at a time]."
        ),
    ] = None,
    horizon: Annotated[int, typer.Option(help="Steps of a roll-out.", min=1)] = 20,
    radii: Annotated[
        str, typer.Option(help="Smoothings and steps [half-widths], smallest first.")
    ] = "0.01,0.03,0.1,0.3,1",
    outputs: Annotated[
        Outputs | None, typer.Option(help="What both answer [as declared, or acceleration].")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Their time step [s].")] = None,
    starts: Annotated[int, typer.Option(help="States to start from.", min=2)] = 24,
    pairs: Annotated[int, typer.Option(help="Antithetic pairs a gradient.", min=2)] = 512,
    root: Annotated[str | None, typer.Option(help="'free' puts a URDF on a free base.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same starts.")] = 0,
) -> None:
    """Hold a model's gradients against those of its simulator, smoothed: where do they help?"""
    import discover
    from discover.errors import ModelError, OutputError
    from discover.gradient_quality.result import FILE
    from discover.models.external.openers import open_factory
    from discover.study import stages

    if out.is_dir() and any(out.iterdir()) and not (out / FILE).exists():
        raise OutputError(
            f"expected an empty folder or gradients of ours in {out}, found other files; choose "
            "another --out"
        )
    try:
        lengths = [float(r) for r in radii.split(",")]
    except ValueError as error:
        raise ModelError(f"--radii: expected numbers as 0.1,0.3,1, found {radii!r}") from error
    body = discover.load_robot(robot, root=root)
    box = discover.Region.from_toml(region)
    declared = outputs.value if outputs else None
    loaded = stages.load_model(model, body, box, outputs=declared, dt=dt)
    task = None
    if cost is not None:
        file, _, factory = cost.rpartition(":")
        if not file.endswith(".py"):
            raise ModelError(f"--cost: expected file.py:factory, found {cost}")
        task = open_factory(Path(file), factory).call
    reference = None
    if truth is not None:
        reference = stages.load_model(truth, body, box, outputs=loaded.outputs, dt=loaded.dt or dt)
    report = discover.gradients(
        loaded,
        reference,
        box,
        lengths,
        robot=body,
        outputs=loaded.outputs,
        dt=loaded.dt or dt,
        cost=task,
        horizon=horizon,
        starts=starts,
        pairs=pairs,
        seed=seed,
        name=called(model),
    )
    page = report.save(out)
    say(repr(report))
    say(f"report: {page}")
