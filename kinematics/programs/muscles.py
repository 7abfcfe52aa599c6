"""Forward dynamics from excitations as a program: muscles traced, then the cheapest recursion.

The geometry and the laws of force of `kinematics.muscles` run unchanged over expression nodes (see
`kinematics.programs.traced_tensors`); the joint forces that they make go into the program of the
forward dynamics, which an elimination order of its own has made cheap. Before that the paths are
made simpler: what is straight between two points of one body has a constant length and moves
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kinematics.muscles.drive import drive
from kinematics.muscles.geometry import State
from kinematics.muscles.muscles import Muscles
from kinematics.muscles.paths import Paths
from kinematics.programs.graph import Graph
from kinematics.programs.program import Program, ProgramError, make_program
from kinematics.programs.traced_tensors import TracedTensor, tracing


def without_rigid_spans(paths: Paths) -> Paths:
    """The same paths, where spans that cannot change are constant lengths."""
    offsets, kept = paths.offsets.clone(), []
    for k, (muscle, first, last, wrap, _) in enumerate(paths.spans):
        if wrap < 0 and paths.point_bodies[first] == paths.point_bodies[last]:
            length = torch.linalg.vector_norm(paths.points[last] - paths.points[first])
            offsets[muscle] += paths.span_weights[k] * length
        else:
            kept.append(k)
    spans = tuple(paths.spans[k] for k in kept)
    return paths.replace(spans=spans, span_weights=paths.span_weights[kept], offsets=offsets)


def check_muscles(muscles: Muscles) -> None:
    """ProgramError that names the first muscle that no straight-line program can stand for."""
    if muscles.forces is None:
        raise ProgramError(
            f"expected muscles with a law of force, found the path of {muscles.names[0]} alone; "
            "give forces to Muscles.of"
        )
    paths = muscles.paths
    if paths.varying.joints():
        raise ProgramError(
            "expected points that stand still on their bodies, found paths whose points move with "
            "coordinates or are there in a range of one; use kinematics.forward"
        )
    for muscle, _, _, wrap, side in paths.spans:
        if wrap < 0 or side < 0 or paths.rule == "geodesic":
            continue
        if paths.point_bodies[side] != paths.wrap_bodies[wrap]:
            raise ProgramError(
                f"expected side points on the body of their surface, found another body's in the "
                f"path of {paths.names[muscle]}; use kinematics.forward"
            )


def trace_forward(robot: Any, dynamics: Program, *, internal: bool) -> Program:
    """The program of `kinematics.forward`: (q, v, u) to a (nv,), or with ``internal`` (q, v, u, z)
    to a and dz/dt, one after the other (nv + nz,).

    ``dynamics`` is the program of the robot's forward dynamics, (q, v, tau) to a. Raises
    ProgramError where a muscle cannot be traced.
    """
    graph = Graph()
    sizes = {"q": robot.nq, "v": robot.nv}
    if robot.muscles is None:
        sizes["u"] = robot.nv if robot.actuation is None else robot.actuation.nu
    else:
        sizes["u"] = robot.muscles.nm
        if internal:
            sizes["z"] = robot.muscles.nz
    ports = {name: graph.inputs(name, count) for name, count in sizes.items()}
    given = {name: TracedTensor(graph, nodes[None]) for name, nodes in ports.items()}
    with tracing():
        if robot.muscles is not None:
            tau, rate = _driven(robot, given)
        elif robot.actuation is not None:
            tau, rate = robot.actuation(given["q"], given["v"], given["u"]), None
        else:
            tau, rate = given["u"], None
    outputs = dynamics.at(graph, ports["q"], ports["v"], tau.nodes[0])
    if internal and rate is not None:
        outputs = np.concatenate((outputs, rate.nodes[0]))
    return make_program("forward", graph, ports, outputs, passes=dynamics.passes)


def _driven(robot: Any, given: dict[str, TracedTensor]) -> tuple[Any, Any]:
    check_muscles(robot.muscles)
    muscles = robot.muscles.on(without_rigid_spans(robot.muscles.paths))
    # a copy of its own: the robot keeps what it has laid out, and this is laid out in nodes
    robot = robot.replace(muscles=muscles)
    state = State(robot=robot, muscles=muscles, given=given, batch=(1,))  # type: ignore[arg-type]
    return drive(state)
