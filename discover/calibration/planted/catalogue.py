"""The settings of the calibration by name, and all planted models of a setting.

A setting is one line here. The verdict's requirements were written with `DEVELOPMENT` in view;
bounds are fitted to all `SETTINGS` and scored with each left out in turn; no bound is fitted to the
robots of `NOT_FITTED_ON`. The results on all of them have been read, last on 2026-11-30.
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
from discover.calibration.planted import alternatives, hybrids, physics, tables
from discover.calibration.planted.contract import Planted, Setting
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


NOT_FITTED_ON = {  # scored apart
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
# Of these, robots whose misses, model by model, have been read; last on 2026-11-30.
READ = ("TwoDofs", "finger", "Borinot arm", "Hextilt arm", "Z1", "xArm 7")
_INSTALLED = "cmeel.prefix/share/example-robot-data/robots"


def folder_of_descriptions(given: str | Path) -> Path:
    """A folder that holds the robots of example-robot-data; "installed": where the package is.

    Raises RobotError where it lacks any of `NOT_FITTED_ON`.
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
    missing = [d.path for d in NOT_FITTED_ON.values() if not (folder / d.path).is_file()]
    if missing:
        raise RobotError(
            f"expected the robots of example-robot-data under {folder}, found no {missing[0]}"
        )
    return folder


def settings(folder: Path | None = None) -> dict[str, Callable[[], Setting]]:
    """`SETTINGS`; with a folder of descriptions, those of the robots `NOT_FITTED_ON` instead."""
    if folder is None:
        return SETTINGS

    def one(d: Description) -> Setting:
        return setting_of(kinematics.load(folder / d.path, root=d.root), d.q, d.v)

    return {name: partial(one, d) for name, d in NOT_FITTED_ON.items()}


@dataclass(frozen=True, kw_only=True)
class PlantedCase:
    """One planted model in its setting, with a name that nothing else has."""

    robot: str
    setting: Setting
    planted: Planted

    @property
    def name(self) -> str:
        return f"{self.robot}: {self.planted.name}"


def planted_models(setting: Setting) -> list[Planted]:
    """All planted models of one setting: physics, alternatives, tables, hybrids, networks."""
    return [
        *physics.planted_models(setting),
        *alternatives.planted_models(setting),
        *tables.planted_models(setting),
        *hybrids.planted_models(setting),
        *tables.trained_networks(setting),
    ]


def planted_cases(
    robots: Iterable[str] | None = None, folder: Path | None = None
) -> list[PlantedCase]:
    """All planted models, or those of some robots, in a fixed order; `folder` as in `settings`."""
    known = settings(folder)
    chosen = known if robots is None else {r: known[r] for r in robots}
    listed = []
    for robot, make in chosen.items():
        setting = make()
        listed += [
            PlantedCase(robot=robot, setting=setting, planted=p) for p in planted_models(setting)
        ]
    return listed


_LEGS = {"fl": (0.25, 0.12), "fr": (0.25, -0.12), "rl": (-0.25, 0.12), "rr": (-0.25, -0.12)}  # m


def quadruped() -> Robot:
    """A made-up quadruped of the size of a large dog: a trunk on a free joint, four legs of three
    hinges, 18 velocity coordinates."""
    parts = [_link("trunk", 9.0, (0.01, 0.0, 0.02), (0.09, 0.28, 0.33))]
    for leg, (x, y) in _LEGS.items():
        side = 1 if y > 0 else -1
        parts += [
            _joint(f"{leg}_abduction", "trunk", f"{leg}_hip", (x, y, 0.0), "1 0 0"),
            _link(f"{leg}_hip", 1.1, (0.0, 0.02 * side, 0.0), (0.002, 0.0016, 0.0021)),
            _joint(f"{leg}_swing", f"{leg}_hip", f"{leg}_thigh", (0.0, 0.08 * side, 0.0), "0 1 0"),
            _link(f"{leg}_thigh", 1.4, (-0.01, 0.0, -0.08), (0.013, 0.012, 0.0018)),
            _joint(f"{leg}_knee", f"{leg}_thigh", f"{leg}_shank", (0.0, 0.0, -0.25), "0 1 0"),
            _link(f"{leg}_shank", 0.3, (0.005, 0.0, -0.11), (0.0021, 0.0021, 0.0001)),
        ]
    text = "".join(parts)
    return kinematics.load(f'<robot name="quadruped">{text}</robot>', root="free")


def _link(
    name: str, mass: float, at: tuple[float, float, float], moments: tuple[float, float, float]
) -> str:
    """mass [kg], centre of mass [m], principal moments about it [kg·m²]."""
    x, y, z = moments
    return (
        f'<link name="{name}"><inertial><origin xyz="{at[0]} {at[1]} {at[2]}"/>'
        f'<mass value="{mass}"/><inertia ixx="{x}" iyy="{y}" izz="{z}" ixy="0" ixz="0" iyz="0"/>'
        "</inertial></link>"
    )


def _joint(name: str, parent: str, child: str, at: tuple[float, float, float], axis: str) -> str:
    return (
        f'<joint name="{name}" type="continuous"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{at[0]} {at[1]} {at[2]}"/><axis xyz="{axis}"/></joint>'
    )
