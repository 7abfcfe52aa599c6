"""Networks run again from the middle: traced, hooked, from files."""

import pytest
import torch
from torch import nn

import kinematics
from discover import models
from discover.blackbox.region import Region
from discover.blackbox.sampling import sample
from discover.errors import ModelError
from discover.inside.look_inside import look_inside
from discover.inside.network.capture import Hooked, Traced, captured, read, written
from discover.inside.network.opening import opened
from discover.inside.pairs import drawn
from discover.inside.sites import chosen
from discover.models.registry import build_for
from tests.inside.plants import ExactElimination

ROBOT = kinematics.load("double_pendulum")
REGION = Region(q=1.0, v=2.0, tau=5.0).resolve(2)
ROWS = 251


class Own(nn.Module):
    """Somebody's network: a residual without a module of its own, one module used twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.shared = nn.Linear(6, 16), nn.Linear(16, 16)
        self.last = nn.Linear(16, 2)

    def forward(self, q, v, tau):
        x = torch.tanh(self.first(torch.cat((q, v, tau), dim=-1)))
        for _ in range(2):
            x = x + torch.tanh(self.shared(x))
        return self.last(x)


class Branching(Own):
    """The same, with a branch on values that no trace can follow."""

    def forward(self, q, v, tau):
        answer = super().forward(q, v, tau)
        return answer if float(q.abs().max()) < 1e9 else -answer


def states(seed=0):
    return sample(REGION, ROBOT, ROWS, seed, dtype=torch.float32)


def assert_patches(graph, module, sites):
    """A site's own values change nothing; those of other states carry all, where all pass it."""
    b, s = states(1), states(2)
    at_b, at_s = graph.run(b), graph.run(s)
    torch.testing.assert_close(graph.output(at_b).float(), module(*b).detach().float())
    for site in sites:
        own, other = read(site, at_b, ROWS), read(site, at_s, ROWS)
        assert own.shape == (ROWS, site.width)
        same = graph.again(at_b, written(site, own, ROWS))
        torch.testing.assert_close(same, graph.output(at_b))
        if site.alone:
            moved = graph.again(at_b, written(site, other, ROWS))
            torch.testing.assert_close(moved, graph.output(at_s))


def test_functional_residuals_and_shared_modules_have_sites():
    net = Own()
    graph, remark = captured(net, ROWS, 2, torch.float32)
    assert isinstance(graph, Traced)
    assert remark == ""
    sites, _ = chosen(graph, drawn(graph, ROBOT, REGION, 0), None)
    assert [s.width for s in sites] == [16, 16, 16]  # after each residual sum, and before
    assert all(s.alone for s in sites)
    assert_patches(graph, net, graph.candidates())
    assert all(p.requires_grad for p in net.parameters())  # the user's network is left as it was


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", "gnn", "transformer", "delan"])
def test_families_of_ours_are_traced(family):
    model = build_for(ROBOT, family)
    found = opened(model, ROBOT, None, None)
    graph, _ = captured(found.module, ROWS, 2, found.dtype)
    assert isinstance(graph, Traced)
    b = sample(REGION, ROBOT, ROWS, 0)
    torch.testing.assert_close(graph.output(graph.run(b)), model(*b))
    assert any(s.width > 2 for s in graph.candidates())


def test_what_cannot_be_traced_is_hooked():
    net = Branching()
    graph, remark = captured(net, ROWS, 2, torch.float32)
    assert isinstance(graph, Hooked)
    assert "hooks" in remark
    names = [s.name for s in graph.candidates()]
    assert names == ["first"]  # `shared` is called twice, `last` is the answer
    assert_patches(graph, net, graph.candidates())


def test_the_simulator_itself_can_be_looked_into():
    """What it computes once and keeps is computed before it is traced."""
    net = ExactElimination(ROBOT, "tip-first")
    graph, _ = captured(net, ROWS, 2, torch.float64)
    assert isinstance(graph, Traced)
    widths = [s.width for s in graph.candidates() if s.alone]
    assert widths.count(5) >= 4  # between its steps all passes through five numbers


def test_a_network_without_layers_that_cannot_be_traced_is_refused_in_one_line():
    class Formula(nn.Module):
        def forward(self, q, v, tau):
            return tau * float(q.abs().max())

    with pytest.raises(ModelError, match="sites cannot be addressed") as caught:
        captured(Formula(), ROWS, 2, torch.float64)
    assert "\n" not in str(caught.value)


def test_sites_are_named_and_unknown_names_refused():
    graph, _ = captured(Own(), ROWS, 2, torch.float32)
    assert graph.named(["shared"])[0].width == 16
    with pytest.raises(ModelError, match=r"expected one of .*shared"):
        graph.named(["hidden"])


def file_of(kind, folder):
    net = Own().eval()
    example = tuple(torch.zeros(ROWS, 2) for _ in range(3))
    path = folder / f"net.{kind}"
    if kind == "pt2":
        torch.export.save(torch.export.export(net, example), path)
    elif kind == "pt":
        torch.jit.trace(net, example).save(str(path))
    else:
        torch.onnx.export(net, example, str(path), dynamo=False, input_names=["q", "v", "tau"])
    return net, path


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("pt2", marks=pytest.mark.slow),
        pytest.param("pt", marks=pytest.mark.slow),
        "onnx",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_files_are_opened_as_graphs(kind, tmp_path):
    net, path = file_of(kind, tmp_path)
    found = opened(models.load(path, nv=2, nq=2), ROBOT, None, None)
    graph, _ = captured(found.module, found.rows or ROWS, 2, found.dtype)
    assert isinstance(graph, Traced)
    b = states(3)
    torch.testing.assert_close(graph.output(graph.run(b)).float(), net(*b).detach())
    site = next(s for s in graph.candidates() if s.width == 16)
    place = read(site, graph.run(b), ROWS).clone().requires_grad_(True)
    graph.again(graph.run(b), written(site, place, ROWS)).sum().backward()
    assert place.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda q, v, tau: tau, "expected a torch.nn.Module"),
        ("nowhere.pt2", "no such file"),
    ],
)
def test_what_has_no_layers_is_refused(network, message):
    with pytest.raises(ModelError, match=message):
        look_inside(network, ROBOT, REGION)


def test_arguments_are_checked():
    net = Own()
    with pytest.raises(ModelError, match="one coordinate a joint"):
        look_inside(net, kinematics.load("double_pendulum", root="free"), Region(q=1, v=1, tau=1))
    with pytest.raises(ModelError, match="variables"):
        look_inside(net, ROBOT, REGION, variables=("energies",))
