"""`discover inside`: what a network does with the variables of the equation of motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import Outputs, app, say
from discover.cli.arguments import called

# Nothing else of the project is imported up here, so that `discover --help` answers at once.


@app.command()
def inside(
    model: Annotated[
        str, typer.Option(help="PATH of a .pt2, TorchScript, ONNX, checkpoint; or file.py:factory.")
    ],
    robot: Annotated[str, typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME.")],
    region: Annotated[Path, typer.Option(help="TOML with q, v and tau: where it was trained.")],
    out: Annotated[Path, typer.Option(help="Where to write inside.md, inside.json and figures.")],
    site: Annotated[
        list[str] | None,
        typer.Option(help="A module or operation to look at; may be repeated [found]."),
    ] = None,
    variables: Annotated[
        str, typer.Option(help="'roles', 'factors', or both with a comma between.")
    ] = "roles,factors",
    outputs: Annotated[
        Outputs | None, typer.Option(help="What it answers [as it declares, or acceleration].")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Its time step [s], for next states.")] = None,
    seeds: Annotated[int, typer.Option(help="Starts of every fit.", min=1)] = 3,
    budget: Annotated[float, typer.Option(help="Seconds of processor time.")] = 300.0,
    root: Annotated[str | None, typer.Option(help="'free' puts a URDF on a free base.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same pairs of states.")] = 0,
) -> None:
    """Look into a network: what it encodes, uses, and whether it follows a recursion."""
    import discover
    from discover.errors import OutputError
    from discover.inside.result import FILE
    from discover.study import stages

    if out.is_dir() and any(out.iterdir()) and not (out / FILE).exists():
        raise OutputError(
            f"expected an empty folder or a look inside of ours in {out}, found other files; "
            "choose another --out"
        )
    body = discover.load_robot(robot, root=root)
    box = discover.Region.from_toml(region)
    declared = outputs.value if outputs else None
    report = discover.look_inside(
        stages.load_model(model, body, box, outputs=declared, dt=dt),
        body,
        box,
        sites=site or None,
        variables=tuple(v.strip() for v in variables.split(",")),
        seeds=seeds,
        budget_s=budget,
        seed=seed,
        name=called(model),
    )
    page = report.save(out)
    say(repr(report))
    say(f"report: {page}")
