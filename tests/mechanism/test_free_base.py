"""A free base: its tree, geometry and recursion come out of answers alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import BlackBox, relative_error
from discover.errors import ModelError
from discover.mechanism.coordinates import Renumbered
from discover.mechanism.description import MechanismDescription
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.recursion.passes import torch_forces, trace_recursion
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import search
from discover.mechanism.tree.floating import FloatingBaseSampler, FloatingTree
from kinematics.spatial.rotations import about_axis, exp_quaternion, matrix_of_quaternion


def _states(robot, n=20):
    generator = torch.Generator().manual_seed(3)
    step, v, tau = (2 * torch.randn(n, robot.nv, generator=generator).double() for _ in range(3))
    return kinematics.integrate(robot, robot.neutral().expand(n, -1), step, 1.0), v, tau


def _model(robot):
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)


def test_the_floating_tree_is_the_simulator():
    robot = kinematics.random_tree(5, branching=0.5, seed=2, root="free")
    found = infer_free_base(
        BlackBox(_model(robot), robot.nq, robot.nv),
        discover.Region(q=[0.8] * robot.nv, v=1.5, tau=5.0),
    )
    assert found.geometry.good
    assert [p + 1 for p in found.tree.parents] == list(robot.parents[1:])
    q, v, tau = _states(robot)
    keep = list(found.order)
    model = Renumbered(_model(robot), keep)
    back = [0, 1, 2, 3, 4, 5, 6, *(7 + k - 6 for k in keep[6:])]
    mine = kinematics.aba(found.robot, q[:, back], v[:, keep], tau[:, keep])
    assert relative_error(mine, model(q[:, back], v[:, keep], tau[:, keep])) < 1e-9
    H = kinematics.crba(found.robot, q[:, back]).numpy()
    tree = found.geometry.tree
    assert isinstance(tree, FloatingTree)
    again = tree.forces(found.geometry.screws, found.geometry.pi, q.numpy())[..., :-1]
    assert np.abs(again[:, keep][:, :, keep] - H).max() < 1e-9 * np.abs(H).max()


@pytest.mark.slow
def test_examine_of_a_free_base_without_a_robot(tmp_path):
    robot = kinematics.random_tree(3, branching=0.0, seed=1, root="free", kinds=("revolute",))
    region = discover.Region(q=[0.8] * robot.nv, v=1.5, tau=5.0)
    exam = discover.examine(_model(robot), None, region, root="free")
    assert exam.verdict == "physics"
    assert "T_i ×* I T_i" in exam.law.program
    assert exam.law.robot.kinds[0] == "free"
    states = _states(robot)
    expected = _model(robot)(*states)
    assert relative_error(exam.law(*states), expected) < 1e-6
    program = exam.law.program
    assert program.identified
    compiled = torch.as_tensor(program.compile()(*(x.numpy() for x in states)))
    assert relative_error(compiled, expected) < 1e-6
    assert exam.account is not None
    assert exam.account.equals
    assert MechanismDescription.from_dict(exam.account.to_dict()).skeleton.free
    exam.save(tmp_path)
    assert "a free base, all joints turn" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert {"trees.png", "joints.png", "zeros.png"} <= {
        p.name for p in (tmp_path / "figures").iterdir()
    }
    assert program.forward.arithmetic <= kinematics.programs.robot_program(robot, "aba").arithmetic


@pytest.mark.slow
def test_the_recursion_of_a_free_base_runs_and_is_traced():
    robot = kinematics.random_tree(3, branching=0.5, seed=1, root="free", kinds=("revolute",))
    blackbox = BlackBox(_model(robot), robot.nq, robot.nv)
    region = discover.Region(q=[0.8] * robot.nv, v=1.5, tau=5.0)
    geometry = infer_free_base(blackbox, region).geometry
    assert geometry.good
    sampler = FloatingBaseSampler(blackbox=blackbox, region=region)
    found = search(sampler, geometry.tree, geometry.screws)
    q, v, tau = _states(robot)
    assert relative_error(torch_forces(found, q, v, tau), kinematics.rnea(robot, q, v, tau)) < 1e-9
    for what, exact in (("rnea", kinematics.rnea), ("aba", kinematics.aba)):
        program = trace_recursion(found, what).numpy()
        values = torch.from_numpy(program(q.numpy(), v.numpy(), tau.numpy()))
        assert relative_error(values, exact(robot, q, v, tau)) < 1e-9
    assert "A_i = X A_p + S a_i + (T_i × S v_i),  A_base = (" in pretty_print(found)


def test_quaternions_of_rotation_vectors():
    vectors = np.random.default_rng(0).normal(size=(20, 3))
    R = matrix_of_quaternion(exp_quaternion(torch.from_numpy(vectors)).numpy())
    assert np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max() < 1e-14
    assert np.abs(np.einsum("nij,nj->ni", R, vectors) - vectors).max() < 1e-14
    angle = np.linalg.norm(vectors, axis=1)
    assert np.abs(np.trace(R, axis1=1, axis2=2) - 1 - 2 * np.cos(angle)).max() < 1e-14
    assert np.abs(about_axis(vectors / angle[:, None], angle) - R).max() < 1e-14


def test_a_root_is_declared_only_without_a_robot():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=[1.0, 1.0], v=1.0, tau=1.0)
    with pytest.raises(ModelError, match="only without a robot"):
        discover.examine(_model(robot), robot, region, root="free")
