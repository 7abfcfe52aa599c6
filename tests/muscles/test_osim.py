"""OpenSim files: joints and muscles read as they are meant, and what cannot be read refused."""

import math
import warnings

import pytest
import torch

import kinematics
from kinematics.errors import RobotError

ZERO = "<translation>0 0 0</translation><orientation>0 0 0</orientation>"


def body(name, mass=1.0, surfaces=""):
    return f"""<Body name="{name}"><mass>{mass}</mass><mass_center>0.1 0 0</mass_center>
      <inertia>0.02 0.03 0.04 0 0 0</inertia>
      <WrapObjectSet><objects>{surfaces}</objects></WrapObjectSet></Body>"""


def coordinate(name, more=""):
    return f'<Coordinate name="{name}"><range>-1 2</range>{more}</Coordinate>'


def joint(kind, name, parent, child, coordinates="", inner="", place=ZERO):
    owner = "/ground" if parent == "ground" else f"/bodyset/{parent}"
    return f"""<{kind} name="{name}">
      <socket_parent_frame>{parent}_offset</socket_parent_frame>
      <socket_child_frame>/bodyset/{child}</socket_child_frame>
      <coordinates>{coordinates}</coordinates>
      <frames><PhysicalOffsetFrame name="{parent}_offset">
        <socket_parent>{owner}</socket_parent>{place}</PhysicalOffsetFrame></frames>
      {inner}</{kind}>"""


def axis(name, direction, function="<Constant><value>0</value></Constant>", of=""):
    return (
        f'<TransformAxis name="{name}"><coordinates>{of}</coordinates><axis>{direction}</axis>'
        f"{function}</TransformAxis>"
    )


def line(slope, offset=0):
    return f"<LinearFunction><coefficients>{slope} {offset}</coefficients></LinearFunction>"


def model(bodies, joints, forces="", constraints="", version=40500):
    return f"""<?xml version="1.0"?><OpenSimDocument Version="{version}"><Model name="m">
      <gravity>0 -9.81 0</gravity><BodySet><objects>{bodies}</objects></BodySet>
      <JointSet><objects>{joints}</objects></JointSet>
      <ConstraintSet><objects>{constraints}</objects></ConstraintSet>
      <ForceSet><objects>{forces}</objects></ForceSet></Model></OpenSimDocument>"""


def muscle(points, wraps="", more="", kind="Thelen2003Muscle"):
    placed = "".join(
        f'<PathPoint name="p{i}"><socket_parent_frame>{frame}</socket_parent_frame>'
        f"<location>{at}</location></PathPoint>"
        for i, (frame, at) in enumerate(points)
    )
    return f"""<{kind} name="flexor"><GeometryPath><PathPointSet><objects>{placed}</objects>
      </PathPointSet><PathWrapSet><objects>{wraps}</objects></PathWrapSet></GeometryPath>
      <max_isometric_force>300</max_isometric_force><optimal_fiber_length>0.2</optimal_fiber_length>
      <tendon_slack_length>0.1</tendon_slack_length>{more}</{kind}>"""


TURN = joint(
    "PinJoint", "hinge", "ground", "arm", coordinate("bend"),
    place="<translation>0 0.5 0</translation><orientation>0 0 0</orientation>",
)  # fmt: skip
ENDS = [("/ground", "0 0.8 0"), ("/bodyset/arm", "0.2 0 0")]


def test_a_pin_turns_about_z_and_falls_as_a_pendulum() -> None:
    robot = kinematics.load(model(body("arm", mass=2.0), TURN))
    assert (robot.joint_names, robot.body_names) == (("bend",), ("arm",))
    assert [float(robot.lower[0]), float(robot.upper[0])] == [-1, 2]
    q = torch.tensor([[0.3]], dtype=torch.float64)
    about_pin = 0.04 + 2 * 0.1**2
    fall = kinematics.aba(robot, q, 0 * q, 0 * q)
    assert float(fall) == pytest.approx(-2 * 9.81 * 0.1 * math.cos(0.3) / about_pin)


def test_a_muscle_over_two_points_by_hand() -> None:
    robot = kinematics.load(model(body("arm"), TURN, muscle(ENDS)))
    q = torch.tensor([0.3], dtype=torch.float64)
    # from (0, .3) above the hinge to .2 along the arm
    far = math.sqrt(0.3**2 + 0.2**2 - 2 * 0.3 * 0.2 * math.sin(0.3))
    assert float(kinematics.muscle_lengths(robot, q)) == pytest.approx(far, abs=1e-14)
    arm = 0.3 * 0.2 * math.cos(0.3) / far
    assert float(kinematics.moment_arms(robot, q)) == pytest.approx(arm, abs=1e-14)
    law = robot.muscles.forces
    assert (law.curves.family, law.nf, robot.muscles.nz) == ("Thelen", 1, 2)
    assert float(law.strength) == 300


def test_quadrants_say_on_which_side_a_path_passes() -> None:
    def length(quadrant):
        surface = f"""<WrapCylinder name="rod"><radius>0.05</radius><length>1</length>
          <translation>0.12 0.02 0</translation><quadrant>{quadrant}</quadrant></WrapCylinder>"""
        wraps = "<PathWrap><wrap_object>rod</wrap_object><range>-1 -1</range></PathWrap>"
        text = model(body("arm", surfaces=surface), TURN, muscle(ENDS, wraps))
        return float(kinematics.muscle_lengths(kinematics.load(text), torch.zeros(1).double()))

    straight = math.hypot(0.3, 0.2)
    free, right, left = length("all"), length("x"), length("-x")
    assert free == min(right, left)
    assert straight < free < straight + 0.05 < max(right, left)


def test_a_custom_joint_slides_in_the_parent_then_turns() -> None:
    transform = f"""<SpatialTransform>{axis("rotation1", "0 0 1", line(-1, 0.2), "turn")}
      {axis("rotation2", "0 1 0")}{axis("translation1", "1 0 0", line(1), "slide")}
      {axis("translation2", "0 2 0", line(0.5), "turn")}
      {axis("translation3", "0 0 1", "<Constant><value>0.4</value></Constant>")}
      </SpatialTransform>"""
    text = model(
        body("arm"),
        joint("CustomJoint", "c", "ground", "arm", coordinate("turn") + coordinate("slide"),
              transform),
        muscle([("/ground", "0 0 0"), ("/bodyset/arm", "0.2 0 0")]),
    )  # fmt: skip
    robot = kinematics.load(text)
    assert set(robot.independent_names) == {"turn", "slide"}
    values = {"turn": 0.5, "slide": 0.7}
    q = torch.tensor([values[n] for n in robot.independent_names], dtype=torch.float64)
    angle = 0.2 - 0.5
    tip = (0.7 + 0.2 * math.cos(angle), 0.25 + 0.2 * math.sin(angle), 0.4)
    expected = math.sqrt(sum(x * x for x in tip))
    assert float(kinematics.muscle_lengths(robot, q)) == pytest.approx(expected, abs=1e-14)


def test_locked_and_coupled_coordinates() -> None:
    locked = "<locked>true</locked><default_value>0.6</default_value>"
    bodies = body("arm") + body("hand") + body("tip")
    joints = (
        TURN
        + joint("PinJoint", "wrist", "arm", "hand", coordinate("wrist_bend", locked))
        + joint("SliderJoint", "end", "hand", "tip", coordinate("reach"))
    )
    coupler = f"""<CoordinateCouplerConstraint name="k"><coupled_coordinates_function>{line(2, 0.1)}
      </coupled_coordinates_function><independent_coordinate_names>bend</independent_coordinate_names>
      <dependent_coordinate_name>reach</dependent_coordinate_name><scale_factor>1</scale_factor>
      </CoordinateCouplerConstraint>"""
    points = [("/ground", "0 0.5 0"), ("/bodyset/tip", "0 0 0")]
    robot = kinematics.load(model(bodies, joints, muscle(points), coupler))
    assert robot.independent_names == ("bend",)
    q = torch.tensor([0.3], dtype=torch.float64)
    # the slide runs from the hinge itself, whatever the angles: 2 bend + .1
    assert float(kinematics.muscle_lengths(robot, q)) == pytest.approx(0.7, abs=1e-14)


SPLINE = "<SimmSpline><x>0 1 2</x><y>0 0.5 0</y></SimmSpline>"
CURVED = joint(
    "CustomJoint", "knee", "ground", "arm", coordinate("bend"),
    f"""<SpatialTransform>{axis("rotation1", "0 0 1", line(1), "bend")}
    {axis("translation1", "1 0 0", SPLINE, "bend")}</SpatialTransform>""",
)  # fmt: skip
STATION = muscle(ENDS).replace("PathPoint name", "StationPoint name", 1)
STATION = STATION.replace("</PathPoint>", "</StationPoint>", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (model(body("arm"), TURN, version=30516), "open and save it in OpenSim 4"),
        (model(body("arm"), CURVED), "found a SimmSpline of bend"),
        (model(body("arm"), TURN, STATION), "found a StationPoint"),
        (model(body("arm") + body("lost"), TURN), "found lost apart"),
        (model(body("arm"), TURN + TURN.replace("hinge", "other")), "a second joint that carries"),
        (model(body("arm"), TURN.replace("PinJoint", "EllipsoidJoint")), "found EllipsoidJoint"),
        (model(body("arm"), TURN, muscle(ENDS[:1])), "two or more points"),
        (model(body("arm"), TURN, muscle([("/bodyset/leg", "0 0 0"), ENDS[1]])), "'/bodyset/leg'"),
        (model(body("arm", mass="heavy"), TURN), "found 'heavy'"),
        (model(body("arm"), TURN, muscle(ENDS).replace(">300<", ">-3<")), "found -3 in muscle 0"),
        ('<OpenSimDocument Version="40000"><Storage/></OpenSimDocument>', "found Storage"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text, said) -> None:
    with pytest.raises(RobotError, match=said) as caught:
        kinematics.load(text)
    assert "\n" not in str(caught.value)


def test_entities_are_refused() -> None:
    text = model(body("arm"), TURN).replace(
        "?>", '?><!DOCTYPE a [<!ENTITY x SYSTEM "/etc/hosts">]>'
    )
    with pytest.raises(RobotError, match="DOCTYPE"):
        kinematics.load(text)


@pytest.mark.filterwarnings("ignore")
def test_what_is_asked_to_be_held_is_held_and_told() -> None:
    robot = kinematics.load(model(body("arm"), CURVED, STATION), tree_only=True)
    assert (robot.nv, robot.muscles) == (1, None)
    assert any("held still: a SimmSpline of bend" in note for note in robot.notes)
    assert any("muscles left out: flexor" in note for note in robot.notes)


def test_arm26_says_what_its_paths_leave_out() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        robot = kinematics.load("arm26")
    assert any("WrapEllipsoid 'TRIlonghh'" in str(w.message) for w in said)
    assert robot.joint_names == ("r_shoulder_elev", "r_elbow_flex")
    assert robot.muscles.names == ("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA")
    q = torch.tensor([[0.4, 1.1]], dtype=torch.float64)
    arms = kinematics.moment_arms(robot, q)[0]
    extends = arms[:3, 1] < 0
    assert bool(extends.all())
    assert bool((arms[3:, 1] > 0).all())
    assert float(arms[[1, 2, 5], 0].abs().max()) < 1e-12  # these three cross the elbow only
    # at rest: excitation as activation, fibres in equilibrium with their tendons
    v = torch.tensor([[0.7, -0.9]], dtype=torch.float64)
    z = torch.cat(
        (torch.full((1, 6), 0.3).double(),
         robot.muscles.forces.equilibrium(kinematics.muscle_lengths(robot, q),
                                          torch.full((1, 6), 0.3).double())), -1,
    )  # fmt: skip
    a, rates = kinematics.forward(robot, q, v, torch.full((1, 6), 0.3).double(), z)
    assert (a.shape, rates.shape) == ((1, 2), (1, 12))
    assert float(rates[:, :6].abs().max()) < 1e-12
    assert float(rates[:, 6:].abs().max()) < 1e-6
