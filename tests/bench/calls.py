"""What calls cost between other work: compiled programs, steps of a law, a law as a model.

    python -m tests.bench.calls

Contenders take turns; each turn comes after work that empties the caches where ``between`` says so.
What counts is processor time, and ratios: other programs disturb both less than seconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import discover
import kinematics
from discover.laws import RigidBodyLaw
from discover.laws.rigid_body.step_map import StepMap
from discover.laws.rigid_body.stepping import CompiledStep
from discover.threads import one_thread

STATES, STEPS, ROUNDS = 1000, 30, 25
BATCHES = (1, 64, 4096, 65536)


def turns(
    contenders: dict[str, Callable[[], Any]], other: Callable[[], Any] | None = None
) -> dict[str, float]:
    """The median processor seconds of a call."""
    laps: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS + 2):
        for name, call in contenders.items():
            if other is not None:
                other()
            begin = time.process_time()
            answer = call()
            laps[name].append(time.process_time() - begin)
            del answer
    return {name: statistics.median(own[2:]) for name, own in laps.items()}


def calls(say: Callable[[str], None]) -> None:
    """A compiled double pendulum as it is called: ns a state."""
    robot = kinematics.load("double_pendulum")
    program, other_program = (kinematics.compile(robot, "aba") for _ in range(2))
    generator = np.random.default_rng(0)
    work = generator.normal(size=2**21)  # 16 MiB
    say("| states | between | into given memory | as called | as called, out= | own memory |")
    say("|--:|---|--:|--:|--:|--:|")
    for size in BATCHES:
        q, v, tau = (generator.normal(size=(size, 2)) for _ in range(3))
        out = np.empty((size, 2))
        held: list[np.ndarray] = []

        def own_memory(state: Sequence[np.ndarray] = (q, v, tau), held: list = held) -> Any:
            held.append(other_program(*state))  # answers that are kept need fresh memory
            return None

        contenders = {
            "run": lambda s=(q, v, tau), o=out: program.run(list(s), o, len(o)),
            "call": lambda s=(q, v, tau): program(*s),
            "out": lambda s=(q, v, tau), o=out: program(*s, out=o),
            "own": own_memory,
        }
        for between, other in (("nothing", None), ("a sum over 16 MiB", work.sum)):
            found = turns(contenders, other)
            row = " | ".join(f"{1e9 * found[name] / size:.1f}" for name in contenders)
            say(f"| {size} | {between} | {row} |")
            held.clear()


def roll_outs(say: Callable[[str], None]) -> None:
    """An acrobot behind a network's interface: 1000 roll-outs of 30 steps."""
    robot = kinematics.load("double_pendulum").replace(damping=[0.05, 0.05])
    motor = kinematics.Actuation.of([[0.0, 1.0]], names=("elbow",), low=-1.0, high=1.0)
    robot = robot.replace(actuation=motor)
    law = RigidBodyLaw(robot=robot, size=8, step_map=StepMap(scheme="rk4", dt=0.05))
    network = discover.wrap(
        lambda o, a: o, robot, observation=["cos", "sin", "v"], dt=0.05, sanity=False
    )
    model, program = law.as_model(network), law.compile()
    assert law.step_map is not None
    step = CompiledStep(robot, (), law.step_map)
    q, v, _ = kinematics.random_state(robot, STATES)
    seen = network.observation.observe(q, v)
    actions = 2 * torch.rand(STEPS, STATES, 1, dtype=torch.float64) - 1

    def steps() -> None:
        x = np.concatenate([q.numpy(), v.numpy()], axis=1)
        for u in actions.numpy():
            x = step.advance(x, u)

    def accelerations() -> None:
        state, tau = (q.numpy(), v.numpy()), np.zeros((STATES, 2))
        for _ in range(4 * STEPS):
            program(*state, tau)

    def through(seen: Any, actions: Any) -> None:
        for action in actions:
            seen = model(seen, action)

    found = turns(
        {
            "the law's own step, compiled": steps,
            "its accelerations, four a step": accelerations,
            "as_model, tensors": lambda: through(seen, actions),
            "as_model, arrays": lambda: through(seen.numpy(), actions.numpy()),
            "law.step, tensors": lambda: [law.step(q, v, u) for u in actions],
            "the long way: decoded, stepped, encoded": lambda: [
                network.interface(law.step)(seen, u) for u in actions
            ],
        }
    )
    own = found["the law's own step, compiled"]
    say("| 1000 roll-outs of 30 steps | ms | over the law's own |")
    say("|---|--:|--:|")
    for name, seconds in found.items():
        say(f"| {name} | {1e3 * seconds:.2f} | {seconds / own:.2f} |")


def main(say: Callable[[str], None] = print) -> None:
    """Both tables."""
    with one_thread():
        calls(say)
        say("")
        roll_outs(say)


if __name__ == "__main__":
    main()
