"""Planted models of muscles: laws of every family, and offenders that an examination must catch."""

from dataclasses import fields, replace

import numpy as np
import torch
from scipy.spatial import cKDTree

from discover.muscles.asking import MuscleRegion
from discover.muscles.families import FamilyLaw, parameters_of
from kinematics.muscles.muscles import Muscles
from kinematics.muscles.paths import Path, Paths, Point, Wrap
from kinematics.robot.tree import build

REGION = MuscleRegion(length=(0.25, 0.35), rate=0.6, activation=(0.02, 1.0))


def law(family, seed, *, adapted=False):
    """A muscle of a family with drawn numbers; `adapted` also draws those of its curves."""
    rng = np.random.default_rng(seed)
    angle = np.radians(rng.uniform(0, 25))
    optimal = rng.uniform(0.07, 0.11)
    values = {
        "F0": rng.uniform(100, 3000),
        "l_opt": optimal,
        "v_max": rng.uniform(5, 14),
        "β": rng.uniform(0, 0.15),
        "sin² α0": np.sin(angle) ** 2,
        "l_slack": 0.3 - optimal * np.cos(angle) + rng.uniform(-0.01, 0.01),
        "l_zero": 0.3 - optimal,
    }
    for p in parameters_of(family, REGION, 1.0):
        if p.standard is not None:
            values[p.name] = p.standard * (rng.uniform(0.85, 1.2) if adapted else 1)
    if "lengthening" in values:
        values["lengthening"] = max(values["lengthening"], 1.15)
    return FamilyLaw(family=family, values={k: float(x) for k, x in values.items()})


def noisy(model, noise, seed=0):
    """The same with fresh noise at every question, in shares of its force."""
    generator = torch.Generator().manual_seed(seed)
    size = float(np.sqrt((model.at(REGION.points(256, 0)) ** 2).mean()))

    def answer(length, rate, activation):
        force = model(length, rate, activation)
        return force + noise * size * torch.randn(force.shape, generator=generator).double()

    return answer


def altered():
    """De Groote–Fregly's muscle with another active force–length curve."""
    forces = law("De Groote–Fregly", 3).forces

    class Wavy(type(forces.curves)):
        def active(self, length):
            return super().active(length) * (1 + 0.25 * torch.sin(9 * (length - 0.8)))

    curves = Wavy(**{f.name: getattr(forces.curves, f.name) for f in fields(forces.curves)})
    return replace(forces, curves=curves)


def bent_activation():
    """A muscle that is not affine in its activation."""
    planted = law("De Groote–Fregly", 4)
    return lambda length, rate, activation: planted(length, rate, activation**1.6)


def force_table(n=4000):
    """The nearest of n samples of Millard's muscle."""
    points = REGION.points(n, 9)
    answers = law("Millard", 5).at(points)
    low, high = REGION.sides.T
    tree = cKDTree((points - low) / (high - low))

    def answer(*given):
        asked = torch.stack(given, -1).numpy()
        return torch.tensor(answers[tree.query((asked - low) / (high - low))[1]])

    return answer


def network(inputs, outputs, x, y, *, width=48, steps=1200, seed=0):
    """A network of one hidden layer's depth more, trained on samples in [-1, 1]."""
    torch.manual_seed(seed)
    layers = (torch.nn.Linear(inputs, width), torch.nn.Tanh(), torch.nn.Linear(width, width),
              torch.nn.Tanh(), torch.nn.Linear(width, outputs))  # fmt: skip
    net = torch.nn.Sequential(*layers).double()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        batch = torch.randint(len(x), (256,))
        optimiser.zero_grad()
        ((net(x[batch]) - y[batch]) ** 2).mean().backward()
        optimiser.step()
        schedule.step()
    return net


def force_network():
    """A network trained on a muscle of De Groote and Fregly's."""
    points = REGION.points(4000, 9)
    answers = torch.tensor(law("De Groote–Fregly", 6).at(points))
    low, high = (torch.tensor(x) for x in REGION.sides.T)
    size = answers.square().mean().sqrt()
    x = 2 * (torch.tensor(points) - low) / (high - low) - 1
    net = network(3, 1, x, (answers / size)[:, None])
    return lambda *given: size * net(2 * (torch.stack(given, -1) - low) / (high - low) - 1)[:, 0]


def arm():
    """Three hinges with parallel axes in a row."""
    eye = np.eye(3).tolist()
    return build(
        "arm",
        kinds=["revolute"] * 3,
        parents=[-1, 0, 1],
        tree_rotation=[eye] * 3,
        tree_offset=[[0, 0, 0], [0.3, 0, 0], [0.25, 0, 0]],
        axes=[[0, 0, 1.0]] * 3,
        pi=[[1, 0.1, 0, 0, 0.01, 0.01, 0.01, 0, 0, 0]] * 3,
    )


def muscular_arm(*names):
    """The arm with the named muscles."""
    lever = Wrap(
        kind="cylinder", body=0, radius=0.02, centre=(0.29, 0.01, 0), side=Point(0, (0.29, 0.05, 0))
    )
    flip = Wrap(kind="cylinder", body=0, radius=0.03, centre=(0.3, 0, 0))
    paths = {
        "straight": (Point(-1, (-0.1, 0.05, 0)), Point(0, (0.15, 0.03, 0.01))),
        "biarticular": (Point(-1, (0.02, 0.06, 0)), Point(1, (0.1, 0.03, 0))),
        "via": (Point(-1, (-0.1, 0.05, 0)), Point(0, (0.2, 0.04, 0)), Point(1, (0.1, 0.03, 0.02))),
        "lever": (Point(0, (0.1, 0.05, 0)), lever, Point(1, (0.1, 0.03, 0))),
        "flip": (Point(0, (0.1, 0.02, 0)), flip, Point(1, (0.1, 0.02, 0))),
    }
    chosen = [Path(name=n, elements=paths[n]) for n in names]
    return arm().replace(muscles=Muscles.of(Paths.of(chosen, rule="mujoco4")))
