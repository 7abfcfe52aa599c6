"""Linear combinations of joint coordinates, as words: "shoulder + elbow", "-0.5*knee + 0.1".

The orientation of a body of a planar chain is such a sum; so is a mimic joint's coordinate.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.errors import ModelError
from kinematics import Robot

_BETWEEN = re.compile(r"\s+([+-])\s+")
_CONSTANTS = {"pi": math.pi}


@dataclass(frozen=True, eq=False)
class Combination:
    """q_row · q + offset, and its rate v_row · v: q_row (nq,), v_row (nv,)."""

    text: str
    q_row: np.ndarray
    v_row: np.ndarray
    offset: float = 0.0


def combination(robot: Robot, text: str) -> Combination:
    """The combination that `text` writes: terms with " + " and " - " between them, each a joint
    with one coordinate, a number, or number*joint. Raises ModelError on anything else."""
    q_row, v_row, offset = np.zeros(robot.nq), np.zeros(robot.nv), 0.0
    words = [text] if text in robot.joint_names else _BETWEEN.split(text.strip())
    signs = ["+", *words[1::2]]
    for sign, term in zip(signs, words[::2], strict=True):
        factor, name = _term(robot, term, text)
        factor = -factor if sign == "-" else factor
        if name is None:
            offset += factor
            continue
        at_q, at_v, scale, shift = _coordinate(robot, name)
        q_row[at_q] += factor * scale
        v_row[at_v] += factor * scale
        offset += factor * shift
    return Combination(text, q_row, v_row, offset)


def _term(robot: Robot, term: str, text: str) -> tuple[float, str | None]:
    """(factor, joint), or (number, None)."""
    if term in robot.joint_names:
        return 1.0, term
    if term.startswith("-"):
        factor, name = _term(robot, term[1:].strip(), text)
        return -factor, name
    front, star, back = term.partition("*")
    if star and back.strip() in (*robot.joint_names, *_CONSTANTS):
        factor, name = _term(robot, back.strip(), text)
        return _number(robot, front.strip(), text) * factor, name
    return _number(robot, term, text), None


def _number(robot: Robot, word: str, text: str) -> float:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    try:
        value = float(word)
    except ValueError:
        raise ModelError(unknown_joint(robot, word, text)) from None
    if not math.isfinite(value):
        raise ModelError(f"observation: expected a finite number in '{text}', found {word}")
    return value


def unknown_joint(robot: Robot, word: str, text: str) -> str:
    """One line about a word that names no joint."""
    near = difflib.get_close_matches(word, robot.joint_names, n=1)
    mend = f"did you mean '{near[0]}'?" if near else f"they are {', '.join(robot.joint_names)}"
    within = f" in '{text}'" if text != word else ""
    return f"observation: expected a joint of {robot.name}, found '{word}'{within}; {mend}"


def _coordinate(robot: Robot, name: str) -> tuple[int, int, float, float]:
    """(place in q, place in v, multiplier, offset) of a joint with one coordinate; a mimic joint's
    are its driver's."""
    at_q, at_v = robot.q_slice(name), robot.v_slice(name)
    if at_v.stop - at_v.start != 1:
        raise ModelError(
            f"observation: {name} turns freely and has no angle; expected the channels "
            "quaternion, position, rotation, gravity, linear_velocity or angular_velocity for it"
        )
    for mimic in robot.mimic:
        if mimic.joint == name:
            return at_q.start, at_v.start, mimic.multiplier, mimic.offset
    return at_q.start, at_v.start, 1.0, 0.0


def in_words(names: Sequence[str], row: Sequence[float], offset: float = 0.0) -> str:
    """The text that `combination` reads as this row over joints with one coordinate each."""
    terms = []
    for name, factor in zip(names, row, strict=True):
        if factor:
            size = "" if abs(factor) == 1 else f"{abs(factor)!r}*"
            terms.append(("-" if factor < 0 else "+", f"{size}{name}"))
    if offset or not terms:
        terms.append(("-" if offset < 0 else "+", repr(abs(float(offset)))))
    first_sign, first = terms[0]
    text = ("-" if first_sign == "-" else "") + first
    return text + "".join(f" {sign} {term}" for sign, term in terms[1:])
