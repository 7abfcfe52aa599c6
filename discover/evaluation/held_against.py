"""World models of recorded motions held against the law of the same logs, where none was fitted.

*Joint forces* are the common scale. A law says what force a motion takes; a model of accelerations
says by how much it is off in acceleration, and the mass matrix H of the law turns that into force:
H (a - a_model(q, v, tau)). One unit for all then, in which no joint's error is blown up by a light
neighbour and noise of measured torques counts once. Accelerations stand beside it, since they are
what a model of the world is asked for; there 1 is the error of predicting none.

*What one knows and the other does not*: the share of the mean square of one's residual that the
other's departure from it explains, by one factor a joint that was fitted to other blocks of time
(encompassing of forecasts: Chong & Hendry 1986). Of the law's residual tau - f(q, v, a), the
explaining departure is H (a - a_model(q, v, f)): the model is asked with the law's own force, not
with the measured one, so that it cannot explain the noise in the measurement by not believing it.

A departure that is what the model knows (mean square K) with errors of its own (E) has the factor
K / (K + E), and explains no larger a share than that. Where it does, it is like the residual in
shape only (both follow the motion, say): no share above the factor is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import kinematics
from discover.blackbox.contract import Dynamics
from discover.judgement.thresholds import threshold, whole
from discover.laws import RigidBodyLaw
from discover.laws.extensions.terms import forces, without_joint_terms
from discover.records import Stored

if TYPE_CHECKING:
    from discover.data.dataset import Dataset
    from kinematics import Robot

Array = NDArray[np.float64]

_BLOCK = threshold("identification.block")
_LEAST_BLOCKS = whole("identification.least_blocks")
_STILL = threshold("held.still")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Held-out rows: q (N, nq), v, a, tau (N, nv); log (N,) indexes `names`; block (N,) numbers
    pieces of about a second; noise (nv,) of the accelerations; unseen is false where no log was
    kept aside, and the ends of the training logs that stopped the training serve; within (N,) says
    which of them lie in the box that the training rows span, all of them where it is None."""

    q: Tensor
    v: Tensor
    a: Tensor
    tau: Tensor
    log: NDArray[np.int64]
    block: NDArray[np.int64]
    names: tuple[str, ...]
    noise: Array
    unseen: bool
    within: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Rows | None:
        """The test logs of recordings, else the validation part; None where there is neither."""
        part = dataset.part("test")
        unseen = len(part) > 0
        part = part if unseen else dataset.part("validation")
        if not len(part) or part.a is None:
            return None
        trajectory = part.trajectory.numpy()
        numbers = np.unique(trajectory)
        files = dataset.metadata.get("files", {})
        names = {e["trajectory"]: name for name, e in files.items() if "trajectory" in e}
        time, log = part.t.numpy(), np.searchsorted(numbers, trajectory)
        seconds = sum(float(np.ptp(time[log == k])) for k in range(len(numbers)))
        length = max(min(_BLOCK, seconds / _LEAST_BLOCKS), 1e-9)
        pairs = np.stack([log, np.floor(time / length).astype(np.int64)])
        return cls(
            q=part.q.double(),
            v=part.v.double(),
            a=part.a.double(),
            tau=part.tau.double(),
            log=log,
            block=np.unique(pairs, axis=1, return_inverse=True)[1].ravel(),
            names=tuple(names.get(int(n), f"trajectory {n}") for n in numbers),
            noise=np.asarray(dataset.metadata["noise"]["a"], dtype=np.float64),
            unseen=unseen,
            within=_within_box(dataset.part("train"), part),
        )


def _within_box(train: Dataset, rows: Dataset) -> NDArray[np.bool_]:
    """Which rows (N,) lie between the least and the greatest that the training rows have of every
    position, velocity and joint force."""
    seen, asked = (torch.cat([x.q, x.v, x.tau], dim=1).numpy() for x in (train, rows))
    inside = (asked >= seen.min(0)) & (asked <= seen.max(0))
    return np.asarray(inside.all(axis=1))


@dataclass(frozen=True, kw_only=True)
class Predictor(Stored):
    """Root mean square errors of one predictor, (logs, nv): of joint forces [N·m | N] and of
    accelerations [rad/s² | m/s²]. kind: "yardstick", "network" or "law of a network"; relative
    (nv,): error of accelerations over their own root mean square, nan where a joint rests;
    force_within, force_outside (nv,): of the joint forces over the rows in the box that the
    training rows span, and over the others, nan where there are none."""

    name: str
    kind: str
    force: Array
    acceleration: Array
    relative: Array
    force_within: Array = field(default_factory=lambda: np.zeros(0))
    force_outside: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def off(self) -> float:
        """Relative error over the joints that move: 1 or more is no better than predicting none."""
        known = self.relative[np.isfinite(self.relative)]
        return float(np.sqrt(np.mean(known**2))) if len(known) else math.nan


@dataclass(frozen=True, kw_only=True)
class Knowledge(Stored):
    """Of a network: the shares (nv,) of the law's residual that it explains, and of its own that
    the law explains; then those of all joints together, each with its standard error over blocks.
    """

    network: str
    of_law: Array
    of_network: Array
    law_all: float
    law_error: float
    network_all: float
    network_error: float


@dataclass(frozen=True, kw_only=True)
class HeldAgainst(Stored):
    """The comparison: joints, logs and samples, whether these logs were unseen, the predictors in
    order, what each network knows beyond the law, and what could not be done; within (logs,) is the
    share of each log's rows that lies in the box that the training rows span, knowledge_within what
    each knows over these rows alone; empty where they are all or none."""

    joints: tuple[str, ...]
    logs: tuple[str, ...]
    samples: int
    unseen: bool
    predictors: tuple[Predictor, ...]
    knowledge: tuple[Knowledge, ...]
    notes: tuple[str, ...] = ()
    within: Array = field(default_factory=lambda: np.zeros(0))
    knowledge_within: tuple[Knowledge, ...] = ()


def hold_against(
    rows: Rows,
    described: Robot,
    identified: RigidBodyLaw,
    baseline: RigidBodyLaw,
    networks: Mapping[str, Dynamics],
    laws: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> HeldAgainst:
    """Compare on held-out rows.

    described   the robot as its file has it
    identified, baseline   laws of the training logs: the best, and plain least squares
    networks    accelerations by name; laws those taken from them, None where there is none
    """
    with torch.no_grad():
        H = kinematics.crba(identified.robot, rows.q)
        tau_law = joint_forces(identified, rows)
        predictors = [
            _predictor("zero", "yardstick", rows, rows.tau, rows.a),
            _predictor(
                "description", "yardstick", rows,
                rows.tau - kinematics.rnea(described, rows.q, rows.v, rows.a),
                rows.a - kinematics.aba(described, rows.q, rows.v, rows.tau),
            ),
        ]  # fmt: skip
        for name, fitted in (("least squares", baseline), ("identified law", identified)):
            off = rows.tau - joint_forces(fitted, rows)
            predictors.append(
                _predictor(name, "yardstick", rows, off, rows.a - fitted(rows.q, rows.v, rows.tau))
            )
        knowledge, inside = [], []
        for name, network in networks.items():
            left = rows.a - network(rows.q, rows.v, rows.tau).to(rows.a)
            predictors.append(_predictor(name, "network", rows, _turned(H, left), left))
            law = laws.get(name)
            if law is not None:
                gap = rows.a - law(rows.q, rows.v, rows.tau)
                own = kinematics.crba(law.robot, rows.q) if isinstance(law, RigidBodyLaw) else H
                predictors.append(
                    _predictor(f"law of {name}", "law of a network", rows, _turned(own, gap), gap)
                )
            knows = _knowledge(name, network, identified, rows, H, tau_law, left)
            knowledge.append(knows())
            if 0 < _inside(rows).sum() < len(rows.log):
                inside.append(knows(_inside(rows)))
    return HeldAgainst(
        joints=described.independent_names,
        logs=rows.names,
        samples=len(rows.log),
        unseen=rows.unseen,
        predictors=tuple(predictors),
        knowledge=tuple(knowledge),
        knowledge_within=tuple(inside),
        notes=notes,
        within=np.array([_inside(rows)[rows.log == k].mean() for k in range(len(rows.names))]),
    )


def joint_forces(law: RigidBodyLaw, rows: Rows) -> Tensor:
    """What force (N, nv) the motion takes by a law of bodies and additive forces."""
    total = kinematics.rnea(law.robot, rows.q, rows.v, rows.a)
    if not law.extra:
        return total
    bodies = without_joint_terms(law.robot)
    columns = forces(law.extra, rows.q, rows.v, rows.a, rows.tau, bodies)
    return total + columns @ columns.new_tensor([t.coefficient for t in law.extra])


def explained(target: Array, reason: Array, block: NDArray[np.int64]) -> tuple[Array, float, float]:
    """Shares (n,) of the mean square of targets (N, n) that one non-negative factor of the reason
    (N, n) explains in blocks of time where that factor was not fitted, none above the factor; their
    mean, and its standard error (jackknife over blocks). Below zero: nothing is explained."""
    if not np.isfinite(reason).all():
        nothing = np.full(target.shape[1], math.nan)
        return nothing, math.nan, math.nan
    count = int(block.max()) + 1
    sums = [np.zeros((count, target.shape[1])) for _ in range(3)]
    for total, values in zip(sums, (reason**2, reason * target, target**2), strict=True):
        np.add.at(total, block, values)
    rr, rt, tt = sums
    factor = np.maximum((rt.sum(0) - rt) / np.maximum(rr.sum(0) - rr, 1e-300), 0.0)
    left = tt - 2 * factor * rt + factor**2 * rr
    each = np.minimum(1 - left.sum(0) / np.maximum(tt.sum(0), 1e-300), factor.mean(0))
    rest = np.maximum(tt.sum(0) - tt, 1e-300)
    without = np.minimum(1 - (left.sum(0) - left) / rest, factor).mean(1)
    error = math.sqrt((count - 1) / count * float(np.sum((without - without.mean()) ** 2)))
    return each, float(each.mean()), error


def _knowledge(
    name: str,
    network: Dynamics,
    law: RigidBodyLaw,
    rows: Rows,
    H: Tensor,
    tau_law: Tensor,
    left: Tensor,
) -> Callable[..., Knowledge]:
    """What a network knows beyond the law and the law beyond the network, over all rows or over
    those chosen (N,)."""
    departs = rows.a - network(rows.q, rows.v, tau_law).to(rows.a)
    better = left - (rows.a - law(rows.q, rows.v, rows.tau))
    target, reason = (rows.tau - tau_law).numpy(), _turned(H, departs).numpy()
    own, turned = _turned(H, left).numpy(), _turned(H, better).numpy()

    def over(chosen: NDArray[np.bool_] | slice = slice(None)) -> Knowledge:
        block = np.unique(rows.block[chosen], return_inverse=True)[1]
        of_law = explained(target[chosen], reason[chosen], block)
        of_network = explained(own[chosen], turned[chosen], block)
        return Knowledge(
            network=name,
            of_law=of_law[0],
            of_network=of_network[0],
            law_all=of_law[1],
            law_error=of_law[2],
            network_all=of_network[1],
            network_error=of_network[2],
        )

    return over


def _turned(H: Tensor, a: Tensor) -> Tensor:
    """Accelerations as joint forces."""
    return (H @ a.unsqueeze(-1)).squeeze(-1)


def _predictor(name: str, kind: str, rows: Rows, force: Tensor, a: Tensor) -> Predictor:
    size = np.sqrt(np.mean(rows.a.numpy() ** 2, axis=0))
    moves = size > _STILL * rows.noise
    error = np.sqrt(np.mean(a.numpy() ** 2, axis=0))
    return Predictor(
        name=name,
        kind=kind,
        force=_by_log(force, rows),
        acceleration=_by_log(a, rows),
        relative=np.where(moves, error / np.where(moves, size, 1.0), math.nan),
        force_within=_rms(force, _inside(rows)),
        force_outside=_rms(force, ~_inside(rows)),
    )


def _inside(rows: Rows) -> NDArray[np.bool_]:
    return np.ones(len(rows.log), dtype=bool) if rows.within is None else rows.within


def _rms(off: Tensor, chosen: NDArray[np.bool_]) -> Array:
    """Over the chosen rows, joint by joint; nan where there are none."""
    if not chosen.any():
        return np.full(off.shape[1], math.nan)
    return np.asarray(np.sqrt(np.mean(off.numpy()[chosen] ** 2, axis=0)))


def _by_log(off: Tensor, rows: Rows) -> Array:
    squares = off.numpy() ** 2
    return np.sqrt([squares[rows.log == k].mean(0) for k in range(len(rows.names))])
