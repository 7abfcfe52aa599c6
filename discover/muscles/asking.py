"""A muscle model and how it is asked: region, queries, repeatability, noise floor.

A model of force answers (length [m], rate of length [m/s], activation) -> tension [N], of batches
(n,) each. Two numbers say how far its answers can be trusted: by how much the same question gets
another answer, and by how much answers to questions a millionth of the region apart differ from
each other more than any law with a slope would let them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc

from discover.errors import ModelError, RegionError
from discover.records import Stored

AXES = ("length", "rate", "activation")
Array = NDArray[Any]
_NEAR = 1e-6  # half-widths between neighbouring questions
_QUESTIONS = 256  # pairs of them


@dataclass(frozen=True, kw_only=True)
class MuscleRegion(Stored):
    """The box in which a muscle model is examined.

    length      (low, high) of the path [m], positive
    rate        (low, high) of its rate [m/s], or the half-width about zero
    activation  (low, high), within [0, 1]

    Raises RegionError.
    """

    length: tuple[float, float]
    rate: tuple[float, float]
    activation: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in AXES:
            object.__setattr__(self, name, _side(name, getattr(self, name)))
        if self.length[0] <= 0:
            raise RegionError(
                f"region: expected path lengths > 0 m, found {self.length[0]:g}; raise the low end"
            )
        if self.activation[0] < 0 or self.activation[1] > 1:
            raise RegionError(
                f"region: expected activations within [0, 1], found {self.activation}; narrow them"
            )

    @classmethod
    def of(cls, region: Any) -> MuscleRegion:
        """A region, or a mapping with its fields. Raises RegionError."""
        if isinstance(region, cls):
            return region
        if not isinstance(region, Mapping) or not {"length", "rate"} <= set(region) <= set(AXES):
            found = ", ".join(map(str, region)) if isinstance(region, Mapping) else repr(region)
            raise RegionError(
                "region: expected length, rate and activation of a muscle, found "
                f"{found[:80]}; give MuscleRegion(length=(low, high), rate=…)"
            )
        return cls(**region)

    @property
    def sides(self) -> Array:
        """(3, 2), low and high of each axis."""
        return np.array([getattr(self, name) for name in AXES])

    def points(self, n: int, seed: int) -> Array:
        """n points (n, 3) that fill the box evenly."""
        m = max(1, math.ceil(math.log2(n)))
        unit = qmc.Sobol(3, seed=seed).random_base2(m)[:n]
        low, high = self.sides.T
        return np.asarray(low + unit * (high - low))

    def scaled(self, factor: float, axes: tuple[str, ...] = ("length", "rate")) -> MuscleRegion:
        """The box widened about its centre along some axes, as far as lengths stay positive and
        activations within [0, 1]."""
        sides = {}
        for name in AXES:
            low, high = getattr(self, name)
            middle, half = (low + high) / 2, (high - low) / 2 * (factor if name in axes else 1)
            sides[name] = (middle - half, middle + half)
        sides["length"] = (max(sides["length"][0], 0.02 * self.length[1]), sides["length"][1])
        sides["activation"] = tuple(min(max(a, 0.0), 1.0) for a in sides["activation"])
        return MuscleRegion(**sides)


def _side(name: str, given: Any) -> tuple[float, float]:
    try:
        numbers = [float(x) for x in (given if np.ndim(given) else (-given, given))]
    except (TypeError, ValueError) as error:
        raise RegionError(
            f"region: expected {name} as (low, high), found {given!r}; give two numbers"
        ) from error
    if len(numbers) != 2 or not all(map(math.isfinite, numbers)) or numbers[0] >= numbers[1]:
        raise RegionError(
            f"region: expected {name} as (low, high) with low < high, found {given!r}; mend it"
        )
    return numbers[0], numbers[1]


@dataclass(frozen=True)
class Muscle:
    """A checked model: `muscle(points (n, 3)) -> forces (n,)`."""

    model: Callable[..., Any]

    @classmethod
    def of(cls, model: Any, muscle: int = 0) -> Muscle:
        """A function of three batches, or a law of force (`kinematics.muscles.curves.Forces`), of
        which one ``muscle`` is asked. Raises ModelError."""
        if hasattr(model, "force") and hasattr(model, "nm"):
            nm = int(model.nm)
            if not 0 <= muscle < nm:
                raise ModelError(f"expected a muscle in 0 … {nm - 1}, found {muscle}; choose one")

            def one(*given: torch.Tensor) -> torch.Tensor:
                wide = [x[:, None].expand(-1, nm) for x in given]
                return model.force(*wide)[:, muscle]

            return cls(one)
        if not callable(model):
            raise ModelError(
                "expected a model (length, rate, activation) -> force, found "
                f"{type(model).__name__}; give a function of batches"
            )
        return cls(model)

    def __call__(self, points: Array) -> Array:
        """Tensions (n,) [N]. Raises ModelError where answers are not finite or misshapen."""
        given = [torch.tensor(x, dtype=torch.float64) for x in np.ascontiguousarray(points.T)]
        kept = [x.clone() for x in given]
        try:
            with torch.no_grad():
                answer = torch.as_tensor(self.model(*given)).detach().cpu().double()
        except Exception as error:  # the model is not ours
            raise ModelError(
                f"expected forces of batches ({len(points)},), found {type(error).__name__}: "
                f"{str(error).splitlines()[0][:120] if str(error) else ''}; mend the model"
            ) from error
        if any(not torch.equal(x, y) for x, y in zip(given, kept, strict=True)):
            raise ModelError("expected a model that leaves its inputs, found them changed; copy")
        if answer.numel() != len(points) or answer.ndim > 2:
            raise ModelError(
                f"expected one force a question, ({len(points)},), found shape "
                f"{tuple(answer.shape)}; ask one muscle at a time"
            )
        out = answer.reshape(-1).numpy()
        if not np.isfinite(out).all():
            at = points[int(np.flatnonzero(~np.isfinite(out))[0])]
            raise ModelError(
                "expected finite forces, found NaN or infinity at length "
                f"{at[0]:.4g} m, rate {at[1]:.4g} m/s, activation {at[2]:.3g}; narrow the region"
            )
        return out


@dataclass(frozen=True, kw_only=True)
class Floor(Stored):
    """How far answers can be trusted, in shares of `scale`.

    scale        root mean square force in the region [N]
    noise        standard deviation that the same question shows when asked again, or that
                 neighbouring questions show beyond any slope
    unrepeatable share that changes when the same questions come again in another order
    flat         share of neighbouring questions with exactly the same answer: a table's plateaus
    """

    scale: float
    noise: float
    unrepeatable: float
    flat: float


def floor(muscle: Muscle, region: MuscleRegion, seed: int = 0) -> Floor:
    """Measure it with a thousand questions."""
    rng = np.random.default_rng(seed)
    points = region.points(_QUESTIONS, seed)
    half = (region.sides[:, 1] - region.sides[:, 0]) / 2
    first = muscle(points)
    order = rng.permutation(len(points))
    again = np.empty_like(first)
    again[order] = muscle(points[order])
    scale = float(np.sqrt((first**2).mean()))
    if scale == 0:
        return Floor(scale=0.0, noise=0.0, unrepeatable=0.0, flat=1.0)
    step = _NEAR * half * rng.choice([-1.0, 1.0], points.shape)
    step = np.where(points + step > region.sides[:, 1], -step, step)
    step = np.where(points + step < region.sides[:, 0], -step, step)
    near = muscle(points + step) - first
    # medians, so that a jump here and there is no noise: 1.4826 MAD is a Gaussian's deviation
    repeat = 1.4826 * float(np.median(np.abs(again - first))) / math.sqrt(2)
    local = 1.4826 * float(np.median(np.abs(near))) / math.sqrt(2)
    slope = 30 * _NEAR * scale  # no law worth the name is steeper than thirty times its size
    local = local if local > slope else 0.0
    alive = np.abs(first) > 1e-9 * scale  # slack muscles are flat too
    flat = float((near[alive] == 0).mean()) if alive.any() else 1.0
    return Floor(
        scale=scale,
        noise=max(repeat, local) / scale,
        unrepeatable=float(np.abs(again - first).max()) / scale,
        flat=flat,
    )
