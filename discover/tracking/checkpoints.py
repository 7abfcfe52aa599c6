"""The checkpoints of one training run, in the order of their training steps.

Steps are given, or read from file names: the one number in which the names differ.
"""

from __future__ import annotations

import difflib
import glob
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from discover.errors import ModelError

ENDINGS = (".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".ts")
Steps = Sequence[float] | None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One stage of a training run: its step, a name, and a model or the path of one."""

    step: float
    name: str
    source: Any

    @property
    def path(self) -> Path | None:
        """The file, where the source is one (a factory's file stands before the colon)."""
        if not isinstance(self.source, str | os.PathLike):
            return None
        text = str(self.source)
        file = text.rpartition(":")[0]
        return Path(file if file.endswith(".py") else text)


def checkpoints_of(given: Any, steps: Steps = None) -> list[Checkpoint]:
    """The checkpoints in order of their steps.

    given   a mapping step -> model or path; pairs (step, model or path); paths; a folder (its
            models of a known format) or a pattern such as "runs/net_*.onnx"; or models, with steps
    steps   one a checkpoint, in the order given

    Raises ModelError, one line.
    """
    numbered: list[tuple[Any, Any]]
    if isinstance(given, Mapping):
        if steps is not None:
            raise ModelError(
                "track: expected steps as keys of the mapping or as steps=…, found both"
            )
        numbered = list(given.items())
    else:
        sources = _sources(given)
        if steps is not None:
            listed = list(steps)
            if len(listed) != len(sources):
                raise ModelError(
                    f"track: expected one step a checkpoint, found {len(listed)} steps for "
                    f"{len(sources)} checkpoints"
                )
            numbered = list(zip(listed, sources, strict=True))
        elif all(isinstance(x, tuple) and len(x) == 2 for x in sources):
            numbered = sources
        elif all(_is_path(x) for x in sources):
            numbered = list(zip(steps_in_names([str(x) for x in sources]), sources, strict=True))
        else:
            raise ModelError(
                "track: expected the training step of each model, found none: write "
                "{step: model, …}, [(step, model), …] or steps=[…]"
            )
    if not numbered:
        raise ModelError("track: expected at least one checkpoint, found none")
    found = [
        Checkpoint(step=_step(step), name=_name(source, step), source=source)
        for step, source in numbered
    ]
    found.sort(key=lambda c: c.step)
    for one, other in pairwise(found):
        if one.step == other.step:
            raise ModelError(
                f"track: expected one checkpoint a step, found {one.name} and {other.name} at step "
                f"{one.step:g}: give steps=[…]"
            )
    return found


def _sources(given: Any) -> list[Any]:
    if _is_path(given):
        place = str(given)
        if Path(place).is_dir():
            found = sorted(p for p in Path(place).iterdir() if p.suffix in ENDINGS and p.is_file())
            if not found:
                raise ModelError(
                    f"track: expected models ({', '.join(ENDINGS)}) in {place}, found none"
                )
            return list(found)
        if not glob.has_magic(place):
            return [given]
        matched = sorted(glob.glob(place, recursive=True))
        if not matched:
            raise ModelError(f"track: expected files that match {place}, found none")
        return [Path(p) for p in matched]
    if callable(given) or not isinstance(given, Iterable):
        raise ModelError(
            "track: expected checkpoints as {step: model or path, …}, paths, a folder or a "
            f"pattern, found {type(given).__name__}"
        )
    return list(given)


def _is_path(given: Any) -> bool:
    return isinstance(given, str | os.PathLike)


def _step(given: Any) -> float:
    try:
        step = float(given)
    except (TypeError, ValueError):
        step = math.nan
    if isinstance(given, bool | str) or not math.isfinite(step):
        raise ModelError(f"track: expected a training step as a number, found {given!r}")
    return step


def _name(source: Any, step: Any) -> str:
    if not _is_path(source):
        return f"step {step}"
    file, _, factory = str(source).rpartition(":")
    return factory if file.endswith(".py") else Path(str(source)).stem


# A number in a name: digits with a fraction, or with a unit as in 10k and 2M.
_NUMBER = re.compile(r"(?<![0-9.])(\d+(?:\.\d+)?)([kKM](?![A-Za-z]))?")
_ENDING = re.compile(r"\.[A-Za-z]\w*$")
_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
# Words that say what a number counts, the finest count of training first.
_COUNTS = ("step", "iter", "update", "batch", "epoch")


def steps_in_names(paths: Sequence[str]) -> list[float]:
    """The training step in each of these names: the number that differs from one to the next;
    where several do, the one behind "step", "iteration", "update", "batch" or "epoch".

    Raises ModelError where there is no such number.
    """
    mend = "give the steps: {step: path, …} or steps=[…]"
    stems = [_ENDING.sub("", str(p)) for p in paths]
    templates = [_NUMBER.sub("#", stem) for stem in stems]
    if len(set(templates)) > 1:
        usual = max(templates, key=templates.count)
        odd = next(p for p, t in zip(paths, templates, strict=True) if t != usual)
        like = next(p for p, t in zip(paths, templates, strict=True) if t == usual)
        raise ModelError(
            f"track: expected names that differ in a number only, found {odd} beside {like}; {mend}"
        )
    rows = [
        [float(number) * _UNITS[unit] for number, unit in _NUMBER.findall(stem)] for stem in stems
    ]
    before = _NUMBER.split(stems[0])[::3]  # the text before each number
    if len(paths) == 1:
        varying = list(range(len(rows[0])))[-1:]
    else:
        varying = [k for k, column in enumerate(zip(*rows, strict=True)) if len({*column}) > 1]
    if len(varying) > 1:
        for word in _COUNTS:
            named = [k for k in varying if word in _last_words(before[k])]
            if len(named) == 1:
                varying = named
                break
    if len(varying) != 1:
        found = "several" if varying else "none"
        raise ModelError(
            f"track: expected one number that differs in names such as {paths[0]}, found {found}; "
            f"{mend}"
        )
    return [row[varying[0]] for row in rows]


def _last_words(text: str) -> str:
    """The last word of the text before a number, in lower case."""
    words = re.findall(r"[A-Za-z]+", text)
    return words[-1].lower() if words else ""


def missing(checkpoint: Checkpoint) -> str | None:
    """What is wrong with a checkpoint's path, with a near name where there is one."""
    path = checkpoint.path
    if path is None or path.exists():
        return None
    beside = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    hint = f"; beside it lies {near[0]}" if near else ""
    return f"track: expected a checkpoint at {path}, found no such file{hint}"
