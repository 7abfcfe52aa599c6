"""Laws of factors and counterfactuals, on random trees."""

import pytest
import torch

import kinematics
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.inside import counterfactuals as physics
from discover.inside.pairs import permuted

REGION = Region(q=1.0, v=2.0, tau=5.0)
ROBOTS = ["double_pendulum", "planar_3r", "planar_branched", "panda"]


@pytest.fixture(params=ROBOTS)
def robot(request):
    return kinematics.load(request.param)


def two_states(robot, n=7):
    return [physics.mechanics(robot, sample(REGION, robot, n, seed)) for seed in (1, 2)]


def every_variable(robot):
    steps = [v for order in physics.orders(robot) for v, _ in physics.steps(robot, order)]
    return [*physics.roles(), *physics.factors(robot), *steps]


def test_an_own_value_changes_nothing(robot):
    b, _ = two_states(robot)
    for variable in every_variable(robot):
        torch.testing.assert_close(variable.counterfactual(b, b), b.a, rtol=1e-7, atol=1e-8)


def test_a_foreign_value_changes_something_or_is_left_out(robot):
    b, s = two_states(robot)
    kept, left_out = physics.distinct(every_variable(robot), b, s)
    assert {"H", "C"} <= {v.name for v in kept}
    for variable in kept:
        assert (variable.counterfactual(b, s) - b.a).abs().max() > 1e-4, variable.name
    assert len(kept) + len(left_out) == len(every_variable(robot))


def test_every_order_rebuilds_the_mass_matrix(robot):
    b, _ = two_states(robot)
    for factors in b.eliminations.values():
        torch.testing.assert_close(factors.mass_matrix(), b.H)
        torch.testing.assert_close(factors.solved(factors.reduced(b.f)), b.a)


def test_orders_follow_the_tree():
    robot = kinematics.random_tree(6, branching=0.6, seed=3)
    parents = robot.independent_parents
    found = physics.orders(robot)
    for name, order in found.items():
        at = {joint: k for k, joint in enumerate(order)}
        for joint, parent in enumerate(parents):
            if parent >= 0:
                assert (at[joint] < at[parent]) == (name == physics.TIP_FIRST)
    assert len(set(found.values())) == len(found)


def test_pivots_from_the_tips_are_articulated_inertias(robot):
    """ABA's D of the base's joint is what stays of H when all below gives way: 1 / (H⁻¹)₀₀."""
    b, _ = two_states(robot)
    D = b.eliminations[physics.TIP_FIRST].D
    first = 1 / torch.linalg.inv(b.H)[:, 0, 0]
    assert robot.independent_parents[0] == -1
    torch.testing.assert_close(D[:, -1, -1], first)


def test_pivots_of_another_state_leave_a_mass_matrix_possible(robot):
    b, s = two_states(robot)
    for name, own in b.eliminations.items():
        mixed = own._replace(D=s.eliminations[name].D).mass_matrix()
        assert torch.linalg.eigvalsh(mixed).min() > 0


def test_a_change_of_the_mass_matrix_is_that_of_the_equation_of_motion():
    robot = kinematics.load("double_pendulum")
    b, s = two_states(robot)
    swapped = physics.roles()[0].counterfactual(b, s)
    torch.testing.assert_close((s.H @ swapped.unsqueeze(-1))[..., 0], b.tau - b.C)


def test_the_placebo_moves_joints_within_the_region():
    region = Region(q=[0.5, 2.0], v=1.0, tau=3.0).resolve(2)
    states = Batch(*(torch.tensor([[0.25, 0.5]]) for _ in range(3)))
    torch.testing.assert_close(permuted(states, region).q, torch.tensor([[0.125, 1.0]]).double())
