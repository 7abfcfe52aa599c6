"""Drake: its contender, and a robot as its plant, state by state through the Python bindings.

Drake's floating joint has the quaternion first and, like the velocity (angular, then linear), its
parts in the world's frame.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender
from kinematics import Robot
from kinematics.robot.inertial_parameters import about_centre
from kinematics.spatial.rotations import matrix_of_quaternion

Array = np.ndarray


def contenders(robot: Robot) -> list[Contender]:
    """Drake's accelerations state by state; none where joints are of kinds not mapped here."""
    if any(
        kind == "spherical" or (kind == "free" and (parent >= 0 or robot.armature[at].any()))
        for kind, parent, at in zip(robot.kinds, robot.parents, robot.v_slices, strict=True)
    ):
        return []
    plant, order_q, order_v = _plant(robot)
    context = plant.CreateDefaultContext()
    port = plant.get_applied_generalized_force_input_port()

    def states(batch: Batch) -> tuple[Array, Array, Array]:
        q, v, tau = (np.array(x.numpy(), dtype=float) for x in batch)
        for at_q, at_v in _free(robot):
            R = matrix_of_quaternion(q[:, at_q][:, 3:])
            for x in (v, tau):
                x[:, at_v] = _turn(R, x[:, at_v])
        state = np.hstack([q[:, order_q], v[:, order_v]])
        return np.ascontiguousarray(state), np.ascontiguousarray(tau[:, order_v]), v

    def prepare(batch: Batch) -> Callable[[], Any]:
        state, forces, _ = states(batch)
        out = np.empty_like(forces)
        nq = len(order_q)

        def call() -> Array:
            for k in range(len(state)):
                plant.SetPositionsAndVelocities(context, state[k])
                port.FixValue(context, forces[k])
                out[k] = plant.EvalTimeDerivatives(context).CopyToVector()[nq:]
            return out

        return call

    def read(batch: Batch, result: Array) -> Array:
        a = np.empty_like(result)
        a[:, order_v] = result
        q, v = batch.q.numpy(), batch.v.numpy()
        for at_q, at_v in _free(robot):
            inverse = matrix_of_quaternion(q[:, at_q][:, 3:]).transpose(0, 2, 1)
            body = _turn(inverse, a[:, at_v])
            body[:, 3:] -= np.cross(v[:, at_v][:, :3], v[:, at_v][:, 3:])
            a[:, at_v] = body
        return a

    name = f"Drake {version('drake')}, a call"
    return [Contender(name=name, prepare=prepare, kind="engine", read=read)]


def _plant(robot: Robot) -> tuple[Any, list[int], list[int]]:
    """The plant, and which of our coordinates and velocities stand at each place of Drake's."""
    from pydrake.math import RigidTransform, RotationMatrix
    from pydrake.multibody.plant import MultibodyPlant
    from pydrake.multibody.tree import (
        FixedOffsetFrame,
        PrismaticJoint,
        QuaternionFloatingJoint,
        RevoluteJoint,
        RotationalInertia,
        SpatialInertia,
    )

    plant = MultibodyPlant(0.0)
    plant.mutable_gravity_field().set_gravity_vector(robot.gravity.numpy())
    bodies, joints = [], []
    for i, kind in enumerate(robot.kinds):
        mass, centre, inertia = about_centre(robot.pi[i].numpy())
        places = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        moments = RotationalInertia(*(inertia[k] for k in places))
        unit = SpatialInertia.MakeFromCentralInertia(mass, centre, moments)
        body = plant.AddRigidBody(f"body {i}", unit)
        bodies.append(body)
        parent = robot.parents[i]
        mother = plant.world_frame() if parent < 0 else bodies[parent].body_frame()
        place = RigidTransform(
            RotationMatrix(robot.tree_rotation[i].numpy()), robot.tree_offset[i].numpy()
        )
        frame = plant.AddFrame(FixedOffsetFrame(f"place {i}", mother, place))
        body_frame = body.body_frame()
        name = robot.joint_names[i]
        if kind == "free":
            joint = QuaternionFloatingJoint(name, frame, body_frame)
        elif kind == "prismatic":
            joint = PrismaticJoint(name, frame, body_frame, robot.axes[i].numpy())
        else:
            joint = RevoluteJoint(name, frame, body_frame, robot.axes[i].numpy())
        joints.append(plant.AddJoint(joint))
        if robot.armature[robot.v_slices[i]].any():  # a rotor turned as fast as the joint
            rotor = plant.AddJointActuator(f"rotor of {name}", joints[-1])
            rotor.set_default_rotor_inertia(float(robot.armature[robot.v_slices[i]][0]))
            rotor.set_default_gear_ratio(1.0)
    plant.Finalize()
    order_q, order_v = [0] * robot.nq, [0] * robot.nv
    for i, joint in enumerate(joints):
        own_q = list(range(robot.q_slices[i].start, robot.q_slices[i].stop))
        own_v = list(range(robot.v_slices[i].start, robot.v_slices[i].stop))
        if robot.kinds[i] == "free":
            own_q = own_q[3:] + own_q[:3]
        order_q[joint.position_start() : joint.position_start() + len(own_q)] = own_q
        order_v[joint.velocity_start() : joint.velocity_start() + len(own_v)] = own_v
    return plant, order_q, order_v


def _free(robot: Robot) -> list[tuple[slice, slice]]:
    kinds = zip(robot.kinds, robot.q_slices, robot.v_slices, strict=True)
    return [(at_q, at_v) for kind, at_q, at_v in kinds if kind == "free"]


def _turn(R: Array, x: Array) -> Array:
    """Both halves of 6-vectors (B, 6) turned by R (B, 3, 3)."""
    return np.hstack([np.einsum("bij,bj->bi", R, x[:, half]) for half in (slice(3), slice(3, 6))])
