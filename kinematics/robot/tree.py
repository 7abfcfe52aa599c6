"""The robot: a constant tree of bodies, and its inertial parameters as tensors."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import lazy
from kinematics.errors import RobotError
from kinematics.muscles.muscles import Muscles
from kinematics.robot import joints, serialization
from kinematics.robot.actuation import Actuation, Stepping
from kinematics.robot.joints import Coupling, Mimic

if TYPE_CHECKING:
    import networkx as nx

PARAMETERS = ("m", "mx", "my", "mz", "Ixx", "Ixy", "Iyy", "Ixz", "Iyz", "Izz")

# the robot's arrays, and the fields that leave the geometry of the tree as it is
_PER_BODY = {"tree_rotation": (3, 3), "tree_offset": (3,), "axes": (3,)}
_PER_VELOCITY = (
    "armature", "damping", "friction", "stiffness", "spring_reference",
    "velocity_limit", "effort_limit",
)  # fmt: skip
_PER_POSITION = ("lower", "upper")
_NOT_GEOMETRY = {
    "pi", "name", "notes", "friction_speed", "actuation", "muscles", "stepping",
    *_PER_VELOCITY, *_PER_POSITION,
}  # fmt: skip
_ARRAYS = (*_PER_BODY, "pi", "gravity", *_PER_VELOCITY, *_PER_POSITION)
_LISTED = 10  # joints that a robot's representation names


@dataclass(frozen=True, kw_only=True, eq=False)
class Robot:
    """A tree of rigid bodies, one joint a body, in depth-first order of the description.

    ``parents[i]`` is the joint whose body carries joint i, -1 for the base. ``tree_rotation``
    (nb, 3, 3) and ``tree_offset`` (nb, 3) [m] place joint i, at its zero, in its parent's frame.
    ``axes`` (nb, 3) are unit vectors in the body frame. ``pi`` (..., nb, 10) holds m [kg],
    m·c [kg·m], Ixx, Ixy, Iyy, Ixz, Iyz, Izz [kg·m²] about the body frame's origin; leading axes
    give each batch element its own parameters, and gradients flow to it. ``gravity`` (3,) [m/s²].

    Joint terms (nv,): armature, damping (viscous), friction (Coulomb, smoothed), stiffness about
    ``spring_reference`` (a rotation vector, then a position, for joints that turn freely; see
    `kinematics.algorithms.joint_terms`). Limits are infinite where the description is silent.
    ``friction_speed`` [rad/s | m/s] is the width of the smoothed Coulomb step tanh(v / speed).

    ``actuation`` maps controls to joint forces, ``muscles`` pull along paths between bodies, and
    ``stepping`` is the simulator's step, where the description (an MJCF) has them; the algorithms
    take joint forces and use none of them, `kinematics.forward` apart.
    """

    name: str
    joint_names: tuple[str, ...]
    body_names: tuple[str, ...]
    kinds: tuple[str, ...]
    parents: list[int]
    tree_rotation: Tensor
    tree_offset: Tensor
    axes: Tensor
    pi: Any
    gravity: Tensor
    armature: Tensor
    damping: Tensor
    friction: Tensor
    stiffness: Tensor
    spring_reference: Tensor
    lower: Tensor
    upper: Tensor
    velocity_limit: Tensor
    effort_limit: Tensor
    mimic: tuple[Mimic, ...] = ()
    base_name: str = "base"
    friction_speed: float = 1e-2
    notes: tuple[str, ...] = ()
    actuation: Actuation | None = None
    muscles: Muscles | None = None
    stepping: Stepping | None = None
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)

    def __post_init__(self) -> None:
        _check(self)

    def __repr__(self) -> str:
        """One line: the name, nq, nv, and the first joints with their kinds."""
        listed = [
            f"{name} ({kind})" for name, kind in zip(self.joint_names, self.kinds, strict=True)
        ][:_LISTED]
        if self.nb > _LISTED:
            listed.append(f"… {self.nb - _LISTED} more")
        return f"Robot({self.name!r}, nq={self.nq}, nv={self.nv}, joints: {', '.join(listed)})"

    @property
    def nb(self) -> int:
        """Number of moving bodies, which is the number of joints."""
        return len(self.kinds)

    @lazy
    def nq(self) -> int:
        """Number of configuration coordinates."""
        return max(at.stop for at in self.q_slices)

    @lazy
    def nv(self) -> int:
        """Number of velocity coordinates."""
        return max(at.stop for at in self.v_slices)

    @lazy
    def q_slices(self) -> tuple[slice, ...]:
        """Where each joint's coordinates lie in q."""
        return self._slices(joints.NQ)

    @lazy
    def v_slices(self) -> tuple[slice, ...]:
        """Where each joint's velocities lie in v."""
        return self._slices(joints.NV)

    def _slices(self, sizes: dict[str, int]) -> tuple[slice, ...]:
        driver = {m.joint: m.driver for m in self.mimic}
        found: dict[str, slice] = {}
        at = 0
        for name, kind in zip(self.joint_names, self.kinds, strict=True):
            if name not in driver:
                found[name] = slice(at, at + sizes[kind])
                at += sizes[kind]
        return tuple(found[driver.get(name, name)] for name in self.joint_names)

    @lazy
    def independent_joints(self) -> tuple[int, ...]:
        """The joints whose coordinates make up q and v, in that order: all but mimic joints."""
        mimicking = {m.joint for m in self.mimic}
        return tuple(i for i, name in enumerate(self.joint_names) if name not in mimicking)

    @lazy
    def independent_names(self) -> tuple[str, ...]:
        """The names of the independent joints."""
        return tuple(self.joint_names[i] for i in self.independent_joints)

    @lazy
    def independent_kinds(self) -> tuple[str, ...]:
        """The kinds of the independent joints."""
        return tuple(self.kinds[i] for i in self.independent_joints)

    @lazy
    def independent_parents(self) -> list[int]:
        """For each independent joint the nearest one among them that carries it, -1 for the base;
        numbers count the independent joints alone."""
        number = {-1: -1} | {joint: n for n, joint in enumerate(self.independent_joints)}
        nearest: list[int] = []  # of each joint of the full tree, itself if it is independent
        for joint, parent in enumerate(self.parents):
            above = nearest[parent] if parent >= 0 else -1
            nearest.append(joint if joint in number else above)
        parents = (self.parents[joint] for joint in self.independent_joints)
        return [number[nearest[p]] if p >= 0 else -1 for p in parents]

    @lazy
    def coupling(self) -> Coupling:
        """How the coordinates drive the full tree, where joints mimic others."""
        return joints.coupling(
            self.joint_names, self.q_slices, self.v_slices, self.mimic, nv=self.nv
        )

    @lazy
    def active_terms(self) -> frozenset[str]:
        """The joint terms that are not zero throughout, or that are differentiated."""
        names = ("armature", "damping", "friction", "stiffness")
        values = {name: getattr(self, name) for name in names}
        return frozenset(k for k, x in values.items() if x.requires_grad or bool((x != 0).any()))

    @lazy
    def turning_springs(self) -> tuple[int, ...]:
        """The ball and free joints that have a spring."""
        active = self.stiffness != 0 if not self.stiffness.requires_grad else [True] * self.nv
        return tuple(
            joint
            for joint, (kind, dof) in enumerate(zip(self.kinds, self.v_slices, strict=True))
            if kind in joints.QUATERNION and any(bool(x) for x in active[dof])
        )

    @lazy
    def unmimicked(self) -> Robot:
        """The full tree: every mimic joint independent, without joint terms and limits."""
        nq = sum(joints.NQ[kind] for kind in self.kinds)
        nv = sum(joints.NV[kind] for kind in self.kinds)
        zero = self.axes.new_zeros
        sized: dict[str, Any] = {name: zero(nv) for name in _PER_VELOCITY}
        sized |= {name: zero(nq) for name in _PER_POSITION}
        return replace(self, mimic=(), **sized)

    @lazy
    def quaternion_slices(self) -> tuple[slice, ...]:
        """Where the unit quaternions lie in q."""
        return tuple(
            slice(at.stop - 4, at.stop)
            for at, kind in zip(self.q_slices, self.kinds, strict=True)
            if kind in joints.QUATERNION
        )

    def q_slice(self, name: str) -> slice:
        """Where the coordinates of the joint ``name`` lie in q."""
        return self.q_slices[self._joint(name)]

    def v_slice(self, name: str) -> slice:
        """Where the velocities of the joint ``name`` lie in v."""
        return self.v_slices[self._joint(name)]

    def _joint(self, name: str) -> int:
        try:
            return self.joint_names.index(name)
        except ValueError:
            raise RobotError(
                f"expected a joint of {self.name}, found {name!r}; "
                f"its joints are {', '.join(self.joint_names)}"
            ) from None

    def neutral(self) -> Tensor:
        """The zero configuration (nq,): all coordinates zero, unit quaternions."""
        values = [x for kind in self.independent_kinds for x in joints.neutral(kind)]
        return torch.tensor(values, dtype=self.axes.dtype, device=self.axes.device)

    @lazy
    def graph(self) -> nx.DiGraph:
        """One node a moving body, edges parent to child, with joint names and inertias."""
        import networkx as nx  # half a second, for what few ask for

        graph: nx.DiGraph = nx.DiGraph(name=self.name, base=self.base_name)
        pi = self.pi.detach().cpu() if isinstance(self.pi, Tensor) else self.pi
        for i, body in enumerate(self.body_names):
            mass, moment, inertia = pi[..., i, 0], pi[..., i, 1:4], pi[..., i, 4:]
            graph.add_node(
                body,
                index=i,
                joint=self.joint_names[i],
                kind=self.kinds[i],
                mass=_plain(mass),
                first_moment=_plain(moment),
                inertia=_plain(inertia),
            )
            if self.parents[i] >= 0:
                parent = self.body_names[self.parents[i]]
                graph.add_edge(parent, body, joint=self.joint_names[i])
        return graph

    def replace(self, **changes: Any) -> Robot:
        """A copy with some fields changed; arrays are converted, shapes checked."""
        unknown = set(changes) - {f.name for f in fields(self) if f.init}
        if unknown:
            raise RobotError(
                f"expected fields of a Robot, found {', '.join(sorted(unknown))}; "
                f"the fields are {', '.join(f.name for f in fields(self) if f.init)}"
            )
        for name in set(changes) & set(_ARRAYS):
            value = changes[name]
            symbolic = isinstance(value, np.ndarray) and value.dtype.hasobject
            if not isinstance(value, Tensor) and not symbolic:
                changes[name] = self._tensor(name, value)
        changed = replace(self, **changes)
        if set(changes) <= _NOT_GEOMETRY:
            # these depend on tree and gravity alone: identification loops replace pi only
            kept = ("topology", "layout", "chain", "scene")
            changed._cache.update({k: x for k, x in self._cache.items() if k[0] in kept})
        return changed

    def _tensor(self, name: str, value: Any) -> Tensor:
        try:
            return torch.as_tensor(value, dtype=self.axes.dtype, device=self.axes.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise RobotError(
                f"expected {name} as an array of numbers, found {str(value)[:60]!r} "
                f"({' '.join(str(error).split())[:80]}); convert it first"
            ) from error

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Robot:
        """A copy whose tensors have this dtype and live on this device."""
        if dtype is not None and not dtype.is_floating_point:
            raise RobotError(
                f"expected a floating-point dtype, found {dtype}; take torch.float64 or float32"
            )
        moved: dict[str, Any] = {
            name: value.to(dtype=dtype, device=device)
            for name in _ARRAYS
            if isinstance(value := getattr(self, name), Tensor)
        }
        return replace(self, **moved)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description; ``from_dict`` restores it exactly."""
        return serialization.describe(self)

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Robot:
        """The robot that ``to_dict`` described."""
        return cls(**serialization.fields_of(cls, description, _ARRAYS))


def build(
    label: str,
    *,
    kinds: list[str],
    parents: list[int],
    joint_names: list[str] | None = None,
    body_names: list[str] | None = None,
    tree_rotation: Any,
    tree_offset: Any,
    axes: Any,
    pi: Any,
    **optional: Any,
) -> Robot:
    """A robot from plain arrays; what is left out is neutral (no joint terms, no limits)."""
    nb = len(kinds)
    mimicking = {m.joint for m in optional.get("mimic", ())}
    joint_names = joint_names or [f"joint{i}" for i in range(nb)]
    own = [
        kind
        for name, kind in zip(joint_names, kinds, strict=True)
        if kind in joints.KINDS and name not in mimicking
    ]
    nv = sum(joints.NV[kind] for kind in own)
    nq = sum(joints.NQ[kind] for kind in own)

    def tensor(x: Any) -> Tensor:
        return torch.as_tensor(x, dtype=torch.float64)

    defaults: dict[str, Any] = {key: torch.zeros(nv, dtype=torch.float64) for key in _PER_VELOCITY}
    defaults["velocity_limit"] = defaults["effort_limit"] = torch.full((nv,), torch.inf).double()
    defaults["lower"] = torch.full((nq,), -torch.inf).double()
    defaults["upper"] = torch.full((nq,), torch.inf).double()
    defaults["gravity"] = tensor([0.0, 0.0, -9.81])
    for key in set(optional) & set(defaults):
        defaults[key] = tensor(optional.pop(key))
    return Robot(
        name=label,
        kinds=tuple(kinds),
        parents=list(parents),
        joint_names=tuple(joint_names),
        body_names=tuple(body_names or (f"body{i}" for i in range(nb))),
        tree_rotation=tensor(tree_rotation),
        tree_offset=tensor(tree_offset),
        axes=tensor(axes),
        pi=tensor(pi),
        **defaults,
        **optional,
    )


def _check(robot: Robot) -> None:
    """RobotError, in one line, at the first field that does not fit the others."""
    nb = robot.nb
    if nb == 0:
        raise RobotError(
            f"expected a robot with at least one moving joint, found none in {robot.name}; "
            'load it with root="free", or check the joint types'
        )
    for kind in robot.kinds:
        if kind not in joints.KINDS:
            raise RobotError(
                f"expected a joint kind among {', '.join(joints.KINDS)}, found {kind!r}; "
                "rename or replace the joint"
            )
    if len(robot.parents) != nb or any(not -1 <= p < i for i, p in enumerate(robot.parents)):
        raise RobotError(
            f"expected {nb} parents, each -1 or an earlier joint, found {list(robot.parents)}; "
            "order the joints depth first"
        )
    index = {name: i for i, name in enumerate(robot.joint_names)}
    mimicking = {m.joint for m in robot.mimic}
    for m in robot.mimic:
        ends = (m.joint, m.driver)
        single = all(e in index and joints.NV[robot.kinds[index[e]]] == 1 for e in ends)
        if not single or m.driver in mimicking:
            raise RobotError(
                f"expected {m.joint!r} to mimic an independent joint of one velocity, "
                f"found {m.driver!r}; name the independent joint"
            )
    for label, names in (("joint", robot.joint_names), ("body", robot.body_names)):
        if len(names) != nb or len(set(names)) != nb:
            raise RobotError(
                f"expected {nb} distinct {label} names, found {len(set(names))} of {len(names)}; "
                "rename the duplicates"
            )
    shapes: dict[str, tuple[int, ...]] = {key: (nb, *tail) for key, tail in _PER_BODY.items()}
    shapes |= dict.fromkeys(_PER_VELOCITY, (robot.nv,))
    shapes |= dict.fromkeys(_PER_POSITION, (robot.nq,))
    shapes |= {"gravity": (3,)}
    for key, shape in shapes.items():
        found = tuple(getattr(robot, key).shape)
        if found != shape:
            raise RobotError(
                f"expected {key} of shape {shape} for {robot.name}, found {found}; reshape it"
            )
    if robot.actuation is not None and robot.actuation.nv != robot.nv:
        raise RobotError(
            f"expected an actuation of {robot.nv} joint coordinates for {robot.name}, found "
            f"{robot.actuation.nv}; give each actuator one lever arm a coordinate"
        )
    if robot.muscles is not None:
        if not isinstance(robot.muscles, Muscles):
            raise RobotError(
                f"expected muscles as a kinematics.Muscles, found {type(robot.muscles).__name__}; "
                "make them by kinematics.Muscles.of"
            )
        paths = robot.muscles.paths
        joined = paths.along()
        single = all(0 <= j < nb and joints.NV[robot.kinds[j]] == 1 for j in joined)
        if not single or not all(-1 <= body < nb for body in paths.bodies()):
            raise RobotError(
                f"expected muscles on the {nb} bodies of {robot.name} and along its joints of one "
                "velocity, found others; number them as robot.body_names and robot.joint_names do"
            )
    if tuple(robot.pi.shape[-2:]) != (nb, 10):
        raise RobotError(
            f"expected pi of shape (..., {nb}, 10) for {robot.name}, "
            f"found {tuple(robot.pi.shape)}; give ten parameters a body"
        )


def check_robot(robot: Any) -> None:
    """RobotError unless ``robot`` is one."""
    if not isinstance(robot, Robot):
        raise RobotError(
            f"expected a Robot first, found {type(robot).__name__}; make one by kinematics.load"
        )


def _plain(x: Any) -> Any:
    return x.tolist() if hasattr(x, "tolist") else x
