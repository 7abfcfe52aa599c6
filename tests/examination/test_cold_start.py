"""A first examination imports no more than it uses: what other models need takes seconds."""

import subprocess
import sys

import pytest

HEAVY = (
    "sklearn", "pandas", "networkx", "matplotlib", "scipy.stats", "scipy.optimize",
    "scipy.interpolate", "scipy.spatial", "scipy.special", "cvxpy", "mujoco",
    "trimesh", "h5py", "onnxruntime", "IPython", "pysr", "discover.models.families.mlp",
)  # fmt: skip
EXAMINE = """
import sys
import discover, kinematics
robot = kinematics.load("double_pendulum")
exam = discover.examine(
    lambda q, v, tau: kinematics.aba(robot, q, v, tau), robot,
    discover.Region(q=1.0, v=2.0, tau=5.0), budget="quick",
)
assert exam.verdict == "physics", exam.verdict
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


@pytest.mark.slow
def test_an_exact_model_is_examined_without_what_others_need():
    ran = [sys.executable, "-c", EXAMINE, *HEAVY]
    printed = subprocess.run(ran, check=True, capture_output=True, text=True)
    assert printed.stdout.split() == []


def test_the_command_line_starts_without_torch():
    program = "import sys, discover.cli; print(*{'torch', 'sympy', 'scipy'} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert printed.stdout.split() == []
