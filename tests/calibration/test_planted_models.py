"""Planted models are what they are called: they differ from physics by what their names say."""

import pytest
import torch

import kinematics
from discover.blackbox.contract import relative_error
from discover.calibration.planted import alternatives, catalogue, hybrids, physics, tables
from discover.calibration.planted.contract import TRUTHS


@pytest.fixture(scope="module")
def setting():
    return catalogue.SETTINGS["double pendulum"]()


@pytest.fixture(scope="module")
def plain(setting):
    states = setting.samples(256)
    return states, kinematics.aba(setting.robot, *states)


def test_names_are_unique_and_truths_known(setting):
    planted_models = catalogue.planted_models(setting)
    names = [p.name for p in planted_models]
    assert len(set(names)) == len(names)
    assert {p.truth for p in planted_models} == {*TRUTHS, None}


def test_strong_and_hidden_laws_are_as_strong_as_they_say(setting, plain):
    states, a = plain
    sizes = {"strong": (0.15, 0.6), "hidden": (0.007, 0.03)}
    found = alternatives.planted_models(setting, noises=("clean",))
    assert len(found) > 30
    for planted in found:
        if planted.kind in ("first-order motion", "truncated trigonometry"):
            continue  # these are what they are
        low, high = sizes[planted.strength]
        assert low < relative_error(planted.model(*states), a) < high, planted.name


def test_laws_are_no_rigid_bodies_of_any_parameters(setting):
    from discover.blackbox.contract import Answers
    from discover.laws.extensions.terms import joint_terms
    from discover.laws.rigid_body.family import Family
    from discover.laws.rigid_body.fit import fit

    q, v, tau = setting.samples(200)
    family = Family.of(setting.robot, joint_terms(setting.robot))
    for planted in alternatives.planted_models(setting, noises=("clean",)):
        if planted.kind == "first-order motion":
            continue  # inside the family, with bodies that cannot be
        answers = Answers(q=q, v=v, tau=tau, a=planted.model(q, v, tau))
        error = fit(family, answers[:150]).standardised_error(answers[150:])
        assert error > 1e-4, planted.name


def test_hybrids_are_exact_inside_and_something_else_outside(setting):
    from discover.blackbox import sampling

    states = setting.samples(100)
    for planted in hybrids.planted_models(setting):
        if not planted.edges or planted.noise != "clean" or "alternative" in planted.kind:
            continue
        (axis, edge), *_ = planted.edges.items()
        inside = kinematics.aba(setting.robot, *states)
        assert relative_error(planted.model(*states), inside) < 1e-12, planted.name
        far = sampling.shell(
            setting.region, setting.robot, 200, edge + 0.3, edge + 0.6, axis=axis, seed=1
        )
        assert relative_error(planted.model(*far), kinematics.aba(setting.robot, *far)) > 1e-3


def test_noise_is_of_the_size_that_it_says(setting, plain):
    states, a = plain
    noisy = next(p for p in physics.planted_models(setting) if p.kind == "5 % noise")
    assert relative_error(noisy.model(*states), a) == pytest.approx(0.05, rel=0.2)
    assert not torch.equal(noisy.model(*states), noisy.model(*states))


def test_tables_are_good_inside_and_know_nothing_outside(setting):
    from discover.blackbox import sampling

    far = sampling.shell(setting.region, setting.robot, 100, 2.9, 3.0, seed=1)
    truth = kinematics.aba(setting.robot, *far)
    for planted in tables.planted_models(setting):
        if planted.kind in ("nearest neighbour", "table of H and bias", "local splines"):
            assert relative_error(planted.model(*far), truth) > 0.3, planted.name


def test_truncated_trigonometry_converges_to_the_robot(setting, plain):
    from discover.calibration.planted.alternatives import with_truncated_trigonometry

    states, a = plain
    errors = [
        relative_error(with_truncated_trigonometry(setting.robot, n)(*states), a)
        for n in (1, 3, 5, 15)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9
