"""OpenSim models (.osim, version 4): bodies, joints, couplings and muscles, without OpenSim.

A joint becomes a chain of slides and turns about its own axes, named as its coordinates, whose
intermediate bodies have no mass; welded bodies are merged. A custom joint can be read where every
coordinate moves its axes in proportion: motion along a curve, as in most models of the knee, needs
a joint whose axes depend on its position, and is refused, or held still where ``tree_only`` asks
for that. Body frames stand at the joints; gravity is that of the file. Free and ball joints have
quaternions here and three angles in OpenSim. Coordinates that the file locks are welded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.errors import RobotError
from kinematics.formats.builder import RobotBuilder
from kinematics.formats.mimics import independent_mimics
from kinematics.formats.osim_elements import (
    Coordinate,
    Frame,
    Frames,
    Line,
    about,
    coordinates_of,
    flag,
    line_of,
    named,
    number,
    numbers,
    objects,
    value_of,
    word,
)
from kinematics.formats.osim_muscles import muscles_of
from kinematics.robot import inertial_parameters
from kinematics.robot.joints import Mimic
from kinematics.robot.tree import Robot

_OLDEST = 40000
_X, _Y, _Z = np.eye(3)
# the axes of joints whose coordinates are the axes themselves, in OpenSim's order of coordinates
_SIMPLE: dict[str, tuple[tuple[str, np.ndarray], ...]] = {
    "WeldJoint": (),
    "PinJoint": (("turn", _Z),),
    "SliderJoint": (("slide", _X),),
    "UniversalJoint": (("turn", _X), ("turn", _Y)),
    "GimbalJoint": (("turn", _X), ("turn", _Y), ("turn", _Z)),
    "PlanarJoint": (("turn", _Z), ("slide", _X), ("slide", _Y)),
}
_WHOLE = {"BallJoint": "spherical", "FreeJoint": "free"}
_AXES = ("translation1", "translation2", "translation3", "rotation1", "rotation2", "rotation3")


def robot_from_osim(root: Element, label: str, *, free: bool, tree_only: bool) -> Robot:
    """The robot that a parsed .osim describes, with the words of its elements. RobotError, in one
    line, where it cannot be used."""
    model = _checked(root, label, free)
    reader = _Reader(model, label, tree_only)
    reader.constraints()
    reader.tree()
    # a coupled coordinate whose axes are all held is no joint
    moving = [m for m in reader.mimics if m.joint in reader.out.joint_names]
    mimic, notes = independent_mimics(moving, reader.out.joint_names, label)
    muscles, told = muscles_of(
        model, reader.frames, reader.places, reader.coordinates(), label, tree_only
    )
    notes = [*reader.notes, *notes, *told]
    for what in notes:
        warnings.warn(f"{what} ({label})", stacklevel=3)
    return reader.out.robot(
        model.get("name") or "osim",
        joint_terms=True,
        gravity=numbers(model, "gravity", (0.0, -9.80665, 0.0), count=3),
        base_name="ground",
        mimic=mimic,
        notes=tuple(notes),
        muscles=muscles,
    )


def _checked(root: Element, label: str, free: bool) -> Element:
    """The model of a document that we read."""
    version = root.get("Version", "")
    if not version.isdigit() or int(version) < _OLDEST:
        raise RobotError(
            f"expected an OpenSim file of version {_OLDEST} or later, found {version[:20]!r} in "
            f"{label}; open and save it in OpenSim 4"
        )
    model = root.find("Model")
    if model is None:
        found = root[0].tag if len(root) else "nothing"
        raise RobotError(f"expected a <Model>, found {found} in {label}; pass the model's file")
    if free:
        raise RobotError(
            f'expected root=None for an .osim, found "free" for {label}; the file says by a joint '
            "how its bodies hang on the ground"
        )
    return model


@dataclass
class _Place:
    """Where a frame is carried: the moving body (-1: ground), and how it stands in its frame."""

    body: int
    rotation: np.ndarray
    offset: np.ndarray

    def turn(self, rotation: np.ndarray) -> None:
        self.rotation = self.rotation @ rotation

    def shift(self, offset: np.ndarray) -> None:
        self.offset = self.offset + self.rotation @ offset


@dataclass
class _Step:
    """One motion of a joint: along or about an axis, by a line of a coordinate, or by a constant
    where there is no coordinate."""

    kind: str
    axis: np.ndarray
    line: Line
    coordinate: Coordinate | None = None


@dataclass
class _Reader:
    """The tree as it is read from the ground outwards."""

    model: Element
    label: str
    tree_only: bool
    places: dict[str, _Place] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    mimics: list[Mimic] = field(default_factory=list)
    coupled: dict[str, Mimic] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.frames = Frames(self.model, self.label)
        self.joints = objects(self.model, "JointSet")
        names = {c.name for joint in self.joints for c in coordinates_of(joint)}
        self.out = RobotBuilder(
            taken_joints=names | {str(j.get("name")) for j in self.joints},
            taken_bodies=set(self.frames.bodies) | {"ground"},
        )
        self.places["ground"] = _Place(-1, np.eye(3), np.zeros(3))

    def held(self, what: str, why: str) -> None:
        """Refuse something, or note that it is held still."""
        if not self.tree_only:
            raise RobotError(
                f"expected {what} that moves in proportion to a coordinate, found {why} in "
                f"{self.label}; load(..., tree_only=True) holds it still"
            )
        self.notes.append(f"{what} is held still: {why}")

    def constraints(self) -> None:
        """Couplings of coordinates by straight lines; every other constraint is refused."""
        for x in objects(self.model, "ConstraintSet"):
            if not flag(x, "isEnforced", True):
                continue
            function = x.find("coupled_coordinates_function")
            line = line_of(function[0]) if function is not None and len(function) else None
            drivers = word(x, "independent_coordinate_names").split()
            if x.tag != "CoordinateCouplerConstraint" or line is None or len(drivers) != 1:
                if not self.tree_only:
                    raise RobotError(
                        f"expected couplings of coordinates in proportion, found {named(x)} in "
                        f"{self.label}; load(..., tree_only=True) leaves it out"
                    )
                self.notes.append(f"{named(x)} is left out: it is no straight coupling")
                continue
            name, scale = word(x, "dependent_coordinate_name"), number(x, "scale_factor", 1.0)
            self.coupled[name] = Mimic(
                joint=name, driver=drivers[0], multiplier=scale * line.slope,
                offset=scale * line.offset,
            )  # fmt: skip
        self.mimics += self.coupled.values()

    def tree(self) -> None:
        """Every joint from the ground outwards, in the order of the file, depth first."""
        children: dict[str, list[tuple[Element, Frame, Frame]]] = {}
        carried: set[str] = set()
        for joint in self.joints:
            owner = str(joint.get("name"))
            parent = self.frames.of(word(joint, "socket_parent_frame"), owner)
            child = self.frames.of(word(joint, "socket_child_frame"), owner)
            if child.body in carried or child.body == "ground":
                raise RobotError(
                    f"expected a tree, found a second joint that carries {child.body!r}, "
                    f"{owner!r}, in {self.label}; cut the loop"
                )
            carried.add(child.body)
            children.setdefault(parent.body, []).append((joint, parent, child))
        stack = [*reversed(children.get("ground", []))]
        while stack:
            joint, parent, child = stack.pop()
            self.add(joint, parent, child)
            stack += reversed(children.get(child.body, []))
        lost = sorted(self.frames.bodies - set(self.places))
        if lost:
            raise RobotError(
                f"expected every body to hang on the ground by joints, found {', '.join(lost[:4])} "
                f"apart in {self.label}; add joints or cut the loop"
            )
        for body in objects(self.model, "BodySet"):
            self.mass(body)

    def add(self, joint: Element, parent: Frame, child: Frame) -> None:
        """One joint: its motions, then the body that it carries."""
        carrier = self.places[parent.body]
        place = _Place(carrier.body, carrier.rotation, carrier.offset)
        place.shift(parent.offset)
        place.turn(parent.rotation)
        if joint.tag in _WHOLE:
            kind, name = _WHOLE[joint.tag], str(joint.get("name"))
            number_ = self.out.joint(
                name, child.body, kind, place.body, place.rotation, place.offset, _Z
            )
            self.out.coordinates(kind)
            place = _Place(number_, np.eye(3), np.zeros(3))
        else:
            place = self.moved(place, self.steps(joint), child.body)
        # the body's own frame in the joint's
        back = child.rotation.T
        place.turn(back)
        place.shift(-child.offset)
        self.places[child.body] = place

    def steps(self, joint: Element) -> list[_Step]:
        """The motions of a joint in their order: slides in the parent's frame, then turns."""
        coordinates = {c.name: c for c in coordinates_of(joint)}
        one = Line(slope=1.0, offset=0.0)
        if joint.tag in _SIMPLE:
            axes = _SIMPLE[joint.tag]
            if len(axes) != len(coordinates):
                raise RobotError(
                    f"expected {len(axes)} coordinates of {named(joint)}, found "
                    f"{len(coordinates)} in {self.label}; mend the joint"
                )
            made = [
                _Step(kind, axis, one, c)
                for (kind, axis), c in zip(axes, coordinates.values(), strict=True)
            ]
            return sorted(made, key=lambda step: step.kind == "turn")
        transform = joint.find("SpatialTransform")
        if joint.tag != "CustomJoint" or transform is None:
            raise RobotError(
                f"expected joints that we know ({', '.join([*_SIMPLE, *_WHOLE])}, CustomJoint), "
                f"found {named(joint)} in {self.label}; replace it"
            )
        axes_of = {str(x.get("name")): x for x in transform}
        out = [self.step(joint, axes_of[name], coordinates) for name in _AXES if name in axes_of]
        moving = {step.coordinate.name for step in out if step.coordinate is not None}
        for name in coordinates:
            if name not in moving and not coordinates[name].locked:
                self.held(f"coordinate {name!r}", "a coordinate that no axis follows in proportion")
        return out

    def step(self, joint: Element, axis: Element, coordinates: Mapping[str, Coordinate]) -> _Step:
        """One axis of a custom joint."""
        kind = "turn" if str(axis.get("name")).startswith("rotation") else "slide"
        direction = numbers(axis, "axis", count=3)
        length = float(np.linalg.norm(direction))
        if not length > 0:
            raise RobotError(
                f"expected an axis, found zeros in {axis.get('name')} of {named(joint)} of "
                f"{self.label}; mend the joint"
            )
        # the function stands by its kind, or inside <function>
        plain = ("coordinates", "axis")
        function = next((x for x in axis if x.tag not in plain), None)
        if function is not None and function.tag == "function":
            function = function[0] if len(function) else None
        names = word(axis, "coordinates").split()
        driver = coordinates.get(names[0]) if len(names) == 1 else None
        line = line_of(function)
        if line is None or len(names) > 1 or (line.slope and driver is None):
            start = driver.start if driver is not None else 0.0
            self.held(
                f"{axis.get('name')} of {named(joint)}",
                f"a {function.tag if function is not None else 'function'} of "
                f"{' and '.join(names) or 'nothing'}",
            )
            line, driver = Line(slope=0.0, offset=value_of(function, start)), None
        return _Step(kind, direction / length, line, driver if line.slope else None)

    def moved(self, place: _Place, steps: list[_Step], body: str) -> _Place:
        """Joints for the motions of one joint of the file; where they lead."""
        main: dict[str, _Step] = {}
        for step in steps:
            c = step.coordinate
            if c is not None and not c.locked and abs(step.line.slope) == 1:
                main.setdefault(c.name, step)
        moving = [s for s in steps if s.coordinate is not None and not s.coordinate.locked]
        for step in steps:
            c, line = step.coordinate, step.line
            fixed = line.offset + (line.slope * c.start if c is not None and c.locked else 0.0)
            if step.kind == "turn":
                place.turn(about(step.axis, fixed))
            else:
                place.shift(fixed * step.axis)
            if c is None or c.locked:
                continue
            if c.name not in main:
                raise RobotError(
                    f"expected an axis that moves by coordinate {c.name!r} itself, found it only "
                    f"times {line.slope:g} in {self.label}; scale the coordinate"
                )
            place = self.joint(place, step, main[c.name] is step, step is moving[-1], body)
        return place

    def joint(self, place: _Place, step: _Step, own: bool, last: bool, body: str) -> _Place:
        """One joint of the robot: the coordinate's own, or one that follows it."""
        c = step.coordinate
        assert c is not None
        kind = "revolute" if step.kind == "turn" else "prismatic"
        name = c.name if own else self.out.new_joint_name(c.name)
        carried = body if last else self.out.new_body_name(f"{body}_{name}")
        sign = math.copysign(1.0, step.line.slope) if own else 1.0
        at = self.out.joint(
            name, carried, kind, place.body, place.rotation, place.offset, sign * step.axis
        )
        if not own:
            self.mimics.append(Mimic(joint=name, driver=c.name, multiplier=step.line.slope))
        elif c.name not in self.coupled:
            self.out.coordinates(kind, lower=c.low, upper=c.high)
        return _Place(at, np.eye(3), np.zeros(3))

    def coordinates(self) -> dict[str, int | float]:
        """Of each coordinate the joint that moves by it, or where it stands still. Those of free
        and ball joints, which are no angles here, are not among them."""
        found = {
            c.name: c.start
            for joint in self.joints
            if joint.tag not in _WHOLE
            for c in coordinates_of(joint)
        }
        at = {name: i for i, name in enumerate(self.out.joint_names)}
        return {name: at.get(name, start) for name, start in found.items()}

    def mass(self, body: Element) -> None:
        """The inertia of a body where it is carried."""
        place = self.places[str(body.get("name"))]
        mass, centre = number(body, "mass", 0.0), numbers(body, "mass_center", (0, 0, 0), count=3)
        xx, yy, zz, xy, xz, yz = numbers(body, "inertia", (0,) * 6, count=6)
        inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        reason = inertial_parameters.impossibility(mass, inertia)
        if reason is not None:
            self.notes.append(f"body {body.get('name')!r} is not physical: {reason}")
        if place.body >= 0:
            pi = inertial_parameters.about_origin(mass, centre, inertia)
            self.out.mass(place.body, pi, place.rotation, place.offset)
