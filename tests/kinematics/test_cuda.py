"""A graphics card gives the answers of the CPU, for every function, type and transform.

Skipped without one; `test_devices` watches for mixed devices on any machine. Only torch and this
package are needed here, no oracle.
"""

import shutil

import pytest
import torch
from kinematic_samples import MIXED, mimicking, on_device, sample_robots, worst

import kinematics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

ROBOTS = sample_robots()
by_robot = pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: f"{r.name}-{r.nv}")
by_dtype = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 5e-3)], ids=["f64", "f32"]
)


def here_and_there(robot, count, dtype=torch.float64):
    """States on the CPU, and the same ones on the card."""
    here = [x.to(dtype) for x in kinematics.random_state(robot, count, seed=3)]
    return here, [x.cuda() for x in here]


def same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.device.type == "cuda", name
        assert value.dtype == expected[name].dtype, name
        # single precision is judged against double: two roundings would be compared otherwise
        assert worst(value.cpu().double(), expected[name].double()) < tolerance, name


def with_terms(robot):
    """The robot with every joint term."""
    values = torch.linspace(0.1, 0.5, robot.nv, dtype=torch.float64)
    return robot.replace(
        armature=values, damping=values, friction=values, stiffness=values, spring_reference=-values
    )


@by_robot
@by_dtype
@pytest.mark.parametrize("count", [1, 64, 3000], ids=lambda n: f"B{n}")
def test_every_function(robot, dtype, tolerance, count):
    here, there = here_and_there(robot, count)
    expected = {k: x.to(dtype) for k, x in on_device(robot, *here).items()}
    same(on_device(robot.to(device="cuda"), *(x.to(dtype) for x in there)), expected, tolerance)


@by_robot
def test_the_robot_may_stay_where_it_was_read(robot):
    here, there = here_and_there(robot, 5)
    same(on_device(robot, *there), on_device(robot, *here), 1e-9)
    away = robot.to(device="cuda")
    for name, value in on_device(away, *here).items():
        assert value.device.type == "cpu", name
    assert away.neutral().device.type == "cuda"
    assert away.to(device="cpu").pi.equal(robot.pi)


@by_dtype
def test_joint_terms_mimics_and_own_parameters(dtype, tolerance):
    tree = kinematics.random_tree(5, 0.5, seed=3, kinds=("revolute", "prismatic"))
    scales = torch.linspace(0.5, 1.5, 6, dtype=torch.float64)[:, None, None]
    for robot in (with_terms(tree), tree.replace(pi=tree.pi * scales), mimicking()):
        here, there = here_and_there(robot, 6)
        expected = {k: x.to(dtype) for k, x in on_device(robot, *here).items()}
        away = robot.to(device="cuda", dtype=dtype)
        same(on_device(away, *(x.to(dtype) for x in there)), expected, tolerance)


@pytest.mark.parametrize("root", ["fixed", "free"])
@pytest.mark.parametrize("integrator", ["semi_implicit_euler", "rk4", "implicit_midpoint"])
@by_dtype
def test_rollouts(integrator, root, dtype, tolerance):
    robot = with_terms(kinematics.random_tree(4, 0.5, seed=6, kinds=MIXED, root=root))
    here, there = here_and_there(robot, 8)
    away = robot.to(device="cuda")

    def brake(q, v, t):
        return -0.1 * v

    sequence = here[2].expand(8, *here[2].shape)
    for torque in (None, here[2], sequence, brake):
        expected = kinematics.simulate(robot, *here[:2], torque, 2e-3, 8, integrator)
        moved = torque.cuda().to(dtype) if isinstance(torque, torch.Tensor) else torque
        q, v = (x.to(dtype) for x in there[:2])
        found = kinematics.simulate(away, q, v, moved, 2e-3, 8, integrator)
        for name in ("q", "v", "tau", "t", "energy"):
            value = getattr(found, name)
            assert value.device.type == "cuda", name
            assert worst(value.cpu().double(), getattr(expected, name)) < tolerance, name


@by_robot
def test_gradients(robot):
    """With respect to the state, and to the inertial parameters, first and second order."""
    here, there = here_and_there(robot, 3)

    def slopes(robot, q, v, a):
        pi = robot.pi.clone().requires_grad_()
        with_pi = robot.replace(pi=pi)
        state = [x.clone().requires_grad_() for x in (q, v, a)]
        out = []
        for function in (kinematics.aba, kinematics.rnea):
            value = function(with_pi, *state).square().sum()
            first = torch.autograd.grad(value, [*state, pi], create_graph=True)
            out += first
            out += torch.autograd.grad(first[2].sum(), [state[0], pi])
        return out

    found = slopes(robot.to(device="cuda"), *there)
    for ours, expected in zip(found, slopes(robot, *here), strict=True):
        assert ours.device.type == "cuda"
        assert worst(ours.detach().cpu(), expected.detach()) < 1e-7


@pytest.mark.parametrize("root", ["fixed", "free"])
@pytest.mark.parametrize("function", ["aba", "rnea", "bias", "crba", "kinetic_energy"])
def test_transforms(function, root):
    """vmap, jacrev, jacfwd and their nesting."""
    robot = kinematics.random_tree(4, 0.5, seed=8, kinds=MIXED, root=root)
    arguments = {"aba": 3, "rnea": 3, "bias": 2, "crba": 1, "kinetic_energy": 2}[function]
    here, there = ([*x[:arguments]] for x in here_and_there(robot, 4))
    away = robot.to(device="cuda")
    f = getattr(kinematics, function)
    for transform in (
        lambda g: g,
        torch.func.jacrev,
        torch.func.jacfwd,
        lambda g: torch.func.jacfwd(torch.func.jacrev(g)),
    ):
        ours = torch.func.vmap(transform(lambda *x: f(away, *x)))(*there)
        expected = torch.func.vmap(transform(lambda *x: f(robot, *x)))(*here)
        assert ours.device.type == "cuda"
        assert worst(ours.cpu(), expected) < 1e-8


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("function", ["aba", "rnea"])
def test_compiled(function, backend):
    if backend == "inductor" and not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("inductor needs a C compiler to launch its kernels")
    robot = kinematics.load("panda")
    here, there = here_and_there(robot, 256)
    f = getattr(kinematics, function)
    whole = torch.compile(f, fullgraph=True, backend=backend)
    for away in (robot, robot.to(device="cuda")):
        ours = whole(away, *there)
        assert ours.device.type == "cuda"
        assert worst(ours.cpu(), f(robot, *here)) < 1e-9


def test_a_captured_graph_can_be_replayed():
    """No transfer and no wait hides in the recursion: a CUDA graph can be made of it."""
    robot = kinematics.load("panda").to(device="cuda")
    _, there = here_and_there(robot.to(device="cpu"), 256)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        kinematics.aba(robot, *there)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = kinematics.aba(robot, *there)
    there[0].add_(0.5)
    graph.replay()
    torch.cuda.synchronize()
    assert worst(captured, kinematics.aba(robot, *there)) < 1e-9


def test_identification_on_the_card():
    """Base parameters and log-Cholesky parameters of a robot that lives there."""
    robot = kinematics.random_tree(3, seed=2, kinds=("revolute",))
    away = robot.to(device="cuda")
    assert kinematics.base_parameters(away).rank == kinematics.base_parameters(robot).rank
    theta = kinematics.to_log_cholesky(away.pi)
    assert theta.device.type == "cuda"
    assert worst(kinematics.from_log_cholesky(theta).cpu(), robot.pi) < 1e-12
    assert kinematics.total_mass(away).device.type == "cuda"
    assert away.to_dict() == robot.to_dict()
