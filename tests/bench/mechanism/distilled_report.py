"""The report of `discover bench distilled`, from its records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discover.report import matrix_figures, style
from discover.report.numbers import number, relative
from tests.bench.trials import Record, machines_of

OPENING = """# The mechanism in trained networks

Networks that were trained on wide coverage, a nearest-neighbour table and the simulator itself,
each a black box: which tree, which factors, which recursion describe it? The search has no
description; the robot's tree and screws are used for comparison only. All queries, those of the
far shell included, stay inside the box that was trained on.

A table made from a robot's motions reveals the robot's tree too: the tree by itself is no evidence
of physics. What is, is the recursion: a program of a few symbols that goes on predicting the
model."""

HOW = """## How to read it

- *not affine in τ*, *not symmetric*: what is missed of a = A(q, v) τ + c(q, v), and how far A
  is from its transpose, relative. Mechanics has both exactly. *positive*: the share of states at
  which A is.
- *tree*: the parents that were inferred, counted from 1, 0 for the base.
- *forbidden entries of H*: the largest where the robot's tree has none, over the diagonal.
- *H off*: the model's mass matrix against the robot's own, over the diagonal.
- *geometry*: what the best lines of joints on the inferred tree miss of H and of the forces at
  rest, on other configurations: relative, or in standard deviations (σ) where the model departs
  from a = A τ + c, which then counts as noise.
- *recursion*: misfit of each part of τ out to the edge of the coverage, for the best of all
  programs: on the inferred mechanism, and on the robot's own tree and screws. *cubic*: what is no
  H(q) a + g(q) + terms in v and v²."""


def report(records: Sequence[Record], folder: Path) -> str:
    """Markdown; figures are written to `folder`/figures."""
    lines = [OPENING, ""]
    for robot in dict.fromkeys(r["robot"] for r in records):
        rows = [r for r in records if r["robot"] == robot]
        lines += _robot(robot, rows, folder)
    lines += [HOW, "", *_made(records)]
    return "\n".join(lines) + "\n"


def _robot(robot: str, records: Sequence[Record], folder: Path) -> list[str]:
    first = records[0]
    described = _parents(first["described"])
    lines = [
        f"## {robot[:1].upper()}{robot[1:]}",
        "",
        f"{len(first['names'])} joints, parents {described}.",
        "",
        *(f"- **{r['name']}**: {sentence(r)}" for r in records),
        "",
        f"![Mass matrices of the models]({_pictures(robot, records, folder)})",
        "",
        "| model | error in coverage | not affine in τ | not symmetric | positive | H off | tree | "
        "forbidden entries of H | geometry |",
        "|---|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for r in records:
        tree = _parents(r["parents"]) + (" ✓" if r["parents"] == r["described"] else "")
        geometry = r["geometry"]
        missed = (
            f"{number(geometry['misfit'], 2)} σ"
            if geometry["in deviations"]
            else relative(geometry["misfit"])
        )
        lines.append(
            f"| {r['name']} | {relative(r['validation_error'])} | {relative(r['affine'])} | "
            f"{relative(r['asymmetry'])} | {100 * r['definite']:.0f} % | "
            f"{relative(r['H error'])} | {tree} | {_zeros(r)} | {missed} |"
        )
    lines += [
        "",
        "| model | recursion on | accepted | a | rest | v² | v | cubic |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in records:
        for key, words in (("alone", "what was inferred"), ("beside", "the robot's screws")):
            told = r[key]
            cells = [_misfit(told["by_degree"].get(k)) for k in ("a", "rest", "v²", "v")]
            cubic = _misfit(told["departure"]["v³"])
            accepted = "**yes**" if told["equivalent"] else "no"
            lines.append(f"| {r['name']} | {words} | {accepted} | {' | '.join(cells)} | {cubic} |")
    lines.append("")
    for r in records:
        lines += _program(r)
    return lines


def sentence(r: Record) -> str:
    """What one model holds to, in words."""
    tree = "the robot's tree" if r["parents"] == r["described"] else "another tree than the robot's"
    best = min((r["alone"], r["beside"]), key=lambda t: max(t["by_degree"].values()))
    misfit = max(best["by_degree"].values())
    if r["alone"]["equivalent"]:
        return f"{tree}, a recursion of rigid bodies to {relative(misfit)}; accepted as equivalent."
    if r["affine"] >= 1e-6:
        whole = f"its answers depart from a = A τ + c by {relative(r['affine'])}"
    elif r["asymmetry"] < 1e-6 and r["definite"] == 1:
        whole = "a symmetric positive mass matrix by construction"
    else:
        whole = "answers that are affine in τ"
    loosely = f"the recursion that comes closest misses up to {relative(misfit)} of a part of τ"
    return f"{tree}; {whole}; no recursion is accepted, {loosely}."


def _misfit(x: float | None) -> str:
    return "> 100 times" if x is not None and x > 100 else relative(x)


def _zeros(r: Record) -> str:
    zeros = r["zeros"]
    return relative(zeros["violation"]) if zeros["zeros"] else "none forbidden"


def _parents(parents: Sequence[int]) -> str:
    return "[" + ", ".join(str(p + 1) for p in parents) + "]"


def _pictures(robot: str, records: Sequence[Record], folder: Path) -> str:
    items = [(r["name"], r["zeros"]) for r in records]
    figure = matrix_figures.matrices(items, [str(k + 1) for k in range(len(records[0]["names"]))])
    place = Path("figures") / f"{robot.replace(' ', '_')}.png"
    style.save(figure, folder / place)
    return place.as_posix()


def _program(r: Record) -> list[str]:
    """The program that comes closest, folded away."""
    key = "alone" if r["alone"]["equivalent"] else "beside"
    where = "on what was inferred" if key == "alone" else "on the robot's own screws"
    holds = "the model's" if r[key]["equivalent"] else "the closest, not the model's"
    return [
        f"<details><summary>{r['name']}: the recursion {where} ({holds})</summary>",
        "",
        "```",
        r[key]["text"],
        "```",
        "",
        "</details>",
        "",
    ]


def _made(records: Sequence[Record]) -> list[str]:
    budgets = {f"{r['budget']:g}" for r in records}
    loads: list[Any] = [r["load"] for r in records if r.get("load") is not None]
    under = f", under a load of up to {max(loads):g} processes a core" if loads else ""
    return [
        "## How it was made",
        "",
        f"- `discover bench distilled`, {' or '.join(sorted(budgets))} s of training a network on "
        f"one core{under}; seed 0, one network each: no spread over seeds is known.",
        f"- Machine: {machines_of(records)}",
    ]
