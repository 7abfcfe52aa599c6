"""Variable projection: screws by Gauss-Newton, inertial parameters solved for at every step.

The residual is what the best inertial parameters leave of [H | force at rest]. Its derivative with
respect to the screws, projected on what the parameters cannot make up for (Kaufman 1975), needs
only the forward model at fixed parameters, differentiated exactly by a complex step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.least_squares import scales, truncated
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import LocalDynamics
from discover.numerics import Descent, Projection, descend, project

JOINT_TERMS = ("armature", "spring", "constant force")
COMPLEX_STEP = 1e-30  # of derivatives by a complex step, which are exact
_RIDGE = 1e-9
_FLOOR = threshold("fit.exact_geometry")
_ROUNDED = threshold("fit.geometry_rounding_gain")
_NARROWEST = threshold("fit.exact_geometry_in_single_precision")
_WHITENED_FLOOR = threshold("fit.geometry_under_noise")
_FINER = threshold("fit.geometry_fine_gain")
COARSE = 1e-5
_LEAST = 1e-14  # variance of a combination over that of the best, no less
_SHOWN = 1e-6  # of the best shown combination: what is shown less is not known


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Unit screws (nv, 6), the root mean square of the weighted residual, and the gravity [m/s²]
    that goes with both."""

    screws: Array
    error: float
    gravity: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """What a residual of [H | force] (…, n, nv, nv + 1) is worth: by entries, or as noise has it.

    Exact answers: one weight an entry, `rows` of the flat residual that count (entries below the
    diagonal and between joints that no body shares are said twice, or zero). Answers with noise:
    left @ residual @ right has independent entries of unit variance. The force is left out where
    nothing weighs on the joints.
    """

    weight: Array | None = None
    rows: Array | None = None
    left: Array | None = None
    right: Array | None = None

    @classmethod
    def of_sizes(cls, tree: ScrewTree, data: LocalDynamics) -> Weights:
        """Exact answers, by the sizes of the entries."""
        weight = np.broadcast_to(1.0 / scales(data), (len(data), *scales(data).shape))
        upper = np.triu(np.ones_like(tree.shared)) & tree.shared
        use = np.column_stack([upper, np.ones(len(upper), dtype=bool)])
        rows = np.broadcast_to(use, weight.shape).ravel().nonzero()[0]
        return cls(weight=weight, rows=rows)

    @classmethod
    def of_noise(cls, data: LocalDynamics, weighs: bool) -> Weights:
        """Answers that scatter, by the covariance of their errors."""
        count = data.columns.shape[-1] - (not weighs)
        left, right = _whitener(data.rows), _whitener(data.columns[:, :count, :count])
        return cls(left=left, right=right.swapaxes(1, 2))

    def __call__(self, x: Array) -> Array:
        """The weighted entries (…, r) of x (…, n, nv, nv + 1)."""
        if self.left is not None and self.right is not None:
            full = self.left @ x[..., : self.right.shape[1]] @ self.right
            return full.reshape(*full.shape[:-3], -1)
        full = x * self.weight
        return full.reshape(*full.shape[:-3], -1)[..., self.rows]


def _whitener(covariance: Array) -> Array:
    """W (n, k, k) with W C Wᵀ = 1; directions that rounding leaves no variance count as if they had
    the least that can be told (a model need not have a mass matrix)."""
    size = np.sqrt(np.abs(np.einsum("nii->ni", covariance))) + 1e-150
    scaled = np.nan_to_num(covariance / size[:, :, None] / size[:, None], posinf=0.0, neginf=0.0)
    values, vectors = np.linalg.eigh(scaled)
    values = np.maximum(values, _LEAST * np.maximum(values[:, -1:], _LEAST))
    return vectors.swapaxes(1, 2) / np.sqrt(values)[:, :, None] / size[:, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """[H | force] of a tree at configurations q, weighted.

    y (r,): what was answered, weighted. `floor`: the misfit at which nothing is left to explain.
    `joint_terms`: what each joint may have of its own beside its bodies, of `JOINT_TERMS`.
    `cut`: combinations of parameters that the answers show less than this are not used. A coarse
    cut keeps the search from nearly degenerate screws with huge parameters that make up for them.
    """

    tree: ScrewTree
    q: Array
    y: Array
    weights: Weights
    floor: float
    joint_terms: tuple[str, ...] = ()
    cut: float = _RIDGE

    @classmethod
    def of(
        cls,
        tree: ScrewTree,
        data: LocalDynamics,
        *,
        whitened: bool,
        joint_terms: tuple[str, ...] = (),
    ) -> Problem:
        """Weights from the covariance of the answers if they scatter, else from their size."""
        if whitened:
            weights, floor = (
                Weights.of_noise(data, bool(joint_terms) or tree.gravity != 0),
                _WHITENED_FLOOR,
            )
            H = data.raw
        else:
            weights = Weights.of_sizes(tree, data)
            rounding = max(data.misfit, data.asymmetry)
            floor = min(max(_FLOOR, _ROUNDED * rounding), _NARROWEST)
            H = data.H
        y = weights(np.concatenate([H, data.force[:, :, None]], 2))
        return cls(tree=tree, q=data.q, y=y, weights=weights, floor=floor, joint_terms=joint_terms)

    @property
    def whitened(self) -> bool:
        """Whether misfits are in standard deviations."""
        return self.weights.left is not None

    def design(self, screws: Array) -> Array:
        """Weighted rows (r, p), linear in the 10 nv inertial parameters and the joint terms."""
        columns = self.tree.regressor(screws, self.q)
        if self.joint_terms:
            columns = np.concatenate([columns, self._own_terms()], -1)
        return self.weights(np.moveaxis(columns, -1, 0)).T

    def _own_terms(self) -> Array:
        """The k terms of each joint, kind by kind: (n, nv, nv + 1, k nv); none of a free base's
        six coordinates."""
        nv, nb = len(self.tree.body_of), len(self.tree.parents)
        out = np.zeros((len(self.q), nv, nv + 1, len(self.joint_terms), nv))
        at = self.q[:, self.q.shape[1] - nv :]  # a placement has one number more than a twist
        for k, term in enumerate(self.joint_terms):
            for j in range(nv - nb + (nv > nb), nv):
                if term == "armature":
                    out[:, j, j, k, j] = 1.0
                else:
                    out[:, j, nv, k, j] = at[:, j] if term == "spring" else 1.0
        return out.reshape(*out.shape[:3], -1)

    def parameters(self, screws: Array) -> Array:
        """Inertial parameters, then joint terms if any, (p,), of least norm."""
        return truncated(self.design(screws), self.y)

    def error_of(self, screws: Array, parameters: Array) -> float:
        """Root mean square of the weighted residual with given parameters (p,)."""
        return float(np.sqrt(np.mean((self.design(screws) @ parameters - self.y) ** 2)))

    def project(self, screws: Array) -> Projection:
        """The best inertial parameters and joint terms, and what they leave (r,)."""
        return project(self.design(screws), self.y, self.cut)

    def screw_slopes(self, screws: Array, pi: Array) -> Array:
        """d prediction / d raw screws (r, 6 nv) at inertial parameters pi (nv, 10); where the size
        of gravity is sought, d prediction / d log gravity in a last column."""
        slopes = self.weights(self.tree.sensitivity(screws, pi, self.q)).T
        if not self.tree.seeks_weight:
            return slopes
        weight = self.tree.forces(screws, pi, self.q)
        weight[..., :-1] = 0.0
        return np.column_stack([slopes, self.weights(weight)])

    def under(self, gravity: float) -> Problem:
        """The same where bodies fall otherwise [m/s²]."""
        if gravity == self.tree.gravity:
            return self
        return replace(self, tree=replace(self.tree, gravity=gravity))

    def slopes(self, screws: Array, parameters: Array) -> Array:
        """d prediction / d (raw screws, parameters): (r, 6 nv + p), in weighted units; where the
        size of gravity is sought, that by its logarithm is the last column."""
        pi = parameters[: 10 * len(screws)].reshape(-1, 10)
        by_screw, design = self.screw_slopes(screws, pi), self.design(screws)
        return np.hstack([by_screw[:, : screws.size], design, by_screw[:, screws.size :]])

    def spread(self, screws: Array, parameters: Array) -> Array:
        """(6 nv + p, k) whose product with its transpose is the covariance of screws and parameters
        together, over the directions that the answers show; in the gauge directions, where nothing
        is known, it is zero."""
        J = self.slopes(screws, parameters)
        size = np.linalg.norm(J, axis=0)
        size = np.where(size > 1e-12 * size.max(), size, np.inf)
        _, s, vt = np.linalg.svd(J / size, full_matrices=False)
        keep = s > _SHOWN * s[0]
        left = self.y - self.design(screws) @ parameters
        variance = float(left @ left) / max(1, len(left) - int(keep.sum()))
        return np.sqrt(variance) * vt[keep].T / s[keep] / size[:, None]

    def foreseen_error(self, screws: Array, parameters: Array, spread: Array) -> float:
        """Root mean square of the residual over what the spread of screws and parameters, fitted to
        other answers, adds to the noise of these."""
        left = self.design(screws) @ parameters - self.y
        U = self.slopes(screws, parameters) @ spread
        inner = np.linalg.solve(np.eye(U.shape[1]) + U.T @ U, U.T @ left)
        return float(np.sqrt((left @ left - left @ U @ inner) / len(left)))


def solve_well(problem: Problem, start: Array, *, iterations: int, tidy: float = 0.0) -> Solution:
    """With well-shown parameters only; if that does not fit, from there with all of them."""
    coarse = replace(problem, cut=COARSE)
    solution = solve(coarse, start, iterations=iterations, tidy=tidy)
    if solution.error < problem.floor:
        return solution
    fine = problem.under(solution.gravity)
    finer = solve(fine, solution.screws, iterations=max(20, iterations // 2), tidy=tidy)
    return finer if finer.error < _FINER * solution.error else solution


def untidiness(tree: ScrewTree, screws: Array) -> Array:
    """Zero (..., k) where axes are upright or level, and parallel or at right angles to those of
    the joint that carries them and of its own carrier, as in most machines."""
    direction = np.where(np.asarray(tree.turning)[:, None], screws[..., :3], screws[..., 3:])
    cosines = [direction[..., 2]] if tree.gravity else []
    for j, p in enumerate(tree.parents):
        for other in (p, tree.parents[p] if p >= 0 else -1):
            if other >= 0:
                cosines.append((direction[..., j, :] * direction[..., other, :]).sum(-1)[..., None])
    if not cosines:
        return np.zeros((*screws.shape[:-2], 0), dtype=screws.dtype)
    c = np.concatenate(cosines, -1)
    return c * (1 - c * c)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Point:
    """Screws on the way: the problem (whose gravity may have been scaled), unit screws (nv, 6), the
    inertial parameters projected out, the price of untidy angles (k,), and the cost."""

    problem: Problem
    screws: Array
    left: Projection
    extra: Array
    cost: float


# Gauge directions (a screw's frame, its length) change nothing, so that the damping never vanishes;
# the valley is long and bent: up to eight slow steps in a row lead on.
DESCENT = Descent(
    trials=6, damping=1e-2, raised=6.0, lowered=8.0, least=1e-14, slow=0.1, patience=8
)
_ROUNDING = 1e-14  # root mean square at which nothing is left to fit


def solve(problem: Problem, start: Array, *, iterations: int, tidy: float = 0.0) -> Solution:
    """Levenberg–Marquardt on the screws, and on the size of gravity where that is sought, from one
    start; inertial parameters are projected out.

    With `tidy` there is a price on untidy angles: where the answers leave screws open, the tidy
    ones are taken. The error returned is that of the answers alone.
    """
    count, size = len(problem.y), start.size
    price = tidy * np.sqrt(count / max(1, 3 * len(start)))

    def at(problem: Problem, raw: Array) -> _Point:
        screws = problem.tree.unit(raw)
        left = problem.project(screws)
        extra = price * untidiness(problem.tree, screws) if tidy else np.zeros(0)
        cost = float(left.residual @ left.residual + extra @ extra)
        return _Point(problem=problem, screws=screws, left=left, extra=extra, cost=cost)

    def linearise(now: _Point) -> Callable[[float], _Point]:
        pi = now.left.coefficients[: 10 * len(start)].reshape(-1, 10)
        J = now.left.jacobian(now.problem.screw_slopes(now.screws, pi))
        if tidy:
            extra = untidiness(now.problem.tree, complex_steps(now.problem.tree, now.screws))
            extra = price * extra.imag.T / COMPLEX_STEP
            J = np.concatenate([J, np.pad(extra, ((0, 0), (0, J.shape[1] - size)))])
        step_at = screw_step(J, np.concatenate([now.left.residual, now.extra]))

        def trial(damping: float) -> _Point:
            step = step_at(damping)
            factor = float(np.exp(np.clip(step[size:].sum(), -1.0, 1.0)))
            moved = now.problem.under(now.problem.tree.gravity * factor)
            return at(moved, now.screws + step[:size].reshape(-1, 6))

        return trial

    options = replace(DESCENT, steps=iterations, solved=count * _ROUNDING**2)
    solution = descend(at(problem, start), linearise, options)
    return Solution(
        screws=solution.screws,
        error=float(np.sqrt(np.mean(solution.left.residual**2))),
        gravity=solution.problem.tree.gravity,
    )


def screw_step(J: Array, r: Array) -> Callable[[float], Array]:
    """damping -> the step s that minimises |r + J s|² + damping m |s|², m the mean square of the
    columns' lengths: all of one size, so that directions that hardly show (gauge) do not run."""
    gradient, hessian = J.T @ r, J.T @ J
    unit = (float(np.trace(hessian)) / len(hessian) + 1e-300) * np.eye(len(hessian))
    return lambda damping: -np.linalg.solve(hessian + damping * unit, gradient)


def complex_steps(tree: ScrewTree, screws: Array) -> Array:
    """Unit screws (6 nv, nv, 6) with a complex step in each raw number in turn."""
    moved = np.repeat(screws[None].astype(complex), screws.size, 0)
    index = np.arange(screws.size)
    moved[index, index // 6, index % 6] += 1j * COMPLEX_STEP
    return tree.unit(moved)
