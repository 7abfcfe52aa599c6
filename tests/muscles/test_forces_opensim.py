"""The four families against OpenSim's own muscles; run where opensim is installed."""

import math

import numpy as np
import pytest
import torch

from kinematics.muscles.activation import FirstOrderActivation, SmoothActivation
from kinematics.muscles.exponentials import DeGrooteFreglyCurves, ThelenCurves
from kinematics.muscles.millard import MillardCurves
from kinematics.muscles.tendon import HillForces

pytestmark = pytest.mark.slow

F0, OPTIMAL, SLACK, ALPHA = 812.0, 0.11, 0.17, 0.35
LEAST_SINE = math.sqrt(1 - 0.1**2)  # OpenSim's largest pennation is acos(.1)


@pytest.fixture(scope="module")
def osim():
    module = pytest.importorskip("opensim", reason="needs the opensim wheel")
    module.Logger.setLevelString("Off")
    return module


def built(osim, muscle):
    """A block on a slider, pulled by the muscle; the state and its coordinate."""
    model = osim.Model()
    block = osim.Body("block", 1.0, osim.Vec3(0), osim.Inertia(1))
    joint = osim.SliderJoint("slide", model.getGround(), block)
    joint.updCoordinate().setName("x")
    model.addBody(block)
    model.addJoint(joint)
    muscle.setName("m")
    muscle.setMaxIsometricForce(F0)
    muscle.setOptimalFiberLength(OPTIMAL)
    muscle.setTendonSlackLength(SLACK)
    muscle.setPennationAngleAtOptimalFiberLength(ALPHA)
    muscle.addNewPathPoint("a", model.getGround(), osim.Vec3(0))
    muscle.addNewPathPoint("b", block, osim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    return model, state, model.getCoordinateSet().get("x")


def states(n, seed):
    rng = np.random.default_rng(seed)
    along = OPTIMAL * rng.uniform(0.5, 1.55, n)
    length = SLACK + along
    rate = rng.uniform(-1.3, 1.3, n) * 10 * OPTIMAL
    return length, rate, rng.uniform(0.02, 1, n)


def posed(osim, model, state, coordinate, muscle, length, rate, activation):
    coordinate.setValue(state, length, False)
    coordinate.setSpeedValue(state, rate)
    muscle = model.getMuscles().get("m")
    muscle.setActivation(state, activation)
    return muscle


def column(x):
    return torch.tensor(x, dtype=torch.float64)[:, None]


def common(curves, dynamics, **more):
    return HillForces.of(
        curves, dynamics, strength=F0, optimal=OPTIMAL, slack=SLACK, pennation=ALPHA, **more
    )


@pytest.mark.parametrize("family", ["Millard", "De Groote–Fregly"])
def test_rigid_tendons_pull_as_opensims(osim, family) -> None:
    if family == "Millard":
        muscle, curves = osim.Millard2012EquilibriumMuscle(), MillardCurves.of()
        ours = common(curves, FirstOrderActivation.of(), damping=0.1, shortest=0.4441 * OPTIMAL)
    else:
        muscle, curves = osim.DeGrooteFregly2016Muscle(), DeGrooteFreglyCurves.of()
        muscle.set_fiber_damping(0.03)
        ours = common(curves, SmoothActivation.of(), damping=0.03)
    muscle.set_ignore_tendon_compliance(True)
    model, state, coordinate = built(osim, muscle)
    length, rate, act = states(400, 0)
    theirs = []
    for x in zip(length, rate, act, strict=True):
        m = posed(osim, model, state, coordinate, muscle, *x)
        model.realizeDynamics(state)
        theirs.append(m.getTendonForce(state))
    force = ours.force(column(length), column(rate), column(act))[:, 0]
    assert np.abs(force.numpy() - theirs).max() < 1e-6 * F0
    assert np.std(theirs) > 0.3 * F0


def test_millards_elastic_tendon_is_opensims(osim) -> None:
    muscle = osim.Millard2012EquilibriumMuscle()
    model, state, coordinate = built(osim, muscle)
    ours = common(
        MillardCurves.of(), FirstOrderActivation.of(), shortest=0.4441 * OPTIMAL, compliant=True
    )
    compare_elastic(osim, model, state, coordinate, muscle, ours, "fiber_length")


def test_thelens_elastic_tendon_is_opensims(osim) -> None:
    muscle = osim.Thelen2003Muscle()
    model, state, coordinate = built(osim, muscle)
    ours = common(
        ThelenCurves.of(), FirstOrderActivation.of(0.015, 0.05), damping=0, least=0.01,
        shortest=OPTIMAL * math.sin(ALPHA) / LEAST_SINE, compliant=True,
    )  # fmt: skip
    compare_elastic(osim, model, state, coordinate, muscle, ours, "fiber_length")


def compare_elastic(osim, model, state, coordinate, muscle, ours, name) -> None:
    rng = np.random.default_rng(1)
    length, rate, act = states(400, 2)
    # tendons from slack to 1.3 F0 strong
    tendon = SLACK * (1 + rng.uniform(-0.01, 0.055, len(length)))
    fibre = np.sqrt((length - tendon) ** 2 + (OPTIMAL * math.sin(ALPHA)) ** 2)
    u = rng.uniform(0.02, 1, len(length))
    tension, speed, follow = [], [], []
    for *x, own, e in zip(length, rate, act, fibre, u, strict=True):
        m = posed(osim, model, state, coordinate, muscle, *x)
        m.setStateVariableValue(state, f"/forceset/m/{name}", own)
        model.realizeVelocity(state)
        controls = model.updControls(state)
        m.setControls(osim.Vector(1, e), controls)
        model.setControls(state, controls)
        model.realizeAcceleration(state)
        tension.append(m.getTendonForce(state))
        speed.append(m.getFiberVelocity(state))
        follow.append(m.getStateVariableDerivativeValue(state, "/forceset/m/activation"))
    args = column(length), column(rate), column(act)
    force = ours.force(*args, column(fibre))[:, 0].numpy()
    assert np.abs(force - tension).max() < 1e-6 * F0
    ours_speed = ours.fibre_rate(*args, column(fibre))[:, 0].numpy()
    scale = np.maximum(np.abs(speed), 10 * OPTIMAL)
    assert (np.abs(ours_speed - speed) / scale).max() < 1e-6
    assert np.std(speed) > 0.1
    rates = ours.activation_rate(column(u), column(act))[:, 0].numpy()
    assert np.abs(rates - follow).max() < 1e-9


def test_de_groote_freglys_elastic_tendon_is_opensims(osim) -> None:
    muscle = osim.DeGrooteFregly2016Muscle()
    muscle.set_ignore_tendon_compliance(False)
    muscle.set_activation_dynamics_smoothing(10)
    model, state, coordinate = built(osim, muscle)
    ours = common(DeGrooteFreglyCurves.of(), SmoothActivation.of(), damping=0, compliant=True)
    length, rate, act = states(300, 3)
    wanted = np.random.default_rng(4).uniform(0.05, 1.4, len(length))
    u = np.random.default_rng(5).uniform(0.02, 1, len(length))
    speed, fibre, follow = [], [], []
    for *x, force, e in zip(length, rate, act, wanted, u, strict=True):
        m = posed(osim, model, state, coordinate, muscle, *x)
        m.setStateVariableValue(state, "/forceset/m/normalized_tendon_force", force)
        model.realizeVelocity(state)
        controls = model.updControls(state)
        m.setControls(osim.Vector(1, e), controls)
        model.setControls(state, controls)
        model.realizeAcceleration(state)
        fibre.append(m.getFiberLength(state))
        speed.append(m.getFiberVelocity(state))
        follow.append(m.getStateVariableDerivativeValue(state, "/forceset/m/activation"))
    args = column(length), column(rate), column(act), column(np.array(fibre))
    assert np.abs(ours.force(*args)[:, 0].numpy() / F0 - wanted).max() < 1e-9
    ours_speed = ours.fibre_rate(*args)[:, 0].numpy()
    scale = np.maximum(np.abs(speed), 10 * OPTIMAL)
    assert (np.abs(ours_speed - speed) / scale).max() < 1e-6
    rates = ours.activation_rate(column(u), column(act))[:, 0].numpy()
    assert np.abs(rates - follow).max() < 1e-9
