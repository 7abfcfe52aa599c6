"""Ranking of pairs (force direction, feature) by what they explain of a law's residual.

Each pair is given a flexible function of the feature (splines). Its columns are brought to
acceleration units, what the bodies can explain is projected out of them, and pairs are ranked by
the share of the residual that they take. Tens of thousands of pairs are ranked in large products:
only the products of a pair's columns with each other, with the known columns and with the residual
are ever made. The best pairs are then fitted together with the bodies (`pair_fit`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import Term, scalar_coordinates
from discover.laws.rigid_body.fit import Fit, Whitened, whiten
from discover.laws.search.force_directions import (
    RATIO,
    Feature,
    ForceCandidates,
    ForceDirection,
    Ridge,
    all_pairs_fit,
    candidate_points,
    coordinates_near,
    joint_candidates,
    point_candidates,
    single_joint_candidates,
)
from discover.laws.search.point_forces import points_in_frames
from discover.laws.search.variables import Point, moved_points
from kinematics import Robot

_KNOTS = whole("search.ranking_knots")
_MANY = whole("search.many_knots")
_BENDS = threshold("search.many_knots_gain")
_COUNTED = whole("search.counted_pairs")
_ROWS = whole("search.ranking_rows")
_CLEAR = threshold("search.clear_pair")
_SYMBOL_SHARE = threshold("search.ranking_symbol_share")
_RATIOS = whole("search.ridge_ratios")
_NARROWED, _STEPS = whole("search.ridges_narrowed"), whole("search.ridge_steps")
_PROMISES, _CLEARLY = threshold("search.ridge_promise"), threshold("search.ridge_gain")
_SUM_KNOTS = whole("search.pair_knots")
_AT_ONCE = 32  # directions in one product: what fits into a cache
_EIGEN = 1e-9  # of the largest column: smaller ones are rounding
_SPANNED = 1e-13  # share of a column that rounding leaves of one that is known
_GAUGE = 1e-10  # damping, in units of the columns, that holds what the answers do not show
_STILL = 1e-9  # of the largest spread: a feature that varies less is rounding


@dataclass(frozen=True, kw_only=True)
class Pair:
    """direction × φ(feature); `explained` is the share of the residual that a flexible φ takes.

    start     the parameters of the law beside which it was seen
    replaces  the term of the law that it takes the place of, being that term times φ
    slope     a direction that is multiplied by φ', and added
    knots     of the flexible φ, where a feature asks for its own number
    ridge     the sum of two coordinates, in a ratio to be fitted, that direction and feature are of
    """

    direction: ForceDirection
    feature: Feature
    explained: float
    start: Tensor | None = field(default=None, compare=False, repr=False)
    replaces: Term | None = field(default=None, compare=False, repr=False)
    slope: ForceDirection | None = None
    knots: int | None = None
    ridge: Ridge | None = None

    @functools.cached_property
    def cost(self) -> int:
        """Symbols in direction and feature."""
        return self.term(lambda z: z).symbol_count

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that direction and feature name."""
        return self.direction.points or self.feature.points

    @property
    def numbers(self) -> list[float]:
        """What is fitted with its function: the places of its points, or its ratio."""
        placed = [x for p in self.points for x in p.numbers]
        return placed if self.ridge is None else [self.ridge.ratio]

    @property
    def with_symbols(self) -> Pair:
        """The same with the symbol `RATIO` in the place of its ratio, where it has one."""
        if self.ridge is None:
            return self
        direction, feature = self.ridge.candidate(RATIO)
        return replace(self, direction=direction, feature=feature)

    @property
    def least_damping(self) -> float:
        """Of a fit of its places: what moves with both ends of a distance may change nothing."""
        both = len(self.points) > 1 or any(p.origin for p in self.points)
        return _GAUGE if both else 0.0

    @property
    def parts(self) -> list[Term]:
        """Direction and feature, and the slope's direction where there is one, to be evaluated."""
        directions = [self.direction] if self.slope is None else [self.direction, self.slope]
        terms = [d.term() for d in directions]
        terms.insert(1, self.feature.term(len(self.direction.rows)))
        return terms

    def moved(self, numbers: Sequence[float]) -> Pair:
        """The pair with its points elsewhere, or with another ratio."""
        if self.ridge is not None:
            ridge = replace(self.ridge, ratio=float(numbers[0]))
            direction, feature = ridge.candidate()
            return replace(self, ridge=ridge, direction=direction, feature=feature)
        points = moved_points(self.points, numbers)
        return replace(
            self,
            direction=replace(self.direction, points=points),
            feature=replace(self.feature, points=points),
            slope=None if self.slope is None else replace(self.slope, points=points),
        )

    def term(self, function: Callable[[sympy.Expr], sympy.Expr]) -> Term:
        """The force for a function φ."""
        phi = self.feature.through(function)
        term = self.direction.term(phi)
        if self.slope is not None:
            assert not isinstance(phi, list)
            z = sympy.Dummy("z", real=True)
            slope = sympy.diff(function(z), z).subs(z, self.feature.expression)
            rows = zip(term.shape, self.slope.term(slope).shape, strict=True)
            term = replace(term, shape=tuple(a + b for a, b in rows))
        return replace(term, points=self.points)

    @property
    def implicit(self) -> bool:
        """Whether the feature holds the acceleration."""
        return any(s.name[0] in "ah" for s in self.feature.free_symbols)

    @property
    def name(self) -> str:
        return f"{self.direction.name}, function of {self.feature.name}"


def explained_pairs(
    whitened: Whitened,
    robot: Robot,
    candidates: ForceCandidates,
    total: float,
    knots: int = _KNOTS,
) -> list[Pair]:
    """Every direction with every feature, and the share of `total` that φ explains, which has so
    many knots."""
    if total == 0.0 or not candidates.features:
        return []
    rows = torch.nan_to_num(whitened.evaluate([c.term() for c in candidates.directions], robot))
    return _of_scalars(whitened, robot, candidates, total, rows, knots) + _of_joints(
        whitened, robot, candidates, total, rows
    )


def _of_scalars(
    whitened: Whitened,
    robot: Robot,
    candidates: ForceCandidates,
    total: float,
    rows: Tensor,
    knots: int,
) -> list[Pair]:
    """Pairs whose feature is one scalar for all joints; rows (n, nv, m) are the m directions."""
    U, y = whitened.known, whitened.rest
    features = [f for f in candidates.features if f.slots == 1]
    z = torch.nan_to_num(whitened.evaluate([f.term(robot.nv) for f in features], robot)[:, 0])
    # What does not vary, as the height of a point that moves in a plane, is rounding.
    varies = z.std(0) > _STILL * z.std(0).max()
    features = [f for f, v in zip(features, varies.tolist(), strict=True) if v]
    B = _flexible(z[:, varies], knots)
    flat, (count, width) = B.flatten(1), B.shape[1:]
    i, j = torch.triu_indices(width, width)
    products = (B[..., i] * B[..., j]).flatten(1)
    full = torch.zeros(width, width, dtype=torch.long)
    full[i, j] = full[j, i] = torch.arange(len(i))
    pushed = whitened.inverse @ rows
    weights = pushed.square().sum(1)  # (n, m)
    target = torch.einsum("nik,ni->kn", pushed, y) @ flat
    pairs = []
    for chunk in torch.arange(len(candidates.directions)).split(_AT_ONCE):
        # One large product in place of one a pair, which are too small to be fast.
        packed = (weights[:, chunk].T @ products).reshape(len(chunk), count, len(i))
        for k, half in zip(chunk.tolist(), packed, strict=True):
            if float(weights[:, k].sum()) > 0:
                held = (pushed[:, None, :, k] @ U).squeeze(1)  # (n, p)
                spanned = (held.T @ flat).reshape(U.shape[-1], count, width).transpose(0, 1)
                shares = _shares(
                    whitened, total, half[:, full], spanned, target[k].reshape(count, width)
                )
                pairs += _pairs(whitened, candidates.directions[k], features, shares)
    return pairs


def _of_joints(
    whitened: Whitened, robot: Robot, candidates: ForceCandidates, total: float, rows: Tensor
) -> list[Pair]:
    """Pairs whose feature is a scalar of each joint's own, with directions alike at all joints.

    One φ for all of them; rows (n, nv, m) are the m directions.
    """
    U, y, pairs = whitened.known.flatten(0, 1), whitened.rest.flatten(), []
    for feature in (f for f in candidates.features if f.slots > 1):
        each = torch.nan_to_num(whitened.evaluate([feature.term(robot.nv)], robot)[..., 0])
        basis = Basis.over(each.flatten(), _KNOTS)
        values = basis(each.flatten()).reshape(*each.shape, -1)  # (n, nv, width)
        for k, direction in enumerate(candidates.directions):
            if direction.alike:
                columns = (whitened.inverse @ (rows[..., k, None] * values)).flatten(0, 1)
                made = (columns.T @ columns, U.T @ columns, columns.T @ y)
                shares = _shares(whitened, total, *(x[None] for x in made))
                pairs += _pairs(whitened, direction, [feature], shares)
    return pairs


def _pairs(
    whitened: Whitened, direction: ForceDirection, features: Sequence[Feature], shares: Tensor
) -> list[Pair]:
    return [
        Pair(direction=direction, feature=feature, explained=share, start=whitened.theta)
        for feature, share in zip(features, shares.tolist(), strict=True)
    ]


def _shares(
    whitened: Whitened, total: float, gram: Tensor, spanned: Tensor, target: Tensor
) -> Tensor:
    """The share of `total` that each feature's columns explain (m,), less what chance would.

    gram (m, width, width), spanned (m, p, width), target (m, width): as of `_gains`.
    """
    n_rows = whitened.rest.numel() - whitened.known.shape[-1]
    gain, used = _gains(gram, spanned, target)
    left = (whitened.beyond_known - gain).clamp_min(0.0) / total
    return 1.0 - left * n_rows / (n_rows - used).clamp_min(1)


def _flexible(z: Tensor, knots: int) -> Tensor:
    """A flexible function of each column of z (n, features), as columns: (n, features, width)."""
    B = z.new_zeros(*z.shape, knots + 2)
    for f in range(z.shape[1]):
        basis = Basis.over(z[:, f], knots)
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


def rank_pairs(
    fitted: Fit, answers: Answers, *, residual_of: Fit | None = None, point_frames: bool = True
) -> list[Pair]:
    """All pairs by what a flexible function of the feature explains, best first.

    residual_of   the fit of the same family whose residual the shares are of [`fitted` itself]
    point_frames  whether points are also tried in the frames that the force field there suggests,
                  and the terms of the law as directions with a further factor

    Of pairs that explain the same within a per cent of what is left, the shorter comes first.
    """
    robot = fitted.family.bodies
    few = answers[: max(80, min(len(answers), _ROWS // robot.nv))]
    whitened = whiten(fitted, few)
    total = (whitened if residual_of is None else whiten(residual_of, few)).beyond_known
    first = coordinates_by_relevance(whitened, robot)
    pairs = explained_pairs(whitened, robot, joint_candidates(robot, first), total)
    for r, point in enumerate(candidate_points(robot)):
        name = f"a point of body {point.body + 1}" + (f" ({r + 1})" if r else "")
        pairs += explained_pairs(whitened, robot, point_candidates(robot.nv, point, name), total)
    clear = max((p.explained for p in pairs), default=1.0) > _CLEAR
    for term in fitted.family.terms if point_frames else ():
        if not term.physical and not term.tables:
            candidates = modulation_candidates(robot, term, first)
            pairs += [
                replace(p, replaces=term, start=None)
                for p in explained_pairs(whitened, robot, candidates, total)
            ]
    for framed in points_in_frames(fitted, answers) if point_frames and not clear else ():
        candidates = point_candidates(robot.nv, framed.point, framed.name)
        around = whiten(replace(fitted, theta=framed.theta), few)
        pairs += explained_pairs(around, robot, candidates, total)
    pairs += _of_many_waves(whitened, robot, pairs, total)
    return ranked_pairs([*pairs, *ridges(whitened, robot, pairs, total, first)])


def _of_many_waves(
    whitened: Whitened, robot: Robot, pairs: Sequence[Pair], total: float
) -> list[Pair]:
    """Forces on a joint as functions of one coordinate that bend too often for the usual knots:
    those that leave clearly less with many."""
    candidates, _ = single_joint_candidates(robot.nv, tuple(scalar_coordinates(robot)))
    positions = tuple(f for f in candidates.features if f.name[0] == "q")
    few = ForceCandidates(candidates.directions, positions)
    usual = {p.name: p.explained for p in pairs}
    return [
        replace(p, knots=_MANY)
        for p in explained_pairs(whitened, robot, few, total, _MANY)
        if 1.0 - p.explained < _BENDS * (1.0 - usual.get(p.name, 0.0))
    ]


def ridges(
    whitened: Whitened,
    robot: Robot,
    pairs: Sequence[Pair],
    total: float,
    first: Sequence[int] = (),
) -> list[Pair]:
    """Forces as functions of the sum of two coordinates, or speeds, in whatever ratio explains the
    most, that leave clearly less than all `pairs`."""
    if total == 0.0:
        return []
    best = max((p.explained for p in pairs), default=0.0)
    grid = torch.linspace(-0.5, 0.5, _RATIOS + 2, dtype=torch.float64)[1:-1] * math.pi
    hopeful: list[tuple[float, float, Ridge]] = []
    for (i, j), group in itertools.product(coordinates_near(robot, first), "qv"):
        x = {"q": whitened.q, "v": whitened.v}[group][:, [i, j]]
        unit = float(x[:, 0].std() / x[:, 1].std().clamp_min(1e-300))
        B = _flexible(x[:, :1] + grid.tan() * unit * x[:, 1:], _SUM_KNOTS)
        for weights in (None, (1, 0), (0, 1), (1, -1)):
            explained = _of_sums(whitened, i, j, B, grid.tan() * unit, weights, total)
            share, angle = float(explained.max()), float(grid[explained.argmax()])
            if share > _PROMISES:
                ridge = Ridge(group, i, j, robot.nv, unit, weights)
                hopeful.append((share, angle, ridge))
    hopeful.sort(key=lambda each: -each[0])
    found = [
        _narrowed(whitened, a, float(grid[1] - grid[0]), r, total)
        for _, a, r in hopeful[:_NARROWED]
    ]
    return [pair for pair in found if 1.0 - pair.explained < _CLEARLY * (1.0 - best)]


def _narrowed(whitened: Whitened, middle: float, width: float, like: Ridge, total: float) -> Pair:
    """The pair of the sum in the ratio near tan(middle), in units of that of `like`, that explains
    the most."""
    x = {"q": whitened.q, "v": whitened.v}[like.group][:, [like.i, like.j]]
    share = 0.0
    for _ in range(_STEPS):
        angles = middle + width * torch.linspace(-1, 1, 5, dtype=x.dtype)
        ratios = angles.tan() * like.ratio
        B = _flexible(x[:, :1] + ratios * x[:, 1:], _SUM_KNOTS)
        explained = _of_sums(whitened, like.i, like.j, B, ratios, like.weights, total)
        share, middle = float(explained.max()), float(angles[explained.argmax()])
        width = 0.5 * width
    ridge = replace(like, ratio=math.tan(middle) * like.ratio)
    direction, feature = ridge.candidate()
    return Pair(
        direction=direction, feature=feature, explained=share, start=whitened.theta, ridge=ridge
    )


def _of_sums(
    whitened: Whitened,
    i: int,
    j: int,
    B: Tensor,
    r: Tensor,
    weights: tuple[int, int] | None,
    total: float,
) -> Tensor:
    """What functions of x_i + r x_j, as columns B (n, m, width), explain for m ratios r: (m,)."""
    ones = torch.ones_like(r)
    one, other = (ones, r) if weights is None else (w * ones for w in weights)
    pushed = whitened.inverse[:, :, i, None] * one + whitened.inverse[:, :, j, None] * other
    columns = (pushed.unsqueeze(-1) * B.unsqueeze(1)).flatten(0, 1).transpose(0, 1)  # (m, rows, w)
    U, y = whitened.known.flatten(0, 1), whitened.rest.flatten()
    return _shares(whitened, total, columns.mT @ columns, U.T @ columns, columns.mT @ y)


def ranked_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs by merit, each once: the best that was seen of it."""
    by_name: dict[str, Pair] = {}
    for p in sorted(pairs, key=lambda x: -x.explained):
        by_name.setdefault(p.name, p)
    kept = list(by_name.values())
    # Counting symbols takes longer than fitting: only for those that could come first.
    first = sorted(kept[:_COUNTED], key=lambda x: (-_merit(x), x.cost, x.name))
    return first + kept[_COUNTED:]


def coordinates_by_relevance(whitened: Whitened, robot: Robot) -> tuple[int, ...]:
    """All coordinates, those first that an unexplained force acts on or is a function of.

    By how much a force of any kind could explain there, beyond what a direction at random would,
    and by what functions of one variable explain. Where all pairs of coordinates are tried in any
    case, they keep their order.
    """
    nv = robot.nv
    if all_pairs_fit(nv):
        return tuple(range(nv))
    y, total = whitened.rest, max(whitened.beyond_known, 1e-300)
    along = torch.einsum("nij,ni->nj", whitened.inverse, y).square()
    share = (along / whitened.inverse.square().sum(1).clamp_min(1e-300)).sum(0) / total
    merit = ((share - 1.0 / nv) / (1.0 - 1.0 / nv)).tolist()
    candidates, coordinate = single_joint_candidates(nv, tuple(scalar_coordinates(robot)))
    for p in explained_pairs(whitened, robot, candidates, total):
        for name in (p.direction.name, p.feature.name):
            merit[coordinate[name]] = max(merit[coordinate[name]], p.explained)
    return tuple(sorted(range(nv), key=lambda j: -merit[j]))


def modulation_candidates(robot: Robot, term: Term, first: Sequence[int] = ()) -> ForceCandidates:
    """A term of the law as a force direction, with the features of a further factor."""
    features = list(joint_candidates(robot, first).features)
    if term.points:
        features += point_candidates(robot.nv, term.points[0], "its point").features
    one = [f for f in features if f.slots == 1]
    return ForceCandidates((ForceDirection(f"({term.name})", term.shape, term.points),), tuple(one))


def _merit(pair: Pair) -> float:
    """log of the share that is left, minus a price for symbols."""
    return -math.log(max(1.0 - pair.explained, 1e-7)) - _SYMBOL_SHARE * pair.cost
