"""The straight-line reading of forward dynamics is the recursion, and knows when not to be used."""

import pytest
import torch

import kinematics
from kinematics.algorithms import forward
from kinematics.algorithms.aba import aba as recursion
from kinematics.algorithms.forward import COLUMN, LARGE, WIDE


def warm(robot, count):
    """States, after a call that traced the robot."""
    state = kinematics.random_state(robot, count, seed=0)
    kinematics.aba(robot, *state)
    return state


def test_earlier_calls_change_no_bit():
    robot = kinematics.load("panda")
    for count in (1, 5, LARGE):
        state = kinematics.random_state(robot, count, seed=1)
        first = kinematics.aba(robot, *state)
        for _ in range(3):
            assert torch.equal(kinematics.aba(robot, *state), first)


@pytest.mark.parametrize("count", [1, 3, 100, LARGE + 1, WIDE + 1, COLUMN + 1])
@pytest.mark.parametrize("floating", [False, True])
def test_every_batch_size_gives_the_recursion_s_answer(count, floating):
    robot = kinematics.random_tree(6, seed=4, root="free" if floating else "fixed")
    state = warm(robot, count)
    torch.testing.assert_close(
        kinematics.aba(robot, *state), recursion(robot, *state), rtol=1e-9, atol=1e-9
    )


def test_bushy_trees_are_traced_only_where_it_pays(monkeypatch):
    """A few states of many bodies are left to the recursion, and any number is answered alike."""
    robot = kinematics.family("star", 41, seed=1)
    for count in (1, 8, 300):
        state = kinematics.random_state(robot, count, seed=2)
        monkeypatch.setattr(forward, "_straight_line", original if count == 300 else forbidden)
        torch.testing.assert_close(
            kinematics.aba(robot, *state), recursion(robot, *state), rtol=1e-6, atol=1e-6
        )


original = forward._straight_line


def forbidden(robot):
    raise AssertionError("a trace that does not pay")


def test_batch_axes_stay():
    robot = kinematics.load("panda")
    q, v, tau = (x.reshape(2, LARGE, 7) for x in warm(robot, 2 * LARGE))
    assert kinematics.aba(robot, q, v, tau).shape == (2, LARGE, 7)
    assert kinematics.aba(robot, q[0, 0], v[0, 0], tau[0, 0]).shape == (7,)


def test_parameters_changed_in_place_are_seen():
    robot = kinematics.load("double_pendulum")
    state = warm(robot, LARGE)
    before = kinematics.aba(robot, *state)
    robot.pi.mul_(2.0)
    robot.damping.add_(0.5)
    after = kinematics.aba(robot, *state)
    torch.testing.assert_close(after, recursion(robot, *state))
    assert not torch.allclose(after, before)


def test_gradients_reach_state_and_parameters():
    robot = kinematics.load("double_pendulum")
    q, v, tau = warm(robot, LARGE)
    q.requires_grad_(True)
    (by_columns,) = torch.autograd.grad(kinematics.aba(robot, q, v, tau).sum(), q)
    (by_recursion,) = torch.autograd.grad(recursion(robot, q, v, tau).sum(), q)
    torch.testing.assert_close(by_columns, by_recursion, rtol=1e-8, atol=1e-9)
    pi = robot.pi.clone().requires_grad_(True)
    kinematics.aba(robot.replace(pi=pi), q, v, tau).sum().backward()
    assert pi.grad is not None
    assert bool(pi.grad.abs().sum() > 0)


def test_massless_bodies_are_left_to_the_recursion():
    robot = kinematics.load("double_pendulum", root="free")
    robot = robot.replace(pi=torch.zeros_like(robot.pi))
    state = warm(robot, 1)
    assert not bool(torch.isfinite(kinematics.aba(robot, *state)).all())


def test_infinite_angles_give_nan_and_no_traceback():
    robot = kinematics.load("double_pendulum")
    warm(robot, 1)
    zero = torch.zeros(2, dtype=torch.float64)
    a = kinematics.aba(robot, torch.tensor([float("inf"), 0.0]).double(), zero, zero)
    assert bool(torch.isnan(a).any())


def test_vmap_and_jacrev_after_warming():
    robot = kinematics.load("double_pendulum")
    q, v, tau = warm(robot, LARGE)
    mapped = torch.func.vmap(lambda *x: kinematics.aba(robot, *x))(q, v, tau)
    torch.testing.assert_close(mapped, recursion(robot, q, v, tau), rtol=1e-9, atol=1e-9)
    jacobian = torch.func.jacrev(lambda x: kinematics.aba(robot, q[0], v[0], x))(tau[0])
    H = kinematics.crba(robot, q[0])
    torch.testing.assert_close(jacobian @ H, torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("states", [1, 5, 600])
def test_one_set_of_parameters_with_a_batch_axis_is_that_set(states):
    robot = kinematics.load("double_pendulum")
    several = robot.replace(pi=robot.pi[None].clone())
    x = [torch.linspace(-1.0, 1.0, 2 * states, dtype=torch.float64).reshape(-1, 2)] * 3
    assert torch.allclose(kinematics.aba(several, *x), kinematics.aba(robot, *x))
