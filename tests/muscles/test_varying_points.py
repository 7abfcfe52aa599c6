"""Points of paths that move with coordinates or come and go: closed forms, identities, SciPy."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

import kinematics
from kinematics.errors import RobotError
from kinematics.muscles.muscles import Muscles
from kinematics.muscles.paths import Path, Paths, Point, Wrap
from kinematics.muscles.strings.piecewise import Curve, Curves, cubic, polynomial, straight
from kinematics.muscles.strings.varying import Motion, Range
from kinematics.programs.muscles import check_muscles
from kinematics.programs.program import ProgramError
from tests.muscles.test_osim import TURN, body, coordinate, joint, line, model, muscle

X = np.array([-1.0, -0.2, 0.1, 0.8, 1.5, 1.7])
Y = np.array([0.3, -0.1, 0.4, 0.2, 0.25, -0.6])


def test_natural_splines_are_scipys_and_go_on_straight() -> None:
    theirs = CubicSpline(X, Y, bc_type="natural")
    curve = cubic(X, Y, ends="natural")
    assert max(abs(curve(x) - theirs(x)) for x in np.linspace(-1, 1.7, 200)) < 1e-14
    for end, out in ((-1.0, -3.0), (1.7, 4.0)):
        assert curve(out) == pytest.approx(theirs(end) + (out - end) * theirs(end, 1), abs=1e-13)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_splines_of_third_derivatives_keep_cubics(n: int) -> None:
    """Through points on a cubic the spline is that cubic, from four knots on; with three a
    parabola, with two a line."""
    x = X[:n]
    exact = np.polynomial.Polynomial([0.3, -1.0, 2.0, 0.7][: min(n, 4)])
    curve = cubic(x, exact(x), ends="third")
    inside = np.linspace(x[0], x[-1], 50)
    assert max(abs(curve(t) - exact(t)) for t in inside) < 1e-13
    assert curve(x[-1] + 1) == pytest.approx(exact(x[-1]) + exact.deriv()(x[-1]), abs=1e-12)


def test_curves_of_all_kinds_share_a_table() -> None:
    kinds = [polynomial([0.5, 0.0, 2.0, -1.0]), straight(X, Y), cubic(X, Y, ends="third")]
    table = Curves.of([*kinds, kinds[1].times(-2.0), polynomial([3.0])])
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None].expand(-1, 5).clone()
    x.requires_grad_()
    value, slope = table.value_and_slope(x)
    table_of, at = value.detach().numpy(), x.detach().numpy()
    for k, curve in enumerate(kinds):
        assert max(abs(table_of[i, k] - curve(at[i, k])) for i in range(41)) < 1e-14
    assert torch.equal(value[:, 3], -2 * value[:, 1])
    assert polynomial([3.0]).constant
    assert not kinds[1].constant
    (by_autograd,) = torch.autograd.grad(value.sum(), x)
    assert float((by_autograd - slope.detach()).abs().max()) < 1e-14


@pytest.fixture(scope="module")
def arm() -> kinematics.Robot:
    """Two hinges; muscles with conditional points in a row, at an end, moving points, a cylinder
    over what bridges them, and a pulley."""
    text = model(
        body("upper") + body("lower"),
        joint("PinJoint", "one", "ground", "upper", coordinate("a"))
        + joint("PinJoint", "two", "upper", "lower", coordinate("b"),
                place="<translation>0.3 0 0</translation><orientation>0.1 0.2 0</orientation>"),
    )  # fmt: skip
    robot = kinematics.load(text)
    low, high = Range(1, -0.5, 0.3), Range(0, 0.1, 2.0)
    carried = (
        Motion(0, (0.1, 0.02, 0.0), cubic(X, Y, ends="third")),
        Motion(1, (0.0, 0.05, 0.03), polynomial([0.1, 0.5, -0.3])),
    )
    rod = Wrap(kind="cylinder", body=1, radius=0.02, centre=(-0.01, 0.0, 0.0))
    ends = Point(-1, (0.0, 0.2, 0.0)), Point(1, (0.2, 0.05, 0.02))
    paths = [
        Path(name="come and go", elements=[
            ends[0], Point(0, (0.1, 0.2, 0.0), present=low), Point(0, (0.2, 0.15, 0.0),
            present=high), rod, ends[1]]),
        Path(name="late", elements=[Point(-1, (0.1, 0.3, 0.0), present=low), *ends]),
        Path(name="moved", elements=[ends[0], Point(0, (0.2, 0.1, 0.0), carried), ends[1]]),
        Path(name="both", elements=[Point(1, (0.1, 0.0, 0.1), carried, high), *ends], scale=0.7),
    ]  # fmt: skip
    return robot.replace(muscles=Muscles.of(Paths.of(paths, rule="geodesic")))


def test_no_straight_line_program_stands_for_points_that_move(arm) -> None:
    forces = SimpleNamespace(nm=arm.muscles.nm, nf=0)
    with pytest.raises(ProgramError, match="points that stand still"):
        check_muscles(Muscles.of(arm.muscles.paths, forces))


def states(n: int) -> torch.Tensor:
    return 4 * torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 2


def test_absent_points_drop_out_of_the_line(arm) -> None:
    q = states(200)
    lengths = kinematics.muscle_lengths(arm, q)[:, 1]
    whole = math.dist((0.1, 0.3, 0), (0, 0.2, 0))
    there = (q[:, 1] >= -0.5) & (q[:, 1] <= 0.3)
    assert 20 < int(there.sum()) < 100
    ends = [Point(-1, (0.0, 0.2, 0.0)), Point(1, (0.2, 0.05, 0.02))]
    alone = Muscles.of(Paths.of([Path(name="x", elements=ends)], rule="geodesic"))
    bare = kinematics.muscle_lengths(arm.replace(muscles=alone), q)[:, 0]
    assert float((lengths - bare - whole * there.double()).abs().max()) < 1e-15


def test_forces_do_the_power_of_moving_points(arm) -> None:
    q = states(100).requires_grad_()
    v, pull = torch.randn(100, 2).double(), torch.rand(100, 4).double()
    lengths = kinematics.muscle_lengths(arm, q)
    (slope,) = torch.autograd.grad((lengths * pull).sum(), q)
    tau = kinematics.muscle_joint_forces(arm, q.detach(), pull)
    assert float((tau + slope).abs().max()) < 1e-13
    rates = kinematics.muscle_rates(arm, q.detach(), v)
    assert float(((tau * v).sum(-1) + (pull * rates).sum(-1)).abs().max()) < 1e-13
    arms = kinematics.moment_arms(arm, q.detach())
    assert float(((arms * pull[..., None]).sum(1) - tau).abs().max()) < 1e-14
    # and the slope is that of the lengths themselves
    step = 1e-6 * torch.eye(2).double()
    for j in range(2):
        up, down = (kinematics.muscle_lengths(arm, q.detach() + s * step[j]) for s in (1, -1))
        smooth = (up - down).abs() < 1e-3  # no point came or went
        assert float(((up - down) / 2e-6 + arms[..., j])[smooth].abs().max()) < 1e-8


def test_a_description_keeps_what_varies(arm) -> None:
    again = kinematics.Robot.from_dict(json.loads(json.dumps(arm.to_dict(), allow_nan=False)))
    q = states(50)
    assert torch.equal(kinematics.muscle_lengths(again, q), kinematics.muscle_lengths(arm, q))
    old = arm.muscles.paths.replace(varying=type(arm.muscles.paths.varying)()).to_dict()
    del old["varying"]
    assert not Paths.from_dict(old).varying.motions


@pytest.mark.parametrize("values", [{"a": 0.4}, {"b": -0.3}, {"b": 1.0}])
def test_locked_joints_leave_points_where_they_are(arm, values) -> None:
    locked = kinematics.lock(arm, values)
    q = states(50)[:, :1]
    assert locked.nv == 1
    full = torch.stack(
        [
            torch.full((50,), values[n], dtype=torch.float64) if n in values else q[:, 0]
            for n in "ab"
        ],
        -1,
    )
    apart = kinematics.muscle_lengths(locked, q) - kinematics.muscle_lengths(arm, full)
    assert float(apart.abs().max()) < 1e-14


def moving(x: str, of: str = "bend") -> str:
    """The muscle of test_osim whose first point moves along x by a function."""
    said = muscle([("/ground", "0 0.8 0"), ("/bodyset/arm", "0.2 0 0")])
    said = said.replace('<PathPoint name="p0">', '<MovingPathPoint name="p0">', 1)
    said = said.replace(
        "<location>0 0.8 0</location></PathPoint>",
        f"<socket_x_coordinate>/jointset/hinge/{of}</socket_x_coordinate><x_location>{x}"
        "</x_location><y_location><Constant><value>0.8</value></Constant></y_location>"
        "</MovingPathPoint>", 1)  # fmt: skip
    return model(body("arm"), TURN, said)


def tag(kind: str, inside: str) -> str:
    return f"<{kind}>{inside}</{kind}>"


KNOTS = "<x>-1 -.2 .1 .8</x><y>.3 -.1 .4 .2</y>"
CUBIC = cubic(X[:4], Y[:4], ends="third")
FUNCTIONS: list[tuple[str, Curve]] = [
    (line(0.2, 0.1), polynomial([0.1, 0.2])),
    (tag("PolynomialFunction", "<coefficients>1 2 3</coefficients>"), polynomial([3.0, 2.0, 1.0])),
    (tag("PiecewiseLinearFunction", KNOTS), straight(X[:4], Y[:4])),
    (tag("NaturalCubicSpline", KNOTS), CUBIC),
    (tag("MultiplierFunction", f"<function>{tag('SimmSpline', KNOTS)}</function><scale>2</scale>"),
     CUBIC.times(2.0)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "curve"), FUNCTIONS)
def test_functions_of_opensim_are_read(said: str, curve: Curve) -> None:
    robot = kinematics.load(moving(said))
    for q in (-0.7, 0.05, 1.6):
        tip = (0.2 * math.cos(q), 0.5 + 0.2 * math.sin(q))
        expected = math.dist((curve(q), 0.8), tip)
        found = float(kinematics.muscle_lengths(robot, torch.tensor([q], dtype=torch.float64)))
        assert found == pytest.approx(expected, abs=1e-14)


def conditional(low: float, high: float) -> str:
    said = muscle([("/ground", "0 0.8 0"), ("/ground", "0.3 0.9 0"), ("/bodyset/arm", "0.2 0 0")])
    old = '<PathPoint name="p1">'
    said = said.replace(old, '<ConditionalPathPoint name="p1">')
    said = said.replace(
        "<location>0.3 0.9 0</location></PathPoint>",
        "<location>0.3 0.9 0</location><socket_coordinate>/jointset/hinge/bend</socket_coordinate>"
        f"<range>{low} {high}</range></ConditionalPathPoint>")  # fmt: skip
    return model(body("arm"), TURN, said)


def test_conditional_points_are_read_with_opensims_slack() -> None:
    robot = kinematics.load(conditional(0.2, 0.5))
    q = torch.tensor([[0.19], [0.2 - 5e-6], [0.3], [0.5 + 5e-6], [0.51]], dtype=torch.float64)
    long = kinematics.muscle_lengths(robot, q)[:, 0] > 0.6
    assert long.tolist() == [False, True, True, True, False]


def test_points_of_a_locked_coordinate_stand_still() -> None:
    fixed = TURN.replace("</Coordinate>", "<locked>true</locked><default_value>.3</default_value>"
                         "</Coordinate>")  # fmt: skip
    for text in (moving(tag("SimmSpline", KNOTS)), conditional(0.2, 0.5), conditional(0.4, 0.5)):
        free = kinematics.load(text)
        bodies = body("arm") + body("hand")
        still = kinematics.load(
            text.replace(TURN, fixed + joint("PinJoint", "wrist", "arm", "hand", coordinate("w")))
            .replace(body("arm"), bodies)
        )  # fmt: skip
        assert not still.muscles.paths.varying.joints()
        expected = kinematics.muscle_lengths(free, torch.tensor([0.3], dtype=torch.float64))
        found = kinematics.muscle_lengths(still, torch.tensor([0.7], dtype=torch.float64))
        assert float((expected - found).abs()) < 1e-14


def test_what_cannot_move_a_point_is_refused_in_one_line() -> None:
    for text, said in (
        (moving(tag("SineFunction", "")), "found a SineFunction in MovingPathPoint 'p0'"),
        (moving(line(1), of="nod"), "found '/jointset/hinge/nod'"),
    ):
        with pytest.raises(RobotError, match=said) as caught:
            kinematics.load(text)
        assert "\n" not in str(caught.value)
