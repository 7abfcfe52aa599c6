"""Batches, types, gradients, transforms: the functions as good citizens of torch."""

import numpy as np
import pytest
import torch
from kinematic_samples import mimicking, sample_robots, worst

import kinematics
from kinematics.recursion import inputs

ROBOTS = sample_robots()
by_robot = pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: f"{r.name}-{r.nv}")


def everything(robot, q, v, a):
    return {
        "rnea": kinematics.rnea(robot, q, v, a),
        "crba": kinematics.crba(robot, q),
        "aba": kinematics.aba(robot, q, v, a),
        "bias": kinematics.bias(robot, q, v),
        "regressor": kinematics.regressor(robot, q, v, a),
        "kinetic": kinematics.kinetic_energy(robot, q, v),
        "potential": kinematics.potential_energy(robot, q),
        "centre": kinematics.centre_of_mass(robot, q),
        "momentum": kinematics.momentum(robot, q, v),
    }


@by_robot
def test_one_state_a_batch_and_pieces_agree(robot, monkeypatch):
    """numpy (small), torch, and torch in pieces are one recursion."""
    q, v, a = kinematics.random_state(robot, 11)
    monkeypatch.setattr(inputs, "SMALL", 0)
    whole = everything(robot, q, v, a)
    monkeypatch.setattr(inputs, "PIECE", 3)
    pieces = everything(robot, q, v, a)
    monkeypatch.setattr(inputs, "SMALL", 4)
    for name, value in whole.items():
        assert worst(pieces[name], value) < 1e-12, name
        one = everything(robot, q[5], v[5], a[5])[name]
        assert one.shape == value.shape[1:]
        assert worst(one, value[5]) < 1e-9, name


def test_leading_axes_broadcast():
    robot = kinematics.load("panda")
    q, v, a = kinematics.random_state(robot, 6)
    grid = kinematics.rnea(robot, q.view(2, 3, 7), v[:3], a[0])
    assert grid.shape == (2, 3, 7)
    again = kinematics.rnea(robot, q[4], v[1], a[0])
    assert worst(grid[1, 1], again) < 1e-12
    assert kinematics.crba(robot, q[None, :, None]).shape == (1, 6, 1, 7, 7)
    assert kinematics.potential_energy(robot, q[0]).shape == ()
    assert kinematics.rnea(robot, q[:0], v[:0], a[:0]).shape == (0, 7)


def test_numpy_lists_and_float32():
    robot = kinematics.load("double_pendulum")
    q, v, a = (x.numpy() for x in kinematics.random_state(robot, 5))
    tau = kinematics.rnea(robot, q, v, a)
    assert isinstance(tau, torch.Tensor)
    assert tau.dtype == torch.float64
    np.testing.assert_allclose(
        kinematics.rnea(robot, q[0].tolist(), v[0].tolist(), a[0].tolist()), tau[0], rtol=1e-12
    )
    single = kinematics.rnea(robot, *(x.astype(np.float32) for x in (q, v, a)))
    assert single.dtype == torch.float32
    assert worst(single.double(), tau) < 1e-5
    one = kinematics.aba(robot, *(torch.as_tensor(x[0]).float() for x in (q, v, a)))
    assert one.dtype == torch.float32
    moved = robot.to(dtype=torch.float32)
    assert moved.pi.dtype == torch.float32
    assert kinematics.crba(robot, [0, 1]).dtype == torch.float64


@by_robot
def test_every_batch_element_may_have_its_own_parameters(robot):
    q, v, a = kinematics.random_state(robot, 5)
    scales = torch.linspace(0.5, 1.5, 5, dtype=torch.float64)[:, None, None]
    varied = robot.replace(pi=robot.pi * scales)
    found = everything(varied, q, v, a)
    for k in range(5):
        scaled = robot.replace(pi=robot.pi * scales[k])
        for name, value in everything(scaled, q[k], v[k], a[k]).items():
            assert worst(found[name][k], value) < 1e-8, name


@by_robot
def test_gradients_reach_the_parameters(robot):
    """d tau / d pi is the regressor."""
    q, v, a = kinematics.random_state(robot, 3)
    pi = robot.pi.clone().requires_grad_()
    tau = kinematics.rnea(robot.replace(pi=pi), q, v, a)
    (gradient,) = torch.autograd.grad(tau.sum(), pi)
    Y = kinematics.regressor(robot, q, v, a).sum((0, 1))
    assert worst(gradient.flatten(), Y) < 1e-10
    small = kinematics.rnea(robot.replace(pi=pi), q[0], v[0], a[0])
    assert small.requires_grad


@pytest.mark.parametrize("function", ["aba", "rnea"])
def test_vmap_and_jacobians(function):
    robot = kinematics.random_tree(5, branching=0.6, seed=8, kinds=("revolute", "prismatic"))
    q, v, a = kinematics.random_state(robot, 4)
    f = getattr(kinematics, function)
    mapped = torch.func.vmap(lambda q, v, a: f(robot, q, v, a))(q, v, a)
    assert worst(mapped, f(robot, q, v, a)) < 1e-12
    jacobian = torch.func.vmap(torch.func.jacrev(lambda a, q, v: f(robot, q, v, a)))(a, q, v)
    H = kinematics.crba(robot, q)
    expected = torch.linalg.inv(H) if function == "aba" else H
    assert worst(jacobian, expected) < 1e-9
    forward = torch.func.jacfwd(lambda q: f(robot, q, v[0], a[0]))(q[0])
    backward = torch.autograd.functional.jacobian(lambda q: f(robot, q, v[0], a[0]), q[0])
    assert worst(forward, backward) < 1e-10


def test_gradcheck_first_and_second_order():
    robot = kinematics.random_tree(3, seed=5, kinds=("revolute", "spherical", "prismatic"))
    q, v, a = kinematics.random_state(robot, 1)
    x = [y[0].requires_grad_() for y in (q, v, a)]
    torch.autograd.gradcheck(lambda *s: kinematics.aba(robot, *s), x)
    torch.autograd.gradgradcheck(lambda *s: kinematics.rnea(robot, *s), x)


@pytest.mark.parametrize(
    ("name", "first"),
    [("double_pendulum", "eager"), ("double_pendulum", "compiled"), ("mimic", "compiled"),
     ("floating", "compiled")],
)  # fmt: skip
@pytest.mark.slow
def test_compiled_graph_is_whole_and_right(name, first):
    """Also for a robot that nothing was asked before: its constants are no part of the graph."""

    def made():
        if name == "double_pendulum":
            return kinematics.load(name).replace(damping=[0.1, 0.2], armature=[0.3, 0.0])
        if name == "mimic":
            return mimicking()
        return kinematics.random_tree(3, 0.5, 1, kinds=("revolute", "prismatic"), root="free")

    robot = made()
    q, v, a = kinematics.random_state(robot, 8)
    expected = kinematics.aba(robot, q, v, a)
    torch._dynamo.reset()
    whole = torch.compile(kinematics.aba, fullgraph=True, backend="aot_eager")
    asked = robot if first == "eager" else made()
    assert worst(whole(asked, q, v, a), expected) < 1e-12


def test_number_of_torch_calls_does_not_grow_with_branches(monkeypatch):
    from torch.utils._python_dispatch import TorchDispatchMode

    from kinematics.algorithms.aba import aba as recursion

    monkeypatch.setattr(inputs, "SMALL", 0)

    class Count(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.calls += 1
            return function(*args, **(kwargs or {}))

    def star(arms):
        one = kinematics.random_tree(1 + 2 * arms, seed=0, kinds=("revolute",))
        parents = [-1] + [0 if k % 2 == 0 else k for k in range(2 * arms)]
        return one.replace(parents=parents)

    counts = []
    for arms in (2, 8, 32):
        robot = star(arms)
        q, v, a = kinematics.random_state(robot, 10)
        recursion(robot, q, v, a)
        with Count() as count:
            recursion(robot, q, v, a)
            kinematics.crba(robot, q)
        counts.append(count.calls)
    assert counts[0] == counts[1] == counts[2]


def test_symbols_run_through_the_same_recursions():
    """A stand-in scalar that is only a float in disguise gives the numbers of the floats."""

    class Number:
        def __init__(self, x):
            self.x = float(x)

        def _of(operation):
            def apply(self, other):
                other = other.x if isinstance(other, Number) else float(other)
                return Number(operation(self.x, other))

            return apply

        __add__ = __radd__ = _of(lambda a, b: a + b)
        __mul__ = __rmul__ = _of(lambda a, b: a * b)
        __sub__ = _of(lambda a, b: a - b)
        __rsub__ = _of(lambda a, b: b - a)
        __truediv__ = _of(lambda a, b: a / b)
        __rtruediv__ = _of(lambda a, b: b / a)
        __neg__ = lambda self: Number(-self.x)  # noqa: E731
        sin = lambda self: Number(np.sin(self.x))  # noqa: E731
        cos = lambda self: Number(np.cos(self.x))  # noqa: E731
        tanh = lambda self: Number(np.tanh(self.x))  # noqa: E731

    def disguise(x):
        flat = np.array([Number(y) for y in x.reshape(-1).tolist()] + [None], dtype=object)[:-1]
        return flat.reshape(tuple(x.shape))

    def reveal(x):
        flat = [y.x if isinstance(y, Number) else float(y) for y in np.asarray(x).reshape(-1)]
        return torch.tensor(flat, dtype=torch.float64).reshape(np.shape(x))

    for robot in ROBOTS:
        q, v, a = (x[0] for x in kinematics.random_state(robot, 1))
        plain = everything(robot, q, v, a)
        disguised = everything(robot, *(disguise(x) for x in (q, v, a)))
        symbolic = everything(
            robot.replace(pi=disguise(robot.pi)), *(disguise(x) for x in (q, v, a))
        )
        for name, value in plain.items():
            if name == "centre":
                continue
            assert worst(reveal(disguised[name]), value) < 1e-8, name
            assert worst(reveal(symbolic[name]), value) < 1e-8, name
