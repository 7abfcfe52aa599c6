"""The tree of bodies as a networkx graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
from torch import Tensor

if TYPE_CHECKING:
    from kinematics.robot.tree import Robot


def graph_of(robot: Robot) -> nx.DiGraph:
    """One node a moving body, edges parent to child, with joint names and inertias."""
    graph: nx.DiGraph = nx.DiGraph(name=robot.name, base=robot.base_name)
    pi = robot.pi.detach().cpu() if isinstance(robot.pi, Tensor) else robot.pi
    for i, body in enumerate(robot.body_names):
        own = pi[..., i, :]
        graph.add_node(
            body,
            index=i,
            joint=robot.joint_names[i],
            kind=robot.kinds[i],
            mass=_plain(own[..., 0]),
            first_moment=_plain(own[..., 1:4]),
            inertia=_plain(own[..., 4:]),
        )
        if robot.parents[i] >= 0:
            graph.add_edge(robot.body_names[robot.parents[i]], body, joint=robot.joint_names[i])
    return graph


def _plain(x: Any) -> Any:
    return x.tolist() if hasattr(x, "tolist") else x
