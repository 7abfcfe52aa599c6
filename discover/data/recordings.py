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
from discover.data.alignment import ALIGNMENT, LEAST_ROWS, Motion, align
from discover.data.dataset import SPLITS, Dataset, describe
from discover.data.logs import Log, read_log
from discover.data.settings import Recording
from discover.data.smoothing import Smoothed, savitzky_golay
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

GAP = 2.0  # a window of so many times the median duration lies across a gap in the log

Array = NDArray[np.float64]


def read(recording: Recording, robot: Robot, **more: Any) -> Dataset:
    """The files of a recording as one data set of accelerations; `more` goes into the metadata.

    Each file is one trajectory; half a smoothing window is trimmed at both ends of each, and a
    whole one between training and validation, so that no recorded sample is behind both. Raises
    DatasetError, in one line, where a log or its columns do not fit.
    """
    if not recording.folder:
        raise DatasetError(
            "recording.folder: expected the folder with the logs, found nothing; "
            "name it with --set recording.folder=PATH"
        )
    if robot.nq != robot.nv or len(recording.columns.q) != robot.nv:
        raise DatasetError(
            f"recording: expected {robot.nv} columns for q, v and tau (joints "
            f"{', '.join(robot.independent_names)}), found {len(recording.columns.q)}"
            + (
                ""
                if robot.nq == robot.nv
                else "; free and spherical joints cannot be read from logs"
            )
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
    for index, name in enumerate((*recording.train, *recording.test)):
        log = read_log(name, recording)
        smooth, keep = _filter(log, recording)
        split = _split(log, recording, keep, is_test=index >= len(recording.train))
        chosen = np.flatnonzero(split >= 0)[:: recording.every]
        states = _states(smooth, robot.nv, recording)
        half = recording.smoothing.window // 2
        for key, values in states.items():
            parts[key].append(values[chosen])
        parts["t"].append(log.time[half:][chosen])
        parts["trajectory"].append(np.full(len(chosen), index))
        parts["split"].append(split[chosen])
        step = float(np.median(np.diff(log.time)))
        steps.append(step)
        noise, raw_noise = _noise(smooth, robot.nv, recording)
        noises.append(noise)
        raw_noises.append(raw_noise)
        files[name] = {
            "trajectory": index,  # metadata are stored with sorted keys: order says nothing
            "sha256": log.sha256,
            "recorded": len(log.time),
            "kept": len(chosen),
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
        processing=_statement(recording),
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
        arrays = {k: x.numpy() for k, x in (("q", part.q), ("v", part.v), ("a", part.a))}
        motions.append(Motion(time=part.t.numpy(), tau=part.tau.numpy(), **arrays))
    done = dataset.metadata.get("processing", [])
    if not motions:
        sentence = f"{ALIGNMENT}: not estimated, no log has {LEAST_ROWS} samples to train on"
        return replace(dataset, metadata={**dataset.metadata, "processing": [*done, sentence]})
    alignment = align(robot, motions)
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


def _filter(log: Log, recording: Recording) -> tuple[Smoothed, NDArray[np.bool_]]:
    """q, v (where it is used) and tau through one filter, and which windows have no gap in them."""
    window = recording.smoothing.window
    signals = [log.q, log.tau] if log.v is None else [log.q, log.tau, log.v]
    smooth = savitzky_golay(log.time, np.hstack(signals), window, recording.smoothing.order)
    span = log.time[window - 1 :] - log.time[: len(log.time) - window + 1]
    return smooth, span <= GAP * np.median(span)


def _states(smooth: Smoothed, nv: int, recording: Recording) -> dict[str, Array]:
    q, tau, v = slice(0, nv), slice(nv, 2 * nv), slice(2 * nv, 3 * nv)
    states = {"q": smooth.value[:, q], "tau": smooth.value[:, tau]}
    if recording.smoothing.acceleration == "v":
        return states | {"v": smooth.value[:, v], "a": smooth.first[:, v]}
    return states | {"v": smooth.first[:, q], "a": smooth.second[:, q]}


def _noise(
    smooth: Smoothed, nv: int, recording: Recording
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Standard deviation of the noise in each group, after the filter and before it."""
    q, tau, v = slice(0, nv), slice(nv, 2 * nv), slice(2 * nv, 3 * nv)
    raw = {"q": smooth.raw_noise[q], "tau": smooth.raw_noise[tau]}
    if len(smooth.raw_noise) > 2 * nv:
        raw["v"] = smooth.raw_noise[v]
    left = {"q": smooth.noise[q], "tau": smooth.noise[tau]}
    if recording.smoothing.acceleration == "v":
        return left | {"v": smooth.noise[v], "a": smooth.first_noise[v]}, raw
    return left | {"v": smooth.first_noise[q], "a": smooth.second_noise[q]}, raw


def _split(
    log: Log, recording: Recording, keep: NDArray[np.bool_], *, is_test: bool
) -> NDArray[np.int64]:
    """The split of each window's middle, an index into `SPLITS`; -1 where it is left out."""
    n = len(keep)
    split = np.full(n, SPLITS.index("test" if is_test else "train"), dtype=np.int64)
    if not is_test:
        held_out = round(n * recording.validation)
        gap = recording.smoothing.window - 1
        if held_out:
            split[n - held_out :] = SPLITS.index("validation")
            split[max(0, n - held_out - gap) : n - held_out] = -1
        if not (keep & (split == SPLITS.index("train"))).any():
            raise DatasetError(
                f"recording {log.name}: nothing is left to train on after trimming; make "
                "recording.validation or recording.smoothing.window smaller"
            )
    return np.where(keep, split, -1)


def _statement(recording: Recording) -> list[str]:
    """What was done to the samples, in sentences for the metadata and the report."""
    smoothing, columns = recording.smoothing, recording.columns
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
    return [
        f"joint forces are the columns {', '.join(columns.tau)}",
        *taken,
        f"q, v and tau went through a Savitzky-Golay filter of {smoothing.window} samples and "
        f"order {smoothing.order}, fitted in true time, so uneven steps were not resampled",
        f"{kinds}, by the same filter",
        f"{smoothing.window // 2} samples were trimmed at both ends of each log, and windows of "
        f"more than {GAP:g} times the usual length, which lie across a gap, were left out",
        f"train, validation and test were split by trajectory; validation is the last "
        f"{recording.validation:.0%} of each training log, {smoothing.window - 1} samples apart",
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
