"""Physical consistency: the nearest inertial parameters that bodies can have.

A body's ten numbers belong to a distribution of mass exactly when its 4×4 pseudo-inertia
[[Σ, h], [hᵀ, m]], Σ = ½ tr(I) 1 - I, is positive semidefinite (Wensing, Kim & Slotine 2018).
Torques show base parameters only, so what is sought are *some* consistent parameters with given
base parameters: a semidefinite program.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import forces, joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, design_of, fit
from discover.numerics import solve_or_zero
from kinematics import Robot
from kinematics.robot.inertial_parameters import from_pseudo_inertia

_ROTORS_HELP = threshold("fit.rotors_help")
_CHEAP = threshold("examination.bodies_cheap")
_EXACT = threshold("examination.exact")
_IDLE_ROTOR = 1e-5  # of the largest: the solver's zero
_STEPS = 5000  # of the second solver, a third of a second
_VIOLATION = 1e-6  # of a constraint, relative to the largest unknown, in a typical body's units
_LEAST_SHARE = 1e-3  # of the largest eigenvalue, where a search for possible bodies begins
_MARGIN = 1e-9  # smallest eigenvalue asked for, over the robot's typical pseudo-inertia


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Physically consistent parameters close to a fit.

    pi        (nb, 10), consistent, with base parameters as close to the fitted ones as possible
    cost      the standardised error in acceleration that moving to them adds in the region; NaN
              where both solvers failed
    exact     whether pi has the fitted base parameters themselves (cost zero)
    armature  (m,) armature [kg·m² | kg] of joints whose rotors are needed for pi to be consistent,
              where the effect of a rotor is that of some bodies; None where none is needed
    """

    pi: Tensor
    cost: float
    exact: bool
    armature: Tensor | None = None


def pseudo_inertia(pi: Tensor) -> Tensor:
    """The 4×4 pseudo-inertia of ten parameters m, h, Ixx, Ixy, Iyy, Ixz, Iyz, Izz: (…, 4, 4)."""
    m, h = pi[..., 0], pi[..., 1:4]
    xx, xy, yy, xz, yz, zz = pi[..., 4:].unbind(-1)
    half = 0.5 * (xx + yy + zz)
    rows = [
        torch.stack([half - xx, -xy, -xz, h[..., 0]], -1),
        torch.stack([-xy, half - yy, -yz, h[..., 1]], -1),
        torch.stack([-xz, -yz, half - zz, h[..., 2]], -1),
        torch.stack([h[..., 0], h[..., 1], h[..., 2], m], -1),
    ]
    return torch.stack(rows, -2)


def complete(fitted: Fit, answers: Answers, reference: Tensor) -> Completion:
    """The consistent parameters closest to `reference` among those nearest to the fit.

    reference (nb, 10): parameters of the robot's description, the tie-break for all that torques
    cannot show. If the reference with the fitted base parameters is consistent, it is returned;
    otherwise consistent bodies with exactly these base parameters are sought, and if there are none
    those that come nearest, with or without rotors.
    """
    V = fitted.family.basis
    beta = fitted.theta[: V.shape[1]]
    if not bool(torch.isfinite(beta).all()):
        return Completion(pi=reference, cost=float("nan"), exact=False)
    shifted = _with_base(reference, V, beta)
    if _possible(shifted, reference):
        return Completion(pi=shifted, cost=0.0, exact=True)
    inside = _with_exactly(V.numpy(), shifted.numpy(), reference.numpy())
    if inside is not None:
        exact = _with_base(torch.from_numpy(inside), V, beta)
        if _possible(exact, reference):
            return Completion(pi=exact, cost=0.0, exact=True)
    J = _sensitivity(fitted, answers)
    shown = (J.numpy(), V.numpy(), (J @ beta).numpy(), reference.numpy())
    solution = _solve(*shown, np.zeros((len(beta), 0)))
    if solution is None:
        return Completion(pi=reference, cost=float("nan"), exact=False)
    near = torch.from_numpy(solution[0])
    exact = _with_base(near, V, beta)
    if _possible(exact, reference):
        return Completion(pi=exact, cost=0.0, exact=True)
    cost = float((J @ (V.T @ near.flatten() - beta)).norm())
    rotors = _rotors(fitted, answers)
    if rotors.shape[1]:
        # No bodies alone have these base parameters; bodies with rotors may.
        with_rotors = _solve(*shown, (J @ rotors).numpy())
        if with_rotors is not None:
            pi, armature = (torch.from_numpy(x) for x in with_rotors)
            shifted = _with_base(pi, V, beta - rotors @ armature)
            if _possible(shifted, reference):
                return Completion(pi=shifted, cost=0.0, exact=True, armature=armature)
            rest = float((J @ (V.T @ pi.flatten() + rotors @ armature - beta)).norm())
            if rest < _ROTORS_HELP * cost:
                return Completion(pi=pi, cost=rest, exact=False, armature=armature)
    return Completion(pi=near, cost=cost, exact=False)


def with_possible_bodies(fitted: Fit, answers: Answers, reference: Tensor) -> Fit:
    """The fit, or where its bodies or rotors cannot exist one that says about the same with such
    that can.

    What a rotor adds to a joint's inertia some bodies may (nearly) add as well; a fit then sees
    little more than the sum, and one of the two may come out negative. Bodies and rotors are sought
    together, closest in what the answers show, and among these closest to the description. The fit
    itself is returned where that is no help.
    """
    V, k = fitted.family.basis, fitted.family.basis.shape[1]
    if fitted.family.non_additive or not bool(torch.isfinite(fitted.theta).all()):
        return fitted
    present = {t.name: i for i, t in enumerate(fitted.family.terms)}
    candidates = [t for t in joint_terms(fitted.family.robot) if t.joint_term == "armature"]
    given = fitted.theta[[k + present[t.name] for t in candidates if t.name in present]]
    completion = complete(fitted, answers, reference)
    if not candidates or (completion.exact and completion.armature is None and (given >= 0).all()):
        return fitted
    added = [t for t in candidates if t.name not in present]
    none = fitted.theta.new_zeros(len(added))
    family = fitted.family.with_terms([*fitted.family.terms, *added])
    rotors = [k + i for i, t in enumerate(family.terms) if t.joint_term == "armature"]
    start = replace(fitted, family=family, theta=torch.cat([fitted.theta, none]))
    J = _sensitivity(start, answers, rotors)
    target = J @ start.theta[[*range(k), *rotors]]
    problem = (J[:, :k], V, target, reference, J[:, k:])
    solution = _solve(*(x.numpy() for x in problem))
    if solution is None:
        return fitted
    pi, armature = (torch.from_numpy(x) for x in solution)
    theta = start.theta.clone()
    theta[:k], theta[rotors] = V.T @ pi.flatten(), armature
    idle = armature <= _IDLE_ROTOR * armature.abs().max()
    gone = {i for i, none in zip(rotors, idle.tolist(), strict=True) if none}
    kept = [i for i in range(len(theta)) if i not in gone]
    left = [t for i, t in enumerate(family.terms) if k + i not in gone]
    again = fit(
        family.with_terms(left),
        answers,
        start=theta[kept],
        scale=fitted.scale,
        step=fitted.step,
        alone=True,
    )
    # From here a fit leaves alone what the answers do not show at all, and follows what they show
    # in noise only: then the start is the better law.
    moved = replace(again, theta=theta[kept])
    moved = replace(moved, error=moved.standardised_error(answers))
    allowed = max((1.0 + _CHEAP) * fitted.error, _EXACT)
    for candidate in (again, moved):
        if candidate.error <= allowed and _can_exist(candidate, answers, reference):
            return candidate
    return fitted


def _can_exist(fitted: Fit, answers: Answers, reference: Tensor) -> bool:
    """Whether rotors and bodies are possible, bodies up to a small part of the fit's error."""
    k = fitted.family.basis.shape[1]
    rotors = [k + i for i, t in enumerate(fitted.family.terms) if t.joint_term == "armature"]
    if bool((fitted.theta[rotors] < 0).any()):
        return False
    completion = complete(fitted, answers, reference)
    return completion.exact or completion.cost <= max(_CHEAP * fitted.error, _EXACT)


def possible_bodies(robot: Robot) -> Robot | None:
    """The robot with bodies that can exist and that move exactly as its own do; itself where they
    can, None where no such bodies do. Parameters of least norm often cannot."""
    pi = robot.pi.detach().to("cpu", torch.float64)
    nearest = _clipped(pi)
    if _possible(pi, nearest):
        return robot
    V = Family.of(robot).basis
    beta = V.T @ pi.flatten()
    start = _with_base(nearest, V, beta)
    inside = _with_exactly(V.numpy(), start.numpy(), nearest.numpy())
    if inside is None:
        return None
    exact = _with_base(torch.from_numpy(inside), V, beta)
    return robot.replace(pi=exact) if _possible(exact, nearest) else None


def _clipped(pi: Tensor) -> Tensor:
    """Parameters (nb, 10) of possible bodies near pi: each pseudo-inertia in the robot's units
    with its eigenvalues kept above a share of the largest."""
    mass = max(float(pi[:, 0].abs().mean()), 1e-9)
    second = float(pi[:, [4, 6, 9]].abs().mean())
    length = max((second / mass) ** 0.5, 1e-6)
    units = torch.from_numpy(_unit_vector(mass, length, 1))
    values, vectors = torch.linalg.eigh(pseudo_inertia(pi / units))
    least = _LEAST_SHARE * values.abs().amax().clamp_min(1.0)
    whole = vectors @ torch.diag_embed(values.clamp_min(float(least))) @ vectors.mT
    return from_pseudo_inertia(whole) * units


def _rotors(fitted: Fit, answers: Answers) -> Tensor:
    """Base parameters equivalent to a unit armature, of each joint that has such: (k, m)."""
    robot, k = fitted.family.robot, fitted.family.basis.shape[1]
    rotors = [t for t in joint_terms(robot) if t.joint_term == "armature"]
    if not rotors:
        return fitted.theta.new_zeros(k, 0)
    design = design_of(fitted.family, answers, fitted.step)
    a = answers.a
    bodies = design.columns(a)[..., :k].flatten(0, 1)
    x = forces(rotors, answers.q, answers.v, a, answers.tau, robot).flatten(0, 1)
    size = bodies.norm(dim=0).clamp_min(1e-300)
    D = torch.linalg.lstsq(bodies / size, x, driver="gelsd").solution / size[:, None]
    equivalent = (bodies @ D - x).norm(dim=0) < 1e-6 * x.norm(dim=0)
    return D[:, equivalent]


def _with_base(pi: Tensor, V: Tensor, beta: Tensor) -> Tensor:
    """pi moved by the least amount so that its base parameters are beta."""
    flat = pi.flatten()
    return (flat + V @ (beta - V.T @ flat)).reshape(-1, 10)


def _possible(pi: Tensor, reference: Tensor) -> bool:
    """Whether no pseudo-inertia has a negative eigenvalue, up to rounding."""
    scale = pseudo_inertia(reference).abs().amax()
    return bool((torch.linalg.eigvalsh(pseudo_inertia(pi)) >= -1e-9 * scale).all())


def _sensitivity(fitted: Fit, answers: Answers, more: Sequence[int] = ()) -> Tensor:
    """A square root of the information on the base parameters, and on the parameters `more`, per
    answer (k + len(more), k + len(more))."""
    design = design_of(fitted.family, answers, fitted.step)
    a = fitted.predict(answers.q, answers.v, answers.tau)
    columns = design.columns(a)[..., [*range(fitted.family.basis.shape[1]), *more]]
    rows = (solve_or_zero(design.inertia(fitted.theta), columns) / fitted.scale[:, None]).flatten(
        0, 1
    )
    return torch.linalg.qr(rows / len(rows) ** 0.5).R


def _solve(
    J: np.ndarray, V: np.ndarray, target: np.ndarray, reference: np.ndarray, rotors: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """(pi, armature) for which J Vᵀ pi + rotors armature comes nearest to the target, and among
    these the nearest to the reference; or None.

    J (r, k) base parameters and rotors (r, m) armature as the answers show them. In units of a
    typical mass and length, in which the unknowns are of order one.
    """
    import cvxpy as cp

    nb = len(reference)
    mass, length = _units(reference)
    units = typical_units(reference)
    unit = max(np.linalg.norm(J @ V.T * units, 2), 1e-300)
    J, target, rotors = J / unit, target / unit, rotors / unit
    x = cp.Variable(10 * nb)
    constraints = [P >> _MARGIN * np.eye(4) for P in pseudo_inertias(x, nb)]
    turning = mass * length**2
    misfit = (J @ V.T * units) @ x - target
    extra = cp.Variable(rotors.shape[1], nonneg=True) if rotors.shape[1] else None
    if extra is not None:
        misfit = misfit + (rotors * turning) @ extra
    nearest = minimiser(cp.Problem(cp.Minimize(cp.norm(misfit)), constraints), x)
    if nearest is None:
        return None
    start = reference.flatten() / units
    value = float(np.linalg.norm(misfit.value))
    allowed = 1.02 * value + 1e-7 * float(np.linalg.norm(target))
    tie = cp.Problem(
        cp.Minimize(cp.sum_squares((x - start) / max(np.linalg.norm(nearest - start), 1e-9))),
        # In units of `allowed`: solvers cannot resolve a bound of a millionth.
        [*constraints, cp.norm(misfit / allowed) <= 1.0],
    )
    added = np.zeros(0) if extra is None else np.array(extra.value)
    chosen = minimiser(tie, x)
    if chosen is None:
        chosen = nearest
    elif extra is not None:
        added = np.array(extra.value)
    return (chosen * units).reshape(nb, 10), added * turning


def _with_exactly(V: np.ndarray, start: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
    """Consistent parameters that differ from `start` only where torques cannot show it, or None.

    Minimising a misfit finds base parameters to the solver's tolerance, which light last links
    magnify into accelerations a thousand times as large. Moving in the null space keeps them
    exactly: first as far inside the consistent set as possible, then as near to the reference as
    half of that margin allows.
    """
    import cvxpy as cp

    nb = len(reference)
    units = typical_units(reference)
    scaled = V.T * units
    hidden = np.linalg.svd(scaled)[2][np.linalg.matrix_rank(scaled) :].T
    if hidden.shape[1] == 0:
        return None
    z, room = cp.Variable(hidden.shape[1]), cp.Variable()
    x = start.flatten() / units + hidden @ z
    bodies = pseudo_inertias(x, nb)
    inside = cp.Problem(cp.Maximize(room), [*(P >> room * np.eye(4) for P in bodies), room <= 1.0])
    deepest = minimiser(inside, z)
    if deepest is None or room.value is None or float(room.value) <= 0.0:
        return None
    half = 0.5 * float(room.value)
    tie = cp.Problem(
        cp.Minimize(cp.sum_squares(x - reference.flatten() / units)),
        [P >> half * np.eye(4) for P in bodies],
    )
    chosen = minimiser(tie, z)
    z_found = deepest if chosen is None else chosen
    return ((start.flatten() / units + hidden @ z_found) * units).reshape(nb, 10)


def pseudo_inertias(x, nb: int) -> list:
    """The 4×4 pseudo-inertia of each body as cvxpy expressions of x (10 nb)."""
    import cvxpy as cp

    # One product with a constant a body: cvxpy takes much longer over blocks put together.
    units = pseudo_inertia(torch.eye(10, dtype=torch.float64))
    entries = units.permute(1, 2, 0).reshape(16, 10).numpy()
    return [cp.reshape(entries @ x[10 * i : 10 * i + 10], (4, 4), order="C") for i in range(nb)]


def _unit_vector(mass: float, length: float, nb: int) -> np.ndarray:
    """The units of the ten parameters of each body: (10 nb,)."""
    return np.tile(mass * np.array([1.0] + 3 * [length] + 6 * [length**2]), nb)


def typical_units(pi: np.ndarray) -> np.ndarray:
    """A typical size of each of the bodies' parameters (10 nb,), for pi (nb, 10): the mean mass,
    times powers of the mean radius of gyration."""
    return _unit_vector(*_units(pi), len(pi))


def _units(reference: np.ndarray) -> tuple[float, float]:
    """A typical mass [kg] and radius of gyration [m] of the described bodies."""
    mass = max(float(np.abs(reference[:, 0]).mean()), 1e-9)
    second = float(np.abs(reference[:, [4, 6, 9]]).mean())
    return mass, max((second / mass) ** 0.5, 1e-6)


def minimiser(problem, x) -> np.ndarray | None:
    """The minimiser x, or None where both solvers fail.

    A solution with status "inaccurate" may be good or far from feasible (the second solver is of
    first order and may run out of steps), so x is checked against the constraints instead.
    """
    import cvxpy as cp

    for solver, options in ((cp.CLARABEL, {}), (cp.SCS, {"max_iters": _STEPS})):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                problem.solve(solver=solver, **options)
        except cp.error.SolverError:
            continue
        if x.value is None or not np.isfinite(x.value).all():
            continue
        allowed = _VIOLATION * max(1.0, float(np.abs(x.value).max(initial=0.0)))
        if all(np.max(c.violation()) < allowed for c in problem.constraints):
            return x.value.copy()
    return None
