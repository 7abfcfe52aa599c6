"""The report's section on the mechanism: tree, geometry, factors, recursion, forward program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.measures import QUANTITIES, Measure, in_words, undetermined
from discover.report.numbers import listing, number, relative

Record = Mapping[str, Any]
_LISTED = 4  # equivalent trees that are named one by one
_EXACT = threshold("mechanism.exact_misfit")
_EQUIVALENT = threshold("mechanism.equivalent")
_PREDICTED_ZERO = threshold("mechanism.predicted_zero")


_FRAMES = {
    False: "Lines at the pose of the drawing, gravity along −z. The turn of the whole about the "
    "vertical, its place and\na mirror image cannot be seen in torques.",
    True: "Lines at the pose of the drawing, in the base's own frame, in which the model tells the "
    "base's twist.",
}


def section(account: Record | None) -> dict[str, Any] | None:
    """What the template prints; None where no mechanism was inferred.

    account   `MechanismDescription.to_dict()`
    """
    if account is None:
        return None
    return {
        "intro": _intro(account),
        "comparison": list((account["comparison"] or {}).get("sentences") or ()),
        "equivalent": _equivalent(account),
        "joints": _joints(account),
        "frame": _FRAMES[bool(account["skeleton"].get("free"))],
        "measures": _measures(account),
        "guesses": undetermined(_stored_measures(account), account["skeleton"]["names"]),
        "zeros": _zeros(account),
        "recursion": _recursion(account),
        "inverse": account["inverse"],
        "forward": _forward(account),
    }


def bodies(account: Record | None, law: Record | None) -> list[dict[str, str]]:
    """A row a body of the law: mass, centre, inertia about it. Empty with a description, whose
    parameters have a table of their own."""
    if account is None or account["described"] is not None or not (law or {}).get("robot"):
        return []
    assert law is not None
    rows = []
    for name, pi in zip(law["robot"]["body_names"], law["robot"]["pi"], strict=True):
        m, h, moments = pi[0], np.asarray(pi[1:4]), np.asarray([pi[4], pi[6], pi[9]])
        centre = h / m if m > 0 else np.zeros(3)
        own = moments - m * (centre @ centre - centre**2)
        rows.append(
            {
                "name": f"`{name}`",
                "mass": number(m, 4),
                "centre": _vector(centre),
                "inertia": ", ".join(number(float(x), 3) for x in own),
            }
        )
    return rows


def shown(account: Record) -> Record:
    """The inferred skeleton, without axes where the geometry does not fit."""
    if account["good"]:
        return account["skeleton"]
    return {**account["skeleton"], "axes": None, "points": None}


def coordinates(account: Record) -> list[str]:
    """A name for each velocity coordinate (nv,); a free base has six."""
    names = list(account["skeleton"]["names"])
    if not account["skeleton"].get("free"):
        return names
    return [*(f"{names[0]} {c}" for c in ("ωx", "ωy", "ωz", "vx", "vy", "vz")), *names[1:]]


def _intro(account: Record) -> str:
    names, parents = account["skeleton"]["names"], account["skeleton"]["parents"]
    free = bool(account["skeleton"].get("free"))
    turning = account["skeleton"]["turning"][free:]
    parts = [
        f"{sum(turning)} of {len(turning)} joints turn" if not all(turning) else "all joints turn"
    ]
    if free:
        parts.insert(0, "a free base")
    forks = sorted({p for p in parents if parents.count(p) > 1})
    if forks:
        where = listing(["the base" if p < 0 else f"`{names[p]}`" for p in forks])
        parts.append(f"it branches at {where}")
    else:
        parts.append("it is one chain")
    text = f"Inferred from the answers alone, without a description: {', '.join(parts)}."
    noise = float(account["noise"])
    if account["good"]:
        fits = (
            f"is missed by {number(float(account['misfit']), 2)} standard deviations"
            if noise > _EXACT
            else f"is missed by {number(float(account['misfit']), 2)} of its size"
        )
        text += (
            f" With the lines of the joints below, the mass matrix at fresh configurations {fits}."
        )
    else:
        text += (
            " No placement of these joints in space makes the model's mass matrix and forces: the "
            "tree is what its pattern comes closest to, and is no evidence of bodies."
        )
    if noise > _EXACT:
        text += (
            f" The answers are off from `a = A(q, v) τ + c(q, v)` by {relative(noise)} of their "
            "size."
        )
    return text


def _equivalent(account: Record) -> list[str]:
    names = account["skeleton"]["names"]
    sentences = []
    for parents in account["equivalent"][:_LISTED]:
        hung = [
            f"`{names[j]}` on {'the base' if p < 0 else f'`{names[p]}`'}"
            for j, p in enumerate(parents)
            if p != account["skeleton"]["parents"][j]
        ]
        if hung:
            sentences.append(f"{listing(hung)} would answer the same.")
    if len(account["equivalent"]) > _LISTED:
        sentences.append(
            f"So would {len(account['equivalent']) - _LISTED} other trees that were looked at."
        )
    return sentences


def _joints(account: Record) -> list[dict[str, str]]:
    """A row a joint: what carries it, its axis and a point on it."""
    record = account["skeleton"]
    names, described = record["names"], account["described"]
    rows = []
    for j, name in enumerate(names):
        p = record["parents"][j]
        row = {
            "name": f"`{name}`",
            "parent": "base" if p < 0 else f"`{names[p]}`",
            "kind": "turns" if record["turning"][j] else "slides",
            "axis": "–",
            "point": "–",
            "described": "–" if described is None else _relation(described, j),
        }
        if record.get("free") and j == 0:
            row |= {"parent": "nothing", "kind": "is free"}
        elif account["good"]:
            row["axis"] = _vector(record["axes"][j])
            row["point"] = _vector(record["points"][j]) if record["turning"][j] else "anywhere"
        rows.append(row)
    return rows


def _measures(account: Record) -> list[dict[str, str]]:
    """A row a joint: its axis relative to that of the joint that carries it, with errors."""
    names = account["skeleton"]["names"]
    rows: dict[int, dict[str, str]] = {}
    for m in _stored_measures(account):
        row = rows.setdefault(
            m.joint, {"name": f"`{names[m.joint]}`"} | dict.fromkeys(QUANTITIES, "–")
        )
        row[m.quantity] = in_words(m, [f"`{n}`" for n in names])
    return list(rows.values())


def _stored_measures(account: Record) -> list[Measure]:
    return [Measure.from_dict(m) for m in account.get("measures", ())]


def _relation(described: Record, j: int) -> str:
    p = described["parents"][j]
    kind = "turns" if described["turning"][j] else "slides"
    return f"{kind}, on {'base' if p < 0 else '`' + described['names'][p] + '`'}"


def _vector(x: Any) -> str:
    return "(" + ", ".join(number(0.0 if abs(c) < 5e-8 else float(c), 4) for c in x) + ")"


def _zeros(account: Record) -> str:
    zeros = account["sparsity"]
    if zeros is None:
        return ""
    if not zeros["zeros"]:
        return "In one chain every joint moves every other: the tree predicts no zeros in H."
    violation, chance = float(zeros["violation"]), float(zeros["chance"])
    text = (
        f"The tree predicts {zeros['zeros']} zeros below the diagonal of H, and the same ones in "
        f"L: the largest entry that the model has there is {relative(violation)} of the diagonal"
    )
    if chance > _EXACT:
        text += f"; noise alone would make {relative(chance)}"
    if zeros.get("misfit"):
        text += (
            f". Fitted as LᵀDL with D > 0 in that pattern, H is missed by "
            f"{number(float(zeros['misfit']), 2)} standard deviations"
        )
    if zeros.get("indefinite"):
        text += f"; at {relative(float(zeros['indefinite']))} of the states it is not positive"
    kept = violation <= max(_EQUIVALENT, _PREDICTED_ZERO * chance)
    return f"{text}. The prediction {'holds' if kept else 'fails'}."


def _recursion(account: Record) -> str:
    record = account["recursion"]
    if not record:
        return ""
    far = ", ".join(f"{name}: {relative(float(x))}" for name, x in record["by_degree"].items())
    mantissa, exponent = f"{float(record['programs']):.1e}".split("e")
    count = f"{mantissa}·10^{int(exponent)}"
    if record["equivalent"]:
        text = f"Among {count} programs of passes over this tree, this one predicts the model"
    else:
        text = (
            f"None of {count} programs of passes over this tree is equivalent to the model. The "
            "one that comes closest follows; it is what the model holds to, this loosely"
        )
    departure = max(float(x) for x in record["departure"].values())
    text += f". Misfit of τ out to 3 half-widths, by degree, {far}"
    if departure > _EQUIVALENT:
        text += f"; what is no H(q) a + g(q) + terms in v and v²: {relative(departure)}"
    return text + "."


def _forward(account: Record) -> dict[str, Any] | None:
    record = account["forward"]
    if record is None:
        return None
    rows = [
        {"name": name, **{k: str(n[k]) for k in ("mul", "add", "div", "trig")},
         "total": str(n["mul"] + n["add"] + n["div"])}
        for name, n in record["operations"].items()
    ]  # fmt: skip
    return {"text": record["text"], "rows": rows}
