"""Muscles of an OpenSim model: their paths over points and surfaces, and their law of force.

The wrap rule is "geodesic": a string over a sphere or a cylinder is as short as it can be, on the
side that the file's quadrant says. OpenSim's own paths are approximate there (its moment arms are
not the slopes of its lengths), so lengths differ by tenths of millimetres where a path wraps. A
cylinder has no ends here. What a path cannot express is told: surfaces are left out of it. Points
that move with coordinates, or are there in a range of one, are followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.errors import RobotError
from kinematics.formats.osim_elements import (
    Frame,
    Frames,
    curve_of,
    flag,
    named,
    number,
    numbers,
    objects,
    turned,
    word,
)
from kinematics.muscles.activation import FirstOrderActivation, SmoothActivation
from kinematics.muscles.exponentials import DeGrooteFreglyCurves, ThelenCurves
from kinematics.muscles.millard import MillardCurves
from kinematics.muscles.mixed import MixedForces
from kinematics.muscles.muscles import Muscles
from kinematics.muscles.paths import Path, Paths, Point, Wrap
from kinematics.muscles.strings.varying import Motion, Range
from kinematics.muscles.tendon import HillForces

_LEAST_DAMPING = 0.001  # Millard's fibres with less have none, in OpenSim
_STEEPEST = math.acos(0.1)  # OpenSim's largest pennation angle
_AXES = {"x": 0, "y": 1, "z": 2}
_SLACK = 1e-5  # a conditional point is there so far beyond its range [rad | m], in OpenSim


def muscles_of(
    model: Element,
    frames: Frames,
    places: Mapping[str, Any],
    coordinates: Mapping[str, int | float],
    label: str,
    tree_only: bool,
) -> tuple[Muscles | None, list[str]]:
    """The muscles of a model whose bodies are carried at ``places``, and what is told about them.

    ``coordinates`` are those whose joints have a number, or that stand still (a float). RobotError
    where a muscle cannot be read and ``tree_only`` does not ask to leave it out.
    """
    reader = _Paths(model, frames, places, coordinates, label)
    notes = []
    others = [x for x in objects(model, "ForceSet") if x.tag not in _FAMILIES]
    if others:
        kinds = ", ".join(sorted({x.tag for x in others}))
        notes.append(f"{len(others)} forces that are no muscles we know are left out ({kinds})")
    kept: list[tuple[Element, Path]] = []
    lost: list[str] = []
    for muscle in objects(model, "ForceSet"):
        if muscle.tag not in _FAMILIES or not flag(muscle, "appliesForce", True):
            continue
        try:
            kept.append((muscle, reader.path(muscle)))
        except RobotError as error:
            if not tree_only:
                raise
            lost.append(f"{muscle.get('name')} ({str(error).split(', found ')[-1]})")
    if lost:
        more = f" (and {len(lost) - 3} more)" if len(lost) > 3 else ""
        notes.append(f"muscles left out: {', '.join(lost[:3])}{more}")
    notes += reader.told()
    if not kept:
        return None, notes
    groups: dict[tuple[str, bool], list[int]] = {}
    for number_, (muscle, _) in enumerate(kept):
        rigid = flag(muscle, "ignore_tendon_compliance")
        if muscle.tag == "Millard2012EquilibriumMuscle" and not rigid:
            # one law has one number of Newton steps: fibres without damping apart
            rigid_or_not = "damped" if _damped(muscle) else "undamped"
        else:
            rigid_or_not = ""
        groups.setdefault((muscle.tag + rigid_or_not, rigid), []).append(number_)
    laws = []
    for (_, rigid), part in groups.items():
        members = [kept[i][0] for i in part]
        laws.append((part, _FAMILIES[members[0].tag](members, compliant=not rigid)))
    paths = Paths.of([path for _, path in kept], rule="geodesic")
    excited = [not flag(muscle, "ignore_activation_dynamics") for muscle, _ in kept]
    limits = {
        "low": [number(m, "min_control", 0.0) for m, _ in kept],
        "high": [number(m, "max_control", 1.0) for m, _ in kept],
    }
    return Muscles.of(paths, MixedForces.of(laws), excited=excited, **limits), notes


class _Paths:
    """Paths over points and surfaces, and what they cannot express."""

    def __init__(
        self,
        model: Element,
        frames: Frames,
        places: Mapping[str, Any],
        coordinates: Mapping[str, int | float],
        label: str,
    ) -> None:
        self.frames, self.places, self.label = frames, places, label
        self.coordinates = coordinates
        self.surfaces: dict[str, tuple[str, Element]] = {}
        grounds = model.findall("Ground")
        for body in [*grounds, *objects(model, "BodySet")]:
            owner = "ground" if body.tag == "Ground" else str(body.get("name"))
            for surface in objects(body, "WrapObjectSet"):
                self.surfaces[str(surface.get("name"))] = (owner, surface)
        self.missing: dict[str, list[str]] = {}

    def told(self) -> list[str]:
        """Notes on the surfaces that paths do without."""
        return [
            f"{what} is left out of the paths of {', '.join(names)}: their lengths differ where "
            "they would touch it"
            for what, names in self.missing.items()
        ]

    def path(self, muscle: Element) -> Path:
        """The path of a muscle. RobotError where it has points that we do not know."""
        name = str(muscle.get("name"))
        points: list[Point | None] = []
        bodies: list[str] = []
        for point in objects(muscle, "GeometryPath/PathPointSet"):
            frame = self.frames.of(word(point, "socket_parent_frame"))
            points.append(self.point(point, frame, name))
            bodies.append(frame.body)
        if len(points) < 2:
            raise RobotError(
                f"expected two or more points on the path of muscle {name!r}, found {len(points)} "
                f"in {self.label}; give it a GeometryPath"
            )
        over: dict[int, Wrap] = {}
        for wrap in objects(muscle, "GeometryPath/PathWrapSet"):
            self.lay(wrap, name, points, bodies, over)
        elements: list[Any] = []
        for i, here in enumerate(points):
            if here is not None:
                elements.append(here)
            # a surface behind a point that is never there follows the point before that
            if i in over and elements and elements[-1] is not over[i]:
                elements.append(over[i])
        while elements and isinstance(elements[-1], Wrap):
            elements.pop()
        return Path(name=name, elements=elements)

    def point(self, point: Element, frame: Frame, muscle: str) -> Point | None:
        """A fixed, conditional or moving point; None for one that is never there. RobotError where
        we do not know its kind."""
        if point.tag == "MovingPathPoint":
            return self.moving(point, frame, muscle)
        if point.tag not in ("PathPoint", "ConditionalPathPoint"):
            raise RobotError(
                f"expected the path of muscle {muscle!r} over fixed, conditional and moving "
                f"points, found a {point.tag} in {self.label}; load(..., tree_only=True) leaves "
                "the muscle out"
            )
        at = frame.rotation @ numbers(point, "location", count=3) + frame.offset
        made = self.placed(frame.body, at)
        if point.tag == "PathPoint":
            return made
        low, high = numbers(point, "range", (0, 0), count=2)
        joint = self.coordinate(word(point, "socket_coordinate"), point, muscle)
        if isinstance(joint, int):
            kept = Range(joint, float(low) - _SLACK, float(high) + _SLACK)
            return replace(made, present=kept)
        # its coordinate stands still: it is always there, or never
        return made if low - _SLACK <= joint <= high + _SLACK else None

    def moving(self, point: Element, frame: Frame, muscle: str) -> Point:
        """A point whose x, y and z are functions of coordinates."""
        at, motions = frame.offset, []
        for axis, direction in zip("xyz", frame.rotation.T, strict=True):
            holder = point.find(f"{axis}_location")
            try:
                curve = curve_of(holder[0] if holder is not None and len(holder) else None)
            except RobotError as error:
                raise RobotError(
                    f"{str(error).removesuffix('; replace it')} in {named(point)} of muscle "
                    f"{muscle!r} of {self.label}; replace it"
                ) from error
            joint: int | float = 0.0
            if not curve.constant:
                joint = self.coordinate(word(point, f"socket_{axis}_coordinate"), point, muscle)
            if isinstance(joint, int):
                body = self.places[frame.body]
                motions.append(Motion(joint, tuple(body.rotation @ direction), curve))
            else:
                at = at + direction * curve(joint)
        return replace(self.placed(frame.body, at), motions=tuple(motions))

    def coordinate(self, socket: str, point: Element, muscle: str) -> int | float:
        """The joint that moves by a coordinate, or where that stands still."""
        name = socket.rsplit("/", 1)[-1]
        if name not in self.coordinates:
            raise RobotError(
                f"expected a coordinate of a joint whose coordinates are angles or lengths here, "
                f"found {socket[:80]!r} in {named(point)} of muscle {muscle!r} of {self.label}; "
                "mend the socket"
            )
        return self.coordinates[name]

    def placed(self, body: str, at: np.ndarray) -> Point:
        """A point of a body of the file on the body of the robot that carries it."""
        place = self.places[body]
        return Point(place.body, tuple(place.rotation @ at + place.offset))

    def lay(
        self, wrap: Element, name: str, points: list[Point | None], bodies: list[str],
        over: dict[int, Wrap],
    ) -> None:  # fmt: skip
        """Lay a surface over the spans that may touch it, or note that it is left out."""
        called = word(wrap, "wrap_object")
        if called not in self.surfaces:
            raise RobotError(
                f"expected a surface of the model in the path of {name!r}, found {called!r} in "
                f"{self.label}; mend its name"
            )
        owner, surface = self.surfaces[called]
        if not flag(surface, "active", True):
            return
        if surface.tag not in ("WrapSphere", "WrapCylinder"):
            self.missing.setdefault(named(surface), []).append(name)
            return
        first, last = numbers(wrap, "range", (-1, -1), count=2).astype(int)
        begin = 0 if first < 1 else first - 1
        end = len(points) - 1 if last < 1 else last - 1
        # what stands still on the surface's own body never comes to touch it
        spans = [
            i
            for i in range(begin, min(end, len(points) - 1))
            if not bodies[i] == bodies[i + 1] == owner
        ]
        made = self.surface(owner, surface)
        for i in spans:
            if i in over:
                what = f"{named(surface)}, beside another surface between the same two points,"
                if name not in self.missing.setdefault(what, []):
                    self.missing[what].append(name)
            else:
                over[i] = made

    def surface(self, owner: str, surface: Element) -> Wrap:
        """A sphere or a cylinder, and the side that its quadrant says."""
        place = self.places[owner]
        rotation = turned(numbers(surface, "xyz_body_rotation", (0, 0, 0), count=3))
        centre = numbers(surface, "translation", (0, 0, 0), count=3)
        radius = number(surface, "radius")
        quadrant = word(surface, "quadrant", "all").lower()
        side = None
        axis = _AXES.get(quadrant.lstrip("+-"))
        if axis is not None:
            sign = -1.0 if quadrant.startswith("-") else 1.0
            side = self.placed(owner, centre + 2 * radius * sign * rotation[:, axis])
        return Wrap(
            kind="sphere" if surface.tag == "WrapSphere" else "cylinder",
            body=place.body,
            radius=radius,
            centre=tuple(place.rotation @ centre + place.offset),
            rotation=place.rotation @ rotation,
            side=side,
        )


def _each(muscles: list[Element], tag: str, default: float) -> list[float]:
    return [number(m, tag, default) for m in muscles]


def _of_curve(muscles: list[Element], curve: str, tag: str, default: float) -> list[float]:
    """A number of a curve, an element of its own inside a muscle."""
    out = []
    for m in muscles:
        found = m.find(curve)
        out.append(default if found is None else number(found, tag, default))
    return out


def _common(muscles: list[Element]) -> dict[str, Any]:
    """What every family has, with OpenSim's defaults."""
    return {
        "strength": _each(muscles, "max_isometric_force", 1000.0),
        "optimal": _each(muscles, "optimal_fiber_length", 0.1),
        "slack": _each(muscles, "tendon_slack_length", 0.2),
        "pennation": _each(muscles, "pennation_angle_at_optimal", 0.0),
        "quickest": _each(muscles, "max_contraction_velocity", 10.0),
    }


def _shortest(muscles: list[Element], shares: list[float]) -> list[float]:
    """The shortest fibres [m]: a share of l_opt, or where the pennation is at its largest."""
    out = []
    for m, share in zip(muscles, shares, strict=True):
        optimal = number(m, "optimal_fiber_length", 0.1)
        steepest = number(m, "maximum_pennation_angle", _STEEPEST)
        height = optimal * math.sin(number(m, "pennation_angle_at_optimal", 0.0))
        pennate = height / math.sin(steepest) if steepest > 0 else 0.01 * optimal
        out.append(max(share * optimal, pennate))
    return out


def _activation(muscles: list[Element], rise: float, fall: float) -> FirstOrderActivation:
    return FirstOrderActivation.of(
        _each(muscles, "activation_time_constant", rise),
        _each(muscles, "deactivation_time_constant", fall),
        _each(muscles, "minimum_activation", 0.01),
    )


def _damped(muscle: Element) -> bool:
    return number(muscle, "fiber_damping", 0.1) >= _LEAST_DAMPING


def _millard(muscles: list[Element], *, compliant: bool) -> HillForces:
    """Millard's family. OpenSim lifts the ends of its curves where the fibre is not damped."""
    lifted = compliant and not _damped(muscles[0])
    active, velocity = "ActiveForceLengthCurve", "ForceVelocityCurve"
    passive, tendon = "FiberForceLengthCurve", "TendonForceLengthCurve"
    shortest = _of_curve(muscles, active, "min_norm_active_fiber_length", 0.4441)
    near_c = _of_curve(muscles, velocity, "concentric_slope_near_vmax", 0.25)
    near_e = _of_curve(muscles, velocity, "eccentric_slope_near_vmax", 0.15)
    at_c = _of_curve(muscles, velocity, "concentric_slope_at_vmax", 0.0)
    at_e = _of_curve(muscles, velocity, "eccentric_slope_at_vmax", 0.0)
    least = _of_curve(muscles, active, "minimum_value", 0.1)
    zero = _of_curve(muscles, passive, "strain_at_zero_force", 0.0)
    one = _of_curve(muscles, passive, "strain_at_one_norm_force", 0.7)
    strain = _of_curve(muscles, tendon, "strain_at_one_norm_force", 0.049)

    def fitted(curve: str, tags: dict[str, list[float]]) -> dict[str, list[float]]:
        """OpenSim takes the shape of a curve from the file only where all of it is said."""
        found = [m.find(curve) for m in muscles]
        whole = [c is not None and all(word(c, tag) for tag in tags) for c in found]
        return {
            tag: [
                number(c, tag) if said and c is not None else usual
                for c, said, usual in zip(found, whole, values, strict=True)
            ]
            for tag, values in tags.items()
        }

    nm = len(muscles)
    bent = fitted(
        passive,
        {
            "stiffness_at_low_force": [0.2] * nm,
            "stiffness_at_one_norm_force": [
                2 / (b - a) if b > a else math.nan for a, b in zip(zero, one, strict=True)
            ],
            "curviness": [0.75] * nm,
        },
    )
    stretched = fitted(
        tendon,
        {
            "stiffness_at_one_norm_force": [1.375 / s if s > 0 else math.nan for s in strain],
            "norm_force_at_toe_end": [2 / 3] * nm,
            "curviness": [0.5] * nm,
        },
    )
    curves = MillardCurves.of(
        nm,
        shortest=shortest,
        transition=_of_curve(muscles, active, "transition_norm_fiber_length", 0.73),
        longest=_of_curve(muscles, active, "max_norm_active_fiber_length", 1.8123),
        plateau_slope=_of_curve(muscles, active, "shallow_ascending_slope", 0.8616),
        least_active=[max(x, 0.1) if lifted else 0.0 for x in least],
        lengthening=_of_curve(muscles, velocity, "max_eccentric_velocity_force_multiplier", 1.4),
        isometric_slope=_of_curve(muscles, velocity, "isometric_slope", 5.0),
        slope_at_shortening=[
            max(a, 0.5 * n) if lifted else 0.0 for a, n in zip(at_c, near_c, strict=True)
        ],
        slope_near_shortening=near_c,
        slope_at_lengthening=[
            max(a, 0.5 * n) if lifted else 0.0 for a, n in zip(at_e, near_e, strict=True)
        ],
        slope_near_lengthening=near_e,
        shortening_curviness=_of_curve(muscles, velocity, "concentric_curviness", 0.6),
        lengthening_curviness=_of_curve(muscles, velocity, "eccentric_curviness", 0.9),
        passive_zero=zero,
        passive_one=one,
        passive_low_stiffness=bent["stiffness_at_low_force"],
        passive_stiffness=bent["stiffness_at_one_norm_force"],
        passive_curviness=bent["curviness"],
        tendon_one=strain,
        tendon_stiffness=stretched["stiffness_at_one_norm_force"],
        toe_end=stretched["norm_force_at_toe_end"],
        tendon_curviness=stretched["curviness"],
    )
    damping = [x if x >= _LEAST_DAMPING else 0.0 for x in _each(muscles, "fiber_damping", 0.1)]
    return HillForces.of(
        curves,
        _activation(muscles, 0.010, 0.040),
        damping=damping,
        shortest=_shortest(muscles, shortest),
        least=_each(muscles, "minimum_activation", 0.01),
        compliant=compliant,
        **_common(muscles),
    )


def _thelen(muscles: list[Element], *, compliant: bool) -> HillForces:
    """Thelen's family, whose fibres have no damping."""
    curves = ThelenCurves.of(
        len(muscles),
        width=_each(muscles, "KshapeActive", 0.45),
        passive_one=_each(muscles, "FmaxMuscleStrain", 0.6),
        passive_shape=_each(muscles, "KshapePassive", 5.0),
        tendon_one=_each(muscles, "FmaxTendonStrain", 0.04),
        curvature=_each(muscles, "Af", 0.25),
        lengthening=_each(muscles, "Flen", 1.4),
        straight=_each(muscles, "fv_linear_extrap_threshold", 0.95),
    )
    return HillForces.of(
        curves,
        _activation(muscles, 0.015, 0.050),
        damping=0.0,
        shortest=_shortest(muscles, [0.0] * len(muscles)),
        least=_each(muscles, "minimum_activation", 0.01),
        compliant=compliant,
        **_common(muscles),
    )


def _de_groote_fregly(muscles: list[Element], *, compliant: bool) -> HillForces:
    """De Groote and Fregly's family. OpenSim drops its damping on explicit elastic tendons."""
    curves = DeGrooteFreglyCurves.of(
        len(muscles),
        width=_each(muscles, "active_force_width_scale", 1.0),
        passive_one=_each(muscles, "passive_fiber_strain_at_one_norm_force", 0.6),
        tendon_one=_each(muscles, "tendon_strain_at_one_norm_force", 0.049),
        passive_on=[0.0 if flag(m, "ignore_passive_fiber_force") else 1.0 for m in muscles],
    )
    dynamics = SmoothActivation.of(
        _each(muscles, "activation_time_constant", 0.015),
        _each(muscles, "deactivation_time_constant", 0.060),
        _each(muscles, "activation_dynamics_smoothing", 0.1),
    )
    return HillForces.of(
        curves,
        dynamics,
        damping=0.0 if compliant else _each(muscles, "fiber_damping", 0.0),
        compliant=compliant,
        **_common(muscles),
    )


_FAMILIES: dict[str, Callable[..., HillForces]] = {
    "Thelen2003Muscle": _thelen,
    "Millard2012EquilibriumMuscle": _millard,
    "DeGrooteFregly2016Muscle": _de_groote_fregly,
}
