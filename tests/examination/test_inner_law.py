"""A law that was found in the region alone competes for the answers outside."""

import torch

import discover
import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.calibration.planted.alternatives import with_force
from discover.examination import resolution as power
from discover.examination.fits import Laws, with_inner_law
from discover.laws.extensions.terms import library
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.selection import refit

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0).resolve(2)


def drag(q, v):
    return torch.stack([torch.zeros_like(v[:, 1]), 0.4 * v[:, 1] * v[:, 1].abs()], -1)


def asked(inner, outer, n, seed):
    states = sampling.shell(REGION, ROBOT, n, inner, outer, seed=seed)
    a = with_force(ROBOT, drag)(*states)
    return Answers(q=states.q, v=states.v, tau=states.tau, a=a)


def laws_of(extended=None):
    inside, near = asked(0.0, 1.0, 80, 1), asked(1.0, 2.0, 40, 2)
    wide, tested = Answers.concat([inside, near]), asked(0.0, 2.0, 40, 3)
    physics = fit(Family.of(ROBOT), wide)
    far = [asked(2.0, 3.0, 20, 4)]
    return Laws(
        local=fit(Family.of(ROBOT), inside),
        physics=physics,
        extended=physics if extended is None else extended,
        inside=inside,
        near=near,
        wide=wide,
        between=[],
        sets=power.Sets(inside=inside, tested=tested, far=far),
        tried=(physics,),
    )


def test_the_law_of_the_region_is_taken_where_it_is_closer_outside():
    laws = laws_of()
    names = [t for t in library(ROBOT) if t.name == "quadratic drag, joint 2"]
    inner = refit(laws.local, laws.inside, names)
    found = with_inner_law(laws, inner)
    assert found.extended.standardised_error(laws.sets.far[0]) < 1e-6
    assert len(found.tried) == len(laws.tried) + 1


def test_it_is_not_taken_where_it_is_no_closer():
    laws = laws_of()
    names = [t for t in library(ROBOT) if t.name == "quadratic drag, joint 2"]
    right = refit(laws.physics, laws.wide, names)
    laws = laws_of(right)
    assert with_inner_law(laws, laws.local) is laws
