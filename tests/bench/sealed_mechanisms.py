"""Forty sealed mechanisms, each examined once as a black box and scored far outside its region.

    python -m tests.bench.sealed_mechanisms --out reports/sealed_mechanisms/before

One record a mechanism, in a process of its own, which is ended after 300 s of processor time; what
is stored is not run again. `--names` takes names of the list, separated by commas.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import multiprocessing
import os
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sympy
import torch
from sympy.core.function import AppliedUndef
from torch import Tensor

import discover
from discover.artifacts import write_json
from discover.threads import one_thread
from tests.bench import sealed_laws, sealed_models, sealed_places, sealed_report
from tests.bench.sealed_laws import MECHANISMS, Mechanism
from tests.bench.sealed_models import BlackBox
from tests.bench.sealed_report import LIMIT

FAR = 500  # fresh states between 1 and 2 half-widths
_LONGEST = 8  # numbers in a row, from which on a written law is taken to hold a table
_PIECES = 4  # more pieces of one function are taken for a table as well


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the report beside the folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sealed_mechanisms")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", default="all", help="names separated by commas, all, or none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--budget", default="quick", help="of each examination")
    options = parser.parse_args(arguments)
    folder = options.out.resolve()
    missing = [m for m in _chosen(options.names) if not _file(folder, m).exists()]
    run(missing, folder, options.workers, options.budget)
    print(f"report: {sealed_report.write(folder)}", flush=True)


def _chosen(names: str) -> list[Mechanism]:
    if names in ("all", "none"):
        return list(MECHANISMS) if names == "all" else []
    known = {m.name: m for m in MECHANISMS}
    unknown = [n for n in names.split(",") if n not in known]
    if unknown:
        raise SystemExit(f"expected names among {', '.join(known)}, found {unknown[0]!r}")
    return [known[n] for n in names.split(",")]


def run(mechanisms: Sequence[Mechanism], folder: Path, workers: int, budget: str) -> None:
    """Examine these mechanisms, ``workers`` at a time, and store a record of each."""
    context = multiprocessing.get_context("fork")  # what is imported here is not imported again
    waiting, running = list(reversed(mechanisms)), {}
    while waiting or running:
        while waiting and len(running) < max(1, workers):
            mechanism = waiting.pop()
            process = context.Process(target=_work, args=(mechanism, folder, budget))
            process.start()
            running[process] = mechanism
        time.sleep(0.2)
        for process in [p for p in running if not p.is_alive()]:
            process.join()
            mechanism = running.pop(process)
            if not _file(folder, mechanism).exists():  # ended by the limit, or broken down
                how = "timeout" if process.exitcode == -24 else f"error: exit {process.exitcode}"
                record = _head(mechanism, budget) | {"verdict": how, "seconds": float(LIMIT)}
                write_json(_file(folder, mechanism), record)
            print(f"{datetime.now(UTC):%H:%M:%S} {mechanism.name}", flush=True)


def _file(folder: Path, mechanism: Mechanism) -> Path:
    return folder / "records" / f"{mechanism.name.replace(' ', '_')}.json"


def _work(mechanism: Mechanism, folder: Path, budget: str) -> None:
    with one_thread():
        box = BlackBox(mechanism)
        limit = math.ceil(time.process_time()) + LIMIT
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 30))  # SIGXCPU ends the process
        write_json(_file(folder, mechanism), _head(mechanism, budget) | examined(box, budget))


def _head(mechanism: Mechanism, budget: str) -> dict[str, Any]:
    """What a record says before anything is measured."""
    return {
        "name": mechanism.name,
        "kind": mechanism.kind,
        "robot": mechanism.place,
        "wanted": list(mechanism.wanted),
        "hidden": mechanism.hidden,
        "noisy": mechanism.noisy,
        "budget": budget,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "code": code_version(),
        "list": list_hash(),
    }


def examined(box: BlackBox, budget: str) -> dict[str, Any]:
    """The verdict on a model and the score of its law, JSON-able."""
    mechanism, at = box.mechanism, box.mechanism.at()
    region = discover.Region(q=at.q.tolist(), v=at.v.tolist(), tau=at.tau.tolist())
    begin, wall_begin = _processor(), time.monotonic()
    try:
        exam = discover.examine(box, at.robot, region, budget=budget)
    except Exception as error:  # a failure of what is examined is a result, not the bench's end
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return {"verdict": f"error: {text}", "seconds": round(_processor() - begin, 1)}
    seconds, wall = _processor() - begin, time.monotonic() - wall_begin
    law = exam.law
    median, rms = (None, None) if law is None else far_errors(box, law)
    return {
        "verdict": exam.verdict,
        "confidence": round(float(exam.confidence), 4),
        "acceptable": exam.verdict in mechanism.wanted,
        "strength": box.strength,
        "median": median,
        "rms": rms,
        "closed": law is not None and closed_form(law, mechanism),
        "longest_row": None if law is None else _row_of(law),
        "family": None if law is None else str(law.family),
        "terms": [] if law is None else [str(t)[:400] for t in law.terms][:20],
        "reach": {k: float(x) for k, x in (exam.reach or {}).items()},
        "queries": int(exam.queries),
        "seconds": round(seconds, 1),
        "wall": round(wall, 1),
    }


def _processor() -> float:
    """Seconds of this process and of those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def far_errors(box: BlackBox, law: Any) -> tuple[float | None, float | None]:
    """Median and root mean square of a law's error on fresh far states, in spreads of the truth.

    None where the law has no number on so many states.
    """
    far = box.mechanism.at().states(FAR, 77, inner=1.0, outer=2.0)
    truth = box.truth(*far)
    with torch.no_grad():
        answers = torch.as_tensor(law(*far), dtype=torch.float64)
    return scores(answers, truth)


def scores(answers: Tensor, truth: Tensor) -> tuple[float | None, float | None]:
    """Median and root mean square over states of the error (B, nv), in spreads of the truth."""
    error = (((answers - truth) / truth.std(0)) ** 2).mean(-1).sqrt()
    error = torch.nan_to_num(error, nan=math.inf, posinf=math.inf)
    median, rms = float(error.median()), float(error.square().mean().sqrt())
    return (median if math.isfinite(median) else None), (rms if math.isfinite(rms) else None)


def closed_form(law: Any, mechanism: Mechanism) -> bool:
    """Whether a law prints as formulas without tables, through its public interface.

    Terms are SymPy of known functions in a few pieces, the written program holds no row of many
    numbers, and where another law than rigid bodies was planted, something is added to them.
    """
    terms = [t for t in law.terms if isinstance(t, sympy.Basic)]
    if len(terms) < len(law.terms) or (mechanism.kind != "disguise" and not terms):
        return False
    pieces = [p for t in terms for p in t.atoms(sympy.Piecewise)]
    if any(t.atoms(AppliedUndef) for t in terms) or any(len(p.args) > _PIECES for p in pieces):
        return False
    try:
        written = law.export("python")
    except Exception:  # a law that cannot be written is in no closed form
        return False
    return longest_row(written) < _LONGEST


def _row_of(law: Any) -> int | None:
    try:
        return longest_row(law.export("python"))
    except Exception:  # stored as it is: a law that cannot be written
        return None


def longest_row(written: str) -> int:
    """How many numbers the longest row of numbers in a program has, comments aside."""
    number = r"\s*[-+]?[\d.]+(?:e[-+]?\d+)?\s*"
    rows = re.findall(rf"[\[(]({number}(?:,{number})+)", _body(written))
    return max((row.count(",") + 1 for row in rows), default=0)


def _body(written: str) -> str:
    """A program without its comments, which state regions as rows of numbers."""
    return "\n".join(line for line in written.splitlines() if not line.lstrip().startswith("#"))


def code_version() -> str:
    """The last commit that changed what examines, with a + where the working tree differs."""
    top = Path(discover.__file__).resolve().parent.parent
    git = ["git", "-C", os.fspath(top)]
    paths = ["--", "discover", "kinematics"]
    try:
        last = subprocess.run(
            [*git, "log", "-1", "--format=%h", *paths], capture_output=True, text=True
        )
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", *paths])
    except OSError:
        return "unknown"
    return last.stdout.strip() + ("+" if changed.returncode else "")


def list_hash() -> str:
    """A hash of the list's own files: records of one list are comparable."""
    digest = hashlib.sha256()
    for module in (sealed_laws, sealed_models, sealed_places):
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
