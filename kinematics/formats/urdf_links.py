"""A URDF's links and joints through yourdfpy, and the tree that they form."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kinematics.errors import RobotError

_LINK_PARTS = ("inertial",)
_JOINT_PARTS = ("origin", "parent", "child", "axis", "limit", "dynamics", "mimic")


def read(root: Element, label: str) -> Any:
    """Hand the parts that matter to yourdfpy; visuals, collisions and meshes stay behind."""
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
    out = Element(element.tag, dict(element.attrib))
    out.extend(child for child in element if child.tag in parts)
    return out


def tree(model: Any, label: str) -> tuple[str, dict[str, list[Any]]]:
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
