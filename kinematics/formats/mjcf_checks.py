"""What makes MuJoCo's compiler run for minutes or out of memory, refused before it starts."""

from __future__ import annotations

from math import prod
from xml.etree.ElementTree import Element

from kinematics.errors import RobotError

MAX_BODIES = 5_000  # after replication; compiling takes their square
MAX_PARTS = 20_000  # bodies, joints, geoms and sites after replication
MAX_ENTRIES = 4096**2  # pixels of a texture, heights of a field, numbers of a user's array
_SIZES = {
    "texture": ("width", "height"),
    "hfield": ("nrow", "ncol"),
    "flexcomp": ("count",),
    "composite": ("count",),
}


def validate(root: Element, label: str) -> None:
    """RobotError, in one line, if compiling this would take long. Included files are not read."""
    _replicated(root, label)
    for element in root.iter():
        limit = MAX_BODIES if element.tag in ("flexcomp", "composite") else MAX_ENTRIES
        if element.tag in _SIZES:
            numbers = [n for key in _SIZES[element.tag] for n in _numbers(element.get(key, "1"))]
            _refuse(prod(numbers), limit, f"entries of a <{element.tag}>", label)
        elif element.tag == "size":
            for key, value in element.attrib.items():
                if key != "memory":
                    _refuse(prod(_numbers(value)), MAX_ENTRIES, f"as {key} of <size>", label)


def _replicated(root: Element, label: str) -> None:
    """Count the world's elements as <replicate> will multiply them."""
    stack = [(world, 1.0) for world in root.findall("worldbody")]
    parts = bodies = 0.0
    while stack:
        element, copies = stack.pop()
        if element.tag == "replicate":
            copies *= max(prod(_numbers(element.get("count", "1"))), 1.0)
        if element.tag in ("body", "geom", "site", "joint", "freejoint", "replicate"):
            parts += copies
        if element.tag == "body":
            bodies += copies
        _refuse(bodies, MAX_BODIES, "bodies", label)
        _refuse(parts, MAX_PARTS, "elements in the world", label)
        stack += [(child, copies) for child in element]


def _numbers(text: str) -> list[float]:
    try:
        return [float(x) for x in text.split()]
    except ValueError:
        return []  # MuJoCo says what is wrong with it


def _refuse(found: float, limit: float, what: str, label: str) -> None:
    if found > limit:
        raise RobotError(
            f"expected at most {limit} {what}, found {found:.0f} in {label}; "
            "strip what is not dynamics"
        )
