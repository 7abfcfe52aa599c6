"""The recursion comes out of the answers; altered ones come out altered; tables hold to none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from black_boxes import black_box, sampler

import discover
import kinematics
from discover.blackbox.contract import relative_error
from discover.mechanism.factorisation import factors, sparsity
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.recursion.derivation import is_rigid_body
from discover.mechanism.recursion.grammar import SOURCES, Block, Samples, carried, joint, product
from discover.mechanism.recursion.passes import trace_recursion
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import search
from kinematics.programs import compile_trace
from tests.bench.mechanism import black_boxes as impostors

TWIST = carried(joint("v"), 1)
GYROSCOPIC = Block("rate", (TWIST, TWIST), 1)
CORIOLIS = Block("inertia", (carried(product(TWIST, joint("v")), 1),), 1)


def _found(robot, model=None, seed=0):
    source = sampler(model or black_box(robot), robot.nv, seed=seed)
    return search(source, *screw_tree(robot, np.zeros(robot.nv)))


@pytest.fixture(scope="module")
def branched():
    robot = kinematics.random_tree(4, branching=0.5, seed=3)
    return robot, _found(robot)


def _states(nv):
    generator = torch.Generator().manual_seed(2)
    return [2 * torch.randn(20, nv, generator=generator).double() for _ in range(3)]


def _accelerations(recursion, *states):
    return torch.from_numpy(trace_recursion(recursion).numpy()(*(x.numpy() for x in states)))


def test_the_simulators_recursion_comes_out_of_a_million_programs(branched):
    _, found = branched
    assert found.equivalent
    assert found.held_out < 1e-8
    assert found.programs > 1e6
    assert set(found.velocity) == {GYROSCOPIC, CORIOLIS}
    assert np.abs(found.coefficients - 1).max() < 1e-8
    assert np.abs(found.root_vector - [0, 0, 0, 0, 0, 9.81]).max() < 1e-6


OWN = {"armature": "rotor", "damping": "drag", "stiffness": "spring"}


@pytest.mark.parametrize("fields", [*((name,) for name in OWN), tuple(OWN)])
def test_what_joints_have_beside_their_bodies_comes_out(fields):
    generator = torch.Generator().manual_seed(0)
    numbers = {n: 0.2 + torch.rand(4, generator=generator, dtype=torch.float64) for n in fields}
    robot = kinematics.random_tree(4, branching=0.5, seed=3).replace(**numbers)
    found = _found(robot)
    assert found.equivalent
    assert {term.block.form for term in found.scalar_terms} == {OWN[name] for name in fields}
    assert set(found.velocity) == {GYROSCOPIC, CORIOLIS}
    q, v, tau = _states(robot.nv)
    exact = kinematics.aba(robot, q, v, tau)
    assert relative_error(_accelerations(found, q, v, tau), exact) < 1e-9
    for term in found.scalar_terms:
        assert term.block == Block(term.block.form, (joint(SOURCES[term.block.form]),), 0)
        if term.block.form != "rotor":  # those of bodies that turn with them are in the bodies
            numbers_of_term = term.numbers * (found.screws**2).sum(-1)
            (name,) = (n for n in fields if OWN[n] == term.block.form)
            assert np.abs(numbers_of_term - numbers[name].numpy()).max() < 1e-9
    assert is_rigid_body(found)


@pytest.mark.slow
def test_a_mechanism_with_rotors_is_inferred_with_its_forward_program():
    numbers = {name: torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64) for name in OWN}
    robot = kinematics.random_tree(3, branching=0.0, seed=5, kinds=("revolute",)).replace(**numbers)
    region = discover.Region(q=[1.5] * 3, v=[2.0] * 3, tau=[5.0] * 3)
    exam = discover.examine(black_box(robot), None, region)
    assert exam.verdict == "physics"
    assert exam.account.recursion["equivalent"]
    own, *classical = exam.account.forward.arithmetic.values()
    assert len(classical) == 2
    assert own <= min(classical)


def test_the_program_reads_runs_and_compiles(branched):
    robot, found = branched
    text = pretty_print(found)
    assert "outward" in text
    assert "×* I" in text
    q, v, tau = _states(robot.nv)
    exact = kinematics.aba(robot, q, v, tau)
    assert relative_error(_accelerations(found, q, v, tau), exact) < 1e-9
    forces = trace_recursion(found, "rnea").numpy()(*(x.numpy() for x in (q, v, tau)))
    assert relative_error(torch.from_numpy(forces), kinematics.rnea(robot, q, v, tau)) < 1e-9
    compiled = compile_trace(trace_recursion(found))(*(x.numpy() for x in (q, v, tau)))
    assert relative_error(torch.as_tensor(compiled), exact) < 1e-9


def _altered(robot, coriolis, gyroscopic):
    """A simulator whose velocity terms are mixed otherwise."""
    tree, screws = screw_tree(robot, np.zeros(robot.nv))
    exact = _found(robot)
    phi = exact.parameters.ravel()

    def model(q, v, tau):
        samples = Samples(tree, screws, q.numpy(), v.numpy())
        even = (
            coriolis * samples.block(CORIOLIS) @ phi + gyroscopic * samples.block(GYROSCOPIC) @ phi
        )
        rest = kinematics.bias(robot, q, torch.zeros_like(v)) + torch.from_numpy(even[..., 0])
        return torch.linalg.solve(kinematics.crba(robot, q), (tau - rest).unsqueeze(-1)).squeeze(-1)

    return model


@pytest.mark.parametrize(("coriolis", "gyroscopic"), [(0.8, 1.0), (0.0, 1.0), (1.0, -0.5)])
def test_an_altered_recursion_comes_out_altered(coriolis, gyroscopic):
    robot = kinematics.random_tree(3, branching=0.0, seed=7, kinds=("revolute",))
    found = _found(robot, _altered(robot, coriolis, gyroscopic))
    assert found.equivalent
    coefficients = dict(zip(found.velocity, found.coefficients.tolist(), strict=True))
    if coriolis:
        assert coefficients[CORIOLIS] == pytest.approx(coriolis, abs=1e-4)
    assert coefficients[GYROSCOPIC] == pytest.approx(gyroscopic, abs=1e-4)
    assert len(coefficients) == (coriolis != 0) + 1


def test_a_wrong_tree_and_a_table_hold_to_no_recursion():
    robot = kinematics.random_tree(3, branching=0.0, seed=7, kinds=("revolute",))
    tree, screws = screw_tree(robot, np.zeros(3))
    wrong = tree.__class__(parents=(-1, 0, 0), turning=tree.turning, reference=tree.reference)
    assert not search(sampler(black_box(robot), 3), wrong, screws).equivalent

    generator = torch.Generator().manual_seed(0)
    known = [(torch.rand(3000, 3, generator=generator).double() * 2 - 1) * s for s in (1.5, 2, 5)]
    answers = kinematics.aba(robot, *known)
    points = torch.cat([x / s for x, s in zip(known, (1.5, 2, 5), strict=True)], 1)

    def table(q, v, tau):
        return answers[torch.cdist(torch.cat([q / 1.5, v / 2, tau / 5], 1), points).argmin(1)]

    assert not _found(robot, table).equivalent


def test_what_repeats_itself_is_not_let_off_as_noise():
    robot = kinematics.load("double_pendulum")
    for model in (impostors.table(robot, 1000), impostors.network(robot, 1000, seconds=1.0)):
        source = sampler(model, 2)
        assert source.noisy
        assert not source.excused
        assert not search(source, *screw_tree(robot, np.zeros(2))).equivalent
    assert sampler(black_box(robot, noise="tau"), 2).excused
    assert sampler(black_box(robot, noise="a"), 2).excused


def test_factors_keep_the_trees_zeros():
    robot = kinematics.random_tree(6, branching=0.7, seed=4)
    source = sampler(black_box(robot), 6)
    dynamics = source.at(source.draw(10))
    L, D = factors(dynamics.H, robot.parents)
    again = np.einsum("nki,nk,nkj->nij", L, D, L)
    assert np.abs(again - dynamics.H).max() < 1e-10
    assert sparsity(dynamics, robot.parents).zeros > 0
    assert sparsity(dynamics, robot.parents).violation < 1e-10
    chain = [-1, *range(5)]
    wrong = [-1, 0, 0, 0, 0, 0]
    assert sparsity(dynamics, chain).zeros == 0
    assert sparsity(dynamics, wrong).violation > 1e-3


def test_an_examination_without_a_robot_tells_the_program():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0)
    exam = discover.examine(black_box(robot), None, region)
    assert "outward" in exam.law.program
    assert any("recursion" in e.name for e in exam.evidence)
    assert discover.laws.from_dict(exam.law.to_dict()).program == exam.law.program
