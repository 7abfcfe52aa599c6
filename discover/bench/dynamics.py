"""How fast forward dynamics is: torch eager, torch.compile, Pinocchio, MuJoCo, one thread.

    discover bench dynamics [--out DIR] [--device cuda]

Contenders take turns, so that a machine that slows down slows all of them; medians are kept.
Times are processor time of this process, which other loads disturb least. With ``--out`` the
table is written as JSON beside a plot of cost against the number of bodies. The time ledger of
networks, laws and compiled programs comes first (`discover.bench.time_ledger`).
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinematics
from discover.bench.pinocchio_robot import coordinates, pinocchio_model
from kinematics import Robot

BATCHES = (1, 64, 4096)
SIZES = (4, 8, 16, 32, 64, 128, 256)
ROUNDS = 15
Say = Callable[[str], None]


def main(out: Path | None = None, say: Say = print, device: str = "cpu") -> None:
    """The time ledger, then the table and the scaling of the batched simulator; all are printed,
    and written under ``out`` where it is given. On a graphics card the ledger alone."""
    from discover.bench import time_ledger

    time_ledger.main(out, say, device=device)
    if device == "cuda":
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        table = compare(kinematics.load("panda"))
        say(f"forward dynamics of the panda, float64, one thread, {platform.processor() or 'cpu'}")
        say(f"{'contender':32}{'batch':>7}{'µs a state':>13}{'against Pinocchio':>20}{'error':>11}")
        for row in table:
            say(
                f"{row['contender']:32}{row['batch']:>7}{row['us_a_state']:>13.3f}"
                f"{row['times_pinocchio']:>19.2f}×{row['error']:>11.1e}"
            )
        growth = scaling()
        say("bodies of a random tree (branching 0.3), torch eager, batch 512, µs a state:")
        say("  ".join(f"{n}: {us:.2f}" for n, us in growth))
    finally:
        torch.set_num_threads(threads)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        document = {"forward_dynamics": table, "scaling": growth, "versions": _versions()}
        (out / "dynamics.json").write_text(json.dumps(document, indent=1) + "\n")
        plot(growth, out / "scaling.png")


def compare(robot: Robot, batches: tuple[int, ...] = BATCHES) -> list[dict[str, Any]]:
    """One row a contender and batch size: µs a state, ratio to abaInParallel, error against it."""
    rows: list[dict[str, Any]] = []
    for batch in batches:
        contenders = _contenders(robot, batch)
        answers = {name: call() for name, call in contenders.items()}
        timings = interleaved(contenders, ROUNDS if batch > 100 else 10 * ROUNDS)
        reference = answers["Pinocchio abaInParallel"]
        scale = float(np.abs(reference).max())
        for name, seconds in timings.items():
            rows.append(
                {
                    "contender": name,
                    "batch": batch,
                    "us_a_state": seconds / batch * 1e6,
                    "times_pinocchio": timings["Pinocchio abaInParallel"] / seconds,
                    "error": float(np.abs(answers[name] - reference).max()) / scale,
                }
            )
    return rows


def interleaved(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each contender, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name, call in contenders.items():
            started = time.process_time()
            call()
            times[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def _contenders(robot: Robot, batch: int) -> dict[str, Callable[[], np.ndarray]]:
    import pinocchio as pin

    q, v, a = kinematics.random_state(robot, batch)
    tau = kinematics.rnea(robot, q, v, a)
    model = pinocchio_model(robot)
    pool = pin.ModelPool(model, 1)
    *theirs, back = coordinates(robot, q.numpy(), v.numpy(), tau.numpy())
    found = np.zeros_like(theirs[1], order="F")

    def pinocchio() -> np.ndarray:
        pin.abaInParallel(1, pool, *theirs, found)
        return back(found)

    kinematics.aba(robot, *(x.expand(8, -1) for x in (q[:1], v[:1], tau[:1])))  # constants first
    compiled = torch.compile(kinematics.aba, dynamic=False)

    def mujoco_loop() -> np.ndarray:
        return _mujoco(robot, q.numpy(), v.numpy(), tau.numpy())

    out: dict[str, Callable[[], np.ndarray]] = {
        "Pinocchio abaInParallel": pinocchio,
        "torch eager": lambda: kinematics.aba(robot, q, v, tau).numpy(),
        "torch.compile": lambda: compiled(robot, q, v, tau).numpy(),
    }
    if robot.name in kinematics.bundled():
        out["MuJoCo, smooth, from Python"] = mujoco_loop
    return out


def _mujoco(robot: Robot, q: np.ndarray, v: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """MuJoCo's forward dynamics state by state, constraints off."""
    import mujoco

    if robot.name not in _MUJOCO:
        from kinematics.load import robots_folder

        folder = robots_folder()
        assert folder is not None, "a bundled robot has a folder"
        model = mujoco.MjModel.from_xml_path(str(folder / robot.name / f"{robot.name}.urdf"))
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
        model.dof_damping[:] = 0.0
        _MUJOCO[robot.name] = (model, mujoco.MjData(model))
    model, data = _MUJOCO[robot.name]
    out = np.empty_like(v)
    for i in range(len(q)):
        data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q[i], v[i], tau[i]
        mujoco.mj_forward(model, data)
        out[i] = data.qacc
    return out


_MUJOCO: dict[str, Any] = {}


def scaling(sizes: tuple[int, ...] = SIZES, batch: int = 512) -> list[tuple[int, float]]:
    """µs a state of torch eager aba for random trees of so many bodies."""
    calls: dict[str, Callable[[], Any]] = {}
    for size in sizes:
        robot = kinematics.random_tree(size, branching=0.3, seed=0, kinds=("revolute",))
        q, v, a = kinematics.random_state(robot, batch)
        calls[str(size)] = lambda r=robot, s=(q, v, a): kinematics.aba(r, *s)  # type: ignore[misc]
    return [(int(n), seconds / batch * 1e6) for n, seconds in interleaved(calls, 3).items()]


def plot(growth: list[tuple[int, float]], path: Path) -> None:
    """Cost against size, with a line of slope one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    sizes, cost = [n for n, _ in growth], [us for _, us in growth]
    axes.loglog(sizes, cost, "o-", label="torch eager, batch 512")
    axes.loglog(sizes, [cost[-1] / sizes[-1] * n for n in sizes], "--", color="0.6", label="linear")
    axes.set_xlabel("bodies")
    axes.set_ylabel("forward dynamics [µs a state]")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _versions() -> dict[str, str]:
    import mujoco
    import pinocchio

    return {
        "torch": torch.__version__,
        "pinocchio": pinocchio.__version__,
        "mujoco": mujoco.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
