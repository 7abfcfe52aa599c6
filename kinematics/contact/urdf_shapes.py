"""A URDF's collision shapes: on the bodies that a robot of it has, neighbours kept apart.

Meshes in STL and OBJ files become the corners of their convex hulls; nothing else of them is read.
"""

from __future__ import annotations

import struct
from itertools import combinations
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from kinematics.contact.scene import Scene, mixed
from kinematics.contact.shapes import CANDIDATES, Geom
from kinematics.errors import RobotError
from kinematics.formats.urdf_checks import check_origin, numbers, validate
from kinematics.formats.urdf_elements import Placement, joints_of, placement_of

_MESH_BYTES = 64 << 20
_SIZES = {"sphere": ("radius",), "cylinder": ("radius", "length"), "capsule": ("radius", "length")}
_SHOWN = 3


def urdf_scene(root: Element, label: str, folder: Path | None) -> Scene:
    """The scene of a parsed URDF: shapes of neighbouring bodies, and of one body, do not touch.

    ``folder`` is where the file lies, from which meshes are looked for. Raises RobotError.
    """
    validate(root, label)
    carriers, neighbours = _carriers(root, label)
    shapes: list[Geom] = []
    unread: list[str] = []
    for link in root.findall("link"):
        name = link.get("name", "")
        for number, collision in enumerate(link.findall("collision")):
            where = f"collision {number} of link {name!r}"
            check_origin(collision, where, root)
            body, place = carriers[name]
            own = placement_of(collision.find("origin"))
            shape = _shape(collision.find("geometry"), where, folder)
            if isinstance(shape, str):
                unread.append(f"{shape} of link {name!r}")
                continue
            kind, size, vertices = shape
            shapes.append(
                Geom(
                    kind=kind,
                    body=body,
                    name=f"{name}.{number}",
                    at=place.rotation @ own.offset + place.offset,
                    rotation=place.rotation @ own.rotation,
                    size=size,
                    vertices=vertices,
                )
            )
    pairs, untested = [], set()
    for i, j in combinations(range(len(shapes)), 2):
        bodies = frozenset((shapes[i].body, shapes[j].body))
        if len(bodies) < 2 or bodies in neighbours:
            continue
        a, b = (i, j) if shapes[i].rank <= shapes[j].rank else (j, i)
        kinds = (shapes[a].kind, shapes[b].kind)
        if kinds in CANDIDATES:
            pairs.append(mixed(shapes[a], shapes[b], a, b))
        else:
            untested.add("-".join(kinds))
    notes = [f"left out: {what}" for what in unread[:_SHOWN]]
    if len(unread) > _SHOWN:
        notes.append(f"left out: {len(unread) - _SHOWN} more collision shapes")
    if untested:
        notes.append(
            f"left out: pairs that are not tested for contact: {', '.join(sorted(untested))}"
        )
    if not shapes:
        notes.append(f"{label} has no collision shapes that are read: the scene is empty")
    return Scene(geoms=shapes, pairs=pairs, notes=notes)


def _carriers(
    root: Element, label: str
) -> tuple[dict[str, tuple[str, Placement]], set[frozenset[str]]]:
    """For every link the body that carries it, with the link's place there; which bodies are
    neighbours. The base is called by its link's name, as the robot's ``base_name`` is."""
    joints = {joint.child: joint for joint in joints_of(root)}
    links = [link.get("name", "") for link in root.findall("link")]
    found: dict[str, tuple[str, Placement]] = {}
    neighbours: set[frozenset[str]] = set()
    for name in links:
        chain = [name]
        while chain[-1] in joints and chain[-1] not in found:
            chain.append(joints[chain[-1]].parent)
            if len(chain) > len(links):
                raise RobotError(
                    f"expected a tree, found link {name!r} in a closed loop in {label}; cut it"
                )
        for link in reversed(chain):
            joint = joints.get(link)
            if link in found:
                continue
            if joint is None or joint.type != "fixed":
                found[link] = (link, Placement())
                if joint is not None:
                    neighbours.add(frozenset((link, found[joint.parent][0])))
            else:
                body, at = found[joint.parent]
                own = joint.placement
                found[link] = (
                    body,
                    Placement(
                        rotation=at.rotation @ own.rotation,
                        offset=at.rotation @ own.offset + at.offset,
                    ),
                )
    return found, neighbours


def _shape(
    geometry: Element | None, where: str, folder: Path | None
) -> tuple[str, np.ndarray, np.ndarray] | str:
    """Kind, size and vertices; or in words what cannot be read."""
    none = np.zeros((0, 3))
    stated = None if geometry is None else next(iter(geometry), None)
    if stated is None:
        return "a collision without a shape"
    if stated.tag == "box":
        return "box", np.abs(numbers(stated.get("size", ""), 3, f"size of {where}")) / 2, none
    if stated.tag in _SIZES:
        size = [numbers(stated.get(k, ""), 1, f"{k} of {where}")[0] for k in _SIZES[stated.tag]]
        radius, half = size[0], size[1] / 2 if len(size) > 1 else 0.0
        if radius < 0 or half < 0:
            raise RobotError(
                f"expected sizes of at least 0 of {where}, found {size}; mend the description"
            )
        return stated.tag, np.array([radius, half, 0.0]), none
    if stated.tag != "mesh":
        return f"a <{stated.tag[:60]}>"
    name = stated.get("filename", "")
    scale = numbers(stated.get("scale", "1 1 1"), 3, f"scale of {where}")
    path = _mesh_path(name, folder)
    vertices = None if path is None else _mesh_vertices(path)
    if vertices is None:
        why = "not found" if path is None else "not read (STL and OBJ are)"
        return f"the mesh {Path(name).name[:60]!r}, {why},"
    return "convex", np.zeros(3), _hull(vertices * scale)


def _mesh_path(name: str, folder: Path | None) -> Path | None:
    """Where a mesh lies: beside the URDF, or, of a package, in a folder above it."""
    if folder is None:
        return None
    bare = name.removeprefix("file://")
    tried = [folder / bare]
    if name.startswith(("package://", "model://")):
        inside = name.split("://", 1)[1]
        tried = [up / inside for up in (folder, *folder.resolve().parents)]
        tried += [up / inside.partition("/")[2] for up in folder.resolve().parents]
    try:
        return next((path for path in tried if path.is_file()), None)
    except (OSError, ValueError):
        return None


def _mesh_vertices(path: Path) -> np.ndarray | None:
    """The vertices (n, 3) of an STL or OBJ file; None if it is neither or broken."""
    try:
        if path.stat().st_size > _MESH_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    ending = path.suffix.lower()
    if ending == ".stl":
        count = struct.unpack_from("<I", data, 80)[0] if len(data) >= 84 else 0
        if count and len(data) == 84 + 50 * count:
            facet = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
            rows = np.frombuffer(data, facet, count, 84)["corners"].reshape(-1, 3)
            return _finite(rows.astype(float))
        return _lines(data, b"vertex")
    return _lines(data, b"v") if ending == ".obj" else None


def _lines(data: bytes, word: bytes) -> np.ndarray | None:
    """The numbers of the lines that begin with a word."""
    rows = [line.split() for line in data.splitlines()]
    try:
        found = [[float(x) for x in row[1:4]] for row in rows if row and row[0] == word]
        return _finite(np.array(found, dtype=float).reshape(-1, 3))
    except ValueError:
        return None


def _finite(vertices: np.ndarray) -> np.ndarray | None:
    return vertices if len(vertices) and np.isfinite(vertices).all() else None


def _hull(vertices: np.ndarray) -> np.ndarray:
    """The corners of the convex hull; all points where they lie in a plane."""
    from scipy.spatial import ConvexHull, QhullError  # slow to import, for meshes alone

    points = np.unique(vertices, axis=0)
    try:
        return points[np.sort(ConvexHull(points).vertices)]
    except (QhullError, ValueError):
        return points
