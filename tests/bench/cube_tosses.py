"""Real tosses of a cube, simulated by the hard law: chosen on 48 tosses, scored on the others.

python -m tests.bench.cube_tosses TOSSES.npz [--out FILE.md]

TOSSES.npz: arrays (T, 13) of unit quaternion (w first), position [m], angular velocity in the
body's frame and linear velocity, at 148 Hz (DAIRLab/dair_pll, ContactNets, arXiv 2009.11193). Each
toss is simulated from its first sample. Scores are means over samples and tosses: distance of the
centre in cube widths, angle of rotation. Recorded lengths are 2.2 % short (the cube rests at .978
of half its width), so they are divided by that share.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import kinematics
from kinematics.contact.law import Hard
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import HalfSpace, Point
from kinematics.robot.tree import Robot, build
from kinematics.spatial import rotations as rot

WIDTH, MASS, RATE, SHORT = 0.1048, 0.37, 148.0, 0.978
CHOSEN_ON = 48
SAMPLES = 85  # of the tosses that settings are chosen on
FRICTIONS, RESTITUTIONS = (0.15, 0.18, 0.22), (0.0, 0.125)


def cube() -> Robot:
    """The acrylic cube, of even density."""
    inertia = MASS * WIDTH**2 / 6
    return build(
        "cube",
        kinds=["free"],
        parents=[-1],
        body_names=["cube"],
        tree_rotation=[np.eye(3).tolist()],
        tree_offset=[[0.0] * 3],
        axes=[[0.0, 0.0, 1.0]],
        pi=[[MASS, 0, 0, 0, inertia, 0, inertia, 0, 0, inertia]],
    )


def table(friction: float, restitution: float, family: str) -> Scene:
    """Eight corners above a table."""
    corners = product((-WIDTH / 2, WIDTH / 2), repeat=3)
    points = [Point(body="cube", at=at, friction=friction) for at in corners]
    law = Hard(restitution=restitution, friction=family)
    return Scene(points, [HalfSpace(friction=friction)], law=law)


def read(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """q (n, T, 7), v (n, T, 6) and whether there is a sample (n, T), in the simulator's terms."""
    with np.load(path, allow_pickle=False) as held:
        tosses = [held[f"toss_{k}"] for k in range(len(held.files))]
    longest = max(map(len, tosses))
    there = torch.tensor([[t < len(x) for t in range(longest)] for x in tosses])
    rows = np.array([np.concatenate((x, np.repeat(x[-1:], longest - len(x), 0))) for x in tosses])
    data = torch.tensor(rows)
    quaternion, position = data[..., :4], data[..., 4:7] / SHORT
    linear = rot.rotate_by_quaternion(rot.quaternion_conjugate(quaternion), data[..., 10:] / SHORT)
    q, v = torch.cat((position, quaternion), -1), torch.cat((data[..., 7:10], linear), -1)
    return q, v, there


def errors(scene: Scene, q: Tensor, v: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over samples of position error [widths] and rotation error [degrees], each (n,)."""
    steps = q.shape[1] - 1
    way = kinematics.simulate(cube(), q[:, 0], v[:, 0], None, 1 / RATE, steps, scene=scene)
    found = way.q.movedim(0, 1)
    away = (found[..., :3] - q[..., :3]).norm(dim=-1) / WIDTH
    cosine = (found[..., 3:] * q[..., 3:]).sum(-1).abs().clamp_max(1.0)
    angle = torch.rad2deg(2 * torch.acos(cosine))
    count = there.sum(1)
    return (away * there).sum(1) / count, (angle * there).sum(1) / count


def main() -> None:
    """Choose on the first tosses, score on the others, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tosses", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--family", default="convex", choices=("convex", "coulomb"))
    given = parser.parse_args()
    q, v, there = read(given.tosses)
    own = slice(0, CHOSEN_ON), slice(0, SAMPLES)
    lines = [
        "| friction | restitution | position, % of width | rotation, degrees |",
        "|---|---|---|---|",
    ]
    best: tuple[float, float, float] | None = None
    for friction, restitution in product(FRICTIONS, RESTITUTIONS):
        scene = table(friction, restitution, given.family)
        away, angle = errors(scene, q[own], v[own], there[own])
        score = float(away.mean())
        lines.append(
            f"| {friction} | {restitution} | {100 * score:.1f} | {float(angle.mean()):.1f} |"
        )
        print(lines[-1], flush=True)
        if best is None or score < best[0]:
            best = (score, friction, restitution)
    assert best is not None
    scene = table(best[1], best[2], given.family)
    away, angle = errors(scene, q[CHOSEN_ON:], v[CHOSEN_ON:], there[CHOSEN_ON:])
    verdict = (
        f"{given.family} friction {best[1]}, restitution {best[2]}, on the {len(away)} other "
        f"tosses at full length: position {100 * float(away.mean()):.1f} ± "
        f"{100 * float(away.std()):.1f} % of the width, rotation {float(angle.mean()):.1f} ± "
        f"{float(angle.std()):.1f} degrees (median {100 * float(away.median()):.1f} %, "
        f"{float(angle.median()):.1f} degrees)."
    )
    print(verdict)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("\n".join(["# Real cube tosses", "", *lines, "", verdict, ""]))


if __name__ == "__main__":
    main()
