"""Other people's simulators in the time ledger: Pinocchio, MuJoCo, Drake, OpenSim.

Each takes part where it is installed and can hold the robot; all are built from the same tree and
the same inertias as ours, so that they answer the same question.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from discover.blackbox.sampling import Batch
from discover.evaluation.ledger import Contender
from discover.evaluation.simulators import mujoco as mujoco_robot
from discover.evaluation.simulators import pinocchio as pinocchio_robot
from kinematics import Robot

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def installed(robot: Robot) -> list[Contender]:
    """The engines found here that can simulate ``robot``."""
    if robot.mimic:
        return []  # coupled joints are nobody's but ours
    found = []
    if find_spec("pinocchio") is not None:
        found += pinocchio(robot)
    if find_spec("mujoco") is not None:
        found += mujoco(robot)
    if find_spec("pydrake") is not None:
        from discover.evaluation.simulators.drake import drake

        found += drake(robot)
    if find_spec("opensim") is not None:
        from discover.evaluation.simulators.opensim import opensim

        found += opensim(robot)
    return found


def arrays(batch: Batch) -> Arrays:
    """A batch as contiguous NumPy arrays (B, n)."""
    q, v, tau = (np.ascontiguousarray(x.numpy(), dtype=np.float64) for x in batch)
    return q, v, tau


def pinocchio(robot: Robot) -> list[Contender]:
    """`abaInParallel` on one thread, and `aba` called from Python state by state."""
    import pinocchio as pin

    model = pinocchio_robot.pinocchio_model(robot)
    data = model.createData()
    version = f"Pinocchio {pin.__version__}"

    def one_by_one(batch: Batch) -> Callable[[], Any]:
        columns = pinocchio_robot.coordinates(robot, *arrays(batch))[:3]
        rows = [tuple(x[:, i].copy() for x in columns) for i in range(len(batch.q))]

        def call() -> Any:
            for q, v, tau in rows:
                pin.aba(model, data, q, v, tau)

        return call

    def read(batch: Batch, result: np.ndarray) -> np.ndarray:
        return pinocchio_robot.coordinates(robot, *arrays(batch))[3](result)

    found = [
        Contender(
            name=f"{version}, a call",
            prepare=one_by_one,
            dtype="float64",
            kind="engine",
            family=version,
            answers=False,
        )
    ]
    if hasattr(pin, "abaInParallel"):
        pool = pin.ModelPool(model, 1)

        def pooled(batch: Batch) -> Callable[[], Any]:
            q, v, tau, _ = pinocchio_robot.coordinates(robot, *arrays(batch))
            out = np.zeros_like(v, order="F")

            def call() -> np.ndarray:
                pin.abaInParallel(1, pool, q, v, tau, out)
                return out

            return call

        found.insert(
            0,
            Contender(
                name=f"{version}, abaInParallel",
                prepare=pooled,
                dtype="float64",
                kind="engine",
                family=version,
                read=read,
            ),
        )
    return found


def pinocchio_reference(robot: Robot) -> Callable[[Batch], np.ndarray]:
    """Accelerations by Pinocchio's `aba` in its local convention, which is its accurate one."""
    import pinocchio as pin

    model = pinocchio_robot.pinocchio_model(robot)
    data = model.createData()

    def answer(batch: Batch) -> np.ndarray:
        *columns, back = pinocchio_robot.coordinates(robot, *arrays(batch))
        found = [
            pin.aba(model, data, *(x[:, i].copy() for x in columns), pin.Convention.LOCAL).copy()
            for i in range(len(batch.q))
        ]
        return back(np.stack(found, axis=1))

    return answer


def mujoco(robot: Robot) -> list[Contender]:
    """The smooth pipeline in a loop of machine code, and `mj_forward` called from Python."""
    import mujoco as mj

    model = mujoco_robot.mujoco_model(robot)
    if model is None:
        return []
    pipeline = mujoco_robot.SmoothPipeline(model)
    data = mj.MjData(model)
    version = f"MuJoCo {mj.__version__}"

    def smooth(batch: Batch) -> Callable[[], Any]:
        q, v, tau, _ = mujoco_robot.coordinates(robot, *arrays(batch))
        out = np.empty_like(v)
        fill = pipeline.on(q, v, tau, out)

        def call() -> np.ndarray:
            fill()
            return out

        return call

    def one_by_one(batch: Batch) -> Callable[[], Any]:
        columns = mujoco_robot.coordinates(robot, *arrays(batch))[:3]
        rows = list(zip(*columns, strict=True))

        def call() -> Any:
            for q, v, tau in rows:
                data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau
                mj.mj_forward(model, data)

        return call

    def read(batch: Batch, result: np.ndarray) -> np.ndarray:
        return mujoco_robot.coordinates(robot, *arrays(batch))[3](result)

    return [
        Contender(
            name=f"{version}, smooth pipeline",
            prepare=smooth,
            dtype="float64",
            kind="engine",
            family=version,
            read=read,
            note="constraint solver off",
        ),
        Contender(
            name=f"{version}, mj_forward, a call",
            prepare=one_by_one,
            dtype="float64",
            kind="engine",
            family=version,
            answers=False,
            note="contacts and constraints off",
        ),
    ]
