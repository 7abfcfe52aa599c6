"""The rows that a law is identified from: motions thinned, joined, and cut into blocks of time.

Neighbouring rows share noise and unmodelled motion, so whatever judges a fit takes whole blocks:
cross-validation leaves out folds of blocks, standard errors longer pieces. With several logs the
folds are logs, since logs are what a law meets next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discover.data.motions import Motion
from discover.errors import DatasetError
from discover.judgement import thresholds

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

_MOST_ROWS = thresholds.whole("identification.most_rows")
_BLOCK = thresholds.threshold("identification.block")
_LEAST_BLOCKS = thresholds.whole("identification.least_blocks")
_MOST_BLOCKS = thresholds.whole("identification.most_blocks")
_FOLDS = thresholds.whole("identification.folds")
_REST_NOISE = thresholds.threshold("identification.rest_noise")
_REST_SHARE = thresholds.threshold("identification.rest_share")
_LOGS_AS_FOLDS = thresholds.whole("identification.logs_as_folds")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows of one or several logs, in order of log and time.

    q (N, nq), v, a, tau (N, nv), float64, SI units; time (N,) [s] from the start of its log; log
    (N,) indexes `names`; block (N,) numbers pieces of a second or longer; fold (N,) is the group of
    blocks with which a row is left out of a fit. moving (N, nv) is false where a joint rests: there
    friction may be anything up to its limit, so that row says nothing about this joint's drive.
    window [s] and order are those of the filter that the joint forces went through; motions are
    what the rows were taken from, kept the rows of each: friction may depend on the way between
    them; rest (nv,) [rad/s | m/s] is the speed below which a joint rests. columns are those of the
    regressor that were computed before, by name.
    """

    names: tuple[str, ...]
    q: Tensor
    v: Tensor
    a: Tensor
    tau: Tensor
    time: Array
    log: Numbers
    block: Numbers
    fold: Numbers
    moving: NDArray[np.bool_]
    window: float
    order: int
    motions: tuple[Motion, ...] = field(default=(), repr=False)
    kept: tuple[Numbers, ...] = field(default=(), repr=False)
    rest: Array = field(default_factory=lambda: np.zeros(0))
    columns: dict[str, Array] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def nv(self) -> int:
        """Number of velocity coordinates."""
        return int(self.v.shape[1])

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max()) + 1

    @property
    def fold_of_block(self) -> Numbers:
        """The fold of each block (blocks,)."""
        first = np.unique(self.block, return_index=True)[1]
        return self.fold[first]

    @cached_property
    def has_moved(self) -> NDArray[np.bool_]:
        """Whether a joint has moved (N, nv) in its log, before or at a row."""
        out = np.zeros_like(self.moving)
        for k in range(len(self.names)):
            rows = self.log == k
            out[rows] = np.maximum.accumulate(self.moving[rows], axis=0)
        return out

    def of_log(self, name: str) -> Numbers:
        """The rows of a log."""
        return np.flatnonzero(self.log == self.names.index(name))

    def rows(self, chosen: Numbers) -> Samples:
        """Some of the rows, blocks and folds numbered as before."""
        pick = torch.from_numpy(chosen)
        states = {key: getattr(self, key)[pick] for key in ("q", "v", "a", "tau")}
        labels = {
            key: getattr(self, key)[chosen] for key in ("time", "log", "block", "fold", "moving")
        }
        return Samples(names=self.names, window=self.window, order=self.order, **states, **labels)


def rest_speed(motions: Sequence[Motion]) -> Array:
    """Below which speed each joint is taken to rest (nv,) [rad/s | m/s]: so many standard
    deviations of its velocity's noise, and at least a share of its root mean square speed."""
    speed = np.sqrt(np.mean(np.concatenate([m.v**2 for m in motions]), axis=0))
    noises = [m.noise["v"] for m in motions if "v" in m.noise]
    noise = np.max(noises, axis=0) if noises else np.zeros_like(speed)
    return np.maximum(_REST_NOISE * noise, _REST_SHARE * speed)


def gather(
    motions: Sequence[Motion],
    rest: Array | None = None,
    window: float = 0.0,
    order: int = 3,
    *,
    whole: bool = False,
) -> Samples:
    """Join motions. Of a long recording each n-th row is kept, about 6000 in all, which loses
    little: rows closer than a window of the filter are hardly new; with `whole` all of them. rest
    (nv,) are the speeds below which joints are taken to rest; `window` [s] and `order` are those of
    the filter.

    Raises DatasetError where there are too few rows to hold some out.
    """
    total = sum(len(m.time) for m in motions)
    step = 1 if whole else max(1, round(total / _MOST_ROWS))
    parts = [np.arange(0, len(m.time), step) for m in motions]
    duration = sum(float(m.time[-1] - m.time[0]) for m in motions if len(m.time))
    length = min(max(_BLOCK, duration / _MOST_BLOCKS), duration / _LEAST_BLOCKS)
    blocks: list[Numbers] = []
    begin = 0
    for motion, rows in zip(motions, parts, strict=True):
        time = motion.time[rows]
        pieces = max(1, round(float(time[-1] - time[0]) / max(length, 1e-9)))
        edges = np.linspace(time[0], time[-1], pieces + 1)[1:-1]
        blocks.append(begin + np.searchsorted(edges, time, side="right"))
        begin += pieces
    block = np.unique(np.concatenate(blocks), return_inverse=True)[1]
    log = np.concatenate([np.full(len(rows), k) for k, rows in enumerate(parts)])
    if not whole and block.max() + 1 < 4:
        raise DatasetError(
            f"recordings: expected motion for at least 4 blocks of time, found {len(log)} samples "
            f"in {duration:.3g} s; give longer logs"
        )

    def join(key: str) -> Tensor:
        values = [getattr(m, key)[rows] for m, rows in zip(motions, parts, strict=True)]
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(values), dtype=np.float64))

    v = join("v")
    moving = np.ones(v.shape, dtype=bool)
    if rest is not None:
        moving = np.abs(v.numpy()) > rest
    return Samples(
        names=tuple(m.name for m in motions),
        motions=tuple(motions),
        kept=tuple(parts),
        rest=np.zeros(v.shape[1]) if rest is None else rest,
        moving=moving,
        window=window,
        order=order,
        q=join("q"),
        v=v,
        a=join("a"),
        tau=join("tau"),
        time=np.concatenate([m.time[rows] for m, rows in zip(motions, parts, strict=True)]),
        log=log,
        block=block,
        fold=_folds(log, block),
    )


def _folds(log: Numbers, block: Numbers) -> Numbers:
    """Logs where there are enough of them, else runs of consecutive blocks."""
    logs = int(log.max()) + 1
    if logs >= _LOGS_AS_FOLDS:
        return log * min(_FOLDS, logs) // logs
    blocks = int(block.max()) + 1
    folds = min(_FOLDS, blocks)
    return block * folds // blocks
