"""Whether a predicted spread rises where the model departs from its law."""

import pytest
import torch

import discover
import kinematics
from discover.blackbox.support import Box
from discover.errors import ModelError
from tests.observations.robots import apart, cart, flyer, states, step

ROBOT = cart()


def law(q, v, u):
    return kinematics.aba(ROBOT, q, v, u)


def member(k, honest=True):
    """A law that departs beyond half a turn of the first pole, each member to its own side."""

    def model(q, v, u):
        beyond = (q[..., 1:2].abs() - 1.0).clamp_min(0)
        side = torch.tensor([1.0, -0.4, 0.7])[k] if honest else 1.0
        # a dishonest member agrees with the others where all are wrong, and spreads elsewhere
        jitter = 0.0 if honest else 0.01 * (k - 1) / (1 + 5 * beyond)
        return law(q, v, u) + 3 * side * beyond**2 + jitter

    return model


def box():
    region = discover.Region(q=1.0, v=2.0, tau=3.0)
    return Box(robot=ROBOT, region=region.resolve(3))


def test_an_honest_ensemble_is_told_from_a_confident_one():
    honest = discover.spread_against_departure(
        discover.Ensemble([member(k) for k in range(3)]), law, box()
    )
    assert honest.rises
    assert honest.correlation > 0.9
    assert honest.by_spread[-1].departure > 10 * honest.by_spread[0].departure
    assert [row.questions for row in honest.by_distance] == [200] * 4
    departures = [row.departure for row in honest.by_distance]
    assert departures == sorted(departures)
    confident = discover.spread_against_departure(
        discover.Ensemble([member(k, honest=False) for k in range(3)]), law, box()
    )
    assert not confident.rises
    assert "does not rise" in str(confident)
    assert set(honest.to_dict()) == {"correlation", "inside", "rises", "by_distance", "by_spread"}


def test_steps_are_compared_by_their_change_of_velocity():
    stepped = step(ROBOT)

    def model(k):
        def answer(q, v, u):
            q_next, v_next = stepped(q, v, u)
            return q_next, v_next + 0.01 * (member(k)(q, v, u) - law(q, v, u))

        return answer

    members = [model(k) for k in range(3)]
    for m in members:
        m.outputs, m.dt = "next_state", 0.01
    report = discover.spread_against_departure(discover.Ensemble(members), stepped, box())
    assert report.rises
    assert report.by_distance[0].departure < 1e-12  # inside, the members are the law


def test_an_ensemble_of_flying_bodies_answers_with_a_mean_orientation():
    robot = flyer()
    stepped = step(robot)
    q, v = states(robot, 5)
    u = torch.zeros(5, robot.nv).double()

    def turned(angle):
        def model(q, v, u):
            q_next, v_next = stepped(q, v, u)
            off = torch.zeros_like(v)
            off[:, 0] = angle
            return kinematics.integrate(robot, q_next, off), v_next

        model.outputs, model.dt = "next_state", 0.01
        return model

    mean = discover.Ensemble([turned(0.1), turned(-0.1)], robot)
    assert apart(robot, mean(q, v, u), stepped(q, v, u)) < 1e-12


def test_a_model_without_a_spread_is_one_line():
    with pytest.raises(ModelError, match="expected a model with spread"):
        discover.spread_against_departure(law, law, box())
    with pytest.raises(ModelError, match="at least two members"):
        discover.Ensemble([law])
    a, b = member(0), member(1)
    a.dt = 0.1
    with pytest.raises(ModelError, match="members of one dt"):
        discover.Ensemble([a, b])
