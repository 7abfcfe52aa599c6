"""Which places of a network are looked at: those that hold something new, spread over its depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from discover.errors import ModelError
from discover.inside.network.capture import Network, Site, read
from discover.inside.pairs import Pair, Pairs
from discover.judgement.thresholds import threshold


def chosen(
    network: Network, pairs: Pairs, wanted: Sequence[str] | None
) -> tuple[list[Site], list[str]]:
    """The sites of these names, or those found: values through which everything passes, where there
    are two at least, else all that is alive at a time. And in words which of them are one.

    Sites that are linear maps of each other are one site: exchanges of linear subspaces are the
    same in both. Of those found that stand beside each other the last is looked at, of those named
    the first. Of those found, what linear maps make of the inputs or of the answer is left out.
    Raises ModelError where nothing is left.
    """
    batches = pairs.train[:4]
    if wanted is not None:
        return _distinct(network, batches, network.named(list(wanted)))
    found = network.candidates()
    inputs = torch.cat([torch.cat(p.base, dim=-1) for p in batches]).double()
    answers = torch.cat([network.output(p.values) for p in batches]).double()
    images = {s.name: list(s.images) for s in found}
    kept: list[tuple[Site, Tensor]] = []
    for site in found:
        h = torch.cat([read(site, p.values, network.rows) for p in batches]).double()
        if not h.isfinite().all() or linear_in(h, inputs) or linear_in(h, answers):
            continue
        if kept and linear_in(h, kept[-1][1]) and linear_in(kept[-1][1], h):
            earlier = kept.pop()
            dropped = earlier[0]
            if dropped.alone and not site.alone:
                dropped, (site, h) = site, earlier
            images[site.name] += [dropped.name, *images[dropped.name]]
        kept.append((site, h))
    sites = [s for s, _ in kept]
    if sum(s.alone for s in sites) >= 2:
        sites = [s for s in sites if s.alone]
    if not sites:
        raise ModelError(
            "sites cannot be addressed: between inputs and output there is nothing but linear "
            "maps; name some (sites=…) or export the network to .pt2"
        )
    return sites, [_one(s.name, images[s.name]) for s in sites if images[s.name]]


def _one(site: str, images: Sequence[str]) -> str:
    return f"one site, for each is a linear map of the others: {', '.join((site, *images))}"


def _distinct(
    network: Network, batches: Sequence[Pair], sites: Sequence[Site]
) -> tuple[list[Site], list[str]]:
    """The sites without those that are linear maps of an earlier one and back, and which those
    are."""
    kept: list[tuple[Site, Tensor, list[str]]] = []
    for site in sites:
        h = torch.cat([read(site, p.values, network.rows) for p in batches]).double()
        twins = [k for k in kept if linear_in(h, k[1]) and linear_in(k[1], h)]
        if twins:
            twins[0][2].append(site.name)
        else:
            kept.append((site, h, []))
    return [s for s, _, _ in kept], [_one(s.name, images) for s, _, images in kept if images]


def thinned(sites: Sequence[Site], most: int) -> list[Site]:
    """So many of them at most, evenly from the first to the last."""
    if len(sites) <= most:
        return list(sites)
    places = torch.linspace(0, len(sites) - 1, most).round().long().tolist()
    return [sites[k] for k in dict.fromkeys(places)]


def linear_in(y: Tensor, x: Tensor) -> bool:
    """Whether every direction in which y (n, m) varies is an affine function of x (n, r), on these
    samples; False where there are too few to tell."""
    if x.shape[1] > len(x) // 2:
        return False
    y, x = y - y.mean(0), x - x.mean(0)
    values, vectors = torch.linalg.eigh(y.T @ y / len(y))
    varies = values > threshold("inside.reader") * values[-1].clamp_min(1e-300)
    directions = y @ (vectors[:, varies] / values[varies].sqrt())
    fitted = x @ torch.linalg.lstsq(x, directions, driver="gelsd").solution
    return bool(((directions - fitted).square().mean(0) < threshold("inside.linear")).all())
