"""What is decodable: linear probes of a variable at a site, beside controls that know no physics.

A weak observation, and no more: whatever a smooth function of the same coordinates is, a wide
layer holds it linearly. It says nothing of use.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from discover.inside.counterfactuals import Variable
from discover.inside.network.capture import Network, Site, read
from discover.inside.pairs import Pair, Pairs

RIDGES = (1e-9, 1e-6, 1e-3)
RANDOM_TANH, RANDOM_CENTRES = 512, 400


def explained(
    features: Sequence[Tensor], targets: Sequence[Tensor], ridges: Sequence[float] = RIDGES
) -> float:
    """R² (the worst of V's numbers that vary) on the third part of a ridge regression fitted on the
    first; the ridge is chosen on the second. Each part (n, r) and (n, d)."""
    mean, spread = features[0].mean(0), features[0].std(0)
    usable = spread > 1e-9 * spread.max().clamp_min(1e-300)
    x = [((f - mean) / spread)[:, usable] for f in features]
    centre, width = targets[0].mean(0), targets[0].std(0)
    varies = width > 1e-9 * width.max().clamp_min(1e-300)
    y = [((t - centre) / width)[:, varies] for t in targets]
    gram = x[0].T @ x[0] / len(x[0])
    right = x[0].T @ y[0] / len(x[0])
    best: tuple[float, Tensor] | None = None
    for ridge in ridges:
        eye = torch.eye(len(gram), dtype=gram.dtype)
        weights = torch.linalg.solve(gram + ridge * eye, right)
        error = float((x[1] @ weights - y[1]).square().mean())
        if best is None or error < best[0]:
            best = (error, weights)
    assert best is not None  # there is a ridge at least
    missed = (x[2] @ best[1] - y[2]).square().mean(0)
    return float((1 - missed / y[2].var(0, correction=0)).min())


def values_of(variable: Variable, pairs: Pairs) -> list[Tensor]:
    """V at the base states of the three sets, each (n, d)."""
    sets = (pairs.train, pairs.held, pairs.test)
    return [torch.cat([variable.value(p.at_base) for p in batches]) for batches in sets]


def at_site(network: Network, site: Site, pairs: Pairs) -> list[Tensor]:
    """What the site holds at the base states of the three sets, each (n, width)."""

    def held(batches: Sequence[Pair]) -> Tensor:
        return torch.cat([read(site, p.values, network.rows) for p in batches]).double()

    return [held(batches) for batches in (pairs.train, pairs.held, pairs.test)]


def input_controls(pairs: Pairs, seed: int) -> dict[str, list[Tensor]]:
    """Features of the inputs alone: themselves, their products, random tanh units, and random
    radial functions, for each of the three sets."""
    sets = (pairs.train, pairs.held, pairs.test)
    raw = [torch.cat([torch.cat(p.base, dim=-1) for p in batches]).double() for batches in sets]
    mean, spread = raw[0].mean(0), raw[0].std(0).clamp_min(1e-12)
    x = [(r - mean) / spread for r in raw]
    generator = torch.Generator().manual_seed(seed)
    n = x[0].shape[1]
    i, j = torch.tril_indices(n, n)
    weight = torch.randn(n, RANDOM_TANH, generator=generator, dtype=torch.float64) / n**0.5
    offset = torch.randn(RANDOM_TANH, generator=generator, dtype=torch.float64)
    centres = x[0][torch.randperm(len(x[0]), generator=generator)[:RANDOM_CENTRES]]
    return {
        "linear": x,
        "quadratic": [torch.cat((r, r[:, i] * r[:, j]), dim=-1) for r in x],
        "random tanh": [torch.tanh(2 * r @ weight + offset) for r in x],
        "radial": [torch.exp(-torch.cdist(r, centres).square() / (2 * n)) for r in x],
    }
