"""Is it the same instrument? Verdict, law, evidence and queries of many models, before and after.

    python -m tests.bench.same_instrument store FILE [--workers N] [--only TEXT]
    python -m tests.bench.same_instrument compare BEFORE AFTER [--tolerance 1e-6]

`store` examines what FILE lacks: planted models on robots of 1 to 18 coordinates, robots without a
description, trained networks and tables, and, where the environment variable WORLDLAW_RECORDINGS is
the folder of the real double pendulum's logs, networks trained on recordings. Everything is seeded
and runs on one thread. `compare` prints what differs and exits with status 1 if anything does.

Verdicts, families, queries and the form of terms must be equal. Numbers may differ by a relative
1e-6: they come out of chains of least-squares problems in double precision, in which another order
of summation (1e-16) grows by condition numbers of up to 1e9. The narrowest requirement of a verdict
is 0.05 wide, so a difference below 1e-6 moves a confidence by less than 1e-4. Numbers below 1e-9
are errors of laws that fit to rounding, and equal.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import discover
import kinematics
from discover.calibration.planted.catalogue import planted_cases
from discover.calibration.running import plan
from discover.threads import one_thread

Job = tuple[str, str, str]  # (kind of model, robot, name)
RECORDINGS = os.environ.get("WORLDLAW_RECORDINGS", "")
TOLERANCE = 1e-6  # relative; see above
ROUNDING = 1e-9  # numbers below it are equal
_PER_ROBOT = {"quadruped": 3, "Panda": 6, "spatial chain of 5": 6}  # planted models; minutes each
_OTHERWISE = 7
_NETWORKS = ("mlp", "delan", "gnn")
_COMPARED = ("verdict", "confidence", "reach", "queries", "resolution", "family", "evidence")
_NUMBER = re.compile(r"(?<![A-Za-z_])\d+(?:\.\d*)?(?:e[+-]?\d+)?")
_RECIPE = """
[study]
name = "same_instrument"
title = "same instrument"
seed = 0
[robot]
source = "double_pendulum"
[region]
q = 1.0
v = 2.0
tau = 5.0
[data]
design = "sobol"
samples = 4000
[[model]]
name = "{kind}"
kind = "{kind}"
"""


def jobs() -> list[Job]:
    """All models of the table, in a fixed order."""
    listed: list[Job] = []
    counts = Counter[str]()
    for case in plan():
        if counts[case.robot] < _PER_ROBOT.get(case.robot, _OTHERWISE):
            counts[case.robot] += 1
            listed.append(("planted", case.robot, case.name))
    listed += [("unknown", "double_pendulum", name) for name in ("simulator", "table")]
    listed += [("unknown", robot, "simulator") for robot in ("planar_3r", "planar_branched")]
    kinds = ("mlp", "delan", "forest", "gaussian_process", "gnn")
    listed += [("trained", "double_pendulum", kind) for kind in kinds]
    if RECORDINGS:
        listed += [("recorded", "real_double_pendulum", kind) for kind in ("mlp", "delan")]
    return listed


def examine(job: Job) -> dict[str, Any]:
    """The summary of one examination, or the error that ended it; "cpu" in seconds."""
    warnings.simplefilter("ignore")
    began = time.process_time()
    kind, where, name = job
    examination = {"planted": _planted, "unknown": _unknown, "trained": _trained}.get(
        kind, _recorded
    )
    try:
        with one_thread():
            result = summary(examination(where, name))
    except Exception as error:  # an error is a result to compare, too
        result = {"error": f"{type(error).__name__}: {error}"}
    return result | {"cpu": round(time.process_time() - began, 2)}


def summary(exam: discover.Examination) -> dict[str, Any]:
    """What must stay the same of an examination, JSON-able."""
    law = exam.law
    return {
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "reach": exam.reach,
        "queries": exam.queries,
        "resolution": [exam.resolution.region, exam.resolution.far],
        "family": None if law is None else law.family,
        "terms": [] if law is None else [str(t) for t in getattr(law, "terms", [])],
        "evidence": {str(e.name): e.value for e in exam.evidence},
    }


def differences(
    before: dict[str, Any], after: dict[str, Any], tolerance: float = TOLERANCE
) -> Iterator[str]:
    """A line for each entry in which two summaries differ by more than `tolerance`."""
    if "error" in before or "error" in after:
        if before.get("error") != after.get("error"):
            yield f"error: {before.get('error')} -> {after.get('error')}"
        return
    for name in _COMPARED:
        yield from _differing(name, before[name], after[name], tolerance)
    forms = [[_NUMBER.sub("#", t) for t in told["terms"]] for told in (before, after)]
    numbers = [
        [float(x) for t in told["terms"] for x in _NUMBER.findall(t)] for told in (before, after)
    ]
    if forms[0] != forms[1] or list(_differing("", *numbers, tolerance)):
        yield f"terms: {before['terms']} -> {after['terms']}"


def _differing(name: str, before: Any, after: Any, tolerance: float) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _differing(f"{name}, {key}", before.get(key), after.get(key), tolerance)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for x, y in zip(before, after, strict=True):
            yield from _differing(name, x, y, tolerance)
    elif isinstance(before, float) and isinstance(after, int | float):
        both_nan = math.isnan(before) and math.isnan(after)
        if not both_nan and not math.isclose(before, after, rel_tol=tolerance, abs_tol=ROUNDING):
            yield f"{name}: {before} -> {after}"
    elif before != after:
        yield f"{name}: {before} -> {after}"


def compare(before: Path, after: Path, tolerance: float = TOLERANCE) -> int:
    """Print what differs between two stored tables; the number of models that differ."""
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    both = sorted(set(old) & set(new))
    count = 0
    for name in both:
        lines = list(differences(old[name], new[name], tolerance))
        if lines:
            count += 1
            print(name, *(f"    {line}" for line in lines), sep="\n")
    for name in sorted(set(old) ^ set(new)):
        print(f"only in {'before' if name in old else 'after'}: {name}")
    seconds = [sum(table[name]["cpu"] for name in both) for table in (old, new)]
    print(f"{len(both)} models in both, {count} differ; {seconds[0]:.0f} -> {seconds[1]:.0f} CPU s")
    return count


def store(path: Path, workers: int = 1, only: str = "") -> None:
    """Examine the models whose names contain `only` and that `path` lacks, and add them to it."""
    done = json.loads(path.read_text()) if path.exists() else {}
    missing = [j for j in jobs() if " | ".join(j) not in done and only in " | ".join(j)]
    print(f"{len(missing)} models to examine")
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for job, told in zip(missing, pool.map(examine, missing), strict=True):
            done[" | ".join(job)] = told
            path.write_text(json.dumps(done, indent=1, sort_keys=True))
            said = told.get("error") or f"{told['verdict']} ({told['confidence']:.3f})"
            print(f"{' | '.join(job)}: {said}, {told['cpu']} CPU s", flush=True)


def _planted(robot: str, name: str) -> discover.Examination:
    case = next(c for c in planted_cases([robot]) if c.name == name)
    planted, setting = case.planted, case.setting
    return discover.examine(
        planted.model,
        setting.robot,
        setting.region,
        outputs=planted.outputs,
        dt=planted.dt,
        mechanism=False,
        seed=0,
        name=planted.name,
    )


def _unknown(where: str, name: str) -> discover.Examination:
    """A robot without its description: the simulator, or a nearest-neighbour table of it."""
    robot = kinematics.load(where)
    half = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64).repeat_interleave(robot.nv)

    def simulator(q, v, tau):
        return kinematics.aba(robot, q, v, tau)

    def table(q, v, tau):
        return answers[torch.cdist(torch.cat([q, v, tau], -1) / half, states).argmin(-1)]

    if name == "table":
        generator = torch.Generator().manual_seed(3)
        states = torch.rand(2000, 3 * robot.nv, generator=generator, dtype=torch.float64) * 2 - 1
        answers = simulator(*(half * states).split(robot.nv, -1))
    n = robot.nv
    region = discover.Region(q=[1.0] * n, v=[2.0] * n, tau=[5.0] * n)
    model = table if name == "table" else simulator
    return discover.examine(model, None, region, seed=0, name=name)


def _trained(where: str, kind: str) -> discover.Examination:
    return _study(_RECIPE.format(kind=kind), kind)


def _recorded(where: str, kind: str) -> discover.Examination:
    """A model of recordings, by the recipe of the real double pendulum with fewer epochs."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "datasets" / "recipes" / f"{where}.toml").read_text()
    text = text.replace('folder = ""', f'folder = "{RECORDINGS}"')
    text = text.replace("budget_s = 60", "epochs = 40").replace("budget_s = 90", "epochs = 20")
    return _study(text, kind)


def _study(text: str, name: str) -> discover.Examination:
    if name in _NETWORKS and "[model.train]" not in text:
        text += "\n[model.train]\nepochs = 25\n"  # wall-clock budgets would not repeat
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        path.write_text(text)
        recipe = discover.load_recipe(path)
    robot = discover.load_robot(recipe)
    dataset = discover.sample_dataset(recipe, robot)
    model = discover.train_model(recipe, name, robot, dataset)
    return discover.examine_model(recipe, name, model, robot, dataset)


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.same_instrument")
    verbs = parser.add_subparsers(dest="verb", required=True)
    storing = verbs.add_parser("store", help="examine the models that FILE lacks")
    storing.add_argument("file", type=Path)
    storing.add_argument("--workers", type=int, default=1)
    storing.add_argument("--only", default="", help="only models whose names contain this")
    comparing = verbs.add_parser("compare", help="print what differs between two files")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--tolerance", type=float, default=TOLERANCE)
    arguments = parser.parse_args()
    if arguments.verb == "store":
        store(arguments.file, arguments.workers, arguments.only)
        return 0
    return 1 if compare(arguments.before, arguments.after, arguments.tolerance) else 0


if __name__ == "__main__":
    sys.exit(main())
