"""URDF: checked, read through yourdfpy, fixed joints merged, meshes never touched.

Chains of mimic joints are followed to the independent joints that drive them.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.errors import RobotError
from kinematics.formats.builder import RobotBuilder
from kinematics.formats.mimics import independent_mimics
from kinematics.formats.plausibility import LinkInertia, unit_doubts
from kinematics.formats.urdf_checks import KINDS, validate
from kinematics.robot import inertial_parameters
from kinematics.robot.joints import Mimic
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import clean

_LINK_PARTS = ("inertial",)
_JOINT_PARTS = ("origin", "parent", "child", "axis", "limit", "dynamics", "mimic")


def robot_from_urdf(root: Element, label: str, *, free: bool, joint_terms: bool) -> Robot:
    """The robot that a parsed URDF describes. RobotError, in one line, where it cannot be used."""
    validate(root, label)
    model = _parsed(root, label)
    base, children = _spanning_tree(model, label)
    links = {link.name: link for link in model.links}
    tree = _Tree({joint.name for joint in model.joints}, set(links))
    if free:
        root_joint = tree.out.joint_names[tree.out.free_root(base)]
        tree.joints.append((root_joint, "free", None, None))
    # depth first, in the order of the document; an entry is a link, the joint that carries it, the
    # moving body that carries both, and the placement of the joint in that body's frame
    stack: list[tuple[Any, str, int, np.ndarray, np.ndarray]] = [
        (None, base, 0 if free else -1, np.eye(3), np.zeros(3))
    ]
    while stack:
        joint, name, carrier, r, p = stack.pop()
        if joint is not None and joint.type != "fixed":
            carrier = tree.moving(joint, carrier, r, p)
            r, p = np.eye(3), np.zeros(3)
        if carrier >= 0:
            tree.out.mass(carrier, _inertia(links[name], tree), r, p)
        for child in reversed(children.get(name, [])):
            placement = np.eye(4) if child.origin is None else child.origin
            tree.size = max(tree.size, float(np.linalg.norm(placement[:3, 3])))
            turn, shift = r @ clean(placement[:3, :3]), r @ placement[:3, 3] + p
            stack.append((child, child.child, carrier, turn, shift))
    return tree.robot(str(model.name), label, base, joint_terms)


class _Tree:
    """The moving joints; what a mimic joint has of its own goes to the joint that drives it."""

    def __init__(self, joint_names: set[str], link_names: set[str]) -> None:
        self.out = RobotBuilder(taken_joints=joint_names, taken_bodies=link_names)
        self.joints: list[tuple[str, str, Any, Any]] = []  # joint, kind, limit, dynamics
        self.mimic: list[Mimic] = []
        self.notes: list[str] = []
        self.inertias: list[LinkInertia] = []
        self.size = 0.0  # the farthest that a joint stands from its parent's frame [m]

    def moving(self, joint: Any, parent: int, rotation: np.ndarray, offset: np.ndarray) -> int:
        """Add a moving joint and its body; its number."""
        kind = KINDS[joint.type]
        axis = np.array([1.0, 0.0, 0.0]) if joint.axis is None else np.asarray(joint.axis, float)
        if kind == "free":
            axis = np.array([0.0, 0.0, 1.0])
        axis = clean(axis / np.linalg.norm(axis))
        if kind == "planar":
            return self._planar(joint, parent, rotation, offset, axis)
        number = self.out.joint(joint.name, joint.child, kind, parent, rotation, offset, axis)
        self.joints.append((joint.name, kind, joint.limit, joint.dynamics))
        if joint.mimic is not None:
            scale, shift = joint.mimic.multiplier, joint.mimic.offset
            self.mimic.append(
                Mimic(
                    joint=joint.name,
                    driver=joint.mimic.joint,
                    multiplier=1.0 if scale is None else float(scale),
                    offset=0.0 if shift is None else float(shift),
                )
            )
        return number

    def _planar(
        self, joint: Any, parent: int, rotation: np.ndarray, offset: np.ndarray, normal: np.ndarray
    ) -> int:
        """Two slides in the plane and a turn about its normal; the number of the last joint.

        The slides run along the joint frame's own axes where the normal is one of them: along x
        and y for the normal z. Their bodies have no mass.
        """
        rest = np.eye(3)[np.argsort(np.abs(normal), kind="stable")[0]]
        first = rest - (rest @ normal) * normal
        first /= np.linalg.norm(first)
        for letter, axis in (("x", first), ("y", np.cross(normal, first))):
            name = self.out.new_joint_name(f"{joint.name}_{letter}")
            body = self.out.new_body_name(f"{joint.child}_{letter}")
            parent = self.out.joint(name, body, "prismatic", parent, rotation, offset, axis)
            self.joints.append((name, "prismatic", None, joint.dynamics))
            rotation, offset = np.eye(3), np.zeros(3)
        self.joints.append((joint.name, "continuous", None, joint.dynamics))
        return self.out.joint(
            joint.name, joint.child, "continuous", parent, rotation, offset, normal
        )

    def robot(self, name: str, label: str, base: str, joint_terms: bool) -> Robot:
        mimic, notes = independent_mimics(self.mimic, self.out.joint_names, label)
        doubts = unit_doubts(self.inertias, self.size)
        if notes:
            more = f" (and {len(notes) - 1} more such joints)" if len(notes) > 1 else ""
            warnings.warn(notes[0] + more, stacklevel=4)
        if doubts is not None:
            notes.append(doubts)
            warnings.warn(doubts, stacklevel=4)
        self.notes += notes
        self._gather({m.joint: m for m in mimic})
        terms = self.out.terms
        if not joint_terms and (any(terms["damping"]) or any(terms["friction"])):
            self.notes.append(
                "joint damping and friction of the description are not applied; "
                "load(..., joint_terms=True) applies them"
            )
        return self.out.robot(
            name, joint_terms=joint_terms, base_name=base, mimic=mimic, notes=tuple(self.notes)
        )

    def _gather(self, mimic: dict[str, Mimic]) -> None:
        """Limits and joint terms of the independent joints; a mimic's terms go to its driver."""
        at: dict[str, int] = {}
        for name, kind, limit, dynamics in self.joints:
            if name not in mimic:
                at[name] = len(self.out.velocity_limit)
                bounded = kind in ("revolute", "prismatic")
                self.out.coordinates(
                    kind,
                    lower=_value(limit, "lower", -math.inf) if bounded else -math.inf,
                    upper=_value(limit, "upper", math.inf) if bounded else math.inf,
                    velocity=_value(limit, "velocity", math.inf),
                    effort=_value(limit, "effort", math.inf),
                    damping=_value(dynamics, "damping", 0.0),
                    friction=_value(dynamics, "friction", 0.0),
                )
        for name, _, _, dynamics in self.joints:
            if name in mimic and dynamics is not None:
                self.out.follow(
                    at[mimic[name].driver],
                    mimic[name],
                    damping=float(dynamics.damping or 0.0),
                    friction=float(dynamics.friction or 0.0),
                )


def _value(part: Any, key: str, default: float) -> float:
    found = getattr(part, key, None)
    return default if found is None else float(found)


def _inertia(link: Any, tree: _Tree) -> np.ndarray:
    inertial = link.inertial
    if inertial is None:
        return np.zeros(10)
    mass = float(inertial.mass or 0.0)
    inertia = np.zeros((3, 3)) if inertial.inertia is None else np.asarray(inertial.inertia, float)
    reason = inertial_parameters.impossibility(mass, inertia)
    if reason is not None:
        note = f"link {link.name!r} is not physical: {reason}"
        tree.notes.append(note)
        warnings.warn(note, stacklevel=2)
    placement = np.eye(4) if inertial.origin is None else inertial.origin
    tree.inertias.append(
        LinkInertia(
            name=link.name,
            mass=mass,
            centre=placement[:3, 3],
            moment=float(np.linalg.eigvalsh(inertia)[-1]),
        )
    )
    r = clean(placement[:3, :3])
    return inertial_parameters.about_origin(mass, placement[:3, 3], r @ inertia @ r.T)


def _parsed(root: Element, label: str) -> Any:
    """The URDF as yourdfpy reads it: visuals, collisions and meshes stay behind."""
    kept = Element("robot", {"name": root.get("name") or "robot"})
    for link in root.findall("link"):
        kept.append(_only(link, _LINK_PARTS))
    for joint in root.findall("joint"):
        kept.append(_only(joint, _JOINT_PARTS))
    import yourdfpy  # half a second: only when a URDF is read

    try:
        model = yourdfpy.URDF.load(
            io.BytesIO(ElementTree.tostring(kept)),
            build_scene_graph=False,
            load_meshes=False,
            build_collision_scene_graph=False,
            load_collision_meshes=False,
        )
    except (ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise RobotError(
            f"expected a URDF, found one that cannot be read ({error}) in {label}; mend the file"
        ) from error
    return model.robot


def _only(element: Element, parts: tuple[str, ...]) -> Element:
    """The element with these children; names with a prefix are other programs'."""
    out = _plain(element)
    out.extend(_plain(child, deep=True) for child in element if child.tag in parts)
    return out


def _plain(element: Element, deep: bool = False) -> Element:
    """A copy without attributes and, if ``deep``, with its elements, that have no prefix."""
    attributes = {
        key: value for key, value in element.attrib.items() if ":" not in key and key != "xmlns"
    }
    out = Element(element.tag, attributes)
    if deep:
        out.extend(_plain(child, deep=True) for child in element if ":" not in child.tag)
    return out


def _spanning_tree(model: Any, label: str) -> tuple[str, dict[str, list[Any]]]:
    """The root link, and each link's joints to its children; refuses loops and islands."""
    children: dict[str, list[Any]] = {}
    carried: dict[str, str] = {}
    for joint in model.joints:
        if joint.child in carried:
            raise RobotError(
                f"expected a tree, found link {joint.child!r} as child of both "
                f"{carried[joint.child]!r} and {joint.name!r} in {label}; cut the closed loop"
            )
        carried[joint.child] = joint.name
        children.setdefault(joint.parent, []).append(joint)
    roots = [link.name for link in model.links if link.name not in carried]
    if len(roots) != 1:
        found = (
            f"{len(roots)} ({', '.join(roots[:4])})" if roots else "none: the joints form a loop"
        )
        raise RobotError(f"expected one root link, found {found} in {label}; connect the links")
    reached, stack = 0, [roots[0]]
    while stack:
        reached += 1
        stack += [joint.child for joint in children.get(stack.pop(), [])]
    if reached != len(model.links):
        raise RobotError(
            f"expected every link to hang on {roots[0]!r}, found {len(model.links) - reached} "
            f"in a closed loop apart in {label}; cut the loop"
        )
    return roots[0], children
