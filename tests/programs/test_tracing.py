"""Traced programs against the simulator that they were traced from."""

import numpy as np
import pytest
import sympy
import torch
from program_samples import draw, worst

import kinematics
from kinematics.programs import ProgramError, evaluate, trace

FUNCTIONS = {
    "rnea": kinematics.rnea,
    "aba": kinematics.aba,
    "crba": kinematics.crba,
    "bias": kinematics.bias,
    "potential": kinematics.potential_energy,
    "kinetic": kinematics.kinetic_energy,
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_every_emitter_agrees_with_the_simulator(robot, what):
    program = trace(robot, what)
    arrays = draw(robot, 5)[: len(program.ports)]
    reference = FUNCTIONS[what](robot, *arrays)
    assert worst(evaluate(program, *arrays), reference) < 1e-12
    assert worst(program.numpy()(*arrays), reference) < 1e-12
    tensors = [torch.as_tensor(x) for x in arrays]
    assert worst(program.torch()(*tensors), reference) < 1e-12


def test_parameters_may_stay_symbols():
    robot = kinematics.load("panda")
    program = trace(robot, "rnea", symbolic_parameters=True)
    arrays = draw(robot, 4)
    other = robot.pi * 1.3
    found = evaluate(program, *arrays, np.tile(other.numpy().ravel(), (4, 1)))
    reference = kinematics.rnea(robot.replace(pi=other), *arrays)
    assert worst(found, reference) < 1e-12


def test_double_pendulum_reads_as_a_person_writes_it():
    robot = kinematics.load("double_pendulum")
    q1, q2, v1, v2 = sympy.symbols("q1 q2 v1 v2", real=True)
    matrix = trace(robot, "crba").sympy().flat()
    for entry in matrix:
        assert entry.free_symbols <= {q2}
        assert entry.atoms(sympy.sin, sympy.cos) <= {sympy.cos(q2), sympy.sin(q2)}
        assert len(sympy.Add.make_args(entry)) <= 2
    bias = trace(robot, "bias").sympy().flat()
    assert all(len(sympy.Add.make_args(e)) <= 4 for e in bias)
    q, v, _ = draw(robot, 1)
    at = {q1: q[0, 0], q2: q[0, 1], v1: v[0, 0], v2: v[0, 1]}
    found = np.array(bias.subs(at).evalf(), dtype=float)[:, 0]
    assert worst(found, kinematics.bias(robot, q[0], v[0])) < 1e-12


def test_flat_acceleration_of_the_double_pendulum():
    robot = kinematics.load("double_pendulum")
    flat = trace(robot, "aba").sympy().flat()
    q, v, tau = draw(robot, 1)
    names = [f"{n}{k}" for n in ("q", "v", "tau") for k in (1, 2)]
    symbols = [sympy.Symbol(n, real=True) for n in names]
    values = dict(zip(symbols, [*q[0], *v[0], *tau[0]], strict=True))
    found = np.array(flat.subs(values).evalf(), dtype=float)[:, 0]
    assert worst(found, kinematics.aba(robot, q[0], v[0], tau[0])) < 1e-10


def test_symbolic_mass_matrix_is_linear_in_the_parameters():
    robot = kinematics.load("double_pendulum")
    form = trace(robot, "crba", symbolic_parameters=True).sympy()
    matrix = form.flat()
    parameters = {s for n, s in form.symbols.items() if n[0] in "mI"}
    assert matrix[0, 0].free_symbols & parameters
    for s in matrix.free_symbols & parameters:
        assert sympy.diff(matrix, s, 2) == sympy.zeros(2, 2)


def test_large_robots_refuse_flat_forms():
    form = trace(kinematics.load("panda"), "crba").sympy()
    with pytest.raises(ProgramError, match="at most 250,000 products"):
        form.flat()
    assert len(form.intermediates) > 50


def test_intermediates_evaluate_to_the_program():
    robot = kinematics.load("panda")
    form = trace(robot, "crba").sympy()
    q = draw(robot, 1)[0][0]
    values = {form.symbols[f"q{k + 1}"]: q[k] for k in range(7)}
    for symbol, expression in form.intermediates:
        values[symbol] = float(expression.xreplace(values))
    found = np.array(form.outputs.xreplace(values), dtype=float)
    assert worst(found, kinematics.crba(robot, q)) < 1e-12


def test_wrong_names_are_one_line():
    robot = kinematics.load("double_pendulum")
    with pytest.raises(ProgramError, match="found 'abba'"):
        trace(robot, "abba")
    with pytest.raises(ProgramError, match="found 'fortran'"):
        trace(robot, "crba").source("fortran")


def test_latex_and_c_are_complete(tmp_path):
    import ctypes
    import shutil
    import subprocess

    robot = kinematics.load("double_pendulum")
    assert r"\cos{\left(q_{2} \right)}" in trace(robot, "crba").source("latex")
    source = trace(robot, "aba").source("c")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        assert source.count("{") == source.count("}")
        return
    (tmp_path / "aba.c").write_text(source)
    library = tmp_path / "aba.so"
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    command += [str(tmp_path / "aba.c"), "-o", str(library), "-lm"]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).aba
    function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_size_t] * 2
    q, v, tau = draw(robot, 9)
    out = np.empty((9, 2))
    function(q.ctypes.data, v.ctypes.data, tau.ctypes.data, out.ctypes.data, 0, 9)
    assert worst(out, kinematics.aba(robot, q, v, tau)) < 1e-12
