"""The front of a law, and the evidence for its parts, on a drag that is known to be there."""

import json
import math
from dataclasses import replace

import pytest
import sympy
import torch

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.laws import RigidBodyLaw, from_dict
from discover.laws.extensions.terms import library
from discover.laws.near_ties import front_laws, near_ties_of
from discover.laws.pareto import candidate, with_distinguishing_queries
from discover.laws.parts import front_of_fits, part_evidence
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.samples import sample_law
from discover.report.law_figures import samples

DRAG = 0.3


@pytest.fixture(scope="module")
def law():
    robot = kinematics.load("double_pendulum")
    generator = torch.Generator().manual_seed(3)

    def answers(n, width):
        q, v, tau = (
            width * s * (2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1)
            for s in (1.0, 2.0, 5.0)
        )
        drag = DRAG * v * v.abs() * torch.tensor([1.0, 0.0])
        return Answers(q=q, v=v, tau=tau, a=kinematics.aba(robot, q, v, tau - drag))

    inside, held, fresh = answers(200, 1.0), answers(80, 1.0), answers(80, 3.0)
    drag = [t for t in library(robot) if t.name == "quadratic drag, joint 1"]
    idle = [t for t in library(robot) if t.name == "cubic spring, joint 2"]
    plain = fit(Family.of(robot), inside)
    right = fit(Family.of(robot, drag), inside)
    both = fit(Family.of(robot, [*drag, *idle]), inside)
    front = front_of_fits([both, right, plain], held, fresh)
    rivals = [candidate(f, float(k), held) for k, f in enumerate((right, both))]
    states = Batch(fresh.q, fresh.v, fresh.tau)
    return replace(
        RigidBodyLaw.from_fit(right),
        near_ties=near_ties_of(with_distinguishing_queries(rivals, states), RigidBodyLaw.from_fit),
        samples=(sample_law(right, held, "inside"), sample_law(right, fresh, "far")),
        parts=part_evidence(right, inside, held, fresh),
        pareto_front=front_laws(front, RigidBodyLaw.from_fit),
    )


def test_the_front_goes_from_short_to_long_and_each_member_answers(law):
    assert [m.size for m in law.pareto_front] == sorted(m.size for m in law.pareto_front)
    bodies, drag = law.pareto_front[0], law.pareto_front[1]
    assert bodies.size == 0
    assert not any(bodies.expression)
    v1 = sympy.Symbol("v1", real=True)
    difference = drag.expression[0] - DRAG * v1 * sympy.Abs(v1)
    assert abs(float(difference.subs(v1, 1.7))) < 1e-9
    assert drag.error_inside < 1e-12 < 1e-2 < bodies.error_far
    state = [torch.full((1, 2), x, dtype=torch.float64) for x in (0.3, 1.0, 0.5)]
    torch.testing.assert_close(drag.law(*state), law(*state))


def test_parts_are_explained_by_place_name_and_expression(law):
    part = law.explain("quadratic drag")
    assert law.explain(-1) is part
    assert law.explain(law.terms[0]) is part
    assert law.explain("gravity") is law.parts[2]
    assert part.error_with < 1e-12 < 1e-2 < part.error_without
    assert part.gain > 100
    assert part.spread < 1e-6
    assert part.refitted
    assert "fitted again" in str(part)
    # The mean of v⁴ over ±2 is 16/5; the other joint carries nothing.
    assert part.contribution == pytest.approx(DRAG * math.sqrt(16 / 5 / 2), rel=0.15)
    with pytest.raises(ValueError, match=r"expected a part of this law \(inertia; velocity"):
        law.explain("muscle")


def test_fronts_and_accounts_are_kept_with_the_law(law):
    record = json.loads(json.dumps(law.to_dict()))
    again = from_dict(record)
    assert json.dumps(again.to_dict()) == json.dumps(record)
    assert str(again.explain("gravity")) == str(law.explain("gravity"))


def test_near_laws_are_told_with_the_question_that_tells_them_apart(law):
    (near,) = law.near_ties
    assert near.bits == pytest.approx(1 / math.log(2))
    assert set(near.query) == {"q", "v", "tau"}
    assert "q2**3" in near.formula
    assert f"{near.difference:.2g}" in str(near)


def test_samples_stand_beside_answers_and_are_drawn(law):
    for shown in law.samples:
        torch.testing.assert_close(torch.tensor(shown.law), torch.tensor(shown.model))
        (drag,) = shown.terms
        assert (drag["joint"], drag["along"]) == (1, "v1")
        v = torch.tensor(drag["values"])
        torch.testing.assert_close(torch.tensor(drag["force"]), DRAG * v * v.abs())
    figure = samples(law.to_dict()["samples"])
    assert len(figure.axes) == 3
    assert samples([]) is None


def test_symbols_have_units_and_readable_names(law):
    assert law.units["v1"] == "rad/s"
    assert law.units["H1_2"] == "kg·m²"
    assert law.units["p1"] == "N·m·s"
    written = law.terms[0].xreplace(law.names)
    assert {s.name for s in written.free_symbols} == {"v_shoulder"}
