"""The time ledger's answer in words: is a network faster than simulating, robot by robot?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discover.report.numbers import listing, number, relative, seconds

Held = Mapping[str, Any]
CLOSE = 0.03  # times nearer than this share are called the same


def answer(held: Mapping[str, Held]) -> str:
    """The first paragraph: yes or no for each robot, from the measured numbers."""
    beaten = [own["title"] for own in held.values() if fastest(own, "model")[1] < program_time(own)]
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
        name, fast = fastest(own, "model")
        told.append(
            f"{against(program_time(own), fast)} for *{own['title']}* (at an error of "
            f"{relative(errors(own, name)[0])} in the region it was trained in and "
            f"{relative(errors(own, name)[-1])} outside)"
        )
    batch = largest(next(iter(held.values())))
    text = (
        f"{opening} In batches of {batch} and against the compiled simulator, the fastest "
        f"network is {listing(told)}."
    )
    ratios = [
        pinocchio / fastest(own, "model")[1]
        for own in held.values()
        if (pinocchio := engine(own, "Pinocchio", "abaInParallel")) is not None
    ]
    if ratios:
        text += (
            " Against Pinocchio, which is not compiled for the one robot, it is "
            f"{against(min(ratios), 1)} to {against(max(ratios), 1)}. What should be "
            "fast is not the network but the law taken from it: it goes through the same compiler "
            "as the simulator."
        )
    return text


def verdict(held: Held) -> str:
    """One robot's answer: the fastest and the most exact network against the ways to simulate."""
    name, fast = fastest(held, "model")
    inside, _, outside = errors(held, name)
    exact, exact_error = most_exact(held)
    program = program_time(held)
    eager, pinocchio, mujoco = (
        time_of(held, "simulator, torch eager"),
        engine(held, "Pinocchio", "abaInParallel"),
        engine(held, "MuJoCo", "smooth"),
    )
    text = (
        f"*{held['title']}* ({held['robot']['velocities']} velocities): the fastest network "
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
        slow = time_of(held, exact) or fast
        text += (
            f" The most exact one ({exact}, {relative(exact_error)}) takes {seconds(1e-9 * slow)}."
        )
    alone = fastest(held, "model", 1)[1]
    text += (
        f" One state alone, called from Python: network {seconds(1e-9 * alone)}, compiled "
        f"simulator {seconds(1e-9 * (time_of(held, 'simulator, compiled', 1) or 0))}"
    )
    call = engine(held, "Pinocchio", "a call", batch=1)
    text += f", Pinocchio {seconds(1e-9 * call)}." if call is not None else "."
    law = time_of(held, "law, compiled")
    if law is not None:
        text += (
            f" The law distilled from {held['law']['model']} runs as compiled code in "
            f"{seconds(1e-9 * law)}, {number(program / law)} times the speed of the compiled "
            f"simulator, with an error of {relative(errors(held, 'law, compiled')[0])} inside and "
            f"{relative(errors(held, 'law, compiled')[2])} outside."
        )
    return text


def against(slow: float, fast: float) -> str:
    """How many times faster `fast` is than `slow`, in words."""
    ratio = slow / fast
    if abs(ratio - 1) < CLOSE:
        return "as fast"
    return f"{number(ratio)} times faster" if ratio > 1 else f"{number(1 / ratio)} times slower"


def largest(held: Held) -> int:
    return max(t["batch"] for t in held["timings"])


def time_of(held: Held, name: str, batch: int | None = None) -> float | None:
    batch = batch or largest(held)
    found = [t["nanoseconds"] for t in held["timings"] if t["name"] == name and t["batch"] == batch]
    return found[0] if found else None


def program_time(held: Held) -> float:
    time = time_of(held, "simulator, compiled")
    assert time is not None, "every ledger has the compiled simulator"
    return time


def engine(held: Held, *words: str, batch: int | None = None) -> float | None:
    names = {t["name"] for t in held["timings"] if all(w in t["name"] for w in words)}
    return time_of(held, min(names), batch) if names else None


def errors(held: Held, name: str) -> list[float | None]:
    found = [a["errors"] for a in held["accuracy"] if a["name"] == name]
    return list(found[0]) if found else [None, None, None]


def fastest(held: Held, kind: str, batch: int | None = None) -> tuple[str, float]:
    names = [a["name"] for a in held["accuracy"] if a["kind"] == kind]
    times = ((name, time_of(held, name, batch) or float("inf")) for name in names)
    return min(times, key=lambda pair: pair[1])


def most_exact(held: Held) -> tuple[str, float]:
    """The network with the least error, in the way it runs fastest."""
    known = [a for a in held["accuracy"] if a["kind"] == "model" and a["errors"][0] is not None]
    least = min(a["errors"][0] for a in known)
    same = [a["name"] for a in known if a["errors"][0] == least]
    return min(same, key=lambda n: time_of(held, n) or float("inf")), least
