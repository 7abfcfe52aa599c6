"""What an exchange may read and where it may write: a bias force that is read in a sum only is
found, a mass matrix that nobody reads is not."""

import pytest
import torch

import discover
import kinematics
from discover.inside import counterfactuals as physics
from discover.inside.frames import basis
from discover.inside.measuring import Bench
from discover.inside.network.capture import Hooked
from discover.inside.pairs import drawn
from discover.inside.projection import WIDE, own_width, patched_answer, probe_start, raced
from tests.inside.plants import ConstantInertia, Summed

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.5, v=2.0, tau=5.0).resolve(2)
ROLES = {v.name: v for v in physics.roles()}


def bench_of(net):
    """By hooks: nothing is traced, which is what takes long."""
    graph = Hooked(net, 251, ROBOT.nv, torch.float64)
    return Bench(graph, ROBOT, drawn(graph, ROBOT, REGION, 0), graph.named(["mixed"]), 1, 0)


@pytest.fixture(scope="module")
def summed():
    return bench_of(Summed(ROBOT))


def test_what_is_not_read_is_not_written(summed):
    (site,) = summed.sites
    found = basis(patched_answer(summed.network, site), site, summed.pairs, summed.network)
    assert site.width == 8  # H, C, tau; of H one number varies
    assert (found.read_by_output, found.read.shape[1], found.never_vary) == (3, 5, 3)
    assert not found.write[:, 3:].any()
    z = summed.problem(ROLES["C"], site).coordinates(summed.pairs.train)
    torch.testing.assert_close(torch.cov(z.T), torch.eye(5).double(), atol=0.15, rtol=0)


def test_the_bias_force_is_exchanged_though_only_its_sum_with_tau_is_read(summed):
    (site,) = summed.sites
    row = summed.cell(ROLES["C"], site, [])
    assert row.S > 0.999
    assert WIDE in row.start
    narrow = summed.problem(ROLES["C"], site)
    narrow.read = narrow.read[:, : narrow.r]
    at = [p.at_base for p in summed.pairs.train]
    kept = torch.cat([ROLES["C"].kept(m) for m in at])
    trial = raced(narrow, ROLES["C"].forms(at), kept, 1, 0, ())[0]
    assert trial.held < 0.9  # what is called used begins there


def test_the_mass_matrix_is_read_narrowly_and_met(summed):
    (site,) = summed.sites
    row = summed.cell(ROLES["H"], site, [])
    assert row.S > 0.999
    assert WIDE not in row.start


def test_a_mass_matrix_that_nobody_reads_is_not_exchanged():
    bench = bench_of(ConstantInertia(ROBOT))
    row = bench.cell(ROLES["H"], bench.sites[0], [], ended=False)
    assert row.S < 0.3


def test_a_start_that_keeps_the_rest_moves_nothing_else():
    """V and W go together on data; the probe's own direction drags W along."""
    generator = torch.Generator().manual_seed(1)
    V = torch.randn(400, 1, generator=generator, dtype=torch.float64)
    W = V + 0.5 * torch.randn(400, 1, generator=generator, dtype=torch.float64)
    mix = torch.linalg.qr(torch.randn(2, 2, generator=generator, dtype=torch.float64))[0]
    z = torch.cat((V, W), dim=-1) @ mix
    moved = [
        float((mix @ D)[1, 0].abs() / (mix @ D)[0, 0].abs())
        for D in (probe_start(z, V, 1)[0], probe_start(z, V, 1, W)[0])
    ]
    assert moved[0] > 0.5
    assert moved[1] < 1e-3


def test_a_variable_has_the_width_of_its_independent_numbers():
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert own_width(torch.cat((x, x @ torch.ones(2, 3).double(), torch.ones(300, 1)), -1)) == 2
