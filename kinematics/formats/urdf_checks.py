"""A URDF's names, references and numbers, checked before anything else reads them."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

from kinematics.errors import RobotError

MAX_WORD = 200
_REFERENCES = ("parent", "child", "mimic")
_HARMLESS = ("xacro:property", "xacro:arg")  # they only name something
_FORMULA = re.compile(r"\$[({]")
_READ = ("link", "joint", "parent", "child", "origin", "axis", "limit", "dynamics", "mimic", "mass",
         "inertia")  # fmt: skip

# what stands in URDFs beside links and joints and changes no dynamics, or is told of elsewhere
_KNOWN = {"link", "joint", "material", "gazebo", "transmission", "sensor", "ros2_control",
          "plugin", "group", "group_state", "end_effector", "disable_collisions",
          "virtual_joint", "mujoco"}  # fmt: skip
_FORCES = {"damping", "friction"}  # of <dynamics>

KINDS = {
    "revolute": "revolute",
    "continuous": "continuous",
    "prismatic": "prismatic",
    "floating": "free",
    "planar": "planar",  # two slides and a turn
    "fixed": "fixed",
}


def validate(root: Element, label: str) -> None:
    """RobotError, in one line, at the first thing that cannot be right."""
    _check_expanded(root, label)
    _check_words(root, label)
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
    kinds = {joint.get("name"): joint.get("type") for joint in root.findall("joint")}
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
        if axis is not None and kind in ("revolute", "continuous", "prismatic", "planar"):
            x = numbers(axis.get("xyz", "1 0 0"), 3, f"axis of joint {name!r}")
            if math.hypot(*x) < 1e-9:
                raise RobotError(
                    f"expected a non-zero axis of joint {name!r}, found {x}; give its direction"
                )
        _check_mimic(joint, kinds)
        check_origin(joint, f"joint {name!r}", root)
        for stated in joint:
            if stated.tag in _READ and len(stated):
                raise RobotError(
                    f"expected numbers of <{stated.tag}> of joint {name!r} as attributes, found an "
                    f'element <{stated[0].tag[:60]}> in it; write {stated[0].tag[:60]}="…"'
                )
        for tag, keys in (
            ("limit", ("lower", "upper", "velocity", "effort")),
            ("dynamics", ("damping", "friction")),
            ("mimic", ("multiplier", "offset")),
        ):
            part = joint.find(tag)
            for key in keys:
                if part is not None and part.get(key) is not None:
                    numbers(part.get(key, ""), 1, f"{key} of joint {name!r}", finite=tag != "limit")
    for body in root.findall("link"):
        inertial = body.find("inertial")
        if inertial is not None:
            _check_inertial(inertial, f"link {body.get('name')!r}", root)


def _check_expanded(root: Element, label: str) -> None:
    """No macro is left, which would leave out what it stands for, and no formula."""
    for element in root.iter():
        macro = element.tag.startswith("xacro:") and element.tag not in _HARMLESS
        stated = element.attrib.values() if element.tag in _READ else ()
        left = element.tag if macro else next((x for x in stated if _FORMULA.search(x)), None)
        if left is not None:
            raise RobotError(
                f"expected a URDF, found {left[:60]!r} in {label}, which xacro has not expanded; "
                "run xacro on it and load what it writes"
            )


def _check_mimic(joint: Element, kinds: dict[str | None, str | None]) -> None:
    """A joint that mimics and the joint that it mimics have one coordinate each."""
    mimic, name = joint.find("mimic"), joint.get("name")
    if mimic is None or kinds[name] == "fixed":
        return
    for end in (name, mimic.get("joint")):
        if kinds.get(end) in ("planar", "floating"):
            raise RobotError(
                f"expected joint {name!r} to mimic one coordinate by one of its own, found "
                f"{end!r} is {kinds[end]}; remove the <mimic>, or replace the joint by single ones"
            )


def _check_words(root: Element, label: str) -> None:
    """No attribute is so long that naming it would fill the screen."""
    for element in (*root.findall("link"), *root.findall("joint")):
        for part in (element, *element):
            for key, value in part.attrib.items():
                if part.tag in ("link", "joint", *_REFERENCES) and len(value) > MAX_WORD:
                    raise RobotError(
                        f"expected words of at most {MAX_WORD} characters, found {len(value)} as "
                        f"{key[:60]} of a <{part.tag}> in {label}; shorten it"
                    )


def _check_inertial(inertial: Element, where: str, root: Element) -> None:
    check_origin(inertial, where, root)
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    if mass is None:
        raise RobotError(
            f"expected a <mass> in the inertial of {where}, found none; add it or drop the inertial"
        )
    (value,) = numbers(mass.get("value", ""), 1, f"mass of {where}")
    if value < 0:
        raise RobotError(f"expected a mass >= 0 of {where}, found {value}; mend the mass")
    if inertia is not None:
        for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"):
            numbers(inertia.get(key, "0"), 1, f"{key} of {where}")


def check_origin(element: Element, where: str, root: Element) -> None:
    origin = element.find("origin")
    if origin is None:
        return
    for key, count in (("xyz", 3), ("rpy", 3), ("quat_xyzw", 4)):
        if origin.get(key) is not None:
            x = numbers(origin.get(key, ""), count, f"origin {key} of {where}")
            if count == 4 and not 0.9 < math.hypot(*x) < 1.1:
                raise RobotError(
                    f"expected a quaternion of length one as origin quat_xyzw of {where}, found "
                    f"{math.hypot(*x):.3g}; mend the description"
                )
    if origin.get("quat_xyzw") is None:
        return
    (version,) = numbers(root.get("version", "1.0"), 1, "version of the URDF")
    if version < 1.1 or origin.get("rpy") is not None:
        other = "rpy beside it" if version >= 1.1 else f"it in a URDF of version {version:g}"
        raise RobotError(
            f"expected quat_xyzw of {where} alone and from version 1.1 on, found {other}, where "
            'readers differ; keep rpy, or quat_xyzw with <robot version="1.1">'
        )


def left_out(root: Element) -> list[str]:
    """What a URDF says of loops, springs or forces that no tree can hold, in sentences."""
    unknown = {x.tag for x in root if isinstance(x.tag, str) and x.tag not in _KNOWN}
    unknown -= {tag for tag in unknown if tag.startswith("xacro:")}
    out = [f"<{tag[:60]}>" for tag in sorted(unknown)]
    for part in root.iterfind("joint/dynamics"):
        out += [f"{key} of <dynamics>" for key in part.attrib if key not in _FORCES]
    return [
        f"left out: {x}, which is no part of a tree's dynamics here" for x in dict.fromkeys(out)
    ]


def numbers(text: str, count: int, where: str, finite: bool = True) -> list[float]:
    try:
        values = [float(x) for x in text.split() if "_" not in x]  # Python's own numbers have them
    except ValueError:
        values = []
    bad = any(math.isnan(x) or (finite and abs(x) > 1e12) for x in values)
    if len(values) != count or bad:
        raise RobotError(
            f"expected {count} finite number{'s' if count > 1 else ''} as {where}, "
            f"found {text[:60]!r}; mend the description"
        )
    return values
