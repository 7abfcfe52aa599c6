"""An exam of counterfactual laws for the robot-free engine, beside Operon alone.

    python -m tests.bench.laws.counterfactual [--out DIR] [--list first] [--rounds N] [--operon N]

Every law is met at four noises, one a round. Laws come in turns of their depths, the i-th at noise
number (i + round) mod 4: after any dozen of trials every pair of a noise and a depth has been met
as often. Operon alone is asked on the first pairs only, for it takes longest. Records are stored
trial by trial in DIR/records; the same command goes on where it was cut short, and report-LIST.md
is written from what is stored. Both ways get the same samples, one thread and about ten seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import sympy

from discover.artifacts import write_text
from discover.laws.regression.engines import Operon
from discover.laws.regression.formula_constants import optimise_constants
from discover.laws.regression.formula_search import find_formula
from discover.report.numbers import relative
from tests.bench.laws.counterfactual.contract import CounterfactualLaw
from tests.bench.laws.counterfactual.scoring import error, limit, score, wilson
from tests.bench.trials import Part, Record, Trial, alternate, machines_of, run_part, stored

SAMPLES, SECONDS = 400, 10.0
NOISES = (0.0, 1e-4, 1e-3, 1e-2)
ALONE = Operon(generations=75, population=600, length=40)  # about ten seconds
WAYS = ("search", "operon")
LISTS = ("first", "second")


def laws_of(name: str) -> tuple[CounterfactualLaw, ...]:
    """The laws of a list."""
    return import_module(f"tests.bench.laws.counterfactual.{name}").LAWS


def trials(name: str, rounds: int, operon: int) -> list[Trial]:
    """Round by round, every law at one noise; the first `operon` of them by Operon alone, too."""
    laws = laws_of(name)
    order = alternate([[{"law": k} for k, x in enumerate(laws) if x.depth == d] for d in (1, 2, 3)])
    made: list[Trial] = []
    for r in range(rounds):
        for i, place in enumerate(order):
            noise = NOISES[(i + r) % len(NOISES)]
            for way in WAYS if r * len(order) + i < operon else WAYS[:1]:
                trial = {"list": name, **place, "noise": noise, "way": way}
                made.append({"id": f"{place['law']:02d}-{noise:g}-{way}", **trial})
    return made


def run(trial: Trial) -> Record:
    """One formula from one set of samples."""
    law = laws_of(trial["list"])[trial["law"]]
    noise = trial["noise"]
    rng = np.random.default_rng([LISTS.index(trial["list"]), trial["law"], NOISES.index(noise)])
    x, y = law.experiments(SAMPLES, noise, rng)
    began = time.process_time()
    if trial["way"] == "search":
        front = find_formula(x, y, law.symbols, seed=0, seconds=SECONDS)
    else:
        front = ALONE.fit(x, y, law.symbols, 0)
    members = [m.expression for m in front.members]
    formula = None
    if members:
        formula = front.best(floor=max(noise, 1e-7) * float(y.std())).expression
        if trial["way"] == "operon" and (
            polished := optimise_constants(formula, x, y, law.symbols)
        ):
            formula = polished[0]
    seconds = time.process_time() - began
    chosen = score(formula, law, trial["law"])
    errors = [error(m, law, trial["law"]) for m in members]
    return {
        "domain": law.domain,
        "depth": law.depth,
        "truth": law.text,
        "recovered": chosen.recovered,
        "predicts": chosen.predicts(noise),
        "anywhere": min([chosen.error, *errors]) < limit(noise),
        "error": chosen.error,
        "moved": chosen.moved,
        "formula": sympy.sstr(formula.evalf(5)) if formula is not None else "",
        "seconds": seconds,
    }


def report(records: Sequence[Record], name: str) -> list[str]:
    """Shares by noise and depth with Wilson's intervals, what was found, and the misses."""
    laws = laws_of(name)
    met = len({(r["law"], r["noise"]) for r in records})
    lines = [
        f"# Counterfactual laws, {name} list: the robot-free engine beside Operon alone",
        "",
        (import_module(f"tests.bench.laws.counterfactual.{name}").__doc__ or "").strip(),
        "",
        f"Made by `python -m tests.bench.laws.counterfactual --list {name}` on "
        f"{machines_of(records)}, one thread. {SAMPLES} experiments in the ranges, without units "
        f"or constants of nature; noise relative to the readings' spread. {met} of "
        f"{len(laws) * len(NOISES)} pairs of a law and a noise were met, in an order in which "
        "noises and depths have equal shares.",
        "",
        "*Recovered*: the formula is the law (relative error below 1e-6 over ranges twice as wide, "
        "once its numbers are fitted there) and its numbers are within 1 %. *Predicts*: error over "
        "ranges twice as wide below max(1e-4, noise/2); in brackets, so does any formula of the "
        f"front. Seconds of the processor; both have about {SECONDS:g}. *Operon alone*: "
        f"{ALONE.generations} generations of {ALONE.population}; of its front the shortest "
        "description, its numbers fitted in double precision and made round as the engine's are. "
        "Intervals are Wilson's, 95 %. Rows compare both ways on the same pairs.",
    ]
    both = _both(records)
    if both:
        lines += ["",
                  "| | pairs | recovered: engine | Operon | predicts: engine | Operon "
                  "| seconds: engine (median, worst) | Operon |",
                  "|---|--:|---|---|---|---|--:|--:|"]  # fmt: skip
    groups: list[tuple[str, Callable[[Record], bool]]] = [("all", lambda r: True)]
    groups += [(f"noise {n:g}", lambda r, n=n: r["noise"] == n) for n in NOISES]
    groups += [(f"depth {d}", lambda r, d=d: r["depth"] == d) for d in (1, 2, 3)]
    for title, within in groups:
        pairs = [p for p in both if within(p[0])]
        if pairs:
            lines.append(_row(title, *zip(*pairs, strict=True)))
    alone = [r for r in records if r["way"] == "search"]
    if len(alone) > len(both):
        lines += ["", "The engine on all pairs that it met:", "",
                  "| | pairs | recovered | predicts |", "|---|--:|---|---|"]  # fmt: skip
        for title, within in groups:
            rows = [r for r in alone if within(r)]
            if rows:
                shares = f"{_share(rows, 'recovered')} | {_share(rows, 'predicts')}"
                lines.append(f"| {title} | {len(rows)} | {shares} |")
    lines += ["", "| law | noise | engine | error | Operon's error |", "|---|--:|---|--:|--:|"]
    beside = {(r["law"], r["noise"]): r for r in records if r["way"] == "operon"}
    for r in sorted(alone, key=lambda r: (r["law"], r["noise"])):
        other = beside.get((r["law"], r["noise"]))
        mark = "" if r["recovered"] else "*predicts:* " if r["predicts"] else "**missed:** "
        operon = "" if other is None else relative(other["error"])
        operon += " (recovered)" if other is not None and other["recovered"] else ""
        lines.append(
            f"| {r['domain']} `{r['truth']}` | {r['noise']:g} | {mark}`{r['formula']}` | "
            f"{relative(r['error'])} | {operon} |"
        )
    return lines


def _both(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Records of the engine and of Operon on the same samples."""
    of = {(r["law"], r["noise"], r["way"]): r for r in records}
    keys = sorted({(r["law"], r["noise"]) for r in records})
    return [
        (of[*key, "search"], of[*key, "operon"])
        for key in keys if (*key, "search") in of and (*key, "operon") in of
    ]  # fmt: skip


def _row(title: str, engine: Sequence[Record], operon: Sequence[Record]) -> str:
    cells = [title, str(len(engine))]
    cells += [_share(rows, "recovered") for rows in (engine, operon)]
    for rows in (engine, operon):
        cells.append(f"{_share(rows, 'predicts')} [{sum(r['anywhere'] for r in rows)}]")
    for rows in (engine, operon):
        seconds = [r["seconds"] for r in rows]
        cells.append(f"{np.median(seconds):.1f}, {max(seconds):.1f}")
    return "| " + " | ".join(cells) + " |"


def _share(rows: Sequence[Record], key: str) -> str:
    good = sum(bool(r[key]) for r in rows)
    low, high = wilson(good, len(rows))
    return f"{good} ({good / len(rows):.0%}; {low:.0%}–{high:.0%})".replace("%", " %")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/counterfactual"))
    parser.add_argument("--list", choices=LISTS, default="first")
    parser.add_argument("--rounds", type=int, choices=range(len(NOISES) + 1), default=len(NOISES))
    parser.add_argument("--operon", type=int, default=24)
    chosen = parser.parse_args()
    part = Part(
        name=chosen.list,
        title="",
        trials=lambda seeds: trials(chosen.list, chosen.rounds, chosen.operon),
        run=run,
        report=lambda records, folder: report(records, chosen.list),
    )
    run_part(part, chosen.out, (0,), 1, print)
    records = list(stored(chosen.out, chosen.list).values())
    if records:
        lines = report(records, chosen.list)
        print(write_text(chosen.out / f"report-{chosen.list}.md", "\n".join(lines) + "\n"))


if __name__ == "__main__":
    main()
