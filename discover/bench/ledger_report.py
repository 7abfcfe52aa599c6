"""The report of the time ledger, written from what was measured: words, tables and one figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discover.artifacts import write_text
from discover.bench import cuda_report
from discover.bench.ledger_answer import (
    CLOSE,
    answer,
    engine,
    largest,
    program_time,
    time_of,
    verdict,
)
from discover.report import style
from discover.report.numbers import listing, number, seconds
from discover.report.pareto import pareto
from discover.report.tables import ledger_rows

Ledger = Mapping[str, Any]
FIGURE = "error_against_time.png"
SCALING = "scaling.png"


def write(
    ledgers: Mapping[str, Ledger], out: Path, card: Mapping[str, Ledger] | None = None
) -> Path:
    """Write figures and report beside the stored numbers; returns the report's path.

    held: what was measured on the processor, by robot; card: on a graphics card, where one was.
    """
    parts = ["# Should we expect the learned model to run faster?"]
    if ledgers:
        style.save(pareto({ledger["title"]: ledger for ledger in ledgers.values()}), out / FIGURE)
        parts += [
            answer(ledgers),
            *([cuda_report.answer(card)] if card else []),
            "\n".join(f"- {verdict(ledger)}" for ledger in ledgers.values()),
            f"![Relative error against time a state, a panel a robot]({FIGURE})",
            "Each point is the fastest way found to run one contender: its error in the region "
            "where the networks were trained, and above it, at the end of the thin line, its error "
            "in the shell between two and three half-widths. Lower left is better; the dotted line "
            "joins those that nothing beats in both.",
            "## How much faster than other engines",
            ratios(ledgers),
            *[section(ledger) for ledger in ledgers.values()],
        ]
    elif card:
        parts.append(cuda_report.answer(card))
    if (out / SCALING).exists():
        parts += [
            "## Against the number of bodies",
            f"![Time of forward dynamics against the number of bodies]({SCALING})",
            "Random trees of revolute joints. The simulator in eager PyTorch pays for its calls, "
            "and hardly for bodies; the compiled program pays for its arithmetic, which grows in "
            "proportion (dashed).",
        ]
    if card:
        parts += cuda_report.sections(card, out)
    if ledgers:
        parts += ["## How this was measured", method(ledgers, with_card=bool(card))]
    return write_text(out / "report.md", "\n\n".join(parts) + "\n")


def ratios(ledgers: Mapping[str, Ledger]) -> str:
    """The compiled simulator against the engines, batched and one state at a time."""
    lines = [
        "| | a batch, against `abaInParallel` | one state at a time, against `abaInParallel` | "
        "a batch, against MuJoCo | one state at a time, against MuJoCo |",
        "|---|--:|--:|--:|--:|",
    ]
    for ledger in ledgers.values():
        rows = {(r["contender"], r["batch"]): r["median_ns"] for r in ledger["programs"]}
        batch = max(size for _, size in rows)
        base = rows.get(("pinocchio abaInParallel", batch))
        fast, single = rows["compiled auto", batch], rows["compiled auto, one by one", batch]
        mujoco = engine(ledger, "MuJoCo", "smooth")
        alone = time_of(ledger, "simulator, compiled, one state at a time")
        cells = [
            None if base is None else base / fast,
            None if base is None else base / single,
            None if mujoco is None else mujoco / program_time(ledger),
            None if mujoco is None or alone is None else mujoco / alone,
        ]
        row = " | ".join("–" if x is None else f"{number(x)}×" for x in cells)
        lines.append(f"| {ledger['title']} | {row} |")
    lines += [
        "",
        f"Times per state at a batch of {largest(next(iter(ledgers.values())))}, all in machine "
        "code, so that no call from Python is in them; `abaInParallel` is Pinocchio's batch on one "
        "thread, MuJoCo is its smooth pipeline (positions, mass matrix, factors, bias, one solve) "
        "with the constraint solver left out.",
    ]
    return "\n".join(lines)


def section(ledger: Ledger) -> str:
    """One robot: its ledger, what its networks and law cost, and its elimination orders."""
    lines = [
        f"## {ledger['title']}",
        "",
        f"{ledger['robot']['bodies']} bodies, {ledger['robot']['velocities']} velocities.",
        "",
        cuda_report.table(ledger),
    ]
    return "\n".join([*lines, "", *costs(ledger), "", *orders(ledger)])


def costs(ledger: Ledger) -> list[str]:
    """Training, distillation and compilation, in sentences."""
    trained = [
        f"{network['name']} {seconds(network['seconds'])} ({network['parameters']:,} parameters, "
        f"{network['epochs']} epochs of {network['samples']:,} samples)"
        for network in ledger["training"]
    ]
    text = f"Training took: {listing(trained)}; drawing the samples "
    text += f"{seconds(max(network['sampling_seconds'] for network in ledger['training']))}."
    text += distilling(ledger["law"])
    text += (
        f" From the robot to machine code in a new process, the loading of LLVM included: "
        f"{seconds(ledger['compile']['anew'])} the first time, "
        f"{seconds(ledger['compile']['cached'])} from the cache (processor time)."
    )
    return [text]


def distilling(law: Ledger | None) -> str:
    """From which model the law was distilled, and what that took."""
    if law is None:
        return " No law was distilled."
    text, sought = "", law.get("sought")
    if sought is not None:
        why = sought.get("why") or f"verdict: {sought.get('verdict')}"
        text = (
            f" Looking for a law in {sought['model']} took {seconds(sought['seconds'])} and gave "
            f"none ({why})."
        )
    text += (
        f" Distilling the law from {law['model']} took {seconds(law['seconds'])} and "
        f"{law['queries']:,} questions; it has {law['size']} parameters"
    )
    if law["verdict"] is None:
        return text + "."
    return text + f", and the verdict on the network was *{law['verdict']}*."


def orders(ledger: Ledger) -> list[str]:
    """Operation counts and times of the elimination orders, and the winner as passes."""
    rows = {(r["contender"], r["batch"]): r for r in ledger["programs"]}
    batch = max(size for _, size in rows)
    names = {"aba": "articulated bodies", "crba": "composite bodies", "auto": "found by search"}
    counts = {**ledger["orders"]["operations"]}
    counts["auto"] = counts.pop("found")
    times = {order: rows[f"compiled {order}", batch]["median_ns"] for order in names}
    alone = {order: rows[f"compiled {order}, one by one", batch]["median_ns"] for order in names}
    lines = ["| elimination order | operations | instructions | a batch | one state |"]
    lines.append("|---|--:|--:|--:|--:|")
    for order, title in names.items():
        lines.append(
            f"| {title} | {counts[order]:,} | {ledger['orders']['instructions'][order]:,} | "
            f"{seconds(1e-9 * times[order])} | {seconds(1e-9 * alone[order])} |"
        )
    cheapest = min(counts, key=lambda order: (counts[order], order != "auto"))
    fastest = min(times, key=lambda order: times[order])
    saved = 1 - counts["auto"] / min(counts["aba"], counts["crba"])
    text = "The order found needs as many operations as the better classical one. "
    if saved > 0:
        text = (
            f"The order found needs {100 * saved:.1f} % fewer operations than the better "
            "classical one. "
        )
    if times[cheapest] <= times[fastest] * (1 + CLOSE) or counts[cheapest] == counts[fastest]:
        text += "None that costs more is faster, within what can be told apart."
    else:
        text += (
            f"**Cheaper is not faster here**: {names[fastest]} takes "
            f"{seconds(1e-9 * times[fastest])} a state, the cheapest order "
            f"{seconds(1e-9 * times[cheapest])}."
        )
    text += (
        f' Timed in turns when it was compiled, `order="fastest"` took '
        f"{names[ledger['orders']['measured']]}."
    )
    passes = ledger["orders"]["passes"]
    folded = "<details><summary>The order found, as passes over the tree</summary>"
    return [*lines, "", text, "", folded, "", "```", passes.rstrip(), "```", "", "</details>"]


def method(ledgers: Mapping[str, Ledger], *, with_card: bool) -> str:
    """How the processor was measured: machine, versions, rules of the comparison."""
    ledger = next(iter(ledgers.values()))
    versions = ", ".join(f"{k} {v}" for k, v in ledger["versions"].items() if k != "cuda")
    return (
        f"One thread of {ledger['machine']['processor']}, {ledger['date']}; {versions}. "
        "All contenders take turns on the same states, round by round; times are medians of "
        "processor time, errors are relative root mean squares against "
        f"{ledger['reference']}, q, v and tau together: in the region, and in the shells that end "
        "at two and three half-widths. All engines are built from the same tree and inertias. "
        "Calls start from Python: a batch of one pays for the "
        'call, except in the rows "one state at a time". Networks run in float32, as they would '
        "be used; the rest in float64. "
        + ("" if with_card else "No graphics card was present, so there is no table for CUDA. ")
        + "Made by `discover bench dynamics --out DIR`; the numbers are in the JSON files beside."
    )


def plain_table(ledger: Ledger) -> str:
    """The ledger of one robot for a terminal."""
    columns = ledger_rows(ledger)
    table = [["", *columns["titles"], "numbers"]]
    table += [[row["name"], *row["cells"], row["dtype"]] for row in columns["rows"]]
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    rows = [
        line[0].ljust(widths[0])
        + "".join("  " + text.rjust(w) for text, w in zip(line[1:], widths[1:], strict=True))
        for line in table
    ]
    return "\n".join([ledger["title"], *rows])
