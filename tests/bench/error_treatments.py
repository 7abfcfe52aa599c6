"""Which treatment of errors in the regressor is best, on real logs and on simulated ones.

    python -m tests.bench.error_treatments [--data DIR] [--out DIR] [--seeds N]

All treatments fit the same columns (base parameters; viscous and Coulomb friction, offset and rotor
of every joint) to the same filtered samples, and are scored on the same held-out ones.
"""

from __future__ import annotations

import argparse
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

import kinematics
from discover.artifacts import write_text
from discover.data.delay import find_delay
from discover.data.logs import Log
from discover.data.motions import smooth
from discover.data.reading import as_layout, read_logs
from discover.data.smoothing_choice import choose_smoothing
from discover.identification.design import Bodies, assemble
from discover.identification.drive_terms import drive_terms, standard
from discover.identification.estimate import Estimate, estimate, instrumented
from discover.identification.identify import _of_higher_order, _slow, _torque_scale
from discover.identification.motions import in_newtons, measured_twice, split, without_delay
from discover.identification.samples import Samples, gather, rest_speed
from kinematics import Robot
from tests.bench.identification import Twin, twin
from tests.bench.simulation_error import simulation_error, torques_in_windows

Array = NDArray[np.float64]
LOGS = Path(__file__).parents[2] / "datasets/recipes/logs"
_ERRORS_OF = 400  # rows from which errors of columns are estimated by adding noise to the motion


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Samples to fit and to score, the bodies, and the ordinary fit; `twice` are the fitted motions
    from the even and from the odd samples, where these are measurements of their own."""

    samples: Samples
    unseen: Samples
    bodies: Bodies
    plain: Estimate
    twice: tuple[Samples, Samples] | None

    @classmethod
    def of(
        cls, logs: Sequence[Log], robot: Robot, test: Sequence[Log] = (), *, unit: str = "N·m"
    ) -> Problem:
        """As `discover.identify` prepares it."""
        chosen = _of_higher_order(choose_smoothing(logs, robot))
        motions, others = ([smooth(x, chosen, robot) for x in part] for part in (logs, test))
        if unit == "unknown":
            factor = _torque_scale(motions, [], robot, True).factor
            motions, others = ([in_newtons(m, factor) for m in x] for x in (motions, others))
        late = find_delay(motions, robot, []).delay
        motions, others = ([without_delay(m, late) for m in x] for x in (motions, others))
        fitted, held_out = (motions, others) if test else split(motions)
        rest = rest_speed(fitted)
        robot = _slow(robot, rest)
        through = (chosen.window_s, chosen.order)
        samples = gather(fitted, rest, *through)
        bodies = Bodies.of(robot)
        speed = samples.v.pow(2).mean(0).sqrt().numpy()
        plain = estimate(samples, bodies, standard(drive_terms(bodies.robot, speed)), select=False)
        halves = measured_twice(logs, fitted, chosen, robot)
        return cls(
            samples=samples,
            unseen=gather(held_out, rest, *through, whole=True),
            bodies=bodies,
            plain=plain,
            twice=halves and tuple(gather(x, rest, *through) for x in halves),  # type: ignore[arg-type]
        )

    def held_out(self, theta: Array) -> float:
        """Root mean square error of unseen joint forces, as a share of theirs."""
        design = assemble(self.unseen, self.bodies, self.plain.terms, self.plain.robot)
        off = design.y - design.predicted(self.plain.columns, theta)
        tau = self.unseen.tau.numpy()
        return float(np.sqrt(np.mean(off**2) / np.mean(tau**2)))


def least_squares(problem: Problem) -> Array:
    """Weighted by joint."""
    return problem.plain.moments.solve(list(problem.plain.columns))


def instruments(problem: Problem) -> Array | None:
    """Moments across the even and the odd samples."""
    if problem.twice is None:
        return None
    return instrumented(problem.plain, problem.samples, problem.twice).theta


def total_least_squares(problem: Problem) -> Array:
    """Generalised total least squares with exact columns (Golub, Hoffman & Stewart 1987; Van Huffel
    & Vandewalle 1989), by SVD: columns and torques are both changed, in units of their errors."""
    fit, samples = problem.plain, problem.samples
    columns = list(fit.columns)
    covariance = _errors_of_columns(problem)
    scale = np.sqrt(covariance.diagonal())
    noisy = scale > 1e-6 * _norms(fit)
    weight = samples.moving / fit.noise
    A = (fit.design.X[:, :, columns] * weight[:, :, None]).reshape(-1, len(columns))
    y = (fit.design.y * weight).ravel()
    prior = scipy.linalg.sqrtm(fit.moments.prior[np.ix_(columns, columns)]).real
    norms = np.where(np.isfinite(fit.moments.size[columns]), fit.moments.size[columns], 0.0)
    A, y = np.vstack([A, prior * norms]), np.r_[y, np.zeros(len(columns))]
    exact = np.flatnonzero(~noisy)
    order = np.r_[exact, np.flatnonzero(noisy)]
    unit = np.linalg.norm(A, axis=0)
    unit[unit == 0] = 1.0
    R = np.linalg.qr(np.column_stack([A[:, order] / unit[order], y]), mode="r")
    m = len(exact)
    if m == len(columns):
        return least_squares(problem)
    of = covariance[np.ix_(order[m:], order[m:])] / np.outer(unit[order[m:]], unit[order[m:]])
    own = np.sqrt(of.diagonal())
    # errors of columns are all made of those of a few positions: their covariance hardly has rank
    L = np.linalg.cholesky(of / np.outer(own, own) + 1e-3 * np.eye(len(own))) * own[:, None]
    L = scipy.linalg.block_diag(L, 1.0)
    whitened = np.linalg.solve(L, R[m:, m:].T).T  # R L⁻ᵀ
    last = np.linalg.svd(whitened)[2][-1]
    solution = np.linalg.solve(L.T, last)
    x = np.zeros(len(columns))
    x[m:] = -solution[:-1] / solution[-1]
    x[:m] = scipy.linalg.solve_triangular(R[:m, :m], R[:m, -1] - R[:m, m:-1] @ x[m:])
    out = np.empty(len(columns))
    out[order] = x / unit[order]
    return out


def _norms(fit: Estimate) -> Array:
    """Root mean square of each whitened column."""
    X = fit.design.X[:, :, list(fit.columns)] / fit.noise[:, None]
    return np.sqrt(np.mean(X**2, axis=(0, 1)))


def _errors_of_columns(problem: Problem) -> Array:
    """The covariance (p, p) of the errors of whitened columns, the same in all rows: from the two
    halves of the samples, else from what noise as the filter states it does to the columns."""
    fit, samples = problem.plain, problem.samples
    columns = list(fit.columns)
    if problem.twice is not None:
        one, two = (assemble(s, fit.bodies, fit.terms, fit.robot).X for s in problem.twice)
        apart, count = (one - two)[:, :, columns] / 2, one.shape[0]
    else:
        few = samples.rows(np.arange(0, len(samples), max(1, len(samples) // _ERRORS_OF)))
        generator = np.random.default_rng(0)
        noise = samples.motions[0].noise
        moved = {
            k: getattr(few, k)
            + torch.from_numpy(noise[k] * generator.normal(size=getattr(few, k).shape))
            for k in "qva"
        }
        shaken = Samples(**{**few.__dict__, **moved, "columns": {}})
        here, there = (assemble(s, fit.bodies, fit.terms, fit.robot).X for s in (few, shaken))
        apart, count = (there - here)[:, :, columns], len(few)
    rows = (apart / fit.noise[:, None]).reshape(-1, len(columns))
    return rows.T @ rows / (count * samples.nv)


def over(duration: float) -> Callable[[Problem], Array | None]:
    """Simulation error over windows of a duration [s]."""
    return lambda problem: simulation_error(problem.plain, problem.samples, duration)


TREATMENTS: dict[str, Callable[[Problem], Array | None]] = {
    "least squares": least_squares,
    "instrumental variables": instruments,
    "total least squares": total_least_squares,
    "least squares, windows of 0.1 s": lambda x: torques_in_windows(x.plain, x.samples, 0.1),
    "simulation error, 0.1 s": over(0.1),
    "simulation error, 0.3 s": over(0.3),
}


@dataclass
class Scores:
    """Of one treatment on one machine, or on twins: held-out errors, seconds, and for twins the
    departures of parameters from the truth (in units of a typical body, or shares of the truth)."""

    held_out: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    off: list[Array] = field(default_factory=list)
    inertia: list[Array] = field(default_factory=list)
    missing: int = 0


def treat(problem: Problem, scores: Mapping[str, Scores], known: Twin | None = None) -> None:
    """Add every treatment of a problem to the scores."""
    for name, treatment in TREATMENTS.items():
        begin = time.process_time()
        theta = treatment(problem)
        took = time.process_time() - begin
        if theta is None:
            scores[name].missing += 1
            continue
        scores[name].held_out.append(problem.held_out(theta))
        scores[name].seconds.append(took)
        if known is not None:
            off, inertia = _departures(problem, theta, known.robot)
            scores[name].off.append(off)
            scores[name].inertia.append(inertia)


def _departures(problem: Problem, theta: Array, true: Robot) -> tuple[Array, Array]:
    """Of base parameters in units of a typical body's, of friction and rotors as shares of the
    truth; and the mean diagonal of H over the truth's (nv,)."""
    bodies, k = problem.bodies, problem.bodies.size
    beta = bodies.described + theta[:k]
    off = (beta - bodies.matrix @ true.pi.flatten().numpy()) / np.sqrt(bodies.spread.diagonal())
    robot, drives = bodies.moved_to(beta), []
    armature = np.zeros(true.nv)
    for drive, value in zip(problem.plain.terms, theta[k:], strict=True):
        term, j = drive.terms[0].joint_term, drive.joints[0]
        if term == "armature":
            armature[j] = value
        elif term is not None:
            drives.append(value / float(getattr(true, term)[j]) - 1)
    robot = robot.replace(armature=torch.from_numpy(armature))
    q = problem.samples.q[::20]
    H = [kinematics.crba(r, q).diagonal(dim1=-2, dim2=-1).mean(0).numpy() for r in (robot, true)]
    return np.r_[off, drives], H[0] / H[1]


TWINS: dict[str, tuple[str, float, dict[str, float]]] = {
    "double pendulum": ("double_pendulum", 1.0, {}),
    "double pendulum, coarse encoder": ("double_pendulum", 1.0, {"counts": 2048}),
    "double pendulum, noisy positions": ("double_pendulum", 1.0, {"position_noise": 0.003}),
    "planar arm": ("planar_3r", 1.0, {}),
    "planar arm, noisy positions": ("planar_3r", 1.0, {"position_noise": 0.003}),
    "Panda": ("panda", 0.4, {}),
}


def machines(data: Path) -> Iterator[tuple[str, Problem]]:
    """The real machines whose logs are there."""

    def read(paths: Sequence[Path], robot: Robot, columns: str) -> list[Log]:
        return read_logs([str(x) for x in paths], robot, as_layout(LOGS / columns))

    pendulum = data / "real_double_pendulum"
    if pendulum.is_dir():
        robot = kinematics.load("dfki_double_pendulum")
        parts = [[pendulum / f"trajectory_{k:02}.csv" for k in part]
                 for part in ((0, 1, 2, 3), (4, 5, 6, 12))]  # fmt: skip
        fitted, test = (read(x, robot, "dfki_double_pendulum.toml") for x in parts)
        yield "double pendulum C.0", Problem.of(fitted, robot, test)
    servo = data / "servo_pendulum"
    if servo.is_dir():
        robot = kinematics.load(LOGS / "servo_pendulum.urdf")
        parts = [[servo / f"2026-01-15_10h{x}.json" for x in part]
                 for part in (("28m10", "28m24", "28m42", "29m04"), ("29m47",))]  # fmt: skip
        fitted, test = (read(x, robot, "servo_pendulum.toml") for x in parts)
        yield "servo pendulum", Problem.of(fitted, robot, test, unit="unknown")
    if (data / "real_panda").is_dir():
        robot = kinematics.load("panda")
        path = data / "real_panda/exciting_trajectory.csv"
        yield "Panda", Problem.of(read([path], robot, "panda_exciting.toml"), robot)
    if (data / "real_tx40").is_dir():
        robot = kinematics.load(data / "real_tx40/tx40.urdf")
        yield "TX40", Problem.of(read([data / "real_tx40"], robot, "tx40.toml"), robot)


def page(real: Mapping[str, Mapping[str, Scores]], twins: Mapping[str, Mapping[str, Scores]],
         command: str, commit: str) -> str:  # fmt: skip
    """The tables."""
    lines = [
        "# Treatments of errors in the regressor",
        "",
        f"Made by `{command}` at commit {commit}.",
        "",
        "Velocities and accelerations are made of noisy positions, and stand in the columns of the "
        "fit. All treatments fit the same columns (base parameters; viscous and Coulomb friction, "
        "offset and rotor of every joint, none selected) to the same samples after the same filter "
        "and with the same delay. *Held out*: root mean square error of the joint force where "
        "nothing was fitted, over the joint force's own, all joints together. *Least squares* is "
        "weighted by joint; *instrumental variables* takes moments across the even and the odd "
        "samples (positions must be measured anew in each: —); *total least squares* changes "
        "columns and torques, in units of their errors; *simulation error* begins from least "
        "squares, and fits what is simulated over windows to the positions (— : hardly a window in "
        "which all joints move one way, or a law that cannot be simulated); beside it, least "
        "squares over the same windows. Processor seconds are those of the treatment alone.",
        "",
        "## Real machines",
        "",
        "| treatment | " + " | ".join(f"{name} | s" for name in real) + " |",
        "|---|" + "--:|--:|" * len(real),
    ]
    for name in TREATMENTS:
        cells = [_cells(scores[name]) for scores in real.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Simulated twins",
        "",
        "As in [twins.md](twins.md): bodies, friction and rotors unlike the description's, torques "
        "4 ms late with lasting noise of 5 % and a ripple of 1 % that no column has, encoders of "
        "65,536 counts a turn, coarse ones of 2,048; noisy positions have "
        "white noise of 3 mrad. *Bias*: of the parameter that is off most on "
        "average over twins (base parameters in units of a typical body's, viscous and Coulomb "
        "coefficients as shares), with its standard deviation over twins; *inertia*: the same of "
        "the mean diagonal of H.",
        "",
        "| twins | number | treatment | held out | worst bias | spread | inertia, worst bias | "
        "spread | processor s |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for label, scores in twins.items():
        for name, s in scores.items():
            if not s.off:
                continue
            (bias, spread), (h_bias, h_spread) = (
                _worst(np.array(x)) for x in (s.off, np.array(s.inertia) - 1)
            )
            failed = f" ({s.missing} failed)" if s.missing else ""
            lines.append(
                f"| {label} | {len(s.off)}{failed} | {name} | {np.mean(s.held_out):.2%} | "
                f"{bias:+.1%} | {spread:.1%} | {h_bias:+.2%} | {h_spread:.2%} | "
                f"{np.mean(s.seconds):.2f} |"
            )
    return "\n".join(lines) + "\n"


def _cells(scores: Scores) -> str:
    if not scores.held_out:
        return "— | "
    return f"{scores.held_out[0]:.2%} | {scores.seconds[0]:.2f}"


def _worst(off: Array) -> tuple[float, float]:
    """Mean and standard deviation over twins of the parameter whose mean is largest."""
    mean = off.mean(axis=0)
    k = int(np.abs(mean).argmax())
    return float(mean[k]), float(off[:, k].std(ddof=1)) if len(off) > 1 else float("nan")


def main() -> None:
    """Score all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("reports/identification"))
    parser.add_argument("--seeds", type=int, default=10, help="of twins; fewer of the Panda")
    chosen = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    command = f"python -m tests.bench.error_treatments --data PATH --seeds {chosen.seeds}"
    warnings.simplefilter("ignore")
    real: dict[str, dict[str, Scores]] = {}
    twins: dict[str, dict[str, Scores]] = {}

    def store() -> None:
        write_text(chosen.out / "error_treatments.md", page(real, twins, command, commit))

    for name, problem in machines(chosen.data):
        real[name] = {x: Scores() for x in TREATMENTS}
        treat(problem, real[name])
        print(name, {x: s.held_out for x, s in real[name].items()}, flush=True)
        store()
    for label, (robot, share, options) in TWINS.items():
        twins[label] = {x: Scores() for x in TREATMENTS}
        for seed in range(max(2, round(chosen.seeds * share))):
            known = twin(kinematics.load(robot), seed, **options)  # type: ignore[arg-type]
            treat(Problem.of(known.logs, known.description), twins[label], known)
        print(label, {x: np.mean(s.held_out) for x, s in twins[label].items()}, flush=True)
        store()


if __name__ == "__main__":
    main()
