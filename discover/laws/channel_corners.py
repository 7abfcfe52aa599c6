"""Corners of flexible functions: a limit, a dead zone, a clip has one at a place nobody listed.

No spline of few knots follows a corner. Beside one, a corner |z - k| is put where it explains the
most of what is left; its place is then fitted along with all else.
"""

from __future__ import annotations

import torch
from torch import Tensor

from discover.laws import least_squares
from discover.laws.channel_fit import ChannelProblem, Group
from discover.laws.channel_functions import Splined

_PLACES = 48  # where a corner is tried, where the sample is
_END = 0.02  # of the sample, in which no corner is told from the slope of an end
_WORTH = 0.8  # of what was left, what corners may leave for them to be fitted
_ALONE = 1e-4  # of a corner, what no spline and no body can do for it


def with_corners(problem: ChannelProblem, x: Tensor) -> tuple[ChannelProblem, Tensor] | None:
    """The problem with one more corner in each function, and x with corners of no height where
    they promise the most; None where they do not promise much."""
    theta, *c = x.split(problem.split)
    seen = problem.at(x)
    J = torch.cat([seen.slopes, *problem.function_slopes(seen, c)], -1).flatten(0, 1)
    U = least_squares.orthonormal(torch.nan_to_num(J, posinf=0.0, neginf=0.0))
    left = torch.nan_to_num(seen.residual).flatten()
    left = left - U @ (U.T @ left)
    before, groups, start = float(left.norm()), [], []
    for group, own in zip(problem.groups, c, strict=True):
        if not isinstance(group.function, Splined):
            return None
        joints = list(group.joints)
        z = seen.z[:, joints]
        places = z.flatten().quantile(torch.linspace(_END, 1 - _END, _PLACES, dtype=z.dtype))
        bent = (z.unsqueeze(-1) - places).abs()  # (n, joints, places)
        columns = torch.nan_to_num(seen.pushed[..., joints] @ bent).flatten(0, 1)
        columns = columns / least_squares.lengths(columns)
        columns = columns - U @ (U.T @ columns)
        size = columns.norm(dim=0)
        gain = torch.where(size > _ALONE, (columns.T @ left / size.clamp_min(_ALONE)).square(), 0.0)
        best = int(gain.argmax())
        if gain[best] > 0:
            new = columns[:, best] / size[best]
            left, U = left - new * (new @ left), torch.cat([U, new[:, None]], 1)
        function = group.function.with_corner()
        groups.append(Group(group.joints, function))
        start.append(function.started(own, float(places[best])))
    if float(left.norm()) > _WORTH * before:
        return None
    return problem.with_groups(groups), torch.cat([theta, *start])


def corners_of(problem: ChannelProblem) -> int:
    """How many corners its functions have at most."""
    functions = [g.function for g in problem.groups]
    return max((f.corners for f in functions if isinstance(f, Splined)), default=0)
