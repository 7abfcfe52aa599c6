"""Variable projection: screws by Gauss-Newton, inertial parameters solved for at every step.

The residual is what the best inertial parameters leave of [H | force at rest]. Its derivative with
respect to the screws, projected on what the parameters cannot make up for (Kaufman 1975), needs
only the forward model at fixed parameters, differentiated exactly by a complex step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.mechanism.geometry.least_squares import scales, truncated
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import LocalDynamics

JOINT_TERMS = ("armature", "spring", "constant force")
_STEP = 1e-30
_RIDGE = 1e-9
_FLOOR = 1e-9
_ROUNDED = 30.0  # relative misfits of H over those of the answers, by the inversion
_NARROWEST = 3e-6  # floor of the narrowest number format that passes for exact
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
    def of_sizes(cls, tree: ScrewTree, asked: LocalDynamics) -> Weights:
        """Exact answers, by the sizes of the entries."""
        weight = np.broadcast_to(1.0 / scales(asked), (len(asked), *scales(asked).shape))
        upper = np.triu(np.ones_like(tree.shared)) & tree.shared
        use = np.column_stack([upper, np.ones(len(upper), dtype=bool)])
        rows = np.broadcast_to(use, weight.shape).ravel().nonzero()[0]
        return cls(weight=weight, rows=rows)

    @classmethod
    def of_noise(cls, asked: LocalDynamics, weighs: bool) -> Weights:
        """Answers that scatter, by the covariance of their errors."""
        count = asked.columns.shape[-1] - (not weighs)
        left, right = _whitener(asked.rows), _whitener(asked.columns[:, :count, :count])
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
        asked: LocalDynamics,
        *,
        whitened: bool,
        joint_terms: tuple[str, ...] = (),
    ) -> Problem:
        """Weights from the covariance of the answers if they scatter, else from their size."""
        if whitened:
            weights, floor = Weights.of_noise(asked, bool(joint_terms) or tree.gravity != 0), 1.15
            H = asked.raw
        else:
            weights = Weights.of_sizes(tree, asked)
            rounding = max(asked.misfit, asked.asymmetry)
            floor = min(max(_FLOOR, _ROUNDED * rounding), _NARROWEST)
            H = asked.H
        y = weights(np.concatenate([H, asked.force[:, :, None]], 2))
        return cls(tree=tree, q=asked.q, y=y, weights=weights, floor=floor, joint_terms=joint_terms)

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
        own = self.q[:, self.q.shape[1] - nv :]  # a placement has one number more than a twist
        for k, term in enumerate(self.joint_terms):
            for j in range(nv - nb + (nv > nb), nv):
                if term == "armature":
                    out[:, j, j, k, j] = 1.0
                else:
                    out[:, j, nv, k, j] = own[:, j] if term == "spring" else 1.0
        return out.reshape(*out.shape[:3], -1)

    def parameters(self, screws: Array) -> Array:
        """Inertial parameters, then joint terms if any, (p,), of least norm."""
        return truncated(self.design(screws), self.y)

    def error_of(self, screws: Array, parameters: Array) -> float:
        """Root mean square of the weighted residual with given parameters (p,)."""
        return float(np.sqrt(np.mean((self.design(screws) @ parameters - self.y) ** 2)))

    def residual(self, screws: Array) -> tuple[Array, Array, Array]:
        """(residual (r,), parameters (nv, 10), orthonormal columns (r, k) they span)."""
        design = self.design(screws)
        size = np.linalg.norm(design, axis=0)
        size = np.where(size > 1e-13 * size.max(), size, np.inf)
        u, s, vt = np.linalg.svd(design / size, full_matrices=False)
        keep = s > self.cut * s[0]
        u, s, vt = u[:, keep], s[keep], vt[keep]
        along = u.T @ self.y
        pi = ((vt.T @ (along / s)) / size)[: 10 * len(screws)]
        return self.y - u @ along, pi.reshape(-1, 10), u

    def jacobian(self, screws: Array, pi: Array, basis: Array) -> Array:
        """d residual / d raw screws (r, 6 nv), Kaufman's form."""
        slope = self.weights(self.tree.sensitivity(screws, pi, self.q)).T
        return -(slope - basis @ (basis.T @ slope))

    def under(self, gravity: float) -> Problem:
        """The same where bodies fall otherwise [m/s²]."""
        if gravity == self.tree.gravity:
            return self
        return replace(self, tree=replace(self.tree, gravity=gravity))

    def weight_slope(self, screws: Array, pi: Array) -> Array:
        """d prediction / d log gravity (r,)."""
        weight = self.tree.forces(screws, pi, self.q)
        weight[..., :-1] = 0.0
        return self.weights(weight)

    def slopes(self, screws: Array, parameters: Array) -> Array:
        """d prediction / d (raw screws, parameters): (r, 6 nv + p), in weighted units; where the
        size of gravity is sought, that by its logarithm is the last column."""
        pi = parameters[: 10 * len(screws)].reshape(-1, 10)
        nothing = np.zeros((len(self.y), 0))
        columns = [-self.jacobian(screws, pi, nothing), self.design(screws)]
        if self.tree.seeks_weight:
            columns.append(self.weight_slope(screws, pi)[:, None])
        return np.hstack(columns)

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
    found = solve(coarse, start, iterations=iterations, tidy=tidy)
    if found.error < problem.floor:
        return found
    fine = problem.under(found.gravity)
    finer = solve(fine, found.screws, iterations=max(20, iterations // 2), tidy=tidy)
    return finer if finer.error < 0.9 * found.error else found


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


def solve(problem: Problem, start: Array, *, iterations: int, tidy: float = 0.0) -> Solution:
    """Levenberg-Marquardt on the screws, and on the size of gravity where that is sought, from one
    start.

    With `tidy` there is a price on untidy angles: where the answers leave screws open, the tidy
    ones are taken. The error returned is that of the answers alone.
    """
    nv = len(start)
    weight = tidy * np.sqrt(len(problem.y) / max(1, 3 * nv))

    def missed(problem: Problem, screws: Array) -> tuple[Array, Array, Array, float]:
        r, pi, basis = problem.residual(screws)
        extra = weight * untidiness(problem.tree, screws) if tidy else np.zeros(0)
        return np.concatenate([r, extra]), pi, basis, float(r @ r)

    def slope(problem: Problem, screws: Array, pi: Array, basis: Array) -> Array:
        J = problem.jacobian(screws, pi, basis)
        if problem.tree.seeks_weight:
            more = problem.weight_slope(screws, pi)
            J = np.column_stack([J, basis @ (basis.T @ more) - more])
        if not tidy:
            return J
        moved = np.repeat(screws[None].astype(complex), 6 * nv, 0)
        index = np.arange(6 * nv)
        moved[index, index // 6, index % 6] += 1j * _STEP
        extra = untidiness(problem.tree, problem.tree.unit(moved)).imag.T / _STEP
        extra = np.pad(extra, ((0, 0), (0, J.shape[1] - extra.shape[1])))
        return np.concatenate([J, weight * extra])

    screws = problem.tree.unit(start)
    r, pi, basis, own = missed(problem, screws)
    cost = float(r @ r)
    count = len(problem.y)
    damping, slow = 1e-2, 0
    for _ in range(iterations):
        if np.sqrt(cost / count) < 1e-14:
            break
        J = slope(problem, screws, pi, basis)
        gradient, hessian = J.T @ r, J.T @ J
        top = float(np.trace(hessian)) / len(hessian) + 1e-300
        better = False
        for _ in range(6):
            step = -np.linalg.solve(hessian + damping * top * np.eye(len(hessian)), gradient)
            trial = problem.tree.unit(screws + step[: 6 * nv].reshape(-1, 6))
            moved = problem
            if len(step) > 6 * nv:
                heavier = float(np.exp(np.clip(step[-1], -1.0, 1.0)))
                moved = problem.under(problem.tree.gravity * heavier)
            r_new, pi_new, basis_new, own_new = missed(moved, trial)
            cost_new = float(r_new @ r_new)
            if cost_new < cost:
                better = True
                break
            damping *= 6
        if not better:
            break
        slow = slow + 1 if cost_new > 0.9 * cost else 0
        screws, r, pi, basis, cost, own = trial, r_new, pi_new, basis_new, cost_new, own_new
        problem = moved
        damping = max(damping / 8, 1e-14)
        if slow > 8:
            break
    error = float(np.sqrt(own / count))
    return Solution(screws=screws, error=error, gravity=problem.tree.gravity)
