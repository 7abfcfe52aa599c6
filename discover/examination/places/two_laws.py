"""Two laws: one that the model follows inside, another one beyond a surface.

A lookup table follows some law poorly inside, and beyond its samples it is constant or junk. A
model of two laws follows each of them closely on its side of one surface, on fresh answers: the
first one past the edge of the region as well, where samples end. Then what the model does far out
is no sign of a table.

Laws are fitted to answers that were asked before; new ones are asked where the surface is looked
for, and to test both laws and the surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import AXES
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen
from discover.examination.opening.trimmed import trimmed
from discover.examination.places.outer import OuterLaw, best_rms, outer_law, row_errors
from discover.examination.places.record import Places
from discover.examination.places.surface import (
    Surface,
    crossings,
    offsets,
    quantities,
    surface_of,
    width_of,
)
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import refit

_KEPT = threshold("places.kept")
_DESCRIBED = threshold("places.described")
_HOLDS = threshold("places.holds")
_CLEARLY = threshold("places.clearly")
_SEPARABLE = threshold("places.separable")
_PAST = threshold("places.past")
_FEWEST = whole("places.fewest")
_CONSTANT = threshold("probes.constant_spread")
_NOISE = 3.0  # noise levels that an answer may be off by
_ROUNDS = 3  # in which the law inside is fitted to the answers that are its
_WIDTHS = 4.0  # of a soft surface, in which neither law is tested
_MARGIN = 0.03  # of the spread of the quantity, in which neither law is tested
_TESTED, _INSIDE = 24, 40  # fresh answers in each of four shells, and in the region
_SHELL = (1.0, 3.0)  # half-widths, in which fresh answers lie
_APART = 0.1  # of the spread: two laws that differ by less are not told apart at a state
_FLOOR = 1e-7  # relative: rounding


@dataclass(frozen=True, kw_only=True)
class TwoLaws:
    """The laws, and the surface between them.

    error    the larger of the two laws' errors on fresh answers on their sides, beyond noise; that
             of the first one past the region's edge too
    blended  relative error in the region and further out of both together, through the surface's
             width: as small as rounding where the model is nothing but these two
    law_from which answers the first law was fitted to, in words
    """

    inner: Fit
    outer: OuterLaw
    surface: Surface
    error: float
    blended: float
    places: Places
    law_from: str


def two_laws(session: QuerySession, screen: Screen, laws: Sequence[Fit]) -> TwoLaws | None:
    """What two laws describe the model, one of them near one of `laws` or near bodies that describe
    a part of the region; None where there are none. Asks at most 400 states more."""
    region, pool = _answers(session)
    noise = _NOISE * screen.noise.level
    inner = _inner(session, screen, laws, region, noise)
    if inner is None:
        return None
    off = row_errors(inner.predict, pool, inner.scale) > max(_APART, noise)
    far = pool[off]
    if len(far) < 2 * _FEWEST or int((~off).sum()) < _FEWEST:
        return None
    spread = (far.a - far.a.median(0).values).abs().median(0).values
    if bool((spread <= (_CONSTANT + noise) * inner.scale).all()):
        return None
    unit = torch.minimum(inner.scale, spread.clamp_min(_CONSTANT * inner.scale))
    blur = noise * float((inner.scale / unit).max())
    enough = max(_HOLDS, blur)
    outer = outer_law(session, inner, far[::2], far[1::2], unit, max(_FLOOR, blur), enough)
    if outer.constant or outer.error > enough:
        return None
    return _with_surface(session, screen, inner, outer, pool, unit)


def _answers(session: QuerySession) -> tuple[Answers, Answers]:
    """(answers in the region, all answers) that were asked before and are finite."""
    inside = [session.answers[k] for k in ("inside", "held out") if k in session.answers]
    shells = [x for k, x in session.answers.items() if k.split(" ")[0] in AXES and "-" in k]
    region, pool = Answers.concat(inside), Answers.concat([*inside, *shells])
    finite = [x[torch.isfinite(x.a).all(-1)] for x in (region, pool)]
    return finite[0], finite[1]


def _inner(
    session: QuerySession, screen: Screen, laws: Sequence[Fit], region: Answers, noise: float
) -> Fit | None:
    """The law of most of the region, fitted to the answers that it describes best; None without
    one."""
    near = [_on_its_own(law, region) for law in laws]
    best = min(near, key=lambda f: _level(f, region))
    if _level(best, region) > max(_HOLDS, noise):
        # A surface may cut the region.
        part = trimmed(session, region, max(_FLOOR, screen.level)).law
        best = min((best, _on_its_own(part, region)), key=lambda f: _level(f, region))
        best = replace(best, scale=near[0].scale)
    return best if _level(best, region) <= max(_DESCRIBED, noise) else None


def _level(law: Fit, x: Answers) -> float:
    return best_rms(row_errors(law.predict, x, law.scale), _KEPT)


def _on_its_own(law: Fit, x: Answers) -> Fit:
    """The law, fitted again to the answers that it describes best."""
    for _ in range(_ROUNDS):
        rows = row_errors(law.predict, x, law.scale)
        best = rows.argsort()[: round(_KEPT * len(rows))]
        closer = refit(law, x[best], law.family.terms)
        if not _level(closer, x) < _level(law, x):
            break
        law = closer
    return law


def _with_surface(
    session: QuerySession,
    screen: Screen,
    inner: Fit,
    outer: OuterLaw,
    pool: Answers,
    unit: Tensor,
) -> TwoLaws | None:
    """Both laws with the surface between them, tested on fresh answers."""
    noise = _NOISE * screen.noise.level
    own, other = _sides(inner, outer, pool, noise)
    if min(int(own.sum()), int(other.sum())) < _FEWEST:
        return None
    at, on_the_way = crossings(
        session, pool[own], pool[other], lambda x: _share(inner, outer, x) > 0.5
    )
    surface = surface_of(quantities(session, inner), at, pool[own | other], other[own | other])
    if surface is None:
        return None
    fresh = _fresh(session)
    seen = Answers.concat([pool, on_the_way, fresh])
    seen = seen[_distinct(inner, outer, seen) > max(_APART, noise)]
    level, width = width_of(surface, seen, _share(inner, outer, seen))
    surface = replace(surface, level=level, width=width)
    for _ in range(_ROUNDS if width > 0 else 0):
        inner, outer = _parted(session, screen, inner, outer, surface, pool, unit)
        level, width = width_of(surface, seen, _share(inner, outer, seen))
        surface = replace(surface, level=level, width=width)
    return _tested(session, screen, inner, outer, surface, pool, fresh, unit)


def _parted(
    session: QuerySession,
    screen: Screen,
    inner: Fit,
    outer: OuterLaw,
    surface: Surface,
    x: Answers,
    unit: Tensor,
) -> tuple[Fit, OuterLaw]:
    """Both laws, fitted again to the answers on their sides without what these have of the other
    law, where that leaves them closer."""
    share = surface.share(x)[:, None]
    p, q = inner.predict(x.q, x.v, x.tau), outer.predict(x.q, x.v, x.tau)
    own = replace(x, a=(x.a - share * q) / (1 - share).clamp_min(0.5))[share[:, 0] < 0.5]
    other = replace(x, a=(x.a - (1 - share) * p) / share.clamp_min(0.5))[share[:, 0] > 0.5]
    own, other = (y[torch.isfinite(y.a).all(-1)] for y in (own, other))
    closer = refit(inner, own, inner.family.terms)
    if _level(closer, own) > _level(inner, own):
        closer = inner
    blur = _NOISE * screen.noise.level * float((inner.scale / unit).max())
    enough = max(_HOLDS, blur)
    again = outer_law(
        session,
        closer,
        other[::2],
        other[1::2],
        unit,
        max(_FLOOR, blur),
        enough,
        stopped=outer.stopped,
    )
    error = best_rms(row_errors(outer.predict, other[1::2], unit), _KEPT)
    return closer, again if again.error <= error and not again.constant else outer


def _sides(inner: Fit, outer: OuterLaw, x: Answers, noise: float) -> tuple[Tensor, Tensor]:
    """Which answers (n,) clearly follow the inner law, and which the outer one."""
    a, b = (row_errors(law.predict, x, inner.scale) for law in (inner, outer))
    own = (a < b / _CLEARLY) & (a < max(_DESCRIBED, noise))
    other = (b < a / _CLEARLY) & (b < max(_DESCRIBED, noise))
    apart = _distinct(inner, outer, x) > max(_APART, noise)
    return own & apart, other & apart


def _distinct(inner: Fit, outer: OuterLaw, x: Answers) -> Tensor:
    """By how much the two laws differ (n,), relative to the answers."""
    p, q = inner.predict(x.q, x.v, x.tau), outer.predict(x.q, x.v, x.tau)
    apart = ((p - q) / inner.scale).square().mean(-1).sqrt()
    size = (x.a / inner.scale).square().mean(-1).sqrt().clamp_min(1.0)
    return torch.nan_to_num(apart / size, nan=0.0)


def _share(inner: Fit, outer: OuterLaw, x: Answers) -> Tensor:
    """What of the outer law the answers have (n,): 0 is the inner law's answer, 1 the outer's."""
    p, q = inner.predict(x.q, x.v, x.tau), outer.predict(x.q, x.v, x.tau)
    way, gone = (q - p) / inner.scale, (x.a - p) / inner.scale
    share = (way * gone).sum(-1) / way.square().sum(-1).clamp_min(1e-300)
    return torch.nan_to_num(share, nan=1.0)


def _fresh(session: QuerySession) -> Answers:
    """Answers in the region and about it that nothing was fitted to."""
    seed = session.seed + 223
    batches = [session.draw("places", _INSIDE)]
    batches += [
        session.support.shell(axis, *_SHELL, _TESTED, seed + i) for i, axis in enumerate(AXES)
    ]
    # Close to the region's edge as well: there a table's samples end.
    batches += [session.support.shell("joint", 1.0, 1.5, _TESTED, seed + 9)]
    x = Answers.concat([session.ask(*b) for b in batches])
    return x[torch.isfinite(x.a).all(-1) & ~session.entered(x)]


def _tested(
    session: QuerySession,
    screen: Screen,
    inner: Fit,
    outer: OuterLaw,
    surface: Surface,
    pool: Answers,
    fresh: Answers,
    unit: Tensor,
) -> TwoLaws | None:
    """The two laws, where each holds on its side on fresh answers; else None."""
    level = screen.noise.level
    blur = level * float((inner.scale / unit).max())
    excess = surface.excess(fresh)
    margin = max(_WIDTHS * surface.width, _MARGIN * float(surface.quantity.values(pool).std()))
    sharp, soft = excess.abs() > margin, excess.abs() <= margin
    together = _blended(inner, outer, surface)
    rows = row_errors(together, fresh, inner.scale)
    # Between the two laws answers count where the surface's width explains them.
    explained = surface.width > 0 and float(rows.square().mean().sqrt()) <= _HOLDS + _NOISE * level
    judged = sharp | soft if explained else sharp
    before, after = judged & (excess < 0), judged & (excess > 0)
    if min(int(before.sum()), int(after.sum())) < _FEWEST:
        return None
    size = torch.stack(_distances(session, fresh)).amax(0)
    past = before & (size > _PAST)
    if int(past.sum()) < _FEWEST:
        return None
    inside, further = (_beyond(rows[some], level) for some in (before, past))
    outside = _beyond(row_errors(together, fresh, unit)[after], blur)
    apart = _distinct(inner, outer, fresh) > max(_APART, _NOISE * level)
    follows = (_share(inner, outer, fresh) > 0.5) == (excess > 0)
    clear = apart & sharp
    if not bool(clear.any()):
        return None
    agreement = float(follows[clear].double().mean())
    if agreement < _SEPARABLE:
        return None
    blended = float(rows.square().mean().sqrt())
    error = max(inside, outside, further)
    joints = {t.name for t in joint_terms(session.robot)}
    plain = not inner.family.non_additive and all(t.name in joints for t in inner.family.terms)
    places = Places(
        inside="physics" if plain else "a law",
        outside=outer.words,
        quantity=surface.quantity.name,
        unit=surface.quantity.unit,
        groups=list(surface.quantity.groups),
        level=surface.level,
        side="above" if surface.side > 0 else "below",
        width=surface.width,
        error_inside=inside,
        error_outside=outside,
        agreement=agreement,
    )
    count = int((surface.excess(pool) < 0).sum())
    return TwoLaws(
        inner=inner,
        outer=outer,
        surface=surface,
        error=error,
        blended=blended,
        places=places,
        law_from=f"{count} answers on its side of a surface, without what they have of another law",
    )


def _distances(session: QuerySession, x: Answers) -> list[Tensor]:
    """Distance from the region's centre by group (n,), in half-widths."""
    return [z.abs().amax(-1) for z in offsets(session, x).values()]


def _beyond(rows: Tensor, noise: float) -> float:
    """Root mean square of errors, beyond noise."""
    return max(float(rows.square().mean()) - noise**2, 0.0) ** 0.5


def _blended(inner: Fit, outer: OuterLaw, surface: Surface):
    """(q, v, tau) -> a of both laws, through the surface's width."""

    def predict(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        x = Answers(q=q, v=v, tau=tau, a=v)
        share = surface.share(x)[:, None]
        return (1 - share) * inner.predict(q, v, tau) + share * outer.predict(q, v, tau)

    return predict
