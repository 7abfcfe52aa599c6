"""The robots of the time ledger: their descriptions, and the regions they are measured in."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import kinematics
from discover.artifacts import read_json, write_json
from discover.blackbox.region import Region
from discover.study import recipes
from kinematics import Robot

ROBOTS = "robots"  # the folder of descriptions
EFFORT = 10.0  # rad/s² or m/s²: acceleration that the region's joint force gives each joint alone


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A robot of the time ledger: its description, its networks, and how long they are trained."""

    key: str
    title: str
    source: str
    root: str | None = None
    recipe: str | None = None
    networks: tuple[str, ...] = ("mlp 2×32", "mlp 3×256")
    training_s: float = 15.0  # a network
    examined: bool = True  # distil the law from a network; else fit it to the simulator


SUBJECTS = (
    Subject(
        key="double_pendulum",
        title="Double pendulum",
        source="double_pendulum",
        recipe="double_pendulum",
        networks=("mlp 2×32", "mlp 3×256", "delan"),
    ),
    Subject(
        key="panda",
        title="Panda arm",
        source="panda",
        recipe="panda",
        networks=("mlp 2×32", "mlp 3×256", "delan"),
    ),
    Subject(
        key="solo12",
        title="Solo 12 quadruped",
        source="solo_description/robots/solo12.urdf",
        root="free",
        training_s=25.0,
        examined=False,
    ),
    Subject(
        key="talos",
        title="TALOS humanoid",
        source="talos_data/robots/talos_reduced.urdf",
        root="free",
        training_s=50.0,
        examined=False,
    ),
)


def load(subject: Subject, out: Path | None = None) -> Robot | None:
    """The bundled robot; or the one of example-robot-data, whose description is kept under ``out``
    and read from there where that package is missing. None where there is neither."""
    if not subject.source.endswith(".urdf"):
        return kinematics.load(subject.source)
    stored = None if out is None else out / ROBOTS / f"{subject.key}.json"
    try:
        data = distribution("example-robot-data")
    except PackageNotFoundError:
        return (
            Robot.from_dict(read_json(stored)) if stored is not None and stored.exists() else None
        )
    path = data.locate_file(f"cmeel.prefix/share/example-robot-data/robots/{subject.source}")
    robot = kinematics.load(str(path), root=subject.root)
    if stored is not None and not stored.exists():
        write_json(stored, robot.to_dict())
    return robot


def region_of(subject: Subject, robot: Robot) -> Region:
    """The recipe's region; else 0.5 rad (or m), 1 rad/s, and joint forces for `EFFORT`."""
    if subject.recipe is not None:
        entry = recipes.load(subject.recipe).region
        if entry is not None:
            return entry.build().resolve(robot.nv)
    inertia = kinematics.crba(robot, robot.neutral()[None])[0].diagonal()
    return Region(q=0.5, v=1.0, tau=(EFFORT * inertia).tolist()).resolve(robot.nv)
