"""The section of the time ledger's report about a graphics card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discover.bench.ledger_answer import against, errors, largest
from discover.report import style
from discover.report.numbers import listing, number, relative, seconds
from discover.report.pareto import pareto
from discover.report.tables import cell, ledger_rows

Ledger = Mapping[str, Any]
FIGURE = "error_against_time_cuda.png"
PROGRAM = "simulator, compiled"
SINGLE = "simulator, compiled, float32"


def answer(card: Mapping[str, Ledger]) -> str:
    """The paragraph for the card: the fastest network against the compiled program there."""
    first = next(iter(card.values()))
    batch = largest(first)
    comparisons = []
    for ledger in card.values():
        name, fast = fastest_network(ledger, batch)
        exact = least(ledger, PROGRAM, batch)
        single = least(ledger, SINGLE, batch)
        comparisons.append(
            f"for *{ledger['title']}* {against(exact, fast)} than the program in float64 and "
            f"{against(single, fast)} than in float32, at an error of "
            f"{relative(errors(ledger, name)[0])}"
        )
    small = [
        f"{seconds(1e-9 * fastest_network(ledger, 1)[1])} against "
        f"{seconds(1e-9 * least(ledger, PROGRAM, 1))} for *{ledger['title']}*"
        for ledger in card.values()
    ]
    return (
        f"**On a graphics card** ({first['machine']['card']}) the same program runs as a CUDA "
        f"kernel. In batches of {batch:,} the fastest network is {listing(comparisons)}. One state "
        f"alone, network against program: {listing(small)}; there the start of kernels and the "
        "wait for them are what is timed, and networks are replayed as CUDA graphs while the "
        "program is started from Python."
    )


def sections(card: Mapping[str, Ledger], out: Path) -> list[str]:
    """The card's figure, one table a robot, and how it was measured."""
    name = next(iter(card.values()))["machine"]["card"]
    figure = pareto(
        {ledger["title"]: ledger for ledger in card.values()},
        measured=f"on {name} unless the processor is named",
    )
    style.save(figure, out / FIGURE)
    parts = [
        "## On a graphics card",
        f"![Relative error against time a state on a graphics card]({FIGURE})",
    ]
    for ledger in card.values():
        parts += [f"### {ledger['title']} on the card", table(ledger), costs(ledger)]
    return [*parts, method(card)]


def table(ledger: Ledger) -> str:
    """One robot's ledger as a Markdown table."""
    rows = ledger_rows(ledger)
    lines = [
        f"| | {' | '.join(rows['titles'])} | numbers |",
        f"|---|{'--:|' * len(rows['titles'])}---|",
    ]
    for row in rows["rows"]:
        lines.append(f"| {cell(row['name'])} | {' | '.join(row['cells'])} | {row['dtype']} |")
    return "\n".join(lines)


def costs(ledger: Ledger) -> str:
    """What training the networks and building the kernel took, in sentences."""
    trained = [
        f"{net['name']} {seconds(net['seconds'])} ({net['epochs']} epochs of "
        f"{net['samples']:,} samples)"
        for net in ledger["training"]
    ]
    batch = largest(ledger)
    processor = [t for t in ledger["timings"] if "processor" in t["name"] and t["batch"] == batch]
    widest = max(processor, key=lambda t: t["threads"])
    many = "one thread" if widest["threads"] == 1 else f"{widest['threads']} threads"
    ratio = widest["nanoseconds"] / least(ledger, PROGRAM, batch)
    return (
        f"Trained on the card: {listing(trained)}. Building the kernel took "
        f"{seconds(ledger['build_seconds'])}. At the largest batch the card takes "
        f"{seconds(1e-9 * least(ledger, PROGRAM, batch))} a state in float64, "
        f"{number(ratio)} times the speed of the same program on {many} of the processor beside "
        "it."
    )


def method(card: Mapping[str, Ledger]) -> str:
    """How the card was measured: machine, versions, clock."""
    ledger = next(iter(card.values()))
    machine = ledger["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in ledger["versions"].items() if k != "cuda")
    engines = (
        ""
        if "pin" in ledger["versions"]
        else " Pinocchio was not installed on this machine: for it see the tables above."
    )
    return (
        f"{machine['card']} and {machine['processor']}, {ledger['date']}; {versions}. "
        "States lie on the card already and answers stay there; every call is waited for, and "
        "times are medians by the clock on the wall. Networks run in float32 as they are, as CUDA "
        "graphs and through `torch.compile`; the simulator goes through `torch.compile` only where "
        "it has few joints, because that takes minutes for more. Errors are against "
        f"{ledger['reference']}.{engines} "
        "Made by `discover bench dynamics --device cuda --out DIR`."
    )


def least(ledger: Ledger, name: str, batch: int) -> float:
    """The time [ns] of one contender."""
    return min(
        t["nanoseconds"] for t in ledger["timings"] if (t["name"], t["batch"]) == (name, batch)
    )


def fastest_network(ledger: Ledger, batch: int) -> tuple[str, float]:
    """The network that is fastest at a batch size, and its time [ns]."""
    names = {a["name"] for a in ledger["accuracy"] if a["kind"] == "model"}
    times = {
        t["name"]: t["nanoseconds"]
        for t in ledger["timings"]
        if t["batch"] == batch and t["name"] in names
    }
    name = min(times, key=lambda n: times[n])
    return name, times[name]
