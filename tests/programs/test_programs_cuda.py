"""Programs on a graphics card; their arithmetic is tested without one, thread by thread."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch
from program_samples import draw, mixed_robot, worst

import kinematics
from kinematics.programs import compile_robot, compile_trace, robot_program
from kinematics.programs.source.cuda import threads_a_block

STAND_IN = """
#include <cmath>
#define __global__
#define __shared__ static
#define __launch_bounds__(n)
#define __syncthreads()
struct Index { int x; };
static Index blockIdx, threadIdx;
%s
extern "C" void start(const double *q, const double *v, const double *tau, double *out, int count)
{
    for (blockIdx.x = 0; blockIdx.x < count; ++blockIdx.x)
        aba(q, v, tau, out, count);
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("kind", ["panda", "mixed"])
def test_the_kernel_as_plain_code(kind, tmp_path):
    """The same source with blocks of one thread, built for the processor."""
    robot = kinematics.load("panda") if kind == "panda" else mixed_robot()
    source = compile_robot(robot, "aba").source("cuda")
    (tmp_path / "k.cpp").write_text(STAND_IN % source)
    command = ["g++", "-O1", "-DTHREADS=1", "-shared", "-fPIC", "-o", "k.so", "k.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)
    start = ctypes.CDLL(str(tmp_path / "k.so")).start
    arrays = [np.ascontiguousarray(a) for a in draw(robot, 37)]
    out = np.full((37, robot.nv), np.nan)
    start(*(ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)), 37)
    assert worst(out, kinematics.aba(robot, *arrays)) < 1e-11


def test_blocks_fit_the_shared_memory():
    assert threads_a_block(robot_program(kinematics.load("panda"), "aba")) == 128
    tree = kinematics.random_tree(40, branching=0.3, seed=0, kinds=("revolute",))
    wide = robot_program(tree, "crba", order="traced")
    assert threads_a_block(wide) == 32  # 1600 answers: no rows are staged
    assert "__shared__" not in wide.source("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnTheCard:
    @pytest.mark.parametrize("what", ["aba", "rnea", "crba"])
    def test_agrees_with_the_simulator(self, robot, what):
        program = compile_robot(robot, what)
        for count in (1, 3, 127, 128, 1000):
            arrays = draw(robot, count, seed=count)[: len(program.input_sizes)]
            reference = getattr(kinematics, what)(robot, *arrays)
            found = program(*(torch.as_tensor(a, device="cuda") for a in arrays))
            assert found.is_cuda
            assert tuple(found.shape) == tuple(reference.shape)
            assert worst(found.cpu(), reference) < 1e-10

    def test_a_wide_program(self):
        tree = kinematics.random_tree(40, branching=0.3, seed=0, kinds=("revolute",))
        for what in ("aba", "crba"):
            program = compile_robot(tree, what, order="aba")
            arrays = draw(tree, 300)[: len(program.input_sizes)]
            found = program(*(torch.as_tensor(a, device="cuda") for a in arrays))
            assert worst(found.cpu(), getattr(kinematics, what)(tree, *arrays)) < 1e-9

    def test_any_angle_and_single_precision(self):
        robot = kinematics.load("panda")
        arrays = draw(robot, 500, angle=1e4)
        found = compile_robot(robot, "aba")(*(torch.as_tensor(a, device="cuda") for a in arrays))
        assert worst(found.cpu(), kinematics.aba(robot, *arrays)) < 1e-10
        single = [torch.as_tensor(a, dtype=torch.float32, device="cuda") for a in draw(robot, 500)]
        found = compile_robot(robot, "rnea", dtype="float32")(*single)
        assert found.dtype == torch.float32
        exact = kinematics.rnea(robot, *(x.cpu().double() for x in single))
        assert worst(found.cpu(), exact) < 1e-5
        x = torch.tensor([[1e9], [1e15], [float("nan")]], dtype=torch.float64, device="cuda")
        sine = compile_trace(lambda x: [np.sin(x[0]), np.cos(x[0])], sizes={"x": 1})(x)
        torch.testing.assert_close(sine[:, 0], x[:, 0].sin(), equal_nan=True)

    def test_gradients_stay_on_the_card(self):
        robot = kinematics.load("panda")
        program = compile_robot(robot, "aba")
        arrays = draw(robot, 20)
        slopes = []
        for device in ("cpu", "cuda"):
            tensors = [
                torch.tensor(a, dtype=torch.float64, device=device, requires_grad=True)
                for a in arrays
            ]
            program(*tensors).square().sum().backward()
            slopes.append([x.grad.cpu() for x in tensors])
        for mine, theirs in zip(*slopes, strict=True):
            assert worst(theirs, mine) < 1e-9
