"""The elements of an OpenSim file: numbers, frames, coordinates, functions of one coordinate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.errors import RobotError
from kinematics.muscles.strings.piecewise import Curve, cubic, polynomial, straight

_DEEP = 20  # frames fixed in frames


@dataclass(frozen=True, kw_only=True)
class Coordinate:
    """A coordinate of a joint: its range, where it starts, and whether it is locked there."""

    name: str
    low: float
    high: float
    start: float
    locked: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A function of one coordinate: slope · coordinate + offset; a constant where slope is 0."""

    slope: float
    offset: float


@dataclass(frozen=True)
class Frame:
    """A frame in a body (or "ground"): rotation (3, 3) and offset (3,) [m]."""

    body: str
    rotation: np.ndarray
    offset: np.ndarray

    def inside(self, rotation: np.ndarray, offset: np.ndarray) -> Frame:
        """A frame that stands so in this one."""
        return Frame(self.body, self.rotation @ rotation, self.rotation @ offset + self.offset)


def word(parent: Element, tag: str, default: str = "") -> str:
    """The text of a child."""
    found = parent.find(tag)
    return default if found is None or found.text is None else found.text.strip()


def flag(parent: Element, tag: str, default: bool = False) -> bool:
    """A child that says true or false."""
    return word(parent, tag, str(default)).lower() == "true"


def numbers(
    parent: Element, tag: str, default: Any = None, *, count: int | None = None
) -> np.ndarray:
    """The numbers of a child; RobotError where they are no finite numbers or not ``count``."""
    text = word(parent, tag)
    if not text and default is not None:
        return np.atleast_1d(np.asarray(default, dtype=float))
    try:
        out = np.array([float(x) for x in text.split()])
    except ValueError:
        out = np.array([math.nan])
    if not np.isfinite(out).all() or (count is not None and len(out) != count):
        raise RobotError(
            f"expected {count or 'some'} finite numbers in <{tag}> of {named(parent)}, found "
            f"{text[:60]!r}; mend the file"
        )
    return out


def number(parent: Element, tag: str, default: float | None = None) -> float:
    """The number of a child."""
    return float(numbers(parent, tag, default, count=1)[0])


def named(element: Element) -> str:
    """What an element is called in messages."""
    name = element.get("name")
    return f"{element.tag} {name!r}" if name else f"a {element.tag}"


def objects(model: Element, group: str) -> list[Element]:
    """The members of a set of the model."""
    found = model.find(f"{group}/objects")
    return [] if found is None else list(found)


def turned(angles: Any) -> np.ndarray:
    """The rotation of body-fixed turns about x, y and z [rad]."""
    out = np.eye(3)
    for axis, angle in zip(np.eye(3), np.asarray(angles, dtype=float), strict=True):
        out = out @ about(axis, float(angle))
    return out


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation about a unit axis, by Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


class Frames:
    """Every frame of a model by the name of its owner and its own."""

    def __init__(self, model: Element, label: str) -> None:
        self.label = label
        self.bodies = {str(b.get("name")) for b in objects(model, "BodySet")}
        self.fixed: dict[tuple[str, str], Element] = {}
        for owner in model.iter():
            for inner in ("frames", "components"):
                for frame in owner.findall(f"{inner}/PhysicalOffsetFrame"):
                    self.fixed[str(owner.get("name")), str(frame.get("name"))] = frame

    def of(self, socket: str, owner: str = "", depth: int = 0) -> Frame:
        """The frame that a socket names, seen from its owner. RobotError where there is none."""
        parts = [x for x in socket.split("/") if x not in ("", ".", "..")]
        name = parts[-1] if parts else ""
        place = (parts[-2] if len(parts) > 1 else owner, name)
        frame = self.fixed.get(place)
        if frame is None and len(parts) == 1:
            others = [f for (_, n), f in self.fixed.items() if n == name]
            frame = others[0] if len(others) == 1 and name not in self.bodies else None
        if frame is not None and depth < _DEEP:
            inner = self.of(word(frame, "socket_parent"), place[0], depth + 1)
            rotation = turned(numbers(frame, "orientation", (0, 0, 0), count=3))
            return inner.inside(rotation, numbers(frame, "translation", (0, 0, 0), count=3))
        if frame is None and (name == "ground" or name in self.bodies):
            return Frame(name, np.eye(3), np.zeros(3))
        raise RobotError(
            f"expected a body, ground or a frame fixed in them, found {socket[:80]!r} in "
            f"{self.label}; mend the socket"
        )


def coordinates_of(joint: Element) -> list[Coordinate]:
    """The coordinates of a joint, in its order."""
    found = joint.find("coordinates")
    out = []
    for x in [] if found is None else found:
        low, high = numbers(x, "range", (-math.pi, math.pi), count=2)
        fixed = flag(x, "locked") or flag(x, "prescribed")
        start = number(x, "default_value", 0.0)
        out.append(
            Coordinate(
                name=str(x.get("name")), low=float(low), high=float(high), start=start, locked=fixed
            )
        )
    return out


def line_of(function: Element | None) -> Line | None:
    """The function as a straight line; None where it is none."""
    if function is None:
        return Line(slope=0.0, offset=0.0)
    kind = function.tag
    if kind == "Constant":
        return Line(slope=0.0, offset=number(function, "value", 0.0))
    if kind == "LinearFunction":
        slope, offset = numbers(function, "coefficients", count=2)
        return Line(slope=float(slope), offset=float(offset))
    if kind == "PolynomialFunction":
        *high, slope, offset = (0.0, 0.0, *numbers(function, "coefficients"))
        straight = not any(high)
        return Line(slope=float(slope), offset=float(offset)) if straight else None
    if kind == "MultiplierFunction":
        inner = function.find("function")
        line = None if inner is None or not len(inner) else line_of(inner[0])
        scale = number(function, "scale", 1.0)
        return line and Line(slope=scale * line.slope, offset=scale * line.offset)
    if function.find("x") is None or function.find("y") is None:
        return None
    x, y = knots(function)
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    # any interpolating spline through points on a line is that line
    on_line = np.abs(y[0] + slope * (x - x[0]) - y).max() <= 1e-12 * max(1.0, np.abs(y).max())
    return Line(slope=float(slope), offset=float(y[0] - slope * x[0])) if on_line else None


def knots(function: Element) -> tuple[np.ndarray, np.ndarray]:
    """The knots of a spline or of a piecewise linear function."""
    x, y = numbers(function, "x"), numbers(function, "y")
    if len(x) != len(y) or len(x) < 2 or not (np.diff(x) > 0).all():
        raise RobotError(
            f"expected a function through two or more knots in rising order, found {len(x)} and "
            f"{len(y)} numbers in {named(function)}; mend the file"
        )
    return x, y


def value_of(function: Element | None, at: float) -> float:
    """The value of a function where it is held: straight between knots. RobotError where it has
    none."""
    line = line_of(function)
    if line is not None:
        return line.slope * at + line.offset
    assert function is not None  # None is a line
    if function.tag == "MultiplierFunction":
        inner = function.find("function")
        within = inner[0] if inner is not None and len(inner) else None
        return number(function, "scale", 1.0) * value_of(within, at)
    if function.find("x") is None:
        raise RobotError(
            f"expected a function with knots, found {named(function)}, which cannot be held; "
            "replace it"
        )
    return float(np.interp(at, *knots(function)))


def curve_of(function: Element | None) -> Curve:
    """A function of one coordinate, whole. RobotError where it is of a kind that we do not know."""
    if function is None:
        return polynomial([0.0])
    kind = function.tag
    if kind == "Constant":
        return polynomial([number(function, "value", 0.0)])
    if kind in ("LinearFunction", "PolynomialFunction"):
        return polynomial([float(c) for c in numbers(function, "coefficients")[::-1]])
    if kind == "MultiplierFunction":
        inner = function.find("function")
        within = inner[0] if inner is not None and len(inner) else None
        return curve_of(within).times(number(function, "scale", 1.0))
    if kind == "PiecewiseLinearFunction":
        return straight(*knots(function))
    if kind in ("SimmSpline", "NaturalCubicSpline"):  # OpenSim reads the second as the first
        return cubic(*knots(function), ends="third")
    raise RobotError(
        f"expected a polynomial, straight lines or a cubic spline, found a {kind}; replace it"
    )
