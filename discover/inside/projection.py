"""Exchange of a linear subspace between two states: S, the share of the predicted change met.

At a site with values h the patch is h_b + D Eᵀ(h_s − h_b), EᵀD = 1: an oblique projection, for
nothing says that a network holds its variables at right angles. It writes along the directions that
the output reads and, where so asked, that vary on data: what a dormant path would do is no use. It
reads along the same ones (narrow), or along all that the site holds (wide, see frames.py). Fitted
are D = R, orthonormal, and E = R + (1 − RRᵀ)M, in coordinates of unit covariance, by Adam on the
loss √(1 + e²) − 1, from the directions of a linear probe and from random ones. Width, reading and
start are chosen on held pairs: all begin, and fewer and fewer go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discover.inside.frames import Answer, Basis
from discover.inside.network.capture import Network, Site, read, written
from discover.inside.pairs import Pair, Pairs
from discover.judgement.thresholds import threshold, whole

WIDTHS = (1, 2, 4, 8)  # beside the variable's own, which is what an exact circuit needs
WIDE = "wide"


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


def own_width(value: Tensor) -> int:
    """How many independent numbers V (n, d) has on data, up to linear maps."""
    centred = value - value.mean(0)
    values = torch.linalg.svdvals(centred / centred.std(0).max().clamp_min(1e-300))
    return max(1, int((values.square() > threshold("inside.varies") * values[0].square()).sum()))


def probe_start(
    z: Tensor, value: Tensor, k: int, kept: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(D, M) of a linear probe: the k directions that foretell V (n, d) best from z (n, r), and
    those in which z follows them. With `kept` (n, e) those in which what z tells of these numbers
    does not move: what goes along with V on data is not part of it."""
    weights, gram, _ = _probed(z, value)
    left, _, _ = torch.linalg.svd(weights, full_matrices=True)
    E = left[:, :k]
    carried = gram @ E
    D = carried @ torch.linalg.inv(E.T @ carried)
    if kept is not None:
        told, _, explained = _probed(z, kept)
        told = told[:, explained > threshold("inside.told")]
        sides, sizes, _ = torch.linalg.svd(told, full_matrices=False)
        least = threshold("inside.told_apart")
        both = torch.cat((E, sides[:, sizes > least * sizes.amax()] if len(sizes) else sides), -1)
        apart = torch.linalg.pinv(both.T, rtol=least)[
            :, :k
        ]  # moves V, and nothing else that is told
        if torch.linalg.matrix_norm(E.T @ apart - torch.eye(k, dtype=z.dtype)) < 1e-6:
            D = apart
    R, _ = torch.linalg.qr(D)
    projector = D @ E.T
    return R, projector.T @ R


def _probed(z: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (r, d) of a linear probe of V's numbers that vary, in units of their spread; the
    covariance of z (r, r); and R² of each."""
    centred, target = z - z.mean(0), value - value.mean(0)
    spread = target.std(0)
    target = target[:, spread > 1e-9 * spread.max().clamp_min(1e-300)]
    target = target / target.std(0)
    ridge = 1e-6 * centred.square().mean()
    gram = centred.T @ centred / len(z) + ridge * torch.eye(z.shape[1], dtype=z.dtype)
    weights = torch.linalg.solve(gram, centred.T @ target / len(z))
    return weights, gram, 1 - (centred @ weights - target).square().mean(0)


def random_start(r: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(D, M) of a random orthogonal patch."""
    R, _ = torch.linalg.qr(torch.randn(r, k, generator=generator, dtype=torch.float64))
    return R, torch.zeros(r, k, dtype=torch.float64)


class Trial:
    """A patch that is being fitted, in the first coordinates of a site: D and M each (r, k)."""

    def __init__(self, start: tuple[Tensor, Tensor], name: str, k: int, dtype: torch.dtype) -> None:
        self.k, self.name, self.steps, self.held = k, name, 0, -math.inf
        self.rate = threshold("inside.step_size")
        self.raw = [x.to(dtype).clone().requires_grad_(True) for x in start]

    def patch(self) -> tuple[Tensor, Tensor]:
        """(E, D), each (r, k)."""
        R, _ = torch.linalg.qr(self.raw[0])
        M = self.raw[1]
        return R + M - R @ (R.mT @ M), R

    def kept(self) -> list[Tensor]:
        """Copies of what is fitted."""
        return [x.detach().clone() for x in self.raw]

    def exchange(self) -> Exchange:
        """As it stands."""
        with torch.no_grad():
            E, D = self.patch()
        return Exchange(k=self.k, start=self.name, E=E, D=D, held=self.held, steps=self.steps)


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
        self.r = frame.read_by_output
        self.targets = {id(p): t for p, t in zip(pairs.all, targets(pairs.all), strict=True)}
        own = plain or (lambda p: network.output(p.values))
        self.before = {id(p): own(p) for p in pairs.all}
        self.site = site
        self.scale = pairs.scale.to(network.dtype)
        self._values = {
            id(p): (read(site, p.values, network.rows), read(site, p.foreign, network.rows))
            for p in pairs.all
        }
        self._apart = {at: (s - b) @ self.read for at, (b, s) in self._values.items()}

    def coordinates(self, batches: Sequence[Pair]) -> Tensor:
        """Base states' values in the basis (n, p), float64."""
        base = torch.cat([self._values[id(p)][0] for p in batches])
        return (base @ self.read).double()

    def met(self, pair: Pair, E: Tensor, D: Tensor) -> Tensor:
        """The change of the answer (rows, nv) under the patch, in units of the scale; E and D may
        stand for the first coordinates only."""
        h, _ = self._values[id(pair)]
        z = self._apart[id(pair)][:, : len(E)] @ E
        patched = self.answer(pair, h + z @ (self.write[:, : len(D)] @ D).mT)
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


def raced(
    problem: Problem,
    values: Sequence[Tensor],
    kept: Tensor,
    seeds: int,
    seed: int,
    widths: Sequence[int] = WIDTHS,
) -> list[Trial]:
    """All starts after a few steps, fewer of them after more: the best first.

    values  V in the training base states, for the probe's start, each (n, d); beside the first, the
            same in other numbers. `widths` are tried of the first, and of each its own.
    kept    (n, d) what the algorithm has beside V, and an exchange of V leaves as it is
    seeds   how many starts, the first the probe's
    """
    rated = _starts(problem, values, kept, seeds, seed, widths)
    for steps, go_on in _ROUNDS:
        for trial in rated:
            descend(problem, trial, whole(steps) if steps else 0)
            if trial.held > threshold("inside.met"):
                return [trial]
        rated.sort(key=lambda t: -t.held)
        rated = rated[: whole(go_on)]
    return rated


# steps that all are given, and how many go on
_ROUNDS = (
    ("", "inside.begun_kept"),
    ("inside.first_steps", "inside.first_kept"),
    ("inside.trial_steps", "inside.trials_kept"),
)


def _starts(
    problem: Problem,
    values: Sequence[Tensor],
    kept: Tensor,
    seeds: int,
    seed: int,
    widths: Sequence[int],
) -> list[Trial]:
    """Narrow before wide, and of either the fewest directions first: the first that is met ends."""
    generator = torch.Generator().manual_seed(seed)
    z = problem.coordinates(problem.pairs.train)
    dtype = problem.network.dtype
    trials = []
    for reading, r in (("probe", problem.r), (f"probe, {WIDE}", z.shape[1])):
        if reading != "probe" and r == problem.r:
            continue
        seen = z[:, :r]
        tried = {(min(k, r), 0) for k in widths}
        tried |= {(min(own_width(value), r), n) for n, value in enumerate(values)}
        for k, n in sorted(tried):
            trials.append(Trial(probe_start(seen, values[n], k), reading, k, dtype))
        for value in values:
            k = min(own_width(value), r)
            start = probe_start(seen, value, k, kept)
            trials.append(Trial(start, f"{reading}, rest kept", k, dtype))
        if reading == "probe":
            for k in sorted({min(own_width(value), r) for value in values} - {r}):
                trials += [
                    Trial(random_start(r, k, generator), f"random {m}", k, dtype)
                    for m in range(1, seeds)
                ]
    return trials


def finished(problem: Problem, rated: Sequence[Trial], enough: float | None = None) -> Trial:
    """The best of them after all steps; it ends at the first whose S on held pairs is `enough`."""
    enough = threshold("inside.met") if enough is None else enough
    for trial in rated:
        if trial.held <= enough:
            descend(problem, trial, whole("inside.steps"), enough)
        if trial.held > enough:
            return trial
    return max(rated, key=lambda t: t.held)


def fit(
    problem: Problem,
    values: Sequence[Tensor],
    kept: Tensor,
    seeds: int,
    seed: int,
    widths: Sequence[int] = WIDTHS,
) -> Exchange:
    """The best exchange of a few directions: see `raced` and `finished`."""
    return finished(problem, raced(problem, values, kept, seeds, seed, widths)).exchange()


def descend(problem: Problem, trial: Trial, steps: int, enough: float | None = None) -> None:
    """Let Adam run; the trial then stands at its best on held pairs, whose S it keeps.

    Counterfactuals with a nearly singular mass matrix make the loss steep in places: where a step
    makes it much worse, on the pairs at hand or on held ones, it goes back to the best and on in
    smaller steps.
    """
    enough = threshold("inside.met") if enough is None else enough
    held, train = problem.pairs.held, problem.pairs.train
    with torch.no_grad():
        best, at_best = problem.score(held, *trial.patch()), trial.kept()
    rate, usual, far = trial.rate, math.inf, threshold("inside.blown")
    adam: torch.optim.Adam | None = None
    every = max(whole("inside.first_steps") // 2, steps // whole("inside.looks"))
    for step in range(0 if best > enough else steps):
        if adam is None:
            adam, usual = torch.optim.Adam(trial.raw, lr=rate), math.inf
        for group in adam.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        missed = problem.missed(train[step % len(train)], *trial.patch())
        loss = ((1 + missed.square().sum(-1)).sqrt() - 1).mean()
        trial.steps += 1
        value = float(loss.detach())
        worse = not value <= far * usual
        if not worse:
            usual = min(usual, value)
            adam.zero_grad()
            loss.backward()
            adam.step()
        if not worse and (step + 1) % every and step + 1 < steps:
            continue
        with torch.no_grad():
            found = problem.score(held, *trial.patch())
        if found > best:
            best, at_best = found, trial.kept()
        elif worse or 1 - found > far * (1 - best):
            _put(trial, at_best)
            rate, adam = rate * threshold("inside.step_shrinks"), None
        if best > enough:
            break
    _put(trial, at_best)
    trial.held, trial.rate = best, rate


def _put(trial: Trial, raw: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for x, y in zip(trial.raw, raw, strict=True):
            x.copy_(y)
