"""Exchange of a linear subspace between two states: S, the share of the predicted change met.

At a site with values h the patch is h_b + D Eᵀ(h_s − h_b), EᵀD = 1: an oblique projection, for
nothing says that a network holds its variables at right angles. It is sought among the directions
that the output reads and, where so asked, that vary on data: what a dormant path would do is no
use. Fitted are D = R, orthonormal, and E = R + (1 − RRᵀ)M, in coordinates of unit covariance, by
Adam on the loss √(1 + e²) − 1, from the directions of a linear probe and from random ones. Width
and start are chosen on held pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from discover.inside.network.capture import Network, Site, read, written
from discover.inside.pairs import Pair, Pairs, at
from discover.judgement.thresholds import threshold, whole

WIDTHS = (1, 2, 4, 8)
Answer = Callable[[Pair, Tensor], Tensor]  # (pair, values at the site) -> answer (rows, nv)


class Basis(NamedTuple):
    """Coordinates in which a site is patched: z = h @ read, and h changes by z @ write, each
    (width, r). They have unit covariance on data: an oblique projection is one in any coordinates,
    and in these Adam sees them all. never_vary: how many directions the data do not show."""

    read: Tensor
    write: Tensor
    never_vary: int


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A fitted exchange of k directions: E and D in the coordinates of the basis, each (r, k), and
    S on held pairs; `start` says where it began."""

    k: int
    start: str
    E: Tensor
    D: Tensor
    held: float
    steps: int


def patched_answer(network: Network, site: Site) -> Answer:
    """The network's answer with other values at the site."""

    def answer(pair: Pair, flat: Tensor) -> Tensor:
        replaced = written(site, flat.to(network.dtype), network.rows)
        return network.again(pair.values, replaced)

    return answer


def basis(
    answer: Answer, site: Site, pairs: Pairs, network: Network, *, varying: bool = True
) -> Basis:
    """The directions at a site that the output reads, most read first; with `varying` within those
    that vary on data."""
    h, h_source = at(site, pairs.train, network.rows)
    both = torch.cat((h, h_source))
    values, vectors = torch.linalg.eigh(torch.cov(both.T).reshape(site.width, site.width))
    keeps = values > threshold("inside.varies") * values[-1].clamp_min(1e-300)
    frame = vectors[:, keeps] if varying else torch.eye(site.width, dtype=h.dtype)
    total = torch.zeros(site.width, site.width, dtype=torch.float64)
    for pair in pairs.train[:2]:
        for values_of in (pair.values, pair.foreign):
            place = read(site, values_of, network.rows).detach().clone().requires_grad_(True)
            own = pair._replace(values=values_of)
            y = answer(own, place) / pairs.scale.to(place)
            for i in range(y.shape[-1]):
                (g,) = torch.autograd.grad(y[:, i].sum(), place, retain_graph=True)
                g = g.double().nan_to_num()
                total += g.T @ g / len(g)
    read_by, turned = torch.linalg.eigh(frame.T @ total @ frame)
    reads = read_by > threshold("inside.reader") * read_by[-1].clamp_min(1e-300)
    directions = (frame @ turned[:, reads]).flip(-1)
    spread, axes = torch.linalg.eigh(
        torch.cov((both @ directions).T).reshape(2 * (int(reads.sum()),))
    )
    seen = spread > threshold("inside.varies") * values[-1].clamp_min(1e-300)
    spread = torch.where(seen, spread, spread[seen].median()).sqrt()
    return Basis(directions @ (axes / spread), directions @ (axes * spread), int((~keeps).sum()))


def probe_start(z: Tensor, value: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(D, M) of a linear probe: the k directions that foretell V best from z (n, r), and those in
    which z follows them."""
    centred, target = z - z.mean(0), value - value.mean(0)
    spread = target.std(0)
    target = target[:, spread > 1e-9 * spread.max().clamp_min(1e-300)]
    target = target / target.std(0)
    ridge = 1e-6 * centred.square().mean()
    gram = centred.T @ centred / len(z) + ridge * torch.eye(z.shape[1], dtype=z.dtype)
    weights = torch.linalg.solve(gram, centred.T @ target / len(z))
    left, _, _ = torch.linalg.svd(weights, full_matrices=True)
    E = left[:, :k]
    carried = gram @ E
    D = carried @ torch.linalg.inv(E.T @ carried)
    R, _ = torch.linalg.qr(D)
    projector = D @ E.T
    return R, projector.T @ R


def random_start(r: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(D, M) of a random orthogonal patch."""
    R, _ = torch.linalg.qr(torch.randn(r, k, generator=generator, dtype=torch.float64))
    return R, torch.zeros(r, k, dtype=torch.float64)


class _Trial:
    """A patch that is being fitted."""

    def __init__(self, start: tuple[Tensor, Tensor], name: str, k: int, dtype: torch.dtype) -> None:
        self.k, self.name, self.steps = k, name, 0
        self.raw = [x.to(dtype).clone().requires_grad_(True) for x in start]

    def patch(self) -> tuple[Tensor, Tensor]:
        """(E, D), each (r, k)."""
        R, _ = torch.linalg.qr(self.raw[0])
        M = self.raw[1]
        return R + M - R @ (R.mT @ M), R

    def kept(self) -> list[Tensor]:
        return [x.detach().clone() for x in self.raw]


class Problem:
    """One variable at one site: what is to change, and what does."""

    def __init__(
        self,
        answer: Answer,
        site: Site,
        frame: Basis,
        pairs: Pairs,
        network: Network,
        targets: Callable[[Sequence[Pair]], list[Tensor]],
        plain: Callable[[Pair], Tensor] | None = None,
    ) -> None:
        self.answer, self.network, self.pairs = answer, network, pairs
        self.read, self.write = (x.to(network.dtype) for x in (frame.read, frame.write))
        self.r = self.read.shape[1]
        self.targets = {id(p): t for p, t in zip(pairs.all, targets(pairs.all), strict=True)}
        own = plain or (lambda p: network.output(p.values))
        self.before = {id(p): own(p) for p in pairs.all}
        self.site = site
        self.scale = pairs.scale.to(network.dtype)
        self._values = {
            id(p): (read(site, p.values, network.rows), read(site, p.foreign, network.rows))
            for p in pairs.all
        }

    def coordinates(self, batches: Sequence[Pair]) -> Tensor:
        """Base states' values in the basis (n, r), float64."""
        base = torch.cat([self._values[id(p)][0] for p in batches])
        return (base @ self.read).double()

    def met(self, pair: Pair, E: Tensor, D: Tensor) -> Tensor:
        """The change of the answer (rows, nv) under the patch, in units of the scale."""
        h, foreign = self._values[id(pair)]
        z = ((foreign - h) @ self.read) @ E
        patched = self.answer(pair, h + (z @ D.mT) @ self.write.mT)
        return (patched - self.before[id(pair)]) / self.scale

    def missed(self, pair: Pair, E: Tensor, D: Tensor) -> Tensor:
        """What is not met (rows, nv)."""
        return self.met(pair, E, D) - self.targets[id(pair)].to(self.network.dtype)

    def mean_square(self, batches: Sequence[Pair], E: Tensor, D: Tensor) -> float:
        """Mean squared length of what is not met."""
        with torch.no_grad():
            errors = [self.missed(p, E, D).double().square().sum(-1).mean() for p in batches]
        value = float(torch.stack(errors).mean())
        return value if math.isfinite(value) else float("inf")

    def no_change(self, batches: Sequence[Pair]) -> float:
        """The same where nothing is exchanged."""
        return float(
            torch.stack([self.targets[id(p)].square().sum(-1).mean() for p in batches]).mean()
        )

    def score(self, batches: Sequence[Pair], E: Tensor, D: Tensor) -> float:
        """S = 1 − MSE / MSE(nothing exchanged); at least −100."""
        return max(1 - self.mean_square(batches, E, D) / self.no_change(batches), -100.0)


def fit(
    problem: Problem, value: Tensor, seeds: int, seed: int, widths: Sequence[int] = WIDTHS
) -> Exchange:
    """The best exchange of a few directions. value: V (n, d) in the training base states, for the
    probe's start; seeds: how many starts, the first the probe's."""
    generator = torch.Generator().manual_seed(seed)
    z = problem.coordinates(problem.pairs.train)
    dtype = problem.network.dtype
    trials = []
    for k in sorted({min(k, problem.r) for k in widths}):
        trials.append(_Trial(probe_start(z, value, k), "probe", k, dtype))
        if k < problem.r:  # else there is one patch only: everything
            trials += [
                _Trial(random_start(problem.r, k, generator), f"random {n}", k, dtype)
                for n in range(1, seeds)
            ]
    short, long = whole("inside.trial_steps"), whole("inside.steps")
    rated = [(_descended(problem, t, short), t) for t in trials]
    rated.sort(key=lambda pair: -pair[0])
    best: tuple[float, _Trial] | None = None
    for _, trial in rated[:2]:
        found = _descended(problem, trial, long)
        if best is None or found > best[0]:
            best = (found, trial)
        if found > threshold("inside.met"):
            break
    assert best is not None  # there is at least one width
    held, trial = best
    with torch.no_grad():
        E, D = trial.patch()
    return Exchange(k=trial.k, start=trial.name, E=E, D=D, held=held, steps=trial.steps)


def _descended(problem: Problem, trial: _Trial, steps: int) -> float:
    """Let Adam run; the trial then stands at its best on held pairs, whose S is returned."""
    adam = torch.optim.Adam(trial.raw, lr=threshold("inside.step_size"))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    held = problem.pairs.held
    with torch.no_grad():
        best, at_best = problem.score(held, *trial.patch()), trial.kept()
    every = max(1, steps // 6)
    for step in range(steps):
        pair = problem.pairs.train[step % len(problem.pairs.train)]
        missed = problem.missed(pair, *trial.patch())
        loss = ((1 + missed.square().sum(-1)).sqrt() - 1).mean()
        if not torch.isfinite(loss):
            break
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        trial.steps += 1
        if (step + 1) % every == 0 or step + 1 == steps:
            with torch.no_grad():
                found = problem.score(held, *trial.patch())
            if found > best:
                best, at_best = found, trial.kept()
            if found > threshold("inside.met"):
                break
    with torch.no_grad():
        for x, y in zip(trial.raw, at_best, strict=True):
            x.copy_(y)
    return best
