"""The settings of the zoo by name, and all planted models of a setting.

A setting is one line here. `DEVELOPMENT` names those that were in view while cases were written
and misses looked at; calibration is fitted and scored over all of them, each left out in turn;
`UNUSED` are robots that nothing was fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch

import kinematics
from discover.blackbox import sampling
from discover.blackbox.region import Region
from discover.calibration.planted import alternatives, hybrids, networks, physics, tables
from discover.calibration.planted.contract import Planted, Setting
from discover.calibration.planted.quadruped import quadruped
from kinematics import Robot
from kinematics.errors import RobotError


def setting_of(robot: Robot, q: float = 1.0, v: float = 2.0, seed: int = 0) -> Setting:
    """A setting whose joint forces are of the size that moving the robot so takes.

    Half-widths: q [rad | m], v [rad/s | m/s]; tau such that gravity, speeds and accelerations of
    5 rad/s² all matter.
    """
    box = Region(q=q, v=v, tau=1.0).resolve(robot.nv)
    x = sampling.sample(box, robot, 200, seed)
    a = 5.0 * torch.randn(x.v.shape, generator=torch.Generator().manual_seed(seed), dtype=x.v.dtype)
    size = kinematics.rnea(robot, x.q, x.v, a).square().mean(0).sqrt()
    size = size.clamp_min(1e-3 * float(size.max()))
    return Setting(
        robot=robot, region=Region(q=q, v=v, tau=1.5 * size).resolve(robot.nv), seed=seed
    )


def _tree(nb: int, branching: float, seed: int, kinds=("revolute",)) -> Robot:
    return kinematics.random_tree(nb, branching, seed, kinds=kinds)


SETTINGS: dict[str, Callable[[], Setting]] = {
    "double pendulum": lambda: setting_of(kinematics.load("double_pendulum")),
    "planar 3R": lambda: setting_of(kinematics.load("planar_3r"), 0.8),
    "planar branched": lambda: setting_of(kinematics.load("planar_branched"), 0.9, 1.5),
    "one hinge": lambda: setting_of(_tree(1, 0.0, 3)),
    "spatial chain of 2": lambda: setting_of(_tree(2, 0.0, 5), 1.1, 2.5),
    "spatial chain of 3": lambda: setting_of(_tree(3, 0.0, 11)),
    "hinges and slides": lambda: setting_of(
        _tree(3, 0.0, 21, kinds=("revolute", "prismatic")), 0.6, 1.5
    ),
    "branched tree of 4": lambda: setting_of(_tree(4, 0.6, 8), 0.8),
    "spatial chain of 5": lambda: setting_of(_tree(5, 0.0, 13), 0.8),
    "Panda": lambda: setting_of(kinematics.load("panda"), 0.7, 1.0),
    "quadruped": lambda: setting_of(quadruped(), 0.5, 1.0),
}
DEVELOPMENT = (
    "double pendulum",
    "planar 3R",
    "spatial chain of 3",
    "spatial chain of 2",
    "one hinge",
    "hinges and slides",
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """A robot of the package example-robot-data: file, root, half-widths of q and v."""

    path: str
    root: str | None = None
    q: float = 0.8
    v: float = 1.5


UNUSED = {  # scored apart; no number was ever set with them in view
    "TwoDofs": Description(path="asr_twodof_description/urdf/TwoDofs.urdf"),
    "finger": Description(path="finger_edu_description/robots/finger_edu.urdf"),
    "Borinot arm": Description(path="borinot_description/urdf/borinot_flying_arm_2.urdf"),
    "Hextilt arm": Description(path="hextilt_description/urdf/hextilt_flying_arm_5.urdf"),
    "Kinova": Description(path="kinova_description/robots/kinova.urdf"),
    "SO-100": Description(path="so_arm_description/urdf/so100.urdf"),
    "Z1": Description(path="z1_description/urdf/z1.urdf"),
    "xArm 7": Description(path="xarm_description/urdf/xarm7.urdf"),
    "Bolt": Description(path="bolt_description/robots/bolt.urdf", root="free", q=0.5, v=1.0),
    "Solo 12": Description(path="solo_description/robots/solo12.urdf", root="free", q=0.5, v=1.0),
}
# Of these, robots whose misses in earlier calibrations have been read since.
READ = ("TwoDofs", "finger", "Borinot arm", "Hextilt arm", "Z1", "xArm 7")
_INSTALLED = "cmeel.prefix/share/example-robot-data/robots"


def folder_of_descriptions(given: str | Path) -> Path:
    """A folder that holds the robots of example-robot-data; "installed": where the package is.

    Raises RobotError where it lacks any of `UNUSED`.
    """
    if str(given) == "installed":
        try:
            folder = Path(str(distribution("example-robot-data").locate_file(_INSTALLED)))
        except PackageNotFoundError as error:
            raise RobotError(
                "expected example-robot-data to be installed, found that it is not: give the "
                "folder of its robots instead"
            ) from error
    else:
        folder = Path(given)
    missing = [d.path for d in UNUSED.values() if not (folder / d.path).is_file()]
    if missing:
        raise RobotError(
            f"expected the robots of example-robot-data under {folder}, found no {missing[0]}"
        )
    return folder


def settings(folder: Path | None = None) -> dict[str, Callable[[], Setting]]:
    """The zoo's own settings; with a folder of descriptions, those of the unused robots instead."""
    if folder is None:
        return SETTINGS

    def one(d: Description) -> Setting:
        return setting_of(kinematics.load(folder / d.path, root=d.root), d.q, d.v)

    return {name: partial(one, d) for name, d in UNUSED.items()}


@dataclass(frozen=True, kw_only=True)
class Cage:
    """One planted model in its setting, with a name that nothing else has."""

    robot: str
    setting: Setting
    planted: Planted

    @property
    def name(self) -> str:
        return f"{self.robot}: {self.planted.name}"


def zoo(setting: Setting) -> list[Planted]:
    """All planted models of one setting: physics, alternatives, tables, hybrids, networks."""
    return [
        *physics.zoo(setting),
        *alternatives.zoo(setting),
        *tables.zoo(setting),
        *hybrids.zoo(setting),
        *networks.zoo(setting),
    ]


def cages(robots: Iterable[str] | None = None, folder: Path | None = None) -> list[Cage]:
    """The whole zoo, or that of some robots, in a fixed order; `folder` as in `settings`."""
    known = settings(folder)
    chosen = known if robots is None else {r: known[r] for r in robots}
    listed = []
    for robot, make in chosen.items():
        setting = make()
        listed += [Cage(robot=robot, setting=setting, planted=p) for p in zoo(setting)]
    return listed
