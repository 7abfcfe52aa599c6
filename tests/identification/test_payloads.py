"""Payloads in some of the logs: told, they are found; untold, they are noticed; known, they settle
the unit of the torques."""

import re

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.cli.identify import loads
from discover.data.logs import Log
from discover.data.motions import smooth
from discover.data.settings import Smoothing
from discover.errors import DatasetError
from discover.identification.payloads.carried import LoadedBodies, carried_by
from discover.identification.samples import gather
from kinematics.robot.inertial_parameters import about_origin

TOOL = about_origin(1.5, np.array([0.04, 0.0, 0.03]), np.diag([0.004, 0.005, 0.006]))


def carrying(robot, parameters):
    pi = robot.pi.clone()
    pi[-1] += torch.from_numpy(parameters)
    return robot.replace(pi=pi)


@pytest.fixture(scope="module")
def arm():
    described = kinematics.load("planar_3r")
    true = described.replace(
        pi=described.pi * torch.tensor([[1.2], [0.85], [1.1]]),
        damping=torch.tensor([0.4, 0.2, 0.1]),
        friction=torch.tensor([0.6, 0.5, 0.2]),
        armature=torch.tensor([0.0, 0.03, 0.02]),
        friction_speed=0.005,
    )
    return described, true


@pytest.fixture(scope="module")
def mixed(arm, record):
    """Two bare logs and two with the tool."""
    generator = np.random.default_rng(2)
    bare = [record(arm[1], generator, f"bare_{k}.csv") for k in range(2)]
    true = carrying(arm[1], TOOL)
    return [*bare, *(record(true, generator, f"loaded_{k}.csv") for k in range(2))]


@pytest.fixture(scope="module")
def found(arm, mixed):
    return discover.identify(mixed, arm[0], payload={"tool": "loaded_*"}, delay=0.0)


def test_the_tool_is_weighed(found):
    (tool,) = found.payloads
    assert (tool.label, tool.link) == ("tool", "link3")
    assert abs(tool.mass - 1.5) < 2 * tool.errors[0] < 0.1
    for k in (1, 3):  # the arm moves about y
        assert abs(tool.values[k] - TOOL[k]) < 3 * tool.errors[k]
    assert tool.shown[0]
    assert np.isnan(tool.values[2])  # no motion in a plane shows how far out of it a mass is


def test_it_is_checked_where_nothing_was_fitted(found):
    (tool,) = found.payloads
    assert tool.held_out < 0.05 < 0.2 < tool.without


def test_the_arm_itself_stays_bare(found, arm):
    base = kinematics.base_parameters(arm[1])
    truth = base.matrix.numpy() @ arm[1].pi.flatten().numpy()
    of_arm = found.parameters[: len(truth)]
    z = [(p.value - x) / p.error for p, x in zip(of_arm, truth, strict=True)]
    assert np.abs(z).max() < 4
    assert found.parameters[len(truth)].name == "m[tool]"
    assert found.shown_by_logs.matrix.shape == (len(truth),) * 2


def test_it_is_told_saved_and_read_back(found, tmp_path):
    found.save(tmp_path)
    again = discover.Identification.load(tmp_path)
    assert again.payloads[0].mass == found.payloads[0].mass
    report = (tmp_path / "report.md").read_text()
    assert "## Payload: tool" in report
    assert "weighs 1.5" in report or "weighs 1.4" in report


def test_untold_the_logs_are_named(arm, mixed):
    blind = discover.identify(mixed, arm[0], delay=0.0, select=False)
    assert blind.payloads == ()
    clear = [d for d in blind.unexplained if d.clear]
    assert clear[0].quantity.startswith("load in ")
    (note,) = [x for x in blind.notes if "payload" in x]
    beside, more = note.split("the residual of ")
    assert ("bare_0.csv" in beside, "bare_1.csv" in beside) == (True, True)
    assert more.startswith("loaded_0.csv, loaded_1.csv is that of a body on link3")
    said = re.search(r"weighs about ([\d.]+) kg more", note)
    assert float(said[1]) == pytest.approx(1.5, rel=0.15)


def test_logs_of_one_load_are_not_suspected(arm, record):
    generator = np.random.default_rng(4)
    same = [record(arm[1], generator, f"{k}") for k in range(3)]
    blind = discover.identify(same, arm[0], delay=0.0, select=False)
    assert not [d for d in blind.unexplained if d.clear and "load in" in d.quantity]
    assert not [x for x in blind.notes if "payload" in x]


@pytest.mark.slow
def test_a_known_mass_settles_the_unit_where_the_description_is_wrong(arm, mixed):
    volts = np.array([0.5, 0.2, 0.1])  # N·m a unit
    logs = [
        Log(name=x.name, sha256="", time=x.time, q=x.q, v=None, tau=x.tau / volts) for x in mixed
    ]
    heavy = arm[0].replace(pi=2 * arm[0].pi)  # all bodies twice as heavy as they are said to be
    told = {"tool": {"logs": "loaded_*", "mass": 1.5}}
    options = {"torque_unit": "unknown", "delay": 0.0, "select": False}
    found = discover.identify(logs, heavy, payload=told, **options)
    assert found.torque_scale.factor == pytest.approx(volts, rel=0.05)
    assert np.all(np.abs(found.torque_scale.factor - volts) < 4 * found.torque_scale.error)
    assert "known mass of tool" in found.torque_scale.settled_by
    by_description = discover.identify(logs, heavy, payload={"tool": "loaded_*"}, **options)
    assert by_description.torque_scale.factor == pytest.approx(2 * volts, rel=0.35)


class TestNames:
    """What a lab may write."""

    def logs(self):
        def log(path):
            zeros = np.zeros((9, 3))
            return Log(name=path.split("/")[-1], sha256="", time=np.arange(9.0), q=zeros, v=None,
                       tau=zeros, path=path)  # fmt: skip

        return [log("data/bare/1.csv"), log("data/loaded/2.csv"), log("data/loaded/3.csv")]

    @pytest.mark.parametrize("given", ["loaded", "loaded/*", ["2.csv", "3"], "data/loaded/*.csv"])
    def test_patterns_and_folders(self, arm, given):
        (load,) = carried_by({"tool": given}, self.logs(), [], arm[0])
        assert load.logs == {"2.csv", "3.csv"}

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"tool": "none"}, "expected a log called 'none'"),
            ({"tool": "*"}, "at least one log of the fit that carried nothing"),
            ({"a": "2*", "b": "loaded"}, "one payload a log"),
            ({"a": {"logs": "2*", "link": "hand"}}, "a moving body of"),
            ({"a": {"logs": "2*", "mas": 1}}, "unknown key"),
            ({"a": {"logs": "2*", "mass": -1.0}}, r"payload\.a\.mass"),
        ],
    )
    def test_refusals_in_a_line(self, arm, given, said):
        with pytest.raises(DatasetError, match=said) as caught:
            carried_by(given, self.logs(), [], arm[0])
        assert "\n" not in str(caught.value)

    def test_held_out_alone_is_no_fit(self, arm):
        with pytest.raises(DatasetError, match="held-out logs only"):
            carried_by({"a": "3*"}, self.logs()[:2], self.logs()[2:], arm[0])

    def test_on_the_command_line(self):
        assert loads(["tool=a.csv", "tool=b*.csv,1.5"]) == {
            "tool": {"logs": ["a.csv", "b*.csv"], "mass": 1.5}
        }


def test_columns_of_a_payload_are_those_of_a_heavier_link(arm, mixed):
    """The regressor with a payload gives the joint forces of the arm that carries it."""

    described = arm[0]
    samples = gather([smooth(x, Smoothing(window=41), described) for x in mixed])
    loads_ = carried_by({"tool": "loaded_*"}, mixed, [], described)
    bodies = LoadedBodies.with_loads(described, loads_)
    pi = np.vstack([bodies.arm.pi, TOOL])
    force = bodies.columns(samples) @ (bodies.matrix @ pi.flatten())
    for names, robot in ((("bare", described)), ("loaded", carrying(described, TOOL))):
        rows = np.array([samples.names[k].startswith(names) for k in samples.log])
        bare = robot.replace(damping=0 * robot.damping, friction=0 * robot.friction)
        true = kinematics.rnea(bare, samples.q, samples.v, samples.a).numpy()
        assert force[rows] == pytest.approx(true[rows], abs=1e-8)
