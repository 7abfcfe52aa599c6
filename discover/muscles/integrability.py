"""A model of muscle geometry and how it is asked; which joints a muscle crosses; integrability.

Lengths are functions of the configuration, so moment arms r = -∂L/∂q are a gradient: their own
derivatives are symmetric and their integral round any loop vanishes. A head that answers moment
arms on its own owes that to nobody. Lengths may jump, too, where a path flips to another side: then
an integral of moment arms misses the jump.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc

from discover.errors import ModelError
from discover.records import Stored

Array = NDArray[Any]
_STEP = 1e-4  # half-widths, of differences of exact answers
_LINES = 24
_ON_A_LINE = 97
_HALVINGS = 30
_QUADRATURE = 24


@dataclass(frozen=True)
class Geometry:
    """A checked model over a box of joint coordinates.

    low, high   (nv,) of the box [rad | m]
    """

    model: Callable[..., Any]
    low: Array
    high: Array

    @property
    def half(self) -> Array:
        """Half-widths (nv,)."""
        return (self.high - self.low) / 2

    @property
    def centre(self) -> Array:
        """(nv,)."""
        return (self.high + self.low) / 2

    def points(self, n: int, seed: int, factor: float = 1.0) -> Array:
        """n configurations (n, nv) that fill the box, or one wider by a factor."""
        nv = len(self.low)
        if nv <= 32:
            m = max(1, math.ceil(math.log2(n)))
            unit = qmc.Sobol(nv, seed=seed).random_base2(m)[:n]
        else:
            unit = np.random.default_rng(seed).random((n, nv))
        return np.asarray(self.centre + factor * self.half * (2 * unit - 1))

    def ask(self, q: Array) -> tuple[Array, Array | None]:
        """Lengths (n, nm) [m] and, where the model gives them, moment arms (n, nm, nv)."""
        try:
            with torch.no_grad():
                answer = self.model(torch.tensor(np.ascontiguousarray(q)))
            both = isinstance(answer, tuple | list)
            parts = [
                torch.as_tensor(x).detach().cpu().double().numpy()
                for x in (answer if both else (answer,))
            ]
        except Exception as error:  # the model is not ours
            text = str(error).splitlines()[0][:120] if str(error) else ""
            raise ModelError(
                f"expected lengths of configurations {q.shape}, found {type(error).__name__}: "
                f"{text}; mend the model"
            ) from error
        lengths = parts[0]
        arms = parts[1] if len(parts) > 1 else None
        n, nv = q.shape
        good = lengths.ndim == 2 and len(lengths) == n and lengths.shape[1] > 0
        if not good or (arms is not None and arms.shape != (*lengths.shape, nv)):
            found = f"{lengths.shape}" + (f" and {arms.shape}" if arms is not None else "")
            raise ModelError(
                f"expected lengths ({n}, nm), or these and moment arms ({n}, nm, {nv}), found "
                f"{found}; mend the model"
            )
        if not (np.isfinite(lengths).all() and (arms is None or np.isfinite(arms).all())):
            at = int(np.flatnonzero(~np.isfinite(lengths).all(1) | (
                False if arms is None else ~np.isfinite(arms).all((1, 2))))[0])  # fmt: skip
            raise ModelError(
                f"expected finite answers, found NaN or infinity at q = {q[at].round(4).tolist()}; "
                "narrow the region"
            )
        return lengths, arms

    def lengths(self, q: Array) -> Array:
        """(n, nm)."""
        return self.ask(q)[0]

    def noise(self) -> tuple[Array, Array]:
        """By muscle: the deviation [m] of answers a millionth of a half-width apart from a straight
        line; and the share of such neighbours with exactly one answer."""
        q = self.points(64, 3, 0.9)
        step = 1e-6 * self.half * np.where(np.arange(len(self.half)) % 2, -1.0, 1.0)
        three = [self.lengths(q + k * step) for k in (-1, 0, 1)]
        bend = three[0] - 2 * three[1] + three[2]
        flat = (three[0] == three[1]).mean(0)
        return 1.4826 * np.median(np.abs(bend), 0) / math.sqrt(6), flat

    def share(self, noise: Array) -> float:
        """The step of differences in half-widths: wider where answers are noisy, so that noise and
        curvature spoil them alike."""
        size = float(np.ptp(self.lengths(self.points(64, 3)), axis=0).max())
        if noise.max() < 1e-13 or size == 0:
            return _STEP
        return float(np.clip(np.cbrt(noise.max() / size), _STEP, 0.05))

    def gradient(self, q: Array, noise: Array) -> Array:
        """-∂L/∂q (n, nm, nv) by central differences, wider where answers are noisy."""
        share = self.share(noise)
        n, nv = q.shape
        steps = np.diag(share * self.half)
        asked = np.concatenate((q[:, None] + steps, q[:, None] - steps)).reshape(-1, nv)
        L = self.lengths(asked).reshape(2, n, nv, -1)
        return np.asarray(-np.moveaxis(L[0] - L[1], 1, 2) / (2 * share * self.half))


@dataclass(frozen=True, kw_only=True, eq=False)
class Integrability(Stored):
    """By muscle, in shares of the muscle's largest effect (moment arm times half-width).

    effect      (nm, nv) largest |∂L/∂q| times half-width [m]
    given       whether the model gives moment arms
    apart       (nm, nv) rms of r + ∂L/∂q, where it does
    curl        (nm,) rms of the skew part of ∂r/∂q, likewise
    loops       (nm,) rms of ∮ r·dq round rectangles, likewise
    jumps       (nm,) the largest jump of the length found [m]
    jump_at     (nm, nv) where
    """

    effect: NDArray[Any]
    given: bool
    apart: NDArray[Any]
    curl: NDArray[Any]
    loops: NDArray[Any]
    jumps: NDArray[Any]
    jump_at: NDArray[Any]

    def broken(self, noise: Array) -> Array:
        """(nm,) whether moment arms that the model gives are no derivative of its lengths."""
        floor = np.maximum(1e-3, 50 * noise / np.maximum(self.effect.max(1), 1e-12))
        worst = np.maximum(self.apart.max(1), np.maximum(self.curl, self.loops))
        return np.asarray(worst > floor) if self.given else np.zeros(len(noise), bool)


def integrability(model: Geometry, noise: Array, samples: int = 128) -> Integrability:
    """Measure it."""
    q = model.points(samples, 5)
    _, arms = model.ask(q)
    slopes = model.gradient(q, noise)
    nm, nv = slopes.shape[1:]
    effect = np.abs(slopes).max(0) * model.half
    size = np.maximum(effect.max(1), 1e-12)
    apart, curl, loops = np.zeros((nm, nv)), np.zeros(nm), np.zeros(nm)
    if arms is not None:
        miss = np.abs(arms - slopes) * model.half / size[:, None]
        # a difference across a kink or a jump tells nothing of either side
        kept = np.sort(miss, 0)[: max(1, int(0.97 * samples))]
        apart = np.sqrt((kept**2).mean(0))
        if nv > 1:
            curl = _curl(model, q[:48], size)
            loops = _loops(model, size)
    jumps, at = _jumps(model, noise)
    return Integrability(
        effect=effect, given=arms is not None, apart=apart, curl=curl, loops=loops, jumps=jumps,
        jump_at=at,
    )  # fmt: skip


def _arms(model: Geometry, q: Array) -> Array:
    arms = model.ask(q)[1]
    assert arms is not None
    return arms


def _curl(model: Geometry, q: Array, size: Array) -> Array:
    n, nv = q.shape
    share = 1e-3
    steps = np.diag(share * model.half)
    asked = np.concatenate((q[:, None] + steps, q[:, None] - steps)).reshape(-1, nv)
    r = _arms(model, asked).reshape(2, n, nv, -1, nv)
    # by half-widths on both sides: (n, derivative, nm, joint)
    slope = (r[0] - r[1]) / (2 * share) * model.half
    skew = np.abs(slope - np.swapaxes(slope, 1, 3)) / 2
    kept = np.sort(skew.max((1, 3)), 0)[: max(1, int(0.95 * n))]
    return np.asarray(np.sqrt((kept**2).mean(0)) / size)


def _loops(model: Geometry, size: Array) -> Array:
    """∮ r·dq round rectangles in planes of two joints."""
    rng = np.random.default_rng(1)
    x, w = np.polynomial.legendre.leggauss(_QUADRATURE)
    x, w = (x + 1) / 2, w / 2
    nv = len(model.low)
    total = []
    for _ in range(8):
        i, j = rng.choice(nv, 2, replace=False)
        corner = model.low + 2 * model.half * rng.uniform(0.05, 0.45, nv)
        sides = np.zeros((2, nv))
        sides[0, i], sides[1, j] = model.half[i], model.half[j]
        around = 0.0
        for start, along in (
            (corner, sides[0]), (corner + sides[0], sides[1]),
            (corner + sides[0] + sides[1], -sides[0]), (corner + sides[1], -sides[1]),
        ):  # fmt: skip
            r = _arms(model, start + x[:, None] * along)
            around = around + np.einsum("s,smj,j->m", w, r, along)
        total.append(around)
    return np.asarray(np.sqrt((np.array(total) ** 2).mean(0)) / size)


def _jumps(model: Geometry, noise: Array) -> tuple[Array, Array]:
    """The largest jump (nm,) [m] on straight lines through the box, and where (nm, nv).

    The steepest steps of each muscle are halved until a slope would have vanished.
    """
    ends = model.points(2 * _LINES, 11).reshape(2, _LINES, 1, -1)
    t = np.linspace(0, 1, _ON_A_LINE)[:, None]
    q = ends[0] + t * (ends[1] - ends[0])
    L = model.lengths(q.reshape(-1, q.shape[-1])).reshape(_LINES, _ON_A_LINE, -1)
    steps = np.diff(L, axis=1)
    odd = np.abs(steps[:, 1:-1] - (steps[:, 2:] + steps[:, :-2]) / 2)
    nm = L.shape[-1]
    flat = odd.reshape(-1, nm)
    top = np.argsort(-flat, 0)[:3]  # (3, nm)
    line, place = np.unravel_index(top.T.ravel(), odd.shape[:2])
    muscle = np.repeat(np.arange(nm), 3)
    rows = np.arange(len(muscle))
    a, b = q[line, place + 1], q[line, place + 2]
    La, Lb = (model.lengths(x)[rows, muscle] for x in (a, b))
    for _ in range(_HALVINGS):
        m = (a + b) / 2
        Lm = model.lengths(m)[rows, muscle]
        left = np.abs(Lm - La) > np.abs(Lb - Lm)
        b, Lb = np.where(left[:, None], m, b), np.where(left, Lm, Lb)
        a, La = np.where(left[:, None], a, m), np.where(left, La, Lm)
    height = np.abs(Lb - La).reshape(nm, 3)
    size = np.maximum(np.ptp(L.reshape(-1, nm), axis=0), 1e-12)
    best = height.argmax(1)
    jump = height.max(1)
    there = jump > np.maximum(1e-6 * size, 20 * noise)
    at = (a.reshape(nm, 3, -1))[np.arange(nm), best]
    return np.where(there, jump, 0.0), np.asarray(at)
