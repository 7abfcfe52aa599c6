"""Pretty-printing of a recursion: passes over the tree, always written in the same way.

Wrenches I x of motions x that are carried outward alike are printed as one, of the sum of these
motions, so that the textbook's recursion reads as in the textbook.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.mechanism.recursion.grammar import Block, Motion
from discover.mechanism.recursion.search import Recursion

_NAMES = {"a": "A", "v": "T", "q": "Q", "root": "G"}
_FACTORS = {"inertia": "I", "rotor": "r", "drag": "d", "spring": "k"}
_ONE = 5e-8  # coefficients this close to one are one
_TAILS = {1: " + Σ_children Xᵀ F", -1: " - Σ_children Xᵀ N", 0: ""}
Weighted = list[tuple[float, Block]]


def pretty_print(recursion: Recursion) -> str:
    """The program as text: an outward pass, an inward pass, tau."""
    return _PrettyPrinter(recursion).text()


class _PrettyPrinter:
    """The lines of one program; motions get their names in the order of use."""

    def __init__(self, recursion: Recursion):
        self.recursion = recursion
        self.outward: list[str] = []
        self.names: dict[Any, str] = {}

    def text(self) -> str:
        blocks = [(1.0, self.recursion.inertia)]
        if self.recursion.root is not None:
            blocks.append((1.0, self.recursion.root))
        blocks += list(
            zip(self.recursion.coefficients.tolist(), self.recursion.velocity, strict=True)
        )
        blocks += [(1.0, own.block) for own in self.recursion.scalar_terms]
        inward, arrived = [], []
        for carry, letter in ((1, "F"), (-1, "N"), (0, "W")):
            own = self._wrenches([(c, b) for c, b in blocks if b.carry == carry])
            if own:
                inward.append(f"{letter}_i = {_sum(own)}{_TAILS[carry]}")
                arrived.append(f"{letter}_i")
        last = f"({' + '.join(arrived)})" if len(arrived) > 1 else arrived[0]
        lines = ["outward, from the base to the leaves (p is the body that carries i):"]
        lines += [f"    {line}" for line in self.outward]
        lines += ["inward, from the leaves to the base:"] + [f"    {line}" for line in inward]
        return "\n".join([*lines, f"    tau_i = Sᵀ {last}"])

    def _wrenches(self, blocks: Weighted) -> list[tuple[float, str]]:
        """The wrenches of blocks that are carried inward alike, with their coefficients."""
        terms: list[tuple[float, str]] = []
        sums = {
            sign: [(c, b) for c, b in blocks if b.form == "inertia" and _summed(b, sign)]
            for sign in (1, -1)
        }
        done: set[int] = set()
        for c, b in blocks:
            sign = b.motions[0].sign
            if b.form == "inertia" and _summed(b, sign) and len(sums[sign]) > 1:
                if sign not in done:
                    done.add(sign)
                    terms.append((1.0, f"I {self._together(sums[sign], sign)}"))
                continue
            last = self.name(b.motions[-1])
            if b.form == "rate":
                terms.append((c, f"{self.name(b.motions[0])} ×* I {last}"))
            else:
                terms.append((c, f"{_FACTORS[b.form]} {last}"))
        return terms

    def _together(self, sums: Weighted, sign: int) -> str:
        """One motion, summed outward, of all that `sums` sum outward."""
        added = [(c, b.motions[0].parts[0]) for c, b in sums]
        source = added[0][1].source or "M"
        rooted = any(local.kind == "root" for _, local in added)
        inner = [(c, self.name(local)) for c, local in added if local.kind != "root"]
        return self._outward(_NAMES.get(source, "M"), sign, inner, rooted)

    def name(self, m: Motion) -> str:
        """What a motion is called; a sum gets a line of its own."""
        if m.kind == "joint":
            return f"S {m.source}_i"
        if m.kind == "parent":
            return f"X {self.name(m.parts[0]).replace('_i', '_p')}"
        if m.kind == "product":
            return f"({self.name(m.parts[0])} × {self.name(m.parts[1])})"
        if m not in self.names:
            local = m.parts[0]
            source = "root" if local.kind == "root" else local.source
            inner = [] if local.kind == "root" else [(1.0, self.name(local))]
            letter = _NAMES.get(source, "M")
            self.names[m] = self._outward(letter, m.sign, inner, local.kind == "root")
        return self.names[m]

    def _outward(self, letter: str, sign: int, inner: list[tuple[float, str]], rooted: bool) -> str:
        """The name of a new sum outward, whose line is added."""
        taken = {line.split("_i", 1)[0] for line in self.outward}
        if letter in taken or letter == "M":
            letter = next(f"M{k}" for k in range(1, 99) if f"M{k}" not in taken)
        summands = [(float(sign), f"X {letter}_p"), *inner]
        line = f"{letter}_i = {_sum(summands)}"
        if rooted:
            line += f",  {letter}_base = ({_numbers(self.recursion.root_vector)})"
        self.outward.append(line)
        return f"{letter}_i"


def _summed(b: Block, sign: int) -> bool:
    return b.motions[0].kind == "carried" and b.motions[0].sign == sign


def _sum(terms: list[tuple[float, str]]) -> str:
    """Terms with their coefficients, signs between them."""
    text = ""
    for c, words in terms:
        size = "" if abs(abs(c) - 1) < _ONE else f"{abs(c):.7g} "
        sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
        text += f"{sign}{size}{words}"
    return text


def _numbers(x: Any) -> str:
    least = 1e-9 * float(np.abs(x).max())  # smaller is rounding
    return ", ".join(f"{c:.6g}" if abs(c) > least else "0" for c in x)
