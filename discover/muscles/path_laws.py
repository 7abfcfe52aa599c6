"""Laws of muscle paths, by branch: straight strings, strings round a cylinder, belts, polynomials.

A path is taken apart first. Joints whose effects on the length only add lie in blocks of their own;
within a block the length is one of

    linear      c + Σ wⱼ qⱼ                                belts, wraps round the joint's own axis
    straight    c + √(Φ(q)·k)                              one straight piece across the block
    wrap        c + √(D² - R²) + R (±φ - acos(R/D))        a piece round a cylinder along the joint
    polynomial  of total degree ≤ 6                        no path: the alternative

Φ has one factor a joint, (1, cos q, sin q) of a hinge and (1, q, q²) of a slide: the square of the
distance of two points is such a sum whatever the axes. It is fitted without iteration, because
(y + K)² = Φ·k is linear in k and K. D and φ are distance and angle of the moving point seen from
the cylinder's axis, which lies e away from the joint's: D² = e² + ρ² - 2 e ρ cos(q - δ).

Where no law explains all samples, branches are found by consensus: a law fitted to neighbours is
kept for all samples that it meets, and refitted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from discover.records import Stored

Array = NDArray[Any]
KINDS = ("linear", "straight", "wrap", "polynomial")
_DEGREE = 6
_BRANCHES = 4
_SEEDS = 6
_LEAST = 0.1  # share of the samples that makes a branch
_STARTS = (0.0, 1.6, 3.1, 4.7)  # of the angle δ


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece(Stored):
    """One branch of a block: its kind and numbers, in the order of `value`."""

    kind: str
    numbers: NDArray[Any]

    def value(self, q: Any, hinges: tuple[bool, ...], xp: Any = np) -> Any:
        """The block's length y (n,) [m], from that at the centre, at its joints (n, k)."""
        c = self.numbers
        if self.kind == "linear":
            return c[0] + sum(c[1 + j] * q[..., j] for j in range(len(hinges)))
        if self.kind == "polynomial":
            terms = _monomials(q, int(c[0]), xp)
            return sum(float(w) * t for w, t in zip(c[1:], terms, strict=True))
        if self.kind == "straight":
            terms = _trigonometric(q, hinges, xp)
            square = sum(float(w) * t for w, t in zip(c[2:], terms, strict=True))
            return float(c[1]) * xp.sqrt(xp.clip(square, 1e-300, None)) - float(c[0])
        return _wrapped(q[..., 0], c, xp)

    @property
    def words(self) -> str:
        """In a few words."""
        c = self.numbers
        if self.kind == "wrap":
            return f"wrap, radius {1e3 * c[4]:.4g} mm"
        if self.kind == "linear":
            return "belt " + ", ".join(f"{1e3 * w:.4g} mm" for w in c[1:])
        return f"polynomial of degree {int(c[0])}" if self.kind == "polynomial" else self.kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Block(Stored):
    """Joints that act on a length together, and the law of each branch.

    at, branch  (n, k) samples and the branch (n,) that they lie on, -1 for none: the branch map
    explained   share of the samples on some branch
    residual    largest miss there [m]
    """

    joints: tuple[int, ...]
    hinges: tuple[bool, ...]
    pieces: tuple[Piece, ...]
    at: NDArray[Any]
    branch: NDArray[Any]
    explained: float
    residual: float

    def __call__(self, q: Tensor) -> Tensor:
        """The block's length (n,) at its joints (n, k), each question on the branch of its nearest
        sample."""
        if not self.pieces:
            return torch.zeros(len(q), dtype=q.dtype)
        known = self.branch >= 0
        samples = torch.tensor(self.at[known])
        scale = samples.std(0).clamp_min(1e-12)
        near = torch.cdist((q.detach() / scale).double(), samples / scale).argmin(1)
        which = torch.tensor(self.branch[known])[near]
        out = torch.zeros(len(q), dtype=q.dtype)
        for b, piece in enumerate(self.pieces):
            out = torch.where(which == b, piece.value(q, self.hinges, torch), out)
        return out

    def nearest(self, q: Array, y: Array) -> Array:
        """The smallest miss (n,) [m] of any branch."""
        if not self.pieces:
            return np.full(len(q), np.inf)
        values = [np.abs(p.value(q, self.hinges) - y) for p in self.pieces]
        return np.asarray(np.nan_to_num(np.min(values, 0), nan=np.inf))


def fit_block(
    joints: tuple[int, ...], hinges: tuple[bool, ...], q: Array, y: Array, tolerance: float,
    seed: int = 0,
) -> Block:  # fmt: skip
    """The laws of a block from lengths y (n,) at its joints (n, k), met to a tolerance [m]."""
    rng = np.random.default_rng(seed)
    branch = np.full(len(q), -1)
    pieces: list[Piece] = []
    whole = _whole(q, y, hinges, tolerance)
    if whole is not None:
        pieces, branch = [whole], np.zeros(len(q), int)
    while whole is None and len(pieces) < _BRANCHES:
        left = np.flatnonzero(branch < 0)
        if len(left) < max(24, _LEAST * len(q)):
            break
        piece, met = _consensus(q[left], y[left], hinges, tolerance, rng)
        if piece is None or met.sum() < _LEAST * len(q):
            break
        branch[left[met]] = len(pieces)
        pieces.append(piece)
    block = Block(
        joints=joints, hinges=hinges, pieces=tuple(pieces), at=q, branch=branch,
        explained=float((branch >= 0).mean()), residual=0.0,
    )  # fmt: skip
    on = branch >= 0
    residual = float(block.nearest(q[on], y[on]).max()) if on.any() else 0.0
    return Block(**{**block.__dict__, "residual": residual})


def _whole(q: Array, y: Array, hinges: tuple[bool, ...], tolerance: float) -> Piece | None:
    """The simplest law that meets all samples."""
    for kind in KINDS:
        for piece in _fits(kind, q, y, hinges):
            if float(_miss(piece, q, y, hinges).max()) <= tolerance:
                return piece
    return None


def _consensus(
    q: Array, y: Array, hinges: tuple[bool, ...], tolerance: float, rng: np.random.Generator
) -> tuple[Piece | None, Array]:
    """The law that meets most samples, from fits to neighbours."""
    best: tuple[Piece | None, Array] = (None, np.zeros(len(q), bool))
    scaled = q / np.maximum(q.std(0), 1e-12)
    size = min(len(q), max(24, 3 * 3 ** len(hinges)))
    for kind in KINDS[:3]:
        # a cylinder's numbers are too many for a few neighbours: it begins with all
        seeds = rng.choice(len(q), min(_SEEDS, len(q)), replace=False) if kind != "wrap" else (-1,)
        for s in seeds:
            met = np.ones(len(q), bool)
            if s >= 0:
                met[:] = False
                met[np.argsort(((scaled - scaled[s]) ** 2).sum(1))[:size]] = True
            for _ in range(4):
                found = [
                    (p, _miss(p, q, y, hinges) <= tolerance)
                    for p in _fits(kind, q[met], y[met], hinges)
                ]
                if not found:
                    break
                piece, now = max(found, key=lambda f: int(f[1].sum()))
                if now.sum() > best[1].sum():
                    best = piece, now
                if now.sum() <= met.sum():
                    break
                met = now
    return best


def _miss(piece: Piece, q: Array, y: Array, hinges: tuple[bool, ...]) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.nan_to_num(np.abs(piece.value(q, hinges) - y), nan=np.inf))


def _fits(kind: str, q: Array, y: Array, hinges: tuple[bool, ...]) -> list[Piece]:
    if kind == "linear":
        A = np.column_stack((np.ones(len(q)), q))
        return [Piece(kind=kind, numbers=np.linalg.lstsq(A, y, rcond=None)[0])]
    if kind == "straight":
        return [_straight(q, y, hinges)] if len(hinges) <= 3 else []
    if kind == "wrap":
        return _wraps(q[:, 0], y) if hinges == (True,) else []
    out = []
    for degree in range(2, _DEGREE + 1):
        A = np.stack(_monomials(q, degree, np), 1)
        if 2 * A.shape[1] <= len(q):
            c = np.linalg.lstsq(A, y, rcond=None)[0]
            out.append(Piece(kind="polynomial", numbers=np.r_[degree, c]))
    return out


def _trigonometric(q: Any, hinges: tuple[bool, ...], xp: Any) -> list[Any]:
    terms = [q[..., 0] * 0 + 1]
    for j, hinge in enumerate(hinges):
        x = q[..., j]
        own = (xp.cos(x), xp.sin(x)) if hinge else (x, x * x)
        terms = [t * f for t in terms for f in (1, *own)]
    return terms


def _monomials(q: Any, degree: int, xp: Any) -> list[Any]:
    k = q.shape[-1]
    out = [q[..., 0] * 0 + 1]
    for d in range(1, degree + 1):
        for chosen in combinations_with_replacement(range(k), d):
            term = out[0]
            for j in chosen:
                term = term * q[..., j]
            out.append(term)
    return out


def _straight(q: Array, y: Array, hinges: tuple[bool, ...]) -> Piece:
    """y² = Φ·k' - 2 K y with k' = k but for the constant, k₀' = k₀ - K²."""
    size = float(np.abs(y).max()) or 1.0
    Phi = np.stack(_trigonometric(q, hinges, np), 1)
    A = np.column_stack((Phi, -2 * y / size))
    x = np.linalg.lstsq(A, (y / size) ** 2, rcond=1e-15)[0]
    K, k = x[-1] * size, x[:-1] * size**2
    k[0] += K * K
    return Piece(kind="straight", numbers=np.r_[K, np.sign(np.mean(y) + K) or 1.0, k])


def _wrapped(q: Any, c: Array, xp: Any) -> Any:
    offset, e, rho, delta, R, side = (float(x) for x in c)
    x = q - delta
    square = e * e + rho * rho - 2 * e * rho * xp.cos(x)
    D = xp.sqrt(xp.clip(square, (R * (1 + 1e-12)) ** 2 + 1e-300, None))
    # the angle of the moving point about the cylinder, without a cut where it may pass
    if rho > e:
        angle = x + xp.arctan2(e * xp.sin(x), rho - e * xp.cos(x))
    else:
        angle = -xp.arctan2(rho * xp.sin(x), e - rho * xp.cos(x))
    return offset + xp.sqrt(D * D - R * R) + R * (side * angle - xp.arccos(R / D))


def _wraps(q: Array, y: Array) -> list[Piece]:
    """Cylinders from several starts, by least squares; the closest two."""
    size = max(float(np.ptp(y)) / max(float(np.ptp(q)), 1e-9), 1e-9)  # about the moment arm
    low = np.array([-np.inf, 0.0, 1e-3 * size, -np.inf, 1e-3 * size])
    unit = np.array([size, size, size, 1.0, size])

    def descend(
        start: Array, side: float, effort: int, jac: str = "2-point"
    ) -> tuple[float, Array, float]:
        def residual(x: Array) -> Array:
            return np.nan_to_num((_wrapped(q, np.r_[x, side], np) - y) / size, nan=1e3)

        with np.errstate(all="ignore"):
            fit = least_squares(
                residual, start, bounds=(low, np.inf), max_nfev=effort, ftol=1e-15, xtol=1e-15,
                gtol=1e-15, x_scale=unit, jac=jac,
            )  # fmt: skip
        return float(fit.cost), fit.x, side

    found = []
    for side in (-1.0, 1.0):
        for delta in _STARTS:
            for far in (2.0, 5.0):
                start = size * np.array([0.0, 0.3, far, delta / size, 0.7])
                start[0] = float(np.mean(y - _wrapped(q, np.r_[start, side], np)))
                found.append(descend(start, side, 15))
    out: list[tuple[float, Piece]] = []
    for _, x, side in sorted(found, key=lambda f: f[0])[:3]:
        cost, x, _ = descend(x, side, 40)
        if not out or cost < 1e-6 * len(q):  # on its way: a cylinder's last digits take long
            cost, x, _ = descend(x, side, 100, "3-point")
        out.append((cost, Piece(kind="wrap", numbers=np.r_[x, side])))
        if cost < 1e-17 * len(q):
            break
    return [piece for _, piece in sorted(out, key=lambda f: f[0])[:2]]
