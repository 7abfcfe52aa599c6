"""URDF: checked, read, fixed joints merged, meshes never touched.

Chains of mimic joints are followed to the independent joints that drive them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.errors import RobotError
from kinematics.formats.builder import RobotBuilder
from kinematics.formats.mimics import independent_mimics
from kinematics.formats.plausibility import LinkInertia, unit_doubts
from kinematics.formats.urdf_checks import KINDS, left_out, validate
from kinematics.formats.urdf_elements import (
    UrdfInertial,
    UrdfJoint,
    joints_of,
    links_of,
    rotor_inertias,
)
from kinematics.robot import inertial_parameters
from kinematics.robot.joints import Mimic
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import clean


def robot_from_urdf(root: Element, label: str, *, free: bool, joint_terms: bool) -> Robot:
    """The robot that a parsed URDF describes. RobotError, in one line, where it cannot be used."""
    validate(root, label)
    links, stated = links_of(root), joints_of(root)
    base, children = _spanning_tree(links, stated, label)
    tree = _Tree({joint.name for joint in stated}, set(links))
    if free:
        root_joint = tree.out.joint_names[tree.out.free_root(base)]
        tree.joints.append((root_joint, "free", {}, {}))
    # depth first, in the order of the document; an entry is a link, the joint that carries it, the
    # moving body that carries both, and the placement of the joint in that body's frame
    stack: list[tuple[UrdfJoint | None, str, int, np.ndarray, np.ndarray]] = [
        (None, base, 0 if free else -1, np.eye(3), np.zeros(3))
    ]
    while stack:
        joint, name, carrier, r, p = stack.pop()
        if joint is not None and joint.type != "fixed":
            carrier = tree.moving(joint, carrier, r, p)
            r, p = np.eye(3), np.zeros(3)
        if carrier >= 0:
            tree.out.mass(carrier, _inertia(name, links[name], tree), r, p)
        for child in reversed(children.get(name, [])):
            at = child.placement
            tree.size = max(tree.size, float(np.linalg.norm(at.offset)))
            turn, shift = r @ at.rotation, r @ at.offset + p
            stack.append((child, child.child, carrier, turn, shift))
    for what in left_out(root):
        tree.notes.append(what)
        warnings.warn(f"{what} ({label})", stacklevel=3)
    rotors = rotor_inertias(root)
    if rotors:
        tree.notes.append(
            f"the rotor inertia of {rotors} transmissions is not applied; as seen by the joints: "
            "robot.replace(armature=…)"
        )
    return tree.robot(root.get("name") or "robot", label, base, joint_terms)


class _Tree:
    """The moving joints; what a mimic joint has of its own goes to the joint that drives it."""

    def __init__(self, joint_names: set[str], link_names: set[str]) -> None:
        self.out = RobotBuilder(taken_joints=joint_names, taken_bodies=link_names)
        # joint, kind, limit, dynamics
        self.joints: list[tuple[str, str, dict[str, float], dict[str, float]]] = []
        self.mimic: list[Mimic] = []
        self.notes: list[str] = []
        self.inertias: list[LinkInertia] = []
        self.size = 0.0  # the farthest that a joint stands from its parent's frame [m]

    def moving(
        self, joint: UrdfJoint, parent: int, rotation: np.ndarray, offset: np.ndarray
    ) -> int:
        """Add a moving joint and its body; its number."""
        kind = KINDS[joint.type]
        axis = np.eye(3)[2] if kind == "free" else joint.axis
        axis = clean(axis / np.linalg.norm(axis))
        if kind == "planar":
            return self._planar(joint, parent, rotation, offset, axis)
        number = self.out.joint(joint.name, joint.child, kind, parent, rotation, offset, axis)
        self.joints.append((joint.name, kind, joint.limit, joint.dynamics))
        if joint.mimic is not None:
            self.mimic.append(joint.mimic)
        return number

    def _planar(
        self,
        joint: UrdfJoint,
        parent: int,
        rotation: np.ndarray,
        offset: np.ndarray,
        normal: np.ndarray,
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
            self.joints.append((name, "prismatic", {}, joint.dynamics))
            rotation, offset = np.eye(3), np.zeros(3)
        self.joints.append((joint.name, "continuous", {}, joint.dynamics))
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
                ends = limit if kind in ("revolute", "prismatic") else {}
                self.out.coordinates(
                    kind,
                    lower=ends.get("lower", -math.inf),
                    upper=ends.get("upper", math.inf),
                    velocity=limit.get("velocity", math.inf),
                    effort=limit.get("effort", math.inf),
                    damping=dynamics.get("damping", 0.0),
                    friction=dynamics.get("friction", 0.0),
                )
        for name, _, _, dynamics in self.joints:
            if name in mimic:
                self.out.follow(at[mimic[name].driver], mimic[name], **dynamics)


def _inertia(name: str, inertial: UrdfInertial | None, tree: _Tree) -> np.ndarray:
    if inertial is None:
        return np.zeros(10)
    mass, inertia, at = inertial.mass, inertial.inertia, inertial.placement
    reason = inertial_parameters.impossibility(mass, inertia)
    if reason is not None:
        note = f"link {name!r} is not physical: {reason}"
        tree.notes.append(note)
        warnings.warn(note, stacklevel=2)
    moment = float(np.linalg.eigvalsh(inertia)[-1])
    tree.inertias.append(LinkInertia(name=name, mass=mass, centre=at.offset, moment=moment))
    r = at.rotation
    return inertial_parameters.about_origin(mass, at.offset, r @ inertia @ r.T)


def _spanning_tree(
    links: Collection[str], joints: Sequence[UrdfJoint], label: str
) -> tuple[str, dict[str, list[UrdfJoint]]]:
    """The root link, and each link's joints to its children; refuses loops and islands."""
    children: dict[str, list[UrdfJoint]] = {}
    carried: dict[str, str] = {}
    for joint in joints:
        if joint.child in carried:
            raise RobotError(
                f"expected a tree, found link {joint.child!r} as child of both "
                f"{carried[joint.child]!r} and {joint.name!r} in {label}; cut the closed loop"
            )
        carried[joint.child] = joint.name
        children.setdefault(joint.parent, []).append(joint)
    roots = [name for name in links if name not in carried]
    if len(roots) != 1:
        found = (
            f"{len(roots)} ({', '.join(roots[:4])})" if roots else "none: the joints form a loop"
        )
        raise RobotError(f"expected one root link, found {found} in {label}; connect the links")
    reached, stack = 0, [roots[0]]
    while stack:
        reached += 1
        stack += [joint.child for joint in children.get(stack.pop(), [])]
    if reached != len(links):
        raise RobotError(
            f"expected every link to hang on {roots[0]!r}, found {len(links) - reached} "
            f"in a closed loop apart in {label}; cut the loop"
        )
    return roots[0], children
