"""Recordings of a real machine as a data set: smoothed, differentiated, split by trajectory.

Every step is stated in the data set's metadata, beside an estimate of the noise that is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from discover.blackbox.region import Region
from discover.data.dataset import SPLITS, Dataset, describe
from discover.data.delay import ALIGNMENT, LEAST_ROWS, find_delay
from discover.data.logs import Log, read_log
from discover.data.motions import GAP, Motion, filtered, noise_of, states_of
from discover.data.settings import Recording, Smoothing
from discover.data.smoothing_choice import SmoothingChoice, choose_smoothing
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]


def read(recording: Recording, robot: Robot, **more: Any) -> Dataset:
    """The files of a recording as one data set of accelerations; `more` goes into the metadata.

    Each file is one trajectory; half a smoothing window is trimmed at both ends of each, and a
    whole one between training and validation, so that no recorded sample is behind both. Raises
    DatasetError, in one line, where a log or its columns do not fit.
    """
    if not recording.place:
        raise DatasetError(
            "recording.folder: expected the folder with the logs, found "
            f"{recording.folder or 'nothing'}{' (not set)' if recording.folder else ''}; "
            "name it with --set recording.folder=PATH"
        )
    if recording.smoothing.acceleration == "v" and recording.columns.v is None:
        raise DatasetError(
            'recording: acceleration = "v" expects columns for v, found none; map them in '
            'recording.columns.v or set recording.smoothing.acceleration = "q"'
        )
    parts: dict[str, list[NDArray[Any]]] = {
        k: [] for k in ("q", "v", "tau", "a", "t", "trajectory", "split")
    }
    files, noises, raw_noises, steps = {}, [], [], []
    names = (*recording.train, *recording.test)
    logs = [read_log(name, recording, robot) for name in names]
    choice = None
    if recording.smoothing.window == "auto":
        choice = choose_smoothing(logs[: len(recording.train)], robot)
    for index, (name, log) in enumerate(zip(names, logs, strict=True)):
        smoothing = recording.smoothing if choice is None else choice.of(log)
        window = _whole(smoothing)
        smooth, keep = filtered(log, smoothing)
        is_test = index >= len(recording.train)
        split = _split(log, recording, keep, window, is_test=is_test)
        chosen = np.flatnonzero(split >= 0)[:: recording.every]
        states = states_of(smooth, log, smoothing)
        half = window // 2
        for key, values in states.items():
            parts[key].append(values[chosen])
        parts["t"].append(log.time[half:][chosen])
        parts["trajectory"].append(np.full(len(chosen), index))
        parts["split"].append(split[chosen])
        step = float(np.median(np.diff(log.time)))
        steps.append(step)
        noise, raw_noise = noise_of(smooth, log, smoothing)
        noises.append(noise)
        raw_noises.append(raw_noise)
        files[name] = {
            "trajectory": index,  # metadata are stored with sorted keys: order says nothing
            "sha256": log.sha256,
            "recorded": len(log.time),
            "kept": len(chosen),
            "window": window,
            "notes": list(log.notes),
            "step_s": {
                "median": step,
                "least": float(np.diff(log.time).min()),
                "greatest": float(np.diff(log.time).max()),
            },
        }
    joined = {key: torch.from_numpy(np.concatenate(values)) for key, values in parts.items()}
    metadata = describe(
        robot,
        dt=float(np.median(steps)) * recording.every,
        source="recording",
        files=files,
        processing=_statement(recording, choice),
        noise=_mean(noises),
        raw_noise=_mean(raw_noises),
        **more,
    )
    return Dataset(metadata=metadata, **joined)


def aligned(dataset: Dataset, robot: Robot) -> Dataset:
    """The same data with the estimated delay and offsets of the joint forces in the metadata.

    Nothing is shifted: see `recording.delay` and `recording.offset`.
    """
    rows = dataset.part("train")
    assert rows.a is not None  # recordings are data sets of accelerations
    motions = []
    for index in rows.trajectory.unique(sorted=True).tolist():
        part = rows.select(rows.trajectory == index)
        assert part.a is not None
        if len(part) < LEAST_ROWS:
            continue
        motions.append(
            Motion(
                time=part.t.numpy(),
                q=part.q.numpy(),
                v=part.v.numpy(),
                a=part.a.numpy(),
                tau=part.tau.numpy(),
            )
        )
    done = dataset.metadata.get("processing", [])
    if not motions:
        sentence = f"{ALIGNMENT}: not estimated, no log has {LEAST_ROWS} samples to train on"
        return replace(dataset, metadata={**dataset.metadata, "processing": [*done, sentence]})
    alignment = find_delay(motions, robot)
    metadata = {
        **dataset.metadata,
        "alignment": alignment.to_dict(),
        "processing": [*done, alignment.sentence(robot.independent_names)],
    }
    return replace(dataset, metadata=metadata)


def support(dataset: Dataset, quantile: float = 0.005) -> Region:
    """The box in which the training samples lie, each side cut at a quantile (0: the extremes).

    Raises DatasetError where a coordinate never changes, since a box needs some width.
    """
    rows = dataset.part("train")
    sides = {}
    for group in ("q", "v", "tau"):
        values = getattr(rows, group).double().numpy()
        low, high = np.quantile(values, [quantile, 1 - quantile], axis=0)
        still = np.flatnonzero(high - low <= 0)
        if still.size:
            raise DatasetError(
                f"recording: {group} of coordinate {int(still[0])} never changes in the training "
                "trajectories, so they span no region; give one in [region]"
            )
        sides[group] = (low, high)
    return Region(**sides)


def _whole(smoothing: Smoothing) -> int:
    assert isinstance(smoothing.window, int)  # "auto" was replaced by the choice
    return smoothing.window


def _split(
    log: Log, recording: Recording, keep: NDArray[np.bool_], window: int, *, is_test: bool
) -> NDArray[np.int64]:
    """The split of each window's middle, an index into `SPLITS`; -1 where it is left out."""
    n = len(keep)
    split = np.full(n, SPLITS.index("test" if is_test else "train"), dtype=np.int64)
    if not is_test:
        held_out = round(n * recording.validation)
        gap = window - 1
        if held_out:
            split[n - held_out :] = SPLITS.index("validation")
            split[max(0, n - held_out - gap) : n - held_out] = -1
        if not (keep & (split == SPLITS.index("train"))).any():
            raise DatasetError(
                f"recording {log.name}: nothing is left to train on after trimming; make "
                "recording.validation or recording.smoothing.window smaller"
            )
    return np.where(keep, split, -1)


def _statement(recording: Recording, choice: SmoothingChoice | None) -> list[str]:
    """What was done to the samples, in sentences for the metadata and the report."""
    smoothing, columns = recording.smoothing, recording.columns
    chosen = choice is not None
    length = f"{1e3 * choice.window_s:.3g} ms" if choice else f"{smoothing.window} samples"
    half = "half a window was" if chosen else f"{_whole(smoothing) // 2} samples were"
    apart = "a window apart" if chosen else f"{_whole(smoothing) - 1} samples apart"
    kinds = (
        "v and a are the first and second derivative of q"
        if smoothing.acceleration == "q"
        else "v is the smoothed measurement and a its derivative"
    )
    taken = []
    if recording.delay or np.any(recording.offset):
        taken = [
            f"taken out of them: a delay of {1e3 * recording.delay:g} ms (samples whose force was "
            f"not recorded are left out), {_offset(recording)}"
        ]
    if recording.reduction is not None:
        taken.append("motor positions and forces were brought to the joints by recording.reduction")
    if choice is not None:
        taken.append(choice.sentence())
    return [
        f"joint forces are the columns {', '.join(map(str, columns.tau))}",
        *taken,
        f"q, v and tau went through a Savitzky-Golay filter of {length} and "
        f"order {smoothing.order}, fitted in true time, so uneven steps were not resampled",
        f"{kinds}, by the same filter",
        f"{half} trimmed at both ends of each log, and windows of "
        f"more than {GAP:g} times the usual length, which lie across a gap, were left out",
        f"train, validation and test were split by trajectory; validation is the last "
        f"{recording.validation:.0%} of each training log, {apart}",
        "noise: standard deviations from the filter's residual, taken as white; what the filter "
        "rounds off and vibrations slower than its window are not in them",
    ]


def _offset(recording: Recording) -> str:
    offsets = np.atleast_1d(np.asarray(recording.offset, dtype=float))
    return f"offsets of {', '.join(f'{x:g}' for x in offsets)}"


def _mean(entries: list[dict[str, Array]]) -> dict[str, list[float]]:
    """The root mean square over files, group by group."""
    return {
        key: np.sqrt(np.mean([entry[key] ** 2 for entry in entries], axis=0)).tolist()
        for key in entries[0]
    }
