"""A law's step between observations as one program: what decoding, step and encoding give."""

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.laws import RigidBodyLaw
from discover.laws.rigid_body.step_map import StepMap
from kinematics import Actuation
from kinematics.programs import Graph, evaluate, make_program
from kinematics.programs.angles import with_angle_pairs

PENDULUM = kinematics.load("double_pendulum").replace(damping=[0.2, 0.3])
SLIDING = kinematics.random_tree(3, seed=2, kinds=("prismatic", "revolute", "continuous"))
LAYOUTS = {
    "cosines": (PENDULUM, ["cos", "sin", "v"]),
    "angles": (PENDULUM, ["q", "v"]),
    "mixed, scaled, clipped": (
        PENDULUM,
        [
            {"sin": ["elbow"], "scale": 2.0},
            "cos(elbow)",
            {"q": ["shoulder"], "offset": 0.3},
            {"v": ["elbow", "shoulder"], "scale": 0.1, "clip": 1.5},
        ],
    ),
    "a slide": (SLIDING, ["q(joint0)", *(f"{w}({j})" for j in SLIDING.joint_names[1:]
                                       for w in ("cos", "sin")), "v"]),
}  # fmt: skip


def stepped(robot, scheme="rk4", substeps=1):
    step = StepMap(scheme=scheme, dt=0.03, substeps=substeps)
    return RigidBodyLaw(robot=robot, size=1, step_map=step)


def wrapped(robot, observation, **more):
    return discover.wrap(
        lambda o, a: o, robot, observation=observation, dt=0.03, sanity=False, **more
    )


@pytest.mark.parametrize("scheme", ["rk4", "semi_implicit_euler"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_program_is_decoding_step_and_encoding(name, scheme):
    robot, observation = LAYOUTS[name]
    for sprung in (robot, robot.replace(stiffness=torch.ones(robot.nv))):
        law, network = stepped(sprung, scheme, 2), wrapped(sprung, observation)
        q, v, tau = kinematics.random_state(robot, 50, q=9.0)
        seen = network.observation.observe(q, v)
        expected = network.interface(law.step)(seen, tau)
        model = law.as_model(network)
        assert model._program is not None
        assert float((model(seen, tau) - expected).abs().max()) < 1e-12


def test_roll_outs_do_not_drift_from_the_law_s_own():
    law, network = stepped(PENDULUM), wrapped(PENDULUM, ["cos", "sin", "v"])
    model = law.as_model(network)
    q, v, tau = kinematics.random_state(PENDULUM, 20)
    seen = network.observation.observe(q, v)
    for _ in range(30):
        seen = model(seen, tau)
    q, v = law.step(q, v, tau, steps=30)
    assert float((seen - network.observation.observe(q, v)).abs().max()) < 1e-10


def test_actions_are_turned_into_controls():
    motors = Actuation.of([[0.0, 2.0]], names=("elbow motor",), low=-0.5, high=0.5)
    driven = PENDULUM.replace(actuation=motors)
    network = wrapped(driven, ["cos", "sin", "v"], action={"range": [-0.8, 0.8]})
    law = stepped(driven)
    q, v, _ = kinematics.random_state(driven, 11)
    seen, action = network.observation.observe(q, v), torch.linspace(-1, 1, 11).double()[:, None]
    expected = network.interface(law.step)(seen, action)
    model = law.as_model(network)
    assert model._program is not None
    assert float((model(seen, action) - expected).abs().max()) < 1e-12


def test_kinds_of_numbers_and_gradients():
    law, network = stepped(PENDULUM), wrapped(PENDULUM, ["cos", "sin", "v"])
    model = law.as_model(network)
    q, v, tau = kinematics.random_state(PENDULUM, 4)
    seen = network.observation.observe(q, v)
    expected = model(seen, tau)
    array = model(seen.float().numpy(), tau.float().numpy())
    assert type(array) is np.ndarray
    assert array.dtype == np.float32
    assert float((torch.from_numpy(array) - expected).abs().max()) < 1e-5
    assert model(seen.float(), tau).dtype == torch.float32
    assert torch.equal(model(seen[0], tau[0]), expected[0])
    moved = seen.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(moved, tau).sum(), moved)
    ahead = seen.clone()
    ahead[:, 4] += 1e-6
    difference = (model(ahead, tau) - expected).sum(-1) / 1e-6
    assert float((slope[:, 4] - difference).abs().max()) < 1e-4


@pytest.mark.parametrize("observation", [["cos", "sin", "v"], ["q", "v"], ["wrapped", "v"]])
def test_gradients_flow_through_observation_and_action(observation):
    network = wrapped(PENDULUM, observation)
    model = stepped(PENDULUM, "semi_implicit_euler", 2).as_model(network)
    q, v, tau = kinematics.random_state(PENDULUM, 3)
    seen = network.observation.observe(q, v)
    for which in ((True, False), (False, True), (True, True)):
        given = [x.clone().requires_grad_(on) for x, on in zip((seen, tau), which, strict=True)]
        assert torch.autograd.gradcheck(model, given)
        with torch.no_grad():
            assert torch.allclose(model(*given), model(seen, tau))
    action = tau.clone().requires_grad_()
    one = model(seen.float(), action)  # a planner's actions, in a network's precision
    two = model(one, action)
    slopes = torch.autograd.grad(two.sum(), (one, action))
    assert one.dtype == two.dtype == torch.float32
    assert all(bool(x.isfinite().all()) and float(x.abs().sum()) > 0 for x in slopes)
    assert torch.allclose(model(seen.numpy(), action), model(seen, tau))


def test_observations_that_are_not_so_simple_go_the_long_way():
    for robot, observation in (
        (SLIDING, ["q", "v", "cos(joint1)"]),
        (PENDULUM, ["wrapped", "v"]),
        (kinematics.random_tree(1, seed=1, root="free"), ["q", "v"]),
    ):
        law, network = stepped(robot), wrapped(robot, observation)
        model = law.as_model(network)
        assert model._program is None
        q, v, tau = kinematics.random_state(robot, 5, q=1.0)
        seen = network.observation.observe(q, v)
        expected = network.interface(law.step)(seen, tau)
        assert float((model(seen, tau) - expected).abs().max()) < 1e-9


def test_sines_of_sums_follow_from_cosines_and_sines():
    graph = Graph()
    q, x = graph.inputs("q", 2), graph.inputs("x", 2)
    c, s = graph.inputs("c", 2), graph.inputs("s", 2)
    outputs = np.array(
        [
            (q[0] + x[0]).cos() * (q[1] - q[0] + x[1]).sin(),
            (-q[0] - (x[0] - q[1])).sin() + (2.0 * x[0]).cos(),
            q[0] * x[1] + (0.5 * q[1]).cos(),
        ],
        dtype=object,
    )
    plain = make_program("plain", graph, {"q": q, "x": x}, outputs)
    pairs = [(c[k], s[k]) for k in range(2)]
    paired = make_program(
        "paired", graph, {"c": c, "s": s, "x": x}, with_angle_pairs(graph, outputs, list(q), pairs)
    )
    generator = np.random.default_rng(0)
    angles, shifts = generator.uniform(-3, 3, (2, 40, 2))
    found = evaluate(paired, np.cos(angles), np.sin(angles), shifts)
    assert np.abs(found - evaluate(plain, angles, shifts)).max() < 1e-14
    trigonometric = outputs[:2]
    rewritten = with_angle_pairs(graph, trigonometric, list(q), pairs)
    whole = make_program("whole", graph, {"c": c, "s": s, "x": x}, rewritten)
    assert not any(node.op == "atan2" for node in whole.nodes)
