"""`python -m tests.bench.inside`: look inside planted networks, and score what is claimed.

    python -m tests.bench.inside --out reports/inside --seeds 1,2 --budget 60

One record a plant, DIR/records/NAME.json; what is stored is not run again. `--kinds none` only
writes the report anew.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import discover
from discover.artifacts import read_json, write_json
from discover.errors import WorldlawError
from discover.threads import one_thread
from tests.bench.inside import scoring, zoo
from tests.bench.inside.bodies import SHAPES

_COMMAND = "python -m tests.bench.inside --out reports/inside"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plants that are missing, and write DIR/report.md from all that are stored."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.inside", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports/inside"))
    parser.add_argument("--kinds", default="all", help="names separated by commas, all, or none")
    parser.add_argument("--seeds", default="1", help="of bodies and networks, by commas")
    parser.add_argument("--shapes", default="turn", help="by commas; turn: one a seed and kind")
    parser.add_argument("--budget", type=float, default=60.0, help="s of processor time a plant")
    parser.add_argument("--starts", type=int, default=2, help="of each fit")
    parser.add_argument("--sites", default="found", choices=("found", "named"))
    parser.add_argument("--variables", default="roles,factors")
    parser.add_argument("--note", default="", help="kept in the records, and in the report")
    parser.add_argument("--minutes", type=float, default=1e9, help="no plant is begun after them")
    options = parser.parse_args(arguments)
    folder = options.out / "records"
    until = time.monotonic() + 60 * options.minutes
    with one_thread():
        for kind, shape, seed in listed(options.kinds, options.shapes, options.seeds):
            path = folder / f"{kind}_{shape}_{seed}_{_part(options)}.json"
            if path.exists() or time.monotonic() > until:
                continue
            if not decided(kind, options.variables):
                continue
            write_json(path, examined(kind, shape, seed, options))
            print(path.stem, flush=True)
    records = [read_json(p, "a record of the zoo") for p in sorted(folder.glob("*.json"))]
    print(f"report: {scoring.report(records, options.out, _COMMAND, zoo.KINDS)}")


def listed(kinds: str, shapes: str, seeds: str) -> list[tuple[str, str, int]]:
    """(kind, shape, seed) of the plants that are asked for, all kinds of a seed before the next; in
    turn, each kind meets every shape over four seeds."""
    chosen = zoo.KINDS if kinds == "all" else () if kinds == "none" else kinds.split(",")
    found = []
    for seed in (int(s) for s in seeds.split(",")):
        for kind in chosen:
            turn = list(SHAPES)[(zoo.KINDS.index(kind) + seed) % len(SHAPES)]
            found += [(kind, s, seed) for s in ([turn] if shapes == "turn" else shapes.split(","))]
    return found


def decided(kind: str, variables: str) -> bool:
    """Whether construction decides anything that these variables are asked for."""
    truth = zoo.TRUTHS[kind]
    roles = any(x is not None for x in truth.roles.values()) and "roles" in variables
    return roles or (truth.factorisation is not None and "factors" in variables)


def examined(kind: str, shape: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The record of one plant: its truth, and what `look_inside` said and measured."""
    began = _seconds()
    plant = zoo.plant(kind, shape, seed)
    record: dict[str, Any] = {
        "id": f"{plant.name} ({_part(options)})",
        "variables": options.variables.split(","),
        "kind": kind,
        "shape": shape,
        "seed": seed,
        "condition": plant.condition,
        "note": options.note,
        "budget_s": options.budget,
        "starts": options.starts,
        "truth": {
            "roles": plant.truth.roles,
            "factorisation": plant.truth.factorisation,
            "recursion": plant.truth.recursion,
            "flags": sorted(plant.truth.flags),
        },
        "error": zoo.error(plant.network, plant.body, seed),
        "building_seconds": _seconds() - began,
    }
    try:
        report = discover.look_inside(
            plant.network,
            plant.body.robot,
            plant.body.region,
            sites=(plant.sites or None) if options.sites == "named" else None,
            variables=tuple(options.variables.split(",")),
            seeds=options.starts,
            budget_s=options.budget,
        )
    except WorldlawError as error:
        return record | {"failed": str(error), "seconds": _seconds() - began}
    return record | measured(report) | {"seconds": report.seconds}


def measured(report: Any) -> dict[str, Any]:
    """What is kept of an `InsideReport`: claims in the words of `scoring`, and its table."""
    follows = [c for c in report.claims if c.kind == "follows"]
    open_ = any(c.answer == "undetermined" and c.numbers for c in follows)
    followed = [c.subject for c in follows if c.answer == "yes"]
    return {
        "claims": {
            "uses": {c.subject: c.answer == "yes" for c in report.claims if c.kind == "uses"},
            "factorisation": " and ".join(followed) or ("undetermined" if open_ else "none"),
            "recursion": recursion(c.answer for c in report.claims if c.kind == "implements"),
            "flags": sorted({"dormant" for row in report.table if row.flags}),
        },
        "words": [f"{c.kind} {c.subject}: {c.answer}. {c.words}" for c in report.claims],
        "table": [row.to_dict() for row in report.table],
        "order": report.order,
        "sites": list(report.sites),
        "notes": list(report.notes),
        "steps": report.steps,
        "pairs": report.pairs,
    }


def recursion(answers: Iterable[str]) -> bool | str:
    """One claim from those about each elimination: yes if any is, else undetermined if any is."""
    told = set(answers)
    return "yes" in told or ("undetermined" if "undetermined" in told else False)


def _part(options: argparse.Namespace) -> str:
    return f"{options.variables.replace(',', '_')}_{options.sites}"


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
