"""Should a learned model of a musculoskeletal arm run faster than its simulators? Measured.

    python -m tests.bench.muscles.ledger --out reports/muscles [--mjcf arm26.xml]

arm26 (two joints, six muscles, elastic tendons) answers accelerations: by OpenSim (where it is
installed: `pip install opensim`), by MuJoCo (an MJCF of the arm, such as MyoHub/myoconverter's), by
this project's simulator, and by networks of (q, v, activations) that were trained on its answers
with fibres in equilibrium. Times are processor time of one thread, the least of several interleaved
rounds; Python that only sets states is not counted.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import kinematics
from discover.artifacts import write_text
from discover.threads import one_thread
from kinematics import Robot
from kinematics.loading import robots_folder

BATCH, ROUNDS, SAMPLES, TRAINED_S = 1024, 7, 20_000, 60.0
SPEED = 4.0  # rad/s, half-width of the joint speeds


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender: time a state alone and in a batch [s], median error of its accelerations over
    the simulator's median (None: the reference, or another model), what its making took [s]."""

    name: str
    one: float | None
    batch: float | None
    error: float | None = None
    made: float | None = None
    note: str = ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write DIR/time.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports/muscles"))
    parser.add_argument("--mjcf", type=Path, default=None, help="arm26 as MuJoCo reads it")
    options = parser.parse_args(arguments)
    with one_thread():
        rows = measured(options.mjcf)
    print(f"report: {write_text(options.out / 'time.md', page(rows))}")


def measured(mjcf: Path | None) -> list[Row]:
    """All contenders that can be had here."""
    robot = kinematics.load("arm26")
    states = drawn(robot, BATCH, seed=0)
    timed: dict[str, tuple[Callable[[], Any] | None, Callable[[], Any] | None]] = {}
    one = tuple(x[:1] for x in states)

    def ours(given: tuple[Tensor, ...]) -> Callable[[], Any]:
        q, v, a, z = given
        return lambda: kinematics.forward(robot, q, v, a, z)

    program = kinematics.compile(robot, "forward")
    arrays = [tuple(x.numpy() for x in given) for given in (one, states)]
    timed["worldlaw, compiled (float64)"] = (
        lambda: program(*arrays[0]),
        lambda: program(*arrays[1]),
    )
    timed["worldlaw, batched torch (float64)"] = (ours(one), ours(states))
    rows: dict[str, dict[str, Any]] = {n: {} for n in timed}
    for label, width, depth in (("network 2 × 64", 64, 2), ("network 3 × 256", 256, 3)):
        net, error, took = learned(robot, width, depth)
        inputs = torch.cat(states[:3], -1).float()
        for given, kind in ((inputs[:1], 0), (inputs, 1)):
            pair = list(timed.get(f"{label} (float32)", (None, None)))
            pair[kind] = lambda x=given, n=net: n(x)
            timed[f"{label} (float32)"] = (pair[0], pair[1])
        rows[f"{label} (float32)"] = {"error": error, "made": took}
    least = {name: [np.inf, np.inf] for name in timed}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, pair in timed.items():
                for k, call in enumerate(pair):
                    if call is not None:
                        least[name][k] = min(least[name][k], _time(call))
    found = [Row(name=n, one=least[n][0], batch=least[n][1] / BATCH, **rows[n]) for n in timed]
    return [*simulators(robot, mjcf), *found]


def drawn(robot: Robot, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(q, v, excitations, z): joints within their ranges, fibres near equilibrium."""
    assert robot.muscles is not None
    assert robot.muscles.forces is not None
    g = torch.Generator().manual_seed(seed)

    def uniform(width: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, width, dtype=torch.float64, generator=g)

    q = robot.lower + (robot.upper - robot.lower) * uniform(robot.nv, 0, 1)
    v = uniform(robot.nv, -SPEED, SPEED)
    activation = uniform(robot.muscles.nm, 0.05, 1.0)
    fibre = robot.muscles.forces.equilibrium(kinematics.muscle_lengths(robot, q), activation)
    z = torch.cat((activation, fibre * uniform(fibre.shape[-1], 0.995, 1.005)), -1)
    return q, v, uniform(robot.muscles.nm, 0.05, 1.0), z


def learned(robot: Robot, width: int, depth: int) -> tuple[nn.Module, float, float]:
    """A network of (q, v, activations) -> accelerations, its error on fresh states, what samples
    and training took [s]."""
    started = time.process_time()
    torch.manual_seed(0)
    train, fresh = drawn(robot, SAMPLES, seed=1), drawn(robot, 2000, seed=2)

    def answers(states: tuple[Tensor, ...]) -> Tensor:
        return kinematics.forward(robot, *states[:3])  # fibres in equilibrium

    x, y = torch.cat(train[:3], -1).float(), answers(train).float()
    middle, spread, unit = x.mean(0), x.std(0).clamp(min=1e-9), y.abs().median(0).values
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(x.shape[1] if k == 0 else width, width), nn.SiLU()]
    core = nn.Sequential(*layers, nn.Linear(width, y.shape[1]))
    optimiser = torch.optim.Adam(core.parameters(), lr=2e-3)
    inputs, targets = (x - middle) / spread, y / unit
    begun, steps = time.process_time(), 0
    while (share := (time.process_time() - begun) / TRAINED_S) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - share) + 1e-5
        pick = torch.randint(len(x), (512,))
        loss = nn.functional.smooth_l1_loss(core(inputs[pick]), targets[pick], beta=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
    took = time.process_time() - started

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.core = core

        def forward(self, x: Tensor) -> Tensor:
            return unit * self.core((x - middle) / spread)

    net = Net().eval()
    true = answers(fresh)
    with torch.no_grad():
        told = net(torch.cat(fresh[:3], -1).float()).double()
    error = float(((told - true).abs().median(0).values / true.abs().median(0).values).mean())
    return net, error, took


def simulators(robot: Robot, mjcf: Path | None) -> list[Row]:
    """OpenSim and MuJoCo, one state after the other: neither takes batches."""
    rows = []
    states = drawn(robot, 200, seed=3)
    try:
        import opensim
    except ImportError:
        opensim = None
    if opensim is not None:
        rows += _opensim(opensim, robot, states)
    if mjcf is not None:
        rows.append(_mujoco(mjcf, robot))
    return rows


def _opensim(osim: Any, robot: Robot, states: tuple[Tensor, ...]) -> list[Row]:
    osim.Logger.setLevelString("Off")
    path = str(robots_folder() / "arm26" / "arm26.osim")
    rows = []
    for name, driven in (
        ("OpenSim, Thelen's elastic tendons, as described", True),
        ("OpenSim, the same without muscles", False),
    ):
        model = osim.Model(path)
        muscles = model.getMuscles()
        for i in range(muscles.getSize()):
            muscles.get(i).set_appliesForce(driven)
        state = model.initSystem()
        q, v, _, z = (x.numpy() for x in states)
        coordinates, nm = model.getCoordinateSet(), len(z[0]) // 2
        spent = 0.0
        for k in range(len(q)):
            for joint, x, dx in zip(robot.joint_names, q[k], v[k], strict=True):
                coordinates.get(joint).setValue(state, x, False)
                coordinates.get(joint).setSpeedValue(state, dx)
            for i in range(nm if driven else 0):
                muscle = muscles.get(i)
                muscle.setActivation(state, z[k, i])
                route = f"{muscle.getAbsolutePathString()}/fiber_length"
                muscle.setStateVariableValue(state, route, z[k, nm + i])
            begun = time.process_time()
            model.realizeAcceleration(state)
            spent += time.process_time() - begun
        rows.append(Row(name=name, one=spent / len(q), batch=None))
    return rows


def _mujoco(path: Path, robot: Robot) -> Row:
    import mujoco

    model = mujoco.MjModel.from_xml_path(str(path))
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    low, high = model.jnt_range.T
    spent, count = 0.0, 2000
    for _ in range(count):
        data.qpos[:] = rng.uniform(low, high) if model.nq == model.njnt else model.qpos0
        data.qvel[:] = rng.uniform(-SPEED, SPEED, model.nv)
        data.act[:] = rng.uniform(0.05, 1, model.na)
        begun = time.process_time()
        mujoco.mj_forward(model, data)
        spent += time.process_time() - begun
    return Row(
        name=f"MuJoCo {mujoco.__version__}, its own muscles, rigid tendons",
        one=spent / count,
        batch=None,
        note=f"{path.name}: converted, {model.nv} coordinates, {model.nu} muscles",
    )


def _time(call: Callable[[], Any]) -> float:
    call()
    count, spent = 1, 0.0
    while spent < 0.05:
        begun = time.process_time()
        for _ in range(count):
            call()
        spent = time.process_time() - begun
        count *= 2
    return spent / (count / 2)


def page(rows: Sequence[Row]) -> str:
    """The report."""
    with warnings.catch_warnings():  # they stand in the page
        warnings.simplefilter("ignore")
        left_out = kinematics.load("arm26").notes
    lines = ["# The story's question: should a learned muscle model run faster?", "", answer(rows)]
    lines += [
        "",
        f"arm26: two joints, six muscles, elastic tendons; one thread, batches of {BATCH:,}. "
        "Made by `python -m tests.bench.muscles.ledger`.",
        "",
        "| who | µs a state, alone | µs a state, in a batch | error of the acceleration | "
        "making it [s] | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    lines += [
        f"| {r.name} | {_us(r.one)} | {_us(r.batch)} | {_percent(r.error)} | "
        f"{'' if r.made is None else f'{r.made:.0f}'} | {r.note} |"
        for r in rows
    ]
    lines += [
        "",
        f"Errors are medians over fresh states, over the median acceleration ({SAMPLES:,} training "
        f"samples, {TRAINED_S:.0f} s); joint ranges hold impossible poses, where muscles are torn "
        "and means say nothing. OpenSim's time is that of `realizeAcceleration` alone. "
        "MuJoCo's tendons do not stretch: its arm is another model of the same muscles. How far "
        "the simulators agree is tested in `tests/muscles`.",
        *[f"\nNot in worldlaw's arm, and so not in its time: {n}." for n in left_out],
    ]
    return "\n".join(lines) + "\n"


def answer(rows: Sequence[Row]) -> str:
    """The first paragraph, from the numbers."""
    nets = [r for r in rows if r.error is not None]
    ours = [r for r in rows if r.name.startswith("worldlaw")]
    exact = min(ours, key=lambda r: r.batch or np.inf)
    slow = next((r for r in rows if r.name.startswith("OpenSim")), None)
    parts = []
    if slow is not None and slow.one:
        gains = ", ".join(f"{r.name.split(' (')[0]} {slow.one / (r.batch or 1):,.0f}" for r in nets)
        parts.append(
            f"Beside OpenSim ({_us(slow.one)} µs a state), states in batches are answered so many "
            f"times faster: {gains}, exact simulation {slow.one / (exact.batch or 1):,.0f}."
        )
    for r in nets:
        ratio = (exact.batch or 0) / (r.batch or 1)
        what = f"{ratio:.1f} times faster" if ratio > 1 else f"{1 / ratio:.1f} times slower"
        parts.append(
            f"The {r.name.split(' (')[0]} is {what} than the exact simulator ({exact.name}), and "
            f"its accelerations are off by {_percent(r.error)}."
        )
    return "**" + " ".join(parts) + "**"


def _us(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e6 * seconds:.3g}"


def _percent(x: float | None) -> str:
    return "" if x is None else f"{100 * x:.2g} %"


if __name__ == "__main__":
    main()
