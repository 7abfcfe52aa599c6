"""A study from its recipe to its report, in a folder; it can be killed and resumed at any moment.

Each stage writes its results whole or not at all, and is then noted in manifest.json with the hash
of what went in and of what came out. Resuming redoes a stage only if one of these no longer holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discover import models
from discover.artifacts import (
    disk_errors,
    file_hash,
    plain,
    sweep_parts,
    value_hash,
    write_json,
    write_text,
)
from discover.data import dataset as datasets
from discover.data.delay import ALIGNMENT
from discover.errors import ModelError, OutputError, RecipeError
from discover.evaluation import measure
from discover.examination import result
from discover.identification.result import RECORD, Identification
from discover.judgement.verdict import in_words
from discover.report import render
from discover.report.formulas import FORMULAS
from discover.report.recorded.held_against import HELD
from discover.report.stored import GRADIENTS, INSIDE
from discover.study import manifest as manifests
from discover.study import recorded, stages
from discover.study.manifest import Manifest, stage_inputs
from discover.study.recipes import ModelEntry, Recipe, file_of
from discover.study.recipes import load as load_recipe
from discover.training.train import MODEL_FILE

# All of it is imported here and not where it is needed: Ctrl-C while a compiled package is being
# imported can end in a segmentation fault.

if TYPE_CHECKING:
    from discover.data.dataset import Dataset
    from discover.examination.result import Examination
    from kinematics import Robot

ROBOT, DATASET, RECIPE, STUDY = "robot.json", "dataset.h5", "experiment.toml", "study.json"
EXAM = ("verdict.json", "law.json", "evidence.json", "exam.json")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a study: its folder, the report, and each model's examination."""

    directory: Path
    report: Path
    exams: dict[str, Examination]


def run(
    recipe: Recipe | Path | str,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    device: str = "auto",
    overrides: Iterable[str] = (),
    command: str = "",
    say: Say = print,
    progress: bool | None = None,
) -> Outcome:
    """Load, sample, train, examine, report; everything ends up in `out`.

    Without `out` the folder is runs/<study>. With `resume` only what is missing or was cut is done;
    without it a folder of the same recipe is done again, and a folder with anything else in it,
    results of another recipe included, is refused. `overrides` are settings such as
    "train.epochs=50". Raises a WorldlawError, one line, for bad input.
    """
    overrides = list(overrides)
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise RecipeError("overrides: expected a recipe's file beside them, found a Recipe object")
    directory = Path(out) if out is not None else Path("runs") / recipe.study.name
    study = _Study(recipe, directory, device, say, progress)
    stages.check_models(recipe)
    study.open(resume, command)
    return study.run()


class _Study:
    """One run of one recipe in one folder."""

    def __init__(
        self, recipe: Recipe, out: Path, device: str, say: Say, progress: bool | None
    ) -> None:
        self.recipe, self.out, self.device, self.say = recipe, out, device, say
        self.progress = progress
        self.seed = recipe.study.seed
        self.manifest = Manifest(directory=out, study=recipe.study.name)
        self.resume = False

    def open(self, resume: bool, command: str) -> None:
        """Check the folder, and start or continue its manifest. Raises OutputError."""
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            sweep_parts(self.out)
            occupied = any(self.out.iterdir())
        stored = Manifest.read(self.out)
        if stored is None and occupied:
            raise OutputError(
                f"expected an empty folder or a study of ours in {self.out}, found other files; "
                "choose another --out"
            )
        if stored is not None and stored.study != self.recipe.study.name:
            raise OutputError(
                f"expected the study {self.recipe.study.name!r} in {self.out}, found "
                f"{stored.study!r}; choose another --out"
            )
        if stored is not None and stored.stages and not resume:
            self._replaces(stored)
        self.resume = resume
        self.manifest.recipe = self.recipe.to_dict()
        self.manifest.seed = self.seed
        self.manifest.command = command
        self.manifest.versions = manifests.versions()
        self.manifest.source = manifests.source_hash()
        self.manifest.commit = manifests.commit()
        if stored is not None and resume:
            self.manifest.stages = stored.stages
            self.manifest.dataset = stored.dataset
            self.manifest.command = stored.command or command
            if stored.stages and stored.source != self.manifest.source:
                self.say("the program has changed since; stages that are finished are kept")
        self.manifest.write()
        write_text(self.out / RECIPE, self.recipe.to_toml())

    def _replaces(self, stored: Manifest) -> None:
        """Say that results of the same recipe are made again in their place. Raises OutputError
        for those of another one: cut short, a folder would hold stages of both."""
        differs = _differences(stored.recipe, self.recipe)
        if differs:
            raise OutputError(
                f"expected no results, or those of this recipe, in {self.out}, found those of "
                f"another ({'; '.join(differs)}); choose another --out, or add --resume to do "
                "again what that changes"
            )
        self.say(f"the results in {self.out}, of the same recipe, are made again in their place")

    def run(self) -> Outcome:
        robot = self._robot()
        dataset = self._dataset(robot)
        ready = {  # whatever is wrong with a file shows before others are trained
            entry.name: stages.train_model(self.recipe, entry.name, robot, dataset)
            for entry in self.recipe.model
            if entry.kind == stages.FILE
        }
        of_logs = self._law_of_logs(robot, dataset)
        exams, models = {}, {}
        for entry in self.recipe.model:
            kept = entry.name in ready
            model = ready[entry.name] if kept else self._model(entry, robot, dataset)
            exams[entry.name] = self._exam(entry, model, robot, dataset)
            self._measures(entry, model, exams[entry.name], robot, dataset)
            self._beside_the_verdict(entry, model, robot, dataset)
            models[entry.name] = model
        if of_logs is not None:
            self._held_against(of_logs, models, exams, robot, dataset)
        return Outcome(directory=self.out, report=self._report(robot), exams=exams)

    def _robot(self) -> Robot:
        started = time.perf_counter()
        robot = stages.load_robot(self.recipe)
        inputs = stage_inputs("load", robot=robot.to_dict())
        if not self.manifest.finished("load", inputs):
            path = write_json(self.out / ROBOT, robot.to_dict())
            self.manifest.record("load", inputs, [path], time.perf_counter() - started)
        joints = f"{robot.nb} joint{'s' if robot.nb > 1 else ''}"
        self.say(f"robot    {robot.name}, {joints}")
        for note in robot.notes:
            self.say(f"         {note}")
        return robot

    def _dataset(self, robot: Robot) -> Dataset:
        recipe = self.recipe
        inputs = stage_inputs(
            "sample",
            robot=self.manifest.outputs("load"),
            data=recipe.data and recipe.data.model_dump(mode="json"),
            region=recipe.region and recipe.region.model_dump(mode="json"),
            recording=_recording_identity(recipe),
            seed=self.seed,
        )
        path = self.out / DATASET
        if self.manifest.finished("sample", inputs):
            dataset = datasets.load(path)
            self.say(f"data     {len(dataset):,} samples, kept")
            return dataset
        started = time.perf_counter()
        dataset = stages.sample_dataset(recipe, robot)
        dataset.save(path)
        self.manifest.dataset = dataset.hash
        took = time.perf_counter() - started
        self.manifest.record("sample", inputs, [path], took)
        self.say(f"data     {len(dataset):,} samples in {took:.1f} s")
        for step in dataset.metadata.get("processing", ()):
            if step.startswith(ALIGNMENT):
                self.say(f"         {step}")
        return dataset

    def _law_of_logs(self, robot: Robot, dataset: Dataset) -> Identification | None:
        """The law of recorded training logs, without any network; None for simulated data."""
        if not dataset.recorded:
            return None
        folder = self.out / recorded.LAW_OF_LOGS
        inputs = stage_inputs(
            "identify",
            robot=self.manifest.outputs("load"),
            recording=_recording_identity(self.recipe),
            seed=self.seed,
        )
        if self.manifest.finished("identify", inputs):
            self.say("law      of the logs, kept")
            return Identification.load(folder)
        started = time.perf_counter()
        found = recorded.law_of_logs(self.recipe, robot, self.progress)
        if found is None:
            self.say(
                "law      none of the logs: they are too short, or a joint has several coordinates"
            )
            return None
        found.save(folder)
        took = time.perf_counter() - started
        self.manifest.record("identify", inputs, [folder / RECORD], took)
        share = 100 * found.error()["identified"]
        self.say(f"law      of the logs in {took:.1f} s, off by {share:.2g} % of the torque")
        return found

    def _held_against(
        self,
        of_logs: Identification,
        models: dict[str, Callable[..., Any]],
        exams: dict[str, Examination],
        robot: Robot,
        dataset: Dataset,
    ) -> None:
        """Every model, and the law taken from it, beside the law of the logs."""
        path = self.out / HELD
        inputs = stage_inputs(
            "hold",
            law=self.manifest.outputs("identify"),
            exams=[self.manifest.outputs(f"examine {name}") for name in models],
            models=[self._model_identity(entry) for entry in self.recipe.model],
        )
        if self.manifest.finished("hold", inputs):
            return
        started = time.perf_counter()
        networks = {
            entry.name: measure.accelerations(
                models[entry.name], robot, outputs=dataset.outputs, dt=None
            )
            for entry in self.recipe.model
            if entry.kind != stages.CONTROL
        }
        laws = {name: exam.law for name, exam in exams.items()}
        held = recorded.held_against_law(self.recipe, of_logs, networks, laws, robot, dataset)
        if held is None:
            return
        write_json(path, held.to_dict())
        self.manifest.record("hold", inputs, [path], time.perf_counter() - started)

    def _model(self, entry: ModelEntry, robot: Robot, dataset: Dataset) -> Callable[..., Any]:
        """The entry's model; trained ones are kept in the study's folder."""
        if entry.kind == stages.CONTROL:
            return stages.train_model(self.recipe, entry.name, robot, dataset)
        folder = self.out / entry.name
        stage = f"train {entry.name}"
        aside = {"device", "devices", "tensorboard"}
        settings = self.recipe.training(entry.name).model_dump(exclude=aside)
        inputs = stage_inputs(
            "train",
            entry=entry.model_dump(mode="json", exclude={"train"}),
            settings=settings,
            robot=self.manifest.outputs("load"),
            dataset=self.manifest.dataset,
            seed=self.seed,
        )
        if self.manifest.finished(stage, inputs):
            self.say(f"model    {entry.name}, kept")
            return models.load(folder / MODEL_FILE)
        started = time.perf_counter()
        model = stages.train_model(
            self.recipe,
            entry.name,
            robot,
            dataset,
            out=folder,
            device=self.device if self.device != "auto" else None,
            resume=self.resume,
            progress=self.progress,
        )
        card = getattr(model, "card", {})
        record = {name: card.get(name) for name in ("history", "metrics", "notes", "training")}
        stored = write_json(folder / "training.json", record)
        took = time.perf_counter() - started
        self.manifest.record(stage, inputs, [folder / MODEL_FILE, stored], took)
        error = (card.get("metrics") or {}).get("validation_error")
        shown = "" if error is None else f", validation error {100 * error:.2g} %"
        self.say(f"model    {entry.name} trained in {took:.1f} s{shown}")
        return model

    def _exam(
        self, entry: ModelEntry, model: Callable[..., Any], robot: Robot, dataset: Dataset
    ) -> Examination:
        folder = self.out / entry.name
        stage = f"examine {entry.name}"
        inputs = stage_inputs(
            "examine",
            examine=self.recipe.examine.model_dump(mode="json"),
            region=stages.region_of(self.recipe, robot, dataset).to_dict(),
            robot=self.manifest.outputs("load"),
            dataset=self.manifest.dataset,
            model=self._model_identity(entry),
            seed=self.seed,
        )
        if self.manifest.finished(stage, inputs):
            exam = result.load(folder)
            self.say(f"verdict  {entry.name}: {exam.verdict}, kept")
            return exam
        started = time.perf_counter()
        exam = stages.examine_model(
            self.recipe, entry.name, model, robot, dataset, progress=self.progress
        )
        (folder / FORMULAS).unlink(missing_ok=True)  # those of the law that was there before
        exam.save(folder, report=False)  # drawn once, when all is measured
        took = time.perf_counter() - started
        self.manifest.record(stage, inputs, [folder / name for name in EXAM], took)
        self.say(
            f"verdict  {entry.name}: {in_words(exam.verdict, exam.confidence, exam.evidence)} "
            f"in {took:.1f} s"
        )
        return exam

    def _measures(
        self,
        entry: ModelEntry,
        model: Callable[..., Any],
        exam: Examination,
        robot: Robot,
        dataset: Dataset,
    ) -> None:
        folder = self.out / entry.name
        stage = f"measure {entry.name}"
        inputs = stage_inputs(
            "measure",
            report=self.recipe.report.model_dump(mode="json"),
            exam=self.manifest.outputs(f"examine {entry.name}"),
            model=self._model_identity(entry),
        )
        if self.manifest.finished(stage, inputs):
            return
        started = time.perf_counter()
        region = stages.region_of(self.recipe, robot, dataset)
        options = {**self.recipe.report.model_dump(), "seed": self.seed}
        files = measure.measure(model, exam.law, robot, region, dataset, folder, **options)
        took = time.perf_counter() - started
        self.manifest.record(stage, inputs, files, took)
        self.say(f"         errors, forecasts and times measured in {took:.1f} s")

    def _beside_the_verdict(
        self, entry: ModelEntry, model: Callable[..., Any], robot: Robot, dataset: Dataset
    ) -> None:
        """What the recipe asks beside the verdict: the inside of a network, its gradients."""
        looks = (
            ("inside", self.recipe.inside, INSIDE, stages.look_inside_model),
            ("gradients", self.recipe.gradients, GRADIENTS, stages.gradients_of_model),
        )
        for what, asked, file, look in looks:
            kept = self.out / entry.name / file
            if asked is None or entry.kind == stages.CONTROL:
                kept.unlink(missing_ok=True)
                continue
            stage = f"look inside {entry.name}" if what == "inside" else f"{what} of {entry.name}"
            inputs = stage_inputs(
                what,
                region=stages.region_of(self.recipe, robot, dataset).to_dict(),
                robot=self.manifest.outputs("load"),
                model=self._model_identity(entry),
                seed=self.seed,
                **{what: asked.model_dump(mode="json")},
            )
            if self.manifest.finished(stage, inputs):
                continue
            started = time.perf_counter()
            kept.unlink(missing_ok=True)
            try:
                found = look(self.recipe, entry.name, model, robot, dataset, self.progress)
            except ModelError as error:
                self.say(f"{what:<9}{entry.name}: not measured: {error}")
                continue
            page = found.save(kept.parent)
            took = time.perf_counter() - started
            self.manifest.record(stage, inputs, [page, kept], took)
            self.say(f"{what:<9}{entry.name}: {page} in {took:.1f} s")

    def _report(self, robot: Robot) -> Path:
        started = time.perf_counter()
        summary = {
            "name": self.recipe.study.name,
            "title": self.recipe.study.title,
            "robot": robot.name,
            "models": [{"name": m.name, "kind": m.kind} for m in self.recipe.model],
        }
        write_json(self.out / STUDY, summary)
        report = render(self.out)
        reports = [report, *(self.out / m.name / report.name for m in self.recipe.model)]
        inputs = stage_inputs("report", stages=value_hash(self.manifest.stages))
        self.manifest.record("report", inputs, reports, time.perf_counter() - started)
        self.say(f"report   {report}")
        return report

    def _model_identity(self, entry: ModelEntry) -> Any:
        if entry.kind == stages.FILE:
            file = file_of(str(entry.path))
            beside = file.with_suffix(".toml")  # its declaration
            files = [file, *([beside] if beside.is_file() else [])]
            return {"files": [file_hash(x) for x in files], "declared": entry.options}
        if entry.kind == stages.CONTROL:
            return entry.kind
        return self.manifest.outputs(f"train {entry.name}")


_MOST_DIFFERENCES = 3  # that a message names


def _differences(tables: dict[str, Any], recipe: Recipe) -> list[str]:
    """In which settings stored tables differ from a recipe, some of them in words; where logs lie
    on this machine is none of them."""
    try:
        there = Recipe.from_dict(tables).to_dict()
    except RecipeError:  # of another version, with other settings
        there = tables
    flat = [_flattened(plain(x)) for x in (there, recipe.to_dict())]
    for settings in flat:
        settings.pop("recording.folder", None)
    names = [n for n in dict.fromkeys([*flat[1], *flat[0]]) if flat[0].get(n) != flat[1].get(n)]
    words = [
        f"{n}: {flat[0].get(n, 'none')} there, {flat[1].get(n, 'none')} here"
        for n in names[:_MOST_DIFFERENCES]
    ]
    more = len(names) - len(words)
    return [*words, f"and {more} more settings"] if more else words


def _flattened(tables: Any, under: str = "") -> dict[str, Any]:
    """{"data.samples": 300, "model.mlp.width": 8, …} of nested tables; models by their names."""
    if isinstance(tables, list) and tables and all(isinstance(x, dict) for x in tables):
        tables = {str(x.get("name", k)): x for k, x in enumerate(tables)}
    if not isinstance(tables, dict):
        return {under: tables}
    parts = (
        _flattened(value, f"{under}.{name}" if under else str(name))
        for name, value in tables.items()
    )
    return {name: value for part in parts for name, value in part.items()}


def _recording_identity(recipe: Recipe) -> Any:
    """The recording's table and the hashes of its files, without the folder."""
    recording = recipe.recording
    if recording is None:
        return None
    folder = Path(recording.place)
    names: Sequence[str] = (*recording.train, *recording.test)
    hashes = {name: file_hash(folder / name) for name in names if (folder / name).is_file()}
    return {"table": recording.model_dump(mode="json", exclude={"folder"}), "files": hashes}
