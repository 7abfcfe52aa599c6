"""MJCF: compiled by MuJoCo itself, then read off the compiled tree.

Body frames stand at the joints' anchors with the MJCF body's axes; coordinates are MuJoCo's
``qpos`` (for a free joint our velocity convention differs: body axes, angular first). Several
joints of one body become a chain of massless bodies. Welded bodies are merged. What ``<flag>``
switches off is zero; armature and friction of a free joint, which MuJoCo has act along the world's
axes, are refused. A joint that an equality constraint makes an affine function of another one
mimics it, exactly. What would make MuJoCo's compiler run for minutes or out of memory is refused
before it starts.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import torch

from kinematics.errors import RobotError
from kinematics.formats.builder import RobotBuilder
from kinematics.formats.mimics import independent_mimics
from kinematics.formats.mjcf_actuators import actuation_of, of_independent, stepping_of
from kinematics.formats.mjcf_muscles import muscles_of, tendons_of
from kinematics.formats.plausibility import LinkInertia, unit_doubts
from kinematics.robot import inertial_parameters, joints
from kinematics.robot.joints import Mimic
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import clean, log_quaternion, matrix_of_quaternion

# what the flags of an MJCF switch off; a field is zero if every flag of one of its rows is set
_SWITCHED = (
    (("SPRING",), ("jnt_stiffness", "jnt_stiffnesspoly", "tendon_stiffness",
                   "tendon_stiffnesspoly")),
    (("DAMPER",), ("dof_damping", "dof_dampingpoly", "tendon_damping", "tendon_dampingpoly",
                   "actuator_damping", "actuator_dampingpoly")),
    (("SPRING", "DAMPER"), ("body_gravcomp", "opt.density", "opt.viscosity")),
    (("FRICTIONLOSS",), ("dof_frictionloss", "tendon_frictionloss")),
    (("CONSTRAINT",), ("dof_frictionloss", "tendon_frictionloss", "eq_active0")),
    (("EQUALITY",), ("eq_active0",)),
    (("GRAVITY",), ("opt.gravity",)),
)  # fmt: skip
KINDS = {0: "free", 1: "spherical", 2: "prismatic", 3: "revolute"}


def robot_from_mjcf(
    root: Element,
    text: bytes,
    path: Path | None,
    label: str,
    *,
    free: bool,
    joint_terms: bool,
    tree_only: bool,
) -> Robot:
    """The robot that an MJCF describes, parsed as ``root``. RobotError, in one line, where it
    cannot be used."""
    validate(root, label)
    model, said = _compile(text, path, label)
    notes = [f"MuJoCo: {' '.join(str(what).split())[:200]}" for what in said]
    name = path.stem if path is not None else "mjcf"
    return robot_from_compiled(
        model, label, name, notes, free=free, joint_terms=joint_terms, tree_only=tree_only
    )


def robot_from_compiled(
    model: Any,
    label: str,
    name: str,
    said: Sequence[str] = (),
    *,
    free: bool = False,
    joint_terms: bool = True,
    tree_only: bool = False,
    locked: Mapping[int, float] | None = None,
) -> Robot:
    """The robot of a compiled `mujoco.MjModel`, which stays as it is; `name` where it has none.

    said    notes about it from before
    locked  hinges and slides (by their numbers in the model) that are welded at a coordinate: no
            joints of the robot. RobotError, in one line, where it cannot be used.
    """
    model = copy.copy(model)
    _apply_flags(model)
    notes = [*_left_out(model, label, tree_only, joint_terms), *said]
    doubts = _unit_doubts(model)
    if doubts is not None:
        notes.append(doubts)
        warnings.warn(doubts, stacklevel=4)
    tree = _Tree(model, free, locked or {})
    for body in range(1, model.nbody):
        tree.add(body)
    mimic = tree.mimics(label)
    if mimic:
        notes.append(
            f"{len(mimic)} joints follow others exactly here; MuJoCo holds them by soft constraints"
        )
    robot = tree.out.robot(
        _text(tree.names, 0) or name,
        joint_terms=joint_terms,
        gravity=model.opt.gravity,
        base_name="world",
        mimic=mimic,
        stepping=stepping_of(model),
    )
    muscles, missing = muscles_of(model, tree.carrier, tree.number, locked or {})
    actuation, unread = (None, []) if tree.added_base else actuation_of(model, muscles)
    if actuation is not None and locked:
        actuation = actuation.on(
            [dof for dof in range(model.nv) if int(model.dof_jntid[dof]) not in locked]
        )
    if mimic and actuation is not None:
        actuation, more = of_independent(actuation, robot)
        unread += more
    return robot.replace(actuation=actuation, muscles=muscles, notes=(*notes, *missing, *unread))


def compiled_bodies(
    root: Element, text: bytes, path: Path | None, label: str
) -> tuple[Any, list[tuple[str, np.ndarray, np.ndarray]], list[int]]:
    """The compiled model; for each of its bodies the body of our robot that carries it ("world":
    the base) with the place (R, p) of its frame there; for each of our velocities its own.
    RobotError, in one line, where it cannot be used."""
    validate(root, label)
    model, _ = _compile(text, path, label)
    tree = _Tree(model, False, {})
    for body in range(1, model.nbody):
        tree.add(body)
    names = tree.out.body_names
    carriers = [(names[b] if b >= 0 else "world", r, p) for b, r, p in tree.carrier]
    order = []
    for joint in range(model.njnt):
        at = int(model.jnt_dofadr[joint])
        kind = KINDS[int(model.jnt_type[joint])]
        if joint not in tree.followers:
            own = [3, 4, 5, 0, 1, 2] if kind == "free" else range(joints.NV[kind])
            order += [at + k for k in own]
    return model, carriers, order


def _compile(text: bytes, path: Path | None, label: str) -> tuple[Any, list[str]]:
    """The compiled model, and what MuJoCo warned of."""
    try:
        import mujoco  # optional, and slow to import
    except ImportError as error:
        raise RobotError(
            f"expected MuJoCo to read the MJCF {label}, found it is not installed; "
            "pip install 'worldlaw[mujoco]'"
        ) from error
    said: list[str] = []
    before = mujoco.get_mju_user_warning()
    # by itself MuJoCo prints what it warns of, and writes a log file wherever it happens to run
    mujoco.set_mju_user_warning(said.append)
    try:
        if path is not None:
            return mujoco.MjModel.from_xml_path(str(path)), said
        return mujoco.MjModel.from_xml_string(text.decode()), said
    except (ValueError, RuntimeError, MemoryError, UnicodeDecodeError, mujoco.FatalError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RobotError(
            f"expected an MJCF that MuJoCo compiles, found: {reason} in {label}; mend the file"
        ) from error
    finally:
        mujoco.set_mju_user_warning(before)


def _apply_flags(model: Any) -> None:
    """Set to zero what the model's own flags switch off, as MuJoCo's dynamics leave it out."""
    import mujoco

    # an older MuJoCo has one flag for springs, dampers and all other passive forces
    instead = {"SPRING": "PASSIVE", "DAMPER": "PASSIVE"}
    flags = mujoco.mjtDisableBit.__members__
    for names, fields in _SWITCHED:
        known = (flags.get(f"mjDSBL_{n}") or flags[f"mjDSBL_{instead[n]}"] for n in names)
        if not all(model.opt.disableflags & int(flag) for flag in known):
            continue
        for field in fields:
            owner = model.opt if field.startswith("opt.") else model
            name = field.removeprefix("opt.")
            value = getattr(owner, name, None)  # as far as this MuJoCo has it
            if isinstance(value, np.ndarray):
                value[:] = 0
            elif value is not None:
                setattr(owner, name, 0.0)


def _left_out(model: Any, label: str, tree_only: bool, joint_terms: bool) -> list[str]:
    """What is not a tree of rigid bodies: refused, or by choice only noted."""
    serious: list[str] = []
    harmless: list[str] = []
    active = int(np.count_nonzero(model.eq_active0))
    others = active - len(_followers(model))
    if others:
        serious.append(f"{others} equality constraints (closed loops, couplings)")
    if model.neq > active:
        harmless.append(f"{model.neq - active} equality constraints that are switched off")
    left = model.ntendon - len(tendons_of(model))
    if _any(model, "tendon", "stiffness", "stiffnesspoly", "damping", "dampingpoly",
            "armature", "frictionloss"):  # fmt: skip
        what = "tendons" if left == model.ntendon else "tendons' springs, dampers or inertia"
        serious.append(f"{model.ntendon} {what}")
    elif left:
        harmless.append(f"{left} tendons")
    if left < model.ntendon and np.any(model.tendon_limited):
        harmless.append(f"limits of {np.count_nonzero(model.tendon_limited)} tendons")
    if _any(model, "jnt", "stiffnesspoly") or _any(model, "dof", "dampingpoly"):
        serious.append("springs or dampers that are not linear (their linear part stays)")
    if _any(model, "actuator", "armature", "damping", "dampingpoly"):
        serious.append("rotors or dampers of actuators")
    free = model.jnt_type[model.dof_jntid] == 0
    if joint_terms and (np.any(model.dof_armature[free]) or np.any(model.dof_frictionloss[free])):
        serious.append("armature or friction of a free joint (in the world's axes)")
    if getattr(model, "nflex", 0):
        serious.append(f"{model.nflex} flexible bodies")
    if model.opt.density or model.opt.viscosity:
        serious.append("the drag of a fluid")
    if np.any(model.body_gravcomp):
        serious.append("gravity compensation")
    if serious and not tree_only:
        raise RobotError(
            f"expected a tree of rigid bodies, found {', '.join(serious)} in {label}; "
            "load(..., tree_only=True) leaves them out"
        )
    return [f"left out: {what}" for what in (*serious, *harmless)]


def _unit_doubts(model: Any) -> str | None:
    """What in the compiled bodies looks like another unit."""
    names = model.names
    links = [
        LinkInertia(
            name=_text(names, int(model.name_bodyadr[body])) or f"body{body}",
            mass=float(model.body_mass[body]),
            centre=np.array(model.body_ipos[body]),
            moment=float(model.body_inertia[body].max()),
        )
        for body in range(1, model.nbody)
        if model.body_weldid[body] != 0
    ]
    return unit_doubts(links, float(np.linalg.norm(model.body_pos, axis=1).max()))


def _any(model: Any, group: str, *names: str) -> bool:
    """Whether any of these fields, as far as this MuJoCo has them, is not zero."""
    return any(np.any(getattr(model, f"{group}_{name}", 0.0)) for name in names)


def _followers(model: Any) -> dict[int, int]:
    """Joints of one coordinate that an active constraint makes an affine function of another one:
    the joint's number to the constraint's. A joint follows once; what is more is no tree."""
    import mujoco

    out: dict[int, int] = {}
    single = np.isin(model.jnt_type, (2, 3))
    for k in np.flatnonzero(model.eq_active0):
        joint, driver = int(model.eq_obj1id[k]), int(model.eq_obj2id[k])
        if model.eq_type[k] != mujoco.mjtEq.mjEQ_JOINT or driver < 0 or joint in out:
            continue
        if single[joint] and single[driver] and not np.any(model.eq_data[k][2:5]):
            out[joint] = int(k)
    return out


class _Tree:
    """The compiled bodies as one joint a body; welded bodies merged into their carriers."""

    def __init__(self, model: Any, free: bool, locked: Mapping[int, float]) -> None:
        self.model = model
        self.locked = locked
        # what follows a welded joint, or is welded itself, moves on its own or not at all
        self.followers = {
            joint: k
            for joint, k in _followers(model).items()
            if joint not in locked and int(model.eq_obj2id[k]) not in locked
        }
        self.number: dict[int, int] = {}  # MuJoCo's joint to ours
        self.row: dict[str, int] = {}  # where an independent joint's velocity lies
        self.names = model.names  # every look at it copies it
        self.out = RobotBuilder(
            taken_joints={_text(self.names, int(at)) for at in model.name_jntadr},
            taken_bodies={_text(self.names, int(at)) for at in model.name_bodyadr},
        )
        # for each MJCF body: the moving body that carries it and its frame's placement there
        self.carrier: list[tuple[int, np.ndarray, np.ndarray]] = [(-1, np.eye(3), np.zeros(3))]
        self.added_base = free and not any(model.jnt_type == 0)
        if self.added_base:
            root = self.out.free_root("world")
            self.out.coordinates("free")
            self.carrier[0] = (root, np.eye(3), np.zeros(3))

    def add(self, body: int) -> None:
        """Add an MJCF body with its joints."""
        model = self.model
        parent, rotation, offset = self.carrier[int(model.body_parentid[body])]
        r = rotation @ clean(_matrix(model.body_quat[body]))
        p = rotation @ model.body_pos[body] + offset
        count, first = int(model.body_jntnum[body]), int(model.body_jntadr[body])
        own = _text(self.names, int(model.name_bodyadr[body]))
        own = own or self.out.new_body_name(f"body{body}")
        at = np.zeros(3)  # where the last frame stands in the MJCF body's frame
        for k in range(count):
            joint = first + k
            kind = KINDS[int(model.jnt_type[joint])]
            anchor = np.array(model.jnt_pos[joint])
            axis = clean(np.array(model.jnt_axis[joint]))
            if kind == "free":
                r, p, anchor = np.eye(3), np.zeros(3), np.zeros(3)
            p = p + r @ (anchor - at)
            zero = float(model.qpos0[model.jnt_qposadr[joint]])
            if kind == "revolute" and zero:
                r = r @ _about(axis, -zero)
            elif kind == "prismatic" and zero:
                p = p - r @ axis * zero
            if joint in self.locked:
                unit, value = axis / np.linalg.norm(axis), self.locked[joint]
                if kind == "revolute":
                    r = r @ _about(unit, value)
                else:
                    p = p + r @ unit * value
                at = anchor
                continue
            body_name = own if k == count - 1 else self.out.new_body_name(f"{own}.{k}")
            label = _text(self.names, int(model.name_jntadr[joint]))
            label = label or self.out.new_joint_name(f"{own}.joint{k}")
            unit = axis / np.linalg.norm(axis)
            parent = self.out.joint(label, body_name, kind, parent, r, p, unit)
            self.number[joint] = parent
            if joint not in self.followers:
                self._coordinates(joint, kind)
            r, p, at = np.eye(3), np.zeros(3), anchor
        p = p - r @ at
        self.carrier.append((parent, r, p))
        if parent >= 0:
            turn = clean(_matrix(model.body_iquat[body]))
            inertia = turn @ np.diag(model.body_inertia[body]) @ turn.T
            own_pi = inertial_parameters.about_origin(
                float(model.body_mass[body]), np.array(model.body_ipos[body]), inertia
            )
            self.out.mass(parent, own_pi, r, p)

    def mimics(self, label: str) -> tuple[Mimic, ...]:
        """The joints that follow others, whose terms go to the joints that drive them."""
        model, names = self.model, self.out.joint_names
        stated = []
        for joint, k in self.followers.items():
            driver = int(model.eq_obj2id[k])
            offset, multiplier = (float(x) for x in model.eq_data[k][:2])
            zero, its_zero = (float(model.qpos0[model.jnt_qposadr[j]]) for j in (joint, driver))
            stated.append(
                Mimic(
                    joint=names[self.number[joint]],
                    driver=names[self.number[driver]],
                    multiplier=multiplier,
                    offset=offset + zero - multiplier * its_zero,
                )
            )
        found, _ = independent_mimics(stated, names, label)
        for m, joint in zip(found, self.followers, strict=True):
            own = {name: values[0] for name, values in self._terms(joint, 1).items()}
            self.out.follow(self.row[m.driver], m, **own)
        return found

    def _coordinates(self, joint: int, kind: str) -> None:
        model, nv = self.model, joints.NV[kind]
        self.row[self.out.joint_names[-1]] = len(self.out.velocity_limit)
        limited = nv == 1 and bool(model.jnt_limited[joint])
        low, high = model.jnt_range[joint] if limited else (-math.inf, math.inf)
        bounded = nv == 1 and bool(model.jnt_actfrclimited[joint])
        self.out.coordinates(
            kind,
            lower=float(low),
            upper=float(high),
            effort=float(model.jnt_actfrcrange[joint][1]) if bounded else math.inf,
            **self._terms(joint, nv),
        )

    def _terms(self, joint: int, nv: int) -> dict[str, Any]:
        """The joint's terms, one number a velocity."""
        model = self.model
        dof = slice(int(model.jnt_dofadr[joint]), int(model.jnt_dofadr[joint]) + nv)
        kind = KINDS[int(model.jnt_type[joint])]
        # a free joint's act along the world's axes; ours would act along the body's
        turned = kind == "free"
        return {
            "armature": [0.0] * nv if turned else model.dof_armature[dof].tolist(),
            # newer MuJoCos keep polynomials: the linear part stands first
            "damping": model.dof_damping[dof].reshape(nv, -1)[:, 0].tolist(),
            "friction": [0.0] * nv if turned else model.dof_frictionloss[dof].tolist(),
            "stiffness": [float(np.ravel(model.jnt_stiffness[joint])[0])] * nv,
            "spring_reference": _spring_reference(model, joint, kind),
        }


def _spring_reference(model: Any, joint: int, kind: str) -> list[float]:
    """Where the joint's spring is at rest: a coordinate, a rotation vector, or that and a place."""
    at = int(model.jnt_qposadr[joint])
    rest = [float(x) for x in model.qpos_spring[at : at + joints.NQ[kind]]]
    if joints.NV[kind] == 1:
        return rest
    turn = log_quaternion(torch.tensor(rest[-4:], dtype=torch.float64)).tolist()
    return turn + rest[:-4]


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    unit = quaternion / np.linalg.norm(quaternion)
    return matrix_of_quaternion(unit[None, :, None])[0, :, :, 0]


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    return _matrix(np.r_[math.cos(angle / 2), math.sin(angle / 2) * axis])


def _text(names: bytes, address: int) -> str:
    return names[address : names.index(b"\0", address)].decode(errors="replace")


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
            _refuse(math.prod(numbers), limit, f"entries of a <{element.tag}>", label)
        elif element.tag == "size":
            for key, value in element.attrib.items():
                if key != "memory":
                    _refuse(math.prod(_numbers(value)), MAX_ENTRIES, f"as {key} of <size>", label)


def _replicated(root: Element, label: str) -> None:
    """Count the world's elements as <replicate> will multiply them."""
    stack = [(world, 1.0) for world in root.findall("worldbody")]
    parts = bodies = 0.0
    while stack:
        element, copies = stack.pop()
        if element.tag == "replicate":
            copies *= max(math.prod(_numbers(element.get("count", "1"))), 1.0)
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
