"""A slider whose weight a counterweight carries: the logs do not tell its mass from an offset or
from a gain of its force, so possible bodies lie far from the fit's own, and so do the loads that
they put on the drive."""

import numpy as np
import pytest
import torch

import kinematics
from discover.data.motions import Motion
from discover.identification.design import Bodies
from discover.identification.drive_terms import drive_terms, every_drive_has
from discover.identification.estimate import estimate, misfit
from discover.identification.possible_bodies import possible_bodies, with_their_loads
from discover.identification.samples import gather
from tests.identification.conftest import periodic

DESCRIBED, MASS, BY_LOAD = 3.0, 1.5, 0.1
LIFT = f"""<robot name="lift"><link name="base"/>
<link name="carriage"><inertial><mass value="{DESCRIBED}"/>
<inertia ixx="0.02" iyy="0.02" izz="0.02" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="lift" type="prismatic"><parent link="base"/><child link="carriage"/>
<axis xyz="0 0 1"/><limit lower="-9" upper="9" effort="100" velocity="10"/></joint></robot>"""


@pytest.fixture(scope="module")
def lift():
    """Samples of the balanced slider, with friction that grows with what its body asks, and a fit
    that has this friction and a gain of the force as well."""
    robot = kinematics.load(LIFT).replace(friction_speed=0.02)
    generator = np.random.default_rng(0)
    motions = []
    for k in range(3):
        time = np.arange(0, 20, 0.02)
        q, v, a = periodic(generator, 1, time)
        load = MASS / DESCRIBED * kinematics.rnea(robot, *map(torch.tensor, (q, v, a))).numpy()
        tau = MASS * a + 0.5 * v + (0.6 + BY_LOAD * np.abs(load)) * np.tanh(v / 0.02)
        tau = tau + 0.02 * tau.std() * generator.normal(size=tau.shape)
        motions.append(Motion(time=time, q=q, v=v, a=a, tau=tau, name=f"log {k}"))
    samples = gather(motions, np.array([0.02]))
    bodies = Bodies.of(robot)
    kinds = ("gain of the torque", "friction by load")
    terms = [x for x in drive_terms(robot, np.ones(1)) if every_drive_has(x) or x.kind in kinds]
    return samples, estimate(samples, bodies, terms, select=False)


def missed(fit, possible, samples):
    """Root mean square of what bodies with the loads that they themselves put on the drive leave,
    as a share of the force."""
    beta = fit.bodies.matrix @ possible.pi.flatten() - fit.bodies.described
    theta = np.concatenate([beta, possible.coefficients])
    size = samples.tau.numpy().std(axis=0) / fit.noise
    return float(np.sqrt(misfit(fit, samples, possible.robot, theta)) / size[0])


def test_bodies_and_their_loads_agree(lift):
    samples, fit = lift
    settled, possible = with_their_loads(fit, samples, None)
    assert possible.solved
    assert missed(settled, possible, samples) < 0.03  # the noise is 2 %


def test_without_turns_they_do_not(lift):
    """The guard of the test above: the fault is there to be found."""
    samples, fit = lift
    assert missed(fit, possible_bodies(fit), samples) > 0.1
