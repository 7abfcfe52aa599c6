"""The numbers of a geometry, each with its standard error, and in words.

Axes are described relative to those of the joints that carry them, by numbers that are the same in
every frame. A number on which no answer depends is free: its value is arbitrary. Two links that
turn about level axes can be askew if a rotor's inertia makes up for it; such numbers are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.records import Stored

VERTICAL = -2  # stands for the vertical where a measure names another joint
QUANTITIES = ("angle", "distance", "offset", "turn")


_RAN_AWAY = 0.01  # rad


@dataclass(frozen=True, kw_only=True)
class Measure(Stored):
    """One number of a geometry.

    joint      coordinate whose axis it is about
    other      the joint it is relative to, -1 for the frame of a free base, VERTICAL for the
               vertical
    quantity   "angle" [rad] between the axes, "distance" [m] of them, "offset" [m] along and
               "turn" [rad] about the other's axis, from the common normal before to this one
    deviation  standard error; infinite where no answer depends on the number
    rotorless  whether it is determined only if no joint has a rotor
    """

    joint: int
    other: int
    quantity: str
    value: float
    deviation: float
    rotorless: bool = False

    @property
    def free(self) -> bool:
        """Whether no answer depends on the number. An angle near zero of which no more is known
        than that it is small has run away there: a lone hinge shows its weight times the sine of
        the angle to the vertical, and neither of the two."""
        if not np.isfinite(self.deviation):
            return True
        ran_away = self.deviation > max(_RAN_AWAY, abs(self.value))
        return self.quantity == "angle" and self.other == VERTICAL and ran_away


def pretty_measures(measures: Sequence[Measure], names: Sequence[str]) -> str:
    """A line a joint; names (nv,) by coordinate."""
    lines = []
    for j in dict.fromkeys(m.joint for m in measures):
        words = [in_words(m, names) for m in measures if m.joint == j]
        lines.append(f"    {names[j]}: " + "; ".join(words))
    return "\n".join(lines)


def in_words(m: Measure, names: Sequence[str]) -> str:
    """The number, what it is, and its standard error."""
    other = {-1: "the base", VERTICAL: "the vertical"}.get(m.other) or names[m.other]
    turning = m.quantity in ("angle", "turn")
    unit, scale = ("°", 180 / np.pi) if turning else (" m", 1.0)
    error = "free, no answer depends on it" if m.free else f"± {m.deviation * scale:.1g}{unit}"
    if m.rotorless:
        error += ", free if joints have rotors"
    if m.other == -1:
        return f"{'direction' if turning else 'place'} in the base's frame {error}"
    least = max(1e-9, m.deviation if not m.free else 0.0)
    value = 0.0 if abs(m.value) < least else m.value
    words = {
        "angle": f"axis at {{}} to {other}",
        "distance": f"{{}} from {other}",
        "offset": f"{{}} along {other}",
        "turn": f"{{}} about {other}",
    }[m.quantity]
    return f"{words.format(f'{value * scale:.6g}{unit}')} ({error})"


def undetermined(measures: Sequence[Measure], names: Sequence[str]) -> list[str]:
    """A sentence for each number that no answer determines."""
    words = {
        "angle": "the angle between the axes of {} and {}",
        "distance": "the distance between the axes of {} and {}",
        "offset": "how far along its axis {1} carries {0}",
        "turn": "the zero of {1}'s angle beside {0}",
    }
    sentences = []
    for m in measures:
        if m.free or m.rotorless:
            other = {-1: "the base", VERTICAL: "the vertical"}.get(m.other) or names[m.other]
            what = words[m.quantity].format(names[m.joint], other)
            if m.rotorless:
                sentences.append(
                    f"Answers depend on {what} only if no joint has a rotor, whose inertia could "
                    "make up for it."
                )
                continue
            rest = ""
            if m.other == VERTICAL and any(x.quantity == "distance" for x in measures):
                rest = ", and the scale of all lengths rests on it"
            sentences.append(f"No answer depends on {what}: the number given is a guess{rest}.")
    return sentences
