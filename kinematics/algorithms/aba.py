"""Forward dynamics by the articulated-body algorithm.

Velocity products and gravity are first turned into one bias wrench a body (the wrenches of an
outward pass with a = 0); the articulated recursion then sees bodies at rest. A joint with several
velocities is eliminated one velocity at a time, all in the same body frame: every elimination is a
rank-one downdate with a scalar pivot, whatever the joint.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kinematics.algorithms import joint_terms
from kinematics.algorithms.crba import mass_matrix
from kinematics.algorithms.rnea import body_wrenches, rigid_forces
from kinematics.arrays import Array
from kinematics.recursion.inputs import Inputs, enter
from kinematics.recursion.layout import Level, Slot
from kinematics.recursion.placement import Placement
from kinematics.robot.tree import Robot
from kinematics.spatial.algebra import BIAS_ROWS, rigid_blocks, with_bias


def aba(robot: Robot, q: Any, v: Any, tau: Any, f_ext: Any = None) -> Array:
    """The recursion itself, over tensors or expression nodes; see `algorithms.forward.aba`."""
    return enter(robot, q, v, tau=tau, f_ext=f_ext).run(accelerations)


def accelerations(inputs: Inputs) -> Array:
    """Forward dynamics of checked inputs (nv, B)."""
    place = Placement(inputs.layout, inputs.q)
    force = inputs.public["tau"].T
    passive = joint_terms.velocity_forces(inputs)
    if passive is not None:
        force = force - passive
    if inputs.robot.mimic:
        rest = force - rigid_forces(inputs, place)
        return inputs.xp.solve(mass_matrix(inputs, place), rest)
    return inputs.layout.public_dofs(articulated_motion(inputs, place, force.T))


def articulated_motion(inputs: Inputs, place: Placement, force: Array) -> Array:
    """The accelerations (nv, B) in level order; ``force`` (B, nv) in the robot's order."""
    layout, xp = inputs.layout, inputs.xp
    rigid = rigid_blocks(xp, inputs.pi, inputs.q)
    wrenches = xp.split(body_wrenches(inputs, place), layout.body_sizes)
    tau = _padded(xp, layout.dofs(force))
    armature = joint_terms.present(inputs, "armature")
    rotor = None if armature is None else _padded(xp, layout.dofs(armature.T))

    def inward(level: Level, total: Array) -> tuple[list[Array], Array]:
        bias = wrenches[level.number]
        if level.number == len(layout.levels) - 1:
            total = with_bias(xp, total, bias)
        else:  # the sum over the children is used nowhere else
            total = xp.add_rows(total, BIAS_ROWS, bias)
        block = total.reshape(total.shape[0], 6, 7, total.shape[-1])
        pivots = []
        for k, slot in enumerate(level.slots):
            last = level.number == 0 and k == len(level.slots) - 1
            own = _slot_rows(xp, tau, level, k)
            inertia = None if rotor is None else _slot_rows(xp, rotor, level, k)
            pivot, block = _eliminate(xp, block, slot, own, inertia, last)
            pivots.append(pivot)
        return pivots, block.reshape(total.shape[0], 42, -1)

    pivots = place.inward(rigid, place.carry_articulated, inward)

    found: list[Array] = []

    def outward(level: Level, parent: Array | None) -> Array:
        motion = None if parent is None else place.motion_down(level, parent)
        own: list[Array] = []
        for slot, pivot in zip(reversed(level.slots), reversed(pivots[level.number]), strict=True):
            a = -pivot[:, 6]
            if motion is None:
                motion = slot.motion * a[:, None]
            else:
                a = a - (pivot[:, :6] * motion).sum(1)
                motion = xp.add_product(motion, slot.motion, a[:, None])
            own.append(a)
        flat = xp.concat(own[::-1])
        found.append(flat if level.unpack is None else xp.take(flat, level.unpack))
        return motion

    place.outward(outward)
    return xp.concat(found)


def _eliminate(
    xp: Any, block: Array, slot: Slot, tau: Array, rotor: Array | None, last: bool
) -> tuple[Array, Array]:
    """Eliminate one velocity from [I | p] (n, 6, 7, B).

    With r = [Sᵀ I | S·p - tau] and D = Sᵀ I S, the pivot is r / D and [I | p] loses (I S) r / D.
    """
    n, batch = block.shape[0], block.shape[-1]
    if slot.row is not None:
        row = block[:, slot.row]
        d = row[:, slot.row]
    else:
        row = xp.take(block.reshape(n * 6, 7, batch), slot.rows6)
        d = xp.take(row.reshape(n * 7, batch), slot.rows7)
    if slot.present is not None:
        row = row * slot.present[:, None]
        d = d * slot.present + (1 - slot.present)
    if rotor is not None:
        d = d + rotor
    row = xp.subtract_product(row, xp.constant("seventh", _SEVENTH, row), tau[:, None])
    pivot = row / d[:, None]
    if last:
        return pivot, block
    return pivot, xp.subtract_product(block, row[:, :6, None], pivot[:, None])


_SEVENTH = np.eye(7)[None, 6:].swapaxes(1, 2)


def _padded(xp: Any, x: Array) -> Array:
    """(nv, B) with a row of zeros for velocities that a body does not have."""
    return xp.concat((x, xp.zeros((1, x.shape[1]), like=x)))


def _slot_rows(xp: Any, x: Array, level: Level, k: int) -> Array:
    """Rows of the k-th velocities of a level."""
    if level.unpack is None:
        return x[level.dofs]
    return xp.take(x, level.slots[k].dofs)
