"""The report of the time ledger, written from what was measured: words, tables and one figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discover.artifacts import write_text
from discover.report import style
from discover.report.numbers import listing, number, relative, seconds
from discover.report.pareto import pareto
from discover.report.tables import cell, ledger_rows

Held = Mapping[str, Any]
FIGURE = "error_against_time.png"
CLOSE = 0.03  # times nearer than this share are called the same


def write(held: Mapping[str, Held], out: Path) -> Path:
    """Write figure and report beside the stored numbers; returns the report's path."""
    style.save(pareto({own["title"]: own for own in held.values()}), out / FIGURE)
    parts = [
        "# Should we expect the learned model to run faster?",
        answer(held),
        "\n".join(f"- {verdict(own)}" for own in held.values()),
        f"![Relative error against time a state, a panel a robot]({FIGURE})",
        "Each point is the fastest way found to run one contender: its error in the region where "
        "the networks were trained, and above it, at the end of the thin line, its error in the "
        "shell between two and three half-widths. Lower left is better; the dotted line joins "
        "those that nothing beats in both.",
        "## How much faster than other engines",
        ratios(held),
        *[section(own) for own in held.values()],
        "## How this was measured",
        method(held),
    ]
    return write_text(out / "report.md", "\n\n".join(parts) + "\n")


# ---- the answer ------------------------------------------------------------------------------


def answer(held: Mapping[str, Held]) -> str:
    """The first paragraph: yes or no for each robot, from the measured numbers."""
    beaten = [own["title"] for own in held.values() if _fastest(own, "model")[1] < _program(own)]
    if not beaten:
        opening = (
            "**No, not once the simulator is compiled.** The equations of motion as straight-line "
            "machine code are faster than every network tried here, and exact."
        )
    elif len(beaten) == len(held):
        opening = (
            "**Only if a large error will do.** A small network is faster than even the compiled "
            "equations of motion on every robot here."
        )
    else:
        opening = (
            f"**Hardly ever.** Only for {listing(beaten)} is a network faster than the compiled "
            "equations of motion, which are exact."
        )
    told = []
    for own in held.values():
        name, fast = _fastest(own, "model")
        told.append(
            f"{_against(_program(own), fast)} for *{own['title']}* (at an error of "
            f"{relative(_errors(own, name)[0])} in the region it was trained in and "
            f"{relative(_errors(own, name)[-1])} outside)"
        )
    batch = _largest(next(iter(held.values())))
    text = (
        f"{opening} In batches of {batch} and against the compiled simulator, the fastest "
        f"network is {listing(told)}."
    )
    ratios = [
        pinocchio / _fastest(own, "model")[1]
        for own in held.values()
        if (pinocchio := _engine(own, "Pinocchio", "abaInParallel")) is not None
    ]
    if ratios:
        text += (
            " Against Pinocchio, which is not compiled for the one robot, it is "
            f"{_against(min(ratios), 1)} to {_against(max(ratios), 1)}. What should be "
            "fast is not the network but the law taken from it: it goes through the same compiler "
            "as the simulator."
        )
    return text


def verdict(held: Held) -> str:
    """One robot's answer: the fastest and the most exact network against the ways to simulate."""
    name, fast = _fastest(held, "model")
    inside, _, outside = _errors(held, name)
    exact, exact_error = _most_exact(held)
    program = _program(held)
    eager, pinocchio, mujoco = (
        _time(held, "simulator, torch eager"),
        _engine(held, "Pinocchio", "abaInParallel"),
        _engine(held, "MuJoCo", "smooth"),
    )
    text = (
        f"*{held['title']}* ({held['robot']['velocities']} velocities): the fastest network "
        f"({name}) takes {seconds(1e-9 * fast)} a state with an error of {relative(inside)} in "
        f"its region and {relative(outside)} outside it; the compiled simulator takes "
        f"{seconds(1e-9 * program)} with none, {_against(fast, program)}. "
    )
    against = []
    if eager is not None:
        against.append(f"{_against(eager, fast)} than the same simulator in eager PyTorch")
    if pinocchio is not None:
        against.append(f"{_against(pinocchio, fast)} than Pinocchio")
    if mujoco is not None:
        against.append(f"{_against(mujoco, fast)} than MuJoCo")
    text += f"That network is {listing(against)}." if against else ""
    if exact != name:
        slow = _time(held, exact) or fast
        text += (
            f" The most exact one ({exact}, {relative(exact_error)}) takes {seconds(1e-9 * slow)}."
        )
    alone = _fastest(held, "model", 1)[1]
    text += (
        f" One state alone, called from Python: network {seconds(1e-9 * alone)}, compiled "
        f"simulator {seconds(1e-9 * (_time(held, 'simulator, compiled', 1) or 0))}"
    )
    call = _engine(held, "Pinocchio", "a call", batch=1)
    text += f", Pinocchio {seconds(1e-9 * call)}." if call is not None else "."
    law = _time(held, "law, compiled")
    if law is not None:
        text += (
            f" The law distilled from {held['law']['model']} runs as compiled code in "
            f"{seconds(1e-9 * law)}, {number(program / law)} times the speed of the compiled "
            f"simulator, with an error of {relative(_errors(held, 'law, compiled')[0])} inside and "
            f"{relative(_errors(held, 'law, compiled')[2])} outside."
        )
    return text


def _against(slow: float, fast: float) -> str:
    """How many times faster `fast` is than `slow`, in words."""
    ratio = slow / fast
    if abs(ratio - 1) < CLOSE:
        return "as fast"
    return f"{number(ratio)} times faster" if ratio > 1 else f"{number(1 / ratio)} times slower"


# ---- numbers out of the stored ledger --------------------------------------------------------


def _largest(held: Held) -> int:
    return max(t["batch"] for t in held["timings"])


def _time(held: Held, name: str, batch: int | None = None) -> float | None:
    batch = batch or _largest(held)
    found = [t["nanoseconds"] for t in held["timings"] if t["name"] == name and t["batch"] == batch]
    return found[0] if found else None


def _program(held: Held) -> float:
    time = _time(held, "simulator, compiled")
    assert time is not None, "every ledger has the compiled simulator"
    return time


def _engine(held: Held, *words: str, batch: int | None = None) -> float | None:
    names = {t["name"] for t in held["timings"] if all(w in t["name"] for w in words)}
    return _time(held, min(names), batch) if names else None


def _errors(held: Held, name: str) -> list[float | None]:
    found = [a["errors"] for a in held["accuracy"] if a["name"] == name]
    return list(found[0]) if found else [None, None, None]


def _fastest(held: Held, kind: str, batch: int | None = None) -> tuple[str, float]:
    names = [a["name"] for a in held["accuracy"] if a["kind"] == kind]
    times = ((name, _time(held, name, batch) or float("inf")) for name in names)
    return min(times, key=lambda pair: pair[1])


def _most_exact(held: Held) -> tuple[str, float]:
    """The network with the least error, in the way it runs fastest."""
    known = [a for a in held["accuracy"] if a["kind"] == "model" and a["errors"][0] is not None]
    least = min(a["errors"][0] for a in known)
    same = [a["name"] for a in known if a["errors"][0] == least]
    return min(same, key=lambda n: _time(held, n) or float("inf")), least


# ---- tables ----------------------------------------------------------------------------------


def ratios(held: Mapping[str, Held]) -> str:
    """The compiled simulator against the engines, batched and one state at a time."""
    lines = [
        "| | a batch, against `abaInParallel` | one state at a time, against `abaInParallel` | "
        "a batch, against MuJoCo | one state at a time, against MuJoCo |",
        "|---|--:|--:|--:|--:|",
    ]
    for own in held.values():
        rows = {(r["contender"], r["batch"]): r["median_ns"] for r in own["programs"]}
        batch = max(size for _, size in rows)
        base = rows.get(("pinocchio abaInParallel", batch))
        fast, single = rows["compiled auto", batch], rows["compiled auto, one by one", batch]
        mujoco = _engine(own, "MuJoCo", "smooth")
        alone = _time(own, "simulator, compiled, one state at a time")
        cells = [
            None if base is None else base / fast,
            None if base is None else base / single,
            None if mujoco is None else mujoco / _program(own),
            None if mujoco is None or alone is None else mujoco / alone,
        ]
        told = " | ".join("–" if x is None else f"{number(x)}×" for x in cells)
        lines.append(f"| {own['title']} | {told} |")
    lines += [
        "",
        f"Times per state at a batch of {_largest(next(iter(held.values())))}, all in machine "
        "code, so that no call from Python is in them; `abaInParallel` is Pinocchio's batch on one "
        "thread, MuJoCo is its smooth pipeline (positions, mass matrix, factors, bias, one solve) "
        "with the constraint solver left out.",
    ]
    return "\n".join(lines)


def section(held: Held) -> str:
    """One robot: its ledger, what its networks and law cost, and its elimination orders."""
    told = ledger_rows(held)
    lines = [
        f"## {held['title']}",
        "",
        f"{held['robot']['bodies']} bodies, {held['robot']['velocities']} velocities.",
        "",
        f"| | {' | '.join(told['titles'])} | numbers |",
        f"|---|{'--:|' * len(told['titles'])}---|",
    ]
    for row in told["rows"]:
        lines.append(f"| {cell(row['name'])} | {' | '.join(row['cells'])} | {row['dtype']} |")
    return "\n".join([*lines, "", *costs(held), "", *orders(held)])


def costs(held: Held) -> list[str]:
    """Training, distillation and compilation, in sentences."""
    told = [
        f"{own['name']} {seconds(own['seconds'])} ({own['parameters']:,} parameters, "
        f"{own['epochs']} epochs of {own['samples']:,} samples)"
        for own in held["training"]
    ]
    text = f"Training took: {listing(told)}; drawing the samples "
    text += f"{seconds(max(own['sampling_seconds'] for own in held['training']))}."
    law = held["law"]
    if law is None:
        text += " No law was distilled from these networks."
    else:
        spent = f"{seconds(law['seconds'])}"
        if law.get("size") is not None:
            text += (
                f" Distilling the law from {law['model']} took {spent} and {law['queries']:,} "
                f"questions; it has {law['size']} parameters, and the verdict on the network was "
                f"*{law['verdict']}*."
            )
        else:
            why = law.get("why") or f"verdict: {law.get('verdict')}"
            text += f" Looking for a law in {law['model']} took {spent} and gave none ({why})."
    text += (
        f" From the robot to machine code: {seconds(held['compile']['anew'])} the first time, "
        f"{seconds(held['compile']['cached'])} from the cache."
    )
    return [text]


def orders(held: Held) -> list[str]:
    """Operation counts and times of the elimination orders, and the winner as passes."""
    rows = {(r["contender"], r["batch"]): r for r in held["programs"]}
    batch = max(size for _, size in rows)
    names = {"aba": "articulated bodies", "crba": "composite bodies", "auto": "found by search"}
    counts = {**held["orders"]["operations"]}
    counts["auto"] = counts.pop("found")
    times = {own: rows[f"compiled {own}", batch]["median_ns"] for own in names}
    alone = {own: rows[f"compiled {own}, one by one", batch]["median_ns"] for own in names}
    lines = ["| elimination order | operations | instructions | a batch | one state |"]
    lines.append("|---|--:|--:|--:|--:|")
    for own, title in names.items():
        lines.append(
            f"| {title} | {counts[own]:,} | {held['orders']['instructions'][own]:,} | "
            f"{seconds(1e-9 * times[own])} | {seconds(1e-9 * alone[own])} |"
        )
    cheapest = min(counts, key=lambda own: (counts[own], own != "auto"))
    fastest = min(times, key=lambda own: times[own])
    saved = 1 - counts["auto"] / min(counts["aba"], counts["crba"])
    text = "The order found needs as many operations as the better classical one. "
    if saved > 0:
        text = (
            f"The order found needs {100 * saved:.1f} % fewer operations than the better "
            "classical one. "
        )
    if times[cheapest] <= times[fastest] * (1 + CLOSE):
        text += "It is also the fastest, within what can be told apart."
    else:
        text += (
            f"**Cheaper is not faster here**: {names[fastest]} takes "
            f"{seconds(1e-9 * times[fastest])} a state, the cheapest order "
            f"{seconds(1e-9 * times[cheapest])}."
        )
    passes = held["orders"]["passes"]
    folded = "<details><summary>The order found, as passes over the tree</summary>"
    return [*lines, "", text, "", folded, "", "```", passes.rstrip(), "```", "", "</details>"]


def method(held: Mapping[str, Held]) -> str:
    """Machine, versions, and what was done to be fair."""
    own = next(iter(held.values()))
    versions = ", ".join(f"{k} {v}" for k, v in own["versions"].items() if k != "cuda")
    cuda = own["versions"]["cuda"] == "True"
    return (
        f"One thread of {own['machine']['processor']}, {own['date']}; {versions}. "
        "All contenders take turns on the same states, round by round; times are medians of "
        "processor time, errors are relative root mean squares against "
        f"{own['reference']}, q, v and tau together: in the region, and in the shells that end at "
        "two and three half-widths. All engines are built from the same tree and inertias. "
        "Calls start from Python: a batch of one pays for the "
        'call, except in the rows "one state at a time". Networks run in float32, as they would '
        "be used; the rest in float64. "
        + ("" if cuda else "No GPU was present, so there are no rows for CUDA. ")
        + "Made by `discover bench dynamics --out DIR`; the numbers are in the JSON files beside."
    )


def plain_table(held: Held) -> str:
    """The ledger of one robot for a terminal."""
    told = ledger_rows(held)
    table = [["", *told["titles"], "numbers"]]
    table += [[row["name"], *row["cells"], row["dtype"]] for row in told["rows"]]
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    rows = [
        line[0].ljust(widths[0])
        + "".join("  " + text.rjust(w) for text, w in zip(line[1:], widths[1:], strict=True))
        for line in table
    ]
    return "\n".join([held["title"], *rows])
