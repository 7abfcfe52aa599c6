"""Which step does a model of next states take? Integrator and sub-steps, found from its answers.

Every scheme is tried with one step; each time bodies and joint terms are fitted through it by a few
Gauss–Newton steps. The number of sub-steps follows by extrapolation: what a scheme of order p with
n parts of the step leaves over is proportional to n⁻ᵖ - m⁻ᵖ, with m the true number, so that one
part and very many give m. The true step leaves rounding where others leave errors of their order.
Where several explain the answers alike, the one that asks for the fewest accelerations is named.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import kinematics
from discover import numerics
from discover.blackbox.contract import Answers
from discover.errors import ModelError
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import REST, joint_terms, spring_rests
from discover.laws.rigid_body.family import Family, step_response
from discover.laws.rigid_body.fit import Fit, design_of, fit
from discover.laws.rigid_body.step_map import IMPLICIT, ORDER, SCHEMES, StepMap, scheme_named
from discover.numerics import solve_or_zero
from kinematics import Robot

MOST_SUBSTEPS = 100  # searched; as fine as simulators run below their control step
MOST_DECLARED = 240
_FINE = 8  # sub-steps of Runge–Kutta 4 that stand for very many
# one step implicit in the joints' damping is one that is not, with rotors heavier by h times the
# damping: the two cannot be told apart, and the first is taken where a description asks for it
_SEARCHED = tuple(s for s in SCHEMES if s not in IMPLICIT)
_BUDGET = whole("fit.step_evaluations")
_AS_GOOD = threshold("fit.step_as_good")
_MORE_SUBSTEPS = threshold("fit.step_substeps_gain")
_ROUNDS = 10  # Gauss–Newton steps of a candidate, as long as its error falls
_MULTIPLE = 1e-6  # relative: how exactly dt is a multiple of the described step
_STILL_FALLING = 0.95  # of the error before: where it falls no further, more sub-steps do not help
_ROUNDING = 1e-6  # of the largest joint term
_SLOW = 0.7  # of the error before: what no longer falls below it has converged
_FLOOR = 1e-9  # standardised: what remains is rounding


def check_declared(integrator: object, substeps: object) -> None:
    """That a declared integrator and number of sub-steps make sense. Raises ModelError."""
    if integrator is not None:
        scheme_named(str(integrator))
    if substeps is None:
        return
    whole_number = isinstance(substeps, int) and not isinstance(substeps, bool)
    if not (whole_number and 1 <= int(str(substeps)) <= MOST_DECLARED):
        raise ModelError(
            f"expected substeps from 1 to {MOST_DECLARED}, found {substeps!r}: give the "
            "number of equal parts of a step"
        )


@dataclass(frozen=True, kw_only=True)
class StepChoice:
    """The step that explains the answers best, and what the others leave.

    fit         bodies and joint terms through it
    error       standardised, of that fit on held-out answers
    positions   relative error of the step's displacement in excess of v dt that the law leaves: 1
                where configurations do not follow the same law as velocities
    others      the runners-up, each with its error
    beyond      whether the errors point to more sub-steps than are searched
    """

    step: StepMap
    fit: Fit
    error: float
    positions: float
    others: tuple[tuple[StepMap, float], ...]
    beyond: bool = False

    @property
    def followed(self) -> bool:
        """Whether configurations follow the same step as velocities."""
        return self.positions <= _POSITIONS_FOLLOW

    @property
    def sentence(self) -> str:
        """In words."""
        said = f"Its step: {self.step} (leaves {self.error:.2g} of the spread of a"
        rivals = [(s, e) for s, e in self.others if s.scheme != self.step.scheme]
        if rivals:
            said += f"; next best: {rivals[0][0]}, {rivals[0][1]:.2g}"
        said += ")."
        if self.beyond:
            said += (
                f" Its answers point to more than {MOST_SUBSTEPS} sub-steps, which are not "
                "searched: declare substeps=… where their number is known."
            )
        if not self.followed:
            said += (
                f" Its configurations do not follow that step: {self.positions:.2g} of their "
                "displacement beyond v dt is something else."
            )
        return said


_POSITIONS_FOLLOW = threshold("fit.positions_follow")


def find_step(
    robot: Robot,
    fitting: Answers,
    held_out: Answers,
    dt: float,
    *,
    scale: Tensor,
    floor: float = 0.0,
    scheme: str | None = None,
    substeps: int | None = None,
) -> StepChoice:
    """The step map of a model's answers, with q_next and v_next.

    scale (nv,) is the spread of accelerations, `floor` the model's rounding and noise in its units;
    scheme and substeps restrict the search to what is declared. The step that the robot's
    description asks for is tried first, and kept where no other comes clearly closer.
    """
    enough = max(_FLOOR, 2 * floor)
    task = _Task(robot=robot, fitting=fitting, held_out=held_out, scale=scale)
    described = _described_steps(task, dt, scheme, substeps)
    found = [task.tried(step, task.described) for step in described]
    expected = min(found, key=lambda t: t.error, default=None)
    if expected is not None and expected.error <= enough and not task.can_exist(expected):
        # Exact, but with a rotor below zero: the damping is not implicit, or not all of it, as
        # where a servo's acts beside the joint's own.
        explicit = replace(expected.step, scheme="semi_implicit_euler")
        found.append(task.tried(explicit, expected.theta))
        expected = min(found, key=lambda t: (t.error > enough, not task.can_exist(t), t.error))
    if expected is None or expected.error > enough:
        schemes = _SEARCHED if scheme is None else (scheme,)
        found += _searched(task, dt, schemes, substeps, enough)
        best = min(found, key=lambda t: t.error)
        if best.error > enough and scheme is None:
            late = replace(best.step, scheme="implicit_velocity")
            found.append(task.tried(late, best.theta))
        if substeps is None:
            found = _between(found, task, enough)
    chosen = _by_positions(_chosen(found, enough, expected), found, task, enough)
    others = sorted(found, key=lambda t: t.error)
    return StepChoice(
        step=chosen.step,
        fit=task.fit_of(chosen),
        error=chosen.error,
        positions=_positions(task.family, chosen, held_out),
        others=tuple((t.step, t.error) for t in others if t.step != chosen.step)[:4],
        beyond=substeps is None and chosen.error > enough and _beyond(found),
    )


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One step map with the bodies fitted through it."""

    step: StepMap
    theta: Tensor
    error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """The answers to be explained, by bodies and joint terms."""

    robot: Robot
    fitting: Answers
    held_out: Answers
    scale: Tensor

    @functools.cached_property
    def family(self) -> Family:
        """Bodies and joint terms, and where springs are at rest that servos pull elsewhere."""
        robot, terms = self.robot, joint_terms(self.robot)
        if robot.actuation is None:
            return Family.of(robot, terms)
        elsewhere = robot.actuation.stiffness.diagonal().mul(robot.spring_reference).nonzero()
        springs = [t for t in terms if t.joint_term == "stiffness" and t.joint in elsewhere]
        return Family.of(robot, [*terms, *spring_rests(springs)])

    @property
    def frames(self) -> tuple[str, ...]:
        """In which velocities of free and ball joints a step may be taken."""
        turning = any(k in ("free", "spherical") for k in self.robot.kinds)
        return ("body", "world") if turning else ("body",)

    @functools.cached_property
    def described(self) -> Tensor:
        """The parameters of the robot's description: joint terms, and what its servos add to
        them."""
        theta, actuation = described_parameters(self.family, self.robot), self.robot.actuation
        k = self.family.basis.shape[1]
        if actuation is None:
            return theta
        for i, term in enumerate(self.family.terms):
            j = term.joint
            if term.joint_term in ("stiffness", "damping"):
                theta[k + i] += getattr(actuation, term.joint_term)[j, j]
            elif term.joint_term == REST:  # a servo's spring is at rest at zero
                theta[k + i] = actuation.stiffness[j, j] * self.robot.spring_reference[j]
        return theta

    def can_exist(self, trial: _Trial) -> bool:
        """Whether no joint term is below zero by more than rounding."""
        signed = [t.joint_term != REST for t in self.family.terms]
        c = trial.theta[self.family.basis.shape[1] :][signed]
        return not len(c) or bool(c.min() >= -_ROUNDING * float(c.abs().max()))

    def fit_of(self, trial: _Trial) -> Fit:
        """The trial as a fit; its covariance is not known."""
        size = len(trial.theta)
        return Fit(
            family=self.family,
            theta=trial.theta,
            covariance=trial.theta.new_zeros(size, size),
            error=trial.error,
            scale=self.scale,
            step=trial.step,
        )

    def tried(self, step: StepMap, start: Tensor) -> _Trial:
        """A few Gauss–Newton steps from `start`, or from the description where that is closer; the
        best point on the way counts."""
        family, fitting, scale = self.family, self.fitting, self.scale
        trial = self.fit_of(_Trial(step=step, theta=start, error=math.inf))
        starts = [
            _Trial(
                step=step,
                theta=theta,
                error=replace(trial, theta=theta).standardised_error(self.held_out),
            )
            for theta in (start, self.described)
        ]
        best = min(starts, key=lambda t: t.error)
        if best.error <= _FLOOR:
            return best
        design, stepping = design_of(family, fitting, step), family.stepping(step)
        theta, response = best.theta, None
        for _ in range(_ROUNDS):
            r = replace(trial, theta=theta).residual(fitting)
            if not bool(torch.isfinite(r).all()):
                break
            J = solve_or_zero(design.inertia(theta), design.columns(fitting.a - r * scale))
            if not step.starts:
                if response is None:
                    response = step_response(stepping, theta, fitting, step)
                J = response @ J
            J = J / scale[:, None]
            theta = theta - numerics.least_squares(J.flatten(0, 1), r.flatten())
            error = replace(trial, theta=theta).standardised_error(self.held_out)
            slow = not error < _SLOW * best.error
            if error < best.error:
                best = _Trial(step=step, theta=theta, error=error)
            if slow:
                break
        return best


def described_parameters(family: Family, robot: Robot) -> Tensor:
    """The parameters of a robot's description in its family (p,), joint terms included."""
    theta = family.described
    k = family.basis.shape[1]
    for i, term in enumerate(family.terms):
        if term.joint_term not in (None, REST):  # springs are at rest where they are described
            theta[k + i] = getattr(robot, term.joint_term)[term.joint]
    return theta


def described_law(robot: Robot, step: StepMap | None, scale: Tensor) -> Fit:
    """The law that a robot's description states, as a simulator would compute it; scale (nv,) is
    the unit of its residuals."""
    family = Family.of(robot, joint_terms(robot))
    theta = described_parameters(family, robot)
    size = len(theta)
    return Fit(
        family=family,
        theta=theta,
        covariance=theta.new_zeros(size, size),
        error=math.nan,
        scale=scale,
        step=step,
    )


def described_step(robot: Robot, dt: float) -> StepMap | None:
    """The step that a description asks for; None where dt is no multiple of its own."""
    stepping = robot.stepping
    if stepping is None:
        return None
    parts = round(dt / stepping.timestep) or 1
    if abs(parts * stepping.timestep - dt) > _MULTIPLE * dt:
        return None
    turning = any(k in ("free", "spherical") for k in robot.kinds)
    frame = "world" if turning else "body"
    return StepMap(scheme=stepping.integrator, dt=dt, substeps=parts, frame=frame)


def _described_steps(
    task: _Task, dt: float, scheme: str | None, substeps: int | None
) -> list[StepMap]:
    """The step that the robot's description asks for, where dt is a multiple of it."""
    stepping = task.robot.stepping
    if stepping is None:
        return []
    parts = round(dt / stepping.timestep) or 1
    declared = scheme not in (None, stepping.integrator) or substeps not in (None, parts)
    if declared or abs(parts * stepping.timestep - dt) > _MULTIPLE * dt:
        return []
    return [
        StepMap(scheme=stepping.integrator, dt=dt, substeps=parts, frame=frame)
        for frame in task.frames
    ]


def _searched(
    task: _Task, dt: float, schemes: Sequence[str], substeps: int | None, enough: float
) -> list[_Trial]:
    """Every scheme with one step, or with the declared number of sub-steps; then, where none is
    exact, with the numbers that their errors point to."""
    found: list[_Trial] = []
    steps = [
        StepMap(scheme=s, dt=dt, substeps=substeps or 1, frame=f)
        for s in schemes
        for f in task.frames
    ]
    for step in sorted(steps, key=lambda s: s.evaluations):
        if not found:
            start = fit(task.family, task.fitting, scale=task.scale, step=step).theta
        found.append(task.tried(step, start))
    best = min(found, key=lambda t: t.error)
    if best.error <= enough or substeps is not None:
        return found
    fine = [StepMap(scheme="rk4", dt=dt, substeps=_FINE, frame=f) for f in task.frames]
    limits = [task.tried(step, best.theta) for step in fine]
    best = min([best, *limits], key=lambda t: t.error)
    proposed = [
        replace(trial.step, substeps=m)
        for trial in found
        for limit in limits
        if limit.step.frame == trial.step.frame
        for m in _pointed_to(trial, limit)
    ]
    spent = 0
    for step in sorted(dict.fromkeys(proposed), key=lambda s: s.evaluations):
        spent += 3 * step.evaluations
        if spent > _BUDGET:
            break
        found.append(task.tried(step, best.theta))
        best = min(best, found[-1], key=lambda t: t.error)
        if best.error <= enough:
            break
    return [*found, *(t for t in limits if t.step.scheme in schemes)]


def _pointed_to(trial: _Trial, limit: _Trial) -> list[int]:
    """Numbers of sub-steps about the one that the errors with one and with very many point to."""
    m = _estimate(trial, limit)
    return [n for n in (m - 1, m, m + 1) if 2 <= n <= MOST_SUBSTEPS]


def _estimate(trial: _Trial, limit: _Trial) -> int:
    """The number of sub-steps that the errors with one and with very many point to."""
    if not (math.isfinite(trial.error) and math.isfinite(limit.error)):
        return 2
    ratio = 1.0 + trial.error / max(limit.error, 1e-300)
    return round(ratio ** (1.0 / ORDER[trial.step.scheme]))


def _beyond(found: Sequence[_Trial]) -> bool:
    """Whether every scheme of one evaluation points to more sub-steps than are searched."""
    limits = [t for t in found if t.step.scheme == "rk4" and t.step.substeps == _FINE]
    singles = [t for t in found if t.step.starts]
    numbers = [_estimate(t, x) for t in singles for x in limits if t.step.frame == x.step.frame]
    return bool(numbers) and min(numbers) > MOST_SUBSTEPS


def _secant(best: _Trial, found: Sequence[_Trial]) -> list[int]:
    """The numbers of sub-steps m, on either side, that leave what `best` leaves with its n: its
    error is that of one step times |n⁻ᵖ - m⁻ᵖ| / (1 - m⁻ᵖ)."""
    single = [t for t in found if t.step == replace(best.step, substeps=1)]
    p, own = ORDER[best.step.scheme], best.step.substeps ** -ORDER[best.step.scheme]
    if not single or own == 1.0 or not math.isfinite(single[0].error):
        return []
    share = best.error / max(single[0].error, 1e-300) * (1 - own)
    ends = [x ** (-1 / p) for x in (own + share, own - share) if x > 0]
    return [min(max(2, round(x)), MOST_SUBSTEPS) for x in ends]


def _between(found: list[_Trial], task: _Task, enough: float) -> list[_Trial]:
    """With the numbers of sub-steps that the best one's error points to, then with those next to
    it, as long as they come closer."""
    known = {t.step: t for t in found}
    best = min(found, key=lambda t: t.error)
    rest = _BUDGET
    while best.error > enough and rest > 0:
        n = best.step.substeps
        # its own number once more: parameters that came closer elsewhere may serve it as well
        near = [m for m in (n - 1, n, n + 1) if 0 < m <= MOST_SUBSTEPS]
        further = [m for m in _secant(best, list(known.values())) if m not in near]
        before = best.error
        for numbers in (further, near):
            steps = [replace(best.step, substeps=m) for m in numbers]
            more = [task.tried(s, best.theta) for s in steps]
            rest -= 3 * sum(s.evaluations for s in steps)
            for t in more:
                if t.step not in known or t.error < known[t.step].error:
                    known[t.step] = t
            best = min([best, *more], key=lambda t: t.error)
            if best.error < _STILL_FALLING * before:
                break
        else:
            break
    fewer = best.step.substeps // 2
    while best.error <= enough and fewer:  # of high orders fewer parts may do as well
        trial = task.tried(replace(best.step, substeps=fewer), best.theta)
        if trial.error > enough:
            break
        known[trial.step], fewer = trial, fewer // 2
    return list(known.values())


def _chosen(trials: Sequence[_Trial], enough: float, expected: _Trial | None) -> _Trial:
    """The cheapest of those that explain about as much as the best; sub-steps must be worth it, and
    so must another step than the one expected."""
    best = min(t.error for t in trials)
    if expected is not None and expected.error <= max(_MORE_SUBSTEPS * best, enough):
        return expected
    single = [t for t in trials if t.step.substeps == 1]
    if single:
        closest = min(t.error for t in single)
        if best > enough and closest < _MORE_SUBSTEPS * best:
            trials, best = single, closest
    alike = [t for t in trials if t.error <= max(_AS_GOOD * best, enough)]
    return min(alike, key=lambda t: (t.step.evaluations, t.error))


def _by_positions(chosen: _Trial, found: Sequence[_Trial], task: _Task, enough: float) -> _Trial:
    """Of schemes whose velocities are alike, as those of all single evaluations are, the one that
    configurations follow."""

    def gap(t: _Trial) -> float:
        return _positions(task.family, t, task.held_out)

    if gap(chosen) <= _POSITIONS_FOLLOW:
        return chosen
    at_most = max(_AS_GOOD * chosen.error, enough)
    alike = [t for t in found if t.error <= at_most and _cost(t) == _cost(chosen)]
    return min([chosen, *alike], key=gap)


def _cost(trial: _Trial) -> tuple[int, int, str]:
    step = trial.step
    return step.substeps, step.evaluations, step.frame


def _positions(family: Family, trial: _Trial, answers: Answers) -> float:
    """How far the model's configurations are from the law's step, beside displacement - v dt."""
    if answers.q_next is None:
        return 0.0
    step, robot = trial.step, family.robot
    q_next, _ = family.step(trial.theta, answers.q, answers.v, answers.tau, step)
    gap = kinematics.difference(robot, q_next, answers.q_next)
    steady = kinematics.integrate(robot, answers.q, answers.v, step.dt)
    moved = kinematics.difference(robot, steady, answers.q_next)
    good = torch.isfinite(gap).all(-1) & torch.isfinite(moved).all(-1)
    size = moved[good].square().mean().sqrt()
    rounding = 1e-15 * float(answers.q_next[good].abs().max()) if bool(good.any()) else 0.0
    return float(gap[good].square().mean().sqrt() / (size + rounding + 1e-300))
