"""Dataclasses go to strict JSON and come back equal."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from discover.judgement.evidence import Evidence, Name
from discover.records import Stored


@dataclass(frozen=True, kw_only=True)
class Inner(Stored):
    size: float
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outer(Stored):
    pair: tuple[float, float]
    many: tuple[Inner, ...]
    rows: list[list[float]]
    by_name: dict[str, float]
    table: NDArray[np.float64]
    mask: NDArray[np.bool_] | None
    inner: Inner | None = None
    spread: float | None = None
    anything: dict = field(default_factory=dict)


def through_json(x):
    return type(x).from_dict(json.loads(json.dumps(x.to_dict(), allow_nan=False)))


def test_every_kind_of_field_comes_back():
    outer = Outer(
        pair=(1.0, -math.inf),
        many=(Inner(size=math.inf), Inner(size=2.0, note="inf")),
        rows=[[0.5], [math.inf, 3.0]],
        by_name={"q": math.inf},
        table=np.array([[1.0, 2.0], [3.0, np.inf]]),
        mask=np.array([True, False]),
        spread=math.inf,
        anything={"told": [1, "two", None]},
    )
    again = through_json(outer)
    for name in ("pair", "many", "rows", "by_name", "inner", "spread", "anything"):
        assert getattr(again, name) == getattr(outer, name), name
    assert again.mask.dtype == bool
    np.testing.assert_array_equal(again.mask, outer.mask)
    np.testing.assert_array_equal(again.table, outer.table)
    assert math.isnan(through_json(Inner(size=math.nan)).size)


def test_what_is_not_a_field_is_refused_and_what_is_missing_has_its_default():
    assert Inner.from_dict({"size": 1}) == Inner(size=1.0)
    with pytest.raises(KeyError, match="weight"):
        Inner.from_dict({"size": 1, "weight": 2})
    with pytest.raises(TypeError, match="size"):
        Inner.from_dict({"note": ""})


def test_evidence_with_former_names_is_read():
    new = Evidence(name=Name.GAIN, value=math.inf, interval=(0.0, math.inf), supports=("physics",))
    assert through_json(new) == new
    old = Evidence.from_dict({**new.to_dict(), "name": "leftover force: x"})
    assert old.name == "residual force: x"
