"""How much a search may try: fewer candidates where each of them costs more.

A fit costs its rows times its columns squared, and robots of many coordinates have more of both. It
is work that is counted, not time: the same seed gives the same law on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

_WORK = 4e7  # multiplications of a step of a fit up to which all is tried
_ROWS = 3600  # answers × coordinates that a search looks at
_OVER = 6  # times as many rows as columns, at least


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a search may try.

    pairs      pairs that are fitted with a flexible function, `whole` of them to the end
    finalists  pairs whose function is looked up, `shapes` of each polished with the bodies
    rounds     terms that are looked for
    short      whether this is less than a search of few coordinates tries
    """

    pairs: int = 14
    whole: int = 14
    finalists: int = 3
    shapes: int = 4
    rounds: int = 3
    short: bool = False

    @classmethod
    def of(cls, rows: int, columns: int, rounds: int) -> Allowance:
        """For fits of so many rows and columns, and at most so many rounds."""
        share = _WORK / max(1, rows * columns**2)
        if share >= 1.0:
            return cls(rounds=rounds)

        def fewer(count: int, least: int) -> int:
            return max(min(least, count), round(share * count))

        return cls(
            whole=fewer(cls.whole, 3),
            finalists=fewer(cls.finalists, 1),
            shapes=fewer(cls.shapes, 2),
            rounds=fewer(rounds, 2),
            short=True,
        )


def answers_for(nv: int, columns: int, most: int) -> int:
    """How many answers a search looks at, of nv numbers each, for fits of so many columns."""
    return min(most, max(_ROWS, _OVER * columns) // nv)
