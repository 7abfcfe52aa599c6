"""Coordinates in which a site is patched: what the output reads of it, and what else it holds.

What is written must be written where the output reads: what a dormant path would do is no use. What
is read in the source state may, of a variable that is only ever added, be anything that the site
holds (wide): a network that holds C and tau and computes tau − C reads nothing but the difference,
so an exchange that sees the difference alone finds no C, though C can be exchanged exactly. Up to
a linear map that network is the same as one that holds tau − C and, unused beside it, C: no
exchange at this site tells the two apart. Factors are read narrowly, or a pivot that lies unused
beside a used mass matrix, to which it is added, would pass for used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from discover.inside.network.capture import Network, Site, read
from discover.inside.pairs import Pair, Pairs, at
from discover.judgement.thresholds import threshold, whole

Answer = Callable[[Pair, Tensor], Tensor]  # (pair, values at the site) -> answer (rows, nv)


class Basis(NamedTuple):
    """Coordinates of a site: z = h @ read, and h changes by z @ write.mT, each (width, p). They
    have unit covariance on data: an oblique projection is one in any coordinates, and in these Adam
    sees them all. The first `read_by_output` are those that the output reads; the others are what
    is left of the site once these are known, and writing to them does nothing. never_vary: how
    many directions the data do not show."""

    read: Tensor
    write: Tensor
    read_by_output: int
    never_vary: int

    def narrow(self) -> Basis:
        """Without what the output does not read."""
        r = self.read_by_output
        return self._replace(read=self.read[:, :r], write=self.write[:, :r])


def basis(
    answer: Answer, site: Site, pairs: Pairs, network: Network, *, varying: bool = True
) -> Basis:
    """The coordinates of a site, those that the output reads first; with `varying` within the
    directions that vary on data."""
    h, h_source = at(site, pairs.train, network.rows)
    both = torch.cat((h, h_source))
    least = threshold("inside.varies")
    unit = both.std(0).maximum(least**0.5 * both.abs().amax(0))  # a site may mix kg·m² and N·m
    unit = torch.where(unit > 0, unit, 1.0)
    both, slopes = both / unit, _slopes(answer, site, pairs, network) * unit
    room = _room(both, slopes)
    both, slopes = both @ room, slopes @ room
    values, vectors = torch.linalg.eigh(_covariance(both))
    keeps = values > least * values[-1].clamp_min(1e-300)
    frame = vectors[:, keeps] if varying else torch.eye(len(values), dtype=h.dtype)
    read_by, turned = torch.linalg.eigh(frame.T @ (slopes.T @ slopes) @ frame)
    reads = read_by > threshold("inside.reader") * read_by[-1].clamp_min(1e-300)
    known = frame @ turned[:, reads].flip(-1)
    to, back, _ = _whitened(both, known, least * values[-1])
    rest = frame @ turned[:, ~reads]
    beside = torch.zeros(len(values), 0, dtype=h.dtype)
    if rest.shape[1]:
        shown, hidden = both @ to, both @ rest
        shown, hidden = shown - shown.mean(0), hidden - hidden.mean(0)
        follows = shown.T @ hidden / len(shown)  # the shown have unit covariance
        beside, _, seen = _whitened(both, rest - to @ follows, least * values[-1])
        beside = beside[:, seen]
    return Basis(
        room @ torch.cat((to, beside), -1) / unit.unsqueeze(-1),
        room @ torch.cat((back, torch.zeros_like(beside)), -1) * unit.unsqueeze(-1),
        to.shape[1],
        int((~keeps).sum()) if room.shape[0] == room.shape[1] else 0,
    )


def _covariance(x: Tensor) -> Tensor:
    """(m, m), of one column too."""
    return torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def _whitened(both: Tensor, directions: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(read, write, seen) of some directions (n, r): z = h @ read has unit covariance, and h
    changes by z @ write.mT; of those whose variance is not above `least` (not seen) the middle of
    the others is taken for it."""
    spread, axes = torch.linalg.eigh(_covariance(both @ directions))
    seen = spread > least
    middle = spread[seen].median() if seen.any() else torch.ones((), dtype=spread.dtype)
    spread = torch.where(seen, spread, middle).sqrt()
    return directions @ (axes / spread), directions @ (axes * spread), seen


def _slopes(answer: Answer, site: Site, pairs: Pairs, network: Network) -> Tensor:
    """Slopes of each joint's answer by the site's values (n, width), over the scale, in some of the
    pairs' states; so many rows that their products are the mean over states."""
    found = []
    for pair in pairs.train[:2]:
        for values_of in (pair.values, pair.foreign):
            place = read(site, values_of, network.rows).detach().clone().requires_grad_(True)
            own = pair._replace(values=values_of)
            y = answer(own, place) / pairs.scale.to(place)
            for i in range(y.shape[-1]):
                (g,) = torch.autograd.grad(y[:, i].sum(), place, retain_graph=True)
                found.append(g.double().nan_to_num() / len(g) ** 0.5)
    return torch.cat(found)


def _room(both: Tensor, slopes: Tensor) -> Tensor:
    """Orthonormal directions (width, n) that are looked at: of a wide site those that the output
    reads most and that vary most, half each; of others all."""
    width, most = both.shape[1], whole("inside.width")
    if width <= most:
        return torch.eye(width, dtype=both.dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the random projections of a truncated decomposition
        parts = [
            torch.svd_lowrank(x, q=min(most // 2, *x.shape))[2]
            for x in (slopes, both - both.mean(0))
        ]
    return torch.linalg.qr(torch.cat(parts, -1))[0]
