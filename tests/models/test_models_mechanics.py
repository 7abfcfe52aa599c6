"""The families made of mechanics: their equations are those of their energies, on any joints."""

from __future__ import annotations

import pytest
import torch
from small_models import OPTIONS
from small_systems import Rows, Split, dataset, double_pendulum, rows
from torch import nn
from torch.func import hessian, jacrev, jvp, vjp, vmap

import kinematics
from discover import models
from discover.models.layout import Layout, advance, features, left_derivatives
from discover.models.networks import SMOOTH, SmoothNet, Tape
from discover.training.loop import TrainingConfig
from discover.training.train import train


def states(n: int = 6):
    part = rows(double_pendulum, 2, n, 3)
    return part.q, part.v, part.tau


def lagrange(lagrangian, q, v, tau):
    """Accelerations by automatic differentiation of one state's L(q, v): the textbook form."""

    def one(q, v, tau):
        mass = hessian(lagrangian, argnums=1)(q, v)
        mixed = jacrev(jacrev(lagrangian, argnums=1), argnums=0)(q, v)
        force = tau + jacrev(lagrangian, argnums=0)(q, v) - mixed @ v
        return torch.linalg.solve(mass, force)

    return vmap(one)(q, v, tau)


@pytest.mark.parametrize("kind", ["delan", "hnn", "lnn"])
@pytest.mark.parametrize("trig", [False, True])
def test_answers_are_the_euler_lagrange_equation(kind, trig):
    model = models.build(kind, 2, 2, {**OPTIONS[kind], "trig": trig}, seed=4)
    data = dataset(double_pendulum, 2, 256)
    train(model, data, config=TrainingConfig(epochs=3, batch=64))
    q, v, tau = states()

    def lagrangian(q, v):
        if kind == "lnn":
            return model.lagrangian(q[None], v[None])[0]
        kinetic = 0.5 * v @ model.mass_matrix(q[None])[0] @ v
        return kinetic - model.potential(q[None])[0]

    expected = lagrange(lagrangian, q, v, tau)
    torch.testing.assert_close(model(q, v, tau), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["delan", "hnn"])
def test_friction_takes_power_and_nothing_else_does(kind):
    """Power balance: dE/dt = tau.v - v.D v, whatever the weights."""
    model = models.build(kind, 2, 2, {**OPTIONS[kind], "friction": True}, seed=1)
    q, v, tau = states(20)
    q, v = q.requires_grad_(), v.requires_grad_()
    mass = model.mass_matrix(q)
    energy = 0.5 * torch.einsum("bi,bij,bj->b", v, mass, v) + model.potential(q)
    by_q, by_v = torch.autograd.grad(energy.sum(), (q, v))
    rate = (by_q * v + by_v * model(q, v, tau)).sum(-1)
    power = ((tau - model.friction() * v) * v).sum(-1)
    torch.testing.assert_close(rate, power)
    assert float(torch.linalg.eigvalsh(mass.detach()).min()) > 0


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("depth", [0, 2])
def test_derivatives_written_out_are_those_of_automatic_differentiation(activation, depth):
    torch.manual_seed(0)
    net = SmoothNet(4, 3, 8, depth, activation).double()
    x, dx, dy = torch.randn(5, 4), torch.randn(5, 2, 4), torch.randn(5, 3)
    x, dx, dy = x.double(), dx.double(), dy.double()
    tape = net(x)
    found, pushed = net.push(tape, dx)
    expected = [jvp(lambda x: net(x).out, (x,), (dx[:, k],))[1] for k in range(2)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    pull = lambda x: vjp(lambda x: net(x).out, x)[1](dy)[0]  # noqa: E731
    found, pulled = net.pull(tape, dy)
    torch.testing.assert_close(found, pull(x))
    expected = [jvp(pull, (x,), (dx[:, k],))[1] for k in range(2)]
    torch.testing.assert_close(net.push_pull(tape, pushed, pulled), torch.stack(expected, dim=1))


def turned(layout: Layout, n: int, half: float = 0.7) -> torch.Tensor:
    """Random configurations (n, nq), all quaternions of unit length."""
    zero = torch.zeros(n, layout.nq, dtype=torch.float64)
    for kind, iq, _ in layout.joints():
        if kind in ("spherical", "free"):
            zero[:, iq.stop - 4] = 1.0
    return advance(layout, zero, half * torch.randn(n, layout.nv, dtype=torch.float64))


@pytest.mark.parametrize("trig", [False, True])
def test_rates_of_features_are_those_of_moving(trig):
    torch.manual_seed(1)
    layout = Layout.of(("free", "revolute", "spherical", "prismatic"), (-1, 0, 1, 2))
    q = turned(layout, 4)
    x, rates = left_derivatives(layout, q, trig)
    torch.testing.assert_close(x, features(layout, q, trig))

    def moved(step):
        return features(layout, advance(layout, q, step.expand(4, -1)), trig)

    eye = 1e-6 * torch.eye(layout.nv, dtype=torch.float64)
    expected = torch.stack([(moved(e) - moved(-e)) / 2e-6 for e in eye], dim=1)
    torch.testing.assert_close(rates, expected, rtol=0, atol=1e-8)


class Planted(nn.Module):
    """Any function (n_in,) -> (n_out,) in the place of a network."""

    def __init__(self, function):
        super().__init__()
        self.function = vmap(function)

    def forward(self, x):
        return Tape(self.function(x), [x], [])

    def push(self, tape, dx):
        (x,) = tape.slopes
        dy = [jvp(self.function, (x,), (dx[:, k],))[1] for k in range(dx.shape[1])]
        return torch.stack(dy, dim=1), dx

    def pull(self, tape, dy):
        (x,) = tape.slopes
        return vjp(self.function, x)[1](dy)[0], (x, dy)

    def push_pull(self, tape, pushed, pulled):
        x, dy = pulled

        def gradient(x):
            return vjp(self.function, x)[1](dy)[0]

        change = [jvp(gradient, (x,), (pushed[:, k],))[1] for k in range(pushed.shape[1])]
        return torch.stack(change, dim=1)


def configuration(layout: Layout, x: torch.Tensor) -> torch.Tensor:
    """The configuration with features x: the inverse of `features` without sines and cosines."""
    parts, start = [], 0
    for kind, iq, _ in layout.joints():
        wide = {"free": 12, "spherical": 9}.get(kind, iq.stop - iq.start)
        own, start = x[start : start + wide], start + wide
        if kind in ("free", "spherical"):
            r = own[-9:]
            w = 0.5 * torch.sqrt(1 + r[0] + r[4] + r[8])
            axis = torch.stack((r[7] - r[5], r[2] - r[6], r[3] - r[1])) / (4 * w)
            own = torch.cat((own[:-9], w[None], axis))
        parts.append(own)
    return torch.cat(parts)


@pytest.mark.parametrize("kind", ["delan", "hnn", "lnn"])
def test_true_energies_give_the_simulator_s_accelerations_on_quaternions(kind):
    """With the robot's own mass matrix and potential in the place of the networks, a free base
    and a ball joint answer as the simulator does: Hamel's equations are right."""
    torch.manual_seed(2)
    robot = kinematics.random_tree(
        3, branching=0.4, seed=1, kinds=("spherical", "revolute"), root="free"
    )
    layout = Layout.of(robot.kinds, robot.parents)
    assert {"free", "spherical"} <= set(robot.kinds)
    n = layout.nv
    model = models.build(kind, layout.nq, n, kinds=robot.kinds, parents=robot.parents)

    def energies(x):
        q = configuration(layout, x)
        return kinematics.crba(robot, q), kinematics.potential_energy(robot, q)

    def factors(x):
        mass, potential = energies(x)
        matrix = torch.linalg.inv(mass) if kind == "hnn" else mass
        L = torch.linalg.cholesky(matrix)
        raw = torch.log(torch.expm1(L.diagonal() - model.config.smallest_inertia)) - 0.54
        return torch.cat((raw, L[model.tril[0], model.tril[1]], potential[None]))

    def lagrangian(x):
        (mass, potential), v = energies(x[:-n]), x[-n:]
        own = 0.5 * v.square().sum()  # the model adds it
        return (0.5 * v @ mass @ v - potential - own)[None]

    model.net = Planted(lagrangian if kind == "lnn" else factors)
    q = turned(layout, 5)
    v, tau = (torch.randn(5, n, dtype=torch.float64) for _ in "vt")
    torch.testing.assert_close(model(q, v, tau), kinematics.aba(robot, q, v, tau))


@pytest.mark.parametrize("kind", ["delan", "hnn", "lnn"])
def test_free_bases_are_learned(kind):
    """A thrown body with one joint: a short training already says much."""
    robot = kinematics.random_tree(1, seed=3, kinds=("revolute",), root="free")
    layout = Layout.of(robot.kinds, robot.parents)
    torch.manual_seed(0)
    parts = {}
    for name, count in {"train": 1024, "validation": 256}.items():
        q = turned(layout, count, 0.4)
        v, tau = (torch.randn(count, layout.nv, dtype=torch.float64) for _ in "vt")
        parts[name] = Rows(q=q, v=v, tau=tau, a=kinematics.aba(robot, q, v, tau))
    model = models.build(kind, layout.nq, layout.nv, kinds=robot.kinds, parents=robot.parents)
    result = train(model, Split(parts), config=TrainingConfig(epochs=8, batch=64), device="cpu")
    assert result.metrics["validation_error"] < 0.5 * result.history[0]["validation"]
