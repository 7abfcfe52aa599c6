"""Finished examinations of a track in a folder, and whether one is that of this checkpoint.

A stored examination is used again where the same question was asked (robot, region, options) of a
model that gives the same answers at a few states; of a model that does not repeat its answers,
where its file has the same bytes.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from discover.artifacts import file_hash, plain, read_json, value_hash, write_json
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.blackbox.sampling import sample
from discover.errors import OutputError, WorldlawError
from discover.examination.opening.arguments import actuation_of
from discover.examination.result import Examination, load
from discover.threads import one_thread
from discover.tracking.checkpoints import Checkpoint
from discover.tracking.result import TRACK
from kinematics import Robot

FOLDER, CARD = "checkpoints", "checkpoint.json"
_STATES = 8
_SAME = 1e-9  # of the largest answer: the same model on the same machine


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but a track. Raises OutputError."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"expected a folder to write to at {out}, found a file")
    ours = (out / TRACK).exists() or (out / FOLDER).is_dir()
    if any(out.iterdir()) and not ours:
        raise OutputError(
            f"expected an empty folder or a track of ours in {out}, found other files; choose "
            "another"
        )


def question(robot: Robot | None, region: Region, options: Mapping[str, Any]) -> str:
    """A hash of what is asked of every checkpoint."""

    def held(value: Any) -> Any:
        try:
            return plain(value)
        except (TypeError, ValueError):
            return repr(value)

    return value_hash(
        {
            "robot": None if robot is None else robot.to_dict(),
            "region": region.to_dict(),
            "options": {name: held(options[name]) for name in sorted(options)},
            "version": metadata.version("worldlaw"),
        }
    )


@one_thread()
def answers(
    model: Callable[..., Any], robot: Robot | None, region: Region, options: Mapping[str, Any]
) -> list[float] | None:
    """The model's answers to a few states of the region, by which it is known again; None where it
    does not repeat them, or cannot be asked. Their queries count for no examination."""
    nv = region.nv if robot is None else robot.nv
    if nv is None or (robot is None and options.get("root") == "free"):
        return None
    with contextlib.suppress(WorldlawError):
        actuation = options.get("actuation")
        if robot is not None:
            actuation = actuation_of(model, robot, region, actuation, False)
        box = region.resolve(nv, nv if actuation is None else actuation.nu)
        outputs = options.get("outputs") or getattr(model, "outputs", None) or "acceleration"
        dt = options.get("dt")
        blackbox = BlackBox(
            model,
            nv if robot is None else robot.nq,
            nv,
            outputs=outputs,
            dt=getattr(model, "dt", None) if dt is None else dt,
            actuation=actuation,
        )
        batch = sample(box, nv if robot is None else robot, _STATES, 0)
        seen = [blackbox.ask(*batch, strict=False).a.flatten().numpy() for _ in range(2)]
        if np.array_equal(seen[0], seen[1], equal_nan=True):
            return [float(x) if math.isfinite(x) else math.nan for x in seen[0]]
    return None


def folder(out: Path, step: float) -> Path:
    """Where the examination of a step lies."""
    return out / FOLDER / f"step_{int(step) if step == int(step) else step!r}"


def keep(
    out: Path, checkpoint: Checkpoint, exam: Examination, asked: str, seen: list[float] | None
) -> None:
    """Store an examination; its card is written last, and says that it is whole."""
    place = folder(out, checkpoint.step)
    (place / CARD).unlink(missing_ok=True)
    exam.save(place, report=False)
    card = {
        "step": checkpoint.step,
        "name": checkpoint.name,
        "question": asked,
        "answers": seen,
        "file": _hash(checkpoint),
    }
    write_json(place / CARD, card)


def kept(
    out: Path, checkpoint: Checkpoint, asked: str, seen: list[float] | None
) -> Examination | None:
    """The stored examination of this checkpoint, None where there is none or it is another's."""
    place = folder(out, checkpoint.step)
    if not (place / CARD).exists():
        return None
    try:
        card = read_json(place / CARD)
        if card["question"] != asked or not _same_model(card, checkpoint, seen):
            return None
        return load(place)
    except (WorldlawError, KeyError, TypeError, ValueError):  # damaged: examined again
        return None


def remove(out: Path, step: float) -> None:
    """Forget what is stored for a step."""
    shutil.rmtree(folder(out, step), ignore_errors=True)


def _same_model(card: Mapping[str, Any], checkpoint: Checkpoint, seen: list[float] | None) -> bool:
    if seen is None or card["answers"] is None:
        own = _hash(checkpoint)
        return own is not None and own == card["file"]
    before = np.array([math.nan if x is None else x for x in card["answers"]], dtype=float)
    now = np.array(seen, dtype=float)
    if before.shape != now.shape:
        return False
    scale = np.nanmax(np.abs(now)) if np.isfinite(now).any() else 1.0
    return bool(np.allclose(before, now, rtol=0, atol=_SAME * scale, equal_nan=True))


def _hash(checkpoint: Checkpoint) -> str | None:
    path = checkpoint.path
    return file_hash(path) if path is not None and path.is_file() else None
