"""The time ledger's answer in words: on which robots a network is faster than the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discover.report.numbers import listing, number, relative, seconds

Ledger = Mapping[str, Any]
CLOSE = 0.03  # relative difference of times below which they are called the same


def answer(ledgers: Mapping[str, Ledger]) -> str:
    """The first paragraph: yes or no for each robot, from the measured numbers."""
    beaten = [
        ledger["title"]
        for ledger in ledgers.values()
        if fastest(ledger, "model")[1] < program_time(ledger)
    ]
    if not beaten:
        opening = (
            "**No, not once the simulator is compiled.** The equations of motion as straight-line "
            "machine code are faster than every network tried here, and exact."
        )
    elif len(beaten) == len(ledgers):
        opening = (
            "**Only if a large error will do.** A small network is faster than even the compiled "
            "equations of motion on every robot here."
        )
    else:
        opening = (
            f"**Hardly ever.** Only for {listing(beaten)} is a network faster than the compiled "
            "equations of motion, which are exact."
        )
    comparisons = []
    for ledger in ledgers.values():
        name, fast = fastest(ledger, "model")
        comparisons.append(
            f"{against(program_time(ledger), fast)} for *{ledger['title']}* (at an error of "
            f"{relative(errors(ledger, name)[0])} in the region it was trained in and "
            f"{relative(errors(ledger, name)[-1])} outside)"
        )
    batch = largest(next(iter(ledgers.values())))
    text = (
        f"{opening} In batches of {batch} and against the compiled simulator, the fastest "
        f"network is {listing(comparisons)}."
    )
    ratios = [
        pinocchio / fastest(ledger, "model")[1]
        for ledger in ledgers.values()
        if (pinocchio := engine(ledger, "Pinocchio", "abaInParallel")) is not None
    ]
    if ratios:
        text += (
            " Against Pinocchio, which is not compiled for the one robot, it is "
            f"{against(min(ratios), 1)} to {against(max(ratios), 1)}. What should be "
            "fast is not the network but the law taken from it: it goes through the same compiler "
            "as the simulator."
        )
    return text


def verdict(ledger: Ledger) -> str:
    """One robot's answer: the fastest and the most exact network against the ways to simulate."""
    name, fast = fastest(ledger, "model")
    inside, _, outside = errors(ledger, name)
    exact, exact_error = most_exact(ledger)
    program = program_time(ledger)
    eager, pinocchio, mujoco = (
        time_of(ledger, "simulator, torch eager"),
        engine(ledger, "Pinocchio", "abaInParallel"),
        engine(ledger, "MuJoCo", "smooth"),
    )
    text = (
        f"*{ledger['title']}* ({ledger['robot']['velocities']} velocities): the fastest network "
        f"({name}) takes {seconds(1e-9 * fast)} a state with an error of {relative(inside)} in "
        f"its region and {relative(outside)} outside it; the compiled simulator takes "
        f"{seconds(1e-9 * program)} with none, {against(fast, program)}. "
    )
    compared = []
    if eager is not None:
        compared.append(f"{against(eager, fast)} than the same simulator in eager PyTorch")
    if pinocchio is not None:
        compared.append(f"{against(pinocchio, fast)} than Pinocchio")
    if mujoco is not None:
        compared.append(f"{against(mujoco, fast)} than MuJoCo")
    text += f"That network is {listing(compared)}." if compared else ""
    if exact != name:
        slow = time_of(ledger, exact) or fast
        text += (
            f" The most exact one ({exact}, {relative(exact_error)}) takes {seconds(1e-9 * slow)}."
        )
    alone = fastest(ledger, "model", 1)[1]
    text += (
        f" One state alone, called from Python: network {seconds(1e-9 * alone)}, compiled "
        f"simulator {seconds(1e-9 * (time_of(ledger, 'simulator, compiled', 1) or 0))}"
    )
    call = engine(ledger, "Pinocchio", "a call", batch=1)
    text += f", Pinocchio {seconds(1e-9 * call)}." if call is not None else "."
    law = time_of(ledger, "law, compiled")
    if law is not None:
        inside, _, outside = errors(ledger, "law, compiled")
        text += (
            f" The law distilled from {ledger['law']['model']} runs as compiled code in "
            f"{seconds(1e-9 * law)}, {number(program / law)} times the speed of the compiled "
            f"simulator, with an error of {relative(inside)} inside and {relative(outside)} "
            "outside."
        )
    return text


def against(slow: float, fast: float) -> str:
    """How many times faster `fast` is than `slow`, in words."""
    ratio = slow / fast
    if abs(ratio - 1) < CLOSE:
        return "as fast"
    return f"{number(ratio)} times faster" if ratio > 1 else f"{number(1 / ratio)} times slower"


def largest(ledger: Ledger) -> int:
    return max(t["batch"] for t in ledger["timings"])


def time_of(ledger: Ledger, name: str, batch: int | None = None) -> float | None:
    batch = batch or largest(ledger)
    times = [
        t["nanoseconds"] for t in ledger["timings"] if t["name"] == name and t["batch"] == batch
    ]
    return times[0] if times else None


def program_time(ledger: Ledger) -> float:
    time = time_of(ledger, "simulator, compiled")
    assert time is not None, "every ledger has the compiled simulator"
    return time


def engine(ledger: Ledger, *words: str, batch: int | None = None) -> float | None:
    names = {t["name"] for t in ledger["timings"] if all(w in t["name"] for w in words)}
    return time_of(ledger, min(names), batch) if names else None


def errors(ledger: Ledger, name: str) -> list[float | None]:
    matches = [a["errors"] for a in ledger["accuracy"] if a["name"] == name]
    return list(matches[0]) if matches else [None, None, None]


def fastest(ledger: Ledger, kind: str, batch: int | None = None) -> tuple[str, float]:
    names = [a["name"] for a in ledger["accuracy"] if a["kind"] == kind]
    times = ((name, time_of(ledger, name, batch) or float("inf")) for name in names)
    return min(times, key=lambda pair: pair[1])


def most_exact(ledger: Ledger) -> tuple[str, float]:
    """The network with the least error, in the way it runs fastest."""
    known = [a for a in ledger["accuracy"] if a["kind"] == "model" and a["errors"][0] is not None]
    least = min(a["errors"][0] for a in known)
    same = [a["name"] for a in known if a["errors"][0] == least]
    return min(same, key=lambda n: time_of(ledger, n) or float("inf")), least
