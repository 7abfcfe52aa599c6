"""MuJoCo: its contenders, a robot as its model, states in its coordinates, its pipeline in a loop.

MuJoCo's free joint has its linear velocity in the world's frame and its angular velocity in the
body's, linear first; quaternions are wxyz, as ours.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender, arrays
from kinematics import Robot, RobotError, to_mjcf
from kinematics.spatial.rotations import matrix_of_quaternion

PIPELINE = ("mj_kinematics", "mj_comPos", "mj_makeM", "mj_factorM", "mj_comVel")

Array = np.ndarray


def contenders(robot: Robot) -> list[Contender]:
    """The smooth pipeline in a loop of machine code, and `mj_forward` called state by state."""
    import mujoco as mj

    model = mujoco_model(robot)
    if model is None:
        return []
    pipeline = SmoothPipeline(model)
    data = mj.MjData(model)
    version = f"MuJoCo {mj.__version__}"

    def smooth(batch: Batch) -> Callable[[], Any]:
        q, v, tau, _ = coordinates(robot, *arrays(batch))
        out = np.empty_like(v)
        fill = pipeline.on(q, v, tau, out)

        def call() -> np.ndarray:
            fill()
            return out

        return call

    def one_by_one(batch: Batch) -> Callable[[], Any]:
        columns = coordinates(robot, *arrays(batch))[:3]
        rows = list(zip(*columns, strict=True))

        def call() -> Any:
            for q, v, tau in rows:
                data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau
                mj.mj_forward(model, data)

        return call

    def read(batch: Batch, result: np.ndarray) -> np.ndarray:
        return coordinates(robot, *arrays(batch))[3](result)

    engine = partial(Contender, kind="engine", family=version)
    off = "constraint solver off", "contacts and constraints off"
    return [
        engine(name=f"{version}, smooth pipeline", prepare=smooth, read=read, note=off[0]),
        engine(
            name=f"{version}, mj_forward, a call", prepare=one_by_one, answers=False, note=off[1]
        ),
    ]


def mujoco_model(robot: Any) -> Any | None:
    """The `mujoco.MjModel` of the tree, inertias and armature of ``robot``, contacts, limits and
    constraints off; None where MuJoCo refuses it (inertias that break the triangle inequality, a
    free joint on another body), or where armature would act otherwise than here."""
    import mujoco

    none = torch.zeros_like(robot.damping)
    bare = robot.replace(
        damping=none, friction=none, stiffness=none, velocity_limit=none + torch.inf
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the file cannot state
            text = to_mjcf(bare)
        model = mujoco.MjModel.from_xml_string(text)
    except (UserWarning, RobotError, ValueError):
        return None
    off = mujoco.mjtDisableBit
    model.opt.disableflags |= off.mjDSBL_CONTACT | off.mjDSBL_CONSTRAINT
    return model


def coordinates(
    robot: Any, q: Array, v: Array, tau: Array
) -> tuple[Array, Array, Array, Callable[[Array], Array]]:
    """Our states (B, n) in MuJoCo's coordinates, and MuJoCo's accelerations in ours."""
    v_theirs, tau_theirs = v.copy(), tau.copy()
    turned = []
    for kind, at_q, at_v in zip(robot.kinds, robot.q_slices, robot.v_slices, strict=True):
        if kind != "free":
            continue
        R = matrix_of_quaternion(q[:, at_q][:, 3:])
        angular, linear = slice(at_v.start, at_v.start + 3), slice(at_v.start + 3, at_v.stop)
        turned.append((R, angular, linear))
        for ours, theirs in ((v, v_theirs), (tau, tau_theirs)):
            # Theirs has the linear part first, so it stands where ours has the angular one.
            theirs[:, angular] = np.einsum("bij,bj->bi", R, ours[:, linear])
            theirs[:, linear] = ours[:, angular]

    def back(a: Array) -> Array:
        out = a.copy()
        for R, angular, linear in turned:
            rotated = np.einsum("bji,bj->bi", R, a[:, angular])
            out[:, linear] = rotated - np.cross(v[:, angular], v[:, linear])
            out[:, angular] = a[:, linear]
        return out

    return np.ascontiguousarray(q), v_theirs, tau_theirs, back


class SmoothPipeline:
    """MuJoCo's smooth forward dynamics alone, state by state in machine code.

    Per state: positions, mass matrix and its factors, velocities, bias force, and one solve; no
    collisions, sensors, constraints or actuators, and no Python between states.
    """

    def __init__(self, model: Any) -> None:
        import mujoco

        self.model, self.data = model, mujoco.MjData(model)
        mujoco.mj_forward(model, self.data)  # fills what the pipeline takes as given
        self._loop = _loop(_library(Path(mujoco.__file__).parent))
        self._room = np.zeros(model.nv)

    def on(self, q: Array, v: Array, tau: Array, out: Array) -> Callable[[], None]:
        """The call that fills ``out`` (B, nv) from contiguous (B, n) arrays in MuJoCo's
        coordinates."""
        m, d = self.model, self.data
        arrays = (d.qpos, d.qvel, d.qfrc_bias, self._room, q, v, tau, out)
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in arrays]
        sizes = (m.nq, m.nv, len(q))
        loop = self._loop

        def fill(_kept: Any = arrays) -> None:  # addresses alone would not keep the arrays
            loop(m._address, d._address, *pointers, *sizes)

        return fill


def _library(folder: Path) -> ctypes.CDLL:
    libraries = sorted(folder.glob("libmujoco*.so*")) + sorted(folder.glob("libmujoco*.dylib"))
    libraries += sorted(folder.glob("mujoco.dll"))
    return ctypes.CDLL(str(libraries[0]))


@lru_cache(maxsize=1)
def _loop(library: ctypes.CDLL) -> Callable[..., None]:
    from kinematics.programs.compiler.machine import load_object, object_code

    def at(name: str) -> str:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        return f"inttoptr (i64 {address} to ptr)"

    def copy(target: str, source: str, size: str) -> str:
        return f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 0)"

    steps = "\n".join(f"  call void {at(name)}(ptr %m, ptr %d)" for name in PIPELINE)
    pointers = ["qpos", "qvel", "bias", "room", "q", "v", "tau", "out"]
    arguments = ", ".join(f"ptr %{name}" for name in ("m", "d", *pointers))
    source = f"""
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @loop({arguments}, i64 %nq, i64 %nv, i64 %count) {{
entry:
  %q_bytes = mul i64 %nq, 8
  %v_bytes = mul i64 %nv, 8
  br label %state
state:
  %i = phi i64 [ 0, %entry ], [ %next, %leave ]
  %q_shift = mul i64 %i, %q_bytes
  %v_shift = mul i64 %i, %v_bytes
  %own_q = getelementptr i8, ptr %q, i64 %q_shift
  %own_v = getelementptr i8, ptr %v, i64 %v_shift
  %own_tau = getelementptr i8, ptr %tau, i64 %v_shift
  %own_out = getelementptr i8, ptr %out, i64 %v_shift
  {copy("%qpos", "%own_q", "%q_bytes")}
  {copy("%qvel", "%own_v", "%v_bytes")}
{steps}
  call void {at("mj_rne")}(ptr %m, ptr %d, i32 0, ptr %bias)
  br label %force
force:
  %k = phi i64 [ 0, %state ], [ %k_next, %force ]
  %tau_k = getelementptr double, ptr %own_tau, i64 %k
  %bias_k = getelementptr double, ptr %bias, i64 %k
  %room_k = getelementptr double, ptr %room, i64 %k
  %t = load double, ptr %tau_k
  %b = load double, ptr %bias_k
  %f = fsub double %t, %b
  store double %f, ptr %room_k
  %k_next = add i64 %k, 1
  %more_k = icmp slt i64 %k_next, %nv
  br i1 %more_k, label %force, label %leave
leave:
  call void {at("mj_solveM")}(ptr %m, ptr %d, ptr %own_out, ptr %room, i32 1)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %state, label %done
done:
  ret void
}}
"""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 10, *[ctypes.c_int64] * 3)
    return kind(load_object(object_code(source), "loop"))
