"""Machine code: for other machines' registers, wherever it lies in memory, and found by name."""

import ctypes
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from program_samples import draw, worst

import kinematics
from kinematics.programs import robot_program
from kinematics.programs.compiler.machine import load_object, object_code, this_machine
from kinematics.programs.source.llvm import llvm_source
from kinematics.programs.source.lowering import lower


@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize(
    ("lanes", "dtype"), [(2, "float64"), (4, "float64"), (8, "float64"), (8, "float32")]
)
def test_kernels_of_other_machines(robot, lanes, dtype, registers):
    """Few registers and many, one vector and two side by side: without AVX-512 all run anywhere."""
    made = robot_program(robot, "aba")
    source = llvm_source(made, dtype, lanes, instructions=lower(made, registers=registers))
    assert ("@constants" in source) == (lanes * np.dtype(dtype).itemsize <= 32)
    pointers = [ctypes.c_void_p] * 4
    kernel = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_long, ctypes.c_long)(
        load_object(object_code(source), "kernel")
    )
    for count in (lanes, lanes + 1, 37):
        arrays = [a.astype(dtype) for a in draw(robot, count, seed=count)]
        out = np.full((count, robot.nv), np.nan, dtype=dtype)
        kernel(*(a.ctypes.data for a in (*arrays, out)), 0, count)
        reference = kinematics.aba(robot, *(a.astype(float) for a in arrays))
        assert worst(out, reference) < (1e-11 if dtype == "float64" else 1e-4)


def test_two_vectors_side_by_side_where_registers_are_few():
    narrow = replace(this_machine(), vector_bits=256, wide=False)
    assert narrow.lanes("float64", 20) == 8
    assert narrow.lanes("float64", 2000) == 4
    assert replace(narrow, vector_bits=512, wide=True).lanes("float64", 20) == 8


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's memory map")
def test_any_place_in_memory():
    """Where the free places lie gigabytes apart, code still finds its constants."""
    script = Path(__file__).with_name("scattered_memory.py")
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 1e-14


def test_an_object_without_the_function_is_told():
    code = object_code(llvm_source(robot_program(kinematics.load("panda"), "rnea"), "float64"))
    for name in ("nowhere", "nowhere", "kernel"):
        if name == "kernel":
            assert load_object(code, name)
            continue
        with pytest.raises(ValueError, match="expected an object file with a function nowhere"):
            load_object(code, name)
