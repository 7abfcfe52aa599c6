"""One entry of a law from its samples: of the mass matrix, gravity, or the velocity forces.

*Flat*: few terms out of a trigonometric library, nothing known but that coordinates are angles.
*Recursion*: where the tree is known, the entry as the tree's own recursion makes it, its inertial
parameters fitted; a flat sum explodes with the joints (1,913 terms for the matrix of an arm of
six), the recursion does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
import torch
from torch import Tensor

import kinematics
from discover.judgement.thresholds import whole
from discover.laws.contract import EFFECTIVE_SAMPLES
from discover.laws.extensions.terms import symbols
from discover.laws.regression.fourier import Library, products, waves
from discover.laws.regression.sparse_regression import KAPPA, Selected, select_columns
from discover.laws.rigid_body.family import identifiable_basis
from discover.threads import one_thread
from kinematics import Robot

KINDS = ("mass matrix", "gravity", "velocity")
_LIBRARY = whole("regression.library_columns")
_TERMS = whole("regression.readable_terms")
_DIRECTIONS = 1e-9  # relative singular values below which a direction cannot be told
_HELD = whole("regression.held_out_every")


@dataclass(frozen=True, kw_only=True)
class EntryIndex:
    """Which entry: H[i, j]; gravity[i]; or the factor of v_j v_k in the velocity forces [i]."""

    kind: str
    i: int
    j: int = 0
    k: int = 0

    def of(self, robot: Robot, q: Tensor) -> Tensor:
        """The entry of `robot` at q (n, nq): (n,)."""
        parts = [s * _forces(robot, q, v, a) for s, v, a in self._motions(robot.nv)]
        return torch.stack(parts).sum(0)[..., self.i]

    def columns(self, robot: Robot, q: Tensor, basis: Tensor) -> np.ndarray:
        """The same, linear in the coordinates of the bodies' identifiable parameters: (n, k)."""
        motions, n = self._motions(robot.nv), len(q)
        v = torch.stack([v for _, v, _ in motions]).repeat_interleave(n, 0)
        a = torch.stack([a for _, _, a in motions]).repeat_interleave(n, 0)
        rows = kinematics.regressor(robot, q.repeat(len(motions), 1), v, a)[:, self.i]
        signs = torch.tensor([s for s, _, _ in motions], dtype=rows.dtype)
        summed = torch.einsum("m,mnk->nk", signs, rows.reshape(len(motions), n, -1))
        return (summed @ basis).numpy()

    def _motions(self, nv: int) -> list[tuple[float, Tensor, Tensor]]:
        """(sign, v, a) of the inverse dynamics that make up the entry."""
        unit, zero = torch.eye(nv, dtype=torch.float64), torch.zeros(nv, dtype=torch.float64)
        if self.kind == "gravity":
            return [(1.0, zero, zero)]
        if self.kind == "mass matrix":
            return [(1.0, zero, unit[self.j]), (-1.0, zero, zero)]
        if self.j == self.k:
            return [(1.0, unit[self.j], zero), (-1.0, zero, zero)]
        # Velocity forces are a quadratic form: half of what the sum and the difference of the two
        # motions ask for, one less the other, is the factor of both; gravity cancels.
        one, other = unit[self.j], unit[self.k]
        return [(0.5, one + other, zero), (-0.5, one - other, zero)]


def _forces(robot: Robot, q: Tensor, v: Tensor, a: Tensor) -> Tensor:
    return kinematics.rnea(robot, q, v.expand(len(q), -1), a.expand(len(q), -1))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry that was found.

    route       "flat", or "recursion"
    terms       its terms in SymPy (flat), with `coefficients`
    robot       the tree with identified parameters (recursion); its formulas are its programs'
    error       root mean square on the held-out samples, over that of the entry
    length      description length in nats
    """

    route: str
    place: EntryIndex
    coefficients: np.ndarray
    error: float
    length: float
    terms: tuple[sympy.Expr, ...] = ()
    robot: Robot | None = None
    library: Library | None = None
    support: tuple[int, ...] = ()

    def __call__(self, q: Tensor) -> Tensor:
        """The entry at q (n, nq): (n,)."""
        if self.robot is not None:
            return self.place.of(self.robot, q)
        assert self.library is not None
        columns = self.library.columns(q.numpy())[:, self.support]
        return torch.from_numpy(columns @ self.coefficients)

    @property
    def expression(self) -> sympy.Expr | None:
        """The flat sum; None for a recursion."""
        if self.robot is not None:
            return None
        pairs = zip(self.coefficients, self.terms, strict=True)
        return sympy.Add(*(sympy.Float(c) * t for c, t in pairs))


@one_thread()
def fit_entry(
    place: EntryIndex,
    q: Tensor,
    y: Tensor,
    *,
    tree: Robot | None = None,
    members: Tensor | None = None,
) -> Entry:
    """The entry from samples y (n,) at q (n, nq): by recursion where the tree is known, else flat.

    tree     whose topology, axes and offsets are known; its inertial parameters are not used
    members  (m, n) the same samples as m members of an ensemble answer them, where there are such
    """
    held = np.arange(len(q)) % _HELD == _HELD - 1
    x, target = q.numpy(), y.numpy()
    several = None if members is None else members.numpy()
    if tree is not None:
        return _recursion(place, q, target, several, held, tree)
    flat = _flat(place, x, target, several, held)
    if not flat:
        raise ValueError(
            f"expected a library of at most {_LIBRARY} columns for a flat sum, found more for "
            f"{q.shape[1]} angles: give the tree, for its recursion"
        )
    return min(flat, key=lambda e: e.length)


def _flat(
    place: EntryIndex, q: np.ndarray, y: np.ndarray, members: np.ndarray | None, held: np.ndarray
) -> list[Entry]:
    n = q.shape[1]
    angles = symbols(n)["q"]
    # Inertia does not depend on where the base joint stands, nor on joints before the first.
    first = 0 if place.kind == "gravity" else 1
    which = range(first, n)
    degree = 2 if place.kind != "gravity" and 5 ** len(which) <= _LIBRARY else 1
    scale = float(np.sqrt(np.mean(y**2))) or 1.0
    found = []
    for make in (waves, products):
        library = make(angles, which, degree)
        if library.size > _LIBRARY:
            continue
        A = library.columns(q)
        some = None if members is None else members[:, ~held]
        selected = select_columns(A[~held], y[~held], some, most=_TERMS)
        error = _held_out(A[held], y[held], selected) / scale
        k, p = len(selected.support), library.size
        choices = math.lgamma(p + 1) - math.lgamma(k + 1) - math.lgamma(p - k + 1)
        chosen = A[:, selected.support]
        coefficients = np.linalg.lstsq(chosen, y, rcond=None)[0] if k else np.zeros(0)
        found.append(
            Entry(
                route="flat",
                place=place,
                coefficients=coefficients,
                error=error,
                length=_length(error, k) + choices,
                terms=tuple(library.expressions(i) for i in selected.support),
                library=library,
                support=selected.support,
            )
        )
        if selected.exact:
            break
    return found


def _held_out(A: np.ndarray, y: np.ndarray, selected: Selected) -> float:
    rest = y - A[:, selected.support] @ selected.coefficients
    return float(np.sqrt(np.mean(rest**2)))


def _length(error: float, numbers: int) -> float:
    bits = EFFECTIVE_SAMPLES * math.log(max(error, 1e-12))
    return bits + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)


def _recursion(
    place: EntryIndex,
    q: Tensor,
    y: np.ndarray,
    members: np.ndarray | None,
    held: np.ndarray,
    tree: Robot,
) -> Entry:
    basis = identifiable_basis(tree)
    A = place.columns(tree, q, basis)
    some = None if members is None else members[:, ~held]
    scale = float(np.sqrt(np.mean(y**2))) or 1.0
    beta, numbers = _directions(A[~held], y[~held], some)
    error = float(np.sqrt(np.mean((y[held] - A[held] @ beta) ** 2))) / scale
    beta, numbers = _directions(A, y, members)
    return Entry(
        route="recursion",
        place=place,
        coefficients=beta,
        error=error,
        length=_length(error, numbers),
        robot=tree.replace(pi=(basis @ torch.from_numpy(beta)).reshape(-1, 10)),
    )


def _directions(A: np.ndarray, y: np.ndarray, members: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Least squares of least norm, without directions that cannot be told; how many can.

    Where members are given, neither with those that they disagree about.
    """
    norms = np.linalg.norm(A, axis=0)
    norms = np.where(norms > 1e-12 * norms.max(), norms, np.inf)
    Q, R = np.linalg.qr(A / norms)
    inner, s, Vt = np.linalg.svd(R)
    keep = s > _DIRECTIONS * s[0]
    U = Q @ inner
    along = U.T @ y
    if members is not None:
        away = members - members.mean(0)
        spread = np.sqrt(((away @ U) ** 2).sum(0) / max(1, len(members) - 1))
        keep &= np.abs(along) > KAPPA * np.maximum(spread, np.median(spread[keep]))
    return (Vt[keep].T @ (along[keep] / s[keep])) / norms, int(keep.sum())


def all_entries(nv: int, joints: Sequence[int] | None = None) -> list[EntryIndex]:
    """All entries of a tree of nv joints: mass matrix, gravity, velocity forces."""
    rows = range(nv) if joints is None else joints
    out = [EntryIndex(kind="mass matrix", i=i, j=j) for i in rows for j in range(i, nv)]
    out += [EntryIndex(kind="gravity", i=i) for i in rows]
    pairs = [(j, k) for j in range(nv) for k in range(j, nv)]
    return out + [EntryIndex(kind="velocity", i=i, j=j, k=k) for i in rows for j, k in pairs]
