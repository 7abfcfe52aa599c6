"""A channel with the functions that were fitted for it, and the law that it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import sympy
from torch import Tensor

from discover.laws.channel_fit import ChannelProblem, Kind
from discover.laws.channels import Channel
from discover.laws.fit import Fit
from discover.laws.quantities import vocabulary

_INNER = 0.1  # of the sizes of a vector, those near its middle
_FELT = 0.3  # of its most, what is felt near the middle for it to be the unit there


@dataclass(frozen=True, kw_only=True)
class Flexible:
    """One kind of channel with its functions, fitted; `held_out` is its error elsewhere."""

    kind: Kind
    problem: ChannelProblem
    x: Tensor
    held_out: float


def as_fit(base: Fit, flexible: Flexible) -> Fit:
    """The bodies behind the channel as it was found."""
    problem, kind = flexible.problem, flexible.kind
    nv = base.family.robot.nv
    theta, *c = _in_scale(flexible)
    words = vocabulary(nv)
    rows: list[sympy.Expr] = [words[f"{kind.place}{j + 1}"] for j in range(nv)]
    tables: list = []
    for n, (group, x) in enumerate(zip(problem.groups, c, strict=True), 1):
        for j in group.joints:
            z = kind.variable(j, words, nv)
            written, named = group.function.written(z, x, f"phi{n}")  # type: ignore[attr-defined]
            rows[j] = rows[j] * written if kind.factor else written
        tables += named
    channel = Channel(place=kind.place, rows=tuple(rows), tables=tuple(tables))
    family = replace(base.family, channels=(channel,))
    return replace(base, family=family, theta=theta)


def _in_scale(flexible: Flexible) -> tuple[Tensor, ...]:
    """The parameters, with forces in the unit of those that were asked.

    Forces twice as large on bodies twice as heavy, or the other way round in sign, are the same
    law, unless some joint feels what it is asked. What is felt shall be what is asked: near the
    middle, or where nothing is felt there, where most of it is.
    """
    problem, kind = flexible.problem, flexible.problem.kind
    theta, *c = flexible.x.split(problem.split)
    altered = sum(len(group.joints) for group in problem.groups)
    if kind.place != "tau" or altered < problem.family.robot.nv:
        return theta, *c
    gains = []
    for group, x in zip(problem.groups, c, strict=True):
        z = problem.feature()[:, list(group.joints)].flatten()
        if kind.factor:
            gain = group.function(z, x)
            middle = group.function(z.quantile(_INNER if kind.whole else 0.5)[None], x)[0]
        else:
            h = 0.02 * z.abs().max()
            gain = (group.function(z + h, x) - group.function(z - h, x)) / (2 * h)
            middle = gain[z.abs().argmin()]
        size = gain.abs()
        most = gain[(size - size.quantile(0.98)).abs().argmin()]
        gains.append(float(middle if middle.abs() > _FELT * most.abs() else most))
    unit = sum(gains) / len(gains)
    if unit == 0 or not math.isfinite(unit):
        return theta, *c
    scaled = (g.function.scaled(x, 1 / unit) for g, x in zip(problem.groups, c, strict=True))
    return theta / unit, *scaled
