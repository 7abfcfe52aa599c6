"""What the search can say: one law on all joints, saturations, laws that hold inside only."""

import pytest
import torch

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.residual_search import law_within_region, search_residual_forces
from tests.bench.laws import distilled
from tests.bench.laws.planting import PlantedLaw, plant, tip

REGION = Region(q=1.0, v=2.0, tau=5.0)


def asked(model, robot, n, seed):
    box = REGION.resolve(robot.nv)
    inside = sampling.sample(box, robot, n, seed)
    outside = sampling.shell(box, robot, n, 1.0, 2.0, axis="joint", seed=seed)
    states = [torch.cat(pair) for pair in zip(inside, outside, strict=True)]
    return Answers(q=states[0], v=states[1], tau=states[2], a=model(*states))


def searched(robot, law, n=250):
    model = plant(robot, law, REGION)
    answers, held = asked(model, robot, n, 1), asked(model, robot, n // 2, 2)
    base = fit(Family.of(robot), answers)
    return search_residual_forces(base, answers, held, floor=1e-4, limit=1).best.fit


def test_the_same_drag_on_three_joints_is_one_term():
    robot = kinematics.load("planar_3r")
    law = PlantedLaw("x", "force", lambda q, v, H: v * v.abs() ** 0.7)
    (term,) = searched(robot, law).family.terms
    assert term.names == {"v1", "v2", "v3"}
    assert not term.tables
    assert "each joint's own v" in term.name


@pytest.mark.slow
def test_a_drive_that_saturates_is_found_though_tau_makes_up_anything():
    robot = kinematics.load("double_pendulum")
    law = PlantedLaw("x", "drive", lambda q, v, tau: 3 * torch.tanh(tau / 3) - tau, fixed=True)
    found = searched(robot, law)
    states = sampling.shell(REGION.resolve(2), robot, 200, 2.0, 3.0, axis="joint", seed=3)
    error = found.predict(*states) - plant(robot, law, REGION)(*states)
    assert float(error.abs().max()) < 0.05
    assert found.family.terms[0].names == {"tau1", "tau2"}


@pytest.mark.slow
def test_an_inertia_that_two_joints_share_is_found():
    """An entry beside the diagonal, as of a rotor that one joint carries and another turns."""
    robot = kinematics.load("planar_3r")

    def added(q, v, H):
        M = torch.zeros_like(H)
        M[:, 0, 2] = M[:, 2, 0] = 0.3 / (1 + v[:, 1] ** 2)
        return M

    (term,) = searched(robot, PlantedLaw("x", "inertia", added)).family.terms
    assert term.names == {"a1", "a3", "v2"}
    assert not term.tables


@pytest.mark.slow
def test_a_load_whose_mass_depends_on_where_it_is_is_found():
    robot = kinematics.load("double_pendulum")

    def load(q, v, H):
        x, _, J = tip(robot, q, v, (0.1, 0.0, 0.4))
        return (J.mT @ J) * torch.exp(-3 * x[:, 0] ** 2)[:, None, None]

    (term,) = searched(robot, PlantedLaw("x", "inertia", load)).family.terms
    assert not term.tables
    assert {"x1", "a1", "a2"} <= term.names
    (point,) = term.points
    assert (point.place[0], point.place[2]) == pytest.approx((0.1, 0.4), abs=0.01)


def _smooth_error(a, q, v, tau):
    """An error of its own, in no low dimension, one per cent of the spread."""
    generator = torch.Generator().manual_seed(4)
    x = torch.cat([q, v / 2, tau / 5], -1)
    W = 1.5 * torch.randn(x.shape[1], 12, generator=generator, dtype=x.dtype)
    out = torch.randn(12, a.shape[1], generator=generator, dtype=x.dtype)
    error = torch.sin(x @ W + torch.arange(12)) @ out / 12**0.5
    return a + 0.01 * a.square().mean(0).sqrt() * error


@pytest.mark.parametrize("planted", [True, False])
@pytest.mark.slow
def test_inside_only_a_law_is_told_from_an_error_of_the_networks_own(planted):
    robot = kinematics.load("double_pendulum")
    law = PlantedLaw(
        "x", "force", lambda q, v, H: torch.stack([torch.atan(4 * q[:, 1]), 0 * q[:, 0]], -1)
    )
    model = plant(robot, law, REGION) if planted else lambda *x: kinematics.aba(robot, *x)
    sets = []
    for seed, n in ((1, 200), (2, 100)):
        q, v, tau = sampling.sample(REGION.resolve(2), robot, n, seed)
        a = _smooth_error(model(q, v, tau), q, v, tau)
        sets.append(Answers(q=q, v=v, tau=tau, a=a))
    base = fit(Family.of(robot), sets[0])
    found = law_within_region(base, base, *sets, floor=1e-9, limit=3)
    words = [t.names for t in found.family.terms]
    assert words == ([{"q2"}] if planted else [])


@pytest.mark.slow
def test_a_network_hands_over_the_law_that_it_was_taught():
    for trial in distilled.trials([0]):
        record = distilled.run(trial)
        assert record["structure"], trial["law"]
        assert record["closed"], trial["law"]


@pytest.mark.slow
def test_a_body_whose_end_stands_still_is_no_obstacle():
    """Arms on turntables: where the second joint is on the axis of the first, nothing varies."""
    robot = kinematics.random_tree(3, branching=0.0, seed=5, kinds=("revolute",))
    axes, offset, rotation = (
        x.clone() for x in (robot.axes, robot.tree_offset, robot.tree_rotation)
    )
    axes[0] = torch.tensor([0.0, 0.0, 1.0])
    offset[:2] = 0.25 * axes[0]
    rotation[0] = torch.eye(3)
    robot = robot.replace(axes=axes, tree_offset=offset, tree_rotation=rotation)

    def drag(q, v, H):
        out = torch.zeros_like(v)
        out[:, 1] = torch.sign(v[:, 1]) * v[:, 1].abs() ** 1.4
        return out

    (term,) = searched(robot, PlantedLaw("x", "force", drag)).family.terms
    assert term.names == {"v2"}


def test_a_saturating_spring_with_a_rest_position_comes_out_closed():
    robot = kinematics.load("double_pendulum")

    def spring(q, v, H):
        out = torch.zeros_like(q)
        out[:, 1] = torch.atan(3 * (q[:, 1] - 0.2))
        return out

    (term,) = searched(robot, PlantedLaw("x", "force", spring)).family.terms
    assert term.names == {"q2"}
    assert not term.tables
