"""Tasks of reinforcement learning whose transitions are collected with random actions.

Three are Gymnasium's; the acrobot is the one of dm_control's suite (Gymnasium's Acrobot-v1 is
another simulator, without MuJoCo and with three actions). All are driven through their own `reset`
and `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import discover
from discover.errors import RecipeError
from tests.observations.robots import dm_suite

HELD_LONGEST = (
    5  # steps for which a random action is held: held ones reach further than white noise
)


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """observations (episodes, steps + 1, size) and actions (episodes, steps, size).

    going  (episodes, steps), whether the task had not ended its episode before that step
    """

    observations: np.ndarray
    actions: np.ndarray
    going: np.ndarray

    def __getitem__(self, rows: slice) -> Episodes:
        return Episodes(
            observations=self.observations[rows],
            actions=self.actions[rows],
            going=self.going[rows],
        )

    def transitions(self) -> dict[str, np.ndarray]:
        """obs, action, next_obs, flat, as `discover.examine(..., data=)` reads them: those of
        episodes that had not ended."""
        x, kept = self.observations, self.going
        return {"obs": x[:, :-1][kept], "action": self.actions[kept], "next_obs": x[:, 1:][kept]}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is collected, and what it is wrapped with.

    world     () -> the environment as `from_gymnasium` or `from_dm_control` reads it
    collect   (episodes, steps of each, amplitude, seed) -> Episodes
    compared  which observed numbers roll-outs are compared on: without goals and contact forces
    amplitude of the random actions, as a share of their limits
    """

    name: str
    world: Callable[[], Any]
    collect: Callable[[int, int, float, int], Episodes]
    episodes: int
    steps: int
    compared: tuple[int, ...]
    amplitude: float = 1.0


def _random_actions(
    rng: np.random.Generator, steps: int, low: np.ndarray, high: np.ndarray, amplitude: float
) -> np.ndarray:
    """Uniform about the middle of their limits, each held for 1 to HELD_LONGEST steps."""
    holds = rng.integers(1, HELD_LONGEST + 1, size=steps)
    unit = amplitude * rng.uniform(-1, 1, size=(steps, len(low)))
    return np.repeat((low + high) / 2 + unit * (high - low) / 2, holds, axis=0)[:steps]


def _collect_gymnasium(
    spec: str, episodes: int, steps: int, amplitude: float, seed: int
) -> Episodes:
    """Episodes of a fixed length: where a task ends one (a pole that falls), motion goes on for the
    roll-outs, and is no data any more."""
    import gymnasium

    env, rng = gymnasium.make(spec).unwrapped, np.random.default_rng(seed)
    box: Any = env.action_space
    seen, given, going = [], [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=int(rng.integers(2**31)) if episode == 0 else None)
        actions = _random_actions(rng, steps, box.low, box.high, amplitude)
        row, ended = [observation], [False]
        for action in actions:
            observation, _, over, _, _ = env.step(action.astype(box.dtype))
            row.append(observation)
            ended.append(ended[-1] or over)
        seen.append(row)
        given.append(actions.astype(box.dtype))
        going.append(ended[:-1])
    env.close()
    return Episodes(
        observations=np.array(seen, dtype=float),
        actions=np.array(given, dtype=float),
        going=~np.array(going),
    )


def _gymnasium_world(spec: str) -> Any:
    import gymnasium

    return discover.from_gymnasium(gymnasium.make(spec))


def _suite_environment(task: tuple[str, str]) -> Any:
    """A task of dm_control's suite. Its version 1.0.50 reads fields that MuJoCo 4.0 has no more;
    `dm_suite` leaves them out."""
    if find_spec("dm_control") is None:
        raise RecipeError(
            "rl_models: expected dm_control, whose acrobot is one of the tasks, found none; "
            "pip install 'worldlaw[rl]'"
        )
    return dm_suite().load(*task, task_kwargs={"random": 0})


def _collect_suite(
    task: tuple[str, str], episodes: int, steps: int, amplitude: float, seed: int
) -> Episodes:
    env, rng = _suite_environment(task), np.random.default_rng(seed)

    def flat(step: Any) -> np.ndarray:
        return np.concatenate([np.ravel(x) for x in step.observation.values()])

    spec = env.action_spec()
    seen, given = [], []
    for _ in range(episodes):
        actions = _random_actions(rng, steps, spec.minimum, spec.maximum, amplitude)
        seen.append([flat(env.reset()), *(flat(env.step(action)) for action in actions)])
        given.append(actions)
    actions = np.array(given)
    going = np.ones(actions.shape[:2], dtype=bool)  # a suite's tasks end by time only
    return Episodes(observations=np.array(seen), actions=actions, going=going)


def _suite_world(task: tuple[str, str]) -> Any:
    return discover.from_dm_control(_suite_environment(task))


TASKS = {
    task.name: task
    for task in (
        Task(
            name="acrobot",
            world=partial(_suite_world, ("acrobot", "swingup")),
            collect=partial(_collect_suite, ("acrobot", "swingup")),
            episodes=60,
            steps=300,
            compared=tuple(range(6)),
        ),
        Task(
            name="InvertedDoublePendulum-v5",
            world=partial(_gymnasium_world, "InvertedDoublePendulum-v5"),
            collect=partial(_collect_gymnasium, "InvertedDoublePendulum-v5"),
            episodes=1200,
            steps=30,
            compared=tuple(range(8)),
            amplitude=0.1,  # full actions drive the cart against its stops within five steps
        ),
        Task(
            name="Reacher-v5",
            world=partial(_gymnasium_world, "Reacher-v5"),
            collect=partial(_collect_gymnasium, "Reacher-v5"),
            episodes=300,
            steps=50,
            compared=(0, 1, 2, 3, 6, 7),
            amplitude=0.3,  # full ones throw the elbow against its stops in every episode
        ),
        Task(
            name="HalfCheetah-v5",
            world=partial(_gymnasium_world, "HalfCheetah-v5"),
            collect=partial(_collect_gymnasium, "HalfCheetah-v5"),
            episodes=120,
            steps=150,
            compared=tuple(range(17)),
        ),
    )
}
