"""A table behind an exact structure is no alternative law, and one table of a joint no table."""

import pytest
import torch

import discover
import kinematics
from discover.zoo import alternatives, hybrids, physics, tables
from discover.zoo.planted import Setting

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
GRAIN = "grain of what is left over"


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


@pytest.fixture(scope="module")
def setting(pendulum):
    return Setting(robot=pendulum, region=REGION.resolve(2))


def values(exam):
    return {e.name: e.value for e in exam.evidence}


def gimbal():
    """Two crossed axes through one point, light and without weight: its inertia hardly changes, so
    that a table of it, without speed products, is nearly the law of constant inertia."""
    link = (
        '<link name="{n}"><inertial><mass value="1"/><origin xyz="0 0 0"/>'
        '<inertia ixx="{x}" iyy="{y}" izz="{z}" ixy="0" ixz="0" iyz="0"/></inertial></link>'
    )
    joint = (
        '<joint name="{n}" type="continuous"><parent link="{p}"/><child link="{c}"/>'
        '<axis xyz="{a}"/></joint>'
    )
    text = (
        '<link name="base"/>'
        + link.format(n="outer", x=0.02, y=0.02, z=0.03)
        + link.format(n="inner", x=0.02, y=0.01, z=0.012)
        + joint.format(n="pan", p="base", c="outer", a="0 0 1")
        + joint.format(n="tilt", p="outer", c="inner", a="1 0 0")
    )
    return kinematics.load(f'<robot name="gimbal">{text}</robot>')


@pytest.mark.slow
def test_a_table_that_a_law_nearly_describes_is_not_called_that_law():
    robot = gimbal()
    region = discover.Region(q=0.8, v=3.0, tau=0.3).resolve(2)
    model = tables.StructuredTable(Setting(robot=robot, region=region))
    exam = discover.examine(model, robot, region)
    assert exam.verdict in ("lookup table", "undetermined")
    assert values(exam).get(GRAIN, 1.0) > 0.2


def test_grain_is_told_from_noise_and_from_what_is_smooth(pendulum, setting):
    """Asked of the right law, beside a remembered, a smooth and a noisy departure of one size."""
    from discover.dynamics import Respondent
    from discover.interview import BUDGETS, Interview
    from discover.laws.family import Family
    from discover.laws.fit import fit
    from discover.probes import grain, noise
    from discover.support import Box

    exact = physics.simulator(pendulum)
    size = 0.02 * exact(*setting.samples(256)).square().mean(0).sqrt()
    jitter = torch.Generator().manual_seed(1)

    def remembered(q, v, tau):
        return torch.sin(5 * torch.floor(40 * q) + torch.floor(40 * v)) * size

    def smooth(q, v, tau):
        return torch.sin(3 * q + v.flip(-1)) * size

    def noisy(q, v, tau):
        return torch.randn(v.shape, generator=jitter, dtype=v.dtype) * size

    told = []
    for extra in (remembered, smooth, noisy):
        respondent = Respondent(lambda *x, e=extra: exact(*x) + e(*x), 2, 2)
        interview = Interview(
            respondent=respondent,
            robot=pendulum,
            support=Box(robot=pendulum, region=setting.region),
            budget=BUDGETS["standard"],
            seed=0,
        )
        law = fit(Family.of(pendulum), interview.inside("inside", 120))
        held = interview.inside("held out", 60)
        told.append(grain.share(interview, law, noise.measure(interview, held, law.scale), held))
    assert told[0] > 0.5
    assert told[1] < 0.05
    assert told[2] < 0.05


@pytest.mark.slow
def test_a_law_that_is_not_met_exactly_leaves_something_smooth(pendulum, setting):
    planted = next(
        p for p in alternatives.zoo(setting) if p.name == "drag of power 2, 1 % bias and noise"
    )
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "alternative law"
    assert values(exam)[GRAIN] < 0.1


@pytest.mark.slow
def test_one_joint_from_a_table_makes_no_table(pendulum, setting):
    planted = next(p for p in hybrids.zoo(setting) if p.kind == "table of one joint")
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "undetermined"
    assert any(n.startswith("All joints but joint 2 follow one law") for n in exam.notes)
