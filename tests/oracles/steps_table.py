"""MuJoCo's own step of gymnasium's and dm_control's tasks, examined as next-state models.

    python tests/oracles/steps_table.py [TASK …] > reports/steps/README.md

Every task whose MJCF loads is driven through its own actuators, at its own frame skip and
integrator, contacts and limits off, in our coordinates. Wanted: physics, integrator and sub-steps
named, parameters right. Prints a page of Markdown with the table.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from torch import Tensor

import discover
import kinematics
from discover.errors import WorldlawError
from kinematics.robot.tree import Robot
from kinematics.spatial import rotations

INTRODUCTION = """# Steps of gymnasium's and dm_control's tasks

MuJoCo's own step of every task, made by `python tests/oracles/steps_table.py` (MuJoCo {version},
budget quick): at the task's own frame skip and integrator, driven through its own actuators,
contacts and joint limits off. Wanted: *physics*, with the step that the MJCF asks for and its
parameters. *Error far out*: of the law, relative, at two to three half-widths (q {q} rad or m, v
{v} rad/s or m/s, controls up to 1). *Parameters*: the largest departure from those of the MJCF,
relative. *s*: processor seconds.
"""
HALF_WIDTHS = {"q": 1.0, "v": 5.0}
HEAD = ("task", "nv", "nu", "dt [ms]", "asked for", "verdict", "found", "error far out",
        "parameters", "s")  # fmt: skip


class TaskStep:
    """One control step of a compiled model: (q, v, u) -> (q_next, v_next), our velocities."""

    outputs = "next_state"

    def __init__(self, model: Any, robot: Robot, skip: int) -> None:
        off = mujoco.mjtDisableBit
        model.opt.disableflags |= int(off.mjDSBL_CONTACT) | int(off.mjDSBL_LIMIT)
        self.model, self.data, self.robot, self.skip = model, mujoco.MjData(model), robot, skip
        self.dt = skip * float(model.opt.timestep)
        free = [j for j, kind in enumerate(robot.kinds) if kind == "free"]
        self.free = [(robot.q_slices[j], robot.v_slices[j]) for j in free]

    def __call__(self, q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Every row by itself, without memory of the row before."""
        given, out = self._to_mujoco(q, v), (torch.empty_like(q), torch.empty_like(v))
        for i in range(len(q)):
            mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:], self.data.qvel[:], self.data.ctrl[:] = q[i], given[i], u[i]
            mujoco.mj_step(self.model, self.data, self.skip)
            for kept, x in zip(out, (self.data.qpos, self.data.qvel), strict=True):
                kept[i] = torch.as_tensor(np.array(x))
        return out[0], self._from_mujoco(*out)

    def _to_mujoco(self, q: Tensor, v: Tensor) -> Tensor:
        """A free joint's velocity there: of the origin in world axes, then angular in body axes."""
        w = v.clone()
        for at, dof in self.free:
            turn, k = q[:, at.stop - 4 : at.stop], dof.start
            w[:, k : k + 3] = rotations.rotate_by_quaternion(turn, v[:, k + 3 : k + 6])
            w[:, k + 3 : k + 6] = v[:, k : k + 3]
        return w

    def _from_mujoco(self, q: Tensor, w: Tensor) -> Tensor:
        v = w.clone()
        for at, dof in self.free:
            back, k = rotations.quaternion_conjugate(q[:, at.stop - 4 : at.stop]), dof.start
            v[:, k : k + 3] = w[:, k + 3 : k + 6]
            v[:, k + 3 : k + 6] = rotations.rotate_by_quaternion(back, w[:, k : k + 3])
        return v


def gymnasium_tasks() -> Iterator[tuple[str, Path, int]]:
    """(name, MJCF, frame skip) of the newest version of every MuJoCo task."""
    import gymnasium

    newest: dict[str, Any] = {}
    for spec in gymnasium.registry.values():
        if "mujoco" in str(spec.entry_point) and "mujoco_py" not in str(spec.entry_point):
            known = newest.get(spec.name)
            if known is None or (spec.version or 0) > (known.version or 0):
                newest[spec.name] = spec
    for spec in newest.values():
        try:
            env = gymnasium.make(spec.id).unwrapped
        except Exception as error:  # a task that needs a package that is not installed
            print(f"<!-- {spec.id}: {type(error).__name__} -->", file=sys.stderr)
            continue
        yield f"gymnasium {spec.id}", Path(env.fullpath), int(env.frame_skip)
        env.close()


def dm_control_tasks() -> Iterator[tuple[str, Path, int]]:
    """The same of every domain of dm_control's suite."""
    from dm_control import suite

    folder = Path(suite.__file__).parent
    for domain in sorted({domain for domain, _ in suite.ALL_TASKS}):
        path = folder / f"{domain}.xml"
        if not path.is_file():
            continue
        # not suite.load: dm_control 1.0.50 cannot open models of MuJoCo 4.0
        module = importlib.import_module(f"dm_control.suite.{domain}")
        model = mujoco.MjModel.from_xml_path(str(path))
        step = float(getattr(module, "_CONTROL_TIMESTEP", model.opt.timestep))
        yield f"dm_control {domain}", path, max(1, round(step / model.opt.timestep))


def row(name: str, path: Path, skip: int) -> list[str]:
    """One line of the table."""
    robot = kinematics.load(path)
    if robot.actuation is None:
        return [name, str(robot.nv), "–", "", "", f"not asked: {robot.notes[-1]}", "", "", "", ""]
    nu = robot.actuation.nu
    step = TaskStep(mujoco.MjModel.from_xml_path(str(path)), robot, skip)
    limits = robot.actuation.high.clamp(max=1.0).tolist()
    region = discover.Region(**HALF_WIDTHS, u=limits)
    started = time.process_time()
    exam = discover.examine(step, robot, region, budget="quick", name=name)
    seconds = time.process_time() - started
    stepping = robot.stepping
    asked = f"{stepping.integrator} × {skip}"
    law = exam.law
    found = "–" if law is None or law.step_map is None else f"{law.integrator} × {law.substeps}"
    values = {e.name: e.value for e in exam.evidence}
    off = [
        abs(p["value"] - p["description"]) / (abs(p["description"]) + 1e-3) for p in exam.parameters
    ]
    return [
        name, str(robot.nv), str(nu), f"{1e3 * step.dt:g}", asked,
        f"{exam.verdict} {exam.confidence:.2f}", found,
        f"{values.get('best law error far out', float('nan')):.1e}",
        f"{max(off, default=float('nan')):.1e}", f"{seconds:.0f}",
    ]  # fmt: skip


def main(wanted: list[str]) -> int:
    """The table; exit status 1 where a task is not physics."""
    warnings.simplefilter("ignore")
    print(INTRODUCTION.format(version=mujoco.__version__, **HALF_WIDTHS))
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    failed = 0
    for tasks in (gymnasium_tasks, dm_control_tasks):
        for name, path, skip in tasks():
            if wanted and not any(w in name for w in wanted):
                continue
            try:
                cells = row(name, path, skip)
            except WorldlawError as error:
                cells = [name, "", "", "", "", f"refused: {str(error)[:90]}", "", "", "", ""]
            failed += not cells[5].startswith(("physics", "refused", "not asked"))
            print("| " + " | ".join(cells) + " |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
