"""`python -m tests.bench.contact.use`: learned models against simulators, for optimisation.

    python -m tests.bench.contact.use --out reports/contact_use

One record a task, DIR/records/NAME.json; what is stored is not run again. Networks are trained
for one step, plain and on smoothed targets; the questions of their training are paid for out of the
same number of simulated roll-outs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import discover
from discover.artifacts import read_json, write_json
from discover.threads import one_thread
from tests.bench.contact import methods, models
from tests.bench.contact import use_report as report
from tests.bench.contact.tasks import TASKS, Task

ROWS, COPIES, STARTS = 6_000, 1, 12
RADII = (0.03, 0.1, 0.3, 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tasks that are missing, and write DIR/report.md from all that are stored."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.contact.use", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports/contact_use"))
    parser.add_argument("--budget", type=int, default=80, help="simulated roll-outs a start")
    parser.add_argument("--pairs", type=int, default=64, help="of each smoothed gradient")
    parser.add_argument("--only", default="", help="names of tasks, by commas")
    options = parser.parse_args(arguments)
    chosen = [t for t in TASKS if not options.only or t.name in options.only.split(",")]
    with one_thread():
        for task in chosen:
            path = options.out / "records" / f"{task.name.replace(' ', '_')}.json"
            if not path.exists():
                write_json(path, measured(task, options.budget, options.pairs))
            print(path.stem, flush=True)
    order = [t.name for t in TASKS]
    stored = [read_json(p, "a record") for p in (options.out / "records").glob("*.json")]
    stored.sort(key=lambda r: order.index(r["task"]))
    print(f"report: {report.write(stored, options.out)}")


def measured(task: Task, budget: int, pairs: int) -> dict[str, Any]:
    """Errors, gradients and costs of one task."""
    started = time.process_time()
    rows = models.transitions(task, ROWS, seed=1)
    fresh = models.transitions(task, 2000, seed=2)
    nets = {"plain": models.trained(task, rows, seed=0)}
    softer = models.smoothed(task, rows, 0.1, COPIES, seed=3)
    nets["smoothed"] = models.trained(task, softer, seed=0)
    gradients = {name: _gradients(task, net, pairs).to_dict() for name, net in nets.items()}
    # Every start pays its share of the questions that the training asked.
    paid = {"plain": 1, "smoothed": 1 + COPIES}
    costs: dict[str, list[float]] = {}
    for label, method in methods.SIMULATED.items():
        costs[label] = _optimised(task, method, None, budget)
    for kind, net in nets.items():
        share = round(ROWS * paid[kind] / task.horizon / STARTS)
        for label, method in methods.LEARNED.items():
            name = f"{label} ({kind})"
            costs[name] = _optimised(task, method, net, budget)
            costs[f"{name}, training paid"] = _optimised(task, method, net, max(budget - share, 1))
    return {
        "task": task.name,
        "why": task.why,
        "horizon": task.horizon,
        "budget": budget,
        "starts": STARTS,
        "rows": ROWS,
        "copies": COPIES,
        "error": {name: _error(net, fresh) for name, net in nets.items()},
        "gradients": gradients,
        "costs": costs,
        "seconds": time.process_time() - started,
    }


def _error(net: models.Network, rows: tuple[torch.Tensor, ...]) -> float:
    """Median error of the change of velocity over the median change."""
    q, v, u, _, v_next = rows
    with torch.no_grad():
        told = net(q.float(), v.float(), u.float())[1].double()
    return float((told - v_next).norm(dim=1).median() / (v_next - v).norm(dim=1).median())


def _gradients(task: Task, net: models.Network, pairs: int) -> Any:
    """The model's gradients of the task's cost by the controls, from fresh starts."""
    low, high = (torch.tensor(x, dtype=torch.float64) for x in (task.low, task.high))
    n = len(task.force)
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=1e-6)
    force = torch.tensor(task.force, dtype=torch.float64).clamp(min=1e-6)
    region = discover.Region(
        q=(middle[:n] - half[:n], middle[:n] + half[:n]),
        v=(middle[n:] - half[n:], middle[n:] + half[n:]),
        tau=force,
    )
    q, v = task.starts(STARTS, seed=4)
    return discover.gradients(
        net,
        task.simulator(),
        region,
        RADII,
        robot=task.robot,
        outputs="next_state",
        dt=task.dt,
        cost=task.cost,
        horizon=task.horizon,
        starts=(q, v, torch.zeros_like(v)),
        pairs=pairs,
        name="network",
    )


def _optimised(task: Task, method: Any, net: Any, budget: int) -> list[float]:
    """The best cost that each start reached, of fresh starts."""
    q, v = task.starts(STARTS, seed=5)
    problem = methods.Problem(task=task, q=q, v=v, simulator=task.simulator())
    method(problem, net, budget)
    return problem.best.tolist()


if __name__ == "__main__":
    main()
