"""How long a new process waits for machine code: made anew, and read from the cache.

Each time is taken by a process of its own that has imported `kinematics` and read the robot, so
that what is loaded once a process (LLVM, the hash of the sources) is counted, as it is for whoever
runs a script. Processor time, the median of a few.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kinematics import Robot
from kinematics.programs.compiler import disk_cache

_CHILD = """
import json, sys, time
import kinematics
from kinematics import Robot
robot = Robot.from_dict(json.load(open(sys.argv[1])))
begin = time.process_time()
program = kinematics.compile(robot, "aba")
print(json.dumps([time.process_time() - begin, program.from_cache]))
"""


def compile_times(robot: Robot, processes: int) -> dict[str, float]:
    """Processor seconds from the robot to machine code in a new process: "anew" and "cached"."""
    found: dict[str, list[float]] = {"anew": [], "cached": []}
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as folder:
            description = Path(folder) / "robot.json"
            description.write_text(json.dumps(robot.to_dict()))
            for name, taken in found.items():
                spent, from_cache = _in_a_new_process(description, Path(folder) / "kernels")
                if from_cache != (name == "cached"):
                    raise RuntimeError(f"expected a kernel {name}, found from_cache={from_cache}")
                taken.append(spent)
    return {name: statistics.median(taken) for name, taken in found.items()}


def _in_a_new_process(description: Path, kernels: Path) -> tuple[float, bool]:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(description)],
        env={**os.environ, disk_cache.VARIABLE: str(kernels)},
        check=True,
        capture_output=True,
        text=True,
    )
    spent, from_cache = json.loads(done.stdout)
    return spent, from_cache
