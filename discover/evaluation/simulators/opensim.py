"""OpenSim: its contender, and a robot as its model of pins and sliders, state by state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender
from kinematics import Robot
from kinematics.robot.inertial_parameters import about_centre

Array = np.ndarray
TURNING = ("revolute", "continuous")


def contenders(robot: Robot) -> list[Contender]:
    """OpenSim's accelerations state by state; none where a joint has more than one coordinate."""
    import opensim as osim

    if any(kind not in (*TURNING, "prismatic") for kind in robot.kinds) or robot.armature.any():
        return []
    model, joints = _model(robot)
    state = model.initSystem()
    actuators = [
        osim.CoordinateActuator.safeDownCast(model.getForceSet().get(f"force{i}"))
        for i in range(robot.nb)
    ]
    for actuator in actuators:
        actuator.overrideActuation(state, True)
    coordinates = [joint.getCoordinate() for joint in joints]

    def prepare(batch: Batch) -> Callable[[], Any]:
        rows = list(zip(*(x.tolist() for x in batch), strict=True))
        out = np.empty((len(rows), robot.nv))

        def call() -> Array:
            for k, (q, v, tau) in enumerate(rows):
                for coordinate, angle, speed in zip(coordinates, q, v, strict=True):
                    coordinate.setValue(state, angle, False)
                    coordinate.setSpeedValue(state, speed)
                for actuator, force in zip(actuators, tau, strict=True):
                    actuator.setOverrideActuation(state, force)
                model.realizeAcceleration(state)
                out[k] = [c.getAccelerationValue(state) for c in coordinates]
            return out

        return call

    name = f"OpenSim {osim.GetVersion().split('-')[0]}, a call"
    return [Contender(name=name, prepare=prepare, kind="engine")]


def _model(robot: Robot) -> tuple[Any, list[Any]]:
    import opensim as osim

    model = osim.Model()
    model.setName("robot")
    model.setGravity(osim.Vec3(*robot.gravity.tolist()))
    bodies: list[Any] = []
    joints: list[Any] = []
    for i, kind in enumerate(robot.kinds):
        mass, centre, inertia = about_centre(robot.pi[i].numpy())
        places = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        body = osim.Body(
            f"body{i}",
            mass,
            osim.Vec3(*centre.tolist()),
            osim.Inertia(*(float(inertia[k]) for k in places)),
        )
        model.addBody(body)
        parent = model.getGround() if robot.parents[i] < 0 else bodies[robot.parents[i]]
        turning = kind in TURNING
        # A pin turns about z, a slider moves along x: both frames are turned so that this is ours.
        aligned = _frame(robot.axes[i].numpy(), 2 if turning else 0)
        make = osim.PinJoint if turning else osim.SliderJoint
        joint = make(
            f"joint{i}",
            parent,
            osim.Vec3(*robot.tree_offset[i].tolist()),
            osim.Vec3(*_angles(robot.tree_rotation[i].numpy() @ aligned)),
            body,
            osim.Vec3(0, 0, 0),
            osim.Vec3(*_angles(aligned)),
        )
        joint.updCoordinate().setName(f"q{i}")
        force = osim.CoordinateActuator()
        force.set_coordinate(f"q{i}")
        force.setName(f"force{i}")
        force.setOptimalForce(1.0)
        model.addJoint(joint)
        model.addForce(force)
        bodies.append(body)
        joints.append(joint)
    return model, joints


def _frame(axis: Array, column: int) -> Array:
    """A rotation whose ``column`` is ``axis``."""
    rest = np.linalg.svd(axis[None])[2][1:]
    columns = [rest[0], rest[1]]
    columns.insert(column, axis)
    R = np.stack(columns, axis=1)
    if np.linalg.det(R) < 0:
        R[:, (column + 1) % 3] *= -1
    return R


def _angles(R: Array) -> list[float]:
    """Body-fixed x-y-z angles of a rotation."""
    from scipy.spatial.transform import Rotation

    return [float(x) for x in Rotation.from_matrix(R).as_euler("XYZ")]
