"""From samples to coefficients: weights by joint, terms by held-out logs, loads by iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from discover.identification.design import Bodies, Design, assemble
from discover.identification.drive_terms import (
    DriveTerm,
    elastic,
    every_drive_has,
    presliding,
    ripples,
    standard,
)
from discover.identification.moments import JointMoments, Moments
from discover.identification.presliding import between, lengths_to_try, longest_rests
from discover.identification.samples import Samples
from discover.identification.selection import better, choose, lasting, prior_strength
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import scalar_coordinates
from kinematics import Robot

Array = NDArray[np.float64]
_ROUNDS = whole("identification.rounds")
GAIN = "gain of the torque"
_TURNS = whole("identification.presliding_turns")
_LEAST = threshold("identification.presliding_least")
_MOST = threshold("identification.presliding_most")
_SURE = threshold("identification.elastic_sure")
_SETTLING = whole("identification.elastic_turns")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Base parameters `beta` (k,), coefficients of the chosen terms, and what they rest on.

    columns are those of the design that are in the fit, theta their coefficients (the bodies' as
    departures from the description); noise (nv,) [N·m | N] is the residual's standard deviation,
    by which joints are weighted; prior is the factor on the bodies' prior.
    """

    bodies: Bodies
    design: Design
    moments: Moments
    terms: tuple[DriveTerm, ...]
    columns: tuple[int, ...]
    theta: Array
    noise: Array
    prior: float
    held_out: Array

    @property
    def beta(self) -> Array:
        """Base parameters (k,)."""
        return self.bodies.described + self.theta[: self.bodies.size]

    @property
    def coefficients(self) -> Array:
        """Of the terms, in their order; a group of two has two."""
        return self.theta[self.bodies.size :]

    @property
    def robot(self) -> Robot:
        """Bodies with these base parameters, closest to the description; perhaps impossible."""
        return self.bodies.moved_to(self.beta)

    def residual(self) -> Array:
        """Joint forces that the fit does not explain (N, nv)."""
        return self.design.y - self.design.predicted(self.columns, self.theta)


def estimate(
    samples: Samples, bodies: Bodies, candidates: Sequence[DriveTerm], *, select: bool = True
) -> Estimate:
    """Weighted least squares with the terms that held-out logs ask for, or with all of them.

    Loads of load-dependent terms are those of the bodies of the round before, beginning with those
    of the standard terms.
    """
    candidates = _apart(samples, bodies, candidates)
    unloaded = [x for x in candidates if not x.loaded]
    first = standard(unloaded) if select else unloaded
    now = _fit(samples, bodies, first, bodies.robot, None, range(len(first)))
    if not select:
        if len(unloaded) == len(candidates):
            return now
        return _fit(samples, bodies, candidates, now.robot, now.noise, range(len(candidates)))
    for _ in range(_ROUNDS):
        now = _chosen(samples, now, candidates)
    memory = _memory(samples, now)
    if memory:
        candidates = [*candidates, *memory]
        now = _chosen(samples, now, candidates, memory)
    return _lasting(samples, _elastic(samples, now, candidates))


def _chosen(
    samples: Samples,
    now: Estimate,
    candidates: Sequence[DriveTerm],
    entering: Sequence[DriveTerm] = (),
) -> Estimate:
    """The next fit: with the terms that held-out time asks for, beginning from those of the fit
    `now` and those `entering`."""
    bodies, terms = now.bodies, list(candidates)
    known = {x.name for x in (*now.terms, *entering)}
    if samples.q.shape == samples.v.shape:
        left = ripples(bodies.robot, samples.q.numpy(), now.residual(), samples.moving)
        old = [x for x in now.terms if x.kind == "ripple"]
        terms += [*old, *(x for x in left if x.name not in known)]
    begin = [k for k, x in enumerate(terms) if x.name in known]
    design = assemble(samples, bodies, terms, now.robot)
    used = _used(samples, [terms[k] for k in begin])
    moments = moments_of(samples, bodies, design, now.noise, used=used)
    fold = samples.fold_of_block
    kept = [g for g in begin if every_drive_has(terms[g])]
    choice = choose(
        moments, design.body_columns, design.groups, fold, begin, kept, _no_double(terms)
    )
    left_in = _possible_signs(moments, design, choice.groups)
    chosen = [terms[g] for g in left_in]
    return _fit(samples, bodies, chosen, now.robot, now.noise, range(len(chosen)))


def _lasting(samples: Samples, now: Estimate) -> Estimate:
    """The fit without the terms that blocks of time do not ask for. What is computed along the
    motions, friction with memory and elastic joints, was chosen by tests of its own, and acts at
    reversals or rests, which few blocks may hold."""
    terms = now.terms
    kept = [k for k, x in enumerate(terms) if every_drive_has(x) or x.along_motion]
    design = now.design
    fold = samples.fold_of_block
    groups = lasting(now.moments, design.body_columns, design.groups, fold, range(len(terms)), kept)
    if len(groups) == len(terms):
        return now
    left = [terms[g] for g in groups]
    return _fit(samples, now.bodies, left, now.robot, now.noise, range(len(left)))


def _memory(samples: Samples, now: Estimate) -> list[DriveTerm]:
    """Presliding of the joints where held-out time asks for it, with the length it asks for.

    Memory shows in two places: after reversals, and at rest, where what is left of friction stays.
    One must ask for it clearly, and the other must not speak against it.
    """
    robot, fold = now.bodies.robot, samples.fold_of_block
    joints = scalar_coordinates(robot)
    every, rests = lengths_to_try(samples), longest_rests(samples)
    new = {j: every[j] for j in joints if every[j]}
    tried: dict[int, dict[float, tuple[Array, Array]]] = {j: {} for j in new}
    columns = list(now.columns)
    for turn in range(1 + _TURNS):
        wanted = [presliding(robot, j, x, float(rests[j])) for j in new for x in new[j]]
        design = assemble(samples, now.bodies, [*now.terms, *wanted], now.robot)
        moving, at_rest = (
            _by_joint(samples, design, used) for used in (samples.moving, samples.has_moved)
        )
        prior = _prior(now.bodies, design)
        for j in new:
            at = [k for k, x in enumerate(design.terms) if x.memory and x.joints == (j,)]
            groups = [design.groups[k] for k in at]
            if not at:
                continue
            both = [
                x.weighted(1 / now.noise, prior) for x in (moving, moving.with_joint(j, at_rest))
            ]
            gains = [
                x.held_out(columns, fold)[:, None] - x.additions(columns, groups, fold)
                for x in both
            ]
            for n, k in enumerate(at):
                theta = both[1].solve([*columns, *groups[n]])
                static = _static(now, theta, j)
                if _LEAST * static <= theta[-1] <= _MOST * static and static > 0:
                    tried[j][design.terms[k].memory] = (gains[0][:, n], gains[1][:, n])
            least = min(every[j])
            new[j] = (
                [x for x in between(_best(tried[j]), turn + 1) if x >= least] if tried[j] else []
            )
    cost = moving.weighted(1 / now.noise, prior).held_out(columns, fold)
    out = []
    for j, gains_of in tried.items():
        if not gains_of:
            continue
        length = _best(gains_of)
        clear = [better(cost, cost - gain) for gain in gains_of[length]]
        if any(clear) and min(gain.mean() for gain in gains_of[length]) > 0:
            out.append(presliding(robot, j, length, float(rests[j])))
    return out


def _elastic(samples: Samples, now: Estimate, candidates: Sequence[DriveTerm]) -> Estimate:
    """The fit with those joints elastic that held-out time clearly asks to be, the clearest first.

    A joint that gives way is no matter of a few lines of a law more or less: whoever reads of it
    looks at the gear. So each is chosen against the best fit without it, terms chosen anew.
    """
    robot, fold = now.bodies.robot, samples.fold_of_block
    joints = scalar_coordinates(robot)
    for _ in joints:
        known = [x.joints[0] for x in now.terms if x.compliance is not None]
        tried = [elastic(robot, j) for j in joints if j not in known]
        design = assemble(samples, now.bodies, [*now.terms, *tried], now.robot)
        moments = moments_of(samples, now.bodies, design, now.noise, used=_used(samples, now.terms))
        columns, groups = list(now.columns), design.groups[len(now.terms) :]
        cost = moments.held_out(columns, fold)
        costs = moments.additions(columns, groups, fold)
        possible = [
            k
            for k, group in enumerate(groups)
            if better(cost, costs[:, k], _SURE) and moments.solve([*columns, *group])[-1] > 0
        ]
        if not possible:
            break
        entering = tried[min(possible, key=lambda k: float(costs[:, k].mean()))]
        wider = [*candidates, *(x for x in now.terms if x.compliance is not None), entering]
        then = _settled(samples, _chosen(samples, now, wider, [entering]))
        if entering.name not in {x.name for x in then.terms}:
            break
        now = then
    return now


def _settled(samples: Samples, now: Estimate) -> Estimate:
    """The same terms with loads at the compliances found."""
    for _ in range(_SETTLING):
        terms = [
            x if x.compliance is None else elastic(now.bodies.robot, x.joints[0], max(c, 0.0))
            for x, c in zip(now.terms, _first_coefficients(now), strict=True)
        ]
        now = _fit(samples, now.bodies, terms, now.robot, now.noise, range(len(terms)))
    return now


def _first_coefficients(fit: Estimate) -> list[float]:
    """Of each term, the first."""
    at = list(fit.columns)
    return [float(fit.theta[at.index(group[0])]) for group in fit.design.groups]


def _static(fit: Estimate, theta: Array, j: int) -> float:
    """The friction of joint j from which it starts to slide, without load [N·m | N]."""
    kinds = ("Coulomb friction", "Stribeck friction below")
    return sum(
        float(theta[list(fit.columns).index(fit.design.groups[k][0])])
        for k, x in enumerate(fit.terms)
        if x.joints == (j,) and x.name.startswith(kinds)
    )


def _best(gains: dict[float, tuple[Array, Array]]) -> float:
    """The length that gains most over all samples."""
    return max(gains, key=lambda x: float(gains[x][1].mean()))


def _used(samples: Samples, terms: Sequence[DriveTerm]) -> NDArray[np.bool_]:
    """The samples (N, nv) that say something of each joint: those in which it moves, and where its
    friction has memory, which says what it is at rest, all those since it first moved."""
    used = samples.moving.copy()
    for term in terms:
        if term.memory:
            j = term.joints[0]
            used[:, j] |= samples.has_moved[:, j]
    return used


def held(fit: Estimate, samples: Samples) -> Estimate:
    """The fit with the description's bodies held on to as strongly as held-out time asks for."""
    columns, bodies = list(fit.columns), fit.design.body_columns
    factor, held_out = prior_strength(fit.moments, bodies, columns, samples.fold_of_block)
    moments = fit.moments.with_prior(factor, bodies)
    return replace(
        fit, moments=moments, theta=moments.solve(columns), prior=factor, held_out=held_out
    )


def instrumented(fit: Estimate, samples: Samples, twins: tuple[Samples, Samples]) -> Estimate:
    """The same columns fitted with moments across two measurements of the motion."""
    return _measured(fit, samples, twins, fit.robot)


def reloaded(
    fit: Estimate, samples: Samples, twins: tuple[Samples, Samples] | None, loaded_by: Robot
) -> Estimate:
    """The same terms, weights and hold on the description, with loads of the bodies `loaded_by`."""
    design = assemble(samples, fit.bodies, fit.terms, loaded_by)
    fit = _measured(replace(fit, design=design), samples, twins, loaded_by)
    moments = fit.moments.with_prior(fit.prior, design.body_columns)
    return replace(fit, moments=moments, theta=moments.solve(list(fit.columns)))


def refitted(
    fit: Estimate,
    samples: Samples,
    twins: tuple[Samples, Samples] | None,
    terms: Sequence[DriveTerm],
) -> Estimate:
    """The same with some of its terms, from the start."""
    now = _fit(samples, fit.bodies, terms, fit.robot, fit.noise, range(len(terms)))
    return held(now if twins is None else instrumented(now, samples, twins), samples)


def misfit(fit: Estimate, samples: Samples, loaded_by: Robot | None, theta: Array) -> float:
    """The weighted mean square residual of coefficients theta, with loads of the bodies `loaded_by`
    or, None, those of the fit: over the samples that count."""
    design = fit.design
    if loaded_by is not None:
        design = assemble(samples, fit.bodies, fit.terms, loaded_by)
    residual = (design.y - design.predicted(fit.columns, theta)) / fit.noise
    used = _used(samples, fit.terms)
    return float((residual**2 * used).sum() / max(used.sum(), 1))


def _measured(
    fit: Estimate, samples: Samples, twins: tuple[Samples, Samples] | None, loaded_by: Robot
) -> Estimate:
    """The fit's columns solved for, across two measurements of the motion where there are."""
    across = None
    if twins is not None:
        even, odd = (assemble(s, fit.bodies, fit.terms, loaded_by).X for s in twins)
        across = (even, odd)
    used = _used(samples, fit.terms)
    moments = moments_of(samples, fit.bodies, fit.design, fit.noise, across, used)
    return replace(fit, moments=moments, theta=moments.solve(list(fit.columns)))


def moments_of(
    samples: Samples,
    bodies: Bodies,
    design: Design,
    noise: Array,
    twins: tuple[Array, Array] | None = None,
    used: NDArray[np.bool_] | None = None,
) -> Moments:
    """The moments of a design, joints weighted by their noise (nv,) [N·m | N]; with `twins` across
    the columns of two independent measurements. `used` (N, nv) are the samples that count [those
    in which a joint moves]."""
    used = samples.moving if used is None else used
    return _by_joint(samples, design, used, twins).weighted(1 / noise, _prior(bodies, design))


def _by_joint(
    samples: Samples,
    design: Design,
    used: NDArray[np.bool_],
    twins: tuple[Array, Array] | None = None,
) -> JointMoments:
    return JointMoments.of(design.X, design.y, used.astype(np.float64), samples.block, twins)


def _prior(bodies: Bodies, design: Design) -> Array:
    """The precision (p, p) of the columns' coefficients before any data: bodies as described."""
    prior = np.zeros((design.X.shape[2],) * 2)
    k = design.bodies
    prior[:k, :k] = np.linalg.inv(bodies.spread + 1e-12 * np.trace(bodies.spread) / k * np.eye(k))
    return prior


def _fit(
    samples: Samples,
    bodies: Bodies,
    terms: Sequence[DriveTerm],
    loaded_by: Robot,
    noise: Array | None,
    chosen: Sequence[int],
) -> Estimate:
    """All the terms fitted; joints are weighted by their residuals, settled in a few turns."""
    design = assemble(samples, bodies, terms, loaded_by)
    columns = [*design.body_columns, *(k for g in chosen for k in design.groups[g])]
    used = _used(samples, terms)
    count = np.maximum(used.sum(axis=0), 1)
    sigma = design.y.std(axis=0) if noise is None else noise
    sigma = np.maximum(sigma, 1e-9 * max(float(sigma.max()), 1e-300))
    by_joint, prior = _by_joint(samples, design, used), _prior(bodies, design)
    for _ in range(3):
        moments = by_joint.weighted(1 / sigma, prior)
        theta = moments.solve(columns)
        residual = design.y - design.predicted(columns, theta)
        sigma = np.sqrt((residual**2 * used).sum(axis=0) / count)
        sigma = np.maximum(sigma, 1e-6 * max(float(sigma.max()), 1e-300))
        sigma = np.maximum(sigma, _undriven(samples, design))
    return Estimate(
        bodies=bodies, design=design, moments=moments, terms=tuple(terms), columns=tuple(columns),
        theta=theta, noise=sigma, prior=1.0,
        held_out=moments.held_out(columns, samples.fold_of_block),
    )  # fmt: skip


def _undriven(samples: Samples, design: Design) -> Array:
    """The least noise (nv,) of joints that nothing drives, 0 of others: what the description leaves
    of their force. Bodies without mass explain a force that is always zero, so the residual of such
    a joint says nothing of its noise, and a weight that followed it would take the mass away."""
    return np.asarray(np.where(_idle(samples), design.y.std(axis=0), 0.0))


def _idle(samples: Samples) -> NDArray[np.bool_]:
    """Which joints (nv,) nothing drives: their force never changes."""
    tau = samples.tau.numpy()
    return np.asarray(np.ptp(tau, axis=0) <= 1e-9 * max(float(np.abs(tau).max()), 1e-300))


def _apart(samples: Samples, bodies: Bodies, terms: Sequence[DriveTerm]) -> list[DriveTerm]:
    """The terms whose force no bodies have: the rotor of a joint on the base has, for one. A gain
    of a force that is always zero is none either: it would take the bodies away."""
    idle = _idle(samples)
    terms = [x for x in terms if x.kind != GAIN or not idle[list(x.joints)].any()]
    rotors = [x for x in terms if x.kind == "rotor inertia"]
    few = samples.rows(np.arange(0, len(samples), max(1, len(samples) // 500)))
    design = assemble(few, bodies, rotors, bodies.robot)
    X = design.X.reshape(-1, design.X.shape[2])
    base = X[:, : design.bodies]
    size = np.maximum(np.linalg.norm(base, axis=0), 1e-300)
    same = set()
    for rotor, (column,) in zip(rotors, design.groups, strict=True):
        x = X[:, column]
        left = x - base / size @ np.linalg.lstsq(base / size, x, rcond=1e-9)[0]
        if np.linalg.norm(left) < 1e-6 * np.linalg.norm(x):
            same.add(rotor.name)
    return [x for x in terms if x.name not in same]


def _no_double(terms: Sequence[DriveTerm]) -> Callable[[int, Sequence[int]], bool]:
    """Whether a term may enter beside those chosen: one of a kind that excludes others."""

    def allowed(group: int, chosen: Sequence[int]) -> bool:
        word, joints = terms[group].only_one, terms[group].joints
        return not word or all(
            (terms[g].only_one, terms[g].joints) != (word, joints) for g in chosen
        )

    return allowed


def _possible_signs(moments: Moments, design: Design, groups: Sequence[int]) -> list[int]:
    """The groups less those whose coefficient physics forbids, the most negative first."""
    kept = list(groups)
    while True:
        columns = [*design.body_columns, *(k for g in kept for k in design.groups[g])]
        size = np.where(np.isfinite(moments.size), moments.size, 0.0)  # of what acts
        theta = dict(zip(columns, moments.solve(columns) * size[columns], strict=True))
        negative = {
            g: theta[design.groups[g][0]]
            for g in kept
            if design.terms[g].nonnegative and theta[design.groups[g][0]] < 0
        }
        if not negative:
            return kept
        kept.remove(min(negative, key=lambda g: negative[g]))
