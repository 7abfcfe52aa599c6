"""Designs, shells and distances."""

import math

import numpy as np
import pytest
import torch

from discover.blackbox.region import Region
from discover.blackbox.sampling import AXES, Batch, distance, sample, shell
from discover.errors import RegionError

REGION = Region(q=(0.5, 2.5), v=[2.0, 3.0, 4.0], tau=([-1.0, -2.0, -3.0], 5.0))


@pytest.mark.parametrize("design", ["box", "sobol", "hole"])
def test_samples_lie_in_the_region_and_fill_it(design):
    batch = sample(REGION, 3, 4000, seed=1, design=design)
    assert [tuple(x.shape) for x in batch] == [(4000, 3)] * 3
    far = distance(REGION, 3, batch)
    assert float(far.joint.max()) <= 1
    for group, values in zip(("q", "v", "tau"), batch, strict=True):
        bounds = getattr(REGION.resolve(3), group)
        place = (values - bounds.centre) / bounds.half_width
        assert float(place.mean(0).abs().max()) < 0.06
        assert float(place.amax(0).min()) > 0.99
        assert float(place.amin(0).max()) < -0.99


def test_a_box_is_uniform():
    place = sample(Region(q=1, v=1, tau=1), 2, 20000, seed=3).q
    assert torch.allclose(place.var(0), torch.tensor([1 / 3, 1 / 3]).double(), atol=0.01)


def test_sobol_points_are_more_even_than_random_ones():
    region = Region(q=1, v=1, tau=1)

    def unevenness(design):
        cells = (sample(region, 1, 4096, 0, design).q[:, 0] * 32 + 32).long().clamp(0, 63)
        return torch.bincount(cells, minlength=64).double().std()

    assert unevenness("sobol") < 0.2 * unevenness("box")


def test_a_full_circle_covers_every_angle_about_the_centre():
    batch = sample(REGION, 3, 20000, seed=0, design="full_circle")
    turn = batch.q - 1.5
    assert float(turn.abs().max()) <= math.pi
    histogram = np.histogram(turn[:, 1].numpy(), bins=20, range=(-math.pi, math.pi))[0]
    assert histogram.min() > 0.8 * 1000
    assert float(distance(REGION, 3, batch).v.max()) <= 1


def test_a_hole_is_empty_and_its_rim_uniform():
    batch = sample(Region(q=1, v=1, tau=1), 2, 20000, seed=0, design="hole", hole=0.6)
    radius = distance(Region(q=1, v=1, tau=1), 2, batch).q
    assert float(radius.min()) >= 0.6
    # Uniform density in the plane: the share below r grows with its area.
    share = float((radius < 0.8).double().mean())
    assert share == pytest.approx((0.8**2 - 0.6**2) / (1 - 0.6**2), abs=0.015)


@pytest.mark.parametrize("axis", AXES)
def test_a_shell_lies_where_it_says(axis):
    batch = shell(REGION, 3, 3000, 1.5, 2.0, axis, seed=4)
    far = distance(REGION, 3, batch)._asdict()
    for group in ("q", "v", "tau"):
        low, high = float(far[group].min()), float(far[group].max())
        if axis in ("joint", group):
            assert 1.5 <= low < 1.51
            assert 1.99 < high <= 2 + 1e-12
        else:
            assert high <= 1
    assert torch.equal(far["joint"], torch.stack([far[g] for g in ("q", "v", "tau")]).amax(0))


def test_a_shell_takes_each_face_of_the_box_equally():
    q = shell(Region(q=1, v=1, tau=1), 3, 12000, 1.0, 1.0 + 1e-9, "q", seed=0).q
    faces = [float(((q[:, j] * s) > 0.999999).double().mean()) for j in range(3) for s in (-1, 1)]
    assert faces == pytest.approx([1 / 6] * 6, abs=0.015)


def test_the_same_seed_gives_the_same_points():
    for draw in (
        lambda s: sample(REGION, 3, 64, s, "sobol"),
        lambda s: sample(REGION, 3, 64, s, "box"),
        lambda s: shell(REGION, 3, 64, 1, 2, "joint", s),
    ):
        assert torch.equal(draw(5).q, draw(5).q)
        assert not torch.equal(draw(5).q, draw(6).q)


def test_points_come_in_the_precision_that_was_asked_for():
    batch = sample(REGION, 3, 8, 0, dtype=torch.float32)
    assert {x.dtype for x in batch} == {torch.float32}
    # Distances of plain arrays work too.
    far = distance(REGION, 3, Batch(*(x.double().numpy() for x in batch)))
    assert far.joint.shape == (8,)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: sample(REGION, 3, 8, 0, "cube"), "design"),
        (lambda: sample(REGION, 3, 0, 0), "at least one"),
        (lambda: sample(REGION, 2, 8, 0), "expected 2 values"),
        (lambda: sample(REGION, 3, 8, 0, "trajectories"), "needs a robot"),
        (lambda: sample(REGION, 3, 8, 0, "hole", hole=1.5), "hole"),
        (lambda: shell(REGION, 3, 8, 2, 1), "inner < outer"),
        (lambda: shell(REGION, 3, 8, 1, 2, "x"), "axis"),
        (lambda: shell(REGION, 3, 8, 1, float("nan")), "inner < outer"),
    ],
)
def test_bad_requests_are_refused(call, match):
    with pytest.raises(RegionError, match=match):
        call()
