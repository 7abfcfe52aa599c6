"""`identify`: from the logs of a machine to its law, without a network. It reads from the top down.

In joint forces, not in accelerations: measured torques carry the noise, and a fit of accelerations
to noisy torques shrinks every response, that is, enlarges every inertia (by factors of two to eight
on the wrists of real arms). Here the torque is what is predicted, and noise in it only widens the
standard errors.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import sympy
from numpy.typing import NDArray

from discover.data.delay import find_delay, given_delay
from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.reading import Paths, as_layout, read_logs, with_logged_joints
from discover.data.smoothing_choice import SmoothingChoice, choose_smoothing
from discover.errors import DatasetError
from discover.identification.design import Bodies, assemble, load_columns
from discover.identification.drive_terms import drive_terms, standard
from discover.identification.estimate import Estimate, estimate, held, instrumented
from discover.identification.exciting.information import of_logs
from discover.identification.motions import (
    TorqueScale,
    in_newtons,
    measured_twice,
    split,
    torque_scale,
    without_delay,
)
from discover.identification.payloads.carried import (
    Carried,
    LoadedBodies,
    carried_by,
    folded,
    of_arm,
)
from discover.identification.payloads.found import found_payloads, known_mass, settled_by_mass
from discover.identification.payloads.untold import untold_payloads
from discover.identification.possible_bodies import (
    PossibleBodies,
    as_fitted,
    possible_bodies,
    with_their_loads,
)
from discover.identification.result import (
    DriveParameter,
    Identification,
    JointErrors,
    Parameter,
    joint_errors,
)
from discover.identification.samples import Samples, gather, rest_speed
from discover.identification.uncertainty import (
    errors_of_delay,
    errors_of_hold,
    excitation,
    standard_errors,
)
from discover.identification.unexplained import dependences
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import Term, stated
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.progress import Show, reported, stage

if TYPE_CHECKING:
    from discover.data.settings import LogLayout
    from kinematics import Robot

Array = NDArray[np.float64]

_HARDLY = threshold("identification.hardly")
_RESOLVED = threshold("identification.resolved")
_SHOWN = threshold("identification.shown")
_TRACE = 1500  # rows a log in the figures


@reported("the identification", "run it again")
def identify(
    recordings: Paths | Log | Sequence[Log],
    robot: Robot,
    *,
    layout: LogLayout | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    test: Paths | Log | Sequence[Log] | None = None,
    smoothing: SmoothingChoice | None = None,
    delay: float | None = None,
    torque_unit: Literal["N·m", "unknown"] = "N·m",
    payload: Mapping[str, Any] | None = None,
    select: bool = True,
    instruments: bool = True,
    seed: int = 0,
    progress: Show = None,
) -> Identification:
    """Identify bodies and drives of a robot from logs of q and tau.

    recordings  paths of logs (files, folders, patterns), or logs that were read
    robot       the description: tree and geometry are taken from it; its masses are what stays
                where the logs say nothing
    layout      what the columns mean (see `discover.data.reading.read_logs`)
    test        logs that no fit and no choice may see; without them the last quarter of every log
    smoothing   the filter [chosen by cross-validation]
    delay       of the joint forces behind the motion [s; estimated, and taken out where that helps]
    torque_unit "unknown" for currents, volts or duty ratios: the description's bodies settle the
                factor of each joint
    payload     which logs were recorded with a tool or a weight, by its label: patterns of their
                names, or a table with logs, link and mass (see `discover.data.settings.Payload`);
                {"tool": "loaded_*"}. Bodies and drives are shared, the payload's own parameters
                are found; with torque_unit="unknown" a known mass settles the factors. Joint
                forces of terms that depend on a load are those of the arm's own bodies
    select      choose the terms of the drives by held-out logs; False: viscous and Coulomb
                friction, offset and rotor of every joint
    instruments take noise in positions into account by instrumental variables, where neighbouring
                samples are measurements of their own
    progress    see `discover.examine`

    Raises DatasetError, in one line, for logs that do not fit.
    """
    begin = time.monotonic()
    _check(robot)
    stage("the logs")
    mapping = as_layout(layout)
    robot, still = _logged(recordings, robot, mapping)
    train, kept = _logs(recordings, robot, mapping), _logs(test, robot, mapping)
    train, both = _apart(train, kept)
    loads = carried_by(payload or (mapping.payload if mapping else None), train, kept, robot)
    chosen = smoothing or _of_higher_order(choose_smoothing(train, robot))
    stage("the delay of the torques")
    motions, others = ([smooth(log, chosen, robot) for log in logs] for logs in (train, kept))
    scale = _torque_scale(motions, loads, robot, torque_unit == "unknown")
    if torque_unit == "unknown":
        motions, others = (
            [in_newtons(m, scale.factor) for m in part] for part in (motions, others)
        )
    borne = [(load.body, load.logs) for load in loads]
    late = find_delay(motions, robot, borne) if delay is None else given_delay(delay)
    motions, others = ([without_delay(m, late.delay) for m in part] for part in (motions, others))
    fitted, held_out = (motions, others) if kept else split(motions)
    rest = rest_speed(fitted)
    robot = _slow(robot, rest)
    through = (chosen.window_s, chosen.order)
    samples = folded(gather(fitted, rest, *through), loads)
    unseen = gather(held_out, rest, *through, whole=True)
    stage("the drives")
    bodies = LoadedBodies.with_loads(robot, loads)
    _moves(samples, robot)
    speed, hastes = (x.pow(2).mean(0).sqrt().numpy() for x in (samples.v, samples.a))
    terms = drive_terms(bodies.robot, speed, _RESOLVED * chosen.window_s * hastes)
    plain = estimate(samples, bodies, standard(terms), select=False)
    found = estimate(samples, bodies, terms) if select else plain
    twice = measured_twice(train, fitted, chosen, robot) if instruments else None
    twins = None
    if twice is not None:
        even, odd = (gather(part, rest, *through) for part in twice)
        twins = (even, odd)
        found = instrumented(found, samples, twins)
    found = held(found, samples)
    stage("the bodies")
    stated = possible_bodies(held(plain, samples))
    found, possible = with_their_loads(found, samples, twins)
    stage("the standard errors")
    errors = np.hypot(standard_errors(found, samples), errors_of_hold(found, samples))
    if late.delay:
        errors = np.hypot(errors, errors_of_delay(found, samples, late.error))
    stage("what is left unexplained")
    k = bodies.size
    predictions = [_predictions(part, robot, plain, found, possible) for part in (samples, unseen)]
    residual = samples.tau.numpy() - predictions[0]["identified"]
    left = dependences(
        samples, robot.independent_names, residual, _load(samples, bodies, possible), seed
    )
    unseen_residual = unseen.tau.numpy() - predictions[1]["identified"]
    parts = ((samples, residual), (unseen, unseen_residual))
    in_single_logs, differ = untold_payloads(parts, bodies, found.noise)
    asked = _load(unseen, bodies, possible)
    return Identification(
        robot_name=robot.name,
        joints=robot.independent_names,
        logs=tuple(m.name for m in fitted),
        held_out=tuple(m.name for m in held_out),
        parameters=_parameters(found, possible, errors[:k]),
        friction=_friction(found, possible, errors[k:], robot),
        errors=tuple(_errors(samples, unseen, robot, predictions)),
        noise=found.noise,
        rest_speed=rest,
        excitation=excitation(found, errors[:k]),
        shown_by_logs=of_arm(of_logs(found, samples, errors[:k]), bodies),
        alignment=late,
        torque_scale=scale,
        smoothing=chosen.sentence(),
        unexplained=tuple(sorted((*left, *in_single_logs), key=lambda d: -d.share)),
        possible=_in_words(possible),
        payloads=found_payloads(bodies, possible, errors[:k], unseen, predictions[1]["identified"]),
        notes=(
            *still,
            *both,
            *differ,
            *_outside_limits(samples, robot),
            *dict.fromkeys(note for log in (*train, *kept) for note in log.notes),
        ),
        seconds=time.monotonic() - begin,
        seed=seed,
        law_record=_law(found, possible, robot).to_dict(),
        robot_record=_law(plain, stated, robot).robot.to_dict(),
        baseline_record=_law(plain, as_fitted(plain), robot).to_dict(),
        traces=_traces(unseen, robot.independent_names, predictions[1], asked),
    )


def _check(robot: Robot) -> None:
    if robot.nq != robot.nv:
        raise DatasetError(
            f"identify: expected a fixed base and joints with one coordinate each, found "
            f"{robot.nq} coordinates for {robot.nv} velocities of {robot.name}; if its base stood "
            "still, load it with root = 'fixed' and leave columns.base out (logs of a base that "
            "moves: `discover data`, and [recording] of a recipe)"
        )


def _moves(samples: Samples, robot: Robot) -> None:
    """Raises DatasetError where there is nothing to identify from."""
    if samples.moving.mean(axis=0).max() < _HARDLY:
        raise DatasetError(
            f"recordings: expected motion, found no joint of {robot.name} that moves faster than "
            "the noise in its position"
        )
    tau = samples.tau.numpy()
    if (np.ptp(tau, axis=0) <= 1e-9 * np.abs(tau).max(axis=0)).all():
        raise DatasetError("recordings: expected torques that change, found constant ones")


def _outside_limits(samples: Samples, robot: Robot) -> list[str]:
    """Joints that were logged beyond the description's limits by a tenth of their range."""
    q = samples.q.numpy()
    low, high = robot.lower.numpy(), robot.upper.numpy()
    room = 0.1 * (high - low)
    with np.errstate(invalid="ignore"):
        out = ((q < low - room) | (q > high + room)).mean(axis=0)
    return [
        f"{name} was logged outside the description's limits, {low[j]:.4g} to {high[j]:.4g}, from "
        f"{q[:, j].min():.4g} to {q[:, j].max():.4g}: degrees, motor sides, or another zero?"
        for j, name in enumerate(robot.independent_names)
        if out[j] > 0.01
    ]


def _logs(recordings: Any, robot: Robot, layout: Any) -> list[Log]:
    """Logs as they are, or read. Raises DatasetError where they are of other joints."""
    if recordings is None:
        return []
    alone = isinstance(recordings, Log | str | os.PathLike)
    given: list[Any] = [recordings] if alone else list(recordings)
    read = bool(given) and all(isinstance(x, Log) for x in given)
    logs: list[Log] = given if read else read_logs(given, robot, layout)
    for log in logs:
        if log.q.shape[1:] != (robot.nq,) or log.tau.shape[1:] != (robot.nv,):
            raise DatasetError(
                f"recording {log.name}: expected q and tau of {robot.nv} joints "
                f"({', '.join(robot.independent_names)}), found {log.q.shape[1]} and "
                f"{log.tau.shape[1]}; lock joints that were not logged (lock = {{joint = value}})"
            )
    return logs


def _logged(recordings: Any, robot: Robot, layout: Any) -> tuple[Robot, tuple[str, ...]]:
    """The robot with the joints held that paths of logs say nothing of, and a note."""
    alone = isinstance(recordings, Log | str | os.PathLike)
    given: list[Any] = [recordings] if alone else list(recordings)
    if any(isinstance(x, Log) for x in given):
        return robot, ()
    return with_logged_joints(given, robot, layout)


def _apart(train: list[Log], kept: list[Log]) -> tuple[list[Log], tuple[str, ...]]:
    """The logs to fit less those that are held out as well (`logs/*` and one of them as a test),
    and a note. Raises DatasetError where none is left."""
    held = {log.sha256 for log in kept if log.sha256}
    left = [log for log in train if log.sha256 not in held]
    both = [log.name for log in train if log.sha256 in held]
    if not left:
        raise DatasetError(
            "recordings: expected a log that is not held out as well, found none: "
            f"{', '.join(both)}; name others to fit, or leave --test out"
        )
    many = "were" if len(both) > 1 else "was"
    note = f"held out, and so not fitted though among the logs, {many} {', '.join(both)}"
    return left, (note,) if both else ()


def _of_higher_order(chosen: SmoothingChoice) -> SmoothingChoice:
    """A filter with the same noise in accelerations that rounds off less: polynomials of order 5
    over a window longer by 12.25^(1/5) (noise of second derivatives goes with 720 and 8820 over the
    window to the fifth). Joint forces are only averaged, accelerations are also rounded off, and
    what they lose at order 3 comes back as inertia, half a percent too much."""
    return replace(chosen, order=5, window_s=chosen.window_s * 12.25**0.2)


def _torque_scale(
    motions: Sequence[Motion], loads: Sequence[Carried], robot: Robot, unknown: bool
) -> TorqueScale:
    """The factors to N·m; a warning where logs that should be in N·m hardly are. The description
    knows of no payloads: its factors come from the logs without."""
    rest = rest_speed(motions)
    robot = _slow(robot, rest)
    bare = [m for m in motions if not any(m.name in load.logs for load in loads)]
    by_mass = unknown and known_mass(loads)
    scale = torque_scale(gather(bare, rest), Bodies.of(robot), apply=unknown and not by_mass)
    if by_mass:
        bodies = LoadedBodies.with_loads(robot, loads)
        scale = settled_by_mass(folded(gather(motions, rest), loads), bodies, scale)
    if scale.far_off and not unknown:
        factors = ", ".join(f"{1 / x:.3g}" for x in scale.factor)
        warnings.warn(
            f"the torques are {factors} times what the bodies of {robot.name} ask, joint by joint: "
            'are they in another unit? torque_unit = "unknown" (--torque-unit unknown) finds it',
            stacklevel=4,
        )
    return scale


def _slow(robot: Robot, rest: Array) -> Robot:
    """The robot with friction that reverses below the speeds (nv,) at which joints rest."""
    return robot.replace(friction_speed=float(np.median(rest)) / 2)


def _predictions(
    samples: Samples, robot: Robot, plain: Estimate, found: Estimate, possible: PossibleBodies
) -> dict[str, Array]:
    """Joint forces (N, nv) that each yardstick predicts."""
    import kinematics

    bodies = found.bodies
    beta = bodies.matrix @ possible.pi.flatten() - bodies.described
    theta = np.concatenate([beta, possible.coefficients])
    tau = samples.tau.numpy()
    out = {
        "zero": np.zeros_like(tau),
        "description": kinematics.rnea(robot, samples.q, samples.v, samples.a).numpy(),
    }
    for label, fit, at, numbers in (
        ("least squares", plain, plain.robot, plain.theta),
        ("identified", found, possible.robot, theta),
    ):
        design = assemble(samples, bodies, fit.terms, at)
        described = tau - design.y
        out[label] = described + design.predicted(fit.columns, numbers)
    return out


def _load(samples: Samples, bodies: Bodies, possible: PossibleBodies) -> Array:
    """What the bodies ask of the joints (N, nv), payloads included."""
    return load_columns(samples, bodies) @ (bodies.matrix @ possible.pi.flatten())


def _errors(
    samples: Samples, unseen: Samples, robot: Robot, predictions: Sequence[dict[str, Array]]
) -> list[JointErrors]:
    names = robot.independent_names
    return [
        *joint_errors(samples, names, predictions[0], [False] * len(samples.names)),
        *joint_errors(unseen, names, predictions[1], [True] * len(unseen.names)),
    ]


def _parameters(found: Estimate, possible: PossibleBodies, errors: Array) -> tuple[Parameter, ...]:
    bodies = found.bodies
    values = bodies.matrix @ possible.pi.flatten()
    sizes = np.sqrt(np.maximum(bodies.spread.diagonal(), 1e-300))
    return tuple(
        Parameter(
            name=name,
            value=float(value),
            error=float(error),
            described=float(described),
            shown=bool(error < _SHOWN * size),
        )
        for name, value, error, described, size in zip(
            bodies.base.names, values, errors, bodies.described, sizes, strict=True
        )
    )


def _friction(
    found: Estimate, possible: PossibleBodies, errors: Array, robot: Robot
) -> tuple[DriveParameter, ...]:
    out, n = [], 0
    names = robot.independent_names
    for drive in found.terms:
        for term in drive.terms:
            out.append(
                DriveParameter(
                    name=term.name,
                    kind=drive.kind,
                    joints=tuple(names[j] for j in drive.joints),
                    formula=_formula(term),
                    value=float(possible.coefficients[n]),
                    error=float(errors[n]),
                )
            )
            n += 1
    return tuple(out)


def _formula(term: Term) -> str:
    """The force on the first joint it acts on, with numbers to read."""
    shape = term.shape[term.joint]
    return sympy.sstr(shape.xreplace({x: sympy.Float(x, 4) for x in shape.atoms(sympy.Float)}))


def _law(found: Estimate, possible: PossibleBodies, robot: Robot) -> RigidBodyLaw:
    """Bodies with the joint terms that a description can state, and the other terms beside them."""
    body = robot.replace(
        pi=possible.robot.pi.reshape(-1, 10),
        **{
            key: getattr(possible.robot, key)
            for key in ("armature", "damping", "friction", "stiffness")
        },
    )
    terms: list[Term] = []
    n = 0
    for drive in found.terms:
        for term in drive.terms:
            value = float(possible.coefficients[n])
            n += 1
            if not drive.along_motion:  # the law has its limit: Coulomb friction, a rigid joint
                terms.append(term.with_coefficient(value))
    body = stated(body, terms, [term.coefficient for term in terms])
    extensions = tuple(term for term in terms if not term.physical)
    return RigidBodyLaw(robot=body, extensions=extensions, size=found.bodies.size + n)


def _in_words(possible: PossibleBodies) -> str:
    if not possible.solved:
        return "no possible bodies were found: the solver failed, and these may not exist"
    return (
        "the bodies can exist (positive pseudo-inertias); keeping to such adds "
        f"{possible.cost:.2g} of the residual's mean square"
    )


def _traces(
    unseen: Samples, joints: Sequence[str], predictions: dict[str, Array], load: Array
) -> dict[str, Any]:
    """What the figures are drawn from: torque, velocity and predictions of the held-out logs."""
    out: dict[str, Any] = {}
    for k, name in enumerate(unseen.names):
        rows = np.flatnonzero(unseen.log == k)
        rows = rows[:: max(1, len(rows) // _TRACE)]
        out[name] = {
            "time": unseen.time[rows].tolist(),
            "q": unseen.q[rows].T.tolist(),
            "v": unseen.v[rows].T.tolist(),
            "tau": unseen.tau[rows].T.tolist(),
            "least squares": predictions["least squares"][rows].T.tolist(),
            "identified": predictions["identified"][rows].T.tolist(),
            "bodies": load[rows].T.tolist(),
            "joints": list(joints),
        }
    return out
