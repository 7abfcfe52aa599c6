"""Laws that define the resolution and laws on which it is scored are of disjoint families.

Of the same family: the same force direction times the same function, up to the numbers in it and up
to what bodies with joint terms make up for.
"""

import numpy as np
import pytest
import sympy
import torch

import kinematics
from discover.calibration import scoring
from discover.calibration.planted import alternatives, catalogue
from discover.calibration.records import Record
from discover.examination.resolution import _unlisted
from discover.judgement.verdict import ANSWERS
from discover.laws.extensions.terms import forces, joint_terms, library
from discover.laws.rigid_body.family import Family

SAME = 0.02  # relative error at which two functions are the same
_SCALES = np.geomspace(0.4, 2.5, 41)  # tried for the numbers inside a defining function


@pytest.fixture(scope="module", params=["double pendulum", "planar 3R"])
def setting(request):
    return catalogue.SETTINGS[request.param]()


def families(setting):
    """For each scored law, the names of the defining terms of the same family."""
    robot = setting.robot
    q, v, tau = setting.samples(400)
    a = kinematics.aba(robot, q, v, tau)
    plain = Family.of(robot, joint_terms(robot))
    bodies = kinematics.regressor(robot, q, v, a) @ plain.basis
    known = torch.cat([bodies, forces(joint_terms(robot), q, v, a, tau, robot)], -1)
    basis = np.linalg.qr(known.flatten(0, 1).numpy())[0]

    def beyond(columns):
        flat = columns.reshape(-1, *columns.shape[2:]).reshape(basis.shape[0], -1)
        return flat - basis @ (basis.T @ flat)

    defining = [*library(robot), *_unlisted(robot, setting.region)]
    columns = {}
    for term in defining:
        numbers = set().union(*(row.atoms(sympy.Float) for row in term.shape))
        scales = _SCALES if numbers else [1.0]
        varied = [
            term.__class__(
                name=term.name,
                shape=tuple(row.xreplace({x: x * s for x in numbers}) for row in term.shape),
            )
            for s in scales
        ]
        columns[term.name] = beyond(forces(varied, q, v, a, tau, robot).numpy())
    scored = {kind: shape(q, v) for kind, shape in alternatives.forces(setting).items()}
    scored |= {kind: shape(q, v) * a for kind, shape in alternatives.inertias(setting).items()}
    others = {
        "weight unlike inertia": kinematics.bias(robot, q, 0 * v),
        "altered speed products": kinematics.bias(robot, q, v) - kinematics.bias(robot, q, 0 * v),
        "saturated actuators": tau - torch.tanh(tau),
    }
    same = {}
    for kind, force in (scored | others).items():
        y = beyond(force.numpy()[..., None])[:, 0]
        same[kind] = []
        for name, tried in columns.items():
            size = np.square(tried).sum(0)
            usable = size > 1e-9 * np.square(y).sum()
            left = 1 - (y @ tried[:, usable]) ** 2 / size[usable] / (y @ y)
            if usable.any() and left.min() < SAME**2:
                same[kind].append(name)
    return same


def test_the_laws_that_define_the_resolution_are_those_that_say_so(setting):
    same = families(setting)
    assert {kind for kind, names in same.items() if names} == alternatives.DEFINE_RESOLUTION
    assert len(same) > len(alternatives.DEFINE_RESOLUTION)


def test_only_other_families_are_counted_against_the_resolution():
    def called_physics(kind: str) -> scoring.Judged:
        record = Record(
            name=kind, robot="r", nv=2, kind=kind, truth="alternative law", strength="strong",
            noise="clean", edges={}, departure=0.5, answer="", confidence=0.0, evidence=[],
            reach={}, resolution=(0.05, 0.1), queries=10, seconds=1.0, budget="standard", seed=0,
            instrument="",
        )  # fmt: skip
        return scoring.Judged(
            record=record, answer="physics", confidence=0.6, probabilities=np.zeros(len(ANSWERS))
        )

    def counted(kind: str) -> str:
        claims = scoring.claims([called_physics(kind)])
        return next(c.figure for c in claims if "larger than the stated resolution" in c.what)

    assert counted("curl force").startswith("1 of 1")
    assert counted("cubic spring") == "none"
