"""Compiled programs: right in every shape, type and corner."""

import math

import numpy as np
import pytest
import sympy
import torch
from program_samples import draw, mixed_robot, worst

import kinematics
from kinematics.programs import ProgramError, compile_robot, compile_trace


@pytest.mark.parametrize("what", ["aba", "rnea", "crba"])
def test_compiled_agrees_with_the_simulator(robot, what):
    program = compile_robot(robot, what)
    for count in (1, 3, 8, 13, 64):
        arrays = draw(robot, count, seed=count)[: len(program.input_sizes)]
        reference = getattr(kinematics, what)(robot, *arrays)
        found = program(*arrays)
        assert found.shape == tuple(reference.shape)
        assert worst(found, reference) < 1e-11
    one = [a[0] for a in arrays]
    assert worst(program(*one), reference[0]) < 1e-11


def test_wide_angles(robot):
    program = compile_robot(robot, "aba")
    arrays = draw(robot, 64, angle=1e4)
    assert worst(program(*arrays), kinematics.aba(robot, *arrays)) < 1e-10


def test_single_precision():
    robot = kinematics.load("panda")
    program = compile_robot(robot, "rnea", dtype="float32")
    arrays = [a.astype(np.float32) for a in draw(robot, 40)]
    found = program(*arrays)
    assert found.dtype == np.float32
    assert worst(found, kinematics.rnea(robot, *[a.astype(float) for a in arrays])) < 1e-5


def test_threads_share_a_batch():
    robot = kinematics.load("double_pendulum")
    arrays = draw(robot, 50_000)
    alone = compile_robot(robot, "aba")(*arrays)
    shared = compile_robot(robot, "aba", threads=3)(*arrays)
    assert np.abs(alone - shared).max() < 1e-12 * np.abs(alone).max()


def test_sine_and_cosine_within_units_in_the_last_place():
    mpmath = pytest.importorskip("mpmath")
    program = compile_trace(lambda x: [np.sin(x[0]), np.cos(x[0])], sizes={"x": 1})
    rng = np.random.default_rng(0)
    sets = [
        rng.uniform(-10, 10, 400),
        rng.uniform(-6e6, 6e6, 400),
        np.round(rng.uniform(0, 4e6, 400)) * (math.pi / 2),
        rng.uniform(-1e9, 1e9, 200),
        10.0 ** rng.uniform(9, 300, 100),
    ]
    with mpmath.workprec(1200):
        for x in sets:
            single = [program(one[None]) for one in x[:40]]  # no table: another kernel
            for found, units in ((program(x[:, None]), 2.5), (single, 1.5)):
                for angle, pair in zip(x, found, strict=False):
                    for said, function in zip(pair, (mpmath.sin, mpmath.cos), strict=True):
                        exact = function(mpmath.mpf(float(angle)))
                        unit = np.spacing(abs(float(exact)))
                        assert abs(mpmath.mpf(float(said)) - exact) < units * unit


def test_nan_and_infinity_propagate():
    program = compile_trace(lambda x: [np.sin(x[0]), np.cos(x[0])], sizes={"x": 1})
    x = np.array([[np.nan], [np.inf], [-np.inf], [0.0], [-0.0], [1.0], [2.0], [3.0]])
    for found in (program(x), np.concatenate([program(row[None]) for row in x])):
        assert np.isnan(found[:3]).all()
        np.testing.assert_allclose(found[3:, 1], np.cos(x[3:, 0]), rtol=1e-15)


def test_single_precision_sine():
    program = compile_trace(lambda x: [np.sin(x[0]), np.cos(x[0])], sizes={"x": 1}, dtype="float32")
    x = np.random.default_rng(0).uniform(-1e4, 1e4, (4000, 1)).astype(np.float32)
    found = program(x)
    exact = np.stack([np.sin(x[:, 0].astype(float)), np.cos(x[:, 0].astype(float))], axis=1)
    assert (np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() < 2


def test_every_function_compiles():
    names = ["sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp"]
    names += ["log", "sqrt", "fabs", "sign"]
    x = np.random.default_rng(0).uniform(0.05, 0.95, (21, 1))

    def function(x):
        return [getattr(x[0], n)() for n in names] + [x[0] ** 1.7, x[0] ** -3]

    expected = [getattr(np, n)(x[:, 0]) for n in names] + [x[:, 0] ** 1.7, x[:, 0] ** -3.0]
    found = compile_trace(function, sizes={"x": 1})(x)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-13)


def test_wrong_shapes_are_one_line():
    robot = kinematics.load("panda")
    program = compile_robot(robot, "aba")
    q, v, tau = draw(robot, 4)
    for wrong in [(q[:, :6], v, tau), (q, v), (q, v[:3], tau), (q, v, 1.0)]:
        with pytest.raises(ProgramError, match=r"expected q \(B, 7\)") as caught:
            program(*wrong)
        assert "\n" not in str(caught.value)
    for wrong in [([[1.0, 2.0], [3.0]], v, tau), (q + 0j, v, tau), (q.astype(str), v, tau)]:
        with pytest.raises(ProgramError, match="expected arrays of real numbers"):
            program(*wrong)
    for threads in (0, 1.5, "2", None):
        with pytest.raises(ProgramError, match="whole number of threads"):
            compile_robot(robot, "aba", threads=threads)
    with pytest.raises(kinematics.RobotError, match="expected a Robot first, found str"):
        kinematics.compile("panda", "aba")
    with pytest.raises(ProgramError, match="expected dtype"):
        compile_robot(robot, "aba", dtype="float16")
    with pytest.raises(ProgramError, match="expected a function"):
        compile_robot(robot, "abba")


def test_batches_broadcast_and_may_have_any_axes():
    robot = kinematics.load("double_pendulum")
    program = compile_robot(robot, "aba")
    q, v, tau = draw(robot, 6)
    whole = program(q, v, tau)
    assert program(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2))).shape == (0, 2)
    folded = program(q.reshape(2, 3, 2), v.reshape(2, 3, 2), tau.reshape(2, 3, 2))
    np.testing.assert_array_equal(folded.reshape(6, 2), whole)
    np.testing.assert_allclose(program(q, v[0], tau)[0], whole[0], rtol=1e-12)
    fortran = [np.asfortranarray(a) for a in (q, v, tau)]
    np.testing.assert_array_equal(program(*fortran), whole)


def test_torch_calls_are_differentiable():
    robot = kinematics.load("double_pendulum")
    program = compile_robot(robot, "aba")
    tensors = [torch.tensor(x, requires_grad=True) for x in draw(robot, 3)]
    assert worst(program(*tensors).detach(), kinematics.aba(robot, *tensors).detach()) < 1e-12
    assert torch.autograd.gradcheck(program, tensors)
    assert torch.autograd.gradgradcheck(program, [t[:1] for t in tensors])


def test_torch_calls_map_and_nest():
    robot = kinematics.load("double_pendulum")
    program = compile_robot(robot, "aba")
    q, v, tau = (torch.tensor(x) for x in draw(robot, 6))
    reference = kinematics.aba(robot, q, v, tau)
    assert worst(torch.vmap(program)(q, v, tau), reference) < 1e-13
    columns = torch.vmap(program, in_dims=(1, None, None), out_dims=1)(q.T, v[0], tau[0])
    assert worst(columns.T, kinematics.aba(robot, q, v[0], tau[0])) < 1e-13
    pairs = torch.vmap(program, in_dims=(0, None, None))(q, v[:3], tau[:3])
    assert worst(pairs, kinematics.aba(robot, q[:, None], v[:3], tau[:3])) < 1e-13
    slopes = torch.vmap(torch.func.jacrev(program))(q, v, tau)
    exact = torch.vmap(torch.func.jacrev(lambda *x: kinematics.aba(robot, *x)))(q, v, tau)
    assert worst(slopes, exact) < 1e-12

    def total(q):
        return program(q, v[0], tau[0]).square().sum()

    curved = torch.func.jacrev(torch.func.jacrev(total))(q[0])
    assert worst(curved, torch.autograd.functional.hessian(total, q[0])) < 1e-12


def test_tensors_that_are_not_floating_point():
    robot = kinematics.load("double_pendulum")
    whole = [torch.ones(2, 2, dtype=torch.int64)] * 3
    found = compile_robot(robot, "aba")(*whole)
    assert found.dtype == torch.float64  # and not cut to whole numbers
    assert worst(found, kinematics.aba(robot, *whole)) < 1e-13
    with pytest.raises(ProgramError, match="found complex"):
        compile_robot(robot, "aba")(*(x + 0j for x in whole))


def test_energies_of_one_state():
    robot = kinematics.load("double_pendulum")
    (q,), (v,), _ = draw(robot, 1)
    kinetic = compile_robot(robot, "kinetic")(q, v)
    assert kinetic.shape == ()
    assert kinetic == pytest.approx(float(kinematics.kinetic_energy(robot, q, v)))
    assert compile_robot(robot, "potential")(q[None]).shape == (1,)


def test_torch_calls_trace_whole():
    robot = kinematics.load("double_pendulum")
    program = compile_robot(robot, "rnea")
    tensors = [torch.tensor(x) for x in draw(robot, 3)]
    function = torch.compile(
        lambda *a: (program(*a) ** 2).sum(), fullgraph=True, backend="aot_eager"
    )
    assert worst(function(*tensors), (program(*tensors) ** 2).sum()) < 1e-14


def test_extra_force_acts_beside_tau():
    robot = kinematics.load("double_pendulum")
    v1, q2, tau1 = sympy.symbols("v1 q2 tau1")
    terms = [-0.3 * v1 * sympy.Abs(v1) + sympy.tanh(tau1), sympy.sin(3 * q2) / (1 + v1**2)]
    program = compile_robot(robot, "aba", extra_force=terms)
    q, v, tau = draw(robot, 11)
    extra = np.stack(
        [
            -0.3 * v[:, 0] * abs(v[:, 0]) + np.tanh(tau[:, 0]),
            np.sin(3 * q[:, 1]) / (1 + v[:, 0] ** 2),
        ],
        axis=1,
    )
    assert worst(program(q, v, tau), kinematics.aba(robot, q, v, tau + extra)) < 1e-12
    with pytest.raises(ProgramError, match="expected 2 expressions"):
        compile_robot(robot, "aba", extra_force=terms[:1])
    with pytest.raises(ProgramError, match="found z"):
        compile_robot(robot, "aba", extra_force=[sympy.Symbol("z"), 0])


def test_sources():
    program = compile_robot(mixed_robot(), "rnea")
    for language in ("c", "llvm", "python", "torch"):
        assert len(program.source(language)) > 1000
    assert program.operations["mul"] > 100


def test_coupled_joints():
    from kinematics.robot.tree import Mimic

    whole = kinematics.load("panda")
    kept = torch.arange(7) != 4
    sized = ("armature", "damping", "friction", "stiffness", "spring_reference")
    sized += ("lower", "upper", "velocity_limit", "effort_limit")
    coupling = Mimic(joint="panda_joint5", driver="panda_joint3", multiplier=-0.5, offset=0.2)
    robot = whole.replace(mimic=(coupling,), **{n: getattr(whole, n)[kept] for n in sized})
    arrays = draw(robot, 9)
    reference = kinematics.aba(robot, *arrays)
    assert worst(compile_robot(robot, "aba")(*arrays), reference) < 1e-11


def test_hyperbolic_tangent():
    program = compile_trace(lambda x: [np.tanh(x[0])], sizes={"x": 1})
    rng = np.random.default_rng(0)
    for scale in (1e-8, 1e-2, 0.5, 3.0, 30.0, 1e6):
        x = rng.normal(size=(400, 1)) * scale
        exact = np.tanh(x)
        assert (np.abs(program(x) - exact) <= 4 * np.spacing(np.abs(exact))).all()
    special = program(np.array([[np.nan], [np.inf], [-np.inf], [0.0]] * 4))[:4, 0]
    assert np.isnan(special[0])
    np.testing.assert_array_equal(special[1:], [1.0, -1.0, 0.0])
