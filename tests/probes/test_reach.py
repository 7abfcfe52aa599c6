"""The reach of a law is never contradicted by its own error curve."""

from __future__ import annotations

import math
import random

import torch

import discover
import kinematics
from discover.probes.reach import EDGES, FARTHEST, ErrorCurve, reach, refined


def curve(errors):
    return ErrorCurve(
        axis="v", subject="", distance=list(EDGES), error=errors, low=errors, high=errors
    )


def random_curves(n):
    draw = random.Random(5)
    for _ in range(n):
        error = 10 ** draw.uniform(-6, -1.5)
        errors = [error]
        for _ in EDGES[1:]:
            error *= 10 ** draw.uniform(-0.2, 1.2)
            errors.append(draw.choice([error, error, error, math.inf]))
        yield curve(errors), draw.choice([None, draw.uniform(1.0, FARTHEST)])


def test_within_its_reach_a_law_errs_by_no_more_than_the_tolerance():
    for c, edge in random_curves(500):
        found, whole = refined(c, 0.05, edge)
        inside = [e for e, d in zip(c.error, EDGES, strict=True) if d <= found]
        assert all(e <= 0.05 for e in inside[:-1]), (c.error, edge, found)
        plain, _ = reach(c, 0.05)
        assert found == (plain if edge is None else min(plain, edge))
        assert whole == (all(e <= 0.05 for e in c.error) and (edge or FARTHEST) >= FARTHEST)


def test_a_small_departure_does_not_end_a_law():
    """A model that leaves the law by a fiftieth of the tolerance still follows it."""
    robot = kinematics.load("double_pendulum")

    def model(q, v, tau):
        brake = 0.02 * torch.relu(v.abs() - 2.4) * v.sign()
        return kinematics.aba(robot, q, v, tau) - brake

    exam = discover.examine(model, robot, discover.Region(q=1.0, v=2.0, tau=5.0), budget="quick")
    assert exam.reach["v"] == FARTHEST
    assert max(c.error[-1] for c in exam.curves) < 0.01


def test_an_edge_sharpens_a_crossing():
    errors = [1e-12, 1e-12, 0.3, 0.8, 1.0, 1.0]  # a switch at 1.3 half-widths
    assert refined(curve(errors), 0.05, 1.3) == (1.3, False)
    assert refined(curve(errors), 0.05, 2.6) == reach(curve(errors), 0.05)
