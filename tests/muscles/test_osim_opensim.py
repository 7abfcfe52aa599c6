"""OpenSim files against OpenSim itself: mass matrices, lengths, accelerations of arm26."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import kinematics
from kinematics.loading import robots_folder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EXACT = ["TRIlat", "TRImed", "BICshort", "BRA"]  # the others pass over what a path cannot express


@pytest.fixture(scope="module")
def arm():
    osim = pytest.importorskip("opensim", reason="needs the opensim wheel")
    osim.Logger.setLevelString("Off")
    model = osim.Model(str(robots_folder() / "arm26" / "arm26.osim"))
    return osim, model, model.initSystem(), kinematics.load("arm26")


def samples(robot, n):
    rng = np.random.default_rng(0)
    low, high = robot.lower.numpy(), robot.upper.numpy()
    q = low + (high - low) * rng.uniform(size=(n, robot.nv))
    return q, rng.uniform(-3, 3, (n, robot.nv)), rng


def pose(model, state, robot, q, v):
    coordinates = model.getCoordinateSet()
    for name, x, dx in zip(robot.joint_names, q, v, strict=True):
        coordinates.get(name).setValue(state, x, False)
        coordinates.get(name).setSpeedValue(state, dx)


def test_lengths_and_rates(arm) -> None:
    _, model, state, robot = arm
    q, v, _ = samples(robot, 300)
    lengths, rates = [], []
    for qi, vi in zip(q, v, strict=True):
        pose(model, state, robot, qi, vi)
        model.realizeVelocity(state)
        theirs = [model.getMuscles().get(name) for name in EXACT]
        lengths.append([m.getLength(state) for m in theirs])
        rates.append([m.getLengtheningSpeed(state) for m in theirs])
    at = [robot.muscles.names.index(name) for name in EXACT]
    off = np.abs(kinematics.muscle_lengths(robot, q).numpy()[:, at] - lengths)
    assert off.max() < 3e-5  # on the cylinder, where OpenSim's path is approximate
    assert np.median(off) < 1e-14
    ours = -(kinematics.moment_arms(robot, q).numpy()[:, at] @ v[..., None])[..., 0]
    assert np.median(np.abs(ours - rates)) < 1e-12


def test_accelerations_with_elastic_tendons(arm) -> None:
    """Whole accelerations and fibre rates, with the two muscles that we cannot follow switched off
    on both sides, where no path lies on the cylinder: OpenSim's wrapped lengths are approximate,
    and a micrometre on these tendons is newtons."""
    osim, model, _, robot = arm
    for i in range(model.getMuscles().getSize()):
        muscle = model.getMuscles().get(i)
        muscle.set_appliesForce(muscle.getName() in EXACT)
    state = model.initSystem()
    muscles = [model.getMuscles().get(name) for name in EXACT]
    at = [robot.muscles.names.index(name) for name in EXACT]
    q, v, rng = samples(robot, 300)
    a, u = rng.uniform(0.05, 1, (2, len(q), 6))
    law = robot.muscles.forces
    lengths = kinematics.muscle_lengths(robot, q)
    fibre = law.equilibrium(lengths, torch.tensor(a)).numpy()
    fibre = fibre * rng.uniform(0.995, 1.005, fibre.shape)
    theirs, fibre_rates, same = [], [], []
    for k in range(len(q)):
        pose(model, state, robot, q[k], v[k])
        for i, muscle in zip(at, muscles, strict=True):
            muscle.setActivation(state, a[k, i])
            path = f"{muscle.getAbsolutePathString()}/fiber_length"
            muscle.setStateVariableValue(state, path, fibre[k, i])
        model.realizeVelocity(state)
        controls = model.updControls(state)
        for i, muscle in zip(at, muscles, strict=True):
            muscle.setControls(osim.Vector(1, u[k, i]), controls)
        model.setControls(state, controls)
        model.realizeAcceleration(state)
        udot = state.getUDot()
        theirs.append([udot.get(i) for i in range(udot.size())])
        fibre_rates.append([muscle.getFiberVelocity(state) for muscle in muscles])
        theirs_long = [muscle.getLength(state) for muscle in muscles]
        same.append(np.abs(lengths[k, at].numpy() - theirs_long).max() < 1e-13)
    strength = torch.zeros(6, dtype=torch.float64)
    strength[at] = law.strength[at]
    off = replace(robot.muscles, forces=replace(law, strength=strength))
    ours, rates = kinematics.forward(
        robot.replace(muscles=off), q, v, u, np.concatenate((a, fibre), -1)
    )
    assert sum(same) > 30
    wrong = np.abs(ours.numpy() - theirs)[same]
    assert wrong.max() < 1e-7 * np.abs(theirs)[same].max()
    drift = np.abs(rates.numpy()[:, 6:][:, at] - fibre_rates)[same]
    assert drift.max() < 1e-7


def varied(text: str) -> str:
    """arm26 whose TRIlat's first point moves with the elbow, and whose BRA has its first point in
    a range only; nothing else pulls."""
    knots = "<x>-0.5 0.3 0.9 1.4 2.0</x><y>-0.02 -0.01 0.005 0.0 0.03</y>"
    still = "<Constant><value>-0.1</value></Constant>"
    elbow = "/jointset/r_elbow/r_elbow_flex"
    root = ElementTree.fromstring(text)
    for muscle in root.iter("Thelen2003Muscle"):
        wraps = muscle.find("GeometryPath/PathWrapSet/objects")
        for wrap in list(wraps):
            wraps.remove(wrap)
        points = muscle.find("GeometryPath/PathPointSet/objects")
        if muscle.get("name") == "TRIlat":
            points[0].tag = "MovingPathPoint"
            points[0].remove(points[0].find("location"))
            for axis, function in (
                ("x", f"<SimmSpline>{knots}</SimmSpline>"),
                ("y", still),
                ("z", f"<NaturalCubicSpline>{knots}</NaturalCubicSpline>"),
            ):
                said = f"<{axis}_location>{function}</{axis}_location>"
                points[0].append(ElementTree.fromstring(said))
                socket = f"<socket_{axis}_coordinate>{elbow}</socket_{axis}_coordinate>"
                points[0].append(ElementTree.fromstring(socket))  # fmt: skip
        if muscle.get("name") == "BRA":
            points[0].tag = "ConditionalPathPoint"
            points.insert(0, ElementTree.fromstring(ElementTree.tostring(points[1])))
            points[1].append(ElementTree.fromstring("<range>0.4 1.5</range>"))
            points[1].append(
                ElementTree.fromstring(f"<socket_coordinate>{elbow}</socket_coordinate>")
            )
            points[0].set("name", "first")
            points[0].find("location").text = "0.03 -0.1 0.02"
    return ElementTree.tostring(root, encoding="unicode")


def test_points_that_vary(tmp_path) -> None:
    osim = pytest.importorskip("opensim", reason="needs the opensim wheel")
    osim.Logger.setLevelString("Off")
    file = tmp_path / "arm.osim"
    file.write_text(varied((robots_folder() / "arm26" / "arm26.osim").read_text()))
    robot, model = kinematics.load(str(file)), osim.Model(str(file))
    state = model.initSystem()
    assert len(robot.muscles.paths.varying.motions) == 2
    q, v, _ = samples(robot, 100)
    lengths, rates = [], []
    for qi, vi in zip(q, v, strict=True):
        pose(model, state, robot, qi, vi)
        model.realizeVelocity(state)
        theirs = [model.getMuscles().get(name) for name in robot.muscles.names]
        lengths.append([m.getLength(state) for m in theirs])
        rates.append([m.getLengtheningSpeed(state) for m in theirs])
    assert np.abs(kinematics.muscle_lengths(robot, q).numpy() - lengths).max() < 1e-12
    assert np.abs(kinematics.muscle_rates(robot, q, v).numpy() - rates).max() < 1e-12
