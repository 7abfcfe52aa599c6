"""Whole looks at planted networks: exchanges are found where planted, and nowhere else."""

import pytest
import torch

import discover
import kinematics
from discover.blackbox.sampling import sample
from discover.cli import main
from discover.inside import counterfactuals as physics
from discover.inside.measuring import Bench
from discover.inside.network.capture import captured
from discover.inside.pairs import apart, drawn
from discover.inside.records import YES
from discover.inside.result import load
from tests.inside.plants import DeadIntermediates, ExactElimination, Untrained

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.5, v=2.0, tau=5.0).resolve(2)


def bench_of(net, seeds=2):
    graph, _ = captured(net, 251, ROBOT.nv, torch.float64)
    sites = [s for s in graph.candidates() if s.alone and s.width == 5]
    pairs = drawn(graph, ROBOT, REGION, 0)
    return Bench(graph, ROBOT, pairs, sites, seeds, 0)


@pytest.mark.slow
def test_an_oblique_plant_is_met_exactly_and_no_rival_is():
    """After the elimination from the tip, its pivots can be exchanged, those from the base not; the
    mixing is oblique (condition 10), so no orthogonal patch would do."""
    bench = bench_of(ExactElimination(ROBOT, physics.TIP_FIRST, 10.0), seeds=1)
    factors = {v.name: v for v in physics.factors(ROBOT)}
    own, rival = factors["pivots, tip-first"], factors["last pivot, base-first"]
    site = bench.sites[1]  # the joint at the tip is eliminated
    found = []
    for variable, other in ((own, rival), (rival, own)):
        problem = bench.problem(variable, site)
        exchange = bench.fitted(problem, variable, (1,))
        missed = problem.mean_square(bench.pairs.test, exchange.E, exchange.D)
        found.append(1 - missed / apart(variable, [other], bench.pairs))
    assert found[0] > 0.95
    assert found[1] < 0.5


def test_a_scrambled_network_comes_back():
    from discover.inside.controls import scrambled

    bench = bench_of(ExactElimination(ROBOT, physics.TIP_FIRST))
    pair = bench.pairs.test[0]
    before = bench.network.output(bench.network.run(pair.base))
    with scrambled(bench.network, 0) as has_weights:
        assert has_weights
        during = bench.network.output(bench.network.run(pair.base))
    after = bench.network.output(bench.network.run(pair.base))
    assert not torch.allclose(before, during)
    assert torch.equal(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [Untrained, DeadIntermediates])
def test_what_uses_nothing_is_not_said_to(plant):
    net = plant(ROBOT, tuple(sample(REGION, ROBOT, 3000, 5)))
    report = discover.look_inside(net, ROBOT, REGION, variables=("roles",))
    assert report.claim("uses", "H").answer != YES
    if plant is DeadIntermediates:  # decodable, and read by nobody
        assert report.claim("encodes", "H").answer == YES


@pytest.mark.slow
def test_a_plant_is_named_with_its_order():
    net = ExactElimination(ROBOT, physics.TIP_FIRST, 3.0)
    report = discover.look_inside(net, ROBOT, REGION, budget_s=900)
    assert report.claim("follows", physics.TIP_FIRST).answer == YES
    assert report.claim("follows", physics.BASE_FIRST).answer != YES


@pytest.mark.slow
def test_a_short_look_says_what_it_did_not_reach_and_is_stored(tmp_path):
    net = Untrained(ROBOT, tuple(sample(REGION, ROBOT, 1000, 5)))
    report = discover.look_inside(net, ROBOT, REGION, budget_s=0.01)
    assert any("not reached within the budget" in n for n in report.notes)
    page = report.save(tmp_path)
    assert "not reached" in page.read_text()
    assert (tmp_path / "inside_map.png").exists()
    assert load(tmp_path) == report


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    (tmp_path / "region.toml").write_text("q = 1.0\nv = 1.0\ntau = 1.0\n")
    given = ["inside", "--model", "missing.pt2", "--robot", "double_pendulum"]
    given += ["--region", str(tmp_path / "region.toml"), "--out", str(tmp_path / "out")]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "no such file" in said
    assert said.count("\n") == 1
