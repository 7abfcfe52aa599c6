"""What could have been seen: laws larger than the stated resolution are found, far smaller not."""

import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import sample, shell
from discover.examination import resolution as power
from discover.laws.extensions.terms import library
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit, spread
from discover.laws.search.selection import description_length, refit
from discover.probes.noise import NoiseFloor

NOISE = 0.02


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


REGION = discover.Region(q=1.0, v=2.0, tau=5.0).resolve(2)


def answered(robot, batch, scale, force, seed, noise):
    q, v, tau = batch
    a = kinematics.aba(robot, q, v, tau - force(q, v))
    generator = torch.Generator().manual_seed(seed)
    return Answers(
        q=q,
        v=v,
        tau=tau,
        a=a + noise * scale * torch.randn(a.shape, generator=generator, dtype=a.dtype),
    )


def asked(robot, force, noise=NOISE):
    """(fitting answers, sets, scale) of a model with a planted force."""
    inside = sample(REGION, robot, 200, 1)
    scale = kinematics.aba(robot, *inside).square().mean(0).sqrt()
    near = shell(REGION, robot, 120, 1.0, 2.0, axis="joint", seed=2)
    held, tested = sample(REGION, robot, 90, 3), shell(REGION, robot, 90, 1.0, 2.0, "joint", 4)
    far = [shell(REGION, robot, 60, 2.0, 3.0, axis=x, seed=5) for x in ("joint", "q", "v", "tau")]
    one = [answered(robot, b, scale, force, k, noise) for k, b in enumerate([inside, near])]
    two = [answered(robot, b, scale, force, 9 + k, noise) for k, b in enumerate([held, tested])]
    sets = power.Sets(
        inside=two[0],
        tested=Answers.concat(two),
        far=[answered(robot, b, scale, force, 20 + k, noise) for k, b in enumerate(far)],
    )
    return Answers.concat(one), sets, scale


def seen(robot, noise=NOISE):
    answers, sets, scale = asked(robot, lambda q, v: torch.zeros_like(v), noise)
    law = fit(Family.of(robot), answers, scale=spread(answers))
    floor = NoiseFloor(random=noise, rounding=0.0, sigma=noise * scale)
    return power.resolution(law, sets, REGION, floor, gain=2.5, blur=noise / 5, seed=0)


def test_less_noise_shows_more(pendulum):
    coarse, fine, exact = (seen(pendulum, noise) for noise in (0.05, 0.005, 0.0))
    assert coarse.region > 5 * fine.region > 0
    assert exact.region < 1e-9
    assert coarse.far > 5 * fine.far


@pytest.mark.parametrize(("times", "found"), [(4.0, True), (0.05, False)])
def test_the_selection_sees_what_is_larger_than_the_resolution(pendulum, times, found):
    stated = seen(pendulum).region

    def force(size):
        return lambda q, v: size * torch.stack([torch.zeros_like(v[:, 0]), v[:, 0]], -1)

    def departure(size):
        answers, sets, _ = asked(pendulum, force(size), noise=0.0)
        return fit(Family.of(pendulum), answers).standardised_error(sets.inside)

    size = times * stated / departure(1e-3) * 1e-3
    answers, sets, _ = asked(pendulum, force(size))
    plain = fit(Family.of(pendulum), answers)
    terms = library(pendulum)
    right = next(t for t in terms if t.name == "force from the speed of joint 1, joint 2")
    more = refit(plain, answers, [right])
    gained = description_length(plain, sets.tested, 1e-10, len(terms)) - description_length(
        more, sets.tested, 1e-10, len(terms)
    )
    assert (gained > 0) == found
