"""Forces at a point that are simple in a frame of their own: winds, anchors, walls that lean."""

import pytest
import sympy
import torch

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.point_forces import points_in_frames
from discover.laws.search.residual_search import search_residual_forces
from discover.laws.search.variables import Point
from tests.bench.laws.planting import PlantedLaw, plant, tip

REGION = Region(q=1.0, v=2.0, tau=5.0)
PLACE = (0.15, 0.0, -0.55)
ROBOT = kinematics.load("double_pendulum")


def at_point(force):
    def shape(q, v, H):
        x, dx, J = tip(ROBOT, q, v, PLACE)
        return (J.mT @ force(x, dx).unsqueeze(-1)).squeeze(-1)

    return plant(ROBOT, PlantedLaw("x", "force", shape), REGION)


def wind(x, dx):
    dx = dx - torch.tensor([0.7, 0.0, -0.4], dtype=torch.float64)
    return dx * dx.norm(dim=-1, keepdim=True)


def band(x, dx):
    x = x - torch.tensor([-0.3, 0.0, -0.5], dtype=torch.float64)
    return x * torch.exp(-x.square().sum(-1, keepdim=True))


def leaning_wall(x, dx):
    normal = torch.tensor([0.8, 0.0, 0.6], dtype=torch.float64)
    return normal * torch.exp(3 * (x @ normal))[:, None]


def asked(model, n, seed):
    box = REGION.resolve(2)
    inside = sampling.sample(box, ROBOT, n, seed)
    outside = sampling.shell(box, ROBOT, n, 1.0, 2.0, axis="joint", seed=seed)
    states = [torch.cat(pair) for pair in zip(inside, outside, strict=True)]
    return Answers(q=states[0], v=states[1], tau=states[2], a=model(*states))


@pytest.mark.parametrize(
    ("force", "ending", "frame", "wanted"),
    [
        (wind, "in a flow", "flow", (0.7, 0.0, -0.4)),
        pytest.param(band, "from an anchor", "origin", (-0.3, 0.0, -0.5), marks=pytest.mark.slow),
        pytest.param(
            leaning_wall, "in axes turned by its place", "turn", None, marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.slow
def test_the_law_is_found_in_its_own_frame(force, ending, frame, wanted):
    model = at_point(force)
    answers, held = asked(model, 250, 1), asked(model, 130, 2)
    base = fit(Family.of(ROBOT), answers)
    found = search_residual_forces(
        base, answers, held, floor=1e-4, limit=1, engine="sparse"
    ).best.fit
    (term,) = found.family.terms
    assert ending in term.name
    assert term.points[0].place == pytest.approx(PLACE, abs=0.02)
    if wanted is not None:
        assert getattr(term.points[0], frame) == pytest.approx(wanted, abs=0.05)
    assert found.standardised_error(held) < 2e-3


def test_a_point_is_placed_by_the_field_at_it_though_the_bodies_were_pulled_away():
    answers = asked(at_point(wind), 250, 1)
    framed = points_in_frames(fit(Family.of(ROBOT), answers), answers)
    flowing = next(f for f in framed if "flow" in f.name)
    assert flowing.point.place == pytest.approx(PLACE, abs=0.02)


def test_a_point_and_its_frame_are_kept_and_read_back():
    point = Point(1, (0.1, 0.2, 0.3), origin=(1.0, 2.0, 3.0), turn=(0.0, 0.5, 0.0))
    term = Term(name="x", shape=(sympy.Integer(0),) * 2, points=(point, Point(0, (0.0, 0.0, 1.0))))
    assert Term.from_dict(term.to_dict()) == term
    assert point.moved([2 * x for x in point.numbers]).origin == (2.0, 4.0, 6.0)
    assert "anchor" in point.in_words
