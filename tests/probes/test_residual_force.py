"""The structure of a planted force, read from answers: joints, variables, parity, powers."""

import pytest
import torch

import kinematics
from discover import Region
from discover.blackbox.contract import BlackBox
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box
from discover.laws import RigidBodyLaw
from discover.probes import residual_force as leftover_force
from tests.bench.laws.planting import PlantedLaw, plant

REGION = Region(q=1.0, v=2.0, tau=5.0)


def seen(shape, kind="force"):
    robot = kinematics.load("double_pendulum")
    model = plant(robot, PlantedLaw("x", kind, shape), REGION)
    session = QuerySession(
        blackbox=BlackBox(model, 2, 2), robot=robot, budget=BUDGETS["quick"], seed=0,
        support=Box(robot=robot, region=REGION.resolve(2)),
    )  # fmt: skip
    return leftover_force.measure(RigidBodyLaw(robot=robot, size=7), session)


def on_first(x):
    return torch.stack([x, torch.zeros_like(x)], -1)


def words(found):
    return {w for w, share in found.depends.items() if share > 0.02}


def test_a_drag_of_power_three_halves():
    found = seen(lambda q, v, H: on_first(v[:, 0].sign() * v[:, 0].abs() ** 1.5))
    assert words(found) == {"v1"}
    assert found.acts[0] > 0.999
    assert found.odd > 0.999
    assert found.powers == {"v": pytest.approx(1.5, abs=1e-6)}
    assert found.scalar == "v1"
    assert "odd in v" in found.sentence


def test_products_and_sums_of_functions_are_told_apart():
    product = seen(lambda q, v, H: on_first(v[:, 0] * torch.exp(q[:, 1])))
    assert words(product) == {"v1", "q2"}
    assert product.rank_one > 1 - 1e-9 > product.additive
    total = seen(lambda q, v, H: on_first(v[:, 0] + torch.exp(q[:, 1])))
    assert total.additive > 1 - 1e-9 > total.rank_one


def test_a_force_by_energy_follows_the_energy():
    def by_energy(q, v, H):
        T = 0.5 * (v * (H @ v.unsqueeze(-1))[..., 0]).sum(-1, keepdim=True)
        return T.expand_as(v)

    found = seen(by_energy)
    assert found.scalar == "kinetic energy"
    assert found.r_squared > 0.9


@pytest.mark.parametrize(("noise", "lost"), [(0.02, False), (1.0, True)])
def test_a_force_as_small_as_the_noise_is_not_described(noise, lost):
    robot = kinematics.load("double_pendulum")
    model = plant(robot, PlantedLaw("x", "force", lambda q, v, H: on_first(v[:, 0] ** 3)), REGION)
    generator = torch.Generator().manual_seed(0)
    sigma = torch.full((2,), noise, dtype=torch.float64)

    def noisy(q, v, tau):
        a = model(q, v, tau)
        return a + sigma * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    session = QuerySession(
        blackbox=BlackBox(noisy, 2, 2), robot=robot, budget=BUDGETS["quick"], seed=0,
        support=Box(robot=robot, region=REGION.resolve(2)),
    )  # fmt: skip
    assert leftover_force.hidden_by_noise(RigidBodyLaw(robot=robot, size=7), session, sigma) is lost
