"""Forward programs from inferred mechanisms: as cheap and as fast as those of the description."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from black_boxes import black_box, sampler

import discover
import kinematics
from discover.blackbox.contract import BlackBox, relative_error
from discover.laws.export.elimination import forward_program, sparsest_mechanism
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.geometry.robots import canonical_robot, screw_tree
from discover.mechanism.inference import infer_robot
from discover.mechanism.recursion.derivation import derive_forward, is_rigid_body
from discover.mechanism.recursion.search import search
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import mechanism
from kinematics.programs.elimination.search import named_order
from kinematics.robot.random import random_inertia
from kinematics.robot.tree import build
from tests.bench.robots import machine_like

ROBOTS = {
    "double_pendulum": lambda: kinematics.load("double_pendulum"),
    "panda": lambda: kinematics.load("panda"),
    "branched": lambda: kinematics.random_tree(5, branching=0.5, seed=3),
    "machine": lambda: machine_like(6, 3),
}


def _states(robot, n=40):
    generator = torch.Generator().manual_seed(3)
    return [2 * torch.randn(n, robot.nv, generator=generator).double() for _ in range(3)]


@pytest.mark.parametrize(
    "name",
    [
        "double_pendulum",
        "branched",
        pytest.param("panda", marks=pytest.mark.slow),
        pytest.param("machine", marks=pytest.mark.slow),
    ],
)
def test_at_least_as_cheap_as_both_classical_orders_on_the_description(name):
    robot = ROBOTS[name]()
    region = discover.Region(q=[1.5] * robot.nv, v=2.0, tau=5.0)
    found = infer_robot(BlackBox(black_box(robot), robot.nv, robot.nv), region)
    program = forward_program(found.exact)
    made = mechanism(robot)
    best = min(forward_dynamics(made, named_order(made, o)).arithmetic for o in ("aba", "crba"))
    assert program.arithmetic <= best
    assert program.arithmetic <= kinematics.programs.robot_program(robot, "aba").arithmetic
    order = list(found.order)
    q, v, tau = _states(robot)
    a = program.numpy()(*(x[:, order].numpy() for x in (q, v, tau)))
    expected = kinematics.aba(robot, q, v, tau)[:, order]
    assert relative_error(torch.from_numpy(a), expected) < 1e-8


def test_a_free_base_is_as_cheap_as_both_classical_orders_on_the_description():
    """Legs with axes at right angles: what rounding leaves in constants must not become terms."""
    legs = machine_like(3, 4, prismatic=0.0)
    rng = np.random.default_rng(0)
    robot = build(
        "walker",
        kinds=["free", "revolute", "revolute", "revolute"],
        parents=[-1, 0, 1, 0],
        tree_rotation=np.array([np.eye(3)] * 4),
        tree_offset=np.array([[0, 0, 0], [0.2, 0.1, 0], [0, 0, -0.2], [-0.2, 0.1, 0]]),
        axes=np.array([[0, 0, 1.0], [1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]]),
        pi=np.concatenate([[random_inertia(rng)], legs.pi.numpy()]),
    )
    model = lambda q, v, tau: kinematics.aba(robot, q, v, tau)  # noqa: E731
    region = discover.Region(q=[1.0] * 9, v=2.0, tau=5.0)
    found = infer_free_base(BlackBox(model, 10, 9), region)
    made = mechanism(robot)
    best = min(forward_dynamics(made, named_order(made, o)).arithmetic for o in ("aba", "crba"))
    assert forward_program(found.exact).arithmetic <= best
    assert found.exact.gravity[:2].tolist() == [0.0, 0.0]


def test_the_law_of_an_unknown_robot_compiles_to_that_program():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0)
    exam = discover.examine(black_box(robot), None, region)
    program = exam.law.program
    assert "outward" in program
    assert program.identified
    own = kinematics.compile(robot, "aba")
    for compiled in (program.compile(), exam.law.compile()):
        counts = [sum(p.operations[k] for k in ("mul", "add", "div")) for p in (compiled, own)]
        assert counts[0] <= counts[1]
    states = [x.numpy() for x in _states(robot, 1000)]
    assert relative_error(torch.as_tensor(compiled(*states)), torch.as_tensor(own(*states))) < 1e-9
    forces = program.inverse.numpy()(*states)
    assert np.abs(forces - kinematics.rnea(robot, *_states(robot, 1000)).numpy()).max() < 1e-6


@pytest.mark.slow
def test_as_fast_as_the_compiled_description():
    robot = kinematics.load("panda")
    region = discover.Region(q=[1.5] * 7, v=2.0, tau=5.0)
    found = infer_robot(BlackBox(black_box(robot), 7, 7), region)
    programs = [kinematics.programs.compile_trace(forward_program(found.exact))]
    programs.append(kinematics.compile(robot, "aba"))
    states = [x.numpy() for x in _states(robot, 4096)]
    times = [[], []]
    for _ in range(30):
        for own, run in zip(times, programs, strict=True):
            start = time.perf_counter()
            run(*states)
            own.append(time.perf_counter() - start)
    assert min(times[0]) < 1.05 * min(times[1])


@pytest.mark.parametrize("seed", range(3))
def test_tidy_frames_and_bare_bodies_move_alike(seed):
    robot = machine_like(5, seed)
    rng = np.random.default_rng(seed)
    tree, screws = screw_tree(robot, rng.uniform(-0.6, 0.6, 5))
    q = rng.normal(size=(60, 5))
    states = torch.from_numpy(q)
    H, rest = kinematics.crba(robot, states), kinematics.bias(robot, states, 0 * states)
    y = np.concatenate([H.numpy(), rest.numpy()[..., None]], 2).ravel()
    rows = tree.regressor(tree.unit(screws), q).reshape(len(y), -1)
    pi = np.linalg.lstsq(rows, y, rcond=1e-10)[0].reshape(-1, 10)
    tidy = canonical_robot(tree, screws, pi, 1e-8)
    q, v, tau = _states(robot)
    expected = kinematics.aba(robot, q, v, tau)
    assert relative_error(kinematics.aba(tidy, q, v, tau), expected) < 1e-9
    assert np.isin(np.abs(tidy.tree_rotation.numpy()), (0.0, 1.0)).all()  # as machines are made
    made = sparsest_mechanism(tidy)
    program = forward_dynamics(made, named_order(made, "aba"))
    a = program.numpy()(q.numpy(), v.numpy(), tau.numpy())
    assert relative_error(torch.from_numpy(a), expected) < 1e-8


def test_a_tolerance_that_bends_the_robot_is_not_taken():
    """Axes a thousandth off the square: the answers say so, and the frames keep it."""
    robot = kinematics.load("double_pendulum")
    c, s = np.cos(1e-3), np.sin(1e-3)
    rotation = robot.tree_rotation.clone()
    rotation[1] = rotation[1] @ torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]]).double()
    bent = robot.replace(tree_rotation=rotation, pi=kinematics.random_tree(2, seed=1).pi)
    region = discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0)
    found = infer_robot(BlackBox(black_box(bent), 2, 2), region)
    q, v, tau = _states(bent)
    assert (
        relative_error(kinematics.aba(found.exact, q, v, tau), kinematics.aba(bent, q, v, tau))
        < 1e-8
    )


def test_an_altered_recursion_is_no_rigid_body_and_still_runs_forward():
    robot = kinematics.random_tree(3, branching=0.0, seed=7, kinds=("revolute",))
    found = search(sampler(black_box(robot), 3), *screw_tree(robot, np.zeros(3)))
    assert is_rigid_body(found)
    half = found.__class__(**{**vars(found), "coefficients": 0.5 * found.coefficients})
    assert not is_rigid_body(half)
    program = derive_forward(robot, half)
    assert "columns of H" in program.text
    assert list(program.operations) == ["this one"]
