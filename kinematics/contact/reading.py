"""Scenes read from descriptions: an MJCF through MuJoCo's compiler, a URDF's collision shapes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import torch
from torch import Tensor

from kinematics.contact.law import Soft
from kinematics.contact.scene import Pair, Scene, mixed
from kinematics.contact.shapes import CANDIDATES, WORLD, Geom, HalfSpace, Material
from kinematics.contact.urdf_shapes import urdf_scene
from kinematics.errors import RobotError
from kinematics.formats import xml_safety
from kinematics.formats.builder import untaken
from kinematics.formats.mjcf import compiled_bodies
from kinematics.loading import text_of
from kinematics.spatial.rotations import matrix_of_quaternion

_KINDS = {0: "plane", 2: "sphere", 3: "capsule", 5: "cylinder", 6: "box", 7: "convex"}
_OTHERS = {1: "hfield", 4: "ellipsoid", 8: "sdf"}


def load(source: str | os.PathLike[str], *, law: Any = None, floor: float | None = None) -> Scene:
    """The scene of an MJCF or URDF file, of XML text, or of a bundled robot's name.

    It goes with the robot that `kinematics.load` reads from the same source. An MJCF's shapes, its
    filters (contype and conaffinity, excludes, parents and children), explicit pairs, materials and
    the soft law of its options are read; from a URDF the collision shapes, of which those of
    neighbours do not touch. ``law`` instead of the description's; ``floor`` [m] adds a half-space
    below that height, which all shapes of moving bodies touch. What is not read is named in
    ``scene.notes``. Raises RobotError.
    """
    text, label, path = text_of(source)
    element = xml_safety.parse(text, label)
    if element.tag == "robot":
        scene = urdf_scene(element, label, None if path is None else path.parent)
    elif element.tag == "mujoco":
        scene = _mjcf_scene(element, text, path, label)
    else:
        raise RobotError(
            f"expected a URDF (<robot>) or an MJCF (<mujoco>), found <{element.tag}> in {label}; "
            "convert it"
        )
    if floor is not None:
        scene = _on_floor(scene, floor)
    return scene if law is None else scene.replace(law=law)


def _on_floor(scene: Scene, height: float) -> Scene:
    """The scene with a floor, touched by whatever may touch something or could."""
    plane = HalfSpace((0, 0, 1), height, name=untaken("floor", {s.name for s in scene.shapes}))
    number = len(scene.shapes)
    pairs = [
        mixed(plane, shape, number, k)
        for k, shape in enumerate(scene.shapes)
        if shape.body != WORLD and ("plane", shape.kind) in CANDIDATES
    ]
    changes: dict[str, Any] = {}
    if scene.invweights is not None:
        changes["invweights"] = torch.cat((scene.invweights, scene.invweights.new_zeros(1)))
    return scene.replace(
        shapes=(*scene.shapes, plane), touching=(*scene.touching, *pairs), **changes
    )


def _mjcf_scene(root: Element, text: bytes, path: Any, label: str) -> Scene:
    import mujoco  # optional, and slow to import; compiled_bodies says where it is not installed

    model, carriers, order = compiled_bodies(root, text, path, label)
    reader = _Model(model, carriers, mujoco)
    pairs = reader.pairs()
    limits = not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_LIMIT)
    cone = "elliptic" if model.opt.cone == int(mujoco.mjtCone.mjCONE_ELLIPTIC) else "pyramidal"
    refsafe = not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_REFSAFE)
    joint_of = model.dof_jntid[order]

    def number(x: np.ndarray) -> Tensor:
        return torch.tensor(np.array(x), dtype=torch.float64)

    return Scene(
        geoms=reader.shapes,
        pairs=pairs,
        law=Soft(cone=cone, impratio=float(model.opt.impratio), refsafe=refsafe),
        notes=reader.notes(),
        limits=limits,
        invweights=number(model.body_invweight0[reader.bodies, 0]),
        limit_solref=number(model.jnt_solref[joint_of]),
        limit_solimp=number(model.jnt_solimp[joint_of]),
        limit_margin=number(model.jnt_margin[joint_of]),
        loss_solref=number(model.dof_solref[order]),
        loss_solimp=number(model.dof_solimp[order]),
        dof_invweight=number(model.dof_invweight0[order]),
    )


class _Model:
    """A compiled model's shapes that can be tested, the pairs that may touch, and what is neither.

    ``bodies`` are MuJoCo's of the shapes.
    """

    def __init__(
        self, model: Any, carriers: Sequence[tuple[str, np.ndarray, np.ndarray]], mujoco: Any
    ) -> None:
        self.model, self.mujoco = model, mujoco
        self.row: dict[int, int] = {}  # geom to shape
        self.shapes: list[Geom] = []
        self.bodies: list[int] = []
        self.untested: dict[str, int] = {}
        self.condims: set[int] = set()
        taken = {model.geom(g).name for g in range(model.ngeom)}
        for geom in range(model.ngeom):
            kind = _KINDS.get(int(model.geom_type[geom]))
            if kind is None:
                continue
            name = model.geom(geom).name or f"geom{geom}"
            while not model.geom(geom).name and name in taken:
                name += "_"
            taken.add(name)
            body = int(model.geom_bodyid[geom])
            carrier, r, p = carriers[body]
            self.row[geom] = len(self.shapes)
            self.bodies.append(body)
            self.shapes.append(
                Geom(
                    kind=kind,
                    body=carrier,
                    name=name,
                    at=r @ model.geom_pos[geom] + p,
                    rotation=r @ _matrix(model.geom_quat[geom]),
                    size=_size(kind, model.geom_size[geom]),
                    vertices=_hull(model, geom) if kind == "convex" else np.zeros((0, 3)),
                    material=self._material(geom),
                )
            )

    def _material(self, geom: int) -> Material:
        model = self.model
        return Material(
            friction=float(model.geom_friction[geom][0]),
            condim=self._condim(int(model.geom_condim[geom])),
            solref=tuple(map(float, model.geom_solref[geom])),  # type: ignore[arg-type]
            solimp=tuple(map(float, model.geom_solimp[geom])),  # type: ignore[arg-type]
            solmix=float(model.geom_solmix[geom]),
            priority=int(model.geom_priority[geom]),
            margin=float(model.geom_margin[geom]),
        )

    def _condim(self, condim: int) -> int:
        if condim > 3:
            self.condims.add(condim)
        return min(condim, 3)

    def pairs(self) -> list[Pair]:
        """The pairs that may touch and can be tested; the others are counted."""
        model, flags = self.model, self.mujoco.mjtDisableBit
        off = int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_CONSTRAINT)
        if model.opt.disableflags & off:
            return []
        found = [self._stated(k) for k in range(model.npair)]
        stated = {
            frozenset(map(int, both)) for both in np.stack((model.pair_geom1, model.pair_geom2), 1)
        }
        for i, j in combinations(range(model.ngeom), 2):
            if self._may_touch(i, j) and frozenset((i, j)) not in stated:
                rows = self._rows(i, j)
                found.append(rows and mixed(self.shapes[rows[0]], self.shapes[rows[1]], *rows))
        return [pair for pair in found if pair is not None]

    def _rows(self, i: int, j: int) -> tuple[int, int] | None:
        """The shapes of two geoms, the simpler first; None, and counted, where there is no test."""
        if self.model.geom_type[i] > self.model.geom_type[j]:
            i, j = j, i
        kinds = tuple(
            _KINDS.get(k) or _OTHERS.get(k, f"type {k}")
            for k in (int(self.model.geom_type[g]) for g in (i, j))
        )
        if kinds in CANDIDATES:
            return self.row[i], self.row[j]
        if kinds != ("plane", "plane"):
            both = "-".join("mesh" if k == "convex" else k for k in kinds)
            self.untested[both] = self.untested.get(both, 0) + 1
        return None

    def _stated(self, k: int) -> Pair | None:
        model = self.model
        rows = self._rows(int(model.pair_geom1[k]), int(model.pair_geom2[k]))
        if rows is None:
            return None
        return Pair(
            first=rows[0],
            second=rows[1],
            condim=self._condim(int(model.pair_dim[k])),
            friction=tuple(map(float, model.pair_friction[k][:2])),  # type: ignore[arg-type]
            solref=tuple(map(float, model.pair_solref[k])),  # type: ignore[arg-type]
            solreffriction=tuple(map(float, model.pair_solreffriction[k])),  # type: ignore[arg-type]
            solimp=tuple(map(float, model.pair_solimp[k])),  # type: ignore[arg-type]
            margin=float(model.pair_margin[k]),
            restitution=-1.0,
        )

    def _may_touch(self, i: int, j: int) -> bool:
        """MuJoCo's filters: bits, welded bodies, parents with children, excluded bodies."""
        model = self.model
        types, others = model.geom_contype, model.geom_conaffinity
        if not (types[i] & others[j] or types[j] & others[i]):
            return False
        one, two = int(model.geom_bodyid[i]), int(model.geom_bodyid[j])
        weld, parent = model.body_weldid, model.body_parentid
        a, b = int(weld[one]), int(weld[two])
        if a == b:
            return False
        filtered = not model.opt.disableflags & int(self.mujoco.mjtDisableBit.mjDSBL_FILTERPARENT)
        if filtered and a and b and (a == weld[parent[b]] or b == weld[parent[a]]):
            return False
        return (min(one, two) << 16) + max(one, two) not in self._excluded

    @property
    def _excluded(self) -> set[int]:
        return {int(x) for x in self.model.exclude_signature}

    def notes(self) -> list[str]:
        """What the model has that the scene has not."""
        out = []
        if self.untested:
            listed = ", ".join(f"{n} of {both}" for both, n in sorted(self.untested.items()))
            out.append(f"left out: pairs that are not tested for contact: {listed}")
        if self.condims:
            listed = ", ".join(map(str, sorted(self.condims)))
            out.append(f"left out: torsional and rolling friction (condim {listed} read as 3)")
        if any(shape.kind == "convex" for shape in self.shapes):
            out.append(
                "of a mesh on a plane all vertices count (of many the four deepest); MuJoCo keeps "
                "the deepest and two more, so its forces differ"
            )
        if self.model.opt.enableflags & int(self.mujoco.mjtEnableBit.mjENBL_OVERRIDE):
            out.append("left out: the override of all contacts' margin, solref and solimp")
        return out


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    unit = quaternion / np.linalg.norm(quaternion)
    return matrix_of_quaternion(unit[None])[0]


def _size(kind: str, size: np.ndarray) -> np.ndarray:
    """Radius and half-lengths; none of a plane, whose size is for drawing, and of a mesh."""
    return np.zeros(3) if kind in ("plane", "convex") else np.array(size)


def _hull(model: Any, geom: int) -> np.ndarray:
    """The vertices (n, 3) of a mesh's convex hull, as far as the compiler made one."""
    mesh = int(model.geom_dataid[geom])
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    vertices = np.array(model.mesh_vert[first : first + count], dtype=float)
    at = int(model.mesh_graphadr[mesh])
    if at >= 0:
        kept = int(model.mesh_graph[at])
        vertices = vertices[model.mesh_graph[at + 2 + kept : at + 2 + 2 * kept]]
    return vertices
