"""A table behind an exact structure is no alternative law, and one table of a joint no table."""

import pytest
import torch

import discover
import kinematics
from discover.calibration.planted import alternatives, hybrids, physics, tables
from discover.calibration.planted.catalogue import folder_of_descriptions, settings
from discover.calibration.planted.contract import Setting

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
GRAIN = "local roughness of the residual"


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


@pytest.fixture(scope="module")
def setting(pendulum):
    return Setting(robot=pendulum, region=REGION.resolve(2))


def values(exam):
    return {e.name: e.value for e in exam.evidence}


@pytest.mark.slow
def test_a_table_that_a_law_nearly_describes_is_not_called_that_law():
    """Two joints whose inertia hardly changes: a table of it, without speed products, is nearly
    the law of bodies without them."""
    setting = settings(folder_of_descriptions("installed"))["TwoDofs"]()
    exam = discover.examine(tables.StructuredTable(setting), setting.robot, setting.region)
    assert exam.verdict in ("lookup table", "undetermined")
    assert values(exam)[GRAIN] > 0.1


def test_grain_is_told_from_noise_and_from_what_is_smooth(pendulum, setting):
    """Asked of the right law, beside a remembered, a smooth and a noisy departure of one size."""
    from discover.blackbox.contract import BlackBox
    from discover.blackbox.session import BUDGETS, QuerySession
    from discover.blackbox.support import Box
    from discover.laws.rigid_body.family import Family
    from discover.laws.rigid_body.fit import fit
    from discover.probes import ROUGHNESS, Subject, measured, noise

    exact = physics.simulator(pendulum)
    size = 0.02 * exact(*setting.samples(256)).square().mean(0).sqrt()
    jitter = torch.Generator().manual_seed(1)

    def remembered(q, v, tau):
        return torch.sin(5 * torch.floor(80 * q) + torch.floor(80 * v)) * size

    def smooth(q, v, tau):
        return torch.sin(3 * q + v.flip(-1)) * size

    def noisy(q, v, tau):
        return torch.randn(v.shape, generator=jitter, dtype=v.dtype) * size

    told = []
    for extra in (remembered, smooth, noisy):
        blackbox = BlackBox(lambda *x, e=extra: exact(*x) + e(*x), 2, 2)
        session = QuerySession(
            blackbox=blackbox,
            robot=pendulum,
            support=Box(robot=pendulum, region=setting.region),
            budget=BUDGETS["standard"],
            seed=0,
        )
        law = fit(Family.of(pendulum), session.inside("inside", 120))
        held = session.inside("held out", 60)
        floor = noise.measure(session, held, law.scale)
        subject = Subject(session=session, noise=floor, law=law, held_out=held)
        told.append(measured(ROUGHNESS, subject)[GRAIN])
    assert told[0] > 0.5
    assert told[1] < 0.05
    assert told[2] < 0.05


@pytest.mark.slow
def test_a_law_that_is_not_met_exactly_leaves_something_smooth(pendulum, setting):
    planted = next(
        p
        for p in alternatives.planted_models(setting)
        if p.name == "drag of power 2, 1 % bias and noise"
    )
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "alternative law"
    assert values(exam)[GRAIN] < 0.1


@pytest.mark.slow
def test_one_joint_from_a_table_makes_no_table(pendulum, setting):
    planted = next(p for p in hybrids.planted_models(setting) if p.kind == "table of one joint")
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "undetermined"
    assert any(n.startswith("All joints but joint 2 follow one law") for n in exam.notes)
