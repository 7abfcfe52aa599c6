"""The command `discover`: exit status 0 done, 2 bad input, 1 a failure of ours, 130 cut short."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from discover.cli.arguments import called, must_be_free, numbers

# No more of the project is imported up here, so that `discover --help` answers at once.


class _Commands(TyperGroup):
    """The commands; one that is cut short says where, and how to go on."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A Ctrl-C ends it here, for typer would say nothing."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            notes = getattr(error, "__notes__", [])
            again = [": ".join(["; ".join(notes), _command()])] if notes else []
            _complain("; ".join(["interrupted", *again]))
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="discover",
    cls=_Commands,
    help="Find out what a learned world model has learned: a lookup table, the physics, or another "
    "law.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, whichever click
INTERRUPTED = 130


class Kind(StrEnum):
    robots = "robots"
    recipes = "recipes"
    models = "models"
    probes = "probes"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Outputs(StrEnum):
    acceleration = "acceleration"
    next_state = "next_state"


class Within(StrEnum):
    region = "region"
    data = "data"


class Budget(StrEnum):
    quick = "quick"
    standard = "standard"
    thorough = "thorough"


def _version(wanted: bool) -> None:
    if wanted:
        import discover

        typer.echo(discover.__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option(help="Show the traceback of an unexpected failure.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and stop.")
    ] = False,
) -> None:
    """Options of every command; `main` reads them."""


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of a bundled one.")],
    out: Annotated[Path | None, typer.Option(help="Where to write [runs/<study>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run was cut.")] = False,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value, e.g. train.epochs=50."),
    ] = None,
) -> None:
    """Load, sample, train, examine and report, as a recipe says."""
    from discover.judgement.verdict import in_words
    from discover.study import experiment

    try:
        outcome = experiment.run(
            recipe,
            out,
            resume=resume,
            device=device.value,
            overrides=settings or (),
            command=_command(),
            say=say,
        )
    except KeyboardInterrupt:
        again = _command() if resume else f"{_command()} --resume"
        _complain(f"interrupted; what was finished is kept. Go on with: {again}")
        raise typer.Exit(INTERRUPTED) from None
    say("")
    width = max(len(name) for name in outcome.exams)
    for name, exam in outcome.exams.items():
        say(f"{name:<{width}}  {in_words(exam.verdict, exam.confidence, exam.evidence)}")


@app.command()
def examine(
    model: Annotated[str, typer.Option(help="PATH of a model, or file.py:factory.")],
    out: Annotated[Path, typer.Option(help="Where to write the examination.")],
    region: Annotated[
        Path | None,
        typer.Option(
            help="TOML with q, v and tau, or u of controls; without --robot, a list of each, or "
            "--nv [the box that --data spans]."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help=".npz, .h5 or .parquet of held-out transitions: q, v, u or tau, and a or q_next, "
            "v_next; or obs, action, next_obs of a wrapped network."
        ),
    ] = None,
    within: Annotated[
        Within, typer.Option(help="Ask all over the region, or near the states of --data.")
    ] = Within.region,
    robot: Annotated[
        str | None,
        typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME [inferred from the answers]."),
    ] = None,
    outputs: Annotated[
        Outputs | None, typer.Option(help="What it answers [as it declares, or acceleration].")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Its time step [s], for next states.")] = None,
    integrator: Annotated[
        str | None, typer.Option(help="Of its step, e.g. rk4, euler, implicitfast [found].")
    ] = None,
    substeps: Annotated[
        int | None, typer.Option(help="Equal parts of its step, such as a frame skip [found].")
    ] = None,
    observation: Annotated[
        Path | None,
        typer.Option(help="TOML of what it observes and how it acts (see discover.wrap)."),
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How many queries to spend.")] = Budget.standard,
    mechanism: Annotated[
        bool | None,
        typer.Option(help="Infer tree and geometry too; may ask thousands of questions."),
    ] = None,
    nv: Annotated[
        int | None,
        typer.Option(help="Without --robot: joint coordinates, for a region of single numbers."),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="'free' puts a URDF on a free base; without --robot: the first six velocities "
            "are a base's."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same questions.")] = 0,
) -> None:
    """Find out what a model of your own has learned."""
    import discover
    from discover.errors import DatasetError, ModelError, RegionError
    from discover.study import stages

    must_be_free(out)
    body = None if robot is None else discover.load_robot(robot, root=root)
    box = None if region is None else discover.Region.from_toml(region)
    if box is None and data is None:
        raise RegionError("expected --region or --data, found neither: say where to ask")
    if data is not None and not data.is_file():
        raise DatasetError(f"data {data}: expected a file, found none; check the path")
    if box is not None and nv is not None:
        if body is not None:
            raise RegionError(
                f"expected --nv or --robot, found both; {body.name} has {body.nv} coordinates: "
                "leave --nv out"
            )
        box = box.resolve(nv)
    declared = outputs.value if outputs else None
    loaded = stages.load_model(
        model, body, box, outputs=declared, dt=dt, root=root, observation=observation
    )
    if dt is not None and loaded.outputs == "acceleration":
        raise ModelError(
            "expected --dt with a model of next states, found one that answers accelerations, "
            f"--dt {dt:g}; add --outputs next_state, or leave --dt out"
        )
    exam = discover.examine(
        loaded,
        body,
        box,
        outputs=loaded.outputs,
        dt=loaded.dt,
        integrator=integrator,
        substeps=substeps,
        budget=budget.value,
        mechanism=mechanism,
        root=root if body is None else None,
        seed=seed,
        data=data,
        within=within.value,
        name=called(model),
    )
    report = discover.write_report(exam, out)
    say(str(exam))
    say(f"report: {report}")


@app.command()
def track(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="Models of one training run: paths, or a folder or a 'pattern'."),
    ],
    region: Annotated[Path, typer.Option(help="TOML with q, v and tau (or u, the controls).")],
    out: Annotated[Path, typer.Option(help="Where to write; a second call goes on there.")],
    robot: Annotated[
        str | None,
        typer.Option(help="PATH of a URDF or MJCF, or a bundled NAME [inferred from the answers]."),
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Training steps as 0,1000,2000 [the numbers in the names].")
    ] = None,
    outputs: Annotated[
        Outputs | None, typer.Option(help="What they answer [as declared, or acceleration].")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Their time step [s], for next states.")] = None,
    observation: Annotated[
        Path | None,
        typer.Option(help="TOML of what they observe and how they act (see discover.wrap)."),
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How many queries to spend.")] = Budget.quick,
    root: Annotated[str | None, typer.Option(help="'free' puts a URDF on a free base.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same questions.")] = 0,
) -> None:
    """Examine every checkpoint of a training run: what was learned, and when."""
    import discover
    from discover.report.track import PAGE

    body = None if robot is None else discover.load_robot(robot, root=root)
    declared: dict[str, Any] = {"outputs": outputs.value if outputs else None, "dt": dt}
    found = discover.track(
        checkpoints[0] if len(checkpoints) == 1 else checkpoints,
        body,
        discover.Region.from_toml(region),
        steps=numbers(steps, "--steps"),
        observation=observation,
        out=out,
        budget=budget.value,
        seed=seed,
        root=root if body is None else None,
        **{name: value for name, value in declared.items() if value is not None},
    )
    say(str(found))
    say(f"track: {out / PAGE}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="A folder that `discover run` wrote.")],
) -> None:
    """Write report.md and its figures again, from the stored evidence alone."""
    from discover.report import render

    say(f"report: {render(directory)}")


@app.command()
def inspect(
    directory: Annotated[Path, typer.Argument(help="A folder that `discover run` wrote.")],
    model: Annotated[str | None, typer.Option(help="Which model of a study [the last].")] = None,
) -> None:
    """Open an IPython session with the law's formulas in scope."""
    from discover.study.inspection import open_session

    open_session(directory, model)


@app.command(name="list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list [everything].")] = None,
) -> None:
    """List the bundled robots and recipes, the model families and the probes."""
    from discover.study.listings import LISTINGS

    for chosen in [kind] if kind else list(Kind):
        if kind is None:
            say(f"{chosen.value}:")
        for name, summary in LISTINGS[chosen.value]():
            say(f"{name:<24}{summary}".rstrip())
        if kind is None:
            say("")


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(help="Records, figures and report.")] = Path(
        "runs/calibration"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Two robots and a few models.")] = False,
    robots: Annotated[
        list[str] | None, typer.Option("--robot", help="Only the planted models of these settings.")
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How many queries to spend.")] = Budget.standard,
    seed: Annotated[int, typer.Option(help="Same seed, same questions.")] = 0,
    share: Annotated[float, typer.Option(help="Share of the planted models, 0 to 1.")] = 1.0,
    workers: Annotated[int, typer.Option(help="Processes of one thread each.", min=1)] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no model after this; run again to go on.")
    ] = None,
    more_robots: Annotated[
        str | None,
        typer.Option(
            "--more-robots",
            help="Folder of example-robot-data's robots, or 'installed': ten robots more, "
            "scored apart.",
        ),
    ] = None,
    unused: Annotated[str | None, typer.Option(hidden=True)] = None,  # more_robots, formerly
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Put the fitted numbers into thresholds.toml.")
    ] = False,
) -> None:
    """Examine planted models of known mechanism and report how often the verdict is right."""
    from discover.calibration import calibrate as run_calibration

    path = run_calibration(
        out,
        quick=quick,
        robots=robots,
        budget=budget.value,
        seed=seed,
        share=share,
        workers=workers,
        minutes=minutes,
        more_robots=more_robots or unused,
        adopt=adopt,
        command=_command(),
        say=say,
    )
    say(f"report: {path}")


@app.command()
def bench(
    subject: Annotated[
        str,
        typer.Argument(
            help="dynamics, verdict, laws, models, rl_models, published, structure, networks or "
            "distilled"
        ),
    ] = "dynamics",
    out: Annotated[Path | None, typer.Option(help="Where to write.")] = None,
    part: Annotated[str | None, typer.Option(help="Of laws: only these parts [all].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes at once [1].")] = None,
    seeds: Annotated[str | None, typer.Option(help="Of laws and networks: as 0,1,2.")] = None,
    device: Annotated[
        Device | None, typer.Option(help="Where to time (dynamics) or to train (networks) [cpu].")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="Seconds of training a network (models, published, networks)."),
    ] = None,
) -> None:
    """Measure speed against other engines (dynamics), the instrument itself (verdict, structure,
    laws), world models on three robots (models) or of four tasks (rl_models), those against
    published figures (published), what many networks have learned (networks), or which structure
    they hold to (distilled)."""
    from discover.bench.registry import measure

    options = {
        "part": part,
        "workers": workers,
        "seeds": numbers(seeds, "--seeds"),
        "budget": budget,
        "device": None if device is None else device.value,
    }
    given = {name: value for name, value in options.items() if value is not None}
    measure(subject, out=out, say=say, **given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = app(args=[a for a in given if a != "--debug"], standalone_mode=False)
        if status == INTERRUPTED:
            _outlive_the_signal()
        return int(status) if isinstance(status, int) else 0
    except UsageProblem as error:
        return _fail(f"{error.format_message()} (see `discover --help`)", 2, debug)  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        _outlive_the_signal()
        return _fail("interrupted", INTERRUPTED, debug)
    except BrokenPipeError:  # the reader of a pipe has left
        return 0
    except MemoryError:
        return _fail("out of memory: ask for fewer samples or a smaller batch", 1, debug)
    except Exception as error:
        from discover.errors import WorldlawError

        if isinstance(error, WorldlawError):
            return _fail(str(error), 2, debug)
        # the last line of defence: one line, and where to look
        reason = f"{type(error).__name__}: {error}"
        return _fail(
            f"a failure of ours, {reason}; run again with --debug for the traceback", 1, debug
        )


def _outlive_the_signal() -> None:
    """Keep the exit status after a Ctrl-C.

    Where the signal arrived while Python was executing a string (as making a dataclass does), the
    interpreter ends itself by that signal at exit, even if the exception was caught. Executing
    another string clears the mark.
    """
    exec("")


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    _complain(message)
    return status


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """A warning of ours in one line, without the line of our code that gave it; others as ever."""
    if issubclass(category, UserWarning):
        return _complain(f"warning: {message}")
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def _complain(message: str) -> None:
    print("discover:", " ".join(message.split()), file=sys.stderr)


def say(line: str) -> None:
    print(line, flush=True)


def _command() -> str:
    """The command as it was given, for the manifest and for resuming."""
    return shlex.join(["discover", *(a for a in sys.argv[1:] if a != "--debug")])
