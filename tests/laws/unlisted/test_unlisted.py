"""Laws that no list holds are found: where they act, on what they depend, and in which form."""

import json

import pytest
import sympy
import torch

import discover
import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import relative_error
from discover.laws import from_dict
from tests.bench.laws.lists import first
from tests.bench.laws.planting import plant

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
SOME = {
    "log² drag": {"v1"},
    "cos³ 2q": {"q2"},
    "product of angles": {"q1", "q2"},
    "wall at a point": {"x1", "jx1_2"},
    "inertia with energy": {"T", "h1"},
}
SLOW = ("log² drag", "cos³ 2q", "product of angles", "wall at a point", "inertia with energy")


@pytest.fixture(scope="module")
def robot():
    return kinematics.load("double_pendulum")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SOME],
)
def test_a_planted_law_is_written_down_and_holds_far_out(robot, name):
    planted = next(x for x in first.laws(robot) if x.name == name)
    model = plant(robot, planted, REGION)
    exam = discover.examine(model, robot, REGION)
    assert exam.verdict == "alternative law"
    words = {s.name for t in exam.law.terms for s in t.free_symbols}
    assert words >= SOME[name]
    states = sampling.shell(REGION.resolve(2), robot, 200, 2.5, 3.0, axis="joint", seed=11)
    assert relative_error(exam.law(*states), model(*states)) < 1e-4

    again = from_dict(json.loads(json.dumps(exam.law.to_dict())))
    assert torch.equal(again(*states), exam.law(*states))
    few = [x[:20].numpy() for x in states]
    compiled = torch.as_tensor(exam.law.compile()(*few))
    torch.testing.assert_close(compiled, exam.law(*states)[:20], rtol=1e-8, atol=1e-8)
    for target in ("sympy", "python", "torch", "c", "latex"):
        assert exam.law.export(target).strip()


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_nothing_is_found_in_rigid_bodies_under_noise(robot, seed):
    generator = torch.Generator().manual_seed(seed)

    def noisy(q, v, tau):
        a = kinematics.aba(robot, q, v, tau)
        return a + 0.05 * a.square().mean(0).sqrt() * torch.randn(
            a.shape, generator=generator, dtype=a.dtype
        )

    exam = discover.examine(noisy, robot, REGION)
    assert exam.verdict == "physics"
    assert exam.law.terms == []


def test_a_table_stands_in_formulas_by_its_name_and_is_written_out_exactly():
    from discover.laws.extensions.tabulated import Table

    table = Table("phi1", (-1.0, -0.2, 0.1, 0.8, 2.0), (0.3, -0.4, 0.2, 1.0, -1.0))
    z = sympy.Symbol("z", real=True)
    written = sympy.lambdify(z, table.written_out(z), "numpy")
    x = torch.linspace(-2, 3, 41, dtype=torch.float64)
    torch.testing.assert_close(table(x), torch.as_tensor(written(x.numpy())), rtol=0, atol=1e-12)
    assert str(table.function(z)) == "phi1(z)"
    assert Table.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_a_tautology_scores_nothing(robot):
    """tau · 1 beside a rigid body is 0 = 0 in disguise: it must not be ranked as an explanation."""
    from discover.blackbox.contract import Answers
    from discover.laws.rigid_body.family import Family
    from discover.laws.rigid_body.fit import fit
    from discover.laws.search.ranking import rank_pairs

    q, v, tau = sampling.sample(REGION.resolve(2), robot, 300, 3)
    a = kinematics.aba(robot, q, v, tau - torch.stack([torch.tanh(2 * v[:, 0]), 0 * v[:, 0]], -1))
    answers = Answers(q=q, v=v, tau=tau, a=a)
    ranked = rank_pairs(fit(Family.of(robot), answers), answers)
    assert ranked[0].feature.name == "v1"
    assert "joint 1" in ranked[0].direction.name
    share = {p.name: p.explained for p in ranked}
    constant = [s for n, s in share.items() if n == "force share on all joints, function of power"]
    assert constant[0] < 0.9
