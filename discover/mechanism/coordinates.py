"""Models in other coordinates: renumbered, or in another unit of length.

The law of a robot has parents before children, which a model need not have. The search for screws
starts from lengths of tenths of a metre; a model in millimetres, whose bodies fall with 9810, is
asked in metres and what is inferred converted back. Angles, torques and moments of inertia keep
their units, so that masses are in units of torque over acceleration and length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import GROUPS, Region
from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.identification import Geometry
from discover.mechanism.geometry.screws import GRAVITY, Array
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.tree.floating import BASE_Q, BASE_V
from kinematics import Robot


class Renumbered(torch.nn.Module):
    """A model whose coordinate k is coordinate order[k] of the one it wraps.

    model   (q, v, tau) -> a, or -> (q_next, v_next); a module, so that its parameters (and its
            precision) stay visible
    order   (nv,); the configuration of a free base stays the first
    """

    def __init__(self, model: Callable, order: Sequence[int]):
        super().__init__()
        self.model = model
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
    """The order (nq,) of configuration coordinates for an order (nv,) of velocities; the seven of a
    free base stay the first."""
    more = nq - len(order)
    if not more:
        return list(order)
    return [*range(BASE_Q), *(j + more for j in order[BASE_V:])]


_SAMPLES = ("q", "v", "tau", "a")


def renumbered(
    model: Callable, region: Region, data: tuple | Mapping | None, order: Sequence[int]
) -> tuple[Callable, Region, tuple | Mapping | None]:
    """Model, region and training data (q, v, tau, a) in the numbering `order` (nv,); the same
    objects if it changes nothing."""
    order = list(order)
    if order == list(range(len(order))):
        return model, region, data
    box = region.resolve(len(order))
    sides = {g: tuple(x[order] for x in getattr(box, g)) for g in GROUPS}
    moved: tuple | Mapping | None = data
    if isinstance(data, Mapping) and set(data) == set(_SAMPLES):
        data = tuple(data[name] for name in _SAMPLES)
    if isinstance(data, tuple | list):
        columns = [torch.as_tensor(x) for x in data]
        first = columns[0][..., configuration_order(order, columns[0].shape[-1])]
        moved = (first, *(x[..., order] for x in columns[1:]))
    return Renumbered(model, order), Region(**sides), moved


_FASTEST = threshold("mechanism.fastest_fall")
_CLEAR = threshold("mechanism.clear_fall")


class RescaledBlackBox(BlackBox):
    """A black box with its sliding coordinates in another unit of length.

    inner    the black box itself
    slides   (nv,) which coordinates are lengths
    scale    new units in one of the model's
    """

    def __init__(self, inner: BlackBox, slides: Sequence[bool], scale: float):
        super().__init__(inner.model, inner.nq, inner.nv, outputs=inner.outputs, dt=inner.dt)
        self.inner = inner
        self._tally = inner._tally  # one count for the model
        self.factor = torch.where(torch.tensor(slides), scale, 1.0).double()

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers; forces along a coordinate scale inversely."""
        factor = self.factor
        answers = self.inner.ask(q / factor, v / factor, tau * factor, strict=strict)
        return replace(answers, q=q, v=v, tau=tau, a=answers.a * factor, q_next=None, v_next=None)


def metres_per_unit(sampler: DynamicsSampler, kinds: Sequence[str]) -> float:
    """Metres in the model's unit of length: one, or less if a sliding joint falls faster than
    bodies do on Earth."""
    slides = [j for j, kind in enumerate(kinds) if kind == "prismatic"]
    local = sampler.at(sampler.draw(12), replicates=4 if sampler.scatters else 1)
    falls = np.abs(local.force[:, slides]) / np.einsum("nii->ni", local.H)[:, slides].clip(1e-300)
    clear = np.abs(local.force[:, slides]) > _CLEAR * local.force_deviation[:, slides]
    fastest = float(np.where(clear, falls, 0.0).max(initial=0.0))
    return 1.0 if fastest <= _FASTEST * GRAVITY else GRAVITY / fastest


def in_metres(sampler: DynamicsSampler, kinds: Sequence[str], scale: float) -> DynamicsSampler:
    """The sampler with sliding coordinates in metres, `scale` of them in the model's unit."""
    slides = [kind == "prismatic" for kind in kinds]
    rescaled = RescaledBlackBox(sampler.blackbox, slides, scale)
    sides = {}
    for group in GROUPS:
        factor = 1 / rescaled.factor if group == "tau" else rescaled.factor
        low, high = getattr(sampler.region, group)
        sides[group] = (low * factor, high * factor)
    return DynamicsSampler(blackbox=rescaled, region=Region(**sides), seed=sampler.seed)


def in_model_units(geometry: Geometry, scale: float) -> Geometry:
    """A geometry in metres converted to the model's unit, `scale` metres."""
    tree = geometry.tree
    turning = np.asarray(tree.turning)
    lengths = np.ones((len(turning), 6))
    lengths[turning, 3:] = 1 / scale
    masses = np.tile(_masses(scale), len(turning))
    rest = np.ones(len(geometry.joint) - lengths.size - masses.size)
    if geometry.joint_terms:
        factor = np.where(turning, 1.0, scale)
        rest[: 3 * len(turning)] = np.concatenate([factor**2, factor**2, factor])
    size = np.concatenate([lengths.ravel(), masses, rest])
    lengthwise = {"distance", "offset"}
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
            if m.quantity in lengthwise
            else m
            for m in geometry.measures
        ),
    )


def robot_in_model_units(robot: Robot, scale: float) -> Robot:
    """A robot in metres converted to the model's unit, `scale` metres."""
    return robot.replace(
        tree_offset=robot.tree_offset / scale,
        pi=robot.pi * torch.from_numpy(_masses(scale)),
        gravity=robot.gravity / scale,
    )


def _masses(scale: float) -> Array:
    return np.array([scale**2, *[scale] * 3, *[1.0] * 6])
