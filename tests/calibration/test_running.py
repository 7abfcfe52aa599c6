"""A calibration goes on where it was cut, keeps what one model spoils to that model, and ends in
time."""

from dataclasses import replace

import pytest

from discover.calibration import records, running
from discover.calibration.planted import catalogue
from discover.calibration.records import Record
from discover.errors import ModelError
from discover.judgement.verdict import judge


@pytest.fixture
def chosen():
    return running.plan(robots=["one hinge"], share=0.1)


def measured(case, **more) -> Record:
    fields = {
        "name": case.name, "robot": case.robot, "nv": 1, "kind": case.planted.kind,
        "truth": case.planted.truth, "strength": "", "noise": "clean", "edges": {},
        "departure": None, "answer": judge([]).answer, "confidence": 0.5, "evidence": [],
        "reach": {}, "resolution": (0.0, 0.0), "queries": 3, "seconds": 0.1,
        "budget": "standard", "seed": 0, "instrument": records.instrument(),
    }  # fmt: skip
    return Record(**(fields | more))


def test_what_is_measured_by_the_same_code_is_kept_and_the_rest_made(chosen, tmp_path, monkeypatch):
    examined = []

    def examine(case, **_):
        examined.append(case.name)
        if len(examined) == 2:
            raise ModelError("expected a model that answers, found none")
        return measured(case)

    monkeypatch.setattr(running, "examine", examine)
    assert len(chosen) > 3
    first = running.run(chosen, tmp_path)
    assert len(first.records) == len(chosen) - 1
    assert list(first.failed) == [examined[1]]
    again = running.run(chosen, tmp_path)
    assert examined[len(chosen) :] == [examined[1]]  # only the one that failed is asked again
    assert not again.failed
    assert not again.left
    old = replace(again.records[0], instrument="of another day")
    running.write_json(running.Path(tmp_path, "records", f"{records.slug(old.name)}.json"),
                       old.to_dict())  # fmt: skip
    running.run(chosen, tmp_path)
    assert examined[-1] == old.name


def test_nothing_is_begun_after_the_end(chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "examine", lambda case, **_: pytest.fail("begun"))
    late = running.run(chosen, tmp_path, minutes=-1.0)
    assert late.left == [c.name for c in chosen]


@pytest.mark.slow
def test_many_processes_measure_what_one_does(tmp_path):
    chosen = [
        c for c in catalogue.planted_cases(["one hinge"]) if c.planted.kind in ("exact", "float32")
    ]
    alone = running.run(chosen, tmp_path / "one")
    several = running.run(chosen, tmp_path / "two", workers=2)
    for a, b in zip(alone.records, several.records, strict=True):
        assert (a.name, a.answer, a.queries) == (b.name, b.answer, b.queries)
        assert a.values == b.values


def test_robots_not_fitted_on_come_from_a_folder_or_not_at_all(tmp_path):
    from kinematics.errors import RobotError

    with pytest.raises(RobotError, match="asr_twodof"):
        catalogue.folder_of_descriptions(tmp_path)
    folder = catalogue.folder_of_descriptions("installed")
    names = catalogue.settings(folder)
    assert len(names) == 10
    assert not set(names) & set(catalogue.SETTINGS)
    assert names["finger"]().nv == 3


@pytest.mark.slow
def test_any_first_part_of_the_plan_is_balanced():
    from collections import Counter

    chosen = running.plan(robots=["one hinge", "double pendulum", "spatial chain of 5"])
    first = chosen[:60]
    robots = Counter(c.robot for c in first)
    assert robots["one hinge"] == pytest.approx(robots["double pendulum"], abs=1)
    assert robots["one hinge"] > robots["spatial chain of 5"] > 10
    kinds = Counter(c.planted.kind for c in first)
    assert max(kinds.values()) <= 2
    assert {c.planted.truth for c in first} >= {"physics", "lookup table", "alternative law"}
    assert running.plan(robots=["one hinge"]) != []
    assert [c.name for c in running.plan(robots=["one hinge"], share=0.2)] == [
        c.name for c in running.plan(robots=["one hinge"])
    ][: len(running.plan(robots=["one hinge"], share=0.2))]
