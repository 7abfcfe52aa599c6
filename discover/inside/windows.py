"""Windows over depth: between which sites each step of an elimination can be exchanged, and whether
they open and close in the order of the recursion.

A pivot or a right-hand side can be exchanged from the layer that computes it to the one that uses
it last. An elimination opens them joint by joint, and substitution back closes them in the opposite
order, while the accelerations open. A table, and a network that has everything at once, opens and
closes them in one layer: no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from discover.inside.records import Window
from discover.judgement.thresholds import threshold


def window(
    variable: str,
    factorisation: str | None,
    rank: int | None,
    sites: Sequence[str],
    S: Sequence[float | None],
) -> Window:
    """The longest run of sites at which S is high enough; of two as long the first."""
    least = threshold("inside.window")
    best: tuple[int, int] | None = None
    start = None
    for k, value in enumerate([*S, None]):
        if value is not None and value >= least:
            start = k if start is None else start
        elif start is not None:
            if best is None or k - start > best[1] - best[0] + 1:
                best = (start, k - 1)
            start = None
    return Window(
        variable=variable,
        factorisation=factorisation,
        sites=tuple(sites),
        S=tuple(S),
        first=None if best is None else best[0],
        last=None if best is None else best[1],
        rank=rank,
    )


def kendall(windows: Sequence[Window]) -> tuple[float | None, int]:
    """Kendall's tau of the order in which windows open and the recursion's, and how many pairs of
    steps it rests on; pairs that the recursion leaves open do not count, pairs that open at one
    site count as neither. None with too few pairs, or where a step has no window."""
    ranked = [w for w in windows if w.rank is not None]
    if any(w.first is None for w in ranked):
        return None, 0
    opened = [(w.rank, w.first) for w in ranked if w.rank is not None and w.first is not None]
    agree = pairs = 0
    for one, other in combinations(opened, 2):
        if one[0] == other[0]:
            continue
        pairs += 1
        if one[1] != other[1]:
            agree += 1 if (one[0] < other[0]) == (one[1] < other[1]) else -1
    if pairs < threshold("inside.ordered_pairs"):
        return None, pairs
    return agree / pairs, pairs
