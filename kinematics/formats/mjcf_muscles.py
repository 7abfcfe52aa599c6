"""Muscles of a compiled MJCF: their paths and MuJoCo's law of force.

A muscle is an actuator with MuJoCo's muscle gain that pulls along a tendon, spatial or fixed, or on
a hinge or slide. Its path is read off the compiled model, whose lengths depend on MuJoCo's version:
the rule is that of the MuJoCo that is installed (`kinematics.muscles.wraps`). MuJoCo's constant
forces of tendons and its limits on them are not the muscles', and are named as left out elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinematics.muscles.curves import Forces
from kinematics.muscles.mujoco import MujocoForces
from kinematics.muscles.muscles import Muscles, SeparatePassive
from kinematics.muscles.paths import Path, Paths, Point, Pulley, Wrap

_PARAMETERS = 9  # of a muscle's gain, and of its bias
_PASSIVE = 7  # which of them scales the passive force

# where an MJCF body is: the moving body that carries it, its frame's rotation and offset there
Carrier = tuple[int, np.ndarray, np.ndarray]


def muscles_of(
    model: Any, carriers: Sequence[Carrier], joints: Mapping[int, int], locked: Mapping[int, float]
) -> tuple[Muscles | None, list[str]]:
    """The model's muscles; None where it has none that can be read. With notes on those left out.

    carriers    of each MJCF body
    joints      MuJoCo's joints to the robot's
    locked      MuJoCo's joints that stand still, at coordinates
    """
    import mujoco

    asked, read = muscle_numbers(model)
    notes = []
    if len(asked) > len(read):
        left = len(asked) - len(read)
        notes.append(
            f"left out: {left} muscles (switched off, delayed, on sites or bodies, or with forces "
            "that are not MuJoCo's muscle's)"
        )
    if not read:
        return None, notes
    chart = _Chart(model, carriers, joints, locked)
    paths = Paths.of([chart.path(k) for k in read], rule=rule_of(mujoco.__version__))
    forces = _forces(model, read)
    low, high = _limits(model.actuator_ctrllimited[read], model.actuator_ctrlrange[read])
    if model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL):
        low, high = np.full(len(read), -np.inf), np.full(len(read), np.inf)
    down, up = _limits(model.actuator_forcelimited[read], model.actuator_forcerange[read])
    if np.any(model.jnt_actfrclimited) or np.any(getattr(model, "tendon_actfrclimited", 0)):
        notes.append("left out: limits on the sums of the muscles' forces on joints and tendons")
    return Muscles.of(
        paths,
        forces,
        low=low,
        high=high,
        least=-up,  # MuJoCo's force pushes the ends of a path apart
        most=-down,
        excited=model.actuator_dyntype[read] == int(mujoco.mjtDyn.mjDYN_MUSCLE),
    ), notes


def _forces(model: Any, read: list[int]) -> Forces:
    """Their law of force; where gain and bias differ, the bias is the passive force."""
    import mujoco

    gain = np.array(model.actuator_gainprm[read, :_PARAMETERS])
    bias = np.array(model.actuator_biasprm[read, :_PARAMETERS])
    none = np.array(model.actuator_biastype[read]) == int(mujoco.mjtBias.mjBIAS_NONE)
    bias[none] = gain[none]
    bias[none, _PASSIVE] = 0.0
    gain[none, _PASSIVE] = 0.0

    def law(parameters: np.ndarray) -> MujocoForces:
        return MujocoForces.of(
            parameters,
            np.array(model.actuator_lengthrange[read]),
            np.array(model.actuator_acc0[read]),
            np.array(model.actuator_dynprm[read, :3]),
        )

    if np.array_equal(gain, bias):
        return law(gain)
    gain[:, _PASSIVE] = 0.0
    return SeparatePassive(active=law(gain), passive=law(bias))


def muscle_numbers(model: Any) -> tuple[list[int], list[int]]:
    """The actuators that are muscles, and those of them that can be read."""
    import mujoco

    muscle = int(mujoco.mjtGain.mjGAIN_MUSCLE)
    asked = [int(k) for k in np.flatnonzero(np.array(model.actuator_gaintype) == muscle)]
    if model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_ACTUATION):
        return asked, []
    return asked, [k for k in asked if _readable(model, k)]


def tendons_of(model: Any) -> set[int]:
    """The tendons that muscles which are read pull along."""
    import mujoco

    tendon = int(mujoco.mjtTrn.mjTRN_TENDON)
    _, read = muscle_numbers(model)
    pulling = [k for k in read if int(model.actuator_trntype[k]) == tendon]
    return {int(model.actuator_trnid[k, 0]) for k in pulling}


def rule_of(version: str) -> str:
    """The wrap rule of a MuJoCo, by its version."""
    major = version.split(".")[0]
    return "mujoco3" if major.isdigit() and int(major) < 4 else "mujoco4"


def _readable(model: Any, k: int) -> bool:
    """Whether an actuator with a muscle's gain is a muscle as MuJoCo documents it."""
    import mujoco

    bias, dyn, trn = mujoco.mjtBias, mujoco.mjtDyn, mujoco.mjtTrn
    if int(model.actuator_biastype[k]) not in (int(bias.mjBIAS_NONE), int(bias.mjBIAS_MUSCLE)):
        return False
    if int(model.actuator_dyntype[k]) not in (int(dyn.mjDYN_NONE), int(dyn.mjDYN_MUSCLE)):
        return False
    if model.actuator_plugin[k] >= 0 or model.actuator_actearly[k]:
        return False
    if getattr(model, "actuator_delay", np.zeros(k + 1))[k]:
        return False
    kind, target = int(model.actuator_trntype[k]), int(model.actuator_trnid[k, 0])
    if kind in (int(trn.mjTRN_JOINT), int(trn.mjTRN_JOINTINPARENT)):
        return int(model.jnt_type[target]) in (2, 3)
    return kind == int(trn.mjTRN_TENDON)


def _limits(limited: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    on = np.array(limited, dtype=bool)
    return np.where(on, ends[:, 0], -np.inf), np.where(on, ends[:, 1], np.inf)


class _Chart:
    """Where sites, geoms and joints of the model are in the robot."""

    def __init__(
        self,
        model: Any,
        carriers: Sequence[Carrier],
        joints: Mapping[int, int],
        locked: Mapping[int, float],
    ) -> None:
        self.model, self.carriers = model, carriers
        self.joints, self.locked = joints, locked

    def path(self, actuator: int) -> Path:
        """The path of a muscle."""
        import mujoco

        model = self.model
        label = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, actuator)
        target = int(model.actuator_trnid[actuator, 0])
        gear = float(model.actuator_gear[actuator, 0])
        if int(model.actuator_trntype[actuator]) != int(mujoco.mjtTrn.mjTRN_TENDON):
            return self._along(label or f"u{actuator + 1}", [(target, 1.0)], gear)
        kinds = {int(x): name for name, x in mujoco.mjtWrap.__members__.items()}
        at = int(model.tendon_adr[target])
        rows = range(at, at + int(model.tendon_num[target]))
        label = label or f"u{actuator + 1}"
        if kinds[int(model.wrap_type[at])] == "mjWRAP_JOINT":
            pairs = [(int(model.wrap_objid[w]), float(model.wrap_prm[w])) for w in rows]
            return self._along(label, pairs, gear)
        elements: list[Point | Wrap | Pulley] = []
        for w in rows:
            kind, number = kinds[int(model.wrap_type[w])], int(model.wrap_objid[w])
            if kind == "mjWRAP_SITE":
                elements.append(self._site(number))
            elif kind == "mjWRAP_PULLEY":
                elements.append(Pulley(float(model.wrap_prm[w])))
            else:
                shape = "sphere" if kind == "mjWRAP_SPHERE" else "cylinder"
                elements.append(self._surface(shape, number, round(float(model.wrap_prm[w]))))
        return Path(name=label, elements=_used(elements), scale=gear)

    def _along(self, label: str, pairs: list[tuple[int, float]], gear: float) -> Path:
        moving: dict[int, float] = {}
        constant = 0.0
        for joint, coefficient in pairs:
            if joint in self.locked:
                constant += coefficient * self.locked[joint]
            else:
                number = self.joints[joint]
                moving[number] = moving.get(number, 0.0) + coefficient
        return Path(name=label, joints=moving, constant=constant, scale=gear)

    def _site(self, site: int) -> Point:
        body, rotation, offset = self.carriers[int(self.model.site_bodyid[site])]
        return Point(body, tuple((rotation @ self.model.site_pos[site] + offset).tolist()))

    def _surface(self, kind: str, geom: int, side: int) -> Wrap:
        model = self.model
        body, rotation, offset = self.carriers[int(model.geom_bodyid[geom])]
        return Wrap(
            kind=kind,
            body=body,
            radius=float(model.geom_size[geom, 0]),
            centre=rotation @ model.geom_pos[geom] + offset,
            rotation=rotation @ _matrix(model.geom_quat[geom]),
            side=self._site(side) if side >= 0 else None,
        )


def _used(elements: list[Point | Wrap | Pulley]) -> list[Point | Wrap | Pulley]:
    """A path without surfaces too small to pass over, which MuJoCo skips."""
    return [x for x in elements if not (isinstance(x, Wrap) and x.radius < 1e-15)]


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross
