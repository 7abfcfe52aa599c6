"""The region: what is a half-width, what a pair, and what is refused."""

import numpy as np
import pytest
import tomlkit
import torch
from hypothesis import given
from hypothesis import strategies as st

from discover.blackbox.region import Region
from discover.errors import RegionError


def sides(region, group, nv=2):
    bounds = getattr(region.resolve(nv), group)
    return bounds.low.tolist(), bounds.high.tolist()


@pytest.mark.parametrize(
    ("given_q", "low", "high"),
    [
        (1.5, [-1.5, -1.5], [1.5, 1.5]),
        ([1.0, 2.0], [-1.0, -2.0], [1.0, 2.0]),
        (np.array([1.0, 2.0]), [-1.0, -2.0], [1.0, 2.0]),
        (torch.tensor([1.0, 2.0]), [-1.0, -2.0], [1.0, 2.0]),
        ((-1.0, 2.0), [-1.0, -1.0], [2.0, 2.0]),
        (([-1.0, 0.5], [2.0, 1.0]), [-1.0, 0.5], [2.0, 1.0]),
        ([[-1.0, 0.5], [2.0, 1.0]], [-1.0, 0.5], [2.0, 1.0]),
        (np.array([[-1.0, 0.5], [2.0, 1.0]]), [-1.0, 0.5], [2.0, 1.0]),
        ((torch.tensor([-1.0, 0.5]), 3.0), [-1.0, 0.5], [3.0, 3.0]),
        ({"low": -1.0, "high": [2.0, 3.0]}, [-1.0, -1.0], [2.0, 3.0]),
    ],
)
def test_half_widths_and_pairs(given_q, low, high):
    region = Region(q=given_q, v=1.0, tau=1.0)
    assert sides(region, "q") == (low, high)
    assert sides(region, "v") == ([-1.0, -1.0], [1.0, 1.0])


@pytest.mark.parametrize(
    "bad",
    [
        (1.0, 1.0),
        (2.0, -1.0),
        0.0,
        -1.0,
        float("nan"),
        float("inf"),
        [1.0, float("nan")],
        (-float("inf"), 1.0),
        [1.0, -2.0],
        [],
        "wide",
        None,
        True,
        {"low": 0.0},
        [[1.0], [2.0], [3.0]],
        ([0.0, 1.0], [1.0, 2.0, 3.0]),
    ],
)
def test_what_is_no_region_is_refused_in_one_line(bad):
    with pytest.raises(RegionError) as error:
        Region(q=bad, v=1.0, tau=1.0)
    assert "region.q" in str(error.value)
    assert "\n" not in str(error.value)


def test_lengths_must_agree_with_each_other_and_with_the_robot():
    with pytest.raises(RegionError, match="q has 2, v has 3"):
        Region(q=[1, 2], v=[1, 2, 3], tau=1)
    region = Region(q=[1, 2], v=1, tau=1)
    assert region.nv == 2
    assert Region(q=1, v=1, tau=1).nv is None
    with pytest.raises(RegionError, match="expected 7 values"):
        region.resolve(7)


positive = st.floats(1e-3, 1e3)
extents = st.one_of(
    positive,
    st.lists(positive, min_size=3, max_size=3),
    st.tuples(st.floats(-1e3, -1e-3), positive),
    st.lists(positive, min_size=3, max_size=3).map(lambda x: ([-2 * y for y in x], x)),
)


@given(q=extents, v=extents, tau=extents)
def test_a_region_survives_its_dictionary_and_toml(q, v, tau, tmp_path_factory):
    region = Region(q=q, v=v, tau=tau)
    assert Region.from_dict(region.to_dict()) == region
    assert Region.from_dict(region.resolve(3).to_dict()) == region.resolve(3)
    path = tmp_path_factory.mktemp("region") / "region.toml"
    path.write_text(tomlkit.dumps({"region": region.to_dict()}))
    assert Region.from_toml(path) == region


def test_a_file_that_is_no_region_is_refused(tmp_path):
    with pytest.raises(RegionError, match="cannot read"):
        Region.from_toml(tmp_path / "absent.toml")
    path = tmp_path / "region.toml"
    for text, match in [
        ("q = ", "not TOML"),
        ("q = 1\nv = 1", "q, v and tau"),
        ("q=1\nv=1\ntau=1\nw=1", "w"),
    ]:
        path.write_text(text)
        with pytest.raises(RegionError, match=match):
            Region.from_toml(path)


def test_scaling_keeps_the_centre():
    region = Region(q=(1.0, 3.0), v=1.0, tau=2.0).scaled(3.0, ["q", "tau"])
    assert sides(region, "q", 1) == ([-1.0], [5.0])
    assert sides(region, "v", 1) == ([-1.0], [1.0])
    assert sides(region, "tau", 1) == ([-6.0], [6.0])
