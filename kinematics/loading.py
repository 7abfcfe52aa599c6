"""`load`: the robot of a file, of XML text or of a bundled name."""

from __future__ import annotations

import codecs
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinematics.algorithms.crba import joints_without_inertia
from kinematics.errors import RobotError
from kinematics.formats import xml_safety
from kinematics.formats.mjcf import robot_from_mjcf
from kinematics.formats.osim import robot_from_osim
from kinematics.formats.urdf import robot_from_urdf
from kinematics.robot import locking
from kinematics.robot.tree import Robot

_INSTEAD = {
    "MjModel": "it no longer holds its description: pass the MJCF that it was made from, or "
    "MjSpec.to_xml()",
    "MjSpec": "pass its to_xml() after compile()",
}
_POSITIVE = ("armature", "damping", "friction", "stiffness")
_SHOWN = 3


def load(
    source: str | os.PathLike[str],
    root: str | None = None,
    *,
    joint_terms: bool | None = None,
    tree_only: bool = False,
    lock: Mapping[str, float | Sequence[float]] | None = None,
    gravity: Sequence[float] | None = None,
) -> Robot:
    """The robot of a URDF, MJCF or OpenSim file, of XML text, or of a bundled robot's name.

    ``root="free"`` puts the root body on a free joint (URDF alone says: fixed). ``joint_terms``
    applies the armature, damping, friction and springs of the description: by default those of an
    MJCF are applied and those of a URDF are not, as MuJoCo and Pinocchio do. ``tree_only`` leaves
    out of an MJCF what is no tree of rigid bodies (loops, springy tendons) instead of refusing it;
    of an OpenSim model it holds joints along curves still and leaves out their muscles.
    ``lock`` welds joints at a position [rad | m], see `kinematics.lock`. ``gravity`` (3,) [m/s²] in
    the base's frame is that of a robot on a wall or a ceiling. Raises RobotError.
    """
    if root not in (None, "fixed", "free"):
        raise RobotError(f'expected root="free" or "fixed", found {root!r}; choose one')
    text, label, path = _text(source)
    element = xml_safety.parse(text, label)
    free = root == "free"
    if element.tag == "robot":
        robot = robot_from_urdf(element, label, free=free, joint_terms=bool(joint_terms))
        return _with_note(_mounted(robot, lock, gravity), free)
    if element.tag == "mujoco":
        robot = robot_from_mjcf(
            element,
            text,
            path,
            label,
            free=free,
            joint_terms=joint_terms is not False,
            tree_only=tree_only,
        )
        return _with_note(_mounted(robot, lock, gravity), free)
    if element.tag == "OpenSimDocument":
        # what it says stands between its tags
        element = xml_safety.parse(text, label, words=True)
        robot = robot_from_osim(element, label, free=free, tree_only=tree_only)
        return _with_note(_mounted(robot, lock, gravity), free)
    raise RobotError(
        f"expected a URDF (<robot>), an MJCF (<mujoco>) or an OpenSim model, found "
        f"<{element.tag}> in {label}; convert it"
    )


def _mounted(
    robot: Robot,
    locked: Mapping[str, float | Sequence[float]] | None,
    gravity: Sequence[float] | None,
) -> Robot:
    """The robot with joints locked, and with another direction of gravity."""
    if gravity is not None:
        try:
            vector = np.asarray(gravity, dtype=float)
        except (TypeError, ValueError):
            vector = np.zeros(0)
        if vector.shape != (3,) or not np.isfinite(vector).all():
            raise RobotError(
                f"expected gravity as three finite numbers [m/s²], found {str(gravity)[:60]!r}; "
                "such as [0, 0, 9.81] on a ceiling"
            )
        robot = robot.replace(gravity=vector)
    return robot if locked is None else locking.lock(robot, locked)


def _with_note(robot: Robot, free: bool) -> Robot:
    """The robot with a note, also given as a warning, if some of its motions move no inertia."""
    robot = _with_signs_told(robot)
    undetermined = joints_without_inertia(robot)
    if not undetermined:
        return robot
    mend = "give a body there some inertia, or the joint armature"
    if free:
        mend += "; a base without mass needs no free root"
    note = (
        f"{robot.name}: {', '.join(undetermined)} can move without moving any inertia, so "
        f"forward dynamics has no answer there (aba gives nan); {mend}"
    )
    warnings.warn(note, stacklevel=3)
    return robot.replace(notes=(*robot.notes, note))


def _with_signs_told(robot: Robot) -> Robot:
    """The robot with a note, also given as a warning, on joint terms and limits that no joint
    has."""
    told = []
    for name in robot.independent_names:
        at = robot.v_slice(name)
        terms = [t for t in _POSITIVE if bool((getattr(robot, t)[at] < 0).any())]
        told += [f"negative {' and '.join(terms)} at {name!r}"] if terms else []
        q = robot.q_slice(name)
        if bool((robot.lower[q] > robot.upper[q]).any()):
            told.append(f"a lower limit above the upper one at {name!r}")
    if not told:
        return robot
    more = f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else ""
    note = f"{robot.name} states {', '.join(told[:_SHOWN])}{more}: check the signs"
    warnings.warn(note, stacklevel=4)
    return robot.replace(notes=(*robot.notes, note))


def bundled() -> tuple[str, ...]:
    """Names of the robots that come with the project."""
    folder = robots_folder()
    if folder is None:
        return ()
    return tuple(sorted(p.name for p in folder.iterdir() if _description(p) is not None))


def _description(folder: Path) -> Path | None:
    """The description in a bundled robot's folder."""
    named = (folder / f"{folder.name}.{ending}" for ending in ("urdf", "osim"))
    return next((path for path in named if path.is_file()), None)


def robots_folder() -> Path | None:
    """Where the bundled descriptions lie: in the installed package, or in a checkout."""
    top = Path(__file__).resolve().parent.parent
    installed = top / "discover" / "_datasets" / "robots"
    if installed.is_dir():
        return installed
    checkout = top / "datasets" / "robots"
    return checkout if checkout.is_dir() and (top / "pyproject.toml").is_file() else None


def _text(source: Any) -> tuple[bytes, str, Path | None]:
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("<"):
        return (
            source.lstrip("\ufeff \t\r\n").encode(errors="surrogatepass"),
            "the given XML text",
            None,
        )
    if not isinstance(source, str | os.PathLike):
        mend = _INSTEAD.get(type(source).__name__, "pass one of these")
        raise RobotError(
            f"expected a path, XML text or a bundled robot's name, found {type(source).__name__}; "
            f"{mend}"
        )
    name = os.fspath(source)
    folder = robots_folder()
    described = _description(folder / name) if folder is not None and name in bundled() else None
    path = described or Path(name)
    try:
        if not path.is_file():
            raise RobotError(
                f"expected a file, XML text or a bundled robot ({', '.join(bundled())}), "
                f"found {name[:120]!r}; check the path"
            )
        if path.stat().st_size > xml_safety.MAX_BYTES:
            raise RobotError(
                f"expected a description of at most {xml_safety.MAX_BYTES >> 20} MiB, found "
                f"{path.stat().st_size / 2**20:.0f} MiB in {path.name}; strip what is not dynamics"
            )
        # other readers skip what is blank before the declaration
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).lstrip()
        return text, path.name, path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RobotError(
            f"expected a readable file, found {name[:120]!r} ({reason}); "
            "check the path and its permissions"
        ) from error
