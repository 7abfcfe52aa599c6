"""From numbers to claims: encodes, uses, follows a factorisation, implements the recursion.

Each rests on bounds of thresholds.toml ([numbers.inside]) and on its own control, and is put in one
plain sentence. None of them is an answer of the verdict on behaviour, nor changes one.
"""

from __future__ import annotations

from collections.abc import Sequence

from discover.inside.counterfactuals import COFACTORS
from discover.inside.projection import WIDE
from discover.inside.records import NO, OPEN, YES, Claim, Row, Window
from discover.inside.windows import kendall
from discover.judgement.thresholds import threshold

WORDS = {"H": "mass-matrix information", "C": "the bias force"}
LOWEST = float("-inf")


def claims(
    rows: Sequence[Row], windows: Sequence[Window], factorisations: Sequence[str]
) -> list[Claim]:
    """All claims that the rows allow."""
    roles = dict.fromkeys(r.variable for r in rows if r.kind == "role")
    found = [_uses(v, [r for r in rows if r.variable == v]) for v in roles]
    used = any(c.answer == YES for c in found if c.subject == "H")
    factor_rows = [r for r in rows if r.kind == "factor" and r.S_r is not None]
    if factor_rows:
        follows = [_follows(f, factor_rows) for f in factorisations]
        found += follows
        found += [
            _implements(c, [w for w in windows if w.factorisation == c.subject])
            for c in follows
            if c.answer == YES and c.subject != COFACTORS
        ]
        if not any(c.answer == YES for c in follows):
            found.append(_no_recursion(used, factor_rows))
    variables = dict.fromkeys(r.variable for r in rows if r.r2 is not None)
    found += [_encodes(v, [r for r in rows if r.variable == v]) for v in variables]
    return found


def _best(rows: Sequence[Row], name: str) -> Row | None:
    measured = [r for r in rows if getattr(r, name) is not None]
    return max(measured, key=lambda r: getattr(r, name), default=None)


def _uses(variable: str, rows: Sequence[Row]) -> Claim:
    """S is high, and the instrument does not reach it on what the network cannot have computed."""
    row = _best(rows, "S")
    words = WORDS.get(variable, variable)
    if row is None or row.S is None:
        return _claim("uses", variable, OPEN, None, {}, f"Not measured within the budget: {words}.")
    numbers = {
        n: getattr(row, n)
        for n in ("S", "S_all", "placebo", "untrained", "random", "whole", "ceiling", "other_robot")
    }
    said = f"S {row.S:.2f}" + "".join(
        f", {n.replace('_', ' ')} {numbers[n]:.2f}"
        for n in ("placebo", "untrained")
        if numbers[n] is not None
    )
    dormant = (row.S_all or LOWEST) >= threshold("inside.uses") > row.S
    if threshold("inside.uses") > row.S:
        text = (
            f"An exchange at {row.site} acts only if directions are used that never vary on "
            f"data (S {row.S_all:.2f} with, {row.S:.2f} without): a dormant or a duplicate path; "
            "no claim."
            if dormant
            else f"No exchange moves the output as {words} would ({said} at {row.site}, the best)."
        )
        return _claim("uses", variable, OPEN if dormant else NO, row.site, numbers, text)
    if row.ceiling is not None and row.ceiling > threshold("inside.vacuous"):
        # most of the change needs no equation of motion: what counts is the rest
        numbers["beyond"] = 1 - (1 - row.S) / max(1 - row.ceiling, 1e-12)
    beyond = numbers.get("beyond")
    if beyond is not None and beyond < threshold("inside.uses"):
        text = (
            f"{words.capitalize()} can be exchanged ({said} at {row.site}), but its values alone "
            f"foretell {row.ceiling:.2f} of the change, and of the rest it meets {beyond:.2f}: a "
            "table can do the same; no claim."
        )
        return _claim("uses", variable, OPEN, row.site, numbers, text)
    bounds = {
        "placebo": threshold("inside.placebo"),
        "untrained": 1 - threshold("inside.untrained") * (1 - row.S),
    }
    failing = [n for n, most in bounds.items() if (numbers[n] or 0.0) > most]
    if failing:
        text = (
            f"{words.capitalize()} can be exchanged ({said} at {row.site}), but the "
            f"{' and the '.join(failing)} control goes nearly as far; no claim."
        )
        return _claim("uses", variable, OPEN, row.site, numbers, text)
    if row.placebo is None or row.untrained is None:
        missing = "no placebo" if row.placebo is None else "no untrained control"
        text = (
            f"{words.capitalize()} can be exchanged ({said} at {row.site}), with {missing} within "
            "the budget or for want of weights; no claim."
        )
        return _claim("uses", variable, OPEN, row.site, numbers, text)
    text = f"{words.capitalize()} can be swapped apart from the rest at {row.site} ({said})."
    if WIDE in row.start:
        text += (
            " The output reads it in a sum only: a network that holds the sum, and this unused "
            "beside it, would show the same."
        )
    return _claim("uses", variable, YES, row.site, numbers, text)


def _follows(factorisation: str, rows: Sequence[Row]) -> Claim:
    """Its counterfactual is met far more closely than any rival's is."""
    row = _best([r for r in rows if r.factorisation == factorisation], "S_r")
    rival = _best([r for r in rows if r.factorisation != factorisation], "S_r")
    if row is None or row.S_r is None:
        return _claim("follows", factorisation, OPEN, None, {}, "Not measured within the budget.")
    rival_S_r = None if rival is None else rival.S_r
    numbers = {
        "S_r": row.S_r,
        "S": row.S,
        "rival": rival_S_r,
        "contrast": row.contrast,
        "other_robot": row.other_robot,
    }
    beside = "" if rival is None else f"; the nearest rival, {rival.factorisation}, {rival_S_r:.2f}"
    said = f"S_r {row.S_r:.2f} for {row.variable} at {row.site}{beside}"
    if row.S_r < threshold("inside.follows"):
        return _claim(
            "follows", factorisation, NO, row.site, numbers, f"Not distinguished: {said}."
        )
    if (row.contrast or 0.0) < threshold("inside.contrast"):
        text = f"Its counterfactuals cannot be told from a rival's on this robot ({said})."
        return _claim("follows", factorisation, OPEN, row.site, numbers, text)
    if rival_S_r is not None and rival_S_r > threshold("inside.rival"):
        text = f"Both rivals fit: undetermined ({said})."
        return _claim("follows", factorisation, OPEN, row.site, numbers, text)
    text = f"Exchanges act as this elimination predicts and no other ({said})."
    return _claim("follows", factorisation, YES, row.site, numbers, text)


def _implements(follows: Claim, windows: Sequence[Window]) -> Claim:
    """The steps' windows open in the order of the recursion."""
    subject = follows.subject
    tau, pairs = kendall(windows)
    missing = [w.variable for w in windows if w.rank is not None and w.first is None]
    numbers = {"tau": tau, "pairs": float(pairs)}
    if not windows:
        text = "Follows the factorisation; the order over depth was not measured within the budget."
        return _claim("implements", subject, OPEN, None, numbers, text)
    if tau is None:
        gap = f"no window for {', '.join(missing)}" if missing else "too few steps to tell an order"
        text = f"Follows the factorisation; the order over depth is open ({gap})."
        return _claim("implements", subject, OPEN, None, numbers, text)
    if tau < threshold("inside.order"):
        text = f"Follows the factorisation; an order over depth is not shown (τ {tau:.2f})."
        return _claim("implements", subject, NO, None, numbers, text)
    text = f"Its steps can be exchanged over depth in the order of the recursion (τ {tau:.2f})."
    return _claim("implements", subject, YES, None, numbers, text)


def _no_recursion(used: bool, rows: Sequence[Row]) -> Claim:
    best = _best(rows, "S_r")
    value = None if best is None else best.S_r
    near = "" if best is None else f"; the closest, {best.factorisation}, has S_r {value:.2f}"
    text = (
        f"Mass-matrix information can be swapped apart from the rest, but no single factorisation "
        f"is followed{near}."
        if used
        else f"No factorisation of the mass matrix is followed{near}."
    )
    site = None if best is None else best.site
    return _claim("implements", "a recursion", NO, site, {"S_r": value}, text)


def _encodes(variable: str, rows: Sequence[Row]) -> Claim:
    row = _best(rows, "r2")
    if row is None or row.r2 is None:
        return _claim("encodes", variable, OPEN, None, {}, "Not measured.")
    controls = [x for x in (row.r2_control, row.r2_untrained) if x is not None]
    control = max(controls, default=LOWEST)
    numbers = {"R2": row.r2, "control": row.r2_control, "untrained": row.r2_untrained}
    said = f"R² {row.r2:.3f} at {row.site}, controls {control:.3f}"
    if row.r2 > control + threshold("inside.encodes"):
        text = f"Decodable beyond every control ({said}); that says nothing of use."
        return _claim("encodes", variable, YES, row.site, numbers, text)
    return _claim("encodes", variable, NO, row.site, numbers, f"No more than in controls ({said}).")


def _claim(
    kind: str,
    subject: str,
    answer: str,
    site: str | None,
    numbers: dict[str, float | None],
    words: str,
) -> Claim:
    return Claim(kind=kind, subject=subject, answer=answer, site=site, numbers=numbers, words=words)
