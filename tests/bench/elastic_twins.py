"""How well `discover.identify` finds joints that give way: simulated twins with elastic joints.

    python -m tests.bench.elastic_twins [--out DIR] [--seeds N]

Every other joint, drawn by chance, has a spring between motor and link with which its mean inertia
would swing at 4 to 8 Hz, as in arms with harmonic drives and long links.
Encoders are on the motors.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import discover
import kinematics
from discover.artifacts import write_text
from discover.data.logs import Log
from kinematics import Robot

Array = NDArray[np.float64]
_BLINK = 1e-3  # s, between the instants of second differences
ROBOTS = {"double_pendulum": 10, "planar_3r": 10, "panda": 3}  # twins for ten seeds


def bare(robot: Robot) -> Robot:
    """The bodies alone."""
    none = torch.zeros_like(robot.damping)
    return robot.replace(damping=none, friction=none, armature=none)


class Swing:
    """A random periodic motion of the links, with the motors' ahead of it by load over stiffness:
    nothing is approximated but derivatives of the load, by differences."""

    def __init__(self, robot: Robot, seed: int, compliance: Sequence[float] | Array) -> None:
        self.robot, self.compliance = robot, np.array(compliance)
        generator = np.random.default_rng(seed)
        self.w = 2 * np.pi * 0.13 * np.arange(1, 6)
        self.sizes = generator.normal(size=(robot.nv, 5)) / np.arange(1, 6)
        self.phases = generator.uniform(0, 2 * np.pi, (robot.nv, 5))

    def links(self, time: Array) -> list[Array]:
        """q, v, a (N, nv)."""
        angle = time[:, None, None] * self.w + self.phases
        waves = (np.sin(angle), self.w * np.cos(angle), -(self.w**2) * np.sin(angle))
        return [(self.sizes * x).sum(-1) for x in waves]

    def loads(self, time: Array) -> tuple[Array, Array, Array]:
        """The load with its first and second derivative (N, nv)."""
        before, now, after = (
            kinematics.rnea(
                bare(self.robot), *(torch.tensor(x) for x in self.links(time + s))
            ).numpy()
            for s in (-_BLINK, 0.0, _BLINK)
        )
        return now, (after - before) / (2 * _BLINK), (after - 2 * now + before) / _BLINK**2

    def motors(self, time: Array) -> tuple[Array, Array, Array, Array]:
        """Positions, velocities, accelerations and torques of the motors (N, nv)."""
        loads = self.loads(time)
        q, v, a = (x + self.compliance * y for x, y in zip(self.links(time), loads, strict=True))
        robot = self.robot
        friction = robot.friction.numpy() * np.tanh(v / float(robot.friction_speed))
        drive = robot.damping.numpy() * v + friction + robot.armature.numpy() * a
        return q, v, a, loads[0] + drive

    def log(self, noise: float, seconds: float = 20.0) -> Log:
        """Of a 16 bit encoder; noise of the torque, white, as a share of its root mean square."""
        time = np.arange(0, seconds, 0.004)
        q, _, _, tau = self.motors(time)
        generator = np.random.default_rng(int(1e6 * self.sizes[0, 0] ** 2))
        tau = tau + noise * np.sqrt(np.mean(tau**2, axis=0)) * generator.normal(size=tau.shape)
        step = 2 * np.pi / 65536
        name = f"{self.sizes[0, 0]:.6f}"
        return Log(name=name, sha256="", time=time, q=np.round(q / step) * step, v=None, tau=tau)


@dataclass(frozen=True, kw_only=True)
class Score:
    """ratio, z: of each planted stiffness that was found, over the truth, and its departure in
    standard errors; planted, false: how many; held-out errors with and without selection."""

    ratio: Array
    z: Array
    planted: int
    false: int
    identified: float
    rigid: float
    seconds: float


def score(robot: Robot, seed: int, noise: float = 0.02) -> Score:
    """One twin with four logs, and one held out."""
    generator = np.random.default_rng(1000 + seed)
    nv = robot.nv
    tilt = torch.tensor(generator.uniform(0.7, 1.4, size=(robot.nb, 1)))
    q = torch.tensor(generator.uniform(-1, 1, size=(64, robot.nq)))
    inertia = kinematics.crba(robot, q).diagonal(dim1=-2, dim2=-1).mean(0).numpy()
    true = robot.replace(
        pi=robot.pi * tilt,
        damping=torch.tensor(generator.uniform(0.2, 1.0, nv) * np.sqrt(inertia)),
        friction=torch.tensor(generator.uniform(0.2, 1.0, nv) * np.sqrt(inertia)),
        armature=torch.zeros(nv, dtype=robot.pi.dtype),
        friction_speed=0.005,
    )
    inertia = kinematics.crba(true, q).diagonal(dim1=-2, dim2=-1).mean(0).numpy()
    stiffness = (2 * np.pi * generator.uniform(4, 8, nv)) ** 2 * inertia
    soft = generator.uniform(size=nv) < 0.5
    logs = [Swing(true, 100 * seed + k, soft / stiffness).log(noise) for k in range(5)]
    begin = time.process_time()
    found = discover.identify(logs[:4], robot, test=logs[4:])
    took = time.process_time() - begin
    names = list(found.joints)
    of = {names.index(j): x for j, x in found.joint_stiffness.items()}
    right = [j for j in of if soft[j]]
    errors = found.error()
    return Score(
        ratio=np.array([of[j][0] / stiffness[j] for j in right]),
        z=np.array([(of[j][0] - stiffness[j]) / of[j][1] for j in right]),
        planted=int(soft.sum()),
        false=len(of) - len(right),
        identified=errors["identified"],
        rigid=errors["least squares"],
        seconds=took,
    )


def page(rows: Mapping[str, Sequence[Score]], command: str, commit: str) -> str:
    """The table, with what it says."""
    lines = [
        "# Elastic joints of simulated twins",
        "",
        f"Made by `{command}` at commit {commit}.",
        "",
        "Every other joint, by chance, has a spring between motor and link; with it the joint's "
        "mean inertia would swing at 4 to 8 Hz, and the motion has up to 0.65 Hz. Four logs of "
        "20 s at 250 Hz, a 16 bit encoder on the motor's side, white noise of 2 % in the torque. "
        "*false*: elastic joints found where the twin is rigid. *within*: of the stiffnesses "
        "found, those within two of their standard errors of the truth. *least squares* has "
        "rigid joints; errors are those of the joint force in a fifth log.",
        "",
        "| robot | twins | planted | found | false | within | stiffness over truth | sd | "
        "identified | least squares | processor s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, scores in rows.items():
        ratio, z = (np.concatenate([getattr(s, x) for s in scores]) for x in ("ratio", "z"))
        means = (np.mean([getattr(s, x) for s in scores]) for x in ("identified", "rigid"))
        shares = " | ".join(f"{x:.2%}" for x in means)
        lines.append(
            f"| {name} | {len(scores)} | {sum(s.planted for s in scores)} | {len(ratio)} | "
            f"{sum(s.false for s in scores)} | {np.mean(np.abs(z) <= 2):.0%} | {ratio.mean():.3f} "
            f"| {ratio.std():.3f} | {shares} | {np.mean([s.seconds for s in scores]):.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Score all twins and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, default=Path("reports/identification"))
    parser.add_argument("--seeds", type=int, default=10, help="of small robots; fewer of others")
    chosen = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    command = " ".join(["python -m tests.bench.elastic_twins", *sys.argv[1:]])
    warnings.simplefilter("ignore")
    rows: dict[str, list[Score]] = {}
    for name, share in ROBOTS.items():
        twins = max(1, chosen.seeds * share // 10)
        rows[name] = [score(kinematics.load(name), seed) for seed in range(twins)]
        write_text(chosen.out / "elastic_twins.md", page(rows, command, commit))
        print(name, [s.ratio.round(3).tolist() for s in rows[name]], flush=True)


if __name__ == "__main__":
    main()
