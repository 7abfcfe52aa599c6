"""How well `discover.identify` finds what is known: simulated twins of logs, and which estimator.

    python -m tests.bench.identification [--out reports/identification] [--seeds N]

A twin is a robot with random viscous and Coulomb friction and rotors that follows a random periodic
motion; its log has encoder counts instead of positions, torques with noise that lasts, a delay, and
a ripple that the law of the twin does not have. Scored: the share of identifiable base parameters
and drive coefficients whose truth lies within two standard errors, and the inertia (the diagonal of
H over the motion) over the truth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import discover
import kinematics
from discover.artifacts import write_text
from discover.data.logs import Log
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A robot that is known, and what was logged of it."""

    robot: Robot
    description: Robot
    logs: list[Log]


def twin(
    robot: Robot,
    seed: int,
    *,
    seconds: float = 20.0,
    logs: int = 3,
    rate: float = 500.0,
    counts: int = 65536,
    noise: float = 0.05,
    ripple: float = 0.01,
    delay: float = 0.004,
) -> Twin:
    """counts: encoder counts a turn; noise: of the torque, as a share of its root mean square, with
    a correlation time of 20 ms; ripple: likewise, 40 times a turn."""
    generator = np.random.default_rng(seed)
    nv = robot.nv
    tilt = torch.tensor(generator.uniform(0.7, 1.4, size=(robot.nb, 1)))
    size = np.sqrt(np.mean(kinematics.crba(robot, robot.neutral()).diagonal().numpy()))
    carried = np.array([float(parent >= 0) for parent in robot.parents])
    true = robot.replace(
        pi=robot.pi * tilt,
        damping=torch.tensor(generator.uniform(0.2, 1.0, nv)) * size,
        friction=torch.tensor(generator.uniform(0.2, 1.0, nv)) * size,
        # the rotor of a joint on the base cannot be told from the inertia of its body
        armature=torch.tensor(generator.uniform(0.0, 0.1, nv) * carried) * size**2,
        friction_speed=0.005,
    )
    recorded = [_log(true, k, generator, seconds, rate, counts, noise, ripple, delay)
                for k in range(logs)]  # fmt: skip
    return Twin(robot=true, description=robot, logs=recorded)


def _log(
    robot: Robot,
    number: int,
    generator: np.random.Generator,
    seconds: float,
    rate: float,
    counts: int,
    noise: float,
    ripple: float,
    delay: float,
) -> Log:
    time = np.arange(0, seconds, 1 / rate)

    def motion(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        q, v, a = (np.zeros((len(at), robot.nv)) for _ in range(3))
        for j in range(robot.nv):
            for k in range(1, 6):
                w = 2 * np.pi * 0.1 * k
                size, phase = amplitudes[j, k - 1] / k, phases[j, k - 1]
                q[:, j] += size * np.sin(w * at + phase)
                v[:, j] += size * w * np.cos(w * at + phase)
                a[:, j] -= size * w**2 * np.sin(w * at + phase)
        return q, v, a

    amplitudes = generator.normal(0, 0.7, (robot.nv, 5))
    phases = generator.uniform(0, 2 * np.pi, (robot.nv, 5))
    q, _, _ = motion(time)
    late = motion(time - delay)
    tau = kinematics.rnea(robot, *(torch.tensor(x) for x in late)).numpy()
    rms = np.sqrt(np.mean(tau**2, axis=0))
    decay = np.exp(-1 / (rate * 0.02))
    drift = np.zeros_like(tau)
    for n in range(1, len(time)):
        drift[n] = decay * drift[n - 1] + np.sqrt(1 - decay**2) * generator.normal(size=robot.nv)
    tau = tau + noise * rms * drift + ripple * rms * np.sin(40 * q)
    step = 2 * np.pi / counts
    return Log(
        name=f"log {number + 1}",
        sha256="",
        time=time,
        q=np.round(q / step) * step,
        v=None,
        tau=tau,
    )


@dataclass(frozen=True, kw_only=True)
class Score:
    """within: for each parameter that is shown, (estimate - truth) / standard error; inertia (nv,):
    the mean diagonal of H over the truth's."""

    within: np.ndarray
    inertia: np.ndarray
    error: float
    seconds: float

    @property
    def covered(self) -> float:
        """Share of the parameters within two standard errors."""
        return float(np.mean(np.abs(self.within) <= 2))


def score(known: Twin, seed: int = 0, **options: object) -> Score:
    """Identify a twin from its logs, and compare."""
    found = discover.identify(known.logs, known.description, seed=seed, **options)  # type: ignore[arg-type]
    base = kinematics.base_parameters(known.robot)
    truth = base.matrix.numpy() @ known.robot.pi.flatten().numpy()
    z = [
        (p.value - true) / max(p.error, 1e-300)
        for p, true in zip(found.parameters, truth, strict=True)
        if p.shown
    ]
    stated = {"viscous friction": "damping", "Coulomb friction": "friction"}
    for p in found.friction:
        if p.kind in stated and len(p.joints) == 1:
            j = list(found.joints).index(p.joints[0])
            true = float(getattr(known.robot, stated[p.kind])[j])
            z.append((p.value - true) / max(p.error, 1e-300))
    q = torch.tensor(known.logs[0].q[::50])
    H = [
        kinematics.crba(r, q).diagonal(dim1=-2, dim2=-1).mean(0).numpy()
        for r in (found.robot, known.robot)
    ]
    return Score(
        within=np.array(z),
        inertia=H[0] / H[1],
        error=found.error()["identified"],
        seconds=found.seconds,
    )


ROBOTS = ("double_pendulum", "planar_3r", "panda")


def main() -> None:
    """Score all twins and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, default=Path("reports/identification"))
    parser.add_argument("--seeds", type=int, default=4)
    chosen = parser.parse_args()
    lines = [
        "# Identification of simulated twins",
        "",
        "Made by `python -m tests.bench.identification`.",
        "",
        "| robot | estimator | parameters | within 2 standard errors | inertia / truth (range) | "
        "torque error, held out | seconds |",
        "|---|---|--:|--:|---|--:|--:|",
    ]
    for name in ROBOTS:
        for label, options in (("least squares", {"instruments": False}), ("instruments", {})):
            scores = [
                score(twin(kinematics.load(name), seed), **options) for seed in range(chosen.seeds)
            ]
            z = np.concatenate([s.within for s in scores])
            inertia = np.concatenate([s.inertia for s in scores])
            lines.append(
                f"| {name} | {label} | {len(z)} | {np.mean(np.abs(z) <= 2):.0%} | "
                f"{inertia.min():.3f} … {inertia.max():.3f} | "
                f"{np.mean([s.error for s in scores]):.2%} | "
                f"{np.mean([s.seconds for s in scores]):.1f} |"
            )
            print(lines[-1], flush=True)
    write_text(chosen.out / "twins.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
