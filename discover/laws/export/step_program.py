"""The step of a law as a straight-line program: (q, v, tau) to (q', v') of one sub-step.

The scheme is that of `discover.laws.rigid_body.step_map`, run over the nodes of a program instead
of tensors. A step of several sub-steps repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from discover.errors import ModelError
from discover.laws.export import straight_line
from discover.laws.extensions import LawExtension
from discover.laws.rigid_body.step_map import IMPLICIT, StepMap, substep
from kinematics import Robot
from kinematics.algorithms.crba import crba
from kinematics.algorithms.rnea import bias
from kinematics.programs import Graph, Program, make_program
from kinematics.robot.joints import QUATERNION

Nodes = np.ndarray
_TINY = 1e-30  # added to a squared angle, so that sin(x)/x needs no branch at zero


def step_program(
    robot: Robot, extensions: Sequence[LawExtension], step: StepMap, *, joined: bool = False
) -> Program:
    """One sub-step of `step` under constant controls: outputs (nq + nv,), q' then v'.

    Inputs q, v and the controls u of the robot's actuation, or the joint forces tau where it has
    none; joined: q and v as one input x, so that an output can be the next input.

    Raises ModelError for what no straight-line program states: forces other than the bodies' in a
    scheme that is implicit in all of them.
    """
    graph = Graph()
    q, v = graph.inputs("q", robot.nq), graph.inputs("v", robot.nv)
    ports = {"x": np.concatenate([q, v])} if joined else {"q": q, "v": v}
    control = "tau" if robot.actuation is None else "u"
    count = robot.nv if robot.actuation is None else robot.actuation.nu
    ports[control] = graph.inputs(control, count)
    tau = joint_forces(robot, graph, ports[control])
    q_next, v_next = substep_nodes(robot, extensions, step, graph, q, v, tau)
    return make_program("substep", graph, ports, np.concatenate([q_next, v_next]))


def turn_program(step: StepMap, nq: int) -> Program | None:
    """q (nq,) with the angles that the step answers within one turn; None where there are none."""
    if not step.turns:
        return None
    graph = Graph()
    q = graph.inputs("q", nq)
    return make_program("within_turns", graph, {"q": q}, turned_nodes(step, q))


def turned_nodes(step: StepMap, q: Nodes) -> Nodes:
    """`StepMap.within_turns` over nodes, which know no remainder."""
    out = q.copy()
    for k, start in step.turns:
        middle = start + np.pi
        angle = q[k] - middle
        sine, cosine = angle.sin(), angle.cos()
        out[k] = sine.graph.call2("atan2", sine, cosine) + middle
    return out


def substep_nodes(
    robot: Robot,
    extensions: Sequence[LawExtension],
    step: StepMap,
    graph: Graph,
    q: Nodes,
    v: Nodes,
    tau: Nodes,
) -> tuple[Nodes, Nodes]:
    """(q', v') of one sub-step under joint forces tau, as nodes of a graph. Raises ModelError."""
    rate = _accelerations(robot, extensions, step, graph)
    flow = (_WorldFlow if step.frame == "world" else _Flow)(
        robot, lambda q, v: rate(q, v, tau), graph
    )
    w = flow.enter(q, v)
    q_next, mean = substep(step, flow, q, w)
    return q_next, flow.leave(q_next, w + step.h * mean)


def joint_forces(robot: Robot, graph: Graph, u: Nodes) -> Nodes:
    """Joint forces (nv,) of the robot's controls u, which are the forces where it has no
    actuation: `Actuation.forces` over nodes."""
    actuation = robot.actuation
    if actuation is None:
        return u

    def held(x: Any, low: float, high: float) -> Any:
        x = graph.call2("max", x, graph.const(low)) if np.isfinite(low) else x
        return graph.call2("min", x, graph.const(high)) if np.isfinite(high) else x

    columns = (
        getattr(actuation, name).tolist()
        for name in ("gain", "offset", "low", "high", "force_low", "force_high")
    )
    forces = np.array(
        [
            held(gain * held(x, low, high) + offset, least, most)
            for x, gain, offset, low, high, least, most in zip(u, *columns, strict=True)
        ],
        dtype=object,
    )
    zero = np.array([graph.zero] * actuation.nv, dtype=object)
    return zero + forces @ actuation.arms.numpy() if actuation.nu else zero


def _accelerations(
    robot: Robot, extensions: Sequence[LawExtension], step: StepMap, graph: Graph
) -> Callable[[Nodes, Nodes, Nodes], Nodes]:
    """The law's accelerations over nodes, with what its scheme treats implicitly."""
    if step.scheme not in IMPLICIT:
        plain = straight_line.program(robot, extensions)
        return lambda q, v, tau: plain.at(graph, q, v, tau)
    # damping at the end of the step, c (v + h a), is inertia h c of the joint
    damped = robot.replace(armature=robot.armature + step.h * robot.damping)
    if step.scheme == "implicit_damping":
        program = straight_line.program(damped, extensions)
        return lambda q, v, tau: program.at(graph, q, v, tau)
    if extensions:
        raise ModelError(
            "expected a law of bodies alone for a step that is implicit in all forces of velocity, "
            f"found {', '.join(x.label for x in extensions)}; call law.step, or export with "
            'StepMap(scheme="implicit_damping")'
        )
    undamped = robot.replace(damping=torch.zeros_like(robot.damping))

    def implicit(q: Nodes, v: Nodes, tau: Nodes) -> Nodes:
        H = crba(damped, q)
        for j, unit in enumerate(np.eye(robot.nv)):
            # exact for products of velocities
            slope = bias(undamped, q, v + unit) - bias(undamped, q, v - unit)
            H[:, j] = H[:, j] + 0.5 * step.h * slope
        return straight_line.solve(H, tau - bias(robot, q, v))

    return implicit


class _Flow:
    """Motion in the robot's own velocities."""

    def __init__(self, robot: Robot, accelerations: Callable[[Nodes, Nodes], Nodes], graph: Graph):
        self.robot, self.accelerations, self.graph = robot, accelerations, graph
        self.turning = [j for j in robot.independent_joints if robot.kinds[j] in QUATERNION]

    def enter(self, q: Nodes, v: Nodes) -> Nodes:
        """The velocities that are integrated."""
        return v

    def leave(self, q: Nodes, w: Nodes) -> Nodes:
        """The robot's velocities."""
        return w

    def rate(self, q: Nodes, w: Nodes) -> Nodes:
        return self.accelerations(q, w)

    def move(self, q: Nodes, x: Nodes) -> Nodes:
        robot, out = self.robot, q.copy()
        for joint in robot.independent_joints:
            at, dof = robot.q_slices[joint], robot.v_slices[joint]
            if joint not in self.turning:
                out[at] = q[at] + x[dof]
                continue
            turn, angle = q[at][-4:], x[dof][:3]
            turn = turn / _norm(turn)
            if robot.kinds[joint] == "free":
                out[at][:3] = q[at][:3] + self._shift(turn, x[dof])
            moved = _product(turn, _exponential(angle))
            out[at][-4:] = moved / _norm(moved)
        return out

    def _shift(self, turn: Nodes, twist: Nodes) -> Nodes:
        """The displacement along a constant twist, in the parent's axes: a screw."""
        angle, x = twist[:3], twist[3:]
        square = angle @ angle + _TINY
        size = square**0.5
        half = (size / 2).sin() / size
        once = np.cross(angle, x)
        twice = np.cross(angle, once)
        return _rotated(turn, x + 2 * half * half * once + (1 - size.sin() / size) / square * twice)

    def chart(self, x: Nodes, w: Nodes) -> Nodes:
        """See `kinematics.algorithms.simulate.chart_rate`."""
        out = w.copy()
        for joint in self.turning:
            dof = self.robot.v_slices[joint]
            own, rate = x[dof], w[dof]
            once = _bracket(own, rate)
            out[dof] = rate + once / 2 + _bracket(own, once) / 12
        return out


class _WorldFlow(_Flow):
    """Motion in MuJoCo's velocities: of free joints the origin's, in the axes of the parent."""

    def _free(self, q: Nodes) -> list[tuple[slice, slice, slice, Nodes]]:
        """Where place, angular and linear velocity of each free joint lie, and its quaternion."""
        found = []
        for joint in self.turning:
            if self.robot.kinds[joint] == "free":
                at, dof = self.robot.q_slices[joint], self.robot.v_slices[joint]
                place = slice(at.start, at.start + 3)
                angular = slice(dof.start, dof.start + 3)
                found.append((place, angular, slice(dof.start + 3, dof.stop), q[at][-4:]))
        return found

    def enter(self, q: Nodes, v: Nodes) -> Nodes:
        w = v.copy()
        for _, _, linear, turn in self._free(q):
            w[linear] = _rotated(turn, v[linear])
        return w

    def leave(self, q: Nodes, w: Nodes) -> Nodes:
        v = w.copy()
        for _, _, linear, turn in self._free(q):
            v[linear] = _rotated(_conjugate(turn), w[linear])
        return v

    def rate(self, q: Nodes, w: Nodes) -> Nodes:
        v = self.leave(q, w)
        a = self.accelerations(q, v)
        out = a.copy()
        for _, angular, linear, turn in self._free(q):
            out[linear] = _rotated(turn, a[linear] + np.cross(v[angular], v[linear]))
        return out

    def move(self, q: Nodes, x: Nodes) -> Nodes:
        turned = x.copy()
        free = self._free(q)
        for _, _, linear, _ in free:
            turned[linear] = [self.graph.zero] * 3
        out = super().move(q, turned)
        for place, _, linear, _ in free:
            out[place] = q[place] + x[linear]
        return out

    def chart(self, x: Nodes, w: Nodes) -> Nodes:
        """Rotations alone are summed in a chart: V(-x)⁻¹ w, V the left Jacobian of rotations."""
        out = w.copy()
        for joint in self.turning:
            start = self.robot.v_slices[joint].start
            own, rate = x[start : start + 3], w[start : start + 3]
            square = own @ own + _TINY
            half = square**0.5 / 2
            share = (1 - half * half.cos() / half.sin()) / square
            once = np.cross(own, rate)
            out[start : start + 3] = rate + once / 2 + share * np.cross(own, once)
        return out


def _norm(x: Nodes) -> Any:
    return (x @ x) ** 0.5


def _exponential(angle: Nodes) -> Nodes:
    """The unit quaternion of a rotation vector."""
    size = (angle @ angle + _TINY) ** 0.5
    return np.array([(size / 2).cos(), *((size / 2).sin() / size * angle)], dtype=object)


def _product(a: Nodes, b: Nodes) -> Nodes:
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.array([scalar, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))], dtype=object)


def _conjugate(q: Nodes) -> Nodes:
    return np.array([q[0], *(-q[1:])], dtype=object)


def _rotated(q: Nodes, x: Nodes) -> Nodes:
    """x turned by a unit quaternion."""
    t = 2 * np.cross(q[1:], x)
    return x + q[0] * t + np.cross(q[1:], t)


def _bracket(x: Nodes, y: Nodes) -> Nodes:
    """Lie bracket of rotation vectors (3,) or of twists (6,)."""
    angular = np.cross(x[:3], y[:3])
    if len(x) == 3:
        return angular
    return np.concatenate([angular, np.cross(x[:3], y[3:]) + np.cross(x[3:], y[:3])])
