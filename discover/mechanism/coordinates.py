"""A model seen in another numbering of its coordinates: parents before children.

A model in other units of length: one whose bodies fall as they do on Earth in metres.

What slides falls with an acceleration that a model in millimetres tells as 9810. The search for
screws starts from lengths of tenths of a metre; so such a model is asked in metres, and what is
found is told in its own units again. Angles, torques and moments of inertia stay as they are: a
mass is then in units of torque over acceleration and length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import GROUPS, Region
from discover.mechanism.geometry.identification import Geometry
from discover.mechanism.geometry.screws import GRAVITY, Array
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.tree.floating import BASE_Q, BASE_V
from kinematics import Robot


class Renumbered(torch.nn.Module):
    """Coordinate k of this model is coordinate order[k] of the one it wraps."""

    def __init__(self, model: Callable, order: Sequence[int]):
        super().__init__()
        self.model = model  # a module brings its parameters along, and so its precision
        self.order = list(order)
        self.back = [self.order.index(j) for j in range(len(self.order))]

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Any:
        """The wrapped model's answer, accelerations or (q_next, v_next)."""
        back = configuration_order(self.back, q.shape[-1])
        out = self.model(q[..., back], v[..., self.back], tau[..., self.back])
        if isinstance(out, (tuple, list)):
            q_next, v_next = out
            return q_next[..., configuration_order(self.order, q.shape[-1])], v_next[
                ..., self.order
            ]
        return out[..., self.order]


def configuration_order(order: Sequence[int], nq: int) -> list[int]:
    """The order of the configuration's numbers; the seven of a free base stay the first."""
    more = nq - len(order)
    if not more:
        return list(order)
    return [*range(BASE_Q), *(j + more for j in order[BASE_V:])]


def renumbered(
    model: Callable, region: Region, data: tuple | None, order: Sequence[int]
) -> tuple[Callable, Region, tuple | None]:
    """Model, region and training data in the new numbering; the same objects where it is none."""
    order = list(order)
    if order == list(range(len(order))):
        return model, region, data
    box = region.resolve(len(order))
    sides = {g: tuple(x[order] for x in getattr(box, g)) for g in GROUPS}
    moved = None
    if data is not None:
        columns = [torch.as_tensor(x) for x in data]
        first = columns[0][..., configuration_order(order, columns[0].shape[-1])]
        moved = (first, *(x[..., order] for x in columns[1:]))
    return Renumbered(model, order), Region(**sides), moved


_SURELY = 1.01  # times gravity on Earth that nothing falls there


class RescaledBlackBox(BlackBox):
    """A respondent whose sliding coordinates are told in units of 1/`scale` of its own."""

    def __init__(self, asked: BlackBox, slides: Sequence[bool], scale: float):
        super().__init__(asked.model, asked.nq, asked.nv, outputs=asked.outputs, dt=asked.dt)
        self.asked = asked
        self.factor = torch.where(torch.tensor(slides), scale, 1.0).double()

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers; forces along a coordinate change as it does not."""
        factor = self.factor
        told = self.asked.ask(q / factor, v / factor, tau * factor, strict=strict)
        self.queries = self.asked.queries
        return replace(told, q=q, v=v, tau=tau, a=told.a * factor, q_next=None, v_next=None)


def metres_per_unit(sampler: DynamicsSampler, kinds: Sequence[str]) -> float:
    """One, or less where something that slides falls faster than anything does on Earth."""
    slides = [j for j, kind in enumerate(kinds) if kind == "prismatic"]
    asked = sampler.at(sampler.draw(12), replicates=4 if sampler.scatters else 1)
    falls = np.abs(asked.force[:, slides]) / np.einsum("nii->ni", asked.H)[:, slides].clip(1e-300)
    clear = np.abs(asked.force[:, slides]) > 10 * asked.force_deviation[:, slides]
    fastest = float(np.where(clear, falls, 0.0).max(initial=0.0))
    return 1.0 if fastest <= _SURELY * GRAVITY else GRAVITY / fastest


def in_metres(sampler: DynamicsSampler, kinds: Sequence[str], scale: float) -> DynamicsSampler:
    """The prober with sliding coordinates told in metres, `scale` of them a unit."""
    slides = [kind == "prismatic" for kind in kinds]
    asked = RescaledBlackBox(sampler.blackbox, slides, scale)
    sides = {}
    for group in GROUPS:
        factor = 1 / asked.factor if group == "tau" else asked.factor
        low, high = getattr(sampler.region, group)
        sides[group] = (low * factor, high * factor)
    return DynamicsSampler(blackbox=asked, region=Region(**sides), seed=sampler.seed)


def in_model_units(geometry: Geometry, scale: float) -> Geometry:
    """A geometry in metres told in units of which one has `scale` metres."""
    tree = geometry.tree
    turning = np.asarray(tree.turning)
    lengths = np.ones((len(turning), 6))
    lengths[turning, 3:] = 1 / scale
    masses = np.tile(_masses(scale), len(turning))
    rest = np.ones(len(geometry.joint) - lengths.size - masses.size)
    if geometry.joint_terms:
        own = np.where(turning, 1.0, scale)
        rest[: 3 * len(turning)] = np.concatenate([own**2, own**2, own])
    size = np.concatenate([lengths.ravel(), masses, rest])
    along = {"distance", "offset"}
    return replace(
        geometry,
        tree=replace(
            tree,
            reference=np.where(turning, tree.reference, tree.reference / scale),
            gravity=tree.gravity / scale,
        ),
        screws=geometry.screws * lengths,
        pi=geometry.pi * _masses(scale),
        joint=geometry.joint * size[:, None] * size,
        measures=tuple(
            replace(m, value=m.value / scale, deviation=m.deviation / scale)
            if m.quantity in along
            else m
            for m in geometry.measures
        ),
    )


def robot_in_model_units(robot: Robot, scale: float) -> Robot:
    """The same of a robot."""
    return robot.replace(
        tree_offset=robot.tree_offset / scale,
        pi=robot.pi * torch.from_numpy(_masses(scale)),
        gravity=robot.gravity / scale,
    )


def _masses(scale: float) -> Array:
    return np.array([scale**2, *[scale] * 3, *[1.0] * 6])
