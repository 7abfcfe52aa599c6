"""Friction with memory: found with its length where it was planted, and taken for nothing else."""

import numpy as np
import pytest

import discover
from discover.identification.presliding import bent
from discover.report.recorded.identification import page

LENGTH, FORCE = 0.01, 0.6


def dahl(joint, force=FORCE, length=LENGTH):
    """What Dahl friction of one joint adds to Coulomb friction of the same size."""

    def beside(robot, q, v, a):
        out = np.zeros_like(q)
        z = bent(q[:, [joint]], np.sign(v[0, [joint]]), np.array([length]))[:, 0]
        out[:, joint] = force * (z - np.tanh(v[:, joint] / robot.friction_speed))
        return out

    return beside


def memory_of(found):
    return [x for x in found.friction if x.kind == "presliding"]


@pytest.fixture(scope="module")
def found(pendulum, record):
    generator = np.random.default_rng(11)
    logs = [record(pendulum[1], generator, f"{k}", beside=dahl(0)) for k in range(5)]
    return discover.identify(logs[:4], pendulum[0], test=logs[4:])


def test_it_is_found_with_its_length_and_force(found):
    (term,) = memory_of(found)
    assert term.joints == found.joints[:1]
    length = float(term.name.split()[2].rstrip(","))
    assert length == pytest.approx(LENGTH, rel=0.3)
    assert term.value == pytest.approx(FORCE, rel=0.25)


def test_the_prediction_has_it_and_the_law_keeps_its_limit(found):
    errors = found.error()
    assert errors["identified"] < 0.9 * errors["least squares"]
    assert not [x for x in found.law.extra if "presliding" in x.name]
    assert any("presliding over δ" in line for line in page(found.to_dict()).splitlines())
    assert float(found.law.robot.friction[0]) == pytest.approx(FORCE, rel=0.15)


@pytest.mark.slow
def test_coulomb_friction_has_none(pendulum, logs):
    assert not memory_of(discover.identify(logs[:3], pendulum[0], test=logs[3:]))


@pytest.mark.slow
def test_a_delay_is_not_taken_for_it(pendulum, record):
    late = [record(pendulum[1], np.random.default_rng(k), f"{k}", delay=0.02) for k in range(4)]
    assert not memory_of(discover.identify(late, pendulum[0]))


@pytest.mark.slow
def test_a_joint_that_creeps_at_rest_is_not_taken_for_it(pendulum, record):
    """An elastic joint that is held still: its encoder turns with the force that it carries."""
    logs = []
    for k in range(4):
        log = record(pendulum[1], np.random.default_rng(20 + k), f"{k}")
        logs.append(type(log)(**{**log.__dict__, "q": log.q + log.tau / 2000.0}))
    assert not memory_of(discover.identify(logs, pendulum[0]))


def test_the_state_follows_the_way_and_not_the_time():
    way = np.r_[np.linspace(0, 1, 50), np.linspace(1, 0.4, 30)[1:]][:, None]
    slow = np.repeat(way, 3, axis=0)
    z = bent(way, np.zeros(1), np.array([0.1]))[:, 0]
    assert bent(slow, np.zeros(1), np.array([0.1]))[::3, 0] == pytest.approx(z)
    # after the reversal from a full slide, z = -1 + 2 exp(-way / δ)
    after = 1 - way[49:, 0]
    assert z[49:] == pytest.approx(-1 + 2 * np.exp(-after / 0.1), abs=1e-4)
