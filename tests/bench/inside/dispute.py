"""Frozen probe, fine-tuned probe, new task and exchange, side by side on the same networks.

    python -m tests.bench.inside.dispute --out reports/inside --seeds 3

All of one architecture, on one arm of three joints: *used* holds the pivots of elimination from the
tips, each block of its state trained by strict interchange; *dead* holds them as well, trained to,
and its answer cannot read them, by its weights; *plain* was trained on the accelerations alone;
*scratch* was not trained. Fine-tuning (after Vafa et al. 2025, arXiv:2507.06952) trains all weights
on a few samples of something else.
"""

from __future__ import annotations

import argparse
import copy
import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import kinematics
from discover.artifacts import read_json, write_json, write_text
from discover.inside import counterfactuals as physics
from discover.inside import probes
from discover.inside.measuring import Bench
from discover.inside.network.capture import captured
from discover.inside.network.opening import opened
from discover.inside.pairs import drawn
from discover.inside.sites import chosen
from discover.judgement.thresholds import whole
from discover.threads import one_thread
from tests.bench.inside import trained
from tests.bench.inside.bodies import Body, draw, factors, tip_first
from tests.bench.inside.tables import Scaled, samples
from tests.bench.inside.zoo import error

SHAPE, SITE = "3R", "mixed"
NETWORKS = ("used", "dead", "plain", "scratch")
STEPS = 1500  # of training
TUNED_STEPS, TUNED_ON, TUNED_RATE = 300, 128, 1e-3  # steps, samples, of Adam
_BATCH = 512
Target = Callable[[tuple[Tensor, Tensor, Tensor]], Tensor]  # states -> (B, d)
_HELD = ("D", "L")  # blocks that the dead network holds and does not read


def network(name: str, body: Body, seed: int, steps: int = STEPS) -> trained.Interchanged:
    """A network of `NETWORKS`, in float64."""
    order = tip_first(body.robot.nv)
    if name == "used":
        return trained.strict(body, order, seed, steps=steps, condition=3.0)
    states, a = samples(body, trained.pool(steps), seed + 101)
    scale = Scaled(body, a).float()
    made = trained.Interchanged(scale, body.robot.nv, seed, 3.0).float()
    if name == "scratch":
        return made.double().requires_grad_(False)
    x, y = scale.features(*(s.float() for s in states)), scale.scaled(a.float())
    dead = torch.zeros(made.mixed.weight.shape[0], dtype=torch.bool)
    held = _held(body, states[0])
    if name == "dead":
        for block in _HELD:
            dead[made.blocks[block]] = True
    generator = torch.Generator().manual_seed(seed + 7)

    def loss() -> Tensor:
        at = torch.randint(len(a), (_BATCH,), generator=generator)
        state = made.encoder(x[at])
        missed = (made.decoded(state.masked_fill(dead, 0.0)) - y[at]).square().mean()
        if name == "plain":
            return missed
        for block, values in held.items():
            own = state[:, made.blocks[block]][:, : values.shape[1]]
            missed = missed + (own - values[at]).square().mean()
        return missed

    trained.descend(made, loss, steps)
    made = made.double().requires_grad_(False)
    if name == "dead":
        made.decoder[0].weight.copy_(blind(made.decoder[0].weight, made.mixed.weight, dead))
    return made


def blind(weight: Tensor, mixing: Tensor, dead: Tensor) -> Tensor:
    """The weights (m, n) of a layer that reads a mixed state as if the entries `dead` (n,) of the
    unmixed one were zero."""
    alive = torch.diag((~dead).to(mixing.dtype))
    return weight @ mixing @ alive @ torch.linalg.inv(mixing)


def _held(body: Body, q: Tensor) -> dict[str, Tensor]:
    """Pivots and rows of elimination from the tips, in units of their spread, float32."""
    D, L = factors(kinematics.crba(body.robot, q), tip_first(body.robot.nv))
    i, j = torch.tril_indices(L.shape[-1], L.shape[-1], -1)
    return {
        name: ((x - x.mean(0)) / x.std(0).clamp_min(1e-6)).float()
        for name, x in (("D", D), ("L", L[:, i, j]))
    }


def last_pivot(body: Body, q: Tensor) -> Tensor:
    """(B, 1): the articulated inertia of the root joint, as its tip-first pivot."""
    return factors(kinematics.crba(body.robot, q), tip_first(body.robot.nv))[0][:, -1:]


def tuned(
    made: trained.Interchanged,
    body: Body,
    target: Target,
    seed: int,
    *,
    of_state: bool,
    steps: int = TUNED_STEPS,
) -> float:
    """R² on fresh states of a copy that is trained, with all its weights, on a few samples of
    target(states) (B, d): through a new linear head on the state, or by its own answer."""
    own = copy.deepcopy(made).double()
    for part in (own.encoder, own.decoder):
        part.requires_grad_(True)
    few, fresh = body.states(TUNED_ON, seed + 31), body.states(2048, seed + 32)
    y, truth = target(few), target(fresh)
    mean, spread = y.mean(0), y.std(0)
    head = nn.Linear(own.mixed.weight.shape[0], y.shape[1], dtype=torch.float64)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()

    def answered(states: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        state = own.encoded(*states)
        return head(own.mixed(state)) if of_state else own.decoded(state)

    parts = [*own.encoder.parameters(), *(head if of_state else own.decoder).parameters()]
    adam = torch.optim.Adam(parts, lr=TUNED_RATE)
    for _ in range(steps):
        adam.zero_grad()
        (answered(few) - (y - mean) / spread).square().mean().backward()
        adam.step()
    with torch.no_grad():
        missed = (answered(fresh) * spread + mean - truth).square().mean(0)
    return float((1 - missed / truth.var(0)).mean())


def measured(name: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """All three ways of asking, of one network."""
    began = _seconds()
    body = draw(SHAPE, seed)
    other = draw(SHAPE, seed + 7919)  # its joints are alike, its bodies others
    made = network(name, body, seed, steps)
    record: dict[str, Any] = {"network": name, "seed": seed, "error": error(made, body, seed)}
    targets: dict[str, Target] = {
        "pivot": lambda s: last_pivot(body, s[0]),
        "placebo": lambda s: last_pivot(body, s[0].roll(1, -1)),
        "new robot": lambda s: kinematics.aba(other.robot, *s),
    }
    record["tuned"] = {
        task: tuned(made, body, target, seed, of_state=task != "new robot")
        for task, target in targets.items()
    }
    found = opened(made, body.robot, None, None)
    graph, _ = captured(found.module, whole("inside.rows"), body.robot.nv, found.dtype)
    pairs = drawn(graph, body.robot, body.region, seed)
    sites, _ = chosen(graph, pairs, (SITE,))
    bench = Bench(graph, body.robot, pairs, sites, 1, seed)
    known, _ = physics.distinct(
        physics.factors(body.robot), pairs.test[0].at_base, pairs.test[0].at_source
    )
    pivots = next(v for v in known if v.factorisation == physics.TIP_FIRST)
    rivals = [v for v in known if v.factorisation != physics.TIP_FIRST]
    row = bench.cell(pivots, sites[0], rivals)
    row = bench.controlled(row, pivots, sites[0])
    row = bench.untrained([(row, pivots, sites[0])])[0]
    values = [
        torch.cat([last_pivot(body, p.base[0].double()) for p in batches])
        for batches in (pairs.train, pairs.held, pairs.test)
    ]
    record["frozen"] = probes.explained(probes.at_site(graph, sites[0], pairs), values)
    record["frozen_inputs"] = max(
        probes.explained(x, values) for x in probes.input_controls(pairs, seed).values()
    )
    return record | {"exchange": asdict(row), "seconds": _seconds() - began}


HEAD = """# Frozen probe, fine-tuned probe, exchange: the same networks

Made by `{command}`.

Arms of three joints, {seeds}; one architecture. *used*: strict interchange training, the state
holds the pivots of elimination from the tips (articulated inertias) and the answer is made of them.
*dead*: trained to hold the same pivots, and its answer cannot read them, by its weights. *plain*:
trained on accelerations alone. *scratch*: not trained. {steps} steps of training each; fine-tuning
of all weights, {tuned} steps on {few} samples; exchange at the mixed state, one start.
{seconds:.0f} s of processor time.

- **frozen**: R² of a linear probe of the root joint's pivot at the state (the best control that
  sees the inputs alone: {inputs}).
- **tuned**: R² on fresh states after fine-tuning through a linear head on the state, on the pivot,
  and on a placebo (the pivot at configurations whose joints are permuted).
- **new robot**: R² of accelerations of another robot after fine-tuning (the inductive-bias probe).
- **S, S_r**: exchange of all pivots; S_r against the nearest rival factorisation; controls beside.
"""

COLUMNS = (
    *("network", "seed", "error", "frozen", "tuned: pivot", "tuned: placebo", "new robot"),
    *("S", "S_r", "placebo", "untrained"),
)


def page(records: Sequence[dict[str, Any]], command: str) -> str:
    """The report, from records alone."""
    records = sorted(records, key=lambda r: (NETWORKS.index(r["network"]), r["seed"]))
    inputs = sorted(r["frozen_inputs"] for r in records)
    count = len({r["seed"] for r in records})
    lines = HEAD.format(
        command=command,
        seeds=f"{count} seed{'s' if count > 1 else ''}",
        steps=STEPS,
        tuned=TUNED_STEPS,
        few=TUNED_ON,
        seconds=sum(r["seconds"] for r in records),
        inputs=f"{inputs[0]:.3f} to {inputs[-1]:.3f}",
    ).split("\n")
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---" + "|--:" * (len(COLUMNS) - 1) + "|"]
    for r in records:
        e, t = r["exchange"], r["tuned"]
        cells = [r["frozen"], t["pivot"], t["placebo"], t["new robot"]]
        cells += [e["S"], e["S_r"], e["placebo"], e["untrained"]]
        said = " | ".join("·" if x is None else f"{x:.2f}".replace("-", "−") for x in cells)
        lines.append(f"| {r['network']} | {r['seed']} | {r['error']:.3f} | {said} |")
    return "\n".join([*lines, "", *reading(records)]) + "\n"


def reading(records: Sequence[dict[str, Any]]) -> list[str]:
    """What tells used from dead: of each number whether all used networks stand above all dead."""
    ways: dict[str, Callable[[dict[str, Any]], float]] = {
        "the frozen probe": lambda r: r["frozen"],
        "fine-tuning on the pivot": lambda r: r["tuned"]["pivot"],
        "fine-tuning on the pivot beyond the placebo": (
            lambda r: r["tuned"]["pivot"] - r["tuned"]["placebo"]
        ),
        "fine-tuning on another robot": lambda r: r["tuned"]["new robot"],
        "the exchange, S": lambda r: r["exchange"]["S"],
        "the exchange, S_r": lambda r: r["exchange"]["S_r"],
    }
    names = {r["network"] for r in records}
    if not {"used", "dead"} <= names:
        return [f"The pair is not complete: measured were {', '.join(sorted(names))} alone."]
    lines = ["Least of the used networks, most of the dead ones, and the gap between them:", ""]
    for name, way in ways.items():
        used, dead = ([way(r) for r in records if r["network"] == n] for n in ("used", "dead"))
        gap = min(used) - max(dead)
        said = f"{min(used):.2f}, {max(dead):.2f}: gap {gap:.2f}".replace("-", "−")
        lines.append(f"- {name}: {said}.")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write DIR/dispute.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.inside.dispute")
    parser.add_argument("--out", type=Path, default=Path("reports/inside"))
    parser.add_argument("--seeds", default="3")
    options = parser.parse_args(arguments)
    folder = options.out / "dispute"
    with one_thread():
        for seed in (int(s) for s in options.seeds.split(",") if s):
            for name in NETWORKS:
                path = folder / f"{name}_{seed}.json"
                if not path.exists():
                    write_json(path, measured(name, seed))
                    print(path.stem, flush=True)
    records = [read_json(p, "a record of the dispute") for p in sorted(folder.glob("*.json"))]
    seeds = ",".join(str(s) for s in sorted({r["seed"] for r in records}))
    command = f"python -m tests.bench.inside.dispute --seeds {seeds}"
    print(write_text(options.out / "dispute.md", page(records, command)))


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
