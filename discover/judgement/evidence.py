"""Evidence: one measured number, how sure we are of it, and which answers it supports.

This room needs numbers only, neither torch nor models: a verdict can be computed again from
evidence.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from discover.records import Stored


class Name(StrEnum):
    """What is measured for the verdict, in words that stay stable: stored evidence, the
    requirements in thresholds.toml and the records of the calibration are keyed by them."""

    LAW_ERROR_INSIDE = "law error in the region"
    BEST_ERROR_INSIDE = "best law error in the region"
    REFIT_ERROR_FAR = "refit error far out"
    SELF_EXTRAPOLATION = "self-extrapolation error"
    EXTENDED_ERROR_FAR = "extended law error far out"
    BEST_ERROR_FAR = "best law error far out"
    RESIDUAL_GROWTH = "residual growth"
    PREDICTABILITY = "low-dimensional predictability"
    GAIN = "gain of extra terms"
    COST_OF_BODIES = "cost of possible parameters"
    RESOLUTION = "resolution"
    REPEATABILITY = "repeatability"
    ROUGHNESS = "local roughness of the residual"
    INNER_LAW_END = "end of the law inside"
    INNER_LAW_END_IN_NOISE = "end of the law up to noise"
    LAWS_OF_PARTS = "error of laws of parts"
    FAR_CURVATURE = "far curvature"
    INERTIA_MISFIT = "growth of the inertia's misfit"
    FROZEN_STEPS = "frozen steps"
    KEPT_LABEL_NOISE = "kept label noise"
    TRAINING_GAP = "train/fresh gap"
    DISTANCE_LINK = "error against distance to training data"


MEANING = {
    Name.LAW_ERROR_INSIDE: "relative error of the rigid-body law on held-out answers in the "
    "region, beyond noise",
    Name.BEST_ERROR_INSIDE: "relative error of the best of all fitted laws on held-out answers in "
    "the region",
    Name.REFIT_ERROR_FAR: "rigid-body law fitted out to 2 half-widths: relative error at 2–3, "
    "worst axis",
    Name.SELF_EXTRAPOLATION: "rigid-body law fitted in the region only: relative error at 2–3 "
    "half-widths, worst axis",
    Name.EXTENDED_ERROR_FAR: "the best law with other terms, frozen: relative error at 2–3 "
    "half-widths",
    Name.BEST_ERROR_FAR: "the best of all laws: relative error at 2–3 half-widths, worst axis",
    Name.RESIDUAL_GROWTH: "residual of the rigid-body law at 2–3 half-widths over that in the "
    "region",
    Name.PREDICTABILITY: "cross-validated R² of the torque residual from a few variables",
    Name.GAIN: "far error of the rigid-body law over that of the law with other terms",
    Name.COST_OF_BODIES: "1 + the cost of physically possible bodies, over the law's error",
    Name.RESOLUTION: "largest departure from the law (relative, in the region) that noise and "
    "residual could have hidden",
    Name.REPEATABILITY: "spread of repeated answers over the spread of a",
    Name.ROUGHNESS: "share of the best law's residual that changes within a hundredth of a "
    "half-width, as between remembered samples, beyond noise",
    Name.INNER_LAW_END: "of a model that is constant far out: half-widths to which the law of the "
    "region holds, on the one of q, v and tau on which it ends first",
    Name.INNER_LAW_END_IN_NOISE: "the same of a model that is a law up to noise in the region: "
    "where the law's error beyond noise crosses 5 %",
    Name.LAWS_OF_PARTS: "relative error beyond noise, on fresh answers, of two laws, each on its "
    "side of a surface, of the first one past the region's edge as well; or of a law of all joints "
    "but one, far out",
    Name.FAR_CURVATURE: "second difference at 9–11 half-widths over that in the region, the lesser "
    "of q and v; 0 where that in v is unrelated to the one at twice the distance",
    Name.INERTIA_MISFIT: "misfit of the response to tau, outside over inside",
    Name.FROZEN_STEPS: "share of steps of 1/1000 half-width that change no answer",
    Name.KEPT_LABEL_NOISE: "correlation of label noise with the model's answers at training points",
    Name.TRAINING_GAP: "log10 of the error at fresh points over that at training points",
    Name.DISTANCE_LINK: "rank correlation of the error with the distance to the nearest training "
    "sample",
}
NULL = {  # the value where there is nothing to find, where it is not zero
    Name.RESIDUAL_GROWTH: 1.0,
    Name.GAIN: 1.0,
    Name.COST_OF_BODIES: 1.0,
    Name.FAR_CURVATURE: 1.0,
    Name.INERTIA_MISFIT: 1.0,
}
_RENAMED = {"grain of what is left over": Name.ROUGHNESS.value}  # in evidence stored before 0.2
_RENAMED_PREFIX = {"leftover force: ": "residual force: "}

Values = Mapping[Name, float]


@dataclass(frozen=True, kw_only=True)
class Evidence(Stored):
    """One measured number.

    name        what was measured: a `Name`, or other words for numbers that only describe
    value       the number
    interval    (low, high), its 95 % confidence interval
    null        its value where there is nothing to find
    threshold   the value at which support changes, from thresholds.toml; None for a description
    supports    the answers that it supports ("physics", …); empty for a description
    meaning     one plain sentence
    """

    name: str
    value: float
    interval: tuple[float, float]
    null: float | None = None
    threshold: float | None = None
    supports: tuple[str, ...] = ()
    meaning: str = ""

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Evidence:
        """The inverse of `to_dict`, of records with former names as well."""
        return super().from_dict({**record, "name": _current_name(record["name"])})


def description(name: str, value: float, meaning: str, null: float | None = None) -> Evidence:
    """Evidence that supports no answer by itself."""
    return Evidence(name=name, value=value, interval=(value, value), null=null, meaning=meaning)


def _current_name(stored: str) -> str:
    for old, new in _RENAMED_PREFIX.items():
        if stored.startswith(old):
            return new + stored.removeprefix(old)
    return _RENAMED.get(stored, stored)
