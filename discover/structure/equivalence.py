"""Trees that answer the same: other ways to hang the joints that no answer speaks against.

Where several trees carry the same joints alike (slides in a row, a slide along the axis of a turn,
bodies whose motion others do not feel), the answers name none of them. Rivals are tried with the
screws that were found, and then with screws of their own: between joints that do not feel each
other, screws found for one tree mean nothing for another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from discover.structure.probing import Local
from discover.structure.projection import Problem, solve_well
from discover.structure.rivals import misfit, neighbours
from discover.structure.screws import Array, ScrewTree

_ITERATIONS = 30
_ODDS = 12.0  # log odds at which answers that scatter speak clearly against a tree
_FITS, _SMALL = 60, 6  # trees that are given screws of their own; of more joints, fewer


def equivalents(
    tree: ScrewTree,
    screws: Array,
    asked: Local,
    held: Local,
    tolerance: float,
    *,
    allowed: Callable[[tuple[int, ...]], bool],
    most: int,
    whitened: bool = False,
) -> tuple[tuple[int, ...], ...]:
    """Trees that fit held-out answers within `tolerance` of this one's misfit, `most` of them: its
    neighbours, those of all that are found, and so on. Trees that are not `allowed` are not tried.

    `whitened`: the answers scatter; trees are those against which they do not speak clearly.
    """

    def missed(rival: ScrewTree, own: Array) -> float:
        if not whitened:
            return misfit(rival, own, asked, held)
        residual = Problem.of(rival, asked, whitened=True).residual(own)[0]
        return 0.5 * float(residual @ residual)

    first = missed(tree, screws)
    limit = first + _ODDS if whitened else max(2 * first, tolerance)
    seen, found, at, fits = {tree.parents}, [(tree.parents, screws)], 0, 0
    most_fits = int(_FITS * min(1.0, _SMALL / len(screws)) ** 4)
    while at < len(found):
        parents, own = found[at]
        for other in neighbours(parents):
            if other in seen or not allowed(other):
                continue
            rival = replace(tree, parents=other)
            loss = missed(rival, own)
            fitted = own
            if loss > limit and fits < most_fits:
                fits += 1
                problem = Problem.of(rival, asked, whitened=whitened)
                fitted = solve_well(problem, own, iterations=_ITERATIONS).screws
                loss = missed(rival, fitted)
            if loss <= limit:
                seen.add(other)
                found.append((other, fitted))
            if len(found) > most:
                break
        at += 1
    return tuple(parents for parents, _ in found[1:])
