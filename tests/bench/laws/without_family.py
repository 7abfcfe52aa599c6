"""Is a law still found when the family it belongs to is taken out of the vocabulary?

    python -m tests.bench.laws.without_family [--out DIR] [--robots double_pendulum,planar_3r]
                                              [--families NAME,…]

One family of words at a time is switched off — force directions, features, basis functions, listed
terms, kinds of inputs and outputs — and planted laws of that family are asked for. What still leads
to them is general. The switch is a patch of the running program, in this bench alone: what the
instrument imports by name is replaced by the same list without the family. Mechanisms that take
their candidates from elsewhere stay on, and that is what is measured.

Records are stored trial by trial in DIR/records; the same command goes on where it was cut short.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kinematics
from discover.artifacts import write_text
from discover.blackbox.region import Region
from discover.calibration.planted.alternatives import with_strong_force
from discover.calibration.planted.contract import Setting
from discover.laws.extensions import terms
from discover.laws.search import basis_functions, force_directions, ranking
from discover.laws.search.nonlinearities import io_search
from discover.report.numbers import relative
from kinematics import Robot
from tests.bench.laws.planting import laws_of, plant, with_noise
from tests.bench.laws.scoring import score
from tests.bench.trials import Part, Record, Trial, alternate, machines_of, run_part, stored

REGION = Region(q=1.0, v=2.0, tau=5.0)
NOISE = 1e-3
ROBOTS = ("double_pendulum", "planar_3r")
LISTS = ("first", "second", "third", "fourth")
_FIELDS = "discover.laws.search.point_forces"
_ROOMS = ("discover.laws", "discover.examination")


@dataclass(frozen=True, kw_only=True)
class WordFamily:
    """Words that are switched off together: regular expressions for names, and laws of the family.

    directions, features   of forces (force_directions.py)
    functions   basis functions (basis_functions.py)
    listed      terms of the library (terms.py)
    kinds       places of inputs or outputs that are altered ("q", "v", "tau", "a")
    points      whether forces at points go, and with them the search for fields of force
    laws        "LIST: name" of a list of planted laws, or "planted: kind" of alternatives.py
    """

    laws: tuple[str, ...]
    directions: str = "$^"
    features: str = "$^"
    functions: str = "$^"
    listed: str = "$^"
    kinds: tuple[str, ...] = ()
    points: bool = False


FAMILIES = {
    "forces at points": WordFamily(
        points=True,
        laws=("first: constant side wind", "first: quadratic drag at a point"),
    ),
    "drag of points": WordFamily(
        directions="drag at",
        features="^speed (along|of)",
        laws=("first: linear drag at the tip", "first: quadratic drag at a point"),
    ),
    "couplings of joints": WordFamily(
        directions=" between | of joint .* on joint |shared by|common force|times on|gyroscopic"
        "|curl|product of speeds",
        listed="from the|shared with|product of speeds|of the speed of",
        laws=("planted: curl force", "first: gyroscopic", "first: relative drag"),
    ),
    "functions of two coordinates": WordFamily(
        features=r"[+\-…] |^[qv]\d+ [qv]\d+$|^\|",
        laws=(
            "first: sin of product of angles",
            "first: spring between angles",
            "planted: coupled potential",
        ),
    ),
    "momentum and energy": WordFamily(
        directions="momentum|inertia force",
        features="momentum|energy|power",
        laws=("first: momentum drag", "first: drag fades with energy"),
    ),
    "inertia": WordFamily(
        directions="inertia|acceleration",
        features=r"^a\d|own a$|^\|a\|",
        listed="inertia",
        laws=("first: inertia 1+v²", "first: inertia with energy"),
    ),
    "drag of single joints": WordFamily(
        directions="^(drag|friction|quadratic drag|square of its speed) on ",
        listed="drag",
        laws=("first: van der Pol", "first: drag |v|^1.7", "first: power brake"),
    ),
    "waves": WordFamily(
        functions="sin |cos |sin[(²³]|sin b|cos b|sin²|sin³",
        listed="potential|cos q",
        laws=("first: sin 3q", "planted: periodic potential"),
    ),
    "saturating functions": WordFamily(
        functions="tanh|atan|erf|asinh|min\\(",
        laws=("first: tanh drag", "first: erf spring"),
    ),
    "powers and kinks": WordFamily(
        functions=r"\^p|\^b|√|max\(|min\(|\|u-|u³|u\|u\||\|u\|³|^u²$",
        listed="power|quadratic|cubic",
        laws=("first: drag |v|^1.7", "first: dead-zone spring"),
    ),
    "altered inputs": WordFamily(
        kinds=("tau", "q", "v"),
        directions="share of the force|force of joint|force share",
        features=r"^tau\d|own tau$|^\|tau\||power",
        listed="force growing|force scaled|from tau",
        laws=("first: saturated drive", "first: drive fades with speed"),
    ),
    "altered answers": WordFamily(
        kinds=("a",),
        directions="acceleration",
        features=r"^a\d|own a$|^\|a\|",
        laws=("first: answer damped", "first: answer compressed"),
    ),
}


@contextlib.contextmanager
def switched_off(family: WordFamily | None) -> Iterator[None]:
    """The instrument without a family (None: as it is), and as it was again afterwards."""
    if family is None:
        yield
        return
    wrapped = _without(family)
    changed: list[tuple[Any, str, Any]] = []
    _forget()
    try:
        for module in _modules():
            for name, value in list(vars(module).items()):
                for original, other in wrapped:
                    # What reads single words of the lists goes on.
                    if value is original and module.__name__ != _FIELDS:
                        changed.append((module, name, value))
                        setattr(module, name, other)
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)
        _forget()


def _without(family: WordFamily) -> list[tuple[Callable, Callable]]:
    """Functions of the instrument, each with what stands in its place."""

    def named(made: Sequence[Any], pattern: str) -> tuple[Any, ...]:
        return tuple(x for x in made if not re.search(pattern, x.name))

    def candidates(function: Callable, points: bool = False) -> Callable:
        @functools.wraps(function)
        def fewer(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            if points and family.points:
                return replace(made, directions=(), features=())
            return replace(
                made,
                directions=named(made.directions, family.directions),
                features=named(made.features, family.features),
            )

        return fewer

    def filtered(function: Callable, pattern: str) -> Callable:
        @functools.wraps(function)
        def fewer(*args: Any, **kwargs: Any) -> Any:
            return list(named(function(*args, **kwargs), pattern))

        return fewer

    original = io_search.search_io_nonlinearity

    def io_search_with_fewer(*args: Any, **kwargs: Any) -> Any:
        kinds = kwargs.pop("kinds", io_search.KINDS)
        kept = tuple(k for k in kinds if k.place not in family.kinds)
        begun = kwargs.pop("begun", len(kept))
        return original(*args, kinds=kept, begun=begun, **kwargs) if kept else None

    out: list[tuple[Callable, Callable]] = [
        (force_directions.joint_candidates, candidates(force_directions.joint_candidates)),
        (force_directions.point_candidates, candidates(force_directions.point_candidates, True)),
        (basis_functions.basis_functions,
         filtered(basis_functions.basis_functions, family.functions)),
        (terms.library, filtered(terms.library, family.listed)),
    ]  # fmt: skip
    if family.points:
        out += [
            (force_directions.candidate_points, lambda *args, **kwargs: []),
            (ranking.points_in_frames, lambda *args, **kwargs: []),
        ]
    if family.kinds:
        out.append((original, io_search_with_fewer))
    return out


def _modules() -> list[Any]:
    """All modules of the rooms that search, imported."""
    for room in _ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, room + "."):
            importlib.import_module(found.name)
    return [m for name, m in sorted(sys.modules.items()) if name.startswith(_ROOMS)]


def _forget() -> None:
    """Empty the caches of the rooms that search."""
    for module in _modules():
        for value in vars(module).values():
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()


def planted(name: str, robot: Robot) -> Callable:
    """The simulator with a law, without noise."""
    source, _, law = name.partition(": ")
    if source == "planted":
        return with_strong_force(Setting(robot=robot, region=REGION.resolve(robot.nv)), law)
    return plant(robot, next(x for x in laws_of(source)(robot) if x.name == law), REGION)


def trials(families: Sequence[str], robots: Sequence[str]) -> list[Trial]:
    """Every law of a family with the family off and, once a law, with everything on."""
    made: dict[str, Trial] = {}
    groups = []
    for name in families:
        group = []
        for k, law in enumerate(FAMILIES[name].laws):
            # The second robot is asked for the first law of a family only: it takes twice as long.
            for robot in robots if k == 0 else robots[:1]:
                for off in ("", name):
                    trial = {"id": f"{robot}-{law}-{off}", "robot": robot, "law": law, "off": off}
                    if trial["id"] not in made:
                        made[trial["id"]] = trial
                        group.append(trial)
        groups.append(group)
    return alternate(groups)


def run(trial: Trial) -> Record:
    """Examine the simulator with the law, a family switched off or not."""
    import discover

    robot = kinematics.load(trial["robot"])
    truth = planted(trial["law"], robot)
    model = with_noise(truth, robot, REGION, NOISE, 1000)
    began = time.process_time()
    with switched_off(FAMILIES[trial["off"]] if trial["off"] else None):
        exam = discover.examine(model, robot, REGION, seed=0)
        law = exam.law
        scored = score(law, truth, robot, REGION)
    return {
        **scored.record(),
        "verdict": exam.verdict,
        "seconds": time.process_time() - began,
        "queries": exam.queries,
    }


def report(records: Sequence[Record]) -> list[str]:
    """Before and after, a row a law and robot; and the share that is still found, by family."""
    of = {(r["robot"], r["law"], r["off"]): r for r in records}
    lines = [
        "# Laws whose family is held out of the vocabulary",
        "",
        f"Made by `python -m tests.bench.laws.without_family` on {machines_of(records)}, one "
        f"thread. Planted laws that change accelerations by a third or are as listed, noise "
        f"{NOISE:g} of the answers. One family of words is switched off at a time, by a patch in "
        "the bench. *Acceptable*: called an alternative law. *Far*: relative error of the law that "
        "was taken out, at 2.5 to 3 half-widths. *Predicts*: far below a fifth of the best rigid "
        "bodies'. Every law was seen while the search was built: no row is a held-out score.",
        "",
        "| family | laws | acceptable: on | off | predicts far: on | off |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = []
    for name, family in FAMILIES.items():
        pairs = [
            (robot, law, of[robot, law, ""], of[robot, law, name])
            for law in family.laws for robot in ROBOTS
            if (robot, law, "") in of and (robot, law, name) in of
        ]  # fmt: skip
        rows += [(name, *pair) for pair in pairs]
        if pairs:
            lines.append(_summary(name, [(on, off) for _, _, on, off in pairs]))
    if rows:
        lines.append(_summary("**all**", [(on, off) for *_, on, off in rows]))
    lines += [
        "",
        "| family switched off | law | robot | on: verdict | far | off: verdict | far "
        "| rigid bodies far | found with the family off |",
        "|---|---|---|---|--:|---|--:|--:|---|",
    ]
    for name, robot, law, on, off in rows:
        found = "; ".join(f"`{text[:110]}`" for text in off["found"]) or "no term"
        cells = [name, law, robot.replace("_", " ")]
        cells += [on["verdict"], relative(on["far"]), off["verdict"], relative(off["far"])]
        cells += [relative(off["bodies_far"]), found.replace("|", "\\|")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _summary(name: str, pairs: Sequence[tuple[Record, Record]]) -> str:
    counts = [
        str(sum(good(x[i]) for x in pairs))
        for good in (lambda r: r["verdict"] == "alternative law", lambda r: bool(r["predictive"]))
        for i in (0, 1)
    ]
    return "| " + " | ".join([name, str(len(pairs)), *counts]) + " |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/without_family"))
    parser.add_argument("--robots", default=",".join(ROBOTS))
    parser.add_argument("--families", default=",".join(FAMILIES))
    chosen = parser.parse_args()
    part = Part(
        name="without_family",
        title="",
        trials=lambda seeds: trials(chosen.families.split(","), chosen.robots.split(",")),
        run=run,
        report=lambda records, folder: report(records),
    )
    run_part(part, chosen.out, (0,), 1, print)
    records = list(stored(chosen.out, part.name).values())
    if records:
        print(write_text(chosen.out / "report.md", "\n".join(report(records)) + "\n"))


if __name__ == "__main__":
    main()
