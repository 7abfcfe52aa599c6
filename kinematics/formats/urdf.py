"""URDF: read through yourdfpy after a safe parse, fixed joints merged, meshes never touched."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from kinematics import joints, physical
from kinematics.coupling import Mimic
from kinematics.errors import RobotError
from kinematics.rotations import clean
from kinematics.tree import Robot, build

KINDS = {
    "revolute": "revolute",
    "continuous": "continuous",
    "prismatic": "prismatic",
    "floating": "free",
    "planar": "planar",  # two slides and a turn
    "fixed": "fixed",
}
_LINK_PARTS = ("inertial",)
_JOINT_PARTS = ("origin", "parent", "child", "axis", "limit", "dynamics", "mimic")


@dataclass
class _Building:
    """What has been gathered of the tree so far."""

    kinds: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    joint_names: list[str] = field(default_factory=list)
    body_names: list[str] = field(default_factory=list)
    rotations: list[np.ndarray] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    axes: list[np.ndarray] = field(default_factory=list)
    pi: list[np.ndarray] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    velocity_limit: list[float] = field(default_factory=list)
    effort_limit: list[float] = field(default_factory=list)
    damping: list[float] = field(default_factory=list)
    friction: list[float] = field(default_factory=list)
    terms: list[tuple[str, str, Any, Any]] = field(default_factory=list)
    mimic: list[Mimic] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def robot_from_urdf(root: Element, label: str, *, free: bool, joint_terms: bool) -> Robot:
    """The robot that a parsed URDF describes. RobotError, in one line, where it cannot be used."""
    _validate(root, label)
    model = _read(root, label)
    base, children = _tree(model, label)
    out = _Building()
    links = {link.name: link for link in model.links}
    if free:
        _add(out, "root_joint", base, "free", -1, np.eye(3), np.zeros(3), np.array([0, 0, 1.0]))
        out.terms.append(("root_joint", "free", None, None))
    # depth first, in the order of the document; an entry is a link, the joint that carries it, the
    # moving body that carries both, and the placement of the joint in that body's frame
    stack: list[tuple[Any, str, int, np.ndarray, np.ndarray]] = [
        (None, base, 0 if free else -1, np.eye(3), np.zeros(3))
    ]
    while stack:
        joint, name, carrier, r, p = stack.pop()
        if joint is not None and joint.type != "fixed":
            carrier = _moving(out, joint, carrier, r, p)
            r, p = np.eye(3), np.zeros(3)
        if carrier >= 0:
            own = _inertia(links[name], out.notes)
            out.pi[carrier] = out.pi[carrier] + physical.moved(own, r, p)
        for child in reversed(children.get(name, [])):
            placement = np.eye(4) if child.origin is None else child.origin
            stack.append(
                (
                    child,
                    child.child,
                    carrier,
                    r @ clean(placement[:3, :3]),
                    r @ placement[:3, 3] + p,
                )
            )
    _resolve_mimics(out, label)
    _gather_terms(out)
    terms: dict[str, Any] = {}
    if any(out.damping) or any(out.friction):
        if joint_terms:
            terms = {"damping": out.damping, "friction": out.friction}
        else:
            out.notes.append(
                "joint damping and friction of the description are not applied; "
                "load(..., joint_terms=True) applies them"
            )
    return build(
        str(model.name),
        kinds=out.kinds,
        parents=out.parents,
        joint_names=out.joint_names,
        body_names=out.body_names,
        tree_rotation=np.array(out.rotations).reshape(-1, 3, 3),
        tree_offset=np.array(out.offsets).reshape(-1, 3),
        axes=np.array(out.axes).reshape(-1, 3),
        pi=np.array(out.pi).reshape(-1, 10),
        lower=out.lower,
        upper=out.upper,
        velocity_limit=out.velocity_limit,
        effort_limit=out.effort_limit,
        base_name=base,
        mimic=tuple(out.mimic),
        notes=tuple(out.notes),
        **terms,
    )


def _moving(
    out: _Building, joint: Any, parent: int, rotation: np.ndarray, offset: np.ndarray
) -> int:
    """Add a moving joint and its body; its number."""
    kind = KINDS[joint.type]
    axis = np.array([1.0, 0.0, 0.0]) if joint.axis is None else np.asarray(joint.axis, float)
    if kind == "free":
        axis = np.array([0.0, 0.0, 1.0])
    axis = clean(axis / np.linalg.norm(axis))
    if kind == "planar":
        return _planar(out, joint, parent, rotation, offset, axis)
    number = _add(out, joint.name, joint.child, kind, parent, rotation, offset, axis)
    out.terms.append((joint.name, kind, joint.limit, joint.dynamics))
    if joint.mimic is not None:
        scale, shift = joint.mimic.multiplier, joint.mimic.offset
        out.mimic.append(
            Mimic(
                joint=joint.name,
                driver=joint.mimic.joint,
                multiplier=1.0 if scale is None else float(scale),
                offset=0.0 if shift is None else float(shift),
            )
        )
    return number


def _planar(
    out: _Building, joint: Any, parent: int, rotation: np.ndarray, offset: np.ndarray,
    normal: np.ndarray,
) -> int:  # fmt: skip
    """Two slides in the plane and a turn about its normal; the number of the last joint.

    The slides run along the joint frame's own axes where the normal is one of them: along x and y
    for the normal z. Their bodies have no mass.
    """
    rest = np.eye(3)[np.argsort(np.abs(normal), kind="stable")[0]]
    first = rest - (rest @ normal) * normal
    first /= np.linalg.norm(first)
    steps = [("x", "prismatic", first), ("y", "prismatic", np.cross(normal, first))]
    for name, kind, axis in steps:
        own = f"{joint.name}_{name}"
        parent = _add(out, own, f"{joint.child}_{name}", kind, parent, rotation, offset, axis)
        out.terms.append((own, kind, None, joint.dynamics))
        rotation, offset = np.eye(3), np.zeros(3)
    out.terms.append((joint.name, "continuous", None, joint.dynamics))
    return _add(out, joint.name, joint.child, "continuous", parent, rotation, offset, normal)


def _resolve_mimics(out: _Building, label: str) -> None:
    """Follow chains of mimics to independent joints; refuse loops, note unknown drivers."""
    by_name = {m.joint: m for m in out.mimic}
    resolved = []
    for m in out.mimic:
        seen, scale, shift, driver = {m.joint}, m.multiplier, m.offset, m.driver
        while driver in by_name and driver not in seen:
            seen.add(driver)
            link = by_name[driver]
            scale, shift, driver = scale * link.multiplier, shift + scale * link.offset, link.driver
        if driver in seen:
            raise RobotError(
                f"expected {m.joint!r} to mimic an independent joint, found a loop of mimics "
                f"through {m.driver!r} in {label}; make one of them independent"
            )
        if driver not in out.joint_names:
            out.notes.append(
                f"joint {m.joint!r} mimics {driver!r}, which is no moving joint: left independent"
            )
            continue
        resolved.append(Mimic(joint=m.joint, driver=driver, multiplier=scale, offset=shift))
    out.mimic = resolved


def _gather_terms(out: _Building) -> None:
    """Limits and joint terms of the independent joints; a mimic's terms go to its driver."""
    mimic = {m.joint: m for m in out.mimic}
    at: dict[str, int] = {}
    for name, kind, limit, dynamics in out.terms:
        if name not in mimic:
            at[name] = len(out.damping)
            _limits(out, kind, limit, dynamics)
    for name, _, _, dynamics in out.terms:
        if name in mimic and dynamics is not None:
            row, scale = at[mimic[name].driver], abs(mimic[name].multiplier)
            out.damping[row] += scale**2 * float(dynamics.damping or 0.0)
            out.friction[row] += scale * float(dynamics.friction or 0.0)


def _validate(root: Element, label: str) -> None:
    """Names, references and numbers, checked before anything else reads them."""
    for group in ("link", "joint"):
        seen: set[str] = set()
        for element in root.findall(group):
            name = element.get("name")
            if not name:
                raise RobotError(f"expected every <{group}> to have a name, found one without in "
                                 f"{label}; name it")  # fmt: skip
            if name in seen:
                raise RobotError(
                    f"expected distinct {group} names, found {name!r} twice in {label}; rename one"
                )
            seen.add(name)
    if not root.findall("link"):
        raise RobotError(f"expected at least one <link>, found none in {label}; is it a URDF?")
    links = {link.get("name") for link in root.findall("link")}
    for joint in root.findall("joint"):
        name, kind = joint.get("name"), joint.get("type")
        if kind not in KINDS:
            raise RobotError(
                f"expected joint {name!r} to be one of {', '.join(KINDS)}, found {kind!r}; "
                "replace it by joints of these kinds"
            )
        for end in ("parent", "child"):
            named = joint.find(end)
            target = None if named is None else named.get("link")
            if target not in links:
                raise RobotError(
                    f"expected joint {name!r} to have a {end} link of the robot, found {target!r}; "
                    "add the link or mend the name"
                )
        axis = joint.find("axis")
        if axis is not None and kind in ("revolute", "continuous", "prismatic"):
            x = _numbers(axis.get("xyz", "1 0 0"), 3, f"axis of joint {name!r}")
            if math.hypot(*x) < 1e-9:
                raise RobotError(
                    f"expected a non-zero axis of joint {name!r}, found {x}; give its direction"
                )
        _check_origin(joint, f"joint {name!r}")
        for tag, keys in (
            ("limit", ("lower", "upper", "velocity", "effort")),
            ("dynamics", ("damping", "friction")),
            ("mimic", ("multiplier", "offset")),
        ):
            part = joint.find(tag)
            for key in keys:
                if part is not None and part.get(key) is not None:
                    _numbers(part.get(key, ""), 1, f"{key} of joint {name!r}", finite=False)
    for body in root.findall("link"):
        inertial = body.find("inertial")
        if inertial is not None:
            _check_inertial(inertial, f"link {body.get('name')!r}")


def _check_inertial(inertial: Element, where: str) -> None:
    _check_origin(inertial, where)
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    if mass is None:
        raise RobotError(
            f"expected a <mass> in the inertial of {where}, found none; add it or drop the inertial"
        )
    (value,) = _numbers(mass.get("value", ""), 1, f"mass of {where}")
    if value < 0:
        raise RobotError(f"expected a mass >= 0 of {where}, found {value}; mend the mass")
    if inertia is not None:
        for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"):
            _numbers(inertia.get(key, "0"), 1, f"{key} of {where}")


def _check_origin(element: Element, where: str) -> None:
    origin = element.find("origin")
    if origin is not None:
        for key in ("xyz", "rpy"):
            if origin.get(key) is not None:
                _numbers(origin.get(key, ""), 3, f"origin {key} of {where}")


def _numbers(text: str, count: int, where: str, finite: bool = True) -> list[float]:
    try:
        values = [float(x) for x in text.split()]
    except ValueError:
        values = []
    bad = any(math.isnan(x) or (finite and abs(x) > 1e12) for x in values)
    if len(values) != count or bad:
        raise RobotError(
            f"expected {count} finite number{'s' if count > 1 else ''} as {where}, "
            f"found {text[:60]!r}; mend the description"
        )
    return values


def _read(root: Element, label: str) -> Any:
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


def _tree(model: Any, label: str) -> tuple[str, dict[str, list[Any]]]:
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


def _add(
    out: _Building, name: str, body: str, kind: str, parent: int,
    rotation: np.ndarray, offset: np.ndarray, axis: np.ndarray,
) -> int:  # fmt: skip
    out.joint_names.append(name)
    out.body_names.append(body)
    out.kinds.append(kind)
    out.parents.append(parent)
    out.rotations.append(rotation)
    out.offsets.append(offset)
    out.axes.append(axis)
    out.pi.append(np.zeros(10))
    return len(out.kinds) - 1


def _limits(out: _Building, kind: str, limit: Any, dynamics: Any) -> None:
    nq, nv = joints.NQ[kind], joints.NV[kind]

    def value(source: Any, key: str, default: float) -> float:
        found = getattr(source, key, None) if source is not None else None
        return default if found is None else float(found)

    bounded = kind in ("revolute", "prismatic")
    out.lower += [value(limit, "lower", -math.inf) if bounded else -math.inf] * nq
    out.upper += [value(limit, "upper", math.inf) if bounded else math.inf] * nq
    out.velocity_limit += [value(limit, "velocity", math.inf)] * nv
    out.effort_limit += [value(limit, "effort", math.inf)] * nv
    out.damping += [value(dynamics, "damping", 0.0)] * nv
    out.friction += [value(dynamics, "friction", 0.0)] * nv


def _inertia(link: Any, notes: list[str]) -> np.ndarray:
    inertial = link.inertial
    if inertial is None:
        return np.zeros(10)
    mass = float(inertial.mass or 0.0)
    inertia = np.zeros((3, 3)) if inertial.inertia is None else np.asarray(inertial.inertia, float)
    reason = physical.objection(mass, inertia)
    if reason is not None:
        note = f"link {link.name!r} is not physical: {reason}"
        notes.append(note)
        warnings.warn(note, stacklevel=2)
    placement = np.eye(4) if inertial.origin is None else inertial.origin
    r = clean(placement[:3, :3])
    return physical.parameters(mass, placement[:3, 3], r @ inertia @ r.T)
