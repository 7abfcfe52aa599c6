"""Part `feynman` of the bench: ten of the Feynman equations (Udrescu & Tegmark 2020).

The search that takes out units, sums and powers first, beside Operon alone with the units not used.
Both get the same samples, one thread and about ten seconds of the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from discover.laws.regression.engines import Operon
from discover.laws.regression.formula_constants import optimise_constants
from discover.laws.regression.formula_search import find_formula
from discover.report.numbers import relative
from tests.bench.trials import Part, Record, Trial, share

SAMPLES = 400
NOISES = (0.0, 1e-2)
SECONDS = 10.0
ALONE = Operon(generations=75, population=600, length=40)  # about ten seconds

# Base units: metre, second, kilogram, kelvin, volt.
_UNITS = {
    "1": (0, 0, 0, 0, 0), "m": (1, 0, 0, 0, 0), "s": (0, 1, 0, 0, 0), "m/s": (1, -1, 0, 0, 0),
    "kg": (0, 0, 1, 0, 0), "N": (1, -2, 1, 0, 0), "K": (0, 0, 0, 1, 0), "J": (2, -2, 1, 0, 0),
    "J/K": (2, -2, 1, -1, 0), "m/s²": (1, -2, 0, 0, 0), "m³/(kg s²)": (3, -2, -1, 0, 0),
    "1/m³": (-3, 0, 0, 0, 0), "V": (0, 0, 0, 0, 1), "C": (2, -2, 1, 0, -1),
    "V/m": (-1, 0, 0, 0, 1), "T": (-2, 1, 0, 0, 1), "F/m": (1, -2, 1, 0, -2),
    "C m": (3, -2, 1, 0, -1), "J/T": (4, -3, 1, 0, -1),
}  # fmt: skip


@dataclass(frozen=True)
class Equation:
    """One formula: its text, the range and unit of each variable, and its own unit."""

    name: str
    text: str
    variables: tuple[tuple[str, float, float, str], ...]
    unit: str


EQUATIONS = (
    Equation("I.6.2", "exp(-(theta/sigma)**2/2)/(sqrt(2*pi)*sigma)",
             (("theta", 1, 3, "1"), ("sigma", 1, 3, "1")), "1"),
    Equation("I.9.18", "G*m1*m2/((x2-x1)**2+(y2-y1)**2+(z2-z1)**2)",
             (("m1", 1, 2, "kg"), ("m2", 1, 2, "kg"), ("G", 1, 2, "m³/(kg s²)"),
              ("x1", 3, 4, "m"), ("x2", 1, 2, "m"), ("y1", 3, 4, "m"), ("y2", 1, 2, "m"),
              ("z1", 3, 4, "m"), ("z2", 1, 2, "m")), "N"),
    Equation("I.12.11", "qq*(Ef+B*v*sin(theta))",
             (("qq", 1, 5, "C"), ("Ef", 1, 5, "V/m"), ("B", 1, 5, "T"), ("v", 1, 5, "m/s"),
              ("theta", 1, 5, "1")), "N"),
    Equation("I.15.3t", "(t-u*x/c**2)/sqrt(1-u**2/c**2)",
             (("x", 1, 5, "m"), ("c", 3, 10, "m/s"), ("u", 1, 2, "m/s"), ("t", 1, 5, "s")), "s"),
    Equation("I.16.6", "(u+v)/(1+u*v/c**2)",
             (("c", 1, 5, "m/s"), ("v", 1, 5, "m/s"), ("u", 1, 5, "m/s")), "m/s"),
    Equation("I.29.16", "sqrt(x1**2+x2**2-2*x1*x2*cos(t1-t2))",
             (("x1", 1, 5, "m"), ("x2", 1, 5, "m"), ("t1", 1, 5, "1"), ("t2", 1, 5, "1")), "m"),
    Equation("I.40.1", "n0*exp(-m*g*x/(kb*T))",
             (("n0", 1, 5, "1/m³"), ("m", 1, 5, "kg"), ("x", 1, 5, "m"), ("T", 1, 5, "K"),
              ("g", 1, 5, "m/s²"), ("kb", 1, 5, "J/K")), "1/m³"),
    Equation("II.6.15a", "3*p*z*sqrt(x**2+y**2)/(4*pi*eps*r**5)",
             (("eps", 1, 3, "F/m"), ("p", 1, 3, "C m"), ("r", 1, 3, "m"), ("x", 1, 3, "m"),
              ("y", 1, 3, "m"), ("z", 1, 3, "m")), "V/m"),
    Equation("II.35.18", "n0/(exp(mom*B/(kb*T))+exp(-mom*B/(kb*T)))",
             (("n0", 1, 3, "1/m³"), ("kb", 1, 3, "J/K"), ("T", 1, 3, "K"), ("mom", 1, 3, "J/T"),
              ("B", 1, 3, "T")), "1/m³"),
    Equation("III.10.19", "mom*sqrt(Bx**2+By**2+Bz**2)",
             (("mom", 1, 5, "J/T"), ("Bx", 1, 5, "T"), ("By", 1, 5, "T"), ("Bz", 1, 5, "T")), "J"),
)  # fmt: skip


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Every equation at every noise, each way."""
    return [
        {
            "id": f"{seed}-{e.name}-{noise:g}-{way}", "seed": seed, "equation": e.name,
            "noise": noise, "way": way,
        }
        for seed in seeds for noise in NOISES for e in EQUATIONS for way in ("search", "operon")
    ]  # fmt: skip


def run(trial: Trial) -> Record:
    """One fit, judged by its error over twice the ranges (about their middles, positive)."""
    equation = next(e for e in EQUATIONS if e.name == trial["equation"])
    symbols = sympy.symbols([n for n, *_ in equation.variables], positive=True)
    truth = sympy.sympify(equation.text, locals={s.name: s for s in symbols})
    function = sympy.lambdify(symbols, truth, "numpy")
    rng = np.random.default_rng([trial["seed"], EQUATIONS.index(equation)])
    low = np.array([v[1] for v in equation.variables], dtype=float)
    high = np.array([v[2] for v in equation.variables], dtype=float)
    x = rng.uniform(low, high, (SAMPLES, len(low)))
    clean = function(*x.T)
    y = clean + trial["noise"] * clean.std() * rng.normal(size=SAMPLES)
    wider = _wider(function, low, high, rng)
    began = time.process_time()
    if trial["way"] == "search":
        units = [_UNITS[u] for *_, u in equation.variables]
        front = find_formula(
            x, y, symbols, units=units, target=_UNITS[equation.unit], seed=trial["seed"],
            seconds=SECONDS,
        )  # fmt: skip
        members = list(front.members)
        chosen = front.best(floor=max(trial["noise"], 1e-7) * float(y.std())) if members else None
        formula = chosen.expression if chosen else None
    else:
        front = ALONE.fit(x, y, symbols, trial["seed"])
        members = list(front.members)
        chosen = front.best(floor=max(trial["noise"], 1e-7) * float(y.std()))
        polished = optimise_constants(chosen.expression, x, y, symbols)
        formula = polished[0] if polished else chosen.expression
    seconds = time.process_time() - began
    error = _error(formula, symbols, wider, function)
    limit = max(1e-4, trial["noise"] / 2)
    return {
        "right": error < limit,
        "anywhere": min([error, *(_error(m.expression, symbols, wider, function)
                                  for m in members)]) < limit,
        "error": error,
        "formula": sympy.sstr(formula.evalf(5)) if formula is not None else "",
        "seconds": seconds,
    }  # fmt: skip


def _wider(
    function: Callable, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """States over ranges twice as wide, positive, where the truth is finite."""
    middle, half = 0.5 * (low + high), high - low
    x = np.maximum(rng.uniform(middle - half, middle + half, (4000, len(low))), 0.05 * low)
    with np.errstate(all="ignore"):
        y = np.broadcast_to(function(*x.T), len(x))
    inside = np.isfinite(y) & (np.abs(y) < np.quantile(np.abs(y[np.isfinite(y)]), 0.99))
    return x[inside][:1000]


def _error(
    formula: sympy.Expr | None, symbols: Sequence[sympy.Symbol], x: np.ndarray, truth: Callable
) -> float:
    if formula is None:
        return float("inf")
    with np.errstate(all="ignore"):
        found = np.broadcast_to(sympy.lambdify(symbols, formula, "numpy")(*x.T), len(x))
        true = truth(*x.T)
        error = float(np.sqrt(np.mean((found - true) ** 2) / np.var(true)))
    return error if np.isfinite(error) else float("inf")


def report(records: list[Record], folder: Path) -> list[str]:
    """Both ways side by side, and what was found."""
    lines = [
        f"{SAMPLES} samples, one thread. Right: error over twice the ranges below max(1e-4, "
        "noise/2). *search*: units, sums and powers taken out first, what is left by exhaustion "
        "of short expressions, then Operon, polished, chosen by description length. *Operon "
        f"alone*: {ALONE.generations} generations of {ALONE.population}, about ten seconds, its "
        "choice by the same description length and polished; in brackets, right anywhere on the "
        f"front. Seconds of the processor; both have {SECONDS:g}.",
        "",
        "| | search | Operon alone | seconds: search (median, worst) | Operon (median, worst) |",
        "|---|---|---|--:|--:|",
    ]
    groups: list[tuple[str, list[Record]]] = [("all", records)]
    groups += [(f"noise {n:g}", [r for r in records if r["noise"] == n]) for n in NOISES]
    for name, some in (g for g in groups if g[1]):
        ways: dict[str, Any] = {w: [r for r in some if r["way"] == w] for w in ("search", "operon")}
        counts = {
            w: f"{share(rs, 'right')} [{sum(r['anywhere'] for r in rs)}]" for w, rs in ways.items()
        }
        times = {
            w: f"{np.median([r['seconds'] for r in rs]):.1f}, {max(r['seconds'] for r in rs):.1f}"
            for w, rs in ways.items() if rs
        }  # fmt: skip
        lines.append(
            f"| {name} | {counts['search']} | {counts['operon']} | {times.get('search', '')} | "
            f"{times.get('operon', '')} |"
        )
    lines += [
        "",
        "| equation | noise | search found | error | Operon's error |",
        "|---|--:|---|--:|--:|",
    ]
    other = {(r["seed"], r["equation"], r["noise"]): r for r in records if r["way"] == "operon"}
    for r in records:
        if r["way"] == "search":
            beside = other.get((r["seed"], r["equation"], r["noise"]))
            alone = relative(beside["error"]) if beside else ""
            mark = "" if r["right"] else "**missed:** "
            lines.append(
                f"| {r['equation']} | {r['noise']:g} | {mark}`{r['formula']}` | "
                f"{relative(r['error'])} | {alone} |"
            )
    return lines


PARTS = [
    Part(
        name="feynman",
        title="Ten Feynman equations",
        trials=trials,
        run=run,
        report=report,
    )
]
