"""Paths of muscles against MuJoCo, lengths to accelerations; identities and closed forms."""

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from kinematics.errors import RobotError
from kinematics.formats.mjcf_muscles import rule_of
from kinematics.muscles.paths import Path, Paths, Point, Pulley, Wrap
from kinematics.muscles.wraps import touch
from kinematics.robot.tree import Robot

# An arm whose muscles go every way that MuJoCo has: past a cylinder with and without a side point,
# a sphere likewise, through both from within, over pulleys, along joints, and nowhere near.
ARM = """
<mujoco><compiler angle="radian"/><option gravity="0 .3 -9.81"/>
<worldbody>
  <site name="w1" pos=".02 .03 .25"/><site name="w2" pos="-.06 -.02 .1"/>
  <geom name="loop" type="cylinder" size=".03 .1" pos=".03 0 -.05" euler=".4 1.3 0"/>
  <site name="in_loop" pos=".03 .01 -.05"/>
  <body name="upper" pos="0 0 .1">
    <joint name="s1" axis="0 1 0" pos="0 0 .01" ref=".2"/><joint name="s2" axis="1 .3 0"/>
    <geom type="capsule" size=".02" fromto="0 0 0 0 0 -.3"/>
    <geom name="shoulder" type="sphere" size=".04" pos="0 .01 0"/>
    <site name="s_front" pos=".06 .01 .01"/>
    <site name="u1" pos=".04 0 -.1"/><site name="u2" pos="-.04 .01 -.2"/>
    <body name="forearm" pos="0 0 -.3" euler="0 .2 .1">
      <joint name="elbow" axis="0 1 .1"/>
      <geom type="capsule" size=".02" fromto="0 0 0 .25 0 0"/>
      <geom name="roll" type="cylinder" size=".03 .1" euler="1.5 .1 0"/>
      <site name="roll_back" pos="-.05 0 -.02"/><site name="roll_in" pos="0 .01 .01"/>
      <site name="f1" pos=".07 .02 .04"/><site name="f2" pos=".2 0 -.03"/>
      <body name="hand" pos=".25 0 0">
        <joint name="out" type="slide" axis="1 0 0"/>
        <geom type="sphere" size=".05" pos=".05 0 0"/>
        <site name="h1" pos=".05 .04 .02"/>
      </body>
    </body>
  </body>
</worldbody>
<tendon>
  <spatial name="plain"><site site="w1"/><site site="u1"/><site site="f1"/><site site="h1"/>
  </spatial>
  <spatial name="over"><site site="u2"/><geom geom="roll"/><site site="f1"/></spatial>
  <spatial name="back"><site site="u2"/><geom geom="roll" sidesite="roll_back"/><site site="f2"/>
  </spatial>
  <spatial name="front"><site site="w1"/><geom geom="shoulder" sidesite="s_front"/><site site="u1"/>
    <geom geom="roll"/><site site="f2"/></spatial>
  <spatial name="ball"><site site="w2"/><geom geom="shoulder"/><site site="u2"/></spatial>
  <spatial name="within"><site site="w1"/><geom geom="loop" sidesite="in_loop"/><site site="u2"/>
    <geom geom="roll" sidesite="roll_in"/><site site="f1"/></spatial>
  <spatial name="pulley"><site site="w2"/><site site="u1"/><pulley divisor="2"/><site site="u1"/>
    <geom geom="roll" sidesite="roll_back"/><site site="f1"/><pulley divisor="2"/>
    <site site="u2"/><site site="h1"/></spatial>
  <fixed name="belt"><joint joint="s1" coef=".03"/><joint joint="elbow" coef="-.02"/></fixed>
</tendon>
<actuator>
  <muscle name="plain" tendon="plain" lengthrange=".3 .7"/>
  <muscle name="over" tendon="over" lengthrange=".15 .4" gear="1.5"/>
  <muscle name="back" tendon="back" lengthrange=".15 .4" timeconst=".02 .06"/>
  <muscle name="front" tendon="front" lengthrange=".3 .6" force="300" range=".8 1.2"/>
  <muscle name="ball" tendon="ball" lengthrange=".2 .4" forcelimited="true" forcerange="-40 0"/>
  <muscle name="within" tendon="within" lengthrange=".3 .6"/>
  <muscle name="pulley" tendon="pulley" lengthrange=".3 .7" tausmooth=".3"/>
  <muscle name="belt" tendon="belt" lengthrange="-.1 .1"/>
  <muscle name="joint" joint="elbow" lengthrange="-2 2" gear=".03"/>
  <general name="direct" joint="s2" gaintype="muscle" biastype="none" lengthrange="-2 2"
    gainprm=".75 1.05 5 200 .5 1.6 1.5 1.3 1.2"/>
</actuator></mujoco>
"""
STATES = 60
ANSWERS = ("q", "v", "u", "act", "length", "arms", "force", "rate", "a", "tau", "speed")


@pytest.fixture(scope="module")
def arm() -> tuple[Robot, mujoco.MjModel]:
    return kinematics.load(ARM), mujoco.MjModel.from_xml_string(ARM)


def answers(model: mujoco.MjModel, states: int, seed: int, spread: float = 1.5) -> dict:
    """MuJoCo's answers at random states: positions, velocities, controls, activations, and what
    follows from them."""
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    data, rng = mujoco.MjData(model), np.random.default_rng(seed)
    held = {name: [] for name in ANSWERS}
    for _ in range(states):
        data.qpos[:] = rng.uniform(-spread, spread, model.nq)
        data.qvel[:] = rng.normal(size=model.nv)
        data.ctrl[:] = rng.uniform(-0.2, 1.2, model.nu)
        data.act[:] = rng.uniform(0, 1, model.na)
        mujoco.mj_forward(model, data)
        moment = np.zeros((model.nu, model.nv))
        mujoco.mju_sparse2dense(
            moment,
            data.actuator_moment.ravel(),
            data.moment_rownnz,
            data.moment_rowadr,
            data.moment_colind,
        )
        act = np.zeros(model.nu)  # one a muscle, also where MuJoCo keeps none
        rate = np.zeros(model.nu)
        for k in range(model.nu):
            if model.actuator_actnum[k]:
                act[k] = data.act[model.actuator_actadr[k]]
                rate[k] = data.act_dot[model.actuator_actadr[k]]
        row = (data.qpos, data.qvel, data.ctrl, act, data.actuator_length, -moment,
               -data.actuator_force, rate, data.qacc, data.qfrc_actuator,
               data.actuator_velocity)  # fmt: skip
        for name, x in zip(held, row, strict=True):
            held[name].append(np.array(x))
    return {name: torch.tensor(np.array(x)) for name, x in held.items()}


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def test_an_arm_is_read_whole(arm) -> None:
    robot, model = arm
    assert robot.muscles.names == tuple(model.actuator(k).name for k in range(model.nu))
    assert robot.muscles.wrap_rule == rule_of(mujoco.__version__)
    assert rule_of("3.17.0") == "mujoco3"
    assert rule_of("4.0.0") == "mujoco4"
    assert not any("muscles" in note or "tendons" in note for note in robot.notes)
    assert robot.muscles.excited == (True,) * 9 + (False,)


def test_lengths_arms_forces_and_accelerations_are_mujocos(arm) -> None:
    robot, model = arm
    x = answers(model, STATES, seed=0)
    assert apart(kinematics.muscle_lengths(robot, x["q"]), x["length"]) < 1e-12
    assert apart(kinematics.moment_arms(robot, x["q"]), x["arms"]) < 1e-10
    assert apart(kinematics.muscle_rates(robot, x["q"], x["v"]), x["speed"]) < 1e-10
    state = (robot, x["q"], x["v"], x["u"], x["act"])
    tension = kinematics.muscle_tensions(*state)
    assert apart(tension, x["force"]) < 1e-8 * float(x["force"].abs().max())
    assert float(tension[:, 4].max()) == 40  # its limit was met
    tau = kinematics.muscle_joint_forces(robot, x["q"], tension)
    assert apart(tau, x["tau"]) < 1e-8 * float(x["tau"].abs().max())
    a, rate = kinematics.forward(*state)
    assert bool(((a - x["a"]).abs().amax(-1) < 1e-8 * x["a"].abs().amax(-1)).all())
    assert apart(rate, x["rate"]) < 1e-9


def test_every_way_over_a_surface_was_taken(arm) -> None:
    """Otherwise the test above would say less than it seems to."""
    _, model = arm
    data = mujoco.MjData(model)
    seen = {}
    for q in answers(model, STATES, seed=0)["q"]:
        data.qpos[:] = q
        mujoco.mj_forward(model, data)
        for t in range(model.ntendon):
            rows = slice(data.ten_wrapadr[t], data.ten_wrapadr[t] + data.ten_wrapnum[t])
            bent = bool((data.wrap_obj.ravel()[rows] >= 0).any())
            seen.setdefault(model.tendon(t).name, set()).add(bent)
    for name in ("over", "back", "front", "ball", "within", "pulley"):
        assert seen[name] == {True, False} or (name == "within" and True in seen[name]), name


def test_power_of_tensions_is_that_of_joint_forces(arm) -> None:
    robot, _ = arm
    q, v, _ = kinematics.random_state(robot, 50, seed=3)
    pull = torch.rand(50, robot.muscles.nm, dtype=torch.float64) * 100
    tau = kinematics.muscle_joint_forces(robot, q, pull)
    power = -(pull * kinematics.muscle_rates(robot, q, v)).sum(-1)
    torch.testing.assert_close((tau * v).sum(-1), power, rtol=1e-12, atol=1e-11)
    by_arms = (kinematics.moment_arms(robot, q) * pull[..., None]).sum(-2)
    torch.testing.assert_close(tau, by_arms, rtol=1e-12, atol=1e-12)


def test_moment_arms_are_derivatives_of_lengths(arm) -> None:
    """Also by autograd, whose second derivatives are those of differences of moment arms."""
    robot, _ = arm
    q, _, _ = kinematics.random_state(robot, 12, seed=5)
    q.requires_grad_()
    lengths = kinematics.muscle_lengths(robot, q)
    arms = kinematics.moment_arms(robot, q)
    for k in range(robot.muscles.nm):
        (slope,) = torch.autograd.grad(lengths[:, k].sum(), q, retain_graph=True)
        torch.testing.assert_close(arms[:, k], -slope, rtol=0, atol=2e-7)
    weights = torch.randn(arms.shape[1:], dtype=q.dtype)
    (bend,) = torch.autograd.grad((arms * weights).sum(), q)
    step = 1e-6
    for j in range(robot.nq):
        shift = step * torch.eye(robot.nq, dtype=q.dtype)[j]
        ends = [kinematics.moment_arms(robot, (q + s * shift).detach()) for s in (1, -1)]
        slope = ((ends[0] - ends[1]) * weights).sum((-1, -2)) / (2 * step)
        near = (slope - bend[:, j]).abs() < 1e-4 * (1 + slope.abs())
        assert int(near.sum()) >= 11, j  # a wrap may begin within the step


@pytest.mark.parametrize("sphere", [True, False])
def test_a_geodesic_is_the_shortest_of_many_strings(sphere: bool) -> None:
    """Of points outside the surface, against the least length over touching points at random; and
    the string is tangent where it touches."""
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 40, 1, 3, generator=rng, dtype=torch.float64)
    radius = torch.tensor([0.6], dtype=torch.float64)
    flat = slice(0, 3 if sphere else 2)
    out = (a[..., flat].norm(dim=-1) > 0.6) & (b[..., flat].norm(dim=-1) > 0.6)
    flags = {"sphere": torch.tensor([sphere]), "sided": torch.tensor([False])}
    met = touch(a, b, a, radius, rule="geodesic", **flags)
    here = (met.wrapped & out)[:, 0]
    assert 5 < int(here.sum()) < 30
    a, b, p, q, arc = (x[here, 0] for x in (a, b, met.first, met.last, met.arc))
    length = (a - p).norm(dim=-1) + arc + (q - b).norm(dim=-1)
    assert bool((length > (a - b).norm(dim=-1)).all())
    for end, point in ((a, p), (b, q)):
        normal = point.clone()
        normal[:, 2] *= float(sphere)
        torch.testing.assert_close(normal.norm(dim=-1), radius.expand(len(p)))
        assert float(((end - point) * normal).sum(-1).abs().max()) < 1e-12
    tried = 0
    for _ in range(300):  # strings over the same surface through other touching points
        x, y = (z + 0.1 * torch.randn(z.shape, generator=rng, dtype=z.dtype) for z in (p, q))
        for z in (x, y):
            z[:, flat] *= 0.6 / z[:, flat].norm(dim=-1, keepdim=True)
        cosine = (x[:, flat] * y[:, flat]).sum(-1) / 0.36
        round_ = 0.6 * torch.acos(cosine.clamp(-1, 1))
        rise = torch.zeros_like(round_) if sphere else x[:, 2] - y[:, 2]
        open_ = ((a - x)[:, flat] * x[:, flat]).sum(-1) > 0  # its straight parts stay outside
        open_ &= ((b - y)[:, flat] * y[:, flat]).sum(-1) > 0
        other = (a - x).norm(dim=-1) + torch.hypot(round_, rise) + (y - b).norm(dim=-1)
        tried += int(open_.sum())
        assert bool((other > length - 1e-12)[open_].all())
    assert tried > 300


@pytest.mark.parametrize("kind", ["sphere", "cylinder"])
@pytest.mark.parametrize("side", ["none", "outside", "inside"])
def test_every_way_round_is_mujocos(kind: str, side: str) -> None:
    """One surface, both ends and the side point at random: no way chosen otherwise."""
    near = 'sidesite="s"' if side != "none" else ""
    model = mujoco.MjModel.from_xml_string(f"""<mujoco><worldbody>
    <geom name="g" type="{kind}" size=".1 .3"/>
    <body name="a" mocap="true"><site name="a"/></body>
    <body name="b" mocap="true"><site name="b"/></body>
    <body name="s" mocap="true"><site name="s"/></body></worldbody><tendon><spatial>
    <site site="a"/><geom geom="g" {near}/><site site="b"/></spatial></tendon></mujoco>""")
    data, rng = mujoco.MjData(model), np.random.default_rng(7)
    places = 0.15 * rng.normal(size=(1000, 3, 3))
    places[:, 2] *= {"none": 1.0, "outside": 1.5, "inside": 0.2}[side]
    lengths = []
    for place in places:
        data.mocap_pos[:] = place
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_tendon(model, data)
        lengths.append(data.ten_length[0])
    a, b, s = torch.tensor(places)[:, :, None].unbind(1)
    flags = {"sphere": torch.tensor([kind == "sphere"]), "sided": torch.tensor([side != "none"])}
    rule = rule_of(mujoco.__version__)
    met = touch(a, b, s, torch.tensor([0.1], dtype=torch.float64), rule=rule, **flags)
    over = (a - met.first).norm(dim=-1) + met.arc + (b - met.last).norm(dim=-1)
    length = torch.where(met.wrapped, over, (a - b).norm(dim=-1))[:, 0]
    assert 100 < int(met.wrapped.sum()) < 900
    assert apart(length, torch.tensor(lengths)) < 1e-12


def test_a_hinge_pulled_over_a_drum_has_its_radius_as_moment_arm() -> None:
    """Closed form: a string wound on a cylinder about the hinge's axis."""
    robot = kinematics.load(
        """<mujoco><worldbody><body><joint name="a" axis="0 0 1"/><geom size=".1"/></body>
        </worldbody></mujoco>"""
    )
    path = Path(
        name="wound",
        elements=(
            Point(-1, (-1.0, -0.5, 0.3)),
            Wrap(kind="cylinder", body=0, radius=0.2),
            Point(0, (0.3, 0.0, -0.1)),
        ),
    )
    paths = Paths.of([path], rule="geodesic")
    robot = robot.replace(muscles=kinematics.Muscles.of(paths))
    q = torch.linspace(-0.1, 0.4, 7, dtype=torch.float64)[:, None]
    arms = kinematics.moment_arms(robot, q)[:, 0, 0]
    # plane length and height make the slope: r = -R · plane / whole
    length = kinematics.muscle_lengths(robot, q)[:, 0]
    plane = torch.sqrt(length**2 - 0.4**2)
    torch.testing.assert_close(arms, -0.2 * plane / length, rtol=1e-12, atol=1e-13)


def test_pulleys_divide_and_scales_multiply() -> None:
    robot = kinematics.random_tree(2, seed=0)
    chain = (Point(-1, (0, 0, 1)), Point(0, (0.1, 0, 0)), Point(1, (0, 0.2, 0)))
    half = (*chain[:2], Pulley(2.0), *chain[1:])
    paths = [Path(name=n, elements=e, scale=s) for n, e, s in
             (("a", chain[:2], 1.0), ("b", chain[1:], 1.0), ("both", half, 3.0))]  # fmt: skip
    robot = robot.replace(muscles=kinematics.Muscles.of(Paths.of(paths, rule="mujoco4")))
    q, _, _ = kinematics.random_state(robot, 9)
    a, b, both = kinematics.muscle_lengths(robot, q).unbind(-1)
    torch.testing.assert_close(both, 3 * (a + b / 2))


def test_a_locked_arm_keeps_its_muscles(arm) -> None:
    robot, _ = arm
    held = kinematics.lock(robot, {"s1": 0.4, "elbow": -0.7})
    q = torch.tensor([0.4, 0.3, -0.7, 0.05], dtype=torch.float64)
    own = q[[1, 3]]
    torch.testing.assert_close(
        kinematics.muscle_lengths(held, own), kinematics.muscle_lengths(robot, q)
    )
    arms = kinematics.moment_arms(robot, q)[:, [1, 3]]
    torch.testing.assert_close(kinematics.moment_arms(held, own), arms)


def test_a_description_keeps_muscles_exactly(arm) -> None:
    import json

    robot, _ = arm
    again = Robot.from_dict(json.loads(json.dumps(robot.to_dict(), allow_nan=False)))
    q, v, _ = kinematics.random_state(robot, 4)
    u = torch.rand(4, robot.muscles.nm, dtype=torch.float64)
    for x, y in zip(
        kinematics.forward(robot, q, v, u, u), kinematics.forward(again, q, v, u, u), strict=True
    ):
        assert torch.equal(x, y)
    broken = robot.to_dict()
    broken["muscles"]["forces"]["class"] = "os.system"
    with pytest.raises(RobotError, match="law of force"):
        Robot.from_dict(broken)
    for name, value in (("spans", [[0, 0, 999, -1, -1]]), ("points", [[1.0, 2.0]]), ("rule", "x")):
        broken = robot.to_dict()
        broken["muscles"]["paths"][name] = value
        with pytest.raises(RobotError):
            Robot.from_dict(broken)


def test_axes_types_and_batches(arm) -> None:
    robot, _ = arm
    q, v, _ = kinematics.random_state(robot, 6)
    u = torch.rand(2, 1, robot.muscles.nm, dtype=torch.float64)
    a, rate = kinematics.forward(robot, q.reshape(3, 2, -1)[:2, :1], v[:5], u, u)
    assert a.shape == (2, 5, robot.nv)
    assert rate.shape == (2, 5, robot.muscles.nm)
    one = kinematics.forward(robot, q[0], v[0], u[0, 0])
    torch.testing.assert_close(one, kinematics.forward(robot, q[0], v[0], u[0, 0], u[0, 0])[0])
    short = kinematics.muscle_lengths(robot.to(torch.float32), q.float())
    assert short.dtype == torch.float32
    torch.testing.assert_close(
        short.double(), kinematics.muscle_lengths(robot, q), atol=1e-5, rtol=0
    )
    assert kinematics.moment_arms(robot, q[:0]).shape == (0, robot.muscles.nm, robot.nv)


def test_a_free_body_hung_on_strings_falls_as_mujocos() -> None:
    text = """<mujoco><worldbody><site name="a" pos="1 0 1"/><site name="b" pos="-1 .5 1"/>
    <body name="box"><freejoint/><geom type="box" size=".1 .2 .3"/><site name="c" pos=".1 .2 .3"/>
    </body></worldbody><tendon>
    <spatial name="a"><site site="a"/><site site="c"/></spatial>
    <spatial name="b"><site site="b"/><site site="c"/></spatial></tendon><actuator>
    <muscle name="a" tendon="a" lengthrange=".5 2"/><muscle name="b" tendon="b" lengthrange=".5 2"/>
    </actuator></mujoco>"""
    robot, model = kinematics.load(text), mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    q = torch.tensor([0.1, 0.2, 0.3, 0.5, 0.1, -0.7, 0.5], dtype=torch.float64)
    q[3:] /= q[3:].norm()
    data.qpos[:], data.act[:] = q, [0.3, 0.8]
    mujoco.mj_forward(model, data)
    length = kinematics.muscle_lengths(robot, q)
    assert apart(length, torch.tensor(data.actuator_length)) < 1e-14
    act = torch.tensor([0.3, 0.8], dtype=torch.float64)
    a, _ = kinematics.forward(robot, q, torch.zeros(6), torch.zeros(2), act)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, q[3:].numpy())
    linear = torch.tensor(turn).reshape(3, 3) @ a[3:]
    assert apart(torch.cat((linear, a[:3])), torch.tensor(data.qacc)) < 1e-9


def test_a_motion_is_mujocos(arm) -> None:
    """Semi-implicit Euler of both, no joint damping in this arm."""
    robot, model = arm
    data = mujoco.MjData(model)
    q0 = torch.tensor([0.3, 0.2, 0.8, 0.0], dtype=torch.float64)
    u = torch.linspace(0.02, 0.1, model.nu, dtype=torch.float64)
    data.qpos[:], data.ctrl[:] = q0, u
    for _ in range(50):
        mujoco.mj_step(model, data)
    z0 = torch.zeros(model.nu, dtype=torch.float64)
    dt = model.opt.timestep
    path = kinematics.simulate_muscles(robot, q0, torch.zeros(4).double(), u, z0, dt, 50)
    assert apart(path.q[-1], torch.tensor(data.qpos)) < 1e-9
    assert apart(path.z[-1, :-1], torch.tensor(data.act)) < 1e-12


def test_what_cannot_be_used_is_refused_in_a_line(arm) -> None:
    robot, _ = arm
    plain = robot.replace(muscles=None)
    with pytest.raises(RobotError, match="expected a robot with muscles"):
        kinematics.muscle_lengths(plain, torch.zeros(4))
    with pytest.raises(RobotError, match="expected u of shape"):
        kinematics.forward(robot, torch.zeros(4), torch.zeros(4), torch.zeros(3))
    with pytest.raises(RobotError, match="no internal state"):
        kinematics.forward(plain, torch.zeros(4), torch.zeros(4), torch.zeros(4), torch.zeros(1))
    ends = (Point(0, (0, 0, 0)), Wrap(kind="sphere", body=0, radius=0.1))
    with pytest.raises(RobotError, match="a surface at its end"):
        Paths.of([Path(name="x", elements=ends)], rule="mujoco4")
    with pytest.raises(RobotError, match="expected u as a tensor"):
        kinematics.forward(robot, torch.zeros(4), torch.zeros(4), None)
    with pytest.raises(RobotError, match="one a muscle"):
        kinematics.Muscles.of(robot.muscles.paths, low=[1, 2])
    with pytest.raises(RobotError, match=r"a kinematics\.Muscles"):
        robot.replace(muscles="strong")
    with pytest.raises(RobotError, match="expected q"):
        kinematics.moment_arms(robot, "here")
    with pytest.raises(RobotError, match="wrap rule"):
        Paths.of([], rule="mujoco5")
    far = Paths.of([Path(name="x", elements=(ends[0], Point(9, (0, 0, 1))))], rule="mujoco4")
    with pytest.raises(RobotError, match="expected muscles on the 4 bodies"):
        robot.replace(muscles=kinematics.Muscles.of(far))


def test_without_muscles_controls_are_those_of_the_actuators() -> None:
    robot = kinematics.random_tree(3, seed=2)
    q, v, tau = kinematics.random_state(robot, 5)
    torch.testing.assert_close(
        kinematics.forward(robot, q, v, tau), kinematics.aba(robot, q, v, tau)
    )


def test_springs_of_tendons_are_still_refused() -> None:
    springy = ARM.replace('<spatial name="over">', '<spatial name="over" stiffness="3">')
    with pytest.raises(RobotError, match="springs, dampers or inertia"):
        kinematics.load(springy)
    loose = ARM.replace('<spatial name="ball">', '<spatial name="ball" limited="true" range="0 1">')
    assert any("limits of 1 tendons" in note for note in kinematics.load(loose).notes)
    unused = ARM.replace('<muscle name="plain" tendon="plain" lengthrange=".3 .7"/>', "")
    robot = kinematics.load(unused)
    assert robot.muscles.nm == 9
    assert "left out: 1 tendons" in robot.notes


def test_the_two_rules_of_mujoco_part_at_a_side_point() -> None:
    """A string that passes below a circle, its nearest point on the half away from the side point:
    the rule of 3 winds it round the other way, that of 4 only where the ray opposite the side point
    crosses the string; that of 3 agrees there."""
    a, b = (torch.tensor([[x]], dtype=torch.float64) for x in ((-1.0, -0.5, 0), (1.0, -0.3, 0)))
    radius = torch.tensor([0.2], dtype=torch.float64)
    flags = {"sphere": torch.tensor([False]), "sided": torch.tensor([True])}

    def winds(rule: str, *side: float) -> bool:
        at = torch.tensor([[side]], dtype=torch.float64)
        return bool(touch(a, b, at, radius, rule=rule, **flags).wrapped)

    below, above, along = (0.1, -0.9, 0.0), (0.1, 0.9, 0.0), (0.9, 0.3, 0.0)
    assert [winds("mujoco3", *x) for x in (below, above, along)] == [False, True, True]
    assert [winds("mujoco4", *x) for x in (below, above, along)] == [False, True, False]
