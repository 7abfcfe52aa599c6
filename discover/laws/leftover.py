"""What a law leaves over: on which carrier does it act, and of which scalar is it a function?

Every pair carrier × feature is given a flexible function of the feature. The columns are brought to
acceleration units, what the bodies can explain is projected out of them, and pairs are ranked by
what they explain. The best are then fitted together with the bodies (`pair_fit`), and ranked again
by what they predict.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from discover.dynamics import Answers
from discover.laws.carriers import (
    SMALL,
    Carrier,
    Feature,
    Places,
    candidate_points,
    joint_places,
    point_places,
    single_places,
)
from discover.laws.fields import framed_points
from discover.laws.fit import Fit
from discover.laws.splines import Basis
from discover.laws.terms import Term, scalar_coordinates
from discover.laws.whitening import Whitened, whiten
from kinematics import Robot

_COARSE = 9  # knots
_COUNTED = 600  # pairs whose symbols are counted
_ROWS = 1500  # rows (states × joints) that ranking looks at
_AT_ONCE = 32  # carriers
_EIGEN = 1e-9  # of the largest column: what is smaller is left alone
_SPANNED = 1e-13  # share of a column that rounding leaves of one that is known
_STILL = 1e-9
_CLEAR = 0.97  # a pair that explains this share needs no other look


@dataclass(frozen=True, kw_only=True)
class Pair:
    """carrier × φ(feature); `explained` is the share of the residual that a flexible φ takes.

    start     the parameters of the law beside which it was seen
    replaces  the term of the law that it takes the place of, being that term times φ
    """

    carrier: Carrier
    feature: Feature
    explained: float
    start: Tensor | None = field(default=None, compare=False, repr=False)
    replaces: Term | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def cost(self) -> int:
        """Symbols in carrier and feature."""
        return self.carrier.term(self.feature.through(lambda z: z)).symbol_count

    @property
    def implicit(self) -> bool:
        """Whether the feature holds the acceleration."""
        return any(s.name[0] in "ah" for s in self.feature.free_symbols)

    @property
    def name(self) -> str:
        return f"{self.carrier.name}, function of {self.feature.name}"


def rank_pairs(
    fitted: Fit, answers: Answers, *, beside: Fit | None = None, fields: bool = True
) -> list[Pair]:
    """All pairs by what a flexible function of the feature explains, best first.

    Shares are of what `beside` leaves over, another fit of the same family; of `fitted` itself by
    default. With `fields`, points are looked at once more in the frames that fields ask for.
    Of pairs that explain the same within a per cent of what is left, the shorter comes first.
    """
    robot = fitted.family.bodies
    few = answers[: max(80, min(len(answers), _ROWS // robot.nv))]
    seen = whiten(fitted, few)
    total = (seen if beside is None else whiten(beside, few)).beyond_known
    first = coordinates_that_matter(seen, robot)
    pairs = _score(seen, robot, joint_places(robot, first), total)
    for r, point in enumerate(candidate_points(robot)):
        name = f"a point of body {point.body + 1}" + (f" ({r + 1})" if r else "")
        pairs += _score(seen, robot, point_places(robot.nv, point, name), total)
    clear = max((p.explained for p in pairs), default=1.0) > _CLEAR
    for term in fitted.family.terms if fields else ():
        if not term.physical and not term.tables:
            own = modulated(robot, term, first)
            pairs += [
                replace(p, replaces=term, start=None) for p in _score(seen, robot, own, total)
            ]
    for framed in framed_points(fitted, answers) if fields and not clear else ():
        places = point_places(robot.nv, framed.point, framed.name)
        pairs += _score(whiten(replace(fitted, theta=framed.theta), few), robot, places, total)
    return in_order(pairs)


def in_order(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs by merit, each once: the best that was seen of it."""
    found: dict[str, Pair] = {}
    for p in sorted(pairs, key=lambda x: -x.explained):
        found.setdefault(p.name, p)
    kept = list(found.values())
    # Counting symbols takes longer than fitting: only for those that could come first.
    first = sorted(kept[:_COUNTED], key=lambda x: (-_merit(x), x.cost, x.name))
    return first + kept[_COUNTED:]


def coordinates_that_matter(seen: Whitened, robot: Robot) -> tuple[int, ...]:
    """All coordinates, those first that a force acts on, or is a function of, by first sight; ()
    for the few of which all pairs are looked at.

    On how much a force of any kind could explain there, beyond what a direction at random would;
    and on what functions of one variable do.
    """
    nv = robot.nv
    if nv <= SMALL:
        return ()
    y, total = seen.rest, max(seen.beyond_known, 1e-300)
    along = torch.einsum("nij,ni->nj", seen.inverse, y).square()
    share = (along / seen.inverse.square().sum(1).clamp_min(1e-300)).sum(0) / total
    merit = ((share - 1.0 / nv) / (1.0 - 1.0 / nv)).tolist()
    places, told = single_places(nv, tuple(scalar_coordinates(robot)))
    for p in _score(seen, robot, places, total):
        for name in (p.carrier.name, p.feature.name):
            merit[told[name]] = max(merit[told[name]], p.explained)
    return tuple(sorted(range(nv), key=lambda j: -merit[j]))


def modulated(robot: Robot, term: Term, first: Sequence[int] = ()) -> Places:
    """A term of the law as a carrier, and what it may be a function of besides."""
    features = list(joint_places(robot, first).features)
    if term.points:
        features += point_places(robot.nv, term.points[0], "its point").features
    one = [f for f in features if f.slots == 1]
    return Places((Carrier(f"({term.name})", term.shape, term.points),), tuple(one))


def _merit(pair: Pair) -> float:
    """log of the share that is left, minus a price for symbols."""
    return -math.log(max(1.0 - pair.explained, 1e-7)) - 0.02 * pair.cost


def _score(seen: Whitened, robot: Robot, places: Places, total: float) -> list[Pair]:
    nv = robot.nv
    rows = torch.nan_to_num(seen.evaluate([c.term() for c in places.carriers], robot))
    alone = [f for f in places.features if f.slots == 1]
    z = torch.nan_to_num(seen.evaluate([f.term(nv) for f in alone], robot)[:, 0])
    # What does not vary, as the height of a point that moves in a plane, is rounding.
    varies = z.std(0) > _STILL * z.std(0).max()
    alone = [f for f, v in zip(alone, varies.tolist(), strict=True) if v]
    z = z[:, varies]
    pushed = seen.inverse @ rows  # (n, nv, carriers)
    U, y, own = seen.known, seen.rest, seen.beyond_known
    if total == 0.0:
        return []
    count = len(alone)
    n_rows = y.numel() - U.shape[-1]
    pairs = []

    def judge(
        carrier: Carrier, features: Sequence[Feature], gram: Tensor, spanned: Tensor, target: Tensor
    ) -> None:
        gain, used = _gains(gram, spanned, target)
        lefts = (own - gain).clamp_min(0.0) / total * n_rows / (n_rows - used).clamp_min(1)
        for feature, left in zip(features, lefts.tolist(), strict=True):
            pairs.append(
                Pair(carrier=carrier, feature=feature, explained=1.0 - left, start=seen.theta)
            )

    B = _flexible(z)
    flat, width = B.flatten(1), B.shape[-1]
    i, j = torch.triu_indices(width, width)
    products = (B[..., i] * B[..., j]).flatten(1)
    full = torch.zeros(width, width, dtype=torch.long)
    full[i, j] = full[j, i] = torch.arange(len(i))
    weights = pushed.square().sum(1)  # (n, carriers)
    targets = torch.einsum("nik,ni->kn", pushed, y) @ flat
    for some in torch.arange(len(places.carriers)).split(_AT_ONCE):
        # One large product in place of one a pair, which are too small to be fast.
        packed = (weights[:, some].T @ products).reshape(len(some), count, len(i))
        for k, half in zip(some.tolist(), packed, strict=True):
            if float(weights[:, k].sum()) > 0:
                held = (pushed[:, None, :, k] @ U).squeeze(1)  # (n, p)
                spanned = (held.T @ flat).reshape(U.shape[-1], count, width).transpose(0, 1)
                target = targets[k].reshape(count, width)
                judge(places.carriers[k], alone, half[:, full], spanned, target)
    for feature in (f for f in places.features if f.slots > 1):
        each = torch.nan_to_num(seen.evaluate([feature.term(nv)], robot)[..., 0])
        basis = Basis.over(each.flatten(), _COARSE)
        values = basis(each.flatten()).reshape(*each.shape, -1)  # (n, nv, width)
        for k, carrier in enumerate(places.carriers):
            if carrier.alike:
                columns = (seen.inverse @ (rows[..., k, None] * values)).flatten(0, 1)
                spanned = U.flatten(0, 1).T @ columns
                judge(
                    carrier,
                    [feature],
                    (columns.T @ columns)[None],
                    spanned[None],
                    (columns.T @ y.flatten())[None],
                )
    return pairs


def _flexible(z: Tensor) -> Tensor:
    """A flexible function of each column of z (n, features), as columns: (n, features, width)."""
    B = z.new_zeros(*z.shape, _COARSE + 2)
    for f in range(z.shape[1]):
        basis = Basis.over(z[:, f], _COARSE)
        B[:, f, : basis.size] = basis(z[:, f])
    return B


def _gains(gram: Tensor, spanned: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """What the columns of each feature explain beside what is known, and how many count: (m,) each.

    gram (m, width, width), spanned (m, p, width) their parts along what is known, and target
    (m, width). Columns that the others or the known ones (nearly) span explain nothing.
    """
    whole = gram.diagonal(dim1=1, dim2=2).amax(-1)
    gram = gram - spanned.mT @ spanned
    size = gram.diagonal(dim1=1, dim2=2).amax(-1)
    size = torch.where(size > _SPANNED * whole, size, torch.inf)  # else it is rounding
    ridge = _EIGEN * torch.eye(gram.shape[-1], dtype=gram.dtype)
    L, info = torch.linalg.cholesky_ex(gram / size[:, None, None] + ridge)
    along = torch.linalg.solve_triangular(L, target.unsqueeze(-1), upper=False).squeeze(-1)
    gain = torch.where(info == 0, along.square().sum(-1) / size, 0.0)
    used = (L.diagonal(dim1=1, dim2=2).square() > 10 * _EIGEN).sum(-1)
    return gain, used
