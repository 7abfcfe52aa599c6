"""The links and joints of a checked URDF as values: visuals, collisions and meshes stay behind.

Names with a prefix are other programs' and are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.robot.joints import Mimic
from kinematics.spatial.rotations import clean, matrix_of_angles, matrix_of_quaternion


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a frame stands in another: rotation (3, 3) and offset (3,) [m]."""

    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, kw_only=True)
class UrdfInertial:
    """Mass [kg] and inertia (3, 3) [kg·m²] about the centre, in axes placed in the link's frame."""

    mass: float
    inertia: np.ndarray
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class UrdfJoint:
    """A joint as it is stated. ``limit`` and ``dynamics`` hold the attributes that are there."""

    name: str
    type: str
    parent: str
    child: str
    placement: Placement
    axis: np.ndarray
    limit: dict[str, float]
    dynamics: dict[str, float]
    mimic: Mimic | None


def links_of(root: Element) -> dict[str, UrdfInertial | None]:
    """Every link by its name, in the order of the document."""
    return {link.get("name", ""): _inertial(link.find("inertial")) for link in root.findall("link")}


def joints_of(root: Element) -> list[UrdfJoint]:
    """Every joint, in the order of the document."""
    return [_joint(element) for element in root.findall("joint")]


def rotor_inertias(root: Element) -> int:
    """How many transmissions state the inertia of a motor."""
    stated = ("motorInertia", "drake:rotor_inertia")
    return sum(any(x.tag in stated for x in way.iter()) for way in root.findall("transmission"))


def _joint(element: Element) -> UrdfJoint:
    name = element.get("name", "")
    axis, mimic = element.find("axis"), element.find("mimic")
    return UrdfJoint(
        name=name,
        type=element.get("type", ""),
        parent=_attribute(element, "parent", "link"),
        child=_attribute(element, "child", "link"),
        placement=placement_of(element.find("origin")),
        axis=_vector(None if axis is None else axis.get("xyz"), "1 0 0"),
        limit=_present(element.find("limit"), "lower", "upper", "velocity", "effort"),
        dynamics=_present(element.find("dynamics"), "damping", "friction"),
        mimic=None
        if mimic is None
        else Mimic(
            joint=name,
            driver=mimic.get("joint", ""),
            multiplier=float(mimic.get("multiplier", 1.0)),
            offset=float(mimic.get("offset", 0.0)),
        ),
    )


def _inertial(element: Element | None) -> UrdfInertial | None:
    if element is None:
        return None
    found = element.find("inertia")
    mass = float(_attribute(element, "mass", "value") or 0.0)
    xx, xy, xz, yy, yz, zz = (
        0.0 if found is None else float(found.get(key, 0.0))
        for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
    )
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return UrdfInertial(mass=mass, inertia=inertia, placement=placement_of(element.find("origin")))


def placement_of(element: Element | None) -> Placement:
    if element is None:
        return Placement()
    if element.get("quat_xyzw") is not None:
        x, y, z, w = _vector(element.get("quat_xyzw"), "0 0 0 1")
        quaternion = np.array([[w, x, y, z]])
        rotation = matrix_of_quaternion(quaternion / np.linalg.norm(quaternion))[0]
    else:
        rotation = matrix_of_angles(*_vector(element.get("rpy"), "0 0 0"))
    return Placement(rotation=clean(rotation), offset=_vector(element.get("xyz"), "0 0 0"))


def _present(element: Element | None, *keys: str) -> dict[str, float]:
    """The numbers of an element that are stated."""
    stated = {} if element is None else element.attrib
    return {key: float(stated[key]) for key in keys if key in stated}


def _attribute(element: Element, tag: str, key: str) -> str:
    found = element.find(tag)
    return "" if found is None else found.get(key, "")


def _vector(text: str | None, default: str) -> np.ndarray:
    return np.array([float(x) for x in (default if text is None else text).split()])
